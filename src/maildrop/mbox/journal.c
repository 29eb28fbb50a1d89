/* See journal.h. In a keeper's worker or a command of a person, with the rights of the mail's
 * owner. Nothing here is undone after an error: what is on the disk is enough to go on. */
#include "maildrop/mbox/journal.h"

#include "base/crc32c.h"
#include "base/digest.h"
#include "base/little_endian.h"
#include "maildrop/mbox/from.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define MAGIC "VALIJA-J"
#define VERSION 1u
#define HEADER 128u
#define HEADER_CRC 116u /* place of the header's own CRC */
#define BEFORE 4096u    /* octets before the rewritten part that are compared */
#define BUFFER ((size_t)256 * 1024)

struct journal {
	uint64_t inode;
	uint64_t size;        /* of the mailbox, before */
	uint64_t from, moved; /* the octets go there; so many, behind the header */
	unsigned char before[32];
	struct timespec times[2];
	uint32_t crc; /* of the octets */
};

static void encode(const struct journal *j, unsigned char out[HEADER])
{
	memset(out, 0, HEADER);
	memcpy(out, MAGIC, 8);
	le_put(out + 8, VERSION, 4);
	le_put(out + 16, j->inode, 8);
	le_put(out + 24, j->size, 8);
	le_put(out + 32, j->from, 8);
	le_put(out + 40, j->moved, 8);
	memcpy(out + 48, j->before, sizeof(j->before));
	for (int i = 0; i < 2; i++) {
		le_put(out + 80 + 16 * i, (uint64_t)j->times[i].tv_sec, 8);
		le_put(out + 88 + 16 * i, (uint64_t)j->times[i].tv_nsec, 4);
	}
	le_put(out + 112, j->crc, 4);
	le_put(out + HEADER_CRC, crc32c(0, out, HEADER_CRC), 4);
}

/* -1: none, or not completed; INDEX_NEWER. */
static int decode(const unsigned char in[HEADER], struct journal *ret)
{
	struct journal j;

	if (memcmp(in, MAGIC, 8) != 0)
		return -1;
	if (le_get(in + 8, 4) != VERSION && le_get(in + 8, 4) > 0 && le_get(in + 8, 4) < 256)
		return INDEX_NEWER;
	if (le_get(in + HEADER_CRC, 4) != crc32c(0, in, HEADER_CRC))
		return -1;
	j.inode = le_get(in + 16, 8);
	j.size = le_get(in + 24, 8);
	j.from = le_get(in + 32, 8);
	j.moved = le_get(in + 40, 8);
	memcpy(j.before, in + 48, sizeof(j.before));
	for (int i = 0; i < 2; i++) {
		j.times[i].tv_sec = (time_t)le_get(in + 80 + 16 * i, 8);
		j.times[i].tv_nsec = (long)le_get(in + 88 + 16 * i, 4);
		if (j.times[i].tv_nsec > 999999999)
			return -1;
	}
	j.crc = (uint32_t)le_get(in + 112, 4);
	if (j.size > INT64_MAX || j.from > j.size || j.moved > j.size - j.from)
		return -1;
	*ret = j;
	return 0;
}

/* The octets before the part that is rewritten: they are not touched, so they tell the mailbox. */
static int digest_before(const struct mbox_place *place, uint64_t from, unsigned char ret[32])
{
	size_t size = from < BEFORE ? (size_t)from : BEFORE;
	char buf[BEFORE];
	ssize_t n = maildrop_pread(place->sys, place->lock.fd, buf, size, (off_t)(from - size));

	if (n >= 0 && (size_t)n < size)
		errno = ESTALE;
	if (n < 0 || (size_t)n < size)
		return -1;
	digest_of(DIGEST_SHA_256, buf, size, ret);
	return 0;
}

/* ---- writing ---- */

struct copy {
	const struct mbox_place *place;
	int to;
	uint64_t at; /* octets written behind the header */
	size_t used;
	uint32_t crc;
	char buf[BUFFER];
};

