/* Operations of the engine that are waited for. See tool.h. */
#include "rados/tool/tool.h"

#include "base/random.h"
#include "base/text.h"
#include "maildrop/rados/body_name.h"

#include <string.h>
#include <sysexits.h>

void tool_ended(struct engine_op *op)
{
	(void)op;
}

int tool_failed(const struct engine_op *op, const char *name, struct err *err)
{
	int code = op->result == ENGINE_DENIED ? EX_NOPERM : EX_TEMPFAIL;

	if (op->code)
		return err_sys(err, code, -op->code, "%s: %s", name, engine_result_text(op));
	return err_set(err, code, "%s: %s", name, engine_result_text(op));
}

int tool_random_text(char ret[ENGINE_GENERATION + 1], struct err *err)
{
	unsigned char octets[ENGINE_GENERATION / 2];

	if (random_octets(octets, sizeof(octets)) < 0)
		return err_set(err, EX_OSERR, "the kernel has no random octets");
	hex_encode(octets, sizeof(octets), ret);
	return 0;
}

int tool_stat(struct tool *tool, const char *name, uint64_t *ret_size, time_t *ret_changed,
	      struct err *err)
{
	struct engine_stat stat = {.op.done = tool_ended};

	engine_stat(tool->engine, name, &stat);
	engine_wait(tool->engine, &stat.op);
	if (stat.op.result == ENGINE_ABSENT)
		return 0;
	if (stat.op.result != ENGINE_OK)
		return tool_failed(&stat.op, name, err);
	*ret_size = stat.size;
	*ret_changed = stat.changed;
	return 1;
}

int tool_remove_body(struct tool *tool, const unsigned char id[DROP_ID], uint32_t last_chunk,
		     struct err *err)
{
	struct engine_op op = {.done = tool_ended};

	for (uint32_t chunk = last_chunk + 1; chunk--;) {
		char name[BODY_NAME_MAX];

		body_name(id, chunk, name);
		engine_remove(tool->engine, ENGINE_BODIES, name, &op);
		engine_wait(tool->engine, &op);
		if (op.result != ENGINE_OK && op.result != ENGINE_ABSENT)
			return tool_failed(&op, name, err);
	}
	return 0;
}

ssize_t tool_read_body(struct tool *tool, const unsigned char id[DROP_ID], uint64_t offset,
		       char *room, size_t size, struct err *err)
{
	struct engine_read read = {
		.op.done = tool_ended, .offset = offset % ENGINE_CHUNK, .size = size, .room = room};
	char name[BODY_NAME_MAX];

	if (read.size > ENGINE_CHUNK - read.offset)
		read.size = ENGINE_CHUNK - read.offset;
	body_name(id, (uint32_t)(offset / ENGINE_CHUNK), name);
	engine_read(tool->engine, name, &read);
	engine_wait(tool->engine, &read.op);
	if (read.op.result != ENGINE_OK)
		return tool_failed(&read.op, name, err);
	return (ssize_t)read.got;
}

static void note_end(struct engine_op *op)
{
	((struct tool_op *)op)->ended = true;
}

void tool_op_init(struct tool_op *op)
{
	*op = (struct tool_op){.op.done = note_end};
}

void tool_op_wait(struct tool *tool, struct tool_op *op)
{
	if (!op->ended)
		engine_wait(tool->engine, &op->op);
}
