/* See session.h. */
#include "server/front/session.h"

#include "base/log.h"
#include "base/secret.h"
#include "config/rules.h"
#include "server/counters.h"
#include "server/front/join.h"
#include "server/record.h"

#include <stdlib.h>
#include <string.h>

static const struct conn_handler handler;

static struct session *session_of(struct conn *conn)
{
	return CONTAINER(conn, struct session, client.conn);
}

/* An event of the session, for the recorder. */
static void begin_event(const struct session *session, enum record_event event,
			struct record *record)
{
	record_begin(record, event, session->address, session->front->frame.child->instance,
		     session->client.node.key);
	record_words(record, RECORD_KEY_SERVICE,
		     session->service == SERVICE_POP3S ? "pop3s" : "pop3");
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

/* The TLS server for what the session may use. */
static struct tls_server *server_of(const struct session *session)
{
	const struct front *front = session->front;

	return session->tls_min ? front->by_minimum[session->tls_min] : front->tls;
}

/* The rules for this client at this listener. A loopback address that comes from a proxy is in no
 * network. */
static void apply_rules(struct session *session, const struct accepted *from)
{
	const struct config_rules *rules =
		&session->front->frame.child->config->rules[from->listener];

	session->listener = (uint8_t)from->listener;
	if (rules->tls_min)
		session->tls_min = (uint8_t)config_rules_tls(rules, from->address);
	if (rules->plain_networks.count)
		session->listed = config_networks_have(&rules->plain_networks, from->address) &&
				  (from->loopback || !config_network_is_loopback(from->address));
}

void session_start(struct front_frame *frame, int *fd, const struct accepted *from)
{
	struct front *front = CONTAINER(frame, struct front, frame);
	bool tls = from->service == SERVICE_POP3S;
	struct session *session = calloc(1, sizeof(*session));
	struct record record;

	if (!session || (tls && !front->tls)) {
		free(session);
		return;
	}
	session->front = front;
	session->port = from->port;
	session->loopback = from->loopback;
	session->service = (uint8_t)from->service;
	apply_rules(session, from);
	session->quiet = from->proxied == PROXIED_ITSELF;
	if (from->tls && !tls) {
		session->outer_tls = (uint8_t)from->tls;
		session->ending.tls = from->tls_version;
	}
	session->ending.started = loop_now(frame->child->loop);
	memcpy(session->address, from->address, sizeof(session->address));
	loop_deadline_init(&session->trim);
	frame_add(frame, &session->client, from);
	begin_event(session, RECORD_CONNECTED, &record);
	record_write(&record);
	if (tls)
		begin_handshake(session);
	else
		loop_deadline_renew(&front->login, &session->client.deadline);
	conn_init(&session->client.conn, front->frame.child->loop, fd, &handler,
		  tls ? server_of(session) : NULL);
	login_connect(session);
}

struct session *session_find(const struct front *front, uint64_t number)
{
	struct client *client = frame_find(&front->frame, number);

