/* See session.h. */
#include "server/front/session.h"

#include "base/log.h"
#include "base/secret.h"

#include <stdlib.h>
#include <string.h>

static const struct conn_handler handler;

static struct session *session_of(struct conn *conn)
{
	return CONTAINER(conn, struct session, client.conn);
}

static void end_handshake(struct session *session)
{
	if (session->handshake)
		session->front->handshakes--;
	session->handshake = false;
	loop_deadline_cancel(&session->client.deadline);
}

/* Handshakes have a bound of their own: the one that has lasted longest ends. */
static void begin_handshake(struct session *session)
{
	struct front *front = session->front;
	struct loop_deadline *first = loop_deadlines_first(&front->handshake);

	if (front->handshakes >= front->handshakes_max && first) {
		struct session *oldest = CONTAINER(first, struct session, client.deadline);

		end_handshake(oldest);
		ending_reason(oldest, "gave way to another handshake");
		conn_abort(&oldest->client.conn);
	}
	session->handshake = true;
	front->handshakes++;
	loop_deadline_renew(&front->handshake, &session->client.deadline);
}

void session_start(struct front_frame *frame, int *fd, const struct accepted *from)
{
	struct front *front = CONTAINER(frame, struct front, frame);
	bool tls = from->service == SERVICE_POP3S;
	struct session *session = calloc(1, sizeof(*session));

	if (!session || (tls && !front->tls)) {
		free(session);
		return;
	}
	session->front = front;
	session->port = from->port;
	session->loopback = from->loopback;
	session->service = (uint8_t)from->service;
	session->ending.started = loop_now(frame->child->loop);
	memcpy(session->address, from->address, sizeof(session->address));
	loop_deadline_init(&session->trim);
	frame_add(frame, &session->client, session->address);
	if (tls)
		begin_handshake(session);
	else
		loop_deadline_renew(&front->login, &session->client.deadline);
	conn_init(&session->client.conn, front->frame.child->loop, fd, &handler,
		  tls ? front->tls : NULL);
	login_connect(session);
}

struct session *session_find(const struct front *front, uint64_t number)
{
	struct client *client = frame_find(&front->frame, number);

	return client && !client->leaving ? CONTAINER(client, struct session, client) : NULL;
}

void session_greet(struct session *session, enum reason reason, pop3_span stamp)
{
	struct front *front = session->front;
	const struct pop3_server_settings *settings =
		session->loopback ? &front->open : &front->strict;

	session->stage = STAGE_LOGIN;
	if (reason != REASON_OK) {
		const struct reason_row *row = reason_row(reason);

		pop3_server_init_refused(&session->pop3, settings, row->code, row->words);
	} else {
		pop3_span host = {front->frame.child->config->host_name,
				  strlen(front->frame.child->config->host_name)};

		pop3_server_init(&session->pop3, settings, conn_tls(&session->client.conn) != NULL,
				 host, stamp);
	}
	conn_wake(&session->client.conn);
}

static bool is_idle(const struct session *session)
{
	return session->stage == STAGE_CONNECTING ||
	       (pop3_server_want(&session->pop3) == POP3_WANT_INPUT &&
		!conn_blocked(&session->client.conn));
}

void session_end_idle(struct front_frame *frame, struct client *client)
{
	struct session *session = CONTAINER(client, struct session, client);

	/* a reload is in no hurry: the time to log in runs anyway */
	if (!is_idle(session) || !frame->child->stopping)
		return;
	ending_reason(session, "drain");
	if (session->stage != STAGE_MAIL)
		conn_abort(&session->client.conn);
	else
		loop_deadline_renew(&session->front->grace, &session->client.deadline);
}

bool session_may_give_way(const struct client *client)
{
	(void)client;
	return true;
}

/* auth counts it no more when the message about its successor arrives. */
void session_give_way(struct client *client)
{
	struct session *session = CONTAINER(client, struct session, client);

	login_gone(session);
	ending_reason(session, "gave way to another connection");
	conn_abort(&client->conn);
}

/* ---- deadlines ---- */

void session_expired(struct loop_deadlines *deadlines, struct loop_deadline *deadline)
{
	struct session *session = CONTAINER(deadline, struct session, client.deadline);
	const struct front *front = session->front;

	ending_reason(session, deadlines == &front->idle    ? "idle"
			       : deadlines == &front->login ? "no login in time"
			       : deadlines == &front->grace ? "drain"
							    : "no handshake in time");
	frame_expired(deadlines, deadline);
}

/* A reply is going out, or a command is being worked on: has the client read anything since? */
void session_write_expired(struct loop_deadlines *deadlines, struct loop_deadline *deadline)
{
	struct session *session = CONTAINER(deadline, struct session, client.deadline);

	if (conn_blocked(&session->client.conn) &&
	    session->client.conn.octets_out == session->progress) {
		ending_reason(session, "write timeout");
		conn_abort(&session->client.conn);
		return;
	}
	if (mailbox_waits(session) && session->client.conn.octets_out == session->progress) {
		ending_reason(session, "a message is not read from its filesystem in time");
		conn_abort(&session->client.conn);
		return;
	}
	session->progress = session->client.conn.octets_out;
	loop_deadline_renew(deadlines, deadline);
}

