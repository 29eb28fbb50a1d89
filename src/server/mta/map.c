/* See map.h. */
#include "server/mta/map.h"

#include "base/text.h"
#include "server/mta/credit.h"
#include "server/mta/domains.h"
#include "server/mta/netstring.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	ANSWER_MS = 60 * 1000, /* Postfix waits for 100 s */
	HEAD_MAX = 32,         /* octets around an answer's data */
};

struct map_session {
	struct client client;
	struct mta *mta;
	struct table_node question; /* key: of the question at auth */
	struct loop_deadline answer;
	bool asked, names; /* waits for auth; wants the users' names */
	bool over;
	char in[NETSTRING_ROOM];
	size_t in_size;
	char *out; /* the answer; NULL: none */
	size_t out_size, out_at;
};

static const struct conn_handler handler;

static struct map_session *session_of(struct conn *conn)
{
	return CONTAINER(conn, struct map_session, client.conn);
}

/* ---- life ---- */

void map_session_start(struct front_frame *frame, int *fd, const struct accepted *from)
{
	struct mta *mta = CONTAINER(frame, struct mta, frame);
	struct map_session *session = calloc(1, sizeof(*session));

	if (!session)
		return;
	session->mta = mta;
	loop_deadline_init(&session->answer);
	frame_add(frame, &session->client, from->address);
	loop_deadline_renew(&mta->idle, &session->client.deadline);
	conn_init(&session->client.conn, frame->child->loop, fd, &handler, NULL);
}

bool map_session_is(const struct client *client)
{
	return client->conn.handler == &handler;
}

static void end(struct map_session *session)
{
	session->over = true;
	conn_wake(&session->client.conn);
}

static struct map_session *session_with(struct client *client)
{
	return CONTAINER(client, struct map_session, client);
}

void map_session_end_idle(struct client *client)
{
	struct map_session *session = session_with(client);

	if (!session->asked && !session->out)
		end(session);
}

bool map_session_may_give_way(const struct client *client)
{
	const struct map_session *session =
		(const struct map_session *)(const void *)((const char *)client -
							   offsetof(struct map_session, client));

	return !session->asked;
}

void map_session_give_way(struct client *client)
{
	end(session_with(client));
}

static void answered(struct map_session *session)
{
	struct mta *mta = session->mta;

	if (!session->asked)
		return;
	session->asked = false;
	table_remove(&mta->questions, &session->question);
	loop_deadline_cancel(&session->answer);
	mta->unanswered--;
	mta_go_on(mta);
}

static void closed(struct conn *conn, enum conn_end why)
{
	struct map_session *session = session_of(conn);

	(void)why;
	frame_remove(&session->mta->frame, &session->client);
	answered(session);
	free(session->out);
	free(session);
}

/* ---- answers ---- */

static void say(struct map_session *session, const char *verdict, pop3_span data)
{
	size_t size = strlen(verdict) + 1 + data.size;
	char *out = malloc(size + HEAD_MAX);

	if (!out) {
		conn_abort(&session->client.conn);
		return;
	}
	session->out = out;
	session->out_size = (size_t)snprintf(out, HEAD_MAX, "%zu:%s ", size, verdict);
	memcpy(out + session->out_size, data.data, data.size);
	session->out_size += data.size;
	out[session->out_size++] = ',';
	session->out_at = 0;
	conn_wake(&session->client.conn);
}

static void say_unknown(struct map_session *session)
{
	say(session, "NOTFOUND", SPAN_LITERAL(""));
}

static void say_temp(struct map_session *session, enum reason reason)
{
	say(session, "TEMP", span_of(reason_row(reason)->words));
}

static struct map_session *find(const struct mta *mta, uint64_t number)
{
	struct table_node *node = table_find(&mta->questions, number);

	return node ? CONTAINER(node, struct map_session, question) : NULL;
}

