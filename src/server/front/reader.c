/* See reader.h. */
#include "server/front/reader.h"

#include <stdlib.h>
#include <string.h>

enum {
	AHEAD_FIRST = 8, /* messages asked for at once: with the first */
	AHEAD_MAX = 32,  /* when the client reads in order */
};

/* Bodies that the keeper gave by value. */
struct reader_batch {
	uint32_t count, next; /* next: index of the first one not read yet */
	uint32_t offset;      /* of that one's octets */
	const char *octets;
	struct arena_lease lease; /* where the octets are; none: behind bodies */
	struct ipc_body bodies[];
};

static void free_batch(struct reader_batch *batch)
{
	if (!batch)
		return;
	arena_return(&batch->lease);
	free(batch);
}

void reader_init(struct reader *reader, uint32_t count)
{
	*reader = (struct reader){.count = count};
}

void reader_trim(struct reader *reader)
{
	free_batch(reader->batch);
	free_batch(reader->next_batch);
	reader->batch = reader->next_batch = NULL;
	reader->asked_ahead = 0;
}

void reader_finish(struct reader *reader)
{
	reader_drop_body(reader);
	reader_trim(reader);
	arena_return(&reader->lease);
}

/* ---- batches ---- */

static bool may_hold(const struct reader_batch *batch, uint32_t number)
{
	return batch && batch->next < batch->count && batch->bodies[batch->next].number <= number &&
	       batch->bodies[batch->count - 1].number >= number;
}

/* Finds number in the batch; those before it are skipped for good. */
static bool find_in_batch(struct reader *reader, uint32_t number, uint64_t *ret_octets)
{
	struct reader_batch *batch = reader->batch;

	while (batch && batch->next < batch->count) {
		const struct ipc_body *body = &batch->bodies[batch->next++];
		uint32_t at = batch->offset;

		batch->offset += body->stored;
		if (body->number != number)
			continue;
		reader->body = (pop3_span){batch->octets + at, body->stored};
		*ret_octets = body->octets;
		return true;
	}
	return false;
}

static uint32_t more(uint32_t ahead)
{
	return ahead * 4 > AHEAD_MAX ? AHEAD_MAX : ahead * 4;
}

/* The number of messages to ask for with one that has to be waited for. A client that starts with
 * message 1 usually reads on in order. */
static uint32_t from_here(const struct reader *reader, uint32_t number)
{
	if (number == 1)
		return AHEAD_FIRST;
	return number == reader->last + 1 ? more(reader->ahead) : 1;
}

bool reader_find(struct reader *reader, uint32_t number, uint64_t *ret_octets)
{
	uint32_t ahead = from_here(reader, number);

	reader->last = number;
	if (!may_hold(reader->batch, number) && reader->next_batch) {
		free_batch(reader->batch);
		reader->batch = reader->next_batch;
		reader->next_batch = NULL;
	}
	if (may_hold(reader->batch, number) && find_in_batch(reader, number, ret_octets))
		return true;
	reader->ahead = ahead;
	return false;
}

/* ---- requests ---- */

/* A slot is taken for what comes by value; without one it comes in the packet. */
static void make_request(struct reader *reader, struct arena *arena, uint32_t number,
			 uint32_t count, struct ipc_fetch *message)
{
	arena_return(&reader->lease);
	reader->lease = arena_take(arena);
	reader->asked = number;
	reader->asked_count = count;
	message->number = number;
	message->count = count;
	message->slot = reader->lease.arena ? reader->lease.number : IPC_NO_SLOT;
}

void reader_fetch(struct reader *reader, struct arena *arena, struct ipc_fetch *message)
{
	reader_trim(reader);
	make_request(reader, arena, reader->last, reader->ahead, message);
}

/* A client that goes through its numbers gets the next batch before it asks: at half of this one.
 */
