/* See maildir.h and maildrop.h: opening and closing a session, usage. */
#include "maildrop/maildir/session/open.h"

#include "base/descriptor.h"
#include "maildrop/maildir/adopt/enter.h"
#include "maildrop/maildir/update/update.h"

#include <errno.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

/* An index that is not known to have reached the disk whole may be of before a power cut. */
static bool trustworthy(struct index *index)
{
	return index->delta.whole && (index->delta.flushed || index_verify(index, NULL) == 0);
}

/* Compares the stamps of both directories. */
static enum maildir_freshness is_current(const struct maildir_place *place,
					 const struct maildir_index *index, struct err *err)
{
	enum maildir_freshness current = MAILDIR_CURRENT;

	for (int d = 0; d < INDEX_DIRECTORIES && current == MAILDIR_CURRENT; d++) {
		current = maildir_current(place, &index->index.delta, d);
		if (current == MAILDIR_UNREADABLE)
			maildir_failed(place, errno, maildir_directory_names[d], "cannot be read",
				       err);
	}
	return current;
}

/* Opens an index that needs no update, without a lock of the log. *ret is open if current. */
static enum maildir_freshness open_current(struct maildir_place *place, struct maildir_index *ret,
					   struct err *err)
{
	enum maildir_freshness current;

	if (maildir_index_open(place, false, ret, NULL) < 0)
		return MAILDIR_STALE;
	current = trustworthy(&ret->index) ? is_current(place, ret, err) : MAILDIR_STALE;
	if (current != MAILDIR_CURRENT)
		maildir_index_close(ret);
	return current;
}

/* Does the trouble only keep us from writing? Mail can be read then, and deleted where that needs
 * no room. */
static bool unwritable(enum maildrop_status status, const struct err *err)
{
	return status == MAILDROP_FULL || (status == MAILDROP_TEMP && err->errnum == EROFS);
}

static enum maildrop_status refresh_held(struct maildir_log *log, bool session,
					 struct maildir_index *ret, struct err *err)
{
	enum maildrop_status status =
		maildir_update(log, session ? TARGET_SESSION : TARGET_LOG, false, err);

	if (unwritable(status, err)) {
		status = maildir_update(log, TARGET_MEMORY, true, err);
		if (status == MAILDROP_OK) {
			*ret = log->index;
			log->index = (struct maildir_index){.base_fd = -1, .delta_fd = -1};
		}
		return status;
	}
	if (status == MAILDROP_OK && maildir_index_open(log->place, false, ret, err) < 0)
		status = MAILDROP_TEMP;
	return status;
}

enum maildrop_status maildir_refresh(struct maildir_place *place, bool session,
				     struct maildir_index *ret, struct err *err)
{
	enum maildrop_status status;
	struct maildir_log log;
	struct err local = {0};

	if (maildir_log_begin(place, true, &log) < 0)
		return maildir_failed(place, errno, LOCK_NAME, "cannot be locked", err);
	if (log.index.open && !log.index.index.delta.flushed &&
	    index_verify(&log.index.index, NULL) < 0)
		maildir_index_close(&log.index);
	status = refresh_held(&log, session, ret, &local);
	if (status < 0 && err)
		*err = local;
	maildir_log_end(&log);
	return status;
}

static void take_snapshot(struct maildir *m)
{
	m->head.snapshot = (struct maildrop_snapshot){
		.base_fd = m->index.base_fd,
		.delta_fd = m->index.delta_fd,
		.delta_size = m->index.index.delta.size,
		.count = m->index.index.delta.count,
		.octets = m->index.index.delta.octets,
		.folders = {m->index.index.delta.stamps[INDEX_NEW].inode,
			    m->index.index.delta.stamps[INDEX_CUR].inode},
		.has_ids = m->place.has_ids,
		.rule = m->place.rule,
	};
}

static bool may_lend(int fd)
{
	return maildrop_lending(fd) != MAILDROP_LEND_VALUE;
}