static int flush(struct copy *c)
{
	if (c->used &&
	    maildrop_pwrite(c->place->sys, c->to, c->buf, c->used, (off_t)(HEADER + c->at)) < 0)
		return -1;
	c->crc = crc32c(c->crc, c->buf, c->used);
	c->at += c->used;
	c->used = 0;
	return 0;
}

static int copy_range(struct copy *c, uint64_t start, uint64_t end)
{
	while (start < end) {
		size_t n = BUFFER - c->used;
		ssize_t got;

		if (n > end - start)
			n = (size_t)(end - start);
		got = maildrop_pread(c->place->sys, c->place->lock.fd, c->buf + c->used, n,
				     (off_t)start);
		if (got == 0)
			errno = ESTALE;
		if (got <= 0)
			return -1;
		c->used += (size_t)got;
		start += (uint64_t)got;
		if (c->used == BUFFER && flush(c) < 0)
			return -1;
	}
	return 0;
}

/* The messages that stay, from the first deleted one on. */
static int copy_kept(struct copy *c, const struct mbox_table *t, size_t first, uint64_t size)
{
	for (size_t i = first; i < t->count;) {
		size_t end = i;

		if (t->entries[i].deleted) {
			i++;
			continue;
		}
		while (end < t->count && !t->entries[end].deleted)
			end++;
		if (copy_range(c, t->entries[i].start,
			       end < t->count ? t->entries[end].start : size) < 0)
			return -1;
		i = end;
	}
	return flush(c);
}

