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
		if (!maildir_body_wrong(maildrop, number, err))
			return gone(err);
		return MAILDROP_GONE;
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

	if (sys->openat != maildrop_kernel.openat) /* as maildrop_open_now */
		return MAILDROP_WAIT;
	m->place.sys = m->index.index.sys = &maildrop_cached;
	fd = open_now(m, number, &message);
	m->place.sys = m->index.index.sys = sys;
	if (fd < 0)
		return MAILDROP_WAIT;
	lend(fd, &message, ret);
	return MAILDROP_OK;
}

static bool as_recorded(const struct index_message *message,
			const struct maildir_measured *measured)
{
	return measured->octets == message->octets && measured->stored == message->stored &&
	       (measured->wire_form || !(message->flags & INDEX_WIRE_FORM));
}

/* Counts an open message anew; where the record is wrong, a right one follows it. */
static bool mend_record(struct maildir *m, struct maildir_log *log, uint32_t ordinal,
			const struct index_message *message, int fd, const struct stat *st)
{
	struct maildir_measured measured;
	struct index_batch batch = {0};
	bool mended;

	if (maildir_measure_fd(&m->place, fd, &measured) < 0 || as_recorded(message, &measured))
		return false;
	index_batch_add(&batch, &(struct index_change){
					.kind = CHANGE_SIZE,
					.ordinal = ordinal,
					.flags = measured.wire_form ? INDEX_WIRE_FORM : 0,
					.octets = measured.octets,
					.stored = measured.stored,
					.inode = st->st_ino,
					.old_octets = message->octets,
					.old_stored = message->stored,
				});
	mended = maildir_log_append(log, &batch) == 0;
	index_batch_finish(&batch);
	return mended;
}

static bool mend(struct maildir *m, struct maildir_log *log, uint32_t ordinal, struct err *err)
{
	struct index_message message;
	struct stat st;
	bool mended;
	int fd;

	if (index_delta_removed(&log->index.index.delta, ordinal) ||
	    index_read(&log->index.index, ordinal, &message, NULL) < 0)
		return false;
	fd = open_file(m, &message, &st);
	if (fd < 0)
		return false; /* vanished: the next comparison with the directories records it */
	mended = mend_record(m, log, ordinal, &message, fd, &st);
	close(fd);
	if (mended)
		err_set(err, EX_TEMPFAIL,
			"%s has other octets than the index says; it was counted anew, and the "
			"next session gets it (a program that changes a message must give it a "
			"new file)",
			message.name);
	return mended;
}

bool maildir_body_wrong(struct maildrop *maildrop, uint32_t number, struct err *err)
{
	struct maildir *m = (struct maildir *)maildrop;
	struct maildir_log log;
	bool mended = false;

	if (maildir_log_begin(&m->place, true, &log) < 0)
		return false;
	/* ordinals hold as long as the base is the session's */
	if (log.index.open && log.index.index.header.id == m->index.index.header.id)
		mended = mend(m, &log, index_delta_ordinal(&m->index.index.delta, number), err);
	maildir_log_end(&log);
	return mended;
}