static int copy_octets(const struct maildrop_syscalls *sys, int from, int to, uint64_t size)
{
	char buf[16384];
	uint64_t done = 0;

	while (done < size) {
		size_t want = size - done < sizeof(buf) ? (size_t)(size - done) : sizeof(buf);
		ssize_t n = maildrop_pread(sys, from, buf, want, (off_t)done);

		if (n == 0)
			errno = EIO; /* it became shorter meanwhile */
		if (n <= 0 || maildrop_pwrite(sys, to, buf, (size_t)n, (off_t)done) < 0)
			return -1;
		done += (uint64_t)n;
	}
	return 0;
}

/* A memory file that nobody can write to. -1 with errno. */
static int copy_of(const struct maildir_place *place, const char *name, int from, uint64_t size)
{
	int fd = place->sys->memory_file(name), saved;

	if (fd >= 0 && copy_octets(place->sys, from, fd, size) == 0 &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) == 0)
		return fd;
	saved = errno;
	if (fd >= 0)
		close(fd);
	errno = saved;
	return -1;
}

/* A copy of the session's index, for the front, if reads of the files may have to be waited for. */
static enum maildrop_status copy_for_lending(struct maildir *m, struct err *err)
{
	const struct index *index = &m->index.index;

	if (may_lend(m->index.base_fd) && may_lend(m->index.delta_fd))
		return MAILDROP_OK;
	m->copies[0] = copy_of(&m->place, BASE_NAME, m->index.base_fd, index->end * INDEX_BLOCK);
	if (m->copies[0] >= 0)
		m->copies[1] = copy_of(&m->place, DELTA_NAME, m->index.delta_fd, index->delta.size);
	if (m->copies[1] < 0)
		return maildir_failed(&m->place, errno, BASE_NAME, "cannot be copied", err);
	m->head.snapshot.base_fd = m->copies[0];
	m->head.snapshot.delta_fd = m->copies[1];
	return MAILDROP_OK;
}

static enum maildrop_status open_session(struct maildir *m, struct err *err)
{
	enum maildrop_status status;
	enum maildir_freshness current;

	if (maildir_lock(&m->place, LOCK_SESSION, false) < 0) {
		if (errno != EAGAIN)
			return maildir_failed(&m->place, errno, LOCK_NAME, "cannot be locked", err);
		err_set(err, EX_TEMPFAIL, "maildrop %s: another session has it", m->place.home);
		return MAILDROP_IN_USE;
	}
	current = open_current(&m->place, &m->index, err);
	if (current == MAILDIR_UNREADABLE)
		return MAILDROP_TEMP;
	if (current == MAILDIR_STALE) {
		status = maildir_refresh(&m->place, true, &m->index, err);
		if (status < 0)
			return status;
	}
	take_snapshot(m);
	return copy_for_lending(m, err);
}

static struct maildir *new_maildir(void)
{
	struct maildir *m = calloc(1, sizeof(*m));

	if (m) {
		m->index.base_fd = m->index.delta_fd = -1;
		m->copies[0] = m->copies[1] = m->kept = -1;
	}
	return m;
}

enum maildrop_status maildir_open(const struct maildrop_settings *settings, int root_fd,
				  const char *home, struct maildrop **ret, struct err *err)
{
	struct maildir *m = new_maildir();
	enum maildrop_status status;

	if (!m) {
		err_sys(err, EX_TEMPFAIL, errno, "maildrop %s", home);
		return MAILDROP_TEMP;
	}
	status = maildir_enter(&m->place, settings, root_fd, home, PLACE_THERE, err);
	if (status < 0) {
		free(m);
		return status;
	}
	status = open_session(m, err);
	if (status < 0)
		maildir_close(&m->head);
	else
		*ret = &m->head;
	return status;
}

static int fill_nothing(void *context, struct index_writer *writer)
{
	(void)context;
	(void)writer;
	return 0;
}

enum maildrop_status maildir_open_empty(const struct maildrop_settings *settings, const char *home,
					struct maildrop **ret, struct err *err)
{
	struct maildir_contents nothing = {.fill = fill_nothing};
	struct maildir_log log = {.index = {.base_fd = -1, .delta_fd = -1}};
	struct maildir *m = new_maildir();

