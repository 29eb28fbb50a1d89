/*
 * See values.h. The mailbox is read in large pieces, under one lock for all of the messages that
 * are asked for; what was read is checked, and is what goes out. In a keeper's worker, or on its
 * loop with what is in memory.
 */
#include "maildrop/mbox/values.h"

#include "maildrop/mbox/from.h"
#include "maildrop/mbox/session.h"
#include "maildrop/mbox/show.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { EMPTY_LINE = 2 }; /* octets of the longest */

struct reading {
	struct mbox *mbox;
	const struct maildrop_values *values;
	const struct maildrop_syscalls *sys;
	uint32_t used; /* of the room */
	/* a piece of the mailbox */
	char *piece;
	size_t piece_room, piece_size;
	uint64_t piece_at;
};

/* ---- pieces of the mailbox ---- */

static int make_room(struct reading *r, size_t size)
{
	char *room;

	if (size <= r->piece_room)
		return 0;
	room = malloc(size); /* what is in the old one is not needed any more */
	if (!room)
		return -1;
	free(r->piece);
	r->piece = room;
	r->piece_room = size;
	return 0;
}

/* Octets of the mailbox from there on: those, and perhaps the empty line behind them. What is
 * behind that is read with them if more messages are to come. */
static int read_piece(struct reading *r, uint64_t start, size_t size, bool more, pop3_span *ret)
{
	size_t want = size + EMPTY_LINE, left = r->values->room_size - r->used;
	ssize_t n;

	if (start < r->piece_at || start - r->piece_at > r->piece_size ||
	    r->piece_size - (start - r->piece_at) < want) {
		if (more && want < left)
			want = left;
		if (make_room(r, want) < 0)
			return -1;
		r->piece_size = 0;
		n = maildrop_pread(r->sys, r->mbox->place.lock.fd, r->piece, want, (off_t)start);
		if (n < 0)
			return -1;
		r->piece_at = start;
		r->piece_size = (size_t)n;
	}
	*ret = (pop3_span){r->piece + (start - r->piece_at),
			   r->piece_size - (size_t)(start - r->piece_at)};
	errno = ESTALE; /* the mailbox ends there */
	if (ret->size < size)
		return -1;
	ret->size = size + mbox_empty_line((pop3_span){ret->data + size, ret->size - size});
	return 0;
}

/* ---- the check ---- */

struct look {
	const struct mbox_entry *entry;
	pop3_span text; /* the message, from its "From " line on */
	unsigned found;
	bool same;
};

static void found_one(void *context, const struct mbox_message *m)
{
	struct look *look = context;

	look->found++;
	look->same = mbox_entry_is(look->entry, m);
}

static size_t peek(void *context, uint64_t offset, char *buf, size_t n)
{
	const struct look *look = context;
	uint64_t at = offset - look->entry->start;

	if (offset < look->entry->start || at >= look->text.size)
		return 0;
	if (n > look->text.size - at)
		n = (size_t)(look->text.size - at);
	memcpy(buf, look->text.data + at, n);
	return n;
}

/* As if the mailbox ended with this message and the empty line behind it: see show.c. */
static bool is_message(const struct mbox_entry *entry, pop3_span text)
{
	struct look look = {.entry = entry, .text = text};
	struct mbox_scan_user user = {.context = &look, .found = found_one, .peek = peek};
	struct mbox_scan scan;

	mbox_scan_init(&scan, &user, entry->start);
	(void)mbox_scan_feed(&scan, text, true);
	return look.found == 1 && look.same;
}

/* ---- a message ---- */

/* Header lines without the hidden ones. Returns where the next octet goes. */
static char *copy_head(pop3_span head, char *to)
{
	bool hidden = false;

	while (head.size) {
		const char *end = memchr(head.data, '\n', head.size);
		size_t n = end ? (size_t)(end - head.data) + 1 : head.size;

		if (*head.data != ' ' && *head.data != '\t')
			hidden = mbox_header_kind(head) == MBOX_HEADER_HIDDEN;
		if (!hidden) {
			memcpy(to, head.data, n);
			to += n;
		}
		head.data += n;
		head.size -= n;
	}
	return to;
}

