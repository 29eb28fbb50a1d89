/* See pool_private.h: what is known of a maildrop's index object, and how it is read. */
#include "maildrop/rados/pool_private.h"

#include "base/log.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum {
	ROOM_TAIL = 16384, /* for what was appended since */
	ROOM_ALL = 262144, /* for a log that is not known; a longer one is read by a second call */
	TRIES_MAX = 8,     /* each against another generation */
	IDLE_OCTETS_MAX = 64 << 20,
};

/* ---- boxes ---- */

static size_t octets_of(const struct box *box)
{
	return sizeof(*box) +
	       box->log.room * (sizeof(struct drop_message) + 3 * sizeof(struct drop_slot)) +
	       box->log.text_room + box->log.deletion_room * sizeof(uint32_t) +
	       drop_listings_octets(&box->listings);
}

static struct box *find(const struct pool *pool, const char *path, uint64_t key)
{
	for (struct table_node *node = table_find(&pool->boxes, key); node;
	     node = table_next(node)) {
		struct box *box = CONTAINER(node, struct box, node);

		if (strcmp(box->path, path) == 0)
			return box;
	}
	return NULL;
}

static struct box *new_box(struct pool *pool, const char *path, uint64_t key)
{
	size_t size = strlen(path) + 1;
	struct box *box = calloc(1, sizeof(*box) + 2 * size + 2);

	if (!box)
		abort(); /* a new process is better than a lock that is never freed */
	box->pool = pool;
	drop_log_init(&box->log);
	memcpy(box->path, path, size);
	memcpy(box->path + size, "x/", 2);
	memcpy(box->path + size + 2, path, size);
	table_add(&pool->boxes, &box->node, key);
	return box;
}

const char *box_name(const struct box *box)
{
	return box->path + strlen(box->path) + 1;
}

static void leave_idle(struct box *box)
{
	struct pool *pool = box->pool;

	if (!box->idle_at)
		return;
	pool->idle_octets -= octets_of(box);
	*box->idle_at = box->idle_next;
	if (box->idle_next)
		box->idle_next->idle_at = box->idle_at;
	else
		pool->idle_last = box->idle_at;
	box->idle_at = NULL;
}

static void free_box(struct box *box)
{
	leave_idle(box);
	table_remove(&box->pool->boxes, &box->node);
	drop_log_finish(&box->log);
	drop_listings_forget(&box->listings);
	free(box);
}

struct box *box_find(const struct pool *pool, const char *path)
{
	return find(pool, path, hash_octets(path, strlen(path)));
}

struct box *box_take(struct pool *pool, const char *path)
{
	uint64_t key = hash_octets(path, strlen(path));
	struct box *box = find(pool, path, key);

	if (!box)
		box = new_box(pool, path, key);
	leave_idle(box);
	box->references++;
	return box;
}

void box_release(struct box *box)
{
	struct pool *pool = box->pool;

	if (--box->references)
		return;
	box->hurry = false;
	box->idle_next = NULL;
	box->idle_at = pool->idle_last;
	*pool->idle_last = box;
	pool->idle_last = &box->idle_next;
	pool->idle_octets += octets_of(box);
	while (pool->idle && pool->idle_octets > IDLE_OCTETS_MAX)
		free_box(pool->idle);
}

void pool_free_idle(struct pool *pool)
{
	while (pool->idle)
		free_box(pool->idle);
}

void box_forget(struct box *box)
{
	box->known = false;
	drop_log_finish(&box->log);
	drop_listings_forget(&box->listings);
}

void box_replaced(struct box *box, const char *generation, pop3_span octets)
{
	struct drop_log log;

	drop_log_init(&log);
	if (drop_log_feed(&log, octets, NULL) < 0) {
		drop_log_finish(&log);
		box_forget(box);
		return;
	}
	drop_log_finish(&box->log);
	box->log = log;
	drop_listings_forget(&box->listings);
	memcpy(box->generation, generation, ENGINE_GENERATION + 1);
}

/* ---- reading ---- */

static void start(struct box *box);

