/* See sweep_files.h. In a keeper's worker or `valija deliver`, with the rights of the mail's owner.
 */
#include "maildrop/maildir/session/sweep_files.h"

#include "base/array.h"
#include "maildrop/maildir/files/scan.h"
#include "maildrop/maildir/session/remove.h"
#include "maildrop/maildir/update/update.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PORTION 1024 /* files touched while the log is held at a time */

/* One run over the pending DELs. */
struct pass {
	uint64_t id; /* of the log they are in */
	size_t done; /* so many of the pending ones are done with, but for those that follow */
	uint64_t *elsewhere; /* positions of DELs whose files are not where the index knows them */
	size_t count, room;
};

static int note_elsewhere(struct pass *pass, uint64_t position)
{
	uint64_t *grown = array_grow(pass->elsewhere, pass->count, &pass->room, sizeof(*grown));

	if (!grown)
		return -1;
	pass->elsewhere = grown;
	grown[pass->count++] = position;
	return 0;
}

static int read_del(const struct maildir *m, const struct index *index, uint64_t position,
		    unsigned char buf[INDEX_CHANGE_MAX], struct index_change *ret)
{
	return index_delta_read(m->place.sys, index->delta_fd, position, buf, ret, NULL);
}

static int remove_noted(struct maildir *m, enum index_directory directory, const char *name,
			uint64_t stored)
{
	int result = maildir_remove(m, directory, name, stored);

	if (result < 0 && errno != ENOENT && !m->place.settings->retention.keep_seconds)
		maildir_note_not_unlinked(&m->place, directory, name, errno);
	return result;
}

/* Removes exactly the file that was deleted, if it is where the index knows it. */
static int unlink_deleted(struct maildir *m, struct maildir_log *log, struct pass *pass,
			  uint64_t position)
{
	struct index *index = &log->index.index;
	unsigned char buf[INDEX_CHANGE_MAX];
	struct index_message message;
	enum index_directory directory;
	struct index_change change;

	if (read_del(m, index, position, buf, &change) < 0)
		return -1;
	if (change.ordinal == INDEX_NO_ORDINAL ||
	    index_read(index, change.ordinal, &message, NULL) < 0)
		return note_elsewhere(pass, position);
	directory = index_directory_of(message.flags);
	if (!maildir_same_file(&m->place, directory, message.name, change.inode))
		return note_elsewhere(pass, position);
	return remove_noted(m, directory, message.name, change.stored);
}

/*
 * The rest was renamed by somebody, or is gone; one reading of both directories tells. What is not
 * found by it is gone; what has another name again by now is left to the next sweep.
 */
static int unlink_elsewhere(struct maildir *m, struct maildir_log *log, const struct pass *pass)
{
	if (pass->count && maildir_locator_load(&m->locator, &m->place) < 0)
		return -1;
	for (size_t i = 0; i < pass->count; i++) {
		unsigned char buf[INDEX_CHANGE_MAX];
		struct index_change change;
		struct maildir_found found;

		if (read_del(m, &log->index.index, pass->elsewhere[i], buf, &change) < 0)
			return -1;
		if (maildir_locator_search(m->locator, &m->place, change.name, change.inode,
					   &found) &&
		    remove_noted(m, found.directory, found.name, change.stored) < 0)
			return -1;
	}
	return 0;
}

/*
 * Mail that another program brought meanwhile must not pass for our own change until the next look
 * at everything: where a directory is small the next session looks there again.
 */
static void forget_small(struct maildir_own *own, const struct index_delta *delta, uint32_t moved)
{
	uint32_t in_new = delta->in_new > moved ? delta->in_new - moved : 0;

	maildir_own_forget(own, INDEX_NEW, in_new);
	maildir_own_forget(own, INDEX_CUR, delta->count - in_new);
}

/* One portion. false: there is no more to do, or it cannot be done. */
static bool unlink_portion(struct maildir *m, struct maildir_log *log, struct pass *pass)
{
	const struct index_delta *delta = &log->index.index.delta;
	struct index_batch batch = {0};
	struct maildir_own own;
	int left = PORTION, result = 0;

	maildir_own_begin(&own, log, OWN_BOTH);
	while (left-- && pass->done < delta->pending_count && result == 0 && !maildir_hurried(m)) {
		result = unlink_deleted(m, log, pass, delta->pending[pass->done]);
		pass->done += result == 0;
	}
	forget_small(&own, delta, 0);
	maildir_own_end(&own, &batch);
	if (maildir_log_append(log, &batch) < 0)
		result = -1;
	index_batch_finish(&batch);
	return result == 0 && pass->done < delta->pending_count && !maildir_hurried(m);
}

/* The files are gone for good: then, and only then, their DELs are. */
static void retire(struct maildir *m, struct maildir_log *log, size_t done)
{
	struct index_batch batch = {0};
	int fd_new = maildir_directory(&m->place, INDEX_NEW);
	int fd_cur = maildir_directory(&m->place, INDEX_CUR);

	if (fd_new < 0 || fd_cur < 0 || maildir_remove_flush(m) < 0 ||
	    m->place.sys->fsync(fd_cur) < 0 || m->place.sys->fsync(fd_new) < 0)
		return;
	index_batch_add(&batch, &(struct index_change){
					.kind = CHANGE_RETIRE,
					.position = log->index.index.delta.pending[done - 1] + 1,
				});
	(void)maildir_log_append(log, &batch);
	index_batch_finish(&batch);
}

