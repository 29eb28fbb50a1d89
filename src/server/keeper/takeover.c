/* See takeover.h. */
#include "server/keeper/takeover.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>

/* Another keeper that wants a maildrop: the last one that asked. */
struct keeper_asker {
	uint64_t asker, number, idle;
	bool take;
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

/* Perhaps a keeper of another generation has it. */
static void ask_others(struct keeper_opening *opening)
{
	struct keeper *keeper = opening->session->keeper;
	struct ipc_take message = {.number = ++keeper->question_number,
				   .idle = most_idle(keeper),
				   .take = keeper->child->config->takeover,
				   .root = opening->session->place->root->index};
	pop3_span path = span_of(opening->session->place->path);

	if (ipc_send_texts(&keeper->child->monitor, IPC_TAKE, &message, &path, 1) < 0)
		return;
	opening->taking = true;
	table_add(&keeper->takes, &opening->take, message.number);
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

static void answer_asker(struct keeper *keeper, struct keeper_place *place,
			 const struct ipc_holder *holder, bool taken)
{
	struct ipc_taken message = {.asker = place->asker->asker,
				    .number = place->asker->number,
				    .since = holder->since,
				    .idle = holder->idle,
				    .taken = taken};

	memcpy(message.address, holder->address, sizeof(message.address));
	ipc_send(&keeper->child->monitor, IPC_TAKEN, &message);
	free(place->asker);
	place->asker = NULL;
}

static void set_holding(struct keeper_opening *opening, uint64_t since, uint64_t idle,
			const uint8_t address[16], bool taken)
{
	opening->holding = (struct keeper_holding){.since = since, .idle = idle, .known = true};
	memcpy(opening->holding.address, address, sizeof(opening->holding.address));
	if (taken)
		opening->tries = 0; /* the lock will be free soon */
}

void keeper_holder(struct keeper_session *session, const struct ipc_holder *message)
{
	struct keeper *keeper = session->keeper;
	struct keeper_place *place = session->place;
	bool own = keeper->child->config->takeover && message->idle >= most_idle(keeper) &&
		   place->waiting,
	     other = place->asker && place->asker->take && message->idle >= place->asker->idle,
	     taken = (own || other) && may_end(session, message);

	if (!session->asked) {
		peer_break(keeper_session_front(session), "it answers what was not asked");
		return;
	}
	session->asked = false;
	for (struct keeper_opening *waiting = place->waiting; waiting;
	     waiting = waiting->next_waiting)
		set_holding(waiting, message->since, message->idle, message->address, taken);
	if (place->asker)
		answer_asker(keeper, place, message, taken);
	if (taken)
		keeper_session_gone(session, REASON_TAKEN_OVER);
}

void keeper_take(struct keeper *keeper, const struct ipc_take *message)
{
	struct keeper_place *place = keeper_place_find(keeper, message->root, ipc_text(message, 0));

	if (!place || !place->holder)
		return;
	if (!place->asker)
		place->asker = calloc(1, sizeof(*place->asker));
	if (!place->asker)
		return; /* the other keeper's login gets no answer, and is refused */
	*place->asker = (struct keeper_asker){.asker = message->asker,
					      .number = message->number,
					      .idle = message->idle,
					      .take = message->take};
	ask_front(place->holder);
}

void keeper_taken(struct keeper *keeper, const struct ipc_taken *message)
{
	struct table_node *node = table_find(&keeper->takes, message->number);

	if (node) /* else that login is over */
		set_holding(CONTAINER(node, struct keeper_opening, take), message->since,
			    message->idle, message->address, message->taken);
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
		keeper_session_gone(session, REASON_MAILDROP_TEMP);
		break;
	}
}
