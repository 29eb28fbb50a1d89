/* See maildir.h and maildrop.h: lending messages. */
#include "maildrop/maildir/session/body.h"

#include "maildrop/maildir/files/measure.h"

#include <errno.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

/* The message's file under the name the index has, or the one it has now. */
static int open_file(struct maildir *m, struct index_message *message, struct stat *st)
{
	enum index_directory directory = index_directory_of(message->flags);
	struct maildir_found found;
	struct maildir_name parsed;
	pop3_span unique;
	int fd = maildir_open_message(&m->place, directory, message->name, st);

	if (fd >= 0 || errno != ENOENT)
		return fd;
	maildir_name_parse((pop3_span){message->name, message->name_size}, &parsed);
	unique = (pop3_span){message->name, parsed.unique_size};
	if (maildir_locator_find(&m->locator, &m->place, unique, message->inode, &found) < 0) {
		if (errno == EAGAIN)
			errno = ENOENT; /* not found now; another attempt may find it */
		return -1;
	}
	return maildir_open_message(&m->place, found.directory, found.name, st);
}

static enum maildrop_status gone(struct err *err)
{
	err_set(err, EX_TEMPFAIL, "the message is not there any more");
	return MAILDROP_GONE;
}

/* Octets that only a name claims, or that were counted in another file of that name, are counted
 * before the first of them goes out. */
static bool verified(struct maildir *m, uint32_t ordinal, int fd, const struct stat *st,
		     struct index_message *message)
{
	struct maildir_measured measured;

	if ((uint64_t)st->st_size != message->stored)
		return false;
	if (st->st_ino == message->inode && !index_unverified(&m->index.index, ordinal, message))
		return true;
	if (maildir_measure_fd(&m->place, fd, &measured) < 0 ||
	    measured.octets != message->octets || measured.stored != message->stored)
		return false;
	message->flags &= (uint16_t)~INDEX_WIRE_FORM;
	message->flags |= measured.wire_form ? INDEX_WIRE_FORM : 0;
	return true;
}

static void lend(int fd, const struct index_message *message, struct maildrop_body *ret)
{
	*ret = (struct maildrop_body){
		.fd = fd,
		.stored = message->stored,
		.octets = message->octets,
		.wire_form = message->flags & INDEX_WIRE_FORM,
	};
}

enum maildrop_status maildir_body(struct maildrop *maildrop, uint32_t number,
				  struct maildrop_body *ret, struct err *err)
{
	struct maildir *m = (struct maildir *)maildrop;
	uint32_t ordinal = index_delta_ordinal(&m->index.index.delta, number);
	struct index_message message;
	struct stat st;
	int fd;

	if (index_read(&m->index.index, ordinal, &message, err) < 0) {
		m->damaged = true;
		return MAILDROP_TEMP;
	}
	fd = open_file(m, &message, &st);
	if (fd < 0 && (errno == ENOENT || errno == ENOTSUP || errno == EMLINK))
		return gone(err);
	if (fd < 0)
		return maildir_failed(&m->place, errno, NULL, "a message cannot be read", err);
	if (!verified(m, ordinal, fd, &st, &message)) {
		close(fd);
		maildir_body_wrong(maildrop, number);
		return gone(err);
	}
	lend(fd, &message, ret);
	return MAILDROP_OK;
}

/* Anything out of the ordinary, too, is left to maildir_body. */
static int open_now(struct maildir *m, uint32_t number, struct index_message *message)
{
	uint32_t ordinal = index_delta_ordinal(&m->index.index.delta, number);
	struct stat st;
	int fd;

	if (index_read(&m->index.index, ordinal, message, NULL) < 0 ||
	    index_unverified(&m->index.index, ordinal, message))
		return -1;
	fd = maildir_open_message(&m->place, index_directory_of(message->flags), message->name,
				  &st);
	if (fd >= 0 && ((uint64_t)st.st_size != message->stored || st.st_ino != message->inode)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

enum maildrop_status maildir_body_now(struct maildrop *maildrop, uint32_t number,
				      struct maildrop_body *ret)
{
	struct maildir *m = (struct maildir *)maildrop;
	const struct maildrop_syscalls *sys = m->place.sys;
	struct index_message message;
	int fd;

	if (sys != &maildrop_kernel)
		return MAILDROP_WAIT;
	m->place.sys = m->index.index.sys = &maildrop_cached;
	fd = open_now(m, number, &message);
	m->place.sys = m->index.index.sys = sys;
	if (fd < 0)
		return MAILDROP_WAIT;
	lend(fd, &message, ret);
	return MAILDROP_OK;
}

static void mend(struct maildir *m, struct maildir_log *log, uint32_t ordinal)
{
	struct index_message message;
	struct maildir_measured measured;
	struct index_batch batch = {0};
	struct stat st;
	int fd;

	if (index_delta_removed(&log->index.index.delta, ordinal) ||
	    index_read(&log->index.index, ordinal, &message, NULL) < 0)
		return;
	fd = open_file(m, &message, &st);
	if (fd < 0)
		return; /* vanished: the next comparison with the directories records it */
	if (maildir_measure_fd(&m->place, fd, &measured) == 0) {
		index_batch_add(&batch, &(struct index_change){
						.kind = CHANGE_SIZE,
						.ordinal = ordinal,
						.flags = measured.wire_form ? INDEX_WIRE_FORM : 0,
						.octets = measured.octets,
						.stored = measured.stored,
						.inode = st.st_ino,
						.old_octets = message.octets,
						.old_stored = message.stored,
					});
		(void)maildir_log_append(log, &batch);
		index_batch_finish(&batch);
	}
	close(fd);
}

void maildir_body_wrong(struct maildrop *maildrop, uint32_t number)
{
	struct maildir *m = (struct maildir *)maildrop;
	struct maildir_log log;

	if (maildir_log_begin(&m->place, true, &log) < 0)
		return;
	/* ordinals hold as long as the base is the session's */
	if (log.index.open && log.index.index.header.id == m->index.index.header.id)
		mend(m, &log, index_delta_ordinal(&m->index.index.delta, number));
	maildir_log_end(&log);
}