/* DELs of a process that was killed before it flushed them may be in memory only. Files must not go
 * before they are on the disk: a power cut would leave a QUIT that was carried out by half. */
static int settle_deleted(const struct maildir *m, const struct maildir_log *log)
{
	if (m->place.sys->fdatasync(log->index.delta_fd) < 0)
		return -1;
	return log->index.index.delta.flushed ? 0 : m->place.sys->fsync(m->place.dir);
}

void maildir_sweep_deleted(struct maildir *m)
{
	struct pass pass = {0};
	struct maildir_log log;
	bool more = true;

	/* deliveries get the log between portions */
	while (more && maildir_log_begin(&m->place, true, &log) == 0) {
		const struct index *index = &log.index.index;
		bool ours = log.index.open && (!pass.id || pass.id == index->header.id);

		/* this session's own commit has flushed them all */
		if (ours && !pass.id && !m->committed && index->delta.pending_count)
			ours = settle_deleted(m, &log) == 0;
		pass.id = ours ? index->header.id : 0;
		more = ours && unlink_portion(m, &log, &pass);
		if (ours && !more && pass.done && unlink_elsewhere(m, &log, &pass) == 0)
			retire(m, &log, pass.done);
		maildir_log_end(&log);
	}
	free(pass.elsewhere);
}

/* new/name → cur/name:2, as other Maildir programs do when they have seen a message. */
static int move_one(struct maildir *m, const struct index_message *message,
		    char name[INDEX_NAME_MAX + 1])
{
	int from = maildir_directory(&m->place, INDEX_NEW);
	int to = maildir_directory(&m->place, INDEX_CUR);
	bool bare = !strchr(message->name, ':') && message->name_size + 3 <= INDEX_NAME_MAX;
	int result;

	if (from < 0 || to < 0)
		return -1;
	memcpy(name, message->name, message->name_size + 1u);
	if (bare)
		memcpy(name + message->name_size, ":2,", 4);
	result = m->place.sys->renameat2(from, message->name, to, name, RENAME_NOREPLACE);
	if (result < 0 && errno == EINVAL) { /* a filesystem without this */
		struct stat st;

		if (m->place.sys->fstatat(to, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			return -1;
		result = m->place.sys->renameat2(from, message->name, to, name, 0);
	}
	return result;
}

static uint32_t move_portion(struct maildir *m, struct maildir_log *log, uint32_t *next)
{
	struct index *index = &log->index.index;
	uint32_t end = index->header.count + index->delta.added, moved = 0;
	struct index_batch batch = {0};
	struct maildir_own own;

	maildir_own_begin(&own, log, OWN_BOTH);
	for (; *next < end && moved < PORTION && !maildir_hurried(m); (*next)++) {
		struct index_change change = {.kind = CHANGE_NAME, .ordinal = *next};
		char name[INDEX_NAME_MAX + 1];
		struct index_message message;

		if (index_delta_removed(&index->delta, *next) ||
		    index_read(index, *next, &message, NULL) < 0 ||
		    !(message.flags & INDEX_IN_NEW) || move_one(m, &message, name) < 0)
			continue;
		change.name = (pop3_span){name, strlen(name)};
		change.inode = message.inode;
		change.flags = (uint16_t)((message.flags & ~INDEX_IN_NEW) | INDEX_WAS_NEW);
		index_batch_add(&batch, &change);
		moved++;
	}
	forget_small(&own, &index->delta, moved);
	maildir_own_end(&own, &batch);
	if (maildir_log_append(log, &batch) < 0)
		moved = 0;
	index_batch_finish(&batch);
	return moved;
}

bool maildir_sweep_new(struct maildir *m)
{
	uint32_t moved = 0;
	struct maildir_log log;

	/* only a base that has some is worth being read */
	if (m->index.index.header.in_new == 0 && m->moved < m->index.index.header.count)
		m->moved = m->index.index.header.count;
	if (maildir_hurried(m) || maildir_log_begin(&m->place, true, &log) < 0)
		return false;
	if (log.index.open && log.index.index.header.id == m->index.index.header.id)
		moved = move_portion(m, &log, &m->moved);
	maildir_log_end(&log);
	return moved == PORTION;
}

/* The time that the Maildir page gives a writer, which may be a program on another machine. */
#define TMP_SECONDS (36 * 3600)

struct leftovers {
	struct maildir *m;
	int tmp;
	struct timespec now;
};

static int remove_leftover(void *context, pop3_span name, uint64_t inode)
{
	const struct leftovers *l = context;
	struct stat st;

	(void)inode;
	if (l->m->place.sys->fstatat(l->tmp, name.data, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISREG(st.st_mode) && l->now.tv_sec - st.st_ctim.tv_sec > TMP_SECONDS &&
	    l->now.tv_sec - st.st_mtim.tv_sec > TMP_SECONDS)
		(void)l->m->place.sys->unlinkat(l->tmp, name.data, 0);
	return 0;
}

void maildir_sweep_tmp(struct maildir *m)
{
	struct leftovers l = {.m = m};

	if (maildir_clock(&m->place, &l.now) < 0)
		return;
	l.tmp = m->place.sys->openat(m->place.dir, "tmp",
				     O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
	if (l.tmp < 0)
		return;
	(void)maildir_scan(&m->place, "tmp", remove_leftover, &l);
	close(l.tmp);
}
