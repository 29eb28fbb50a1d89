/*
 * See expire.h. DELs as those of QUIT, by whoever has the session's lock while nobody has a session
 * to look at: the end of one, or a command. In a keeper's worker or a command, with the rights of
 * the mail's owner.
 */
#include "maildrop/maildir/session/expire.h"

#include "maildrop/maildir/update/update.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define PORTION 8192 /* messages at a time */

/* Programs that copy mail keep its time in one of two places: the later one counts. 0: nobody
 * knows. */
static uint64_t arrived(struct maildir *m, const struct index_message *message, uint64_t before)
{
	struct maildir_name name;
	struct stat st;
	int fd;

	maildir_name_parse((pop3_span){message->name, message->name_size}, &name);
	if (name.seconds >= before)
		return name.seconds;
	fd = maildir_directory(&m->place, index_directory_of(message->flags));
	if (fd < 0 || m->place.sys->fstatat(fd, message->name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    st.st_ino != message->inode || st.st_mtim.tv_sec <= 0)
		return 0;
	return (uint64_t)st.st_mtim.tv_sec > name.seconds ? (uint64_t)st.st_mtim.tv_sec
							  : name.seconds;
}

struct expiring {
	struct maildir *m;
	uint64_t before;
	maildrop_expired *each;
	void *context;
	struct index_batch batch;
	unsigned count;
};

static void add(struct expiring *e, const struct index_message *message, uint32_t ordinal,
		uint64_t at)
{
	pop3_span name = {message->name, message->name_size};
	char id[POP3_UNIQUE_ID_MAX + 1];

	memcpy(id, message->id, message->id_size);
	id[message->id_size] = '\0';
	if (e->each)
		e->each(e->context, id, message->stored, at);
	index_batch_add(&e->batch,
			&(struct index_change){.kind = CHANGE_DEL,
					       .ordinal = ordinal,
					       .flags = message->flags,
					       .octets = message->octets,
					       .stored = message->stored,
					       .inode = message->inode,
					       .name = {name.data, maildir_name_unique(name)}});
	e->count++;
}

static int collect(struct expiring *e, struct index *index, unsigned most)
{
	uint32_t end = index->header.count + index->delta.added;

	for (uint32_t ordinal = 0; ordinal < end && e->count < most; ordinal++) {
		struct index_message message;
		uint64_t at;

		if (index_delta_removed(&index->delta, ordinal))
			continue;
		if (index_read(index, ordinal, &message, NULL) < 0)
			return -1;
		at = arrived(e->m, &message, e->before);
		if (at && at < e->before)
			add(e, &message, ordinal, at);
	}
	return 0;
}

/* On the disk, before a file goes. */
static int record(struct expiring *e, struct maildir_log *log)
{
	const struct maildrop_syscalls *sys = e->m->place.sys;
	uint64_t before = log->index.index.delta.size;

	if (maildir_log_append(log, &e->batch) < 0)
		return -1;
	if (sys->fdatasync(log->index.delta_fd) < 0 ||
	    (!log->index.index.delta.flushed && sys->fsync(e->m->place.dir) < 0)) {
		int saved = errno;

		(void)sys->ftruncate(log->index.delta_fd, (off_t)before);
		errno = saved;
		return -1;
	}
	e->m->committed = e->m->expired = true;
	e->m->commit_id = log->index.index.header.id;
	e->m->commit_from = before;
	e->m->journaled = e->m->unlinked = false;
	return 0;
}

enum maildrop_status maildir_expire(struct maildrop *maildrop, bool dry_run, maildrop_expired *each,
				    void *context, struct err *err)
{
	struct maildir *m = (struct maildir *)maildrop;
	uint64_t now = (uint64_t)time(NULL), after = m->place.settings->retention.delete_seconds;
	struct expiring e = {.m = m, .each = each, .context = context};
	struct maildir_log log;
	int result = 0;

	if (!after || now <= after || m->index.memory || !maildir_lock_held(&m->place))
		return MAILDROP_OK;
	e.before = now - after;
	if (maildir_log_begin(&m->place, true, &log) < 0)
		return maildir_failed(&m->place, errno, LOCK_NAME, "cannot be locked", err);
	if (log.index.open) {
		errno = EIO;
		result = collect(&e, &log.index.index, dry_run ? UINT32_MAX : PORTION);
		if (result == 0 && e.count && !dry_run)
			result = record(&e, &log);
	}
	index_batch_finish(&e.batch);
	maildir_log_end(&log);
	if (result < 0)
		return maildir_failed(&m->place, errno, DELTA_NAME,
				      "old messages cannot be deleted", err);
	return e.count == PORTION && !dry_run ? MAILDROP_WAIT : MAILDROP_OK;
}
