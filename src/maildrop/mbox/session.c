/* See mbox.h and maildrop.h: opening a mailbox, lending messages. */
#include "maildrop/mbox/session.h"

#include "base/descriptor.h"
#include "maildrop/mbox/adopt/enter.h"
#include "maildrop/mbox/current.h"
#include "maildrop/mbox/journal.h"
#include "maildrop/mbox/show.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

static bool is_current(const struct mbox *m)
{
	struct stat st;

	return m->index.open && !mbox_journal_there(&m->place) && !mbox_lock_left(&m->place.lock) &&
	       m->place.sys->fstat(m->place.lock.fd, &st) == 0 &&
	       mbox_changed(&m->index.index, &st) == MBOX_SAME;
}

static enum maildrop_status make_current(struct mbox *m, struct err *err)
{
	enum maildrop_status status;
	int result = mbox_index_open(&m->place, &m->index, NULL);
	bool carried_out;

	if (result == INDEX_NEWER)
		return mbox_newer(&m->place, err);
	if (is_current(m))
		return MAILDROP_OK;
	status = mbox_place_lock(&m->place, err);
	if (status < 0)
		return status;
	status = mbox_bring_current(&m->place, &m->index, &carried_out, err);
	mbox_place_unlock(&m->place);
	return status;
}

/* ---- what is lent ---- */

static int copy_of(const struct mbox_place *place, int from, uint64_t size)
{
	const int seals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
	int fd = place->sys->memory_file("index");
	char buf[16384];
	uint64_t done = 0;

	while (fd >= 0 && done < size) {
		size_t want = size - done < sizeof(buf) ? (size_t)(size - done) : sizeof(buf);
		ssize_t n = maildrop_pread(place->sys, from, buf, want, (off_t)done);

		if (n == 0)
			errno = EIO;
		if (n <= 0 || maildrop_pwrite(place->sys, fd, buf, (size_t)n, (off_t)done) < 0)
			close_fd(&fd);
		done += n > 0 ? (uint64_t)n : 0;
	}
	if (fd >= 0 && fcntl(fd, F_ADD_SEALS, seals) < 0)
		close_fd(&fd);
	return fd;
}

/* A copy of the session's index, for the front, if reads of the files may have to be waited for. */
static enum maildrop_status take_snapshot(struct mbox *m, struct err *err)
{
	const struct index *index = &m->index.index;

	m->head.snapshot = (struct maildrop_snapshot){.base_fd = m->index.base_fd,
						      .delta_fd = m->index.delta_fd,
						      .delta_size = index->delta.size,
						      .count = index->delta.count,
						      .octets = index->delta.octets};
	if (maildrop_lending(m->index.base_fd) != MAILDROP_LEND_VALUE &&
	    maildrop_lending(m->index.delta_fd) != MAILDROP_LEND_VALUE)
		return MAILDROP_OK;
	m->copies[0] = copy_of(&m->place, m->index.base_fd, index->end * INDEX_BLOCK);
	if (m->copies[0] >= 0)
		m->copies[1] = copy_of(&m->place, m->index.delta_fd, index->delta.size);
	if (m->copies[1] < 0)
		return mbox_failed(&m->place, errno, m->place.names[MBOX_BASE], "cannot be copied",
				   err);
	m->head.snapshot.base_fd = m->copies[0];
	m->head.snapshot.delta_fd = m->copies[1];
	return MAILDROP_OK;
}

/* ---- the driver ---- */

static struct mbox *new_mbox(void)
{
	struct mbox *m = calloc(1, sizeof(*m));

	if (m) {
		mbox_index_init(&m->index);
		m->copies[0] = m->copies[1] = -1;
		m->place.dir = m->place.state = m->place.session = m->place.lock.fd = -1;
	}
	return m;
}

static enum maildrop_status no_memory(const char *home, struct err *err)
{
	err_sys(err, EX_TEMPFAIL, ENOMEM, "mailbox %s", home);
	return MAILDROP_TEMP;
}

void mbox_close(struct maildrop *maildrop)
{
	struct mbox *m = (struct mbox *)maildrop;

	close_fd(&m->copies[0]);
	close_fd(&m->copies[1]);
	mbox_index_close(&m->index);
	mbox_place_close(&m->place);
	free(m);
}

