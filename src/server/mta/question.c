/* See question.h. */
#include "server/mta/question.h"

#include "server/mta/credit.h"

#include <stdlib.h>
#include <string.h>

static const struct conn_handler handler;

static struct question_session *session_of(struct conn *conn)
{
	return CONTAINER(conn, struct question_session, client.conn);
}

/* ---- life ---- */

void question_session_start(struct front_frame *frame, int *fd, const struct accepted *from,
			    const struct question_kind *kind, size_t size)
{
	struct mta *mta = CONTAINER(frame, struct mta, frame);
	struct question_session *session = calloc(1, size);

	if (!session)
		return;
	session->mta = mta;
	session->kind = kind;
	loop_deadline_init(&session->answer);
	frame_add(frame, &session->client, from);
	loop_deadline_renew(&mta->idle, &session->client.deadline);
	conn_init(&session->client.conn, frame->child->loop, fd, &handler, NULL);
}

bool question_session_is(const struct client *client)
{
	return client->conn.handler == &handler;
}

void question_end(struct question_session *session)
{
	session->over = true;
	conn_wake(&session->client.conn);
}

static struct question_session *session_with(struct client *client)
{
	return CONTAINER(client, struct question_session, client);
}

void question_session_end_idle(struct client *client)
{
	struct question_session *session = session_with(client);

	if (!session->asked && !session->out)
		question_end(session);
}

bool question_session_may_give_way(const struct client *client)
{
	const struct question_session *session =
		(const struct question_session *)(const void *)((const char *)client -
								offsetof(struct question_session,
									 client));

	return !session->asked;
}

void question_session_give_way(struct client *client)
{
	question_end(session_with(client));
}

static void answered(struct question_session *session)
{
	struct mta *mta = session->mta;

	if (!session->asked)
		return;
	session->asked = false;
	table_remove(&mta->questions, &session->node);
	loop_deadline_cancel(&session->answer);
	mta->unanswered--;
	mta_go_on(mta);
}

static void closed(struct conn *conn, enum conn_end why)
{
	struct question_session *session = session_of(conn);

	(void)why;
	frame_remove(&session->mta->frame, &session->client);
	answered(session);
	free(session->out);
	free(session);
}

/* ---- answers ---- */

void question_say(struct question_session *session, const char *data, size_t size)
{
	session->out = malloc(size);
	if (!session->out) {
		conn_abort(&session->client.conn);
		return;
	}
	memcpy(session->out, data, size);
	session->out_size = size;
	session->out_at = 0;
	conn_wake(&session->client.conn);
}

void question_answer(struct mta *mta, const struct ipc_whose_answer *message)
{
	struct table_node *node = table_find(&mta->questions, message->session);
	struct question_session *session =
		node ? CONTAINER(node, struct question_session, node) : NULL;

	if (!session)
		return; /* nobody waits any more */
	answered(session);
	session->kind->answered(session, (enum reason)message->reason, ipc_text(message, 0));
}

static void fail(struct question_session *session)
{
	answered(session);
	session->kind->answered(session, REASON_USERS_DOWN, (pop3_span){"", 0});
}

static void fail_one(struct table_node *node, void *context)
{
	(void)context;
	fail(CONTAINER(node, struct question_session, node));
}

void questions_fail(struct mta *mta)
{
	table_each(&mta->questions, fail_one, NULL);
}

void question_unanswered(struct loop_deadlines *deadlines, struct loop_deadline *deadline)
{
	(void)deadlines;
	fail(CONTAINER(deadline, struct question_session, answer));
}

/* ---- questions ---- */

void question_ask(struct question_session *session, enum ipc_type type, pop3_span address,
		  uint64_t size, struct loop_deadlines *deadlines)
{
	struct mta *mta = session->mta;
	struct ipc_recipient message = {.session = ++mta->last_number, .size = size};

	if (!mta->auth || ipc_send_texts(&mta->auth->chan, type, &message, &address, 1) < 0) {
		session->kind->answered(session, REASON_USERS_DOWN, (pop3_span){"", 0});
		return;
	}
	session->asked = true;
	mta->unanswered++;
	table_add(&mta->questions, &session->node, message.session);
	loop_deadline_renew(deadlines, &session->answer);
}

static size_t pull(struct question_session *session, char *out, size_t cap)
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
	struct question_session *session = session_of(conn);
	size_t used = 0;

	while (!session->over && !session->asked) {
		if (session->out)
			used += pull(session, out + used, cap - used);
		if (session->out || (!in->size && !session->held) ||
		    !mta_has_credit(session->mta) || !session->kind->take(session, in))
			break;
		loop_deadline_renew(&session->mta->idle, &session->client.deadline);
	}
	if (session->out)
		used += pull(session, out + used, cap - used);
	if (session->over && !session->out)
		conn_close(conn);
	return used;
}

static bool busy(struct conn *conn)
{
	const struct question_session *session = session_of(conn);

	return session->asked || session->out;
}

static const struct conn_handler handler = {.exchange = exchange, .busy = busy, .closed = closed};
