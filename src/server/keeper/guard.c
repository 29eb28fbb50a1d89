/* See guard.h. The answers are checked by their row; the monitor is believed. */
#include "server/keeper/guard.h"

#include "base/text.h"
#include "server/keeper/location.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

/* What a worker found; the loop asks about it. */
struct keeper_unproven {
	struct keeper_unproven *next;
	uint64_t home;
	struct guard_facts facts;
};

struct question {
	struct table_node node;   /* key: its number */
	struct loop_timer refuse; /* where it cannot be sent, or need not be */
	struct keeper *keeper;
	struct keeper_guard *guard;
	struct store_proof *proof;
	uint64_t proven; /* what is allowed; 0: nothing was found */
};

static uint64_t hash_of(uint64_t home, const struct guard_facts *facts)
{
	uint64_t parts[] = {home, facts->folders[0], facts->folders[1], facts->has,
			    hash_octets(facts->rule, strlen(facts->rule))};

	return hash_octets(parts, sizeof(parts)) | 1;
}

/* ---- in a worker ---- */

static int judge(void *context, const char *location, const struct guard_facts *facts,
		 struct err *err)
{
	struct keeper_guard *guard = context;
	struct keeper_unproven *found = calloc(1, sizeof(*found));
	bool known = false;

	if (!found) {
		err_set(err, EX_TEMPFAIL, "maildrop %s: out of memory", location);
		return MAILDROP_TEMP;
	}
	found->home = hash_octets(location, strlen(location));
	found->facts = *facts;
	pthread_mutex_lock(&guard->lock);
	for (unsigned i = 0; i < KEEPER_PROVEN && !known; i++)
		known = guard->proven[i] == hash_of(found->home, facts);
	if (!known) {
		found->next = guard->unproven;
		guard->unproven = found;
		found = NULL;
	}
	pthread_mutex_unlock(&guard->lock);
	free(found);
	err_set(err, EX_TEMPFAIL, "maildrop %s: the register was not asked about it", location);
	return known ? MAILDROP_OK : MAILDROP_UNPROVEN;
}

/* ---- on the loop ---- */

void keeper_guard_init(struct keeper_guard *guard)
{
	memset(guard, 0, sizeof(*guard));
	pthread_mutex_init(&guard->lock, NULL);
	guard->guard = (struct guard){judge, guard};
}

static struct keeper_unproven *take_unproven(struct keeper_guard *guard, const char *location)
{
	uint64_t home = hash_octets(location, strlen(location));
	struct keeper_unproven **at, *found = NULL;

	pthread_mutex_lock(&guard->lock);
	for (at = &guard->unproven; *at && (*at)->home != home; at = &(*at)->next)
		;
	if (*at) {
		found = *at;
		*at = found->next;
	}
	pthread_mutex_unlock(&guard->lock);
	return found;
}

static void remember(struct keeper_guard *guard, uint64_t proven)
{
	pthread_mutex_lock(&guard->lock);
	guard->proven[guard->next++ % KEEPER_PROVEN] = proven;
	pthread_mutex_unlock(&guard->lock);
}

static int post(struct keeper *keeper, enum ipc_guard_ask ask, uint64_t number,
		const struct keeper_place *place, const struct guard_facts *facts)
{
	struct ipc_guard message = {.number = number,
				    .folders = {facts->folders[0], facts->folders[1]},
				    .ask = ask,
				    .root = place->root->index,
				    .has = facts->has};
	const pop3_span texts[] = {span_of(place->path), span_of(facts->rule)};

	return ipc_send_texts(&keeper->child->monitor, IPC_GUARD, &message, texts, 2);
}

static void finish(struct question *question, bool allowed, const char *why)
{
	struct keeper *keeper = question->keeper;

	table_remove(&keeper->proofs, &question->node);
	loop_timer_cancel(&question->refuse);
	if (allowed && question->proven)
		remember(question->guard, question->proven);
	question->proof->done(question->proof, allowed, why);
	free(question);
	keeper_done(keeper);
}

static void refuse(struct loop_timer *timer)
{
	struct question *question = timer->context;

	finish(question, !question->proven, "the monitor takes no question about it");
}

void keeper_guard_prove(struct store_where *where, struct store_proof *proof)
{
	struct keeper_place *place = CONTAINER(where, struct keeper_place, where);
	struct keeper *keeper = place->root->keeper;
	struct keeper_unproven *found = take_unproven(&place->root->guard, place->path);
	struct question *question = calloc(1, sizeof(*question));

	if (!question)
		abort();
	question->keeper = keeper;
	question->guard = &place->root->guard;
	question->proof = proof;
	question->proven = found ? hash_of(found->home, &found->facts) : 0;
	loop_timer_init(&question->refuse, keeper->child->loop, refuse, question);
	question->node.key = ++keeper->question_number;
	table_add(&keeper->proofs, &question->node, question->node.key);
	keeper_begin(keeper);
	/* not found: another one took it; the work is tried again */
	if (!found || post(keeper, GUARD_JUDGE, question->node.key, place, &found->facts) < 0)
		loop_timer_set(&question->refuse, 0);
	free(found);
}

bool keeper_guard_answer(struct keeper *keeper, const struct ipc_location_answer *message)
{
	struct table_node *node = table_find(&keeper->proofs, message->number);
	char why[IPC_TEXT_MAX + 1];

	if (!node)
		return false;
	(void)span_copy(ipc_text(message, 0), why, sizeof(why));
	finish(CONTAINER(node, struct question, node), message->allowed != 0, why);
	return true;
}

void keeper_guard_seen(struct keeper *keeper, const struct keeper_place *place,
		       const struct maildrop_snapshot *snapshot)
{
	struct keeper_seen *seen = &keeper->seen[place->node.key % KEEPER_SEEN];
	uint64_t folders = snapshot->folders[0] ^ snapshot->folders[1] << 32;
	struct guard_facts facts = {.folders = {snapshot->folders[0], snapshot->folders[1]},
				    .has = GUARD_FILES | (snapshot->has_ids ? GUARD_IDS : 0u)};

	if (!snapshot->folders[0] || !snapshot->folders[1]) {
		keeper_location_seen(keeper, place);
		return;
	}
	if (seen->key == place->node.key && seen->folders == folders && !snapshot->has_ids)
		return;
	if (snapshot->rule)
		(void)span_copy(span_of(snapshot->rule), facts.rule, sizeof(facts.rule));
	if (post(keeper, GUARD_SEEN, 0, place, &facts) == 0)
		*seen = (struct keeper_seen){place->node.key, folders};
}

void keeper_guard_tripped(struct keeper *keeper, const struct keeper_place *place)
{
	const struct guard_facts none = {0};
	struct keeper_seen *seen = &keeper->seen[place->node.key % KEEPER_SEEN];

	*seen = (struct keeper_seen){0}; /* what comes afterwards is reported again */
	(void)post(keeper, GUARD_TRIPPED, 0, place, &none);
}