enum maildrop_status mbox_open(const struct maildrop_settings *settings, int root_fd,
			       const char *home, struct maildrop **ret, struct err *err)
{
	struct mbox *m = new_mbox();
	enum maildrop_status status;

	if (!m)
		return no_memory(home, err);
	m->local = settings->local;
	status = mbox_place_open(&m->place, settings, root_fd, home, false, err);
	if (status < 0) {
		free(m);
		return status;
	}
	status = mbox_take_session(&m->place, err);
	if (status == MAILDROP_OK)
		status = mbox_enter(&m->place, root_fd, err);
	if (status == MAILDROP_OK)
		status = make_current(m, err);
	if (status == MAILDROP_OK)
		status = take_snapshot(m, err);
	if (status < 0)
		mbox_close(&m->head);
	else
		*ret = &m->head;
	return status;
}

enum maildrop_status mbox_open_empty(const struct maildrop_settings *settings, const char *home,
				     struct maildrop **ret, struct err *err)
{
	struct index_stamp stamps[INDEX_DIRECTORIES] = {0};
	struct mbox_table nothing = {0};
	struct mbox *m = new_mbox();
	enum maildrop_status status;

	if (!m)
		return no_memory(home, err);
	m->place.sys = settings->syscalls ? settings->syscalls : &maildrop_kernel;
	m->place.home = strdup(home);
	if (m->place.home && mbox_index_memory(&m->place, &m->index, &nothing, false, stamps) == 0)
		status = take_snapshot(m, err);
	else
		status = no_memory(home, err);
	if (status < 0)
		mbox_close(&m->head);
	else
		*ret = &m->head;
	return status;
}

enum maildrop_status mbox_make(const struct maildrop_settings *settings, int root_fd,
			       const char *home, struct err *err)
{
	struct mbox_place place;
	enum maildrop_status status = mbox_place_open(&place, settings, root_fd, home, true, err);

	if (status == MAILDROP_OK)
		mbox_place_close(&place);
	return status;
}

enum maildrop_status mbox_open_now(const struct maildrop_settings *settings, int root_fd,
				   const char *home, struct maildrop **ret)
{
	(void)settings, (void)root_fd, (void)home, (void)ret;
	return MAILDROP_WAIT;
}

enum maildrop_status mbox_body_failed(struct mbox *m, uint32_t number, struct err *err)
{
	if (errno != ESTALE && errno != EBADMSG)
		return mbox_failed(&m->place, errno, NULL, "cannot be read", err);
	/* the next session looks at all of it */
	(void)mbox_index_distrust(&m->place, &m->index);
	err_set(err, EX_TEMPFAIL,
		"mailbox %s: message %u is not where it was: another program changed the mailbox",
		m->place.home, (unsigned)number);
	return MAILDROP_GONE;
}

enum maildrop_status mbox_body(struct maildrop *maildrop, uint32_t number,
			       struct maildrop_body *ret, struct err *err)
{
	const int seals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
	struct mbox *m = (struct mbox *)maildrop;
	uint32_t ordinal = index_delta_ordinal(&m->index.index.delta, number);
	struct index_message message;
	struct mbox_entry entry;
	uint64_t size;
	int fd = -1;

	if (index_read(&m->index.index, ordinal, &message, err) < 0)
		return MAILDROP_TEMP;
	errno = ESTALE;
	if (mbox_entry_decode(&message, &entry) < 0)
		return mbox_body_failed(m, number, err);
	fd = m->place.sys->memory_file("message");
	if (fd < 0 || mbox_show(&m->place, &entry, fd, &size) < 0 ||
	    fcntl(fd, F_ADD_SEALS, seals) < 0) {
		close_fd(&fd);
		return mbox_body_failed(m, number, err);
	}
	*ret = (struct maildrop_body){.fd = fd, .stored = size, .octets = entry.octets};
	return MAILDROP_OK;
}

enum maildrop_status mbox_body_now(struct maildrop *maildrop, uint32_t number,
				   struct maildrop_body *ret)
{
	(void)maildrop, (void)number, (void)ret;
	return MAILDROP_WAIT;
}

/* Sizes in an mbox are counted, not claimed: none is wrong. */
bool mbox_body_wrong(struct maildrop *maildrop, uint32_t number, struct err *err)
{
	(void)maildrop, (void)number, (void)err;
	return false;
}

bool mbox_at_rest(const struct maildrop *maildrop)
{
	return ((const struct mbox *)maildrop)->index.index.delta.pending_count == 0;
}

void mbox_index_wrong(struct maildrop *maildrop)
{
	struct mbox *m = (struct mbox *)maildrop;

	if (!m->index.memory)
		(void)mbox_index_distrust(&m->place, &m->index);
}
