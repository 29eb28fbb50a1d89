/* See usage.h. A question changes nothing, and an answer that the store cannot find is none. */
#include "server/keeper/usage.h"

#include <stdlib.h>

enum {
	QUESTIONS_MAX = 4 * IPC_USAGE_CREDITS, /* more than an honest auth has, and one before it */
};

struct question {
	struct store_usage usage;
	struct keeper *keeper;
	struct keeper_place *place;
	struct maildrop_quota quota;
	uint64_t auth, number, size;
};

bool keeper_over_quota(const struct maildrop_quota *quota, const struct maildrop_usage *usage,
		       uint64_t size)
{
	return (quota->max_messages && usage->messages >= quota->max_messages) ||
	       (quota->max_octets &&
		(usage->octets >= quota->max_octets || size > quota->max_octets - usage->octets));
}

enum reason keeper_over_quota_reason(const struct keeper *keeper)
{
	return keeper->child->config->quota_permanent ? REASON_OVER_QUOTA_PERM : REASON_OVER_QUOTA;
}

static void answer(struct peer *auth, uint64_t number, enum reason reason)
{
	struct ipc_usage_answer message = {.number = number, .reason = reason};

	peer_send(auth, IPC_USAGE_ANSWER, &message);
}

static enum reason reason_of(const struct question *question)
{
	if (question->usage.op.status == MAILDROP_GUARDED)
		return REASON_GUARD;
	if (question->usage.op.status != MAILDROP_OK)
		return REASON_MAILDROP_TEMP;
	return keeper_over_quota(&question->quota, &question->usage.usage, question->size)
		       ? keeper_over_quota_reason(question->keeper)
		       : REASON_OK;
}

static void counted(struct store_op *op)
{
	struct question *question = (struct question *)op;
	struct keeper *keeper = question->keeper;
	struct peer *auth = child_peer(keeper->child, ROLE_AUTH, question->auth);

	if (auth)
		answer(auth, question->number, reason_of(question));
	keeper_place_release(keeper, question->place);
	free(question);
	keeper->usage_questions--;
	keeper_done(keeper);
}

void keeper_usage(struct peer *auth, const struct ipc_usage *message)
{
	struct keeper *keeper = auth->child->state;
	struct keeper_root *root = keeper_root_of(keeper, message->root);
	struct question *question;

	if (!root) {
		peer_break(auth, "a maildrop in a folder that is not there");
		return;
	}
	if (keeper->usage_questions >= QUESTIONS_MAX || root->away ||
	    !(store_abilities(root->store) & STORE_QUOTA)) {
		answer(auth, message->number, REASON_MAILDROP_TEMP);
		return;
	}
	question = calloc(1, sizeof(*question));
	if (question)
		question->place = keeper_place_take(keeper, root, ipc_text(message, 1));
	if (!question || !question->place)
		abort();
	question->keeper = keeper;
	question->quota = (struct maildrop_quota){message->quota_messages, message->quota_octets};
	question->auth = auth->instance;
	question->number = message->number;
	question->size = message->size;
	question->usage.op.done = counted;
	keeper->usage_questions++;
	keeper_begin(keeper);
	store_usage(root->store, &question->place->where, &question->usage);
}
