/* See log.h. With the rights of the mail's owner, in a keeper's worker or `valija deliver`;
 * maildir_index_open and _close also on a keeper's loop. The files read may be hostile. */
#include "maildrop/maildir/update/log.h"

#include "base/descriptor.h"
#include "base/random.h"

#include <errno.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define DELTA_MIN (64 * 1024)       /* a shorter log is never replaced for its length */
#define DELTA_MAX (2 * 1024 * 1024) /* a longer one always: each login reads it */
#define FILE_FLAGS (O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

/*
 * The octets of a log to read: all there are. If nothing is waited for, exactly as much as there is
 * now, because a read of it may end early and would look like the end of the log; and nothing of a
 * long one, which takes its time.
 */
static uint64_t limit_of(const struct maildir_place *place, int delta_fd)
{
	struct stat st;

	if (place->sys != &maildrop_cached)
		return UINT64_MAX;
	return place->sys->fstat(delta_fd, &st) < 0 || st.st_size > DELTA_MIN
		       ? 0
		       : (uint64_t)st.st_size;
}

void maildir_index_close(struct maildir_index *x)
{
	if (x->open)
		index_close(&x->index);
	x->open = false;
	close_fd(&x->base_fd);
	close_fd(&x->delta_fd);
}

int maildir_index_open(const struct maildir_place *place, bool writing, struct maildir_index *ret,
		       struct err *err)
{
	struct maildir_index x = {.base_fd = -1, .delta_fd = -1};

	x.base_fd = place->sys->openat(place->dir, BASE_NAME, O_RDONLY | FILE_FLAGS, 0);
	if (x.base_fd >= 0)
		x.delta_fd = place->sys->openat(place->dir, DELTA_NAME,
						(writing ? O_RDWR : O_RDONLY) | FILE_FLAGS, 0);
	if (x.delta_fd < 0) {
		err_sys(err, EX_TEMPFAIL, errno, "maildrop %s: no index", place->home);
		close_fd(&x.base_fd);
		*ret = x;
		return -1;
	}
	x.open = index_open(&x.index, place->sys, x.base_fd, x.delta_fd,
			    limit_of(place, x.delta_fd), err) == 0;
	if (x.open && index_check_size(&x.index, err) == 0) {
		*ret = x;
		return 0;
	}
	err_prefix(err, "maildrop %s", place->home);
	maildir_index_close(&x);
	*ret = x;
	return -1;
}

static bool goes_on(const struct maildir_place *place, const struct maildir_index *x)
{
	struct index_delta delta;
	bool result;

	index_delta_init(&delta, NULL);
	result = index_delta_salvage(&delta, place->sys, x->delta_fd) > 0;
	index_delta_finish(&delta);
	return result;
}

/* Either file alone is enough: the other one may be missing, damaged or of any version. */
static bool is_newer(const struct maildir_place *place)
{
	const struct maildrop_syscalls *sys = place->sys;
	int base = sys->openat(place->dir, BASE_NAME, O_RDONLY | FILE_FLAGS, 0);
	int delta = sys->openat(place->dir, DELTA_NAME, O_RDONLY | FILE_FLAGS, 0);
	struct index_delta log;
	struct index index;
	bool newer = false;

	if (base >= 0) {
		int result = index_open_base(&index, sys, base, NULL);

		newer = result == INDEX_NEWER;
		if (result == 0)
			index_close(&index);
	}
	if (delta >= 0 && !newer) {
		index_delta_init(&log, NULL);
		newer = index_delta_scan(&log, sys, delta, INDEX_DELTA_HEADER, NULL) == INDEX_NEWER;
		index_delta_finish(&log);
	}
	close_fd(&base);
	close_fd(&delta);
	return newer;
}

