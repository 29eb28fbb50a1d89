/* See policy.h. */
#include "server/mta/policy.h"

#include "base/text.h"
#include "server/mta/policy_request.h"
#include "server/mta/question.h"

#include <stdio.h>

enum {
	ANSWER_MS = 10 * 1000, /* auth takes half of it for keepers; Postfix waits for 100 s */
	ACTION_MAX = 256,
};

_Static_assert((int)POLICY_ADDRESS_MAX <= (int)IPC_TEXT_MAX, "an address fits the question");

struct policy_session {
	struct question_session question;
	struct policy_request request;
};

static struct policy_session *session_of(struct question_session *question)
{
	return CONTAINER(question, struct policy_session, question);
}

static void say_nothing(struct question_session *question)
{
	static const char none[] = "action=DUNNO\n\n";

	question_say(question, none, sizeof(none) - 1);
}

static void answered(struct question_session *question, enum reason reason, pop3_span text)
{
	const struct reason_row *row = reason_row(reason);
	char action[ACTION_MAX];
	int n;

	(void)text;
	if (reason != REASON_OVER_QUOTA && reason != REASON_OVER_QUOTA_PERM) {
		say_nothing(question);
		return;
	}
	n = snprintf(action, sizeof(action), "action=%u %s %s\n\n", row->reply, row->enhanced,
		     row->words);
	question_say(question, action, (size_t)n);
}

static bool take(struct question_session *base, pop3_span *in)
{
	struct policy_session *session = session_of(base);
	pop3_span recipient;

	switch (policy_request_take(&session->request, in)) {
	case POLICY_MORE:
		return false;
	case POLICY_BAD:
		question_end(base);
		return false;
	case POLICY_WHOLE:
		break;
	}
	recipient = policy_request_recipient(&session->request);
	if (recipient.size)
		question_ask(base, IPC_QUOTA, recipient, session->request.size, &base->mta->policy);
	else
		say_nothing(base);
	policy_request_init(&session->request);
	return true;
}

static const struct question_kind kind = {.take = take, .answered = answered};

void policy_session_start(struct front_frame *frame, int *fd, const struct accepted *from)
{
	question_session_start(frame, fd, from, &kind, sizeof(struct policy_session));
}

void policy_init(struct mta *mta)
{
	loop_deadlines_init(&mta->policy, mta->frame.child->loop, ANSWER_MS, question_unanswered,
			    mta);
}
