/*
 * See mbox.h and maildrop.h: usage and delivery. A delivery takes the locks of mail programs, not
 * that of sessions: a login beside it is not told that another session has the mailbox.
 */
#include "maildrop/mbox/deliver.h"

#include "base/text.h"
#include "maildrop/mbox/append.h"
#include "maildrop/mbox/current.h"
#include "maildrop/mbox/journal.h"
#include "maildrop/mbox/reader.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

static void count_message(void *context, const struct mbox_message *message)
{
	struct maildrop_usage *usage = context;

	if (message->pseudo)
		return;
	usage->messages++;
	usage->octets += message->stored;
}

/* The messages behind those that the index knows; where the file changed otherwise, all of it. */
static int count_rest(const struct mbox_place *place, struct mbox_index *index,
		      const struct stat *st, struct maildrop_usage *usage)
{
	uint32_t count = index->open ? index->index.header.count + index->index.delta.added : 0;
	struct maildrop_usage seen = {0};
	struct index_message message;
	struct mbox_entry last;
	uint64_t from = 0;

	if (count && mbox_changed(&index->index, st) == MBOX_GROWN &&
	    index_read(&index->index, count - 1, &message, NULL) == 0 &&
	    mbox_entry_decode(&message, &last) == 0)
		from = last.start;
	else
		*usage = (struct maildrop_usage){0};
	if (mbox_read_messages(place->sys, place->lock.fd, from, (uint64_t)st->st_size,
			       count_message, &seen) < 0)
		return -1;
	/* the last known one is among them */
	usage->messages += seen.messages - (from ? 1 : 0);
	usage->octets += seen.octets - (from ? last.stored : 0);
	return 0;
}

static enum maildrop_status count_usage(const struct mbox_place *place, struct maildrop_usage *ret,
					struct err *err)
{
	struct maildrop_usage usage = {0};
	struct mbox_index index;
	struct stat st;
	int result = mbox_index_open(place, &index, NULL);

	if (result == 0)
		usage = (struct maildrop_usage){.messages = index.index.delta.count,
						.octets = index.index.delta.stored};
	result = place->sys->fstat(place->lock.fd, &st);
	if (result == 0 && (!index.open || mbox_changed(&index.index, &st) != MBOX_SAME))
		result = count_rest(place, &index, &st, &usage);
	mbox_index_close(&index);
	if (result < 0)
		return mbox_failed(place, errno, NULL, "cannot be read", err);
	*ret = usage;
	return MAILDROP_OK;
}

enum maildrop_status mbox_usage(const struct maildrop_settings *settings, int root_fd,
				const char *home, struct maildrop_usage *ret, struct err *err)
{
	struct mbox_place place;
	enum maildrop_status status = mbox_place_open(&place, settings, root_fd, home, false, err);

	if (status == MAILDROP_ABSENT) {
		*ret = (struct maildrop_usage){0};
		return MAILDROP_OK;
	}
	if (status < 0)
		return status;
	status = count_usage(&place, ret, err);
	mbox_place_close(&place);
	return status;
}

static enum maildrop_status check_quota(const struct mbox_place *place,
					const struct maildrop_delivery *d, struct err *err)
{
	struct maildrop_usage usage;
	enum maildrop_status status;

	if (!d->quota.max_messages && !d->quota.max_octets)
		return MAILDROP_OK;
	status = count_usage(place, &usage, err);
	if (status < 0)
		return status;
	if ((d->quota.max_messages && usage.messages >= d->quota.max_messages) ||
	    (d->quota.max_octets &&
	     usage.octets + d->message_size + d->headers.size > d->quota.max_octets)) {
		err_set(err, EX_CANTCREAT, "mailbox %s: over quota", place->home);
		return MAILDROP_OVER_QUOTA;
	}
	return MAILDROP_OK;
}

/* The sender stands in the trace. */
static pop3_span sender_of(pop3_span headers)
{
	pop3_span name = SPAN_LITERAL("Return-Path: <");
	const char *end;

	if (headers.size < name.size || memcmp(headers.data, name.data, name.size) != 0)
		return (pop3_span){0};
	headers.data += name.size;
	headers.size -= name.size;
	end = memchr(headers.data, '>', headers.size);
	return end ? (pop3_span){headers.data, (size_t)(end - headers.data)} : (pop3_span){0};
}

static enum maildrop_status append(struct mbox_place *place, const struct maildrop_delivery *d,
				   struct err *err)
{
	struct mbox_append append = {.calls = &place->calls,
				     .fd = place->lock.fd,
				     .sender = sender_of(d->headers),
				     .time = time(NULL),
				     .headers = d->headers,
				     .message_fd = d->message_fd,
				     .from_crlf = true};
	enum maildrop_status status = check_quota(place, d, err);
	struct stat before;
	bool torn;
	int saved;

	if (status < 0)
		return status;
	if (place->lock.reading) {
		errno = EACCES;
		return mbox_failed(place, errno, NULL, "cannot be written to", err);
	}
	if (place->sys->fstat(place->lock.fd, &before) < 0 || mbox_append(&append, &torn) < 0)
		return mbox_failed(place, errno, NULL, "cannot be appended to", err);
	if (place->sys->fsync(place->lock.fd) == 0)
		return MAILDROP_OK;
	saved = errno;
	(void)place->sys->ftruncate(place->lock.fd, before.st_size);
	return mbox_failed(place, saved, NULL, "cannot be flushed", err);
}

/* A rewrite that a crash cut off is finished first: what is appended before that would be lost. */
static enum maildrop_status finish_journal(struct mbox_place *place, struct err *err)
{
	struct mbox_index index;
	enum maildrop_status status;
	bool carried_out;

	if (mbox_index_open(place, &index, NULL) == INDEX_NEWER)
		return mbox_newer(place, err);
	status = mbox_bring_current(place, &index, &carried_out, err);
	mbox_index_close(&index);
	return status;
}

enum maildrop_status mbox_deliver(const struct maildrop_settings *settings, int root_fd,
				  const char *home, const struct maildrop_delivery *delivery,
				  struct err *err)
{
	struct mbox_place place;
	enum maildrop_status status = mbox_place_open(&place, settings, root_fd, home, false, err);
	bool session = false;

	if (status < 0)
		return status;
	if (mbox_journal_there(&place))
		session = mbox_session_lock(&place) == 0;
	status = mbox_place_lock(&place, err);
	if (status == MAILDROP_IN_USE)
		status = MAILDROP_TEMP;
	if (status == MAILDROP_OK) {
		/* a session that is alive has carried it out by now, or holds all locks */
		if (mbox_journal_there(&place) && session)
			status = finish_journal(&place, err);
		if (status == MAILDROP_OK && mbox_journal_there(&place)) {
			err_set(err, EX_TEMPFAIL, "mailbox %s: is being put in order", home);
			status = MAILDROP_TEMP;
		}
		if (status == MAILDROP_OK)
			status = append(&place, delivery, err);
		mbox_place_unlock(&place);
	}
	if (status == MAILDROP_OK && delivery->ret_name)
		snprintf(delivery->ret_name, MAILDROP_NAME_MAX, "%s", place.lock.name);
	mbox_place_close(&place);
	return status;
}
