/* See usage.h. A question has a part for each user with a quota; it is answered when one is over
 * it, when all parts are answered, or when its time is over. A part lives on until its keeper
 * answered or is gone: so the parts of a keeper that hangs are counted, and an answer to none is
 * seen. */
#include "server/auth/usage.h"

#include "base/text.h"
#include "server/auth/keepers.h"
#include "sys/loop_deadlines.h"
#include "users/site.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum {
	ANSWER_MS = 5 * 1000,
	PARTS_MAX = 512, /* of all questions; fewer than mta's credits, so that others go on */
};

struct usages {
	struct auth *auth;
	struct table parts; /* that keepers were sent; key: the number of the question there */
	unsigned count;     /* parts that there are */
	uint64_t last_number;
	struct loop_deadlines answer;
};

struct question {
	struct usages *usages;
	struct loop_deadline deadline;
	uint64_t mta, session, size, until;
	unsigned parts;
	bool answered;
	enum reason reason; /* so far */
};

struct part {
	struct auth_waiting waiting; /* first; for a keeper that is being started */
	struct table_node node;
	struct question *question;
	uint64_t keeper; /* instance that was asked */
	struct site_quota quota;
	struct user user; /* without its secret */
};

static void answer(struct question *question, enum reason reason)
{
	struct peer *mta = child_peer(question->usages->auth->child, ROLE_MTA, question->mta);
	struct ipc_whose_answer message = {.session = question->session, .reason = reason};
	pop3_span none = SPAN_LITERAL("");

	if (question->answered)
		return;
	question->answered = true;
	loop_deadline_cancel(&question->deadline);
	if (mta)
		peer_send_texts(mta, IPC_WHOSE_ANSWER, &message, &none, 1);
}

static bool is_over(enum reason reason)
{
	return reason == REASON_OVER_QUOTA || reason == REASON_OVER_QUOTA_PERM;
}

static void drop_question(struct question *question)
{
	if (question->parts)
		return;
	answer(question, question->reason);
	free(question);
}

/* The part's answer is there, or does not come: then it is doubtful. */
static void part_over(struct part *part, enum reason reason)
{
	struct question *question = part->question;

	if (reason != REASON_OK)
		question->reason = reason;
	if (is_over(reason))
		answer(question, reason);
	question->usages->count--;
	question->parts--;
	free(part);
	drop_question(question);
}

static void no_answer(struct loop_deadlines *deadlines, struct loop_deadline *deadline)
{
	(void)deadlines;
	answer(CONTAINER(deadline, struct question, deadline), REASON_STORE_DOWN);
}

/* ---- keepers ---- */

static void send_part(struct part *part, struct peer *keeper)
{
	struct usages *usages = part->question->usages;
	struct ipc_usage message = {.number = ++usages->last_number,
				    .size = part->question->size,
				    .quota_messages = part->quota.messages,
				    .quota_octets = part->quota.octets,
				    .root = part->user.root};
	pop3_span texts[] = {span_of(part->user.name), span_of(user_home(&part->user))};

	if (keeper->unanswered >= IPC_USAGE_CREDITS ||
	    auth_pass_on(keeper, IPC_USAGE, &message, texts, 2) < 0) {
		part_over(part, REASON_STORE_DOWN);
		return;
	}
	keeper->unanswered++;
	part->keeper = keeper->instance;
	table_add(&usages->parts, &part->node, message.number);
}

/* Sends the part, or waits for its keeper. */
static void find_keeper(struct part *part)
{
	struct auth *auth = part->question->usages->auth;
	struct peer *keeper;
	uint64_t key;

	switch (auth_keeper(auth, &part->user, &keeper, &key)) {
	case KEEPER_FOUND:
		send_part(part, keeper);
		return;
	case KEEPER_STARTING:
		part->waiting.deadline = part->question->until;
		if (auth_wait(auth, &part->waiting, key) == 0)
			return;
		break;
	case KEEPER_ABSENT:
	case KEEPER_NONE:
		break;
	}
	part_over(part, REASON_STORE_DOWN);
}

static void wake(struct auth *auth, struct auth_waiting *waiting, bool refused)
{
	struct part *part = (struct part *)waiting;

	(void)auth;
	if (refused || part->question->answered)
		part_over(part, REASON_STORE_DOWN);
	else
		find_keeper(part);
}

/* ---- questions ---- */

static struct part *new_part(struct question *question, const struct user *user,
			     struct site_quota quota)
{
	struct usages *usages = question->usages;
	struct part *part = usages->count < PARTS_MAX ? calloc(1, sizeof(*part)) : NULL;

	if (!part)
		return NULL;
	part->waiting.wake = wake;
	part->waiting.kind = WAITING_USAGE;
	part->question = question;
	part->quota = quota;
	part->user = *user;
	explicit_bzero(part->user.secret, sizeof(part->user.secret));
	usages->count++;
	question->parts++;
	return part;
}

void usages_ask(struct auth *auth, const struct peer *mta, const struct ipc_recipient *message,
		const struct user *users, size_t count)
{
	struct usages *usages = auth->usages;
	struct question *question = calloc(1, sizeof(*question));

	if (!question)
		abort();
	question->usages = usages;
	question->mta = mta->instance;
	question->session = message->session;
	question->size = message->size;
	question->until = loop_now(auth->child->loop) + ANSWER_MS;
	question->parts = 1; /* this function's: no part ends the question meanwhile */
	loop_deadline_init(&question->deadline);
	loop_deadline_renew(&usages->answer, &question->deadline);
	for (size_t i = 0; i < count && !question->answered; i++) {
		struct site_quota quota = site_quota(auth->child->config, &users[i]);
		struct part *part;

		if ((!quota.messages && !quota.octets) || users[i].remote_section)
			continue; /* another server's quota is its own */
		part = new_part(question, &users[i], quota);
		if (part)
			find_keeper(part);
		else
			question->reason = REASON_STORE_DOWN;
	}
	question->parts--;
	drop_question(question);
}

void usages_answer(struct peer *keeper, const struct ipc_usage_answer *message)
{
	struct auth *auth = keeper->child->state;
	struct table_node *node = table_find(&auth->usages->parts, message->number);
	struct part *part = node ? CONTAINER(node, struct part, node) : NULL;

	if (!part || part->keeper != keeper->instance) {
		peer_break(keeper, "it answers a question about a quota that it was not asked");
		return;
	}
	table_remove(&auth->usages->parts, node);
	keeper->unanswered--;
	part_over(part, (enum reason)message->reason);
}

static void lose_part(struct table_node *node, void *context)
{
	struct part *part = CONTAINER(node, struct part, node);
	const struct peer *keeper = context;

	if (part->keeper != keeper->instance)
		return;
	table_remove(&part->question->usages->parts, node);
	part_over(part, REASON_STORE_DOWN);
}

void usages_keeper_gone(struct auth *auth, const struct peer *keeper)
{
	struct peer gone = *keeper;

	table_each(&auth->usages->parts, lose_part, &gone);
}

struct usages *usages_create(struct auth *auth, struct err *err)
{
	struct usages *usages = calloc(1, sizeof(*usages));

	if (!usages) {
		err_set(err, EX_OSERR, "out of memory");
		return NULL;
	}
	usages->auth = auth;
	table_init(&usages->parts);
	loop_deadlines_init(&usages->answer, auth->child->loop, ANSWER_MS, no_answer, usages);
	return usages;
}
