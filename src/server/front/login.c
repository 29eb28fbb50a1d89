/*
 * Logging in: credentials go to auth and are wiped here; what comes back is a challenge, a denial
 * (said after its delay), or, from a keeper, the opened maildrop. See front.h.
 */
#include "server/front/front.h"

#include "base/log.h"
#include "base/secret.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* A denial that waits, so that guessing is slow. */
struct delayed {
	struct loop_timer timer;
	struct session *session;
	enum reason reason;
	bool close;
};

void login_forget(struct session *session)
{
	char *buffer = session->stage == STAGE_NEW ? NULL : pop3_server_take_back(&session->pop3);

	free(session->challenge);
	session->challenge = NULL;
	if (!buffer)
		return;
	wipe(buffer, POP3_SASL_LINE_MAX);
	free(buffer);
}

void login_credit_back(struct session *session)
{
	struct link *auth = session->front->auth;

	if (!session->asked_auth)
		return;
	session->asked_auth = IPC_NONE;
	if (!auth)
		return;
	auth->unanswered--;
	link_credit(auth);
}

static void refuse(struct session *session, enum reason reason)
{
	const struct reason_row *row = reason_row(reason);

	login_forget(session);
	pop3_server_reply_err(&session->pop3, row->code, row->words);
	session_wake(session);
}

/* -- connect, disconnect -- */

void login_connect(struct session *session)
{
	struct ipc_connect message = {.session = session->client.node.key,
				      .port = session->port,
				      .loopback = session->loopback,
				      .resumed = session->stage != STAGE_NEW};

	memcpy(message.address, session->address, sizeof(message.address));
	if (ipc_post(&session->front->auth->peer->chan, IPC_CONNECT, &message) < 0) {
		session_abort(session);
		return;
	}
	session->known = true;
}

void login_resume(struct session *session)
{
	if (!session->known && session->front->auth)
		login_connect(session);
}

static void free_delayed(struct session *session)
{
	if (!session->delayed)
		return;
	loop_timer_cancel(&session->delayed->timer);
	free(session->delayed);
	session->delayed = NULL;
}

void login_gone(struct session *session)
{
	struct ipc_session message = {.session = session->client.node.key};
	struct link *auth = session->front->auth;

	if (auth)
		link_leave(auth, session);
	free_delayed(session);
	login_credit_back(session);
	login_forget(session);
	if (auth && session->known)
		ipc_post(&auth->peer->chan, IPC_DISCONNECT, &message);
}

void login_auth_lost(struct session *session)
{
	session->known = false;
	session->asked_auth = IPC_NONE;
	/* its attempts, its stamp, its count: all that was there is gone */
	if (session->stage == STAGE_LOGIN && pop3_server_want(&session->pop3) == POP3_WANT_REPLY &&
	    !session->delayed)
		refuse(session, REASON_LOGIN_DOWN);
}

/* -- attempts -- */

/* A number that no keeper can guess. -1: the kernel has none. */
static int new_ticket(struct front *front, uint64_t *ret)
{
	if (!front->ticket_count) {
		if (getrandom(front->tickets, sizeof(front->tickets), 0) !=
		    (ssize_t)sizeof(front->tickets))
			return -1;
		front->ticket_count = sizeof(front->tickets) / sizeof(front->tickets[0]);
	}
	*ret = front->tickets[--front->ticket_count];
	return 0;
}

void login_send(struct session *session, const struct pop3_event *event)
{
	static const enum ipc_type types[POP3_EVENT_COUNT] = {
		[POP3_EVENT_PASS] = IPC_PASS,
		[POP3_EVENT_APOP] = IPC_APOP,
		[POP3_EVENT_SASL_START] = IPC_SASL_START,
		[POP3_EVENT_SASL_RESPONSE] = IPC_SASL_RESPONSE};
	struct link *auth = session->front->auth;
	pop3_span user = event->type == POP3_EVENT_SASL_START ? event->mechanism : event->user;
	struct ipc_credentials message = {.session = session->client.node.key,
					  .has_secret = event->has_initial ||
							event->type != POP3_EVENT_SASL_START,
					  .tls = conn_tls(&session->client.conn) != NULL};
	pop3_span texts[] = {user, event->secret};

	if (new_ticket(session->front, &session->ticket) < 0) {
		refuse(session, REASON_LOGIN_DOWN);
		return;
	}
	message.ticket = session->ticket;
	if (ipc_send_texts(&auth->peer->chan, types[event->type], &message, texts, 2) < 0) {
		refuse(session, REASON_LOGIN_DOWN);
		return;
	}
	auth->unanswered++;
	session->asked_auth = (uint8_t)types[event->type];
}

/* Only for the mechanisms that ask: they cost more than the rest of a login. */
static void send_bindings(struct session *session)
{
	struct ipc_bindings message = {.session = session->client.node.key};
	struct tls_session *tls = conn_tls(&session->client.conn);

	message.exporter_size =
		tls_session_exporter(tls, message.exporter, sizeof(message.exporter));
	message.end_point_size =
		tls_session_end_point(tls, message.end_point, sizeof(message.end_point));
	ipc_send(&session->front->auth->peer->chan, IPC_BINDINGS, &message);
}