/* Returns its octets. */
static size_t shown(const struct mbox_entry *entry, pop3_span text, char *room)
{
	const char *head = text.data + entry->from_size;
	char *to = room;

	if (entry->hides)
		to = copy_head((pop3_span){head, entry->head}, to);
	else
		memcpy(to, head, entry->head);
	to += entry->hides ? 0 : entry->head;
	memcpy(to, head + entry->head, entry->stored - entry->head);
	to += entry->stored - entry->head;
	return (size_t)(to - room);
}

static bool fits(const struct reading *r, const struct mbox_entry *entry)
{
	return entry->stored <= r->values->most && entry->stored <= r->values->room_size - r->used;
}

/* -1 with errno. */
static int entry_of(struct mbox *m, uint32_t number, struct mbox_entry *ret)
{
	struct index_message message;

	errno = EIO;
	if (index_read(&m->index.index, index_delta_ordinal(&m->index.index.delta, number),
		       &message, NULL) < 0)
		return -1;
	errno = ESTALE;
	return mbox_entry_decode(&message, ret);
}

/* WAIT: it has no room. Not OK otherwise, but for what take says: errno is set. */
static enum maildrop_status give(struct reading *r, uint32_t number, bool more)
{
	const struct maildrop_values *values = r->values;
	enum maildrop_status status;
	struct mbox_entry entry;
	uint32_t stored;
	pop3_span text;

	if (entry_of(r->mbox, number, &entry) < 0)
		return MAILDROP_TEMP;
	if (!fits(r, &entry))
		return MAILDROP_WAIT;
	if (read_piece(r, entry.start, entry.from_size + (size_t)entry.stored, more, &text) < 0)
		return MAILDROP_TEMP;
	errno = ESTALE;
	if (!is_message(&entry, text))
		return MAILDROP_TEMP;
	stored = (uint32_t)shown(&entry, text, values->room + r->used);
	status = values->take(values->context, number, entry.octets, &stored);
	if (status == MAILDROP_OK)
		r->used += stored;
	return status;
}

static enum maildrop_status give_all(struct reading *r, struct err *err)
{
	const struct maildrop_values *values = r->values;
	enum maildrop_status status = MAILDROP_OK;
	uint32_t i;

	for (i = 0; i < values->count && status == MAILDROP_OK; i++)
		status = give(r, values->first + i, i + 1 < values->count);
	if (status == MAILDROP_WAIT)
		return MAILDROP_OK;
	if (status == MAILDROP_TEMP && values->now)
		return MAILDROP_WAIT;
	/* one behind others is asked for again */
	if (status == MAILDROP_TEMP)
		return mbox_body_failed(r->mbox, values->first + i - 1, err);
	return status;
}

/* ---- the lock ---- */

/* Other programs move messages: none of them is to do so while a piece is read. */
static enum maildrop_status give_locked(struct reading *r, struct err *err)
{
	const struct mbox_place *place = &r->mbox->place;
	struct mbox_calls calls = {.sys = r->sys};
	struct mbox_lock lock = {.calls = &calls,
				 .fd = place->lock.fd,
				 .dir = place->dir,
				 .name = place->lock.name,
				 .reading = true,
				 .no_dotlock = true,
				 .wait_ms = r->values->now ? 0 : MBOX_READ_LOCK_MS};
	struct err local = {0};
	enum maildrop_status status;

	if (mbox_lock_take(&lock, &local) < 0) {
		errno = local.errnum;
		return r->values->now ? MAILDROP_WAIT
				      : mbox_body_failed(r->mbox, r->values->first, err);
	}
	status = give_all(r, err);
	mbox_lock_release(&lock);
	return status;
}

enum maildrop_status mbox_values(struct maildrop *maildrop, const struct maildrop_values *values,
				 struct err *err)
{
	struct mbox *m = (struct mbox *)maildrop;
	struct reading reading = {.mbox = m, .values = values, .sys = m->place.sys};
	enum maildrop_status status;

	/* a table that reads otherwise than the kernel is not passed by */
	if (values->now && (!m->local || m->place.sys->pread != maildrop_kernel.pread))
		return MAILDROP_WAIT;
	if (values->now)
		reading.sys = m->index.index.sys = &maildrop_cached;
	status = give_locked(&reading, err);
	m->index.index.sys = m->place.sys;
	free(reading.piece);
	return status;
}
