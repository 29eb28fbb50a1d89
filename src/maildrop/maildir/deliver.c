/*
 * See maildrop.h: delivery. A named file in tmp/, flushed, renamed into new/, new/ flushed: that
 * needs neither /proc nor a capability nor O_TMPFILE, so it is the same on every filesystem.
 * Deliveries share nothing but the log, for the moment of the rename. In a keeper's worker or
 * `valija deliver`, with the rights of the mail's owner.
 */
#include "maildrop/maildir/deliver.h"

#include "maildrop/kept.h"
#include "maildrop/maildir/adopt/enter.h"
#include "maildrop/maildir/files/name.h"
#include "maildrop/maildir/update/compact.h"
#include "maildrop/maildir/update/update.h"

#include <pop3/message.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define CHUNK (64 * 1024)

struct delivering {
	struct maildir_place place;
	const struct maildrop_delivery *delivery;
	int tmp, fd;
	char name[MAILDIR_FRESH_NAME_MAX + 64]; /* of the file in tmp/, then in new/ */
	struct pop3_counter counter;            /* of the stored form */
	uint64_t written;
	bool held_cr, after_cr; /* a CR not written yet; the last octet written is one */
	char *in, *out;
};

static enum maildrop_status failed(struct delivering *d, const char *doing, struct err *err)
{
	return maildir_failed(&d->place, errno, NULL, doing, err);
}

static int put(struct delivering *d, const char *data, size_t size)
{
	pop3_counter_feed(&d->counter, (pop3_span){data, size});
	if (maildrop_pwrite(d->place.sys, d->fd, data, size, (off_t)d->written) < 0)
		return -1;
	d->written += size;
	return 0;
}

/*
 * CRLF becomes LF, but a CRLF behind a CR stays: CR LF in the store would be read as one line break
 * and a CR of the message would be lost. Everything else is as it came, so both forms are served
 * exactly.
 */
static int put_lf(struct delivering *d, pop3_span in)
{
	size_t used = 0;

	for (size_t i = 0; i < in.size; i++) {
		char c = in.data[i];

		if (d->held_cr && (c != '\n' || d->after_cr)) {
			d->out[used++] = '\r';
			d->after_cr = true;
		}
		d->held_cr = c == '\r';
		if (d->held_cr)
			continue;
		d->out[used++] = c;
		d->after_cr = false;
	}
	return put(d, d->out, used);
}

static int put_message(struct delivering *d, pop3_span in)
{
	return d->place.settings->store_crlf ? put(d, in.data, in.size) : put_lf(d, in);
}

static int copy_message(struct delivering *d)
{
	uint64_t at = 0, size = d->delivery->message_size;

	for (size_t done = 0; done < d->delivery->headers.size;) {
		size_t n = d->delivery->headers.size - done;

		n = n > CHUNK ? CHUNK : n;
		if (put_message(d, (pop3_span){d->delivery->headers.data + done, n}) < 0)
			return -1;
		done += n;
	}
	while (at < size) {
		size_t want = size - at > CHUNK ? CHUNK : (size_t)(size - at);
		ssize_t n = d->place.sys->pread(d->delivery->message_fd, d->in, want, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			errno = EIO; /* shorter than was announced */
		if (n <= 0 || put_message(d, (pop3_span){d->in, (size_t)n}) < 0)
			return -1;
		at += (uint64_t)n;
	}
	return d->held_cr ? put(d, "\r", 1) : 0;
}

/* tmp/ holds nothing that was acknowledged: one that is missing is made again. It needs no flush,
 * for it is not missed after a power cut either. */
static int open_tmp(const struct maildir_place *place)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int fd = place->sys->openat(place->dir, "tmp", flags, 0);

	if (fd < 0 && errno == ENOENT &&
	    (place->sys->mkdirat(place->dir, "tmp", 0700) == 0 || errno == EEXIST))
		fd = place->sys->openat(place->dir, "tmp", flags, 0);
	return fd;
}

/* The whole message, flushed, in tmp/. */
static enum maildrop_status write_file(struct delivering *d, struct err *err)
{
	struct timespec now;
	int n;

