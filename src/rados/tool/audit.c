/* See audit.h. */
#include "rados/tool/audit.h"

#include "base/text.h"
#include "maildrop/rados/body_name.h"
#include "maildrop/rados/mark.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char NOTE[] = "orphan";

static int find_owner(struct tool *tool, const char *object, struct orphan *orphan, struct err *err)
{
	struct engine_attribute owner = {.op.done = tool_ended};

	engine_attribute(tool->engine, object, "maildrop", &owner);
	engine_wait(tool->engine, &owner.op);
	if (owner.op.result == ENGINE_OK)
		snprintf(orphan->owner, sizeof(orphan->owner), "%s", owner.value);
	else if (owner.op.result != ENGINE_ABSENT)
		return tool_failed(&owner.op, object, err);
	return 0;
}

/* When a sweep saw it first. */
static int find_note(struct tool *tool, const char *object, time_t now, struct orphan *orphan,
		     struct err *err)
{
	struct engine_attribute note = {.op.done = tool_ended};
	uint64_t since = 0;

	engine_attribute(tool->engine, object, NOTE, &note);
	engine_wait(tool->engine, &note.op);
	if (note.op.result != ENGINE_OK && note.op.result != ENGINE_ABSENT)
		return tool_failed(&note.op, object, err);
	orphan->noted = note.op.result == ENGINE_OK &&
			span_number(span_of(note.value), INT64_MAX, &since) == 0;
	orphan->young = !orphan->noted || (int64_t)since > (int64_t)now - (int64_t)tool->orphan_s;
	return 0;
}

int orphan_note(struct tool *tool, const struct orphan *orphan, time_t now, struct err *err)
{
	char object[BODY_NAME_MAX], text[24];
	struct engine_op op = {.done = tool_ended};

	tool_body_object(orphan->body, object);
	snprintf(text, sizeof(text), "%lld", (long long)now);
	engine_set_attribute(tool->engine, object, NOTE, text, &op);
	engine_wait(tool->engine, &op);
	return op.result == ENGINE_OK || op.result == ENGINE_ABSENT ? 0
								    : tool_failed(&op, object, err);
}

static int find_index(struct tool *tool, struct orphan *orphan, struct err *err)
{
	struct engine_index index = {.op.done = tool_ended};
	char name[ENGINE_NAME_MAX + 2];

	if (!*orphan->owner)
		return 0;
	snprintf(name, sizeof(name), "x/%s", orphan->owner);
	engine_index(tool->engine, name, &index);
	engine_wait(tool->engine, &index.op);
	orphan->has_index = index.op.result == ENGINE_OK;
	if (index.op.result != ENGINE_OK && index.op.result != ENGINE_ABSENT)
		return tool_failed(&index.op, name, err);
	return 0;
}

/* 1: it is one; 0: it is gone; -1: err. */
static int look(struct tool *tool, const struct tool_body *body, time_t now, struct orphan *ret,
		struct err *err)
{
	char object[BODY_NAME_MAX];
	time_t changed; /* by the clock of the node that wrote it: not looked at */
	int rc;

	*ret = (struct orphan){.body = body};
	tool_body_object(body, object);
	rc = tool_stat(tool, object, &ret->size, &changed, err);
	if (rc <= 0)
		return rc;
	if (find_note(tool, object, now, ret, err) < 0)
		return -1;
	if (ret->young)
		return 1;
	return find_owner(tool, object, ret, err) < 0 || find_index(tool, ret, err) < 0 ? -1 : 1;
}

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct orphan *)a)->owner, ((const struct orphan *)b)->owner);
}

int orphans_find(struct tool *tool, const struct tool_bodies *bodies, struct orphans *ret,
		 struct err *err)
{
	size_t room = 0;

	*ret = (struct orphans){0};
	if (engine_time(tool->engine, mark_name, &ret->now, err) < 0)
		return -1;
	for (size_t i = 0; i < bodies->count; i++) {
		const struct tool_body *body = &bodies->bodies[i];
		int rc;

		if (body->added || body->deleted)
			continue;
		if (ret->count == room) {
			room = room * 2 + 16;
			ret->items = realloc(ret->items, room * sizeof(*ret->items));
			if (!ret->items)
				abort();
		}
		rc = look(tool, body, ret->now, &ret->items[ret->count], err);
		if (rc < 0)
			return -1;
		ret->count += (size_t)rc;
	}
	if (ret->count)
		qsort(ret->items, ret->count, sizeof(*ret->items), compare);
	return 0;
}

void orphans_finish(struct orphans *orphans)
{
	free(orphans->items);
}
