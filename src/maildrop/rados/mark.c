/* See mark.h. */
#include "maildrop/rados/mark.h"

#include "base/random.h"
#include "base/text.h"

#include <sysexits.h>

const char mark_name[] = "valija";

static void ended(struct engine_op *op)
{
	(void)op;
}

static int failed(const struct engine_op *op, const char *what, struct err *err)
{
	if (op->code)
		return err_sys(err, op->result == ENGINE_DENIED ? EX_NOPERM : EX_TEMPFAIL,
			       -op->code, "%s: %s", what, engine_result_text(op));
	return err_set(err, EX_TEMPFAIL, "%s: %s", what, engine_result_text(op));
}

int mark_make(struct engine *engine, struct err *err)
{
	struct engine_put put = {
		.name = mark_name, .octets = {"", 0}, .owner = {"", 0}, .details = {"1", 1}};
	char generation[ENGINE_GENERATION + 1];
	unsigned char octets[ENGINE_GENERATION / 2];
	struct engine_op op = {.done = ended};

	if (random_octets(octets, sizeof(octets)) < 0)
		return err_set(err, EX_OSERR, "the kernel has no random octets");
	hex_encode(octets, sizeof(octets), generation);
	engine_put(engine, &put, &op);
	engine_wait(engine, &op);
	if (op.result != ENGINE_OK && op.result != ENGINE_EXISTS)
		return failed(&op, "the pool of bodies cannot be marked", err);
	engine_make(engine, mark_name, generation, &op);
	engine_wait(engine, &op);
	if (op.result != ENGINE_OK && op.result != ENGINE_EXISTS)
		return failed(&op, "the pool cannot be marked", err);
	return 0;
}

int mark_look(struct engine *engine, struct err *err)
{
	struct engine_index index = {.op.done = ended};
	struct engine_stat stat = {.op.done = ended};

	engine_index(engine, mark_name, &index);
	engine_wait(engine, &index.op);
	engine_stat(engine, mark_name, &stat);
	engine_wait(engine, &stat.op);
	if (index.op.result == ENGINE_ABSENT || stat.op.result == ENGINE_ABSENT)
		return 0;
	if (index.op.result != ENGINE_OK)
		return failed(&index.op, "the mark of the pool cannot be read", err);
	if (stat.op.result != ENGINE_OK)
		return failed(&stat.op, "the mark of the pool of bodies cannot be read", err);
	return 1;
}
