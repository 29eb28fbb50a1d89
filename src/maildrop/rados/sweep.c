/*
 * See sweep.h. Bodies are gathered from the listing of the pool, and judged maildrop by maildrop:
 * most need no lock, since their logs know them all. A maildrop whose index is not there is a
 * person's business: its bodies may be all that is left of it.
 */
#include "maildrop/rados/sweep.h"

#include "base/array.h"
#include "base/random.h"
#include "base/text.h"
#include "maildrop/rados/log/log.h"
#include "maildrop/rados/mark.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

enum { BATCH = 100000, LEASE_S = 60, OBJECT_NAME_MAX = 64 };

struct body {
	unsigned char id[DROP_ID];
	char name[OBJECT_NAME_MAX];
	char *maildrop; /* owned */
	bool orphan, left_over;
};

struct work {
	struct sweep *sweep;
	struct body *bodies;
	size_t count, room;
	struct err err; /* of the listing */
};

static void ended(struct engine_op *op)
{
	(void)op;
}

static void note(const struct sweep *sweep, const char *what, const char *name)
{
	char text[ENGINE_NAME_MAX + 256];

	snprintf(text, sizeof(text), "%s: %s", name, what);
	if (sweep->note)
		sweep->note(sweep->context, text);
}

/* ---- one maildrop ---- */

/* The whole log. Returns 0; 1: there is no index; -1: it cannot be read, or is damaged. */
static int read_log(struct engine *engine, const char *name, struct drop_log *log,
		    struct engine_index *ret)
{
	struct engine_index index = {.op.done = ended};
	char *room = NULL;
	int result = -1;

	drop_log_init(log);
	engine_index(engine, name, &index);
	engine_wait(engine, &index.op);
	if (index.op.result == ENGINE_ABSENT)
		return 1;
	if (index.op.result == ENGINE_OK && index.generation[0] && index.size < SIZE_MAX / 2)
		room = malloc((size_t)index.size + 1);
	if (!room)
		return -1;
	*ret = (struct engine_index){
		.op.done = ended, .room = room, .room_size = (size_t)index.size};
	engine_index(engine, name, ret);
	engine_wait(engine, &ret->op);
	/* what was appended in between makes it longer than room: then another time */
	if (ret->op.result == ENGINE_OK && strcmp(ret->generation, index.generation) == 0 &&
	    ret->size == index.size && ret->got == ret->size &&
	    drop_log_feed(log, (pop3_span){room, ret->got}, NULL) == 0)
		result = 0;
	free(room);
	return result;
}

/* Returns how many have no place in the log. */
static size_t judge(struct body *bodies, size_t count, const struct drop_log *log)
{
	size_t found = 0;

	for (size_t i = 0; i < count; i++) {
		const struct drop_message *message = drop_log_find(log, bodies[i].id);

		bodies[i].orphan = !message;
		bodies[i].left_over = message && message->deleted;
		found += bodies[i].orphan || bodies[i].left_over;
	}
	return found;
}

static void remove_bodies(struct sweep *sweep, const struct body *bodies, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct engine_op op = {.done = ended};

		if (!bodies[i].orphan && !bodies[i].left_over)
			continue;
		engine_remove(sweep->engine, ENGINE_BODIES, bodies[i].name, &op);
		engine_wait(sweep->engine, &op);
		if (op.result == ENGINE_OK)
			sweep->removed++;
		else if (op.result != ENGINE_ABSENT)
			sweep->failed++;
	}
}

/* A new generation, under the lock and as it was read: no append that was under way is applied any
 * more. */
static bool fence(struct sweep *sweep, const char *name, const char *cookie, uint64_t version)
{
	struct engine_if condition = {.cookie = cookie, .version = version, .when_full = true};
	unsigned char octets[ENGINE_GENERATION / 2];
	char generation[ENGINE_GENERATION + 1];
	struct engine_op op = {.done = ended};

	if (random_octets(octets, sizeof(octets)) < 0)
		return false;
	hex_encode(octets, sizeof(octets), generation);
	engine_replace(sweep->engine, name, &condition, generation, NULL, &op);
	engine_wait(sweep->engine, &op);
	return op.result == ENGINE_OK;
}

static void sweep_locked(struct sweep *sweep, const char *name, const char *cookie,
			 struct body *bodies, size_t count)
{
	struct engine_index index;
	struct drop_log log;
	int result = read_log(sweep->engine, name, &log, &index);

	if (result == 0 &&
	    (!judge(bodies, count, &log) || fence(sweep, name, cookie, index.version))) {
		remove_bodies(sweep, bodies, count);
	} else {
		sweep->failed += count;
		note(sweep, "its index changed meanwhile, or cannot be read: another time", name);
	}
	drop_log_finish(&log);
}