int maildir_log_begin(struct maildir_place *place, bool wait, struct maildir_log *ret)
{
	*ret = (struct maildir_log){.place = place, .index = {.base_fd = -1, .delta_fd = -1}};
	if (maildir_lock(place, LOCK_LOG, wait) < 0)
		return -1;
	if (maildir_index_open(place, true, &ret->index, NULL) < 0 && is_newer(place)) {
		maildir_unlock(place, LOCK_LOG);
		errno = MAILDIR_NEWER;
		return -1;
	}
	/* a log that ends in the middle was cut by a crash; one that goes on behind a bad place is
	 * damaged, and more than its beginning must be known */
	if (ret->index.open && !ret->index.index.delta.whole && goes_on(place, &ret->index))
		maildir_index_close(&ret->index);
	return 0;
}

void maildir_log_end(struct maildir_log *log)
{
	maildir_index_close(&log->index);
	maildir_unlock(log->place, LOCK_LOG);
}

void maildir_carry_unknown(const struct maildir_place *place, const struct index_delta *delta,
			   int delta_fd, struct index_batch *carried)
{
	for (size_t i = 0; i < delta->unknown_count; i++) {
		unsigned char buf[INDEX_CHANGE_MAX];
		struct index_change change;

		if (index_delta_read(place->sys, delta_fd, delta->unknown[i], buf, &change, NULL) <
		    0) {
			carried->failed = true;
			return;
		}
		change.ordinal = INDEX_NO_ORDINAL;
		index_batch_add(carried, &change);
	}
}

int maildir_log_append(struct maildir_log *log, struct index_batch *batch)
{
	const struct maildrop_syscalls *sys = log->place->sys;
	struct index_delta *delta = &log->index.index.delta;
	uint64_t before = delta->size;
	int fd = log->index.delta_fd;
	int saved;

	if (batch->size == 0 && !batch->failed)
		return 0;
	/* octets of a killed writer behind the last whole group must not follow ours */
	if (!delta->whole && sys->ftruncate(fd, (off_t)before) < 0)
		return -1;
	delta->whole = false;
	if (index_batch_write(batch, sys, fd, delta->id, before) < 0)
		goto fail;
	errno = EIO;
	if (index_delta_take(delta, batch->data, batch->size) < 0)
		goto fail;
	delta->whole = true;
	return 0;
fail:
	saved = errno;
	delta->size = before;
	if (sys->ftruncate(fd, (off_t)before) == 0)
		delta->whole = true;
	errno = saved;
	return -1;
}

/* A new file. An old one of that name, left by a crash or another program, is removed. */
static int make_file(const struct maildir_place *place, const char *name)
{
	const int flags = O_RDWR | O_CREAT | O_EXCL | FILE_FLAGS;
	int fd = place->sys->openat(place->dir, name, flags, 0600);

	if (fd < 0 && errno == EEXIST && place->sys->unlinkat(place->dir, name, 0) == 0)
		fd = place->sys->openat(place->dir, name, flags, 0600);
	return fd;
}

static int write_base(struct maildir_place *place, int fd, uint64_t id,
		      const struct maildir_contents *contents)
{
	struct index_writer writer;
	int result = -1;

	if (index_writer_init(&writer, place->sys, fd, id, contents->count) < 0)
		return -1;
	if (contents->fill(contents->context, &writer) == 0)
		result = index_writer_finish(&writer, contents->stamps);
	index_writer_abort(&writer);
	return result;
}

static int write_delta(struct maildir_place *place, int fd, uint64_t id,
		       const struct maildir_contents *contents)
{
	unsigned char header[INDEX_DELTA_HEADER];
	bool carried = contents->carried && (contents->carried->size || contents->carried->failed);

	index_delta_header_encode(id, header);
	if (maildrop_pwrite(place->sys, fd, header, sizeof(header), 0) < 0)
		return -1;
	if (carried && index_batch_write(contents->carried, place->sys, fd, id, sizeof(header)) < 0)
		return -1;
	/* DELs are data: the old delta that has them too must not go before */
	return carried ? place->sys->fsync(fd) : 0;
}