	clock_gettime(CLOCK_REALTIME, &now);
	n = maildir_fresh_name((uint64_t)now.tv_sec, (uint32_t)(now.tv_nsec / 1000),
			       d->place.settings->host_name, d->name);
	if (n < 0)
		return failed(d, "cannot be delivered to", err);
	d->tmp = open_tmp(&d->place);
	if (d->tmp < 0)
		return maildir_failed(&d->place, errno, "tmp", "cannot be opened", err);
	d->fd = d->place.sys->openat(d->tmp, d->name,
				     O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (d->fd < 0)
		return maildir_failed(&d->place, errno, "tmp", "cannot be written to", err);
	pop3_counter_init(&d->counter);
	if (copy_message(d) < 0 || d->place.sys->fsync(d->fd) < 0)
		return maildir_failed(&d->place, errno, "tmp", "cannot be written to", err);
	pop3_counter_finish(&d->counter);
	return MAILDROP_OK;
}

/* Kept messages count, but they refuse no mail: the oldest make room. The log is held. */
static void make_room(const struct delivering *d, uint64_t used)
{
	const struct maildrop_retention *retention = &d->place.settings->retention;
	uint64_t most = d->delivery->quota.max_octets;

	if (!retention->keep_seconds || !most ||
	    (retention->keep_octets && retention->keep_octets <= most - used))
		return;
	(void)kept_trim(d->place.sys, d->place.dir, 0, most - used);
}

static enum maildrop_status check_quota(const struct delivering *d, const struct index_delta *now,
					struct err *err)
{
	const struct maildrop_quota *quota = &d->delivery->quota;
	uint64_t size =
		d->written ? d->written : d->delivery->headers.size + d->delivery->message_size;

	if ((!quota->max_messages || now->count < quota->max_messages) &&
	    (!quota->max_octets ||
	     (now->stored <= quota->max_octets && size <= quota->max_octets - now->stored))) {
		make_room(d, now->stored + size);
		return MAILDROP_OK;
	}
	err_set(err, EX_TEMPFAIL, "maildrop %s: over quota", d->place.home);
	return MAILDROP_OVER_QUOTA;
}

static bool has_quota(const struct delivering *d)
{
	return d->delivery->quota.max_messages || d->delivery->quota.max_octets;
}

/* Mail must not go into a folder that stands in the place of the one that is known. */
static bool is_replaced(const struct delivering *d, const struct index_delta *delta)
{
	struct index_stamp now;

	return delta->stamps[INDEX_NEW].inode && maildir_stamp(&d->place, INDEX_NEW, &now) == 0 &&
	       now.inode != delta->stamps[INDEX_NEW].inode;
}

static bool is_guarded(enum maildrop_status status)
{
	return status == MAILDROP_GUARDED || status == MAILDROP_UNPROVEN;
}

/* The log held, and its index good enough for what is asked of it. */
static enum maildrop_status hold_log(struct delivering *d, struct maildir_log *log, bool *held,
				     struct err *err)
{
	enum maildrop_status status = MAILDROP_OK;

	*held = maildir_log_begin(&d->place, true, log) == 0;
	if (!*held && !has_quota(d) && errno != MAILDIR_NEWER)
		return MAILDROP_OK; /* the next login finds the message without our help */
	if (!*held)
		return maildir_failed(&d->place, errno, LOCK_NAME, "cannot be locked", err);
	/* mail of other programs counts too */
	if (!log->index.open || has_quota(d) || is_replaced(d, &log->index.index.delta))
		status = maildir_update(log, TARGET_LOG, false, err);
	if (!has_quota(d))
		return is_guarded(status) ? status : MAILDROP_OK;
	return status < 0 ? status : check_quota(d, &log->index.index.delta, err);
}

static int publish(struct delivering *d)
{
	const struct maildrop_syscalls *sys = d->place.sys;
	int to = maildir_directory(&d->place, INDEX_NEW);
	char name[sizeof(d->name)];
	int result;

	snprintf(name, sizeof(name), "%.*s,S=%llu,W=%llu", MAILDIR_FRESH_NAME_MAX, d->name,
		 (unsigned long long)d->counter.stored, (unsigned long long)d->counter.octets);
	if (to < 0)
		return -1;
	result = sys->renameat2(d->tmp, d->name, to, name, RENAME_NOREPLACE);
	/* a filesystem without that: the name is random, so no other file has it */
	if (result < 0 && (errno == EINVAL || errno == ENOSYS))
		result = sys->renameat2(d->tmp, d->name, to, name, 0);
	if (result == 0)
		memcpy(d->name, name, sizeof(name));
	return result;
}

static int add(struct delivering *d, struct index_batch *batch, const struct index *index)
{
	struct maildir_name parsed;
	struct stat st;
	pop3_span name = {d->name, strlen(d->name)};
	bool plain = d->counter.wire_form && !d->counter.dots;

	if (d->place.sys->fstat(d->fd, &st) < 0)
		return -1;
	maildir_name_parse(name, &parsed);
	index_batch_add(batch,
			&(struct index_change){
				.kind = CHANGE_ADD,
				.ordinal = index->header.count + index->delta.added,
				.flags = (uint16_t)(INDEX_IN_NEW | (plain ? INDEX_WIRE_FORM : 0)),
				.octets = d->counter.octets,
				.stored = d->counter.stored,
				.inode = st.st_ino,
				.id = {name.data, parsed.unique_size},
				.name = name});
	return 0;
}

/* Renames the file into new/ and appends an ADD record. The record only saves the next login a
 * scan; failing to write it does not fail the delivery. */
static enum maildrop_status publish_logged(struct delivering *d, struct maildir_log *log, bool held,
					   struct err *err)
{
	struct index_batch batch = {0};
	struct maildir_own own;
	bool open = held && log->index.open;