static int open_journal(const struct mbox_place *place, int flags)
{
	return place->sys->openat(place->state, place->names[MBOX_JOURNAL],
				  flags | O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
}

static int write_journal(const struct mbox_place *place, int fd, const struct mbox_table *table,
			 size_t first, struct journal *j)
{
	struct copy *copy = malloc(sizeof(*copy));
	unsigned char header[HEADER];
	int result = -1;

	if (!copy)
		return -1;
	copy->place = place;
	copy->to = fd;
	copy->at = copy->used = 0;
	copy->crc = 0;
	if (digest_before(place, j->from, j->before) == 0 &&
	    copy_kept(copy, table, first, j->size) == 0) {
		j->moved = copy->at;
		j->crc = copy->crc;
		encode(j, header);
		result = maildrop_pwrite(place->sys, fd, header, sizeof(header), 0);
	}
	free(copy);
	if (result == 0 && place->sys->fsync(fd) == 0)
		return place->sys->fsync(place->state);
	return -1;
}

int mbox_journal_remove(const struct mbox_place *place)
{
	if (place->sys->unlinkat(place->state, place->names[MBOX_JOURNAL], 0) < 0)
		return errno == ENOENT ? 0 : -1;
	return place->sys->fsync(place->state);
}

bool mbox_journal_there(const struct mbox_place *place)
{
	struct stat st;

	/* one that cannot be looked for may be there */
	return place->sys->fstatat(place->state, place->names[MBOX_JOURNAL], &st,
				   AT_SYMLINK_NOFOLLOW) == 0 ||
	       errno != ENOENT;
}

/* ---- carrying out ---- */

static int move_octets(const struct mbox_place *place, int fd, const struct journal *j)
{
	char *buf = malloc(BUFFER);
	uint64_t done = 0;

	while (buf && done < j->moved) {
		size_t n = j->moved - done < BUFFER ? (size_t)(j->moved - done) : BUFFER;
		ssize_t got = maildrop_pread(place->sys, fd, buf, n, (off_t)(HEADER + done));

		if (got == 0)
			errno = ESTALE;
		if (got <= 0 || maildrop_pwrite(place->sys, place->lock.fd, buf, (size_t)got,
						(off_t)(j->from + done)) < 0)
			break;
		done += (uint64_t)got;
	}
	free(buf);
	return buf && done == j->moved ? 0 : -1;
}

/* Can be done again from any point of it. "New mail" is known by the times of the file, so they
 * stay. */
static int carry_out(const struct mbox_place *place, int fd, const struct journal *j)
{
	const struct maildrop_syscalls *sys = place->sys;

	if (move_octets(place, fd, j) < 0 ||
	    sys->ftruncate(place->lock.fd, (off_t)(j->from + j->moved)) < 0)
		return -1;
	(void)sys->futimens(place->lock.fd, j->times);
	return sys->fsync(place->lock.fd);
}

/* All behind the first deleted message is deleted, too: nothing has to be moved. */
static int truncate_only(const struct mbox_place *place, const struct journal *j)
{
	if (place->sys->ftruncate(place->lock.fd, (off_t)j->from) < 0)
		return -1;
	(void)place->sys->futimens(place->lock.fd, j->times);
	return place->sys->fsync(place->lock.fd);
}

static bool kept_behind(const struct mbox_table *table, size_t first)
{
	for (size_t i = first; i < table->count; i++)
		if (!table->entries[i].deleted)
			return true;
	return false;
}

static enum maildrop_status half_done(struct mbox_place *place, int errnum, struct err *err)
{
	place->lock.dotlocked = false; /* it stays: nobody may write before the journal is done */
	return mbox_failed(place, errnum, NULL,
			   "was rewritten in part only, and is put in order by the next session",
			   err);
}

enum maildrop_status mbox_journal_cut(struct mbox_place *place, const struct mbox_table *table,
				      const struct stat *st, bool *ret_cut, struct err *err)
{
	struct journal j = {.inode = st->st_ino,
			    .size = (uint64_t)st->st_size,
			    .times = {st->st_atim, st->st_mtim}};
	enum maildrop_status status = MAILDROP_OK;
	size_t first = 0;
	int fd;

	*ret_cut = false;
	while (first < table->count && !table->entries[first].deleted)
		first++;
	if (first == table->count)
		return MAILDROP_OK;
	j.from = table->entries[first].start;
	if (!kept_behind(table, first)) {
		*ret_cut = truncate_only(place, &j) == 0;
		return *ret_cut ? MAILDROP_OK
				: mbox_failed(place, errno, NULL, "cannot be cut", err);
	}
	fd = open_journal(place, O_CREAT | O_TRUNC);
	if (fd < 0 || write_journal(place, fd, table, first, &j) < 0 ||
	    mbox_lock_mark(&place->lock) < 0) {
		status = mbox_failed(place, errno, place->names[MBOX_JOURNAL], "cannot be written",
				     err);
		(void)mbox_journal_remove(place);
	} else if (carry_out(place, fd, &j) < 0) {
		status = half_done(place, errno, err);
	} else {
		*ret_cut = true;
	}
	if (fd >= 0)
		close(fd);
	return status;
}

/* ---- after a crash ---- */

/* 0: completed; -1 with errno 0: not completed, or an errno; INDEX_NEWER. */
static int read_journal(const struct mbox_place *place, int fd, struct journal *ret)
{
	unsigned char header[HEADER];
	char *buf = malloc(BUFFER);
	uint64_t done = 0;
	uint32_t crc = 0;
	ssize_t n = -1;
	int result;

	errno = ENOMEM;
	if (buf)
		n = maildrop_pread(place->sys, fd, header, HEADER, 0);
	result = n == HEADER ? decode(header, ret) : -1;
	while (result == 0 && done < ret->moved &&
	       (n = maildrop_pread(place->sys, fd, buf,
				   ret->moved - done < BUFFER ? (size_t)(ret->moved - done)
							      : BUFFER,
				   (off_t)(HEADER + done))) > 0) {
		crc = crc32c(crc, buf, (size_t)n);
		done += (uint64_t)n;
	}
	free(buf);
	if (n >= 0)
		errno = 0;
	return result == 0 && (n < 0 || done != ret->moved || crc != ret->crc) ? -1 : result;
}

/* Is the mailbox what it was before the rewrite, or what the rewrite made of it so far? 1, 0; -1
 * with errno: it cannot be read, so nobody knows. */
static int is_of(const struct mbox_place *place, const struct journal *j)
{
	unsigned char before[32];
	char line[MBOX_LOOK];
	struct stat st;
	ssize_t n;

	if (place->sys->fstat(place->lock.fd, &st) < 0)
		return -1;
	if (st.st_ino != j->inode ||
	    ((uint64_t)st.st_size != j->size && (uint64_t)st.st_size != j->from + j->moved))
		return 0;
	if (digest_before(place, j->from, before) < 0)
		return errno == ESTALE ? 0 : -1;
	if (memcmp(before, j->before, sizeof(before)) != 0)
		return 0;
	/* a message begins there, the deleted one or the one in its place */
	n = maildrop_pread(place->sys, place->lock.fd, line, sizeof(line), (off_t)j->from);
	if (n < 0)
		return -1;
	return mbox_from_line((pop3_span){line, (size_t)n}) > 0;
}

static enum maildrop_status put_aside(const struct mbox_place *place, struct err *err)
{
	char name[MBOX_NAME_SIZE + 24];
	struct err note = {0};

	snprintf(name, sizeof(name), "%s-%lld", place->names[MBOX_DOUBT], (long long)time(NULL));
	if (place->sys->renameat2(place->state, place->names[MBOX_JOURNAL], place->state, name, 0) <
		    0 ||
	    place->sys->fsync(place->state) < 0)
		return mbox_failed(place, errno, place->names[MBOX_JOURNAL], "cannot be put aside",
				   err);
	err_set(&note, EX_DATAERR,
		"mailbox %s: another program changed it after valija was cut off while it removed "
		"deleted messages, so it was left as it is; mail that may be missing or damaged in "
		"it is in the file %s of its state folder (mail begins at octet %u)",
		place->home, name, HEADER);
	mbox_note(place, &note);
	return MAILDROP_OK;
}

static enum maildrop_status recover(struct mbox_place *place, int fd, bool *ret_cut,
				    struct err *err)
{
	struct journal j;
	int result = read_journal(place, fd, &j), of;

	if (result == INDEX_NEWER)
		return mbox_failed(place, EPROTONOSUPPORT, place->names[MBOX_JOURNAL],
				   "is not understood", err);
	if (result < 0 && errno)
		return mbox_failed(place, errno, place->names[MBOX_JOURNAL], "cannot be read", err);
	if (result < 0) {
		if (mbox_journal_remove(place) < 0)
			return mbox_failed(place, errno, place->names[MBOX_JOURNAL],
					   "cannot be removed", err);
		return MAILDROP_OK;
	}
	of = is_of(place, &j);
	if (of < 0)
		return mbox_failed(place, errno, NULL, "cannot be read", err);
	if (of == 0)
		return put_aside(place, err);
	if (place->lock.reading || place->lock.incomplete) {
		err_set(err, EX_TEMPFAIL,
			"mailbox %s: it was rewritten in part only, and cannot be put in order "
			"because it cannot be written to or %s.lock cannot be made",
			place->home, place->lock.name);
		return MAILDROP_TEMP;
	}
	/* who wrote it may not have come as far as to flush it */
	if (place->sys->fsync(fd) < 0 || place->sys->fsync(place->state) < 0)
		return mbox_failed(place, errno, place->names[MBOX_JOURNAL], "cannot be flushed",
				   err);
	if (mbox_lock_mark(&place->lock) < 0 || carry_out(place, fd, &j) < 0)
		return half_done(place, errno, err);
	*ret_cut = true;
	return MAILDROP_OK;
}

enum maildrop_status mbox_journal_recover(struct mbox_place *place, bool *ret_cut, struct err *err)
{
	enum maildrop_status status;
	int fd = open_journal(place, 0);

	*ret_cut = false;
	if (fd < 0 && errno == ENOENT)
		return MAILDROP_OK;
	if (fd < 0)
		return mbox_failed(place, errno, place->names[MBOX_JOURNAL], "cannot be opened",
				   err);
	status = recover(place, fd, ret_cut, err);
	close(fd);
	return status;
}