void login_event(struct session *session, const struct pop3_event *event)
{
	struct ipc_session cancel = {.session = session->client.node.key};
	struct link *auth = session->front->auth;
	char *buffer;

	if (event->type == POP3_EVENT_SASL_CANCEL) { /* the machine has replied */
		login_forget(session);
		if (auth)
			ipc_send(&auth->peer->chan, IPC_SASL_CANCEL, &cancel);
		return;
	}
	if (!auth || !session->known) {
		refuse(session, REASON_LOGIN_DOWN);
		return;
	}
	if (event->type == POP3_EVENT_SASL_START && conn_tls(&session->client.conn) &&
	    event->mechanism.size > 5 && memcmp(event->mechanism.data, "SCRAM", 5) == 0)
		send_bindings(session);
	if (auth->unanswered < IPC_AUTH_CREDITS && !auth->waiting)
		login_send(session, event);
	else
		link_wait(auth, session, event);
	if (event->type != POP3_EVENT_SASL_START ||
	    pop3_server_want(&session->pop3) != POP3_WANT_REPLY)
		return;
	buffer = malloc(POP3_SASL_LINE_MAX);
	if (buffer)
		pop3_server_lend(&session->pop3, buffer, POP3_SASL_LINE_MAX);
}

/* -- answers -- */

static void deny_now(struct session *session, enum reason reason, bool close)
{
	refuse(session, reason);
	if (close)
		pop3_server_close_after(&session->pop3);
}

static void delay_over(struct loop_timer *timer)
{
	struct delayed *delayed = timer->context;
	struct session *session = delayed->session;

	session->delayed = NULL;
	deny_now(session, delayed->reason, delayed->close);
	loop_timer_cancel(timer);
	free(delayed);
}

static void take_denied(struct session *session, const struct ipc_denied *message)
{
	struct delayed *delayed;

	login_credit_back(session);
	if (!message->delay) {
		deny_now(session, (enum reason)message->reason, message->close);
		return;
	}
	delayed = calloc(1, sizeof(*delayed));
	if (!delayed) {
		session_abort(session);
		return;
	}
	delayed->session = session;
	delayed->reason = (enum reason)message->reason;
	delayed->close = message->close;
	loop_timer_init(&delayed->timer, session->front->frame.child->loop, delay_over, delayed);
	session->delayed = delayed;
	loop_timer_set(&delayed->timer, message->delay);
	/* a client that waits for its answer is not slow */
	loop_deadline_renew(&session->front->login, &session->client.deadline);
}

/* The challenge must live until the machine has rendered it, the message does not. */
static void take_challenge(struct session *session, const struct ipc_challenge *message)
{
	pop3_span text = ipc_text(message, 0);
	char *copy = realloc(session->challenge, text.size + 1);

	login_credit_back(session);
	if (!copy) {
		session_abort(session);
		return;
	}
	session->challenge = copy;
	memcpy(copy, text.data, text.size);
	pop3_server_reply_challenge(&session->pop3, (pop3_span){copy, text.size});
	session_wake(session);
}

static void take_connected(struct link *auth, struct session *session,
			   const struct ipc_connected *message)
{
	if (session->stage == STAGE_NEW && session->known)
		session_greet(session, (enum reason)message->reason, ipc_text(message, 0));
	else
		peer_break(auth->peer, "it answers a connection twice");
}

/* auth lost the keeper that it had passed a login on to. The keeper may have answered before it
 * died, so that nothing is unanswered any more, or the client's next login is: then there is
 * nothing to deny. */
static void take_late_denial(struct link *auth, const struct ipc_denied *message)
{
	if (message->reason != REASON_STORE_DOWN)
		peer_break(auth->peer, "it denies a login that nobody sent");
}

static bool denies(const struct session *session, const struct ipc_denied *message)
{
	return session->ticket == message->ticket &&
	       ipc_answers(IPC_DENIED, (enum ipc_type)session->asked_auth);
}

void login_message(struct link *auth, enum ipc_type type, const void *message)
{
	struct front *front = auth->peer->child->state;
	/* every message about a session has its number behind the head */
	uint64_t number = ((const struct ipc_session *)message)->session;
	struct session *session = session_find(front, number);

	if (!session)
		return; /* it ended while the answer was on its way */
	if (type == IPC_CONNECTED)
		take_connected(auth, session, message);
	else if (type == IPC_DENIED) {
		if (denies(session, message))
			take_denied(session, message);
		else
			take_late_denial(auth, message);
	} else if (ipc_answers(type, (enum ipc_type)session->asked_auth))
		take_challenge(session, message);
	else
		peer_break(auth->peer, "it answers a login that nobody sent");
}
