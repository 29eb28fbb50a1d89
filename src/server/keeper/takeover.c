/* See takeover.h. */
#include "server/keeper/takeover.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>

enum {
	/* a node that is far away, or hangs: some seconds. Then its client tries again */
	ASKING_RETRIES = 60,
	TAKEN_RETRIES = 100,
	ASKERS_MAX = 64, /* at one session */
};

static uint64_t most_idle(const struct keeper *keeper)
{
	return keeper->child->config->takeover_seconds * 1000ull;
}

static void ask_front(struct keeper_session *holder)
{
	struct ipc_session message = {.session = holder->node.key};
	struct peer *front = keeper_session_front(holder);

	if (!front || holder->asked)
		return;
	holder->asked = true;
	peer_send(front, IPC_HOLDER_ASK, &message);
}

static void set_holding(struct keeper_opening *opening, const struct store_holding *holding)
{
	opening->holding = *holding;
	if (holding->taken)
		opening->tries = 0; /* the lock will be free soon */
}

/* Perhaps a keeper of another generation has it. */
static void ask_generations(struct keeper_opening *opening)
{
	struct keeper *keeper = opening->session->keeper;
	struct ipc_take message = {.number = opening->take.key,
				   .idle = most_idle(keeper),
				   .take = keeper->child->config->takeover,
				   .root = opening->session->place->root->index};
	pop3_span path = span_of(opening->session->place->path);

	(void)ipc_send_texts(&keeper->child->monitor, IPC_TAKE, &message, &path, 1);
}

/* A question to other machines; the login may be over before the answer. */
struct node_ask {
	struct store_ask ask;
	struct keeper *keeper;
	uint64_t number;
};

static void nodes_answered(struct store_op *op)
{
	struct node_ask *ask = CONTAINER(CONTAINER(op, struct store_ask, op), struct node_ask, ask);
	struct table_node *node = table_find(&ask->keeper->takes, ask->number);
	struct keeper_opening *opening = node ? CONTAINER(node, struct keeper_opening, take) : NULL;

	if (opening)
		opening->patience = ask->ask.holding.taken ? TAKEN_RETRIES : KEEPER_RETRIES;
	if (opening && ask->ask.holding.known)
		set_holding(opening, &ask->ask.holding);
	free(ask);
}

static void ask_nodes(struct keeper_opening *opening)
{
	struct keeper_place *place = opening->session->place;
	struct keeper *keeper = opening->session->keeper;
	struct node_ask *ask;

	if (!(store_abilities(place->root->store) & STORE_NODES))
		return;
	ask = calloc(1, sizeof(*ask));
	if (!ask)
		return; /* the login is refused */
	ask->ask.op.done = nodes_answered;
	ask->ask.idle = most_idle(keeper);
	ask->ask.take = keeper->child->config->takeover;
	ask->keeper = keeper;
	ask->number = opening->take.key;
	if (ask->ask.take)
		opening->patience = ASKING_RETRIES;
	store_ask(place->root->store, &place->where, &ask->ask);
}

static void ask_others(struct keeper_opening *opening)
{
	struct keeper *keeper = opening->session->keeper;

	opening->taking = true;
	table_add(&keeper->takes, &opening->take, ++keeper->question_number);
	ask_generations(opening);
	ask_nodes(opening);
}

void keeper_ask_holder(struct keeper_session *session)
{
	if (session->place->holder)
		ask_front(session->place->holder);
	else
		ask_others(session->opening);
}

/* Nothing of it is under way, and its client waits for nothing. */
static bool may_end(const struct keeper_session *session, const struct ipc_holder *message)
{
	return !message->busy && !session->jobs && keeper_session_ready(session);
}

static void answer_asker(struct keeper *keeper, const struct keeper_place *place,
			 const struct keeper_asker *asker, const struct store_holding *holding)
{
	struct ipc_taken message = {.asker = asker->asker,
				    .number = asker->number,
				    .since = holding->since,
				    .idle = holding->idle,
				    .taken = holding->taken};

	if (asker->asked) {
		store_answer(place->root->store, asker->asked, holding);
		return;
	}
	memcpy(message.address, holding->address, sizeof(message.address));
	ipc_send(&keeper->child->monitor, IPC_TAKEN, &message);
}

static void answer_askers(struct keeper *keeper, struct keeper_place *place,
			  const struct store_holding *holding)
{
	struct keeper_asker *asker;

	while ((asker = place->askers)) {
		place->askers = asker->next;
		answer_asker(keeper, place, asker, holding);
		free(asker);
	}
}

