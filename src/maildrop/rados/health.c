/* See health.h. */
#include "maildrop/rados/health.h"

#include "base/random.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

/* A number of a pool: `ceph osd pool get POOL WHAT`. -1: err. */
static int pool_number(struct engine *engine, const char *pool, const char *what, struct err *err)
{
	char command[256], answer[512], key[32];
	const char *found;

	snprintf(command, sizeof(command),
		 "{\"prefix\":\"osd pool get\",\"pool\":\"%s\",\"var\":\"%s\",\"format\":\"json\"}",
		 pool, what);
	if (engine_command(engine, command, answer, sizeof(answer), err) < 0)
		return -1;
	snprintf(key, sizeof(key), "\"%s\":", what);
	found = strstr(answer, key);
	if (!found)
		return err_set(err, EX_PROTOCOL, "the monitors do not say the %s of pool %s", what,
			       pool);
	return atoi(found + strlen(key));
}

static int check_pool(struct engine *engine, const char *pool, bool single_copy,
		      void (*warn)(const char *), struct err *err)
{
	int size = pool_number(engine, pool, "size", err), least;
	char text[512];

	if (size < 0 && err->code == EX_NOPERM) {
		snprintf(text, sizeof(text),
			 "how many copies pool %s keeps is not known: the key may not ask (mon "
			 "'allow r')",
			 pool);
		warn(text);
		return 0;
	}
	if (size < 0)
		return -1;
	if (size == 1 && !single_copy)
		return err_set(err, EX_CONFIG,
			       "pool %s has size 1: one disk that fails takes mail with it. Make "
			       "it 3 (ceph osd pool "
			       "set %s size 3), or say rados { single_copy = yes }",
			       pool, pool);
	least = pool_number(engine, pool, "min_size", err);
	if (size > 1 && least == 1) {
		snprintf(text, sizeof(text),
			 "pool %s has min_size 1: mail that is acknowledged may be on one disk "
			 "alone; make it 2: "
			 "ceph osd pool set %s min_size 2",
			 pool, pool);
		warn(text);
	}
	return least < 0 ? -1 : 0;
}

int health_check(struct engine *engine, const char *pool, const char *bodies, bool single_copy,
		 void (*warn)(const char *text), struct err *err)
{
	if (check_pool(engine, pool, single_copy, warn, err) < 0)
		return -1;
	return bodies && strcmp(bodies, pool) != 0
		       ? check_pool(engine, bodies, single_copy, warn, err)
		       : 0;
}

/* ---- what the key may do ---- */

struct trying {
	struct engine *engine;
	const char *user, *pool, *bodies;
	char name[64];
};

static void ended(struct engine_op *op)
{
	(void)op;
}

static int judge(const struct trying *t, struct engine_op *op, const char *what,
		 enum engine_pool pool, struct err *err)
{
	const char *name = pool == ENGINE_BODIES ? t->bodies : t->pool;

	engine_wait(t->engine, op);
	if (op->result == ENGINE_OK)
		return 0;
	if (op->result != ENGINE_DENIED)
		return err_set(err, EX_TEMPFAIL, "%s in pool %s: %s", what, name,
			       engine_result_text(op));
	return err_set(err, EX_NOPERM,
		       "client.%s may not %s in pool %s: ceph auth caps client.%s mon 'allow r' "
		       "osd 'allow rwx "
		       "pool=%s, allow rw pool=%s'",
		       t->user, what, name, t->user, t->pool, t->bodies);
}

static int try_index(struct trying *t, struct err *err)
{
	static const char generation[] = "00000000000000000000000000000000", cookie[] = "try";
	struct engine_if condition = {.generation = generation, .cookie = cookie};
	struct engine_index index = {.op.done = ended};
	struct engine_op op = {.done = ended};
	int result;

	engine_make(t->engine, t->name, generation, &op);
	if (judge(t, &op, "write", ENGINE_INDEXES, err) < 0)
		return -1;
	engine_lock(t->engine, t->name, cookie, "valijad -t", 10, &op);
	result = judge(t, &op, "lock (x, the class lock)", ENGINE_INDEXES, err);
	if (result == 0) {
		engine_append(t->engine, t->name, &condition, (pop3_span){"x", 1}, &op);
		result = judge(t, &op, "write under a lock", ENGINE_INDEXES, err);
	}
	if (result == 0) {
		engine_index(t->engine, t->name, &index);
		result = judge(t, &index.op, "read", ENGINE_INDEXES, err);
	}
	engine_remove(t->engine, ENGINE_INDEXES, t->name, &op);
	return judge(t, &op, "remove", ENGINE_INDEXES, result < 0 ? NULL : err) < 0 ? -1 : result;
}

static int try_body(struct trying *t, struct err *err)
{
	struct engine_put put = {
		.name = t->name, .octets = {"x", 1}, .owner = {"", 0}, .details = {"", 0}};
	char room[1];
	struct engine_read read = {.op.done = ended, .size = 1, .room = room};
	struct engine_op op = {.done = ended};
	int result;

	engine_put(t->engine, &put, &op);
	if (judge(t, &op, "write", ENGINE_BODIES, err) < 0)
		return -1;
	engine_read(t->engine, t->name, &read);
	result = judge(t, &read.op, "read", ENGINE_BODIES, err);
	engine_remove(t->engine, ENGINE_BODIES, t->name, &op);
	return judge(t, &op, "remove", ENGINE_BODIES, result < 0 ? NULL : err) < 0 ? -1 : result;
}

int health_try(struct engine *engine, const char *user, const char *pool, const char *bodies,
	       struct err *err)
{
	struct trying t = {
		.engine = engine, .user = user, .pool = pool, .bodies = bodies ? bodies : pool};
	unsigned char octets[8];
	char text[17];

	if (random_octets(octets, sizeof(octets)) < 0)
		return err_set(err, EX_OSERR, "the kernel has no random octets");
	hex_encode(octets, sizeof(octets), text);
	snprintf(t.name, sizeof(t.name), "try/%s", text);
	return try_index(&t, err) < 0 || try_body(&t, err) < 0 ? -1 : 0;
}