	return client && !client->leaving ? CONTAINER(client, struct session, client) : NULL;
}

static const struct pop3_server_settings *settings_of(const struct session *session)
{
	const struct front *front = session->front;
	char name[IPC_TEXT_MAX];

	if (session_certified(session, name, sizeof(name)))
		return &front->certified;

	if (session->outer_tls)
		return &front->relayed;
	if (session->listed)
		return &front->listed;
	return session->loopback ? &front->open : &front->strict;
}

void session_greet(struct session *session, enum reason reason, pop3_span stamp)
{
	struct front *front = session->front;
	const struct pop3_server_settings *settings = settings_of(session);

	session->stage = STAGE_LOGIN;
	session->login.since = counters_clock();
	trace_begin(session);
	if (reason != REASON_OK) {
		const struct reason_row *row = reason_row(reason);

		counters_add(COUNTER_CONNECTIONS_REFUSED + (size_t)reason, 1);
		pop3_server_init_refused(&session->pop3, settings, row->code, row->words);
	} else {
		pop3_span host = {front->frame.child->config->host_name,
				  strlen(front->frame.child->config->host_name)};

		pop3_server_init(&session->pop3, settings,
				 session->outer_tls || conn_tls(&session->client.conn), host,
				 stamp);
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

void session_kick(struct session *session)
{
	if (session->stage == STAGE_CLOSING || mailbox_commits(session))
		return; /* it ends by itself */
	ending_reason(session, "kicked");
	conn_abort(&session->client.conn);
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

static void count_command(enum pop3_event_type type)
{
	static const uint8_t commands[POP3_EVENT_COUNT] = {
		[POP3_EVENT_LIST] = COUNTER_LIST, [POP3_EVENT_UIDL] = COUNTER_UIDL,
		[POP3_EVENT_RETR] = COUNTER_RETR, [POP3_EVENT_TOP] = COUNTER_TOP,
		[POP3_EVENT_DELE] = COUNTER_DELE, [POP3_EVENT_QUIT] = COUNTER_QUIT,
	};

	counters_add(COUNTER_COMMANDS + commands[type], 1);
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
		count_command(event->type);
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
	conn_start_tls(&session->client.conn, server_of(session));
}

/* One step of what the machine wants. Returns octets written, or -1: nothing more can be done now.
 */
static ssize_t step(struct session *session, pop3_span *in, char *out, size_t cap)
{
	struct pop3_event event;
	pop3_span before;
	size_t n;

	switch (pop3_server_want(&session->pop3)) {
	case POP3_WANT_INPUT:
		if (!in->size)
			return -1;
		if (pop3_server_wants_name(&session->pop3))
			pop3_server_lend_name(&session->pop3, malloc(POP3_NAME_MAX));
		before = *in;
		pop3_server_next(&session->pop3, in, &event);
		trace_input(session, (pop3_span){before.data, before.size - in->size});
		take_event(session, &event);
		return 0;
	case POP3_WANT_OUTPUT:
		if (cap < 64)
			return -1;
		n = pop3_server_pull(&session->pop3, out, cap);
		trace_output(session, (pop3_span){out, n});
		return (ssize_t)n;
	case POP3_WANT_LINES:
		n = mailbox_lines(session, out, cap);
		trace_output(session, (pop3_span){out, n});
		return n || pop3_server_want(&session->pop3) != POP3_WANT_LINES ? (ssize_t)n : -1;
	case POP3_WANT_BODY:
		n = body_render(session, out, cap);
		ending_octets(session, n);
		trace_body(session, (pop3_span){out, n});
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
	activity_note(&session->activity, conn, loop_now(session->front->frame.child->loop),
		      used > 0);
	set_deadline(session, used > 0);
	return used;
}

static void secured(struct conn *conn)
{
	struct session *session = session_of(conn);
	struct tls_session *tls = conn_tls(conn);
	struct record record;

	signing_stop(session);
	session->ending.tls = tls_session_version(tls);
	session->ending.cipher = tls_session_cipher(tls);
	if (session->tls_asked)
		pop3_server_tls_started(&session->pop3);
	/* the greeting may have been made before the certificate was here */
	if (session->front->takes_certificates && session->stage == STAGE_LOGIN)
		session->pop3.settings = settings_of(session);
	trace_secured(session);
	end_handshake(session);
	counters_add(COUNTER_HANDSHAKES + (size_t)session->service * LABELS_TLS +
			     tls_session_protocol(tls),
		     1);
	loop_deadline_renew(&session->front->login, &session->client.deadline);
	begin_event(session, RECORD_TLS_DONE, &record);
	record_words(&record, RECORD_KEY_TLS, session->ending.tls);
	record_words(&record, RECORD_KEY_CIPHER, session->ending.cipher);
	record_write(&record);
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

	trace_end(session,
		  why == CONN_CLOSED_BY_US && pop3_server_want(&session->pop3) == POP3_WANT_CLOSE);
	ending_write(session, why);
	signing_stop(session);
	mailbox_close(session);
	join_drop(session);
	login_gone(session);
	loop_deadline_cancel(&session->trim);
	end_handshake(session);
	frame_remove(&session->front->frame, &session->client);
	free(pop3_server_take_back_name(&session->pop3));
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