static void with_lock(struct sweep *sweep, const char *name, struct body *bodies, size_t count)
{
	struct engine_op op = {.done = ended};
	unsigned char octets[16];
	char cookie[33];

	if (random_octets(octets, sizeof(octets)) < 0)
		return;
	hex_encode(octets, sizeof(octets), cookie);
	engine_lock(sweep->engine, name, cookie, "valija rados sweep", LEASE_S, &op);
	engine_wait(sweep->engine, &op);
	if (op.result != ENGINE_OK) {
		sweep->in_use += count;
		return;
	}
	sweep_locked(sweep, name, cookie, bodies, count);
	engine_unlock(sweep->engine, name, cookie, &op);
	engine_wait(sweep->engine, &op);
}

static void sweep_maildrop(struct sweep *sweep, struct body *bodies, size_t count)
{
	char name[ENGINE_NAME_MAX];
	struct engine_index index;
	struct drop_log log;
	size_t found = 0;
	int result;

	snprintf(name, sizeof(name), "x/%s", bodies[0].maildrop);
	result = read_log(sweep->engine, name, &log, &index);
	if (result == 0)
		found = judge(bodies, count, &log);
	drop_log_finish(&log);
	if (result != 0) {
		*(result > 0 ? &sweep->without_index : &sweep->failed) += count;
		note(sweep,
		     result > 0 ? "it has bodies, and no index: they are left"
				: "its index cannot be read",
		     name);
		return;
	}
	sweep->known += count - found;
	for (size_t i = 0; i < count; i++) {
		sweep->orphans += bodies[i].orphan;
		sweep->left_over += bodies[i].left_over;
	}
	if (found && !sweep->dry_run)
		with_lock(sweep, name, bodies, count);
}

/* ---- the pool ---- */

static int by_maildrop(const void *a, const void *b)
{
	return strcmp(((const struct body *)a)->maildrop, ((const struct body *)b)->maildrop);
}

static void sweep_batch(struct work *work)
{
	size_t first = 0;

	if (!work->count)
		return;
	qsort(work->bodies, work->count, sizeof(*work->bodies), by_maildrop);
	for (size_t i = 1; i <= work->count; i++) {
		if (i < work->count && by_maildrop(&work->bodies[first], &work->bodies[i]) == 0)
			continue;
		sweep_maildrop(work->sweep, work->bodies + first, i - first);
		first = i;
	}
	for (size_t i = 0; i < work->count; i++)
		free(work->bodies[i].maildrop);
	work->count = 0;
}

static bool is_old(struct sweep *sweep, const char *name)
{
	struct engine_stat stat = {.op.done = ended};

	engine_stat(sweep->engine, name, &stat);
	engine_wait(sweep->engine, &stat.op);
	if (stat.op.result != ENGINE_OK)
		return false; /* a session removed it meanwhile, or it cannot be told */
	return (int64_t)time(NULL) - (int64_t)stat.changed >= (int64_t)sweep->age_s;
}

static char *maildrop_of(struct sweep *sweep, const char *name)
{
	struct engine_owner owner = {.op.done = ended};

	engine_owner(sweep->engine, name, &owner);
	engine_wait(sweep->engine, &owner.op);
	return owner.op.result == ENGINE_OK && owner.owner[0] ? strdup(owner.owner) : NULL;
}

/* m/ID, m/ID.NUMBER; others are nobody's. */
static bool gather(void *context, const char *name)
{
	struct work *work = context;
	struct sweep *sweep = work->sweep;
	struct body body = {.orphan = false}, *grown;
	size_t digits = strlen(name) < 2 + 2 * DROP_ID ? 0 : 2 * DROP_ID;

	sweep->looked_at++;
	if (!digits || strlen(name) >= sizeof(body.name) ||
	    drop_id_of((pop3_span){name + 2, digits}, body.id) < 0) {
		note(sweep, "it is no body of ours", name);
		return true;
	}
	if (!is_old(sweep, name)) {
		sweep->young++;
		return true;
	}
	snprintf(body.name, sizeof(body.name), "%s", name);
	body.maildrop = maildrop_of(sweep, name);
	grown = array_grow(work->bodies, work->count, &work->room, sizeof(body));
	if (!body.maildrop || !grown) {
		sweep->failed++;
		note(sweep, "it does not say whose it is", name);
		free(body.maildrop);
		work->bodies = grown ? grown : work->bodies;
		return grown != NULL;
	}
	work->bodies = grown;
	work->bodies[work->count++] = body;
	if (work->count >= BATCH)
		sweep_batch(work);
	return true;
}

int sweep_run(struct sweep *sweep, struct err *err)
{
	struct work work = {.sweep = sweep};
	int result = mark_look(sweep->engine, err);

	if (!sweep->age_s)
		sweep->age_s = SWEEP_AGE_S;
	if (result == 0)
		return err_set(err, EX_CONFIG,
			       "the pools have no mark: they are not those of a site");
	if (result > 0)
		result = engine_list(sweep->engine, ENGINE_BODIES, "m/", gather, &work, err);
	if (result == 0)
		sweep_batch(&work);
	for (size_t i = 0; i < work.count; i++)
		free(work.bodies[i].maildrop);
	free(work.bodies);
	return result < 0 ? -1 : 0;
}
