/* See session.h. */
#include "server/lmtp/session.h"

#include "server/lmtp/content.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static const struct conn_handler handler;

static struct lmtp_session *session_of(struct conn *conn)
{
	return CONTAINER(conn, struct lmtp_session, client.conn);
}

/* The user at the other end of a Unix socket; for TCP it is not asked for. */
static uint32_t uid_of(int fd)
{
	struct ucred ucred = {.uid = (uid_t)-1};
	socklen_t size = sizeof(ucred);

	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &ucred, &size);
	return ucred.uid;
}

void lmtp_session_start(struct front_frame *frame, int *fd, const struct accepted *from)
{
	struct lmtp_front *front = CONTAINER(frame, struct lmtp_front, frame);
	struct lmtp_session *session = calloc(1, sizeof(*session));

	if (!session)
		return;
	session->front = front;
	transaction_init(&session->transaction);
	snprintf(session->peer_address, sizeof(session->peer_address), "%s", from->text);
	memcpy(session->address, from->address, sizeof(session->address));
	session->sender = spool_key(from->address, from->text[0] ? 0 : uid_of(*fd));
	frame_add(frame, &session->client, from);
	lmtp_server_init(&session->lmtp, &front->settings);
	loop_deadline_renew(&front->idle, &session->client.deadline);
	conn_init(&session->client.conn, front->frame.child->loop, fd, &handler, NULL);
}

/* A session that waits for a command gets "421"; another ends when its transaction does. */
void lmtp_session_end_idle(struct front_frame *frame, struct client *client)
{
	struct lmtp_session *session = CONTAINER(client, struct lmtp_session, client);

	(void)frame;
	if (!lmtp_server_idle(&session->lmtp) ||
	    lmtp_server_want(&session->lmtp) != LMTP_WANT_INPUT)
		return;
	lmtp_server_end(&session->lmtp, "4.3.2", "shutting down");
	conn_wake(&session->client.conn);
}

/* Nobody logs in here: sessions that wait for a command may be ended. */
bool lmtp_session_may_give_way(const struct client *client)
{
	const struct lmtp_session *session =
		(const struct lmtp_session *)(const void *)((const char *)client -
							    offsetof(struct lmtp_session, client));

	return lmtp_server_want(&session->lmtp) == LMTP_WANT_INPUT &&
	       !lmtp_server_receives(&session->lmtp) && !conn_blocked(&client->conn);
}

void lmtp_session_give_way(struct client *client)
{
	struct lmtp_session *session = CONTAINER(client, struct lmtp_session, client);

	lmtp_server_end(&session->lmtp, "4.3.2", "too many connections");
	conn_wake(&client->conn);
}

void lmtp_session_expired(struct loop_deadlines *deadlines, struct loop_deadline *deadline)
{
	struct lmtp_session *session = CONTAINER(deadline, struct lmtp_session, client.deadline);
	bool blocked = conn_blocked(&session->client.conn);

	/* the client waits for the keepers, not the keepers for the client */
	if (transaction_delivering(session) && !blocked) {
		loop_deadline_renew(deadlines, deadline);
		return;
	}
	if (lmtp_server_want(&session->lmtp) == LMTP_WANT_INPUT && !blocked) {
		lmtp_server_end(&session->lmtp, "4.4.2", "idle too long");
		conn_wake(&session->client.conn);
		loop_deadline_renew(deadlines, deadline);
		return;
	}
	conn_abort(&session->client.conn);
}

static void take_event(struct lmtp_session *session, const struct lmtp_event *event)
{
	switch (event->type) {
	case LMTP_EVENT_MAIL:
		transaction_begin(session, event);
		break;
	case LMTP_EVENT_RCPT:
		transaction_recipient(session, event);
		break;
	case LMTP_EVENT_DATA:
		transaction_data(session);
		break;
	case LMTP_EVENT_CONTENT:
		content_add(session, event->text);
		break;
	case LMTP_EVENT_END:
		transaction_deliver(session);
		break;
	case LMTP_EVENT_RESET:
		transaction_forget(session);
		break;
	case LMTP_EVENT_NONE:
	case LMTP_EVENT_COUNT:
		break;
	}
}

static size_t exchange(struct conn *conn, pop3_span *in, char *out, size_t cap)
{
	struct lmtp_session *session = session_of(conn);
	struct lmtp_front *front = session->front;
	enum lmtp_event_type type;
	struct lmtp_event event;
	size_t used = 0;

	for (;;) {
		used += lmtp_server_pull(&session->lmtp, out + used, cap - used);
		switch (lmtp_server_want(&session->lmtp)) {
		case LMTP_WANT_OUTPUT:
			if (used == cap)
				return used;
			continue;
		case LMTP_WANT_CLOSE:
			conn_close(conn);
			return used;
		case LMTP_WANT_REPLY:
		case LMTP_WANT_DATA_REPLIES:
			return used;
		case LMTP_WANT_INPUT:
			break;
		}
		if (transaction_delivering(session)) { /* every recipient has its answer */
			transaction_forget(session);
			if (front->frame.child->draining)
				lmtp_server_end(&session->lmtp, "4.3.2", "shutting down");
			continue;
		}
		if (!in->size || content_busy(session))
			return used;
		loop_deadline_renew(&front->idle, &session->client.deadline);
		frame_active(&front->frame, &session->client);
		if (content_late(session)) {
			lmtp_server_end(&session->lmtp, "4.4.2", "the message took too long");
			continue;
		}
		type = lmtp_server_next(&session->lmtp, in, front->scratch, sizeof(front->scratch),
					&event);
		if (lmtp_server_took_too_big(&session->lmtp))
			transaction_too_big(session, type == LMTP_EVENT_RESET);
		if (type)
			take_event(session, &event);
	}
}

static void closed(struct conn *conn, enum conn_end why)
{
	struct lmtp_session *session = session_of(conn);

	(void)why;
	transaction_forget(session);
	frame_remove(&session->front->frame, &session->client);
	free(session);
}

/* A client that has sent its last command (half-closed) still gets the replies to all of them. */
static bool busy(struct conn *conn)
{
	const struct lmtp_session *session = session_of(conn);

	return lmtp_server_want(&session->lmtp) != LMTP_WANT_INPUT || content_busy(session);
}

static const struct conn_handler handler = {.exchange = exchange, .busy = busy, .closed = closed};