/* The base first: a crash in between leaves the old delta with its DELs and a base that knows every
 * size. */
static int put_in_place(struct maildir_place *place)
{
	if (place->sys->renameat2(place->dir, BASE_NAME NEW_SUFFIX, place->dir, BASE_NAME, 0) < 0)
		return -1;
	return place->sys->renameat2(place->dir, DELTA_NAME NEW_SUFFIX, place->dir, DELTA_NAME, 0);
}

int maildir_log_flush(struct maildir_log *log)
{
	const struct maildrop_syscalls *sys = log->place->sys;
	struct index_batch batch = {0};
	int result = -1;

	if (sys->fsync(log->index.base_fd) < 0 || sys->fsync(log->index.delta_fd) < 0 ||
	    sys->fsync(log->place->dir) < 0)
		return -1;
	index_batch_add(&batch, &(struct index_change){.kind = CHANGE_FLUSHED});
	result = maildir_log_append(log, &batch);
	index_batch_finish(&batch);
	return result;
}

int maildir_log_replace(struct maildir_log *log, const struct maildir_contents *contents)
{
	struct maildir_place *place = log->place;
	int base = -1, delta = -1, saved;
	uint64_t id;

	if (random_octets(&id, sizeof(id)) < 0)
		return -1;
	base = make_file(place, BASE_NAME NEW_SUFFIX);
	delta = base < 0 ? -1 : make_file(place, DELTA_NAME NEW_SUFFIX);
	if (delta < 0 || write_base(place, base, id, contents) < 0 ||
	    write_delta(place, delta, id, contents) < 0 || put_in_place(place) < 0)
		goto fail;
	maildir_index_close(&log->index);
	log->index = (struct maildir_index){.base_fd = base, .delta_fd = delta};
	errno = EIO;
	if (index_open(&log->index.index, place->sys, base, delta, UINT64_MAX, NULL) < 0)
		return -1;
	log->index.open = true;
	return contents->durable ? maildir_log_flush(log) : 0;
fail:
	saved = errno;
	close_fd(&base);
	close_fd(&delta);
	(void)place->sys->unlinkat(place->dir, BASE_NAME NEW_SUFFIX, 0);
	(void)place->sys->unlinkat(place->dir, DELTA_NAME NEW_SUFFIX, 0);
	errno = saved;
	return -1;
}

static uint64_t base_size(const struct index_header *header)
{
	return (1 + index_record_blocks(header->count) + index_hash_blocks(header->count) +
		header->text_blocks) *
	       INDEX_BLOCK;
}

bool maildir_log_long(const struct maildir_log *log, uint64_t more)
{
	uint64_t size = log->index.index.delta.size + more;

	return size > DELTA_MIN &&
	       (size > DELTA_MAX || size > base_size(&log->index.index.header) / 8);
}

int maildir_log_memory(struct maildir_log *log, const struct maildir_contents *contents)
{
	const int seals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
	struct maildir_place *place = log->place;
	struct maildir_contents plain = *contents;
	int base = place->sys->memory_file("valija-base");
	int delta = base < 0 ? -1 : place->sys->memory_file("valija-delta");
	uint64_t id;

	plain.durable = false;
	if (delta < 0 || random_octets(&id, sizeof(id)) < 0 ||
	    write_base(place, base, id, &plain) < 0 || write_delta(place, delta, id, &plain) < 0 ||
	    fcntl(base, F_ADD_SEALS, seals) < 0 || fcntl(delta, F_ADD_SEALS, seals) < 0)
		goto fail;
	maildir_index_close(&log->index);
	log->index = (struct maildir_index){.base_fd = base, .delta_fd = delta, .memory = true};
	errno = EIO;
	if (index_open(&log->index.index, place->sys, base, delta, UINT64_MAX, NULL) < 0)
		return -1;
	log->index.open = true;
	return 0;
fail:
	close_fd(&base);
	close_fd(&delta);
	return -1;
}