static void end(struct box *box, enum maildrop_status status, const struct err *err)
{
	struct box_reading *reading = box->active, *next;

	free(box->room);
	box->room = NULL;
	box->active = NULL;
	box->reading = false;
	if (box->waiting)
		start(box);
	for (; reading; reading = next) {
		next = reading->next;
		reading->status = status;
		if (err)
			reading->err = *err;
		reading->done(reading);
	}
	box_release(box);
	pool_done(box->pool);
}

static void damaged(struct box *box, struct err *err)
{
	box_forget(box);
	err_prefix(err, "maildrop %s", box->path);
	log_error("%s; see `valija rados check`", err->text);
	end(box, MAILDROP_TEMP, err);
}

static void ask(struct box *box, uint64_t offset, size_t room);

/* All octets up to size are in room. */
static void take_all(struct box *box)
{
	struct engine_index *index = &box->index;
	struct err err = {0};
	size_t got = (size_t)(index->size - box->log.size);

	if (got && drop_log_feed(&box->log, (pop3_span){box->room, got}, &err) < 0) {
		damaged(box, &err);
		return;
	}
	box->known = true;
	box->version = index->version;
	end(box, MAILDROP_OK, NULL);
}

/* The end of the object that this reading wants is where it was when the first call was answered.
 */
static void read_on(struct box *box, size_t have)
{
	uint64_t whole = box->index.size - box->log.size;
	char *room = whole < SIZE_MAX / 2 ? realloc(box->room, whole) : NULL;
	struct err err = {0};

	if (!room) {
		err_set(&err, EX_OSERR, "maildrop %s: no memory for its log", box->path);
		end(box, MAILDROP_TEMP, &err);
		return;
	}
	box->room = room;
	box->index.expect = box->generation;
	box->index.offset = box->log.size + have;
	box->index.room = room + have;
	box->index.room_size = whole - have;
	engine_index(box->pool->engine, box_name(box), &box->index);
}

static void other_generation(struct box *box)
{
	struct err err = {0};

	box_forget(box);
	if (++box->tries <= TRIES_MAX) {
		ask(box, 0, ROOM_ALL);
		return;
	}
	err_set(&err, EX_TEMPFAIL, "maildrop %s: its index is replaced again and again", box->path);
	end(box, MAILDROP_TEMP, &err);
}

static void answered(struct engine_op *op)
{
	struct engine_index *index = (struct engine_index *)op;
	struct box *box = CONTAINER(index, struct box, index);
	struct err err = {0};
	uint64_t have;

	if (op->result == ENGINE_CHANGED) {
		other_generation(box);
		return;
	}
	if (op->result != ENGINE_OK) {
		enum maildrop_status status = pool_failed(op, box_name(box), &err);

		if (op->result == ENGINE_ABSENT)
			box_forget(box);
		end(box, status, &err);
		return;
	}
	if (!index->generation[0] || index->size < index->offset ||
	    (index->got == 0 && index->size > index->offset)) {
		err_set(&err, EX_DATAERR,
			"its index object has no generation of this version, or became shorter");
		damaged(box, &err);
		return;
	}
	memcpy(box->generation, index->generation, sizeof(box->generation));
	have = index->offset - box->log.size + index->got;
	/* what was appended since this reading began is left to the next one */
	if (have >= index->size - box->log.size)
		take_all(box);
	else
		read_on(box, (size_t)have);
}

static void ask(struct box *box, uint64_t offset, size_t room)
{
	struct engine_index *index = &box->index;

	free(box->room);
	box->room = malloc(room);
	if (!box->room)
		abort();
	*index = (struct engine_index){.expect = box->known ? box->generation : NULL,
				       .offset = offset,
				       .room = box->room,
				       .room_size = room};
	index->op.done = answered;
	engine_index(box->pool->engine, box_name(box), index);
}

static void start(struct box *box)
{
	box->active = box->waiting;
	box->waiting = NULL;
	box->reading = true;
	box->tries = 0;
	box->references++;
	pool_begin(box->pool);
	ask(box, box->log.size, box->known ? ROOM_TAIL : ROOM_ALL);
}

void box_read(struct box *box, struct box_reading *reading)
{
	reading->box = box;
	reading->next = box->waiting;
	box->waiting = reading;
	if (!box->reading)
		start(box);
}
