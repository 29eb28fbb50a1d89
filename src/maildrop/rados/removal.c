/* Bodies that are not wanted any more: a few at a time, the first object of each last, so that one
 * that is there means that all may be. */
#include "maildrop/rados/pool_private.h"

#include "base/log.h"

#include <stdlib.h>

enum { AT_ONCE = 16 };

struct step {
	struct engine_op op;
	struct removal *removal;
	struct removal_item *item;
	uint32_t left; /* objects of the body behind this one */
};

static void advance(struct removal *removal);

static void remove_chunk(struct step *step)
{
	char name[BODY_NAME_MAX];

	body_name(step->item->id, step->left, name);
	engine_remove(step->removal->pool->engine, ENGINE_BODIES, name, &step->op);
}

static void removed(struct engine_op *op)
{
	struct step *step = CONTAINER(op, struct step, op);
	struct removal *removal = step->removal;

	/* any other outcome: the object may be there still */
	if (op->result == ENGINE_OK || op->result == ENGINE_ABSENT) {
		if (step->left--) {
			remove_chunk(step);
			return;
		}
		step->item->gone = true;
	}
	free(step);
	removal->under_way--;
	pool_done(removal->pool);
	advance(removal);
}

static void begin_item(struct removal *removal)
{
	struct step *step = calloc(1, sizeof(*step));

	if (!step)
		abort();
	step->op.done = removed;
	step->removal = removal;
	step->item = &removal->items[removal->next++];
	step->left = body_chunks(step->item->stored) - 1;
	removal->under_way++;
	pool_begin(removal->pool);
	remove_chunk(step);
}

static void advance(struct removal *removal)
{
	bool stop = removal->stop && *removal->stop;

	while (!stop && removal->next < removal->count && removal->under_way < AT_ONCE)
		begin_item(removal);
	if (!removal->under_way && !removal->over) {
		removal->over = true;
		removal->done(removal);
	}
}

void removal_begin(struct removal *removal)
{
	removal->next = removal->under_way = 0;
	removal->over = false;
	advance(removal);
}

static void over(struct removal *removal)
{
	size_t left = 0;

	for (size_t i = 0; i < removal->count; i++)
		left += !removal->items[i].gone;
	if (left)
		log_info("%zu deleted messages still lie in the cluster: a later session, or "
			 "`valija rados "
			 "sweep`, removes them",
			 left);
	free(removal->items);
	free(removal);
}

void removal_in_background(struct pool *pool, struct removal_item *items, size_t count)
{
	struct removal *removal = calloc(1, sizeof(*removal));

	if (!removal)
		abort();
	*removal = (struct removal){.done = over, .pool = pool, .items = items, .count = count};
	removal_begin(removal);
}
