/* All bodies of a pool, by their names alone. See tool.h. */
#include "rados/tool/tool.h"

#include "maildrop/rados/body_name.h"
#include "maildrop/rados/mark.h"

#include <stdlib.h>
#include <string.h>

static bool add(void *context, const char *name)
{
	struct tool_bodies *all = context;
	struct tool_body body = {.parts = 1};

	if (body_name_parse(name, body.id, &body.last) < 0) {
		all->strange += name[0] == 'm' && name[1] == '/';
		return true;
	}
	body.first = body.last == 0;
	if (all->count == all->room) {
		all->room = all->room * 2 + 1024;
		all->bodies = realloc(all->bodies, all->room * sizeof(*all->bodies));
		if (!all->bodies)
			abort();
	}
	all->bodies[all->count++] = body;
	return true;
}

static int compare(const void *a, const void *b)
{
	return memcmp(((const struct tool_body *)a)->id, ((const struct tool_body *)b)->id,
		      DROP_ID);
}

/* The objects of one body become one. */
static void merge(struct tool_bodies *all)
{
	size_t n = 0;

	for (size_t i = 0; i < all->count; i++) {
		const struct tool_body *body = &all->bodies[i];
		struct tool_body *last = n ? &all->bodies[n - 1] : NULL;

		if (!last || memcmp(last->id, body->id, DROP_ID) != 0) {
			all->bodies[n++] = *body;
			continue;
		}
		last->parts += body->parts;
		last->first = last->first || body->first;
		if (body->last > last->last)
			last->last = body->last;
	}
	all->count = n;
}

int tool_bodies_list(struct tool *tool, struct tool_bodies *ret, struct err *err)
{
	*ret = (struct tool_bodies){0};
	if (engine_list(tool->engine, ENGINE_BODIES, "m/", add, ret, err) < 0)
		return -1;
	if (ret->count)
		qsort(ret->bodies, ret->count, sizeof(*ret->bodies), compare);
	merge(ret);
	return 0;
}

void tool_bodies_finish(struct tool_bodies *bodies)
{
	free(bodies->bodies);
}

struct tool_body *tool_bodies_find(const struct tool_bodies *bodies,
				   const unsigned char id[DROP_ID])
{
	struct tool_body key;

	memcpy(key.id, id, DROP_ID);
	if (!bodies->count)
		return NULL;
	return bsearch(&key, bodies->bodies, bodies->count, sizeof(key), compare);
}

void tool_body_object(const struct tool_body *body, char ret[DROP_ID_TEXT + 16])
{
	body_name(body->id, body->first ? 0 : body->last, ret);
}