bool reader_fetch_ahead(struct reader *reader, struct arena *arena, struct ipc_fetch *message)
{
	const struct reader_batch *batch = reader->batch;
	uint32_t next = batch->bodies[batch->count - 1].number + 1;

	if (reader->is_ahead || reader->next_batch || batch->next * 2 < batch->count ||
	    reader->ahead < 2 || next > reader->count || next == reader->asked_ahead)
		return false;
	reader->ahead = more(reader->ahead);
	reader->asked_ahead = next;
	reader->is_ahead = true;
	make_request(reader, arena, next, reader->ahead, message);
	return true;
}

void reader_not_sent(struct reader *reader)
{
	reader->is_ahead = false;
}

/* ---- answers ---- */

static bool bodies_fit(const struct reader *reader, const struct ipc_bodies *message)
{
	const struct ipc_body *bodies = (const struct ipc_body *)(const void *)ipc_tail(message);
	uint32_t last = bodies[message->count - 1].number;

	/* the numbers ascend (ipc_check) */
	return bodies[0].number == reader->asked && last - reader->asked < reader->asked_count &&
	       last <= reader->count && (!message->in_slot || reader->lease.arena);
}

bool reader_fits(const struct reader *reader, enum ipc_type type, const void *message)
{
	if (type == IPC_BODIES)
		return bodies_fit(reader, message);
	if (type == IPC_BODY_LENT || type == IPC_BODY_SLICED)
		return ((const struct ipc_body_lent *)message)->number == reader->asked;
	return ((const struct ipc_body_failed *)message)->number == reader->asked;
}

/* Takes over the slot that the request had, or copies the packet. */
static struct reader_batch *make_batch(struct reader *reader, const struct ipc_bodies *message)
{
	struct reader_batch *batch = malloc(sizeof(*batch) + message->head.tail);

	if (!batch)
		return NULL;
	batch->count = message->count;
	batch->next = batch->offset = 0;
	memcpy(batch->bodies, ipc_tail(message), message->head.tail);
	batch->octets = (const char *)&batch->bodies[message->count];
	batch->lease = (struct arena_lease){0};
	if (!message->in_slot) {
		arena_return(&reader->lease);
		return batch;
	}
	batch->lease = reader->lease;
	reader->lease.arena = NULL;
	batch->octets = arena_octets(&batch->lease);
	return batch;
}

int reader_take(struct reader *reader, const struct ipc_bodies *message)
{
	struct reader_batch *batch = make_batch(reader, message);

	if (!batch)
		return -1;
	if (reader->is_ahead)
		reader->next_batch = batch;
	else
		reader->batch = batch;
	return 0;
}

void reader_not_taken(struct reader *reader)
{
	arena_return(&reader->lease);
}

bool reader_is_ahead(const struct reader *reader)
{
	return reader->is_ahead;
}

bool reader_ahead_over(struct reader *reader, struct pop3_event *ret_held)
{
	*ret_held = (struct pop3_event){.type = (enum pop3_event_type)reader->held,
					.number = reader->held_number,
					.lines = reader->held_lines};
	reader->is_ahead = false;
	reader->held = POP3_EVENT_NONE;
	return ret_held->type != POP3_EVENT_NONE;
}

bool reader_find_asked(struct reader *reader, uint64_t *ret_octets)
{
	return find_in_batch(reader, reader->asked, ret_octets);
}

void reader_large(struct reader *reader)
{
	reader->ahead = 1;
}

/* ---- what goes out ---- */

void reader_hold(struct reader *reader, const struct pop3_event *event)
{
	reader->held = (uint8_t)event->type;
	reader->held_number = event->number;
	reader->held_lines = event->lines;
}

bool reader_has_body(const struct reader *reader)
{
	return reader->body.data != NULL;
}

void reader_drop_body(struct reader *reader)
{
	reader->body = (pop3_span){0};
}

size_t reader_render(struct reader *reader, struct pop3_server *pop3, char *out, size_t cap)
{
	return pop3_server_body(pop3, &reader->body, true, out, cap);
}
