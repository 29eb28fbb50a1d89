/* See map.h. */
#include "server/mta/map.h"

#include "base/text.h"
#include "server/mta/domains.h"
#include "server/mta/netstring.h"
#include "server/mta/question.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	ANSWER_MS = 60 * 1000, /* Postfix waits for 100 s */
	HEAD_MAX = 32,         /* octets around an answer's data */
};

struct map_session {
	struct question_session question;
	bool names; /* it wants the users' names */
	char in[NETSTRING_ROOM];
	size_t in_size;
};

static struct map_session *session_of(struct question_session *question)
{
	return CONTAINER(question, struct map_session, question);
}

/* ---- answers ---- */

static void say(struct map_session *session, const char *verdict, pop3_span data)
{
	size_t size = strlen(verdict) + 1 + data.size;
	char *out = malloc(size + HEAD_MAX);
	size_t n;

	if (!out) {
		conn_abort(&session->question.client.conn);
		return;
	}
	n = (size_t)snprintf(out, HEAD_MAX, "%zu:%s ", size, verdict);
	memcpy(out + n, data.data, data.size);
	n += data.size;
	out[n++] = ',';
	question_say(&session->question, out, n);
	free(out);
}

static void say_unknown(struct map_session *session)
{
	say(session, "NOTFOUND", SPAN_LITERAL(""));
}

static void answered(struct question_session *question, enum reason reason, pop3_span text)
{
	struct map_session *session = session_of(question);

	if (reason == REASON_NO_SUCH_USER)
		say_unknown(session);
	else if (reason != REASON_OK)
		say(session, "TEMP", span_of(reason_row(reason)->words));
	else
		say(session, "OK", session->names ? text : SPAN_LITERAL("here"));
}

/* ---- questions ---- */

/* Postfix asks for "@DOMAIN", too, which is nobody's address. */
static bool is_address(pop3_span key)
{
	return key.size && key.size <= IPC_TEXT_MAX && key.data[0] != '@' &&
	       !memchr(key.data, 0, key.size);
}

static void take_question(struct map_session *session, pop3_span question)
{
	const char *blank = question.size ? memchr(question.data, ' ', question.size) : NULL;
	pop3_span name = {question.data, blank ? (size_t)(blank - question.data) : question.size};
	pop3_span key = {blank ? blank + 1 : "", blank ? question.size - name.size - 1 : 0};
	struct mta *mta = session->question.mta;
	bool users = span_equal(name, SPAN_LITERAL("users"));

	session->names = span_equal(name, SPAN_LITERAL("senders"));
	if (span_equal(name, SPAN_LITERAL("domains"))) {
		if (domains_have(mta->frame.child->config, key))
			say(session, "OK", SPAN_LITERAL("here"));
		else
			say_unknown(session);
	} else if (!users && !session->names) {
		say(session, "PERM", SPAN_LITERAL("there is no map of that name"));
	} else if (is_address(key)) {
		question_ask(&session->question, IPC_WHOSE, key, 0, &mta->map);
	} else {
		say_unknown(session);
	}
}

/* Takes octets until a question is whole. Returns whether there was one. */
static bool take(struct question_session *base, pop3_span *in)
{
	struct map_session *session = session_of(base);
	size_t room = sizeof(session->in) - session->in_size, n = in->size < room ? in->size : room;
	pop3_span question;
	size_t size;

	if (n)
		memcpy(session->in + session->in_size, in->data, n);
	session->in_size += n;
	in->data += n;
	in->size -= n;
	switch (netstring_parse((pop3_span){session->in, session->in_size}, &question, &size)) {
	case NETSTRING_MORE:
		return false;
	case NETSTRING_BAD:
		question_end(base);
		return false;
	case NETSTRING_WHOLE:
		break;
	}
	take_question(session, question);
	session->in_size -= size;
	memmove(session->in, session->in + size, session->in_size);
	base->held = session->in_size > 0;
	return true;
}

static const struct question_kind kind = {.take = take, .answered = answered};

void map_session_start(struct front_frame *frame, int *fd, const struct accepted *from)
{
	question_session_start(frame, fd, from, &kind, sizeof(struct map_session));
}

void map_init(struct mta *mta)
{
	loop_deadlines_init(&mta->map, mta->frame.child->loop, ANSWER_MS, question_unanswered, mta);
}