void map_answer(struct mta *mta, const struct ipc_whose_answer *message)
{
	struct map_session *session = find(mta, message->session);

	if (!session)
		return; /* nobody waits any more */
	answered(session);
	if (message->reason == REASON_NO_SUCH_USER)
		say_unknown(session);
	else if (message->reason != REASON_OK)
		say_temp(session, (enum reason)message->reason);
	else
		say(session, "OK", session->names ? ipc_text(message, 0) : SPAN_LITERAL("here"));
}

static void fail_one(struct table_node *node, void *context)
{
	struct map_session *session = CONTAINER(node, struct map_session, question);

	(void)context;
	answered(session);
	say_temp(session, REASON_USERS_DOWN);
}

void map_questions_fail(struct mta *mta)
{
	table_each(&mta->questions, fail_one, NULL);
}

static void no_answer(struct loop_deadlines *deadlines, struct loop_deadline *deadline)
{
	struct map_session *session = CONTAINER(deadline, struct map_session, answer);

	(void)deadlines;
	answered(session);
	say_temp(session, REASON_USERS_DOWN);
}

void map_init(struct mta *mta)
{
	table_init(&mta->questions);
	loop_deadlines_init(&mta->question, mta->frame.child->loop, ANSWER_MS, no_answer, mta);
}

/* ---- questions ---- */

static void ask(struct map_session *session, pop3_span address)
{
	struct mta *mta = session->mta;
	struct ipc_recipient message = {.session = ++mta->last_number};

	if (!mta->auth || ipc_send_texts(&mta->auth->chan, IPC_WHOSE, &message, &address, 1) < 0) {
		say_temp(session, REASON_USERS_DOWN);
		return;
	}
	session->asked = true;
	mta->unanswered++;
	table_add(&mta->questions, &session->question, message.session);
	loop_deadline_renew(&mta->question, &session->answer);
}

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
	bool users = span_equal(name, SPAN_LITERAL("users"));

	session->names = span_equal(name, SPAN_LITERAL("senders"));
	if (span_equal(name, SPAN_LITERAL("domains"))) {
		if (domains_have(session->mta->frame.child->config, key))
			say(session, "OK", SPAN_LITERAL("here"));
		else
			say_unknown(session);
	} else if (!users && !session->names) {
		say(session, "PERM", SPAN_LITERAL("there is no map of that name"));
	} else if (is_address(key)) {
		ask(session, key);
	} else {
		say_unknown(session);
	}
}

/* Takes octets until a question is whole. Returns whether there was one. */
static bool take_input(struct map_session *session, pop3_span *in)
{
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
		session->over = true;
		return false;
	case NETSTRING_WHOLE:
		break;
	}
	loop_deadline_renew(&session->mta->idle, &session->client.deadline);
	take_question(session, question);
	session->in_size -= size;
	memmove(session->in, session->in + size, session->in_size);
	return true;
}

static size_t pull(struct map_session *session, char *out, size_t cap)
{
	size_t left = session->out_size - session->out_at, n = left < cap ? left : cap;

	memcpy(out, session->out + session->out_at, n);
	session->out_at += n;
	if (session->out_at == session->out_size) {
		free(session->out);
		session->out = NULL;
	}
	return n;
}

static size_t exchange(struct conn *conn, pop3_span *in, char *out, size_t cap)
{
	struct map_session *session = session_of(conn);
	size_t used = 0;

	while (!session->over && !session->asked) {
		if (session->out)
			used += pull(session, out + used, cap - used);
		if (session->out || (!in->size && !session->in_size) ||
		    !mta_has_credit(session->mta) || !take_input(session, in))
			break;
	}
	if (session->out)
		used += pull(session, out + used, cap - used);
	if (session->over && !session->out)
		conn_close(conn);
	return used;
}

static bool busy(struct conn *conn)
{
	const struct map_session *session = session_of(conn);

	return session->asked || session->out;
}

static const struct conn_handler handler = {.exchange = exchange, .busy = busy, .closed = closed};
