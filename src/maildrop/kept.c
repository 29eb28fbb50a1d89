/* See kept.h. */
#include "maildrop/kept.h"

#include "base/array.h"
#include "base/text.h"
#include "maildrop/index/format.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	TIME_SIZE = 8,   /* hex digits */
	STORED_MAX = 12, /* hex digits */
	SCAN_BUFFER = 64 * 1024,
	REMOVE_MAX = 4096, /* at a time: deliveries wait meanwhile */
	SAME_NAME_TRIES = 8,
};

#define FOLDER_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

/* ---- names ---- */

static int take_hex(pop3_span *rest, size_t least, size_t most, uint64_t *ret)
{
	size_t n = 0;

	*ret = 0;
	for (; n < rest->size && rest->data[n] != '.'; n++) {
		char c = rest->data[n];

		if (n == most || (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f')))
			return -1;
		*ret = *ret << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
	}
	if (n < least || n == rest->size)
		return -1;
	*rest = (pop3_span){rest->data + n + 1, rest->size - n - 1};
	return 0;
}

int kept_parse(const char *entry, struct kept *ret)
{
	pop3_span rest = span_of(entry);

	*ret = (struct kept){.entry = rest};
	if (rest.size > KEPT_ENTRY_MAX || take_hex(&rest, TIME_SIZE, TIME_SIZE, &ret->time) < 0 ||
	    take_hex(&rest, 1, STORED_MAX, &ret->stored) < 0 || !index_name_valid(rest))
		return -1;
	ret->name = rest;
	return 0;
}

/* -1: it does not fit. */
static int print_entry(char buf[KEPT_ENTRY_MAX + 1], const char *name, uint64_t stored,
		       uint64_t time)
{
	size_t whole = strlen(name), bare = strcspn(name, ":");
	int n = snprintf(buf, KEPT_ENTRY_MAX + 1, "%08llx.%llx.",
			 (unsigned long long)(time & UINT32_MAX), (unsigned long long)stored);

	if (stored >> 4 * STORED_MAX || !bare)
		return -1;
	if (whole > KEPT_ENTRY_MAX - (size_t)n)
		whole = bare; /* without its flags */
	if (whole > KEPT_ENTRY_MAX - (size_t)n)
		return -1;
	memcpy(buf + n, name, whole);
	buf[(size_t)n + whole] = '\0';
	return 0;
}

/* ---- the folder ---- */

/* Its maker may have died before its name was on the disk; but a process that put something there
 * had flushed that before. Only the beginning is read. */
static bool has_entries(const struct maildrop_syscalls *sys, int fd)
{
	_Alignas(8) char buf[4096];
	ssize_t n = sys->getdents64(fd, buf, sizeof(buf));

	for (ssize_t at = 0; at < n;) {
		const struct dirent64 *e = (const struct dirent64 *)(const void *)(buf + at);

		if (*e->d_name != '.')
			return true;
		at += e->d_reclen;
	}
	return false;
}

int kept_open(const struct maildrop_syscalls *sys, int dir, bool make)
{
	int fd = sys->openat(dir, KEPT_FOLDER, FOLDER_FLAGS, 0), saved;

	if (!make)
		return fd;
	if (fd < 0 && errno == ENOENT &&
	    (sys->mkdirat(dir, KEPT_FOLDER, 0700) == 0 || errno == EEXIST))
		fd = sys->openat(dir, KEPT_FOLDER, FOLDER_FLAGS, 0);
	if (fd < 0 || has_entries(sys, fd) || sys->fsync(dir) == 0)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

int kept_move(const struct maildrop_syscalls *sys, int kept, int from, const char *name,
	      uint64_t stored, uint64_t time)
{
	char entry[KEPT_ENTRY_MAX + 1];

	/* the same name may have been kept in this second */
	for (int try = 0; try < SAME_NAME_TRIES; try++) {
		if (print_entry(entry, name, stored, time + (uint64_t)try) < 0) {
			errno = ENAMETOOLONG;
			return -1;
		}
		if (sys->renameat2(from, name, kept, entry, RENAME_NOREPLACE) == 0)
			return 0;
		if (errno == EINVAL || errno == ENOSYS) { /* a filesystem without this */
			struct stat st;

			if (sys->fstatat(kept, entry, &st, AT_SYMLINK_NOFOLLOW) == 0)
				continue;
			return sys->renameat2(from, name, kept, entry, 0);
		}
		if (errno != EEXIST)
			return -1;
	}
	return -1;
}

static int take_entries(char *buf, size_t size, int (*each)(void *context, const struct kept *kept),
			void *context)
{
	int result = 0;

	for (size_t at = 0; at < size && result >= 0;) {
		const struct dirent64 *e = (const struct dirent64 *)(const void *)(buf + at);
		struct kept kept;

		at += e->d_reclen;
		if ((e->d_type != DT_REG && e->d_type != DT_UNKNOWN) ||
		    kept_parse(e->d_name, &kept) < 0)
			continue;
		kept.inode = e->d_ino;
		result = each(context, &kept);
	}
	return result < 0 ? result : 0;
}

int kept_each(const struct maildrop_syscalls *sys, int dir,
	      int (*each)(void *context, const struct kept *kept), void *context)
{
	int fd = kept_open(sys, dir, false), result = -1, saved;
	char *buf;

	if (fd < 0)
		return errno == ENOENT ? 0 : -1;
	buf = malloc(SCAN_BUFFER);
	while (buf) {
		ssize_t n = sys->getdents64(fd, buf, SCAN_BUFFER);

		if (n < 0 && errno == EINTR)
			continue;
		result = n < 0 ? -1 : take_entries(buf, (size_t)n, each, context);
		if (n <= 0 || result < 0)
			break;
	}
	saved = errno;
	free(buf);
	close(fd);
	errno = saved;
	return result;
}

/* ---- what goes ---- */

struct old {
	uint64_t time, stored;
	char *entry;
};

struct trimming {
	const struct maildrop_syscalls *sys;
	int fd;
	uint64_t before;
	uint64_t octets; /* of what stays */
	unsigned removed;
	struct old *all; /* NULL: they are not collected */
	size_t count, room;
	bool collects;
};

static int remove_one(struct trimming *t, const char *entry)
{
	if (t->sys->unlinkat(t->fd, entry, 0) < 0 && errno != ENOENT)
		return -1;
	t->removed++;
	return 0;
}

static int collect(struct trimming *t, const struct kept *kept)
{
	struct old *grown = array_grow(t->all, t->count, &t->room, sizeof(*grown));

	if (!grown)
		return -1;
	t->all = grown;
	grown[t->count] = (struct old){kept->time, kept->stored, strdup(kept->entry.data)};
	if (!grown[t->count].entry)
		return -1;
	t->count++;
	return 0;
}

static int look_at(void *context, const struct kept *kept)
{
	struct trimming *t = context;

	if (kept->time < t->before && t->removed < REMOVE_MAX)
		return remove_one(t, kept->entry.data);
	t->octets += kept->stored;
	return t->collects ? collect(t, kept) : 0;
}

static int compare_old(const void *a, const void *b)
{
	const struct old *one = a, *other = b;

	if (one->time != other->time)
		return one->time < other->time ? -1 : 1;
	return strcmp(one->entry, other->entry);
}

/* The oldest first. */
static int remove_oldest(struct trimming *t, uint64_t octets)
{
	int result = 0;

	if (t->count)
		qsort(t->all, t->count, sizeof(*t->all), compare_old);
	for (size_t i = 0; i < t->count && t->octets > octets && result == 0; i++) {
		if (t->removed >= REMOVE_MAX)
			break;
		result = remove_one(t, t->all[i].entry);
		t->octets -= t->all[i].stored;
	}
	return result;
}

int kept_trim(const struct maildrop_syscalls *sys, int dir, uint64_t before, uint64_t octets)
{
	struct trimming t = {.sys = sys, .fd = kept_open(sys, dir, false), .before = before};
	int result, saved;

	if (t.fd < 0)
		return errno == ENOENT ? 0 : -1;
	result = kept_each(sys, dir, look_at, &t);
	if (result == 0 && t.octets > octets) {
		t.octets = 0;
		t.collects = true;
		result = kept_each(sys, dir, look_at, &t);
		if (result == 0)
			result = remove_oldest(&t, octets);
	}
	saved = errno;
	for (size_t i = 0; i < t.count; i++)
		free(t.all[i].entry);
	free(t.all);
	close(t.fd);
	errno = saved;
	return result;
}

int kept_purge(const struct maildrop_syscalls *sys, int dir)
{
	struct trimming t = {.sys = sys, .fd = kept_open(sys, dir, false), .before = UINT64_MAX};
	int result, saved;

	if (t.fd < 0)
		return errno == ENOENT ? 0 : -1;
	do {
		t.removed = 0;
		result = kept_each(sys, dir, look_at, &t);
	} while (result == 0 && t.removed);
	saved = errno;
	close(t.fd);
	errno = saved;
	return result < 0 ? -1 : sys->unlinkat(dir, KEPT_FOLDER, AT_REMOVEDIR);
}
