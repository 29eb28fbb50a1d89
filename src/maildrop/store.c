/* See store.h: the checks before a store is called. */
#include "maildrop/store.h"

#include "maildrop/driver.h"

#include <assert.h>

unsigned store_abilities(const struct store *store)
{
	return store->ops->abilities;
}

void store_away(struct store *store, bool away)
{
	store->ops->away(store, away);
}

void store_leave(struct store *store, struct store_where *where)
{
	store->ops->leave(store, where);
}

void store_hurry(struct store *store, struct store_where *where)
{
	store->ops->hurry(store, where);
}

void store_opened(struct maildrop *maildrop, struct store *store, struct store_where *where)
{
	maildrop->store = store;
	maildrop->where = where;
}

enum maildrop_status store_try_open(struct store *store, struct store_where *where,
				    const struct store_who *who, struct maildrop **ret)
{
	return store->ops->try_open(store, where, who, ret);
}

enum maildrop_status store_open_empty(struct store *store, struct store_where *where,
				      struct maildrop **ret, struct err *err)
{
	return store->ops->open_empty(store, where, ret, err);
}

void store_open(struct store *store, struct store_where *where, struct store_open *op)
{
	store->ops->open(store, where, op);
}

void store_own(struct maildrop *maildrop, void *owner)
{
	maildrop->owner = owner;
}

static bool has(const struct maildrop *maildrop, uint32_t number)
{
	return number >= 1 && number <= maildrop->snapshot.count;
}

/* No more messages than there are. */
static void bound(const struct maildrop *maildrop, struct store_fetch *op)
{
	uint32_t left = maildrop->snapshot.count - op->first + 1;

	assert(has(maildrop, op->first) && op->count);
	if (op->count > left)
		op->count = left;
	op->ready = op->used = 0;
	op->body.fd = -1;
}

bool store_try_fetch(struct maildrop *maildrop, struct store_fetch *op)
{
	bound(maildrop, op);
	return maildrop->store->ops->try_fetch(maildrop, op);
}

void store_fetch(struct maildrop *maildrop, struct store_fetch *op)
{
	bound(maildrop, op);
	maildrop->store->ops->fetch(maildrop, op);
}

void store_slice(struct maildrop *maildrop, struct store_slice *op)
{
	assert(has(maildrop, op->number) && op->size);
	maildrop->store->ops->slice(maildrop, op);
}

void store_wrong(struct maildrop *maildrop, struct store_wrong *op)
{
	assert(!op->number || has(maildrop, op->number));
	maildrop->store->ops->wrong(maildrop, op);
}

void store_commit(struct maildrop *maildrop, struct store_commit *op)
{
	maildrop->store->ops->commit(maildrop, op);
}

bool store_try_close(struct maildrop *maildrop)
{
	return maildrop->store->ops->try_close(maildrop);
}

void store_close(struct maildrop *maildrop, struct store_close *op)
{
	maildrop->store->ops->close(maildrop, op);
}

void store_usage(struct store *store, struct store_where *where, struct store_usage *op)
{
	store->ops->usage(store, where, op);
}

void store_deliver(struct store *store, struct store_where *where, struct store_deliver *op)
{
	op->counted = false;
	op->head_size = 0;
	op->reply = (struct store_reply){0};
	store->ops->deliver(store, where, op);
}

void store_make(struct store *store, struct store_where *where, struct store_op *op)
{
	assert(store_abilities(store) & STORE_MAKES);
	store->ops->make(store, where, op);
}

void store_cancel(struct store *store, struct store_op *op)
{
	store->ops->cancel(store, op);
}

void store_ask(struct store *store, struct store_where *where, struct store_ask *op)
{
	assert(store_abilities(store) & STORE_NODES);
	op->holding = (struct store_holding){.known = false};
	store->ops->ask(store, where, op);
}

void store_answer(struct store *store, struct store_asked *asked,
		  const struct store_holding *holding)
{
	store->ops->answer(store, asked, holding);
}

void store_tell(struct store *store, pop3_span octets)
{
	assert(store_abilities(store) & STORE_NODES && octets.size <= STORE_TELL_MAX);
	store->ops->tell(store, octets);
}