	if (open)
		maildir_own_begin(&own, log, OWN_NEW);
	if (publish(d) < 0)
		return maildir_failed(&d->place, errno, "new", "cannot be written to", err);
	if (open && !maildir_own_quick(&own))
		maildir_own_forget(&own, INDEX_NEW, log->index.index.delta.in_new);
	/* the directory's new time only together with what made it new */
	if (open && add(d, &batch, &log->index.index) == 0) {
		maildir_own_end(&own, &batch);
		(void)maildir_log_append(log, &batch);
		index_batch_finish(&batch);
	}
	/* a log that no login has shortened */
	if (open && maildir_log_long(log, 0) && maildir_lock(&d->place, LOCK_SESSION, false) == 0) {
		maildir_compact_if_long(log);
		maildir_unlock(&d->place, LOCK_SESSION);
	}
	return MAILDROP_OK;
}

static enum maildrop_status store(struct delivering *d, struct err *err)
{
	enum maildrop_status status;
	struct maildir_log log;
	bool held = false;
	int saved;

	status = hold_log(d, &log, &held, err);
	if (status == MAILDROP_OK)
		status = publish_logged(d, &log, held, err);
	if (held)
		maildir_log_end(&log);
	if (status < 0) {
		(void)d->place.sys->unlinkat(d->tmp, d->name, 0);
		return status;
	}
	if (d->place.sys->fsync(maildir_directory(&d->place, INDEX_NEW)) == 0)
		return MAILDROP_OK;
	/* it may be lost, so it was not delivered: it must not be there twice when it comes again
	 */
	saved = errno;
	(void)d->place.sys->unlinkat(maildir_directory(&d->place, INDEX_NEW), d->name, 0);
	return maildir_failed(&d->place, saved, "new", "cannot be flushed", err);
}

/* Before anything is written: a message that is refused anyway costs nothing. */
static enum maildrop_status precheck(struct delivering *d, struct err *err)
{
	enum maildrop_status status;
	struct maildir_log log;
	bool held;

	if (!has_quota(d))
		return MAILDROP_OK;
	status = hold_log(d, &log, &held, err);
	if (held)
		maildir_log_end(&log);
	return status;
}

enum maildrop_status maildir_deliver(const struct maildrop_settings *settings, int root_fd,
				     const char *home, const struct maildrop_delivery *delivery,
				     struct err *err)
{
	struct delivering d = {.delivery = delivery, .tmp = -1, .fd = -1};
	enum maildrop_status status;

	status = maildir_enter(&d.place, settings, root_fd, home, PLACE_THERE, err);
	if (status < 0)
		return status;
	d.in = malloc(CHUNK);
	d.out = malloc(CHUNK + 1);
	errno = ENOMEM;
	if (!d.in || !d.out)
		status = failed(&d, "cannot be delivered to", err);
	if (status == MAILDROP_OK)
		status = precheck(&d, err);
	if (status == MAILDROP_OK) {
		status = write_file(&d, err);
		if (status == MAILDROP_OK)
			status = store(&d, err);
		else if (d.fd >= 0)
			(void)d.place.sys->unlinkat(d.tmp, d.name, 0);
	}
	if (status == MAILDROP_OK && delivery->ret_name)
		snprintf(delivery->ret_name, MAILDROP_NAME_MAX, "%s", d.name);
	free(d.in);
	free(d.out);
	if (d.fd >= 0)
		close(d.fd);
	if (d.tmp >= 0)
		close(d.tmp);
	maildir_place_close(&d.place);
	return status;
}