void session_trim_expired(struct loop_deadlines *deadlines, struct loop_deadline *deadline)
{
	(void)deadlines;
	mailbox_trim(CONTAINER(deadline, struct session, trim));
}

/* Renews the deadline that fits what the session waits for. */
static void set_deadline(struct session *session, bool wrote)
{
	struct front *front = session->front;

	if (session->stage < STAGE_MAIL)
		return; /* the time to log in is one, however many commands it takes */
	if (pop3_server_want(&session->pop3) == POP3_WANT_INPUT && !wrote) {
		loop_deadline_renew(front->frame.child->stopping ? &front->grace : &front->idle,
				    &session->client.deadline);
		return;
	}
	session->progress = session->client.conn.octets_out;
	loop_deadline_renew(&front->write, &session->client.deadline);
}

static void take_event(struct session *session, const struct pop3_event *event)
{
	switch (event->type) {
	case POP3_EVENT_NONE:
		break;
	case POP3_EVENT_PASS:
	case POP3_EVENT_APOP:
	case POP3_EVENT_SASL_START:
	case POP3_EVENT_SASL_RESPONSE:
	case POP3_EVENT_SASL_CANCEL:
		login_event(session, event);
		break;
	case POP3_EVENT_LIST:
	case POP3_EVENT_UIDL:
	case POP3_EVENT_RETR:
	case POP3_EVENT_TOP:
	case POP3_EVENT_DELE:
	case POP3_EVENT_QUIT:
		mailbox_event(session, event);
		break;
	case POP3_EVENT_COUNT:
		break;
	}
}

static void start_tls(struct session *session, pop3_span *in)
{
	in->size = 0; /* nothing that came in the clear is believed (RFC 2595 section 4) */
	if (session->tls_asked)
		return;
	session->tls_asked = true;
	begin_handshake(session);
	conn_start_tls(&session->client.conn, session->front->tls);
}

/* One step of what the machine wants. Returns octets written, or -1: nothing more can be done now.
 */
static ssize_t step(struct session *session, pop3_span *in, char *out, size_t cap)
{
	struct pop3_event event;
	size_t n;

	switch (pop3_server_want(&session->pop3)) {
	case POP3_WANT_INPUT:
		if (!in->size)
			return -1;
		pop3_server_next(&session->pop3, in, &event);
		take_event(session, &event);
		return 0;
	case POP3_WANT_OUTPUT:
		if (cap < 64)
			return -1;
		return (ssize_t)pop3_server_pull(&session->pop3, out, cap);
	case POP3_WANT_LINES:
		n = mailbox_lines(session, out, cap);
		return n || pop3_server_want(&session->pop3) != POP3_WANT_LINES ? (ssize_t)n : -1;
	case POP3_WANT_BODY:
		n = body_render(session, out, cap);
		ending_octets(session, n);
		return n || pop3_server_want(&session->pop3) != POP3_WANT_BODY ? (ssize_t)n : -1;
	case POP3_WANT_TLS:
		start_tls(session, in);
		return -1;
	case POP3_WANT_CLOSE:
		conn_close(&session->client.conn);
		return -1;
	case POP3_WANT_REPLY:
		return -1;
	}
	return -1;
}

static size_t exchange(struct conn *conn, pop3_span *in, char *out, size_t cap)
{
	struct session *session = session_of(conn);
	size_t used = 0;
	ssize_t n;

	if (session->stage == STAGE_CONNECTING)
		return 0;
	while ((n = step(session, in, out + used, cap - used)) >= 0)
		used += (size_t)n;
	set_deadline(session, used > 0);
	return used;
}

static void secured(struct conn *conn)
{
	struct session *session = session_of(conn);
	struct tls_session *tls = conn_tls(conn);

	signing_stop(session);
	session->ending.tls = tls_session_version(tls);
	session->ending.cipher = tls_session_cipher(tls);
	if (session->tls_asked)
		pop3_server_tls_started(&session->pop3);
	end_handshake(session);
	loop_deadline_renew(&session->front->login, &session->client.deadline);
	log_debug("tls: %s %s%s", tls_session_version(tls), tls_session_cipher(tls),
		  tls_session_resumed(tls) ? " resumed" : "");
}

static void sign(struct conn *conn)
{
	signing_wanted(session_of(conn));
}

static void file_sent(struct conn *conn, bool failed)
{
	body_file_sent(session_of(conn), failed);
}

static void closed(struct conn *conn, enum conn_end why)
{
	struct session *session = session_of(conn);

	ending_write(session, why);
	signing_stop(session);
	mailbox_close(session);
	login_gone(session);
	loop_deadline_cancel(&session->trim);
	end_handshake(session);
	frame_remove(&session->front->frame, &session->client);
	wipe(session, sizeof(*session)); /* a line that was cut may hold a password */
	free(session);
}

/* A client that has sent its last command (half-closed) still gets the replies to all of them. */
static bool busy(struct conn *conn)
{
	struct session *session = session_of(conn);

	return session->stage == STAGE_CONNECTING ||
	       pop3_server_want(&session->pop3) != POP3_WANT_INPUT;
}

static const struct conn_handler handler = {
	.exchange = exchange,
	.busy = busy,
	.secured = secured,
	.sign = sign,
	.file_sent = file_sent,
	.closed = closed,
};