static bool is_taken(const struct keeper_session *session, uint64_t idle)
{
	const struct keeper *keeper = session->keeper;
	const struct keeper_place *place = session->place;
	bool taken = keeper->child->config->takeover && idle >= most_idle(keeper) && place->waiting;

	for (const struct keeper_asker *asker = place->askers; asker; asker = asker->next)
		taken = taken || (asker->take && idle >= asker->idle);
	return taken;
}

void keeper_holder(struct keeper_session *session, const struct ipc_holder *message)
{
	struct keeper_place *place = session->place;
	struct store_holding holding = {
		.since = message->since, .idle = message->idle, .known = true};

	if (!session->asked) {
		peer_break(keeper_session_front(session), "it answers what was not asked");
		return;
	}
	session->asked = false;
	memcpy(holding.address, message->address, sizeof(holding.address));
	holding.taken = is_taken(session, message->idle) && may_end(session, message);
	for (struct keeper_opening *waiting = place->waiting; waiting;
	     waiting = waiting->next_waiting)
		set_holding(waiting, &holding);
	answer_askers(session->keeper, place, &holding);
	if (holding.taken)
		keeper_session_gone(session, REASON_TAKEN_OVER);
}

/* NULL: too many wait already, or there is no memory. */
static struct keeper_asker *add_asker(struct keeper_place *place)
{
	struct keeper_asker *asker;
	unsigned count = 0;

	for (asker = place->askers; asker; asker = asker->next)
		count++;
	asker = count < ASKERS_MAX ? calloc(1, sizeof(*asker)) : NULL;
	if (!asker)
		return NULL;
	asker->next = place->askers;
	place->askers = asker;
	return asker;
}

/* The one of this machine's other keepers that asked last, if one did. */
static struct keeper_asker *keeper_that_asked(struct keeper_place *place)
{
	struct keeper_asker *asker = place->askers;

	while (asker && asker->asked)
		asker = asker->next;
	return asker;
}

void keeper_take(struct keeper *keeper, const struct ipc_take *message)
{
	struct keeper_place *place = keeper_place_find(keeper, message->root, ipc_text(message, 0));
	struct keeper_asker *asker;

	if (!place || !place->holder)
		return;
	asker = keeper_that_asked(place);
	if (!asker)
		asker = add_asker(place);
	if (!asker)
		return; /* the other keeper's login gets no answer, and is refused */
	asker->asker = message->asker;
	asker->number = message->number;
	asker->idle = message->idle;
	asker->take = message->take;
	ask_front(place->holder);
}

void keeper_store_asked(void *owner, struct store_asked *asked)
{
	const struct store_holding unknown = {.known = false};
	struct keeper_session *session = owner;
	struct keeper_place *place = session->place;
	struct keeper_asker *asker = NULL;

	if (place->holder == session && keeper_session_front(session))
		asker = add_asker(place);
	if (!asker) {
		store_answer(place->root->store, asked, &unknown);
		return;
	}
	asker->idle = asked->idle;
	asker->take = asked->take;
	asker->asked = asked;
	ask_front(session);
}

void keeper_taken(struct keeper *keeper, const struct ipc_taken *message)
{
	struct table_node *node = table_find(&keeper->takes, message->number);
	struct store_holding holding = {.since = message->since,
					.idle = message->idle,
					.known = true,
					.taken = message->taken};

	memcpy(holding.address, message->address, sizeof(holding.address));
	if (node) /* else that login is over */
		set_holding(CONTAINER(node, struct keeper_opening, take), &holding);
}

void keeper_store_event(void *owner, enum store_event what)
{
	struct keeper_session *session = owner;

	if (!session || session->closing)
		return;
	switch (what) {
	case STORE_TAKEN:
		keeper_session_gone(session, REASON_TAKEN_OVER);
		break;
	case STORE_LOST:
	case STORE_WRONG:
		keeper_session_failed(session, RECORD_MAILDROP_FAILED,
				      what == STORE_WRONG ? "the open maildrop has changed"
				      : session->place->root->remote
					      ? "the other server has ended the session"
					      : "the lock of the open maildrop is gone");
		if (session->open)
			keeper_session_gone(session, REASON_MAILDROP_TEMP);
		else
			keeper_close(session); /* GO is answered by it */
		break;
	}
}
