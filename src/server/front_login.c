/*
 * Logging in: credentials go to auth and are wiped here; what comes back is a challenge, a denial
 * (said after its delay), or, from a keeper, the opened maildrop. See front.h.
 */
#include "server/front.h"

#include "base/log.h"
#include "base/secret.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

static const char no_auth[] = "logins cannot be checked now, try again later";

/* A denial that waits, so that guessing is slow. */
struct delayed {
	struct loop_timer timer;
	struct session *session;
	enum pop3_code code;
	bool close;
	char text[IPC_TEXT_MAX + 1];
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

	if (!session->credit_auth)
		return;
	session->credit_auth = false;
	if (!auth)
		return;
	auth->unanswered--;
	link_credit(auth);
}

static void refuse(struct session *session, enum pop3_code code, const char *text)
{
	session->opening = false;
	login_forget(session);
	pop3_server_reply_err(&session->pop3, code, text);
	session_wake(session);
}

/* -- connect, disconnect -- */

void login_connect(struct session *session)
{
	struct ipc_connect message = {.session = session->node.key,
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
	struct ipc_session message = {.session = session->node.key};
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
	session->credit_auth = false;
	if (session->stage != STAGE_LOGIN)
		return;
	/* its attempts, its stamp, its count: all that was there is gone */
	if (pop3_server_want(&session->pop3) == POP3_WANT_REPLY && !session->delayed)
		refuse(session, POP3_CODE_SYS_TEMP, no_auth);
	else if (!session->delayed)
		session->opening = false;
}

/* -- attempts -- */

void login_send(struct session *session, const struct pop3_event *event)
{
	static const enum ipc_type types[POP3_EVENT_COUNT] = {
		[POP3_EVENT_PASS] = IPC_PASS,
		[POP3_EVENT_APOP] = IPC_APOP,
		[POP3_EVENT_SASL_START] = IPC_SASL_START,
		[POP3_EVENT_SASL_RESPONSE] = IPC_SASL_RESPONSE};
	struct link *auth = session->front->auth;
	pop3_span user = event->type == POP3_EVENT_SASL_START ? event->mechanism : event->user;
	struct ipc_credentials message = {.session = session->node.key,
					  .user_size = (uint32_t)user.size,
					  .secret_size = (uint32_t)event->secret.size,
					  .has_secret = event->has_initial ||
							event->type != POP3_EVENT_SASL_START,
					  .tls = conn_tls(&session->conn) != NULL};
	struct iovec tail[2] = {{.iov_len = user.size}, {.iov_len = event->secret.size}};

	memcpy(&tail[0].iov_base, &user.data, sizeof(user.data));
	memcpy(&tail[1].iov_base, &event->secret.data, sizeof(event->secret.data));
	if (ipc_send(&auth->peer->chan, types[event->type], &message, tail, 2, NULL, 0) < 0) {
		refuse(session, POP3_CODE_SYS_TEMP, no_auth);
		return;
	}
	auth->unanswered++;
	session->credit_auth = true;
	session->opening = true;
}

/* Only for the mechanisms that ask: they cost more than the rest of a login. */
static void send_bindings(struct session *session)
{
	struct ipc_bindings message = {.session = session->node.key};
	struct tls_session *tls = conn_tls(&session->conn);

	message.exporter_size =
		tls_session_exporter(tls, message.exporter, sizeof(message.exporter));
	message.end_point_size =
		tls_session_end_point(tls, message.end_point, sizeof(message.end_point));
	ipc_send(&session->front->auth->peer->chan, IPC_BINDINGS, &message, NULL, 0, NULL, 0);
}

void login_event(struct session *session, const struct pop3_event *event)
{
	struct ipc_session cancel = {.session = session->node.key};
	struct link *auth = session->front->auth;
	char *buffer;

	if (event->type == POP3_EVENT_SASL_CANCEL) { /* the machine has replied */
		login_forget(session);
		session->opening = false;
		if (auth)
			ipc_send(&auth->peer->chan, IPC_SASL_CANCEL, &cancel, NULL, 0, NULL, 0);
		return;
	}
	if (!auth || !session->known) {
		refuse(session, POP3_CODE_SYS_TEMP, no_auth);
		return;
	}
	if (event->type == POP3_EVENT_SASL_START && conn_tls(&session->conn) &&
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

static void deny_now(struct session *session, enum pop3_code code, const char *text, bool close)
{
	refuse(session, code, text);
	if (close)
		pop3_server_close_after(&session->pop3);
}

static void delay_over(struct loop_timer *timer)
{
	struct delayed *delayed = timer->context;
	struct session *session = delayed->session;

	session->delayed = NULL;
	deny_now(session, delayed->code, delayed->text, delayed->close);
	loop_timer_cancel(timer);
	free(delayed);
}

static void take_denied(struct session *session, const struct ipc_answer *message)
{
	struct delayed *delayed = calloc(1, sizeof(*delayed));

	login_credit_back(session);
	if (!delayed) {
		session_abort(session);
		return;
	}
	delayed->session = session;
	delayed->code =
		message->code < POP3_CODE_COUNT ? (enum pop3_code)message->code : POP3_CODE_NONE;
	delayed->close = message->close;
	memcpy(delayed->text, ipc_tail(message), message->head.tail);
	loop_timer_init(&delayed->timer, session->front->child->loop, delay_over, delayed);
	if (!message->delay) {
		deny_now(session, delayed->code, delayed->text, delayed->close);
		free(delayed);
		return;
	}
	session->delayed = delayed;
	loop_timer_set(&delayed->timer, message->delay);
	/* a client that waits for its answer is not slow */
	loop_deadline_renew(&session->front->login, &session->deadline);
}

/* The challenge must live until the machine has rendered it, the message does not. */
static void take_challenge(struct session *session, const struct ipc_answer *message)
{
	char *copy = realloc(session->challenge, message->head.tail + 1u);

	login_credit_back(session);
	session->opening = false;
	if (!copy) {
		session_abort(session);
		return;
	}
	session->challenge = copy;
	memcpy(copy, ipc_tail(message), message->head.tail);
	pop3_server_reply_challenge(&session->pop3, (pop3_span){copy, message->head.tail});
	session_wake(session);
}

void login_message(struct front *front, enum ipc_type type, const void *message)
{
	const struct ipc_answer *answer = message;
	struct table_node *node = table_find(&front->sessions, answer->session);
	struct session *session = node ? CONTAINER(node, struct session, node) : NULL;
	pop3_span text = {ipc_tail(message), answer->head.tail};

	if (!session)
		return;
	if (type == IPC_CONNECTED) {
		if (session->stage == STAGE_NEW)
			session_greet(session, answer->code != 0, text);
		return;
	}
	if (session->stage != STAGE_LOGIN || pop3_server_want(&session->pop3) != POP3_WANT_REPLY ||
	    session->delayed)
		return;
	if (type == IPC_CHALLENGE)
		take_challenge(session, answer);
	else
		take_denied(session, answer);
}