	if (m && maildir_place_init(&m->place, settings, home) == 0) {
		log.place = &m->place;
		if (maildir_log_memory(&log, &nothing) == 0) {
			m->index = log.index;
			take_snapshot(m);
			*ret = &m->head;
			return MAILDROP_OK;
		}
	}
	err_sys(err, EX_TEMPFAIL, errno, "maildrop %s", home);
	if (m)
		maildir_close(&m->head);
	return MAILDROP_TEMP;
}

enum maildrop_status maildir_make(const struct maildrop_settings *settings, int root_fd,
				  const char *home, struct err *err)
{
	struct maildir_place place;
	enum maildrop_status status =
		maildir_enter(&place, settings, root_fd, home, PLACE_MAKE, err);

	if (status == MAILDROP_OK)
		maildir_place_close(&place);
	return status;
}

/*
 * As open_session where everything is in order: the session's lock first, then what the index says.
 * One that may not be on the disk would have to be read whole. The names new and cur were last
 * looked up with those of lock and index, each time after them: what was just found in memory would
 * have been dropped before those two are, so that asking for their times waits for no disk. Should
 * it ever, then for a block or two.
 */
static enum maildrop_status open_warm(struct maildir *m, const struct maildrop_syscalls *sys)
{
	if (maildir_lock(&m->place, LOCK_SESSION, false) < 0)
		return errno == EAGAIN ? MAILDROP_IN_USE : MAILDROP_WAIT;
	if (maildir_index_open(&m->place, false, &m->index, NULL) < 0 ||
	    !m->index.index.delta.whole || !m->index.index.delta.flushed ||
	    is_current(&m->place, &m->index, NULL) != MAILDIR_CURRENT)
		return MAILDROP_WAIT;
	m->place.sys = m->index.index.sys = sys;
	take_snapshot(m);
	return MAILDROP_OK;
}

enum maildrop_status maildir_open_now(const struct maildrop_settings *settings, int root_fd,
				      const char *home, struct maildrop **ret)
{
	struct maildir *m = new_maildir();
	enum maildrop_status status;

	if (!m)
		return MAILDROP_WAIT;
	if (maildir_place_open_now(&m->place, settings, root_fd, home) < 0) {
		free(m);
		return MAILDROP_WAIT;
	}
	status = open_warm(m, settings->syscalls ? settings->syscalls : &maildrop_kernel);
	if (status < 0)
		maildir_close(&m->head);
	else
		*ret = &m->head;
	return status;
}

void maildir_close(struct maildrop *maildrop)
{
	struct maildir *m = (struct maildir *)maildrop;

	maildir_locator_destroy(m->locator);
	for (int i = 0; i < 2; i++)
		close_fd(&m->copies[i]);
	close_fd(&m->kept);
	maildir_index_close(&m->index);
	maildir_place_close(&m->place);
	free(m->by);
	free(m);
}

void maildir_index_wrong(struct maildrop *maildrop)
{
	struct maildir *m = (struct maildir *)maildrop;

	m->damaged = true;
}

enum maildrop_status maildir_usage(const struct maildrop_settings *settings, int root_fd,
				   const char *home, struct maildrop_usage *ret, struct err *err)
{
	struct maildir_index index = {.base_fd = -1, .delta_fd = -1};
	struct maildir_place place;
	enum maildrop_status status;
	enum maildir_freshness current;

	status = maildir_enter(&place, settings, root_fd, home, PLACE_ANY, err);
	if (status == MAILDROP_ABSENT) {
		*ret = (struct maildrop_usage){0};
		return MAILDROP_OK;
	}
	if (status < 0)
		return status;
	current = open_current(&place, &index, err);
	if (current == MAILDIR_UNREADABLE)
		status = MAILDROP_TEMP;
	else if (current == MAILDIR_STALE)
		status = maildir_refresh(&place, false, &index, err);
	if (status == MAILDROP_OK)
		*ret = (struct maildrop_usage){.messages = index.index.delta.count,
					       .octets = index.index.delta.stored};
	maildir_index_close(&index);
	maildir_place_close(&place);
	return status;
}
