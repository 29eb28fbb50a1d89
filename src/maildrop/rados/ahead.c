/*
 * Bodies on their way into memory: those that a fetch waits for, and, for a client that reads its
 * messages in order, the next ones, so that as many requests are with the cluster while the client
 * takes what it has. Each is given out once, and freed. See pool_private.h.
 */
#include "maildrop/rados/pool_private.h"

#include <stdlib.h>

enum {
	SLOTS = 128,            /* bodies of a session */
	AHEAD_MAX = 64,         /* of them, behind what was asked for */
	OCTETS_MAX = 512 << 10, /* of a session */
	POOL_OCTETS_MAX =
		32 << 20, /* of all: beyond, the session that read longest ago loses its */
};

struct pool_ahead {
	struct pool_session *session;
	struct pool_ahead *next, **at; /* in pool->aheads, the one that read longest ago first */
	struct pool_body *slots[SLOTS];
	struct body_wait *waits;
	uint32_t next_number; /* behind what was given last */
	size_t octets;
};

/* ---- one body ---- */

static void release(struct pool_body *body)
{
	struct pool_ahead *ahead = body->session->ahead;

	if (--body->references)
		return;
	ahead->octets -= body->read.size;
	body->session->pool->ahead_octets -= body->read.size;
	free(body);
}

static struct pool_body **slot_of(struct pool_ahead *ahead, uint32_t number)
{
	return &ahead->slots[number % SLOTS];
}

static void clear_slot(struct pool_body **slot)
{
	struct pool_body *body = *slot;

	*slot = NULL;
	if (body)
		release(body);
}

/* Whoever waits for it. */
static void tell_waits(struct pool_ahead *ahead, const struct pool_body *body)
{
	struct body_wait **at = &ahead->waits, *wait;

	while ((wait = *at)) {
		for (uint32_t i = 0; i < wait->count; i++)
			wait->under_way -= wait->bodies[i] == body;
		if (wait->under_way) {
			at = &wait->next;
			continue;
		}
		*at = wait->next;
		wait->done(wait);
	}
}

static void was_read(struct engine_op *op)
{
	struct pool_body *body = CONTAINER((struct engine_read *)op, struct pool_body, read);
	struct pool_session *session = body->session;
	struct pool_ahead *ahead = session->ahead;
	struct pool_body **slot = slot_of(ahead, body->number);

	body->over = true;
	if (op->result != ENGINE_OK && *slot == body)
		clear_slot(slot); /* read again, if it is asked for again */
	tell_waits(ahead, body);
	release(body);
	session_done(session);
}

static void begin(struct pool_ahead *ahead, uint32_t number)
{
	struct pool_session *session = ahead->session;
	const struct drop_listed *message = drop_listing_find(session->listing, number);
	struct pool_body *body = malloc(sizeof(*body) + message->stored);
	char name[BODY_NAME_MAX];

	if (!body)
		abort();
	*body = (struct pool_body){.session = session, .number = number, .references = 2};
	/* one octet more would show that the object is longer, but the room ends here */
	body->read = (struct engine_read){
		.op.done = was_read, .size = message->stored, .room = body->octets};
	*slot_of(ahead, number) = body;
	ahead->octets += message->stored;
	session->pool->ahead_octets += message->stored;
	body_name(message->id, 0, name);
	session_begin(session);
	engine_read(session->pool->engine, name, &body->read);
}

/* ---- those of a session ---- */

static void leave_list(struct pool_ahead *ahead)
{
	*ahead->at = ahead->next;
	if (ahead->next)
		ahead->next->at = ahead->at;
	else
		ahead->session->pool->last_ahead = ahead->at;
}

static void enter_list(struct pool_ahead *ahead)
{
	struct pool *pool = ahead->session->pool;

	ahead->next = NULL;
	ahead->at = pool->last_ahead;
	*pool->last_ahead = ahead;
	pool->last_ahead = &ahead->next;
}

static struct pool_ahead *ahead_of(struct pool_session *session)
{
	struct pool_ahead *ahead = session->ahead;

