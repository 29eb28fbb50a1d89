/* See audit.h. */
#include "rados/tool/audit.h"

#include "maildrop/rados/body_name.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int find_owner(struct tool *tool, const char *object, struct orphan *orphan, struct err *err)
{
	struct engine_owner owner = {.op.done = tool_ended};

	engine_owner(tool->engine, object, &owner);
	engine_wait(tool->engine, &owner.op);
	if (owner.op.result == ENGINE_OK)
		snprintf(orphan->owner, sizeof(orphan->owner), "%s", owner.owner);
	else if (owner.op.result != ENGINE_ABSENT)
		return tool_failed(&owner.op, object, err);
	return 0;
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
static int look(struct tool *tool, const struct tool_body *body, struct orphan *ret,
		struct err *err)
{
	char object[BODY_NAME_MAX];
	time_t changed, now = time(NULL);
	int rc;

	*ret = (struct orphan){.body = body};
	tool_body_object(body, object);
	rc = tool_stat(tool, object, &ret->size, &changed, err);
	if (rc <= 0)
		return rc;
	ret->young = changed > now - ORPHAN_AGE_S;
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
		rc = look(tool, body, &ret->items[ret->count], err);
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
