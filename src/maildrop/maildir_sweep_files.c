/* See maildir_sweep.h: unlinking and moving. */
#include "maildrop/maildir_sweep.h"

#include "maildrop/maildir_scan.h"
#include "maildrop/maildir_update.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PORTION 1024    /* files touched while the log is held at a time */
#define MOVES_MAX 20000 /* messages moved to cur/ in one sweep */

struct deletion {
	char name[INDEX_NAME_MAX + 1];
	enum index_directory directory;
	pop3_span unique;
	uint64_t inode;
};

/* Unlinks exactly the file that was deleted. 0: it is not there any more. */
static int unlink_file(struct maildir *m, const struct deletion *d)
{
	int fd = maildir_directory(&m->place, d->directory);
	struct stat st;

	if (fd < 0)
		return -1;
	if (m->place.sys->fstatat(fd, d->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 1 : -1;
	if (st.st_ino != d->inode)
		return 1;
	return m->place.sys->unlinkat(fd, d->name, 0) < 0 && errno != ENOENT ? -1 : 0;
}

static int unlink_deleted(struct maildir *m, struct maildir_log *log, uint64_t position)
{
	struct index *index = &log->index.index;
	unsigned char buf[INDEX_CHANGE_MAX];
	struct index_change change;
	struct index_message message;
	struct deletion d = {0};
	int result = 1;

	if (index_delta_read(m->place.sys, index->delta_fd, position, buf, &change, NULL) < 0)
		return -1;
	d.unique = change.name;
	d.inode = change.inode;
	if (change.ordinal != INDEX_NO_ORDINAL &&
	    index_read(index, change.ordinal, &message, NULL) == 0) {
		memcpy(d.name, message.name, sizeof(d.name));
		d.directory = message.flags & INDEX_IN_NEW ? INDEX_NEW : INDEX_CUR;
		result = unlink_file(m, &d);
	}
	if (result != 1)
		return result;
	/* renamed by somebody, or gone */
	if (maildir_names_find(&m->names, &m->place, d.unique, d.inode, &d.directory, d.name) < 0)
		return errno == ENOENT ? 0 : -1;
	return unlink_file(m, &d) < 0 ? -1 : 0;
}

/*
 * Mail that another program brought into new/ meanwhile must not pass for our own change until the
 * next look at everything. Where new/ is small the next session looks there again, which costs
 * next to nothing; where we did not touch it, only if somebody else did.
 */
static void forget_new(struct maildir_own *own, uint32_t left)
{
	if (left <= PORTION)
		own->current[INDEX_NEW] = false;
}

/* One portion. Returns how many pending DELs are done with from `first` on, -1: go no further. */
static int unlink_portion(struct maildir *m, struct maildir_log *log, size_t first)
{
	const struct index_delta *delta = &log->index.index.delta;
	struct index_batch batch = {0};
	struct maildir_own own;
	int done = 0, result = 0;

	maildir_own_begin(&own, log);
	while (done < PORTION && first + (size_t)done < delta->pending_count && result == 0 &&
	       !maildir_hurried(m)) {
		result = unlink_deleted(m, log, delta->pending[first + (size_t)done]);
		done += result == 0;
	}
	forget_new(&own, delta->in_new);
	maildir_own_end(&own, &batch);
	if (maildir_log_append(log, &batch) < 0)
		result = -1;
	index_batch_finish(&batch);
	return result < 0 && done == 0 ? -1 : done;
}

/* The files are gone for good: then, and only then, their DELs are. */
static void retire(struct maildir *m, struct maildir_log *log, size_t done)
{
	struct index_batch batch = {0};
	int fd_new = maildir_directory(&m->place, INDEX_NEW);
	int fd_cur = maildir_directory(&m->place, INDEX_CUR);

	if (fd_new < 0 || fd_cur < 0 || m->place.sys->fsync(fd_cur) < 0 ||
	    m->place.sys->fsync(fd_new) < 0)
		return;
	index_batch_add(&batch, &(struct index_change){
					.kind = CHANGE_RETIRE,
					.position = log->index.index.delta.pending[done - 1] + 1,
				});
	(void)maildir_log_append(log, &batch);
	index_batch_finish(&batch);
}

void maildir_sweep_deleted(struct maildir *m)
{
	struct maildir_log log;
	size_t done = 0;
	bool more = true;

	/* deliveries get the log between portions */
	while (more) {
		int n;

		if (maildir_log_begin(&m->place, true, &log) < 0)
			return;
		more = log.index.open && done < log.index.index.delta.pending_count;
		n = more ? unlink_portion(m, &log, done) : 0;
		more = n > 0 && !maildir_hurried(m);
		done += n > 0 ? (size_t)n : 0;
		if (!more && done && log.index.open && done <= log.index.index.delta.pending_count)
			retire(m, &log, done);
		maildir_log_end(&log);
	}
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

	maildir_own_begin(&own, log);
	for (; *next < end && moved < PORTION; (*next)++) {
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
	forget_new(&own, index->delta.in_new > moved ? index->delta.in_new - moved : 0);
	maildir_own_end(&own, &batch);
	if (maildir_log_append(log, &batch) < 0)
		moved = 0;
	index_batch_finish(&batch);
	return moved;
}

void maildir_sweep_new(struct maildir *m)
{
	uint32_t all = 0, moved = 1, next = 0;
	struct maildir_log log;

	/* only a base that has some is worth being read */
	if (m->index.index.header.in_new == 0)
		next = m->index.index.header.count;
	while (moved && all < MOVES_MAX && !maildir_hurried(m) &&
	       maildir_log_begin(&m->place, true, &log) == 0) {
		moved = log.index.open && log.index.index.header.id == m->index.index.header.id
				? move_portion(m, &log, &next)
				: 0;
		all += moved;
		maildir_log_end(&log);
	}
}

/* What the Maildir page gives a writer, who may be another program on another machine. */
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