	if (ahead) {
		leave_list(ahead);
	} else {
		ahead = session->ahead = calloc(1, sizeof(*ahead));
		if (!ahead)
			abort();
		ahead->session = session;
	}
	enter_list(ahead);
	return ahead;
}

static void drop_all(struct pool_ahead *ahead)
{
	for (size_t i = 0; i < SLOTS; i++)
		clear_slot(&ahead->slots[i]);
}

void ahead_free(struct pool_session *session)
{
	if (!session->ahead)
		return;
	drop_all(session->ahead);
	leave_list(session->ahead);
	free(session->ahead);
	session->ahead = NULL;
}

static void make_room(struct pool_ahead *ahead)
{
	struct pool *pool = ahead->session->pool;

	for (struct pool_ahead *other = pool->aheads;
	     other != ahead && pool->ahead_octets > POOL_OCTETS_MAX; other = other->next)
		drop_all(other);
}

/* Only numbers from first on, as many as there are slots, have one. */
static void keep_from(struct pool_ahead *ahead, uint32_t first)
{
	for (size_t i = 0; i < SLOTS; i++) {
		struct pool_body *body = ahead->slots[i];

		if (body && (body->number < first || body->number - first >= SLOTS))
			clear_slot(&ahead->slots[i]);
	}
}

static struct pool_body *want(struct pool_ahead *ahead, uint32_t number)
{
	struct pool_body **slot = slot_of(ahead, number);

	if (!*slot)
		begin(ahead, number);
	return *slot;
}

/* Up to some behind the n messages from first on, the first of which are given: for a client that
 * reads on in order, or begins. */
static void read_on(struct pool_ahead *ahead, uint32_t first, uint32_t n, uint32_t given)
{
	const struct drop_listing *listing = ahead->session->listing;
	struct pool *pool = ahead->session->pool;
	uint32_t end = first + n + (2 * n < AHEAD_MAX ? 2 * n : AHEAD_MAX);

	if (first != 1 && first != ahead->next_number)
		return;
	make_room(ahead);
	for (uint32_t number = first + given; number < end && number <= listing->count; number++) {
		if (drop_listing_find(listing, number)->stored > STORE_VALUE_MAX ||
		    ahead->octets > OCTETS_MAX || pool->ahead_octets > POOL_OCTETS_MAX)
			return;
		(void)want(ahead, number);
	}
}

uint32_t ahead_ready(const struct pool_session *session, uint32_t first, uint32_t n)
{
	uint32_t ready = 0;

	while (session->ahead && ready < n) {
		const struct pool_body *body = *slot_of(session->ahead, first + ready);

		if (!body || body->number != first + ready || !body->over)
			break;
		ready++;
	}
	return ready;
}

const struct pool_body *ahead_body(const struct pool_session *session, uint32_t number)
{
	return *slot_of(session->ahead, number);
}

void ahead_given(struct pool_session *session, uint32_t first, uint32_t n, uint32_t given)
{
	struct pool_ahead *ahead = ahead_of(session);

	keep_from(ahead, first + given);
	read_on(ahead, first, n, given);
	ahead->next_number = first + given;
}

bool ahead_wait(struct pool_session *session, uint32_t first, struct body_wait *wait)
{
	struct pool_ahead *ahead = ahead_of(session);
	struct body_wait **at = &ahead->waits;

	keep_from(ahead, first);
	wait->under_way = 0;
	wait->next = NULL;
	for (uint32_t i = 0; i < wait->count; i++) {
		wait->bodies[i] = want(ahead, first + i);
		wait->bodies[i]->references++;
		wait->under_way += !wait->bodies[i]->over;
	}
	read_on(ahead, first, wait->count, wait->count);
	while (*at)
		at = &(*at)->next;
	if (wait->under_way)
		*at = wait;
	return wait->under_way;
}

void ahead_waited(struct pool_session *session, uint32_t first, uint32_t given,
		  struct body_wait *wait)
{
	for (uint32_t i = 0; i < wait->count; i++)
		release(wait->bodies[i]);
	keep_from(session->ahead, first + given);
	session->ahead->next_number = first + given;
}
