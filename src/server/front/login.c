/* See login.h. */
#include "server/front/login.h"

#include "base/secret.h"
#include "base/text.h"
#include "server/counters.h"
#include "server/front/join.h"
#include "server/front/session.h"
#include "server/front/words.h"
#include "server/record.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* A denial that waits, so that guessing is slow. */
struct login_denial {
	struct loop_timer timer;
	struct session *session;
	enum reason reason;
	bool close;
};

/* Frees what an exchange needed. */
static void forget(struct session *session)
{
	bool begun = session->stage != STAGE_CONNECTING;
	char *buffer = begun ? pop3_server_take_back(&session->pop3) : NULL;

	free(session->login.challenge);
	session->login.challenge = NULL;
	if (!buffer)
		return;
	wipe(buffer, POP3_SASL_LINE_MAX);
	free(buffer);
}

/* A login has its answer. */
static void count_login(struct session *session, enum reason reason)
{
	enum tls_protocol tls = session_tls(session);
	enum counter_result result = reason == REASON_OK ? RESULT_OK : RESULT_FAILED;

	counters_add(counters_login(session->service, session->login.mechanism, tls, result), 1);
	if (result == RESULT_OK)
		counters_took(COUNTER_LOGIN_STEPS + STEP_ANSWER * HISTOGRAM_SLOTS,
			      session->login.since);
	else
		counters_add(COUNTER_LOGIN_FAILURES + (size_t)session->service * LABELS_REASON +
				     (size_t)reason,
			     1);
}

static void begin_event(const struct session *session, enum record_event event,
			struct record *record)
{
	record_begin(record, event, session->address, session->front->frame.child->instance,
		     session->client.node.key);
	record_words(record, RECORD_KEY_MECHANISM,
		     counters_label_value(SET_MECHANISM, session->login.mechanism));
}

/* The recorder has each login, and each -ERR that answered one. */
static void note_login(const struct session *session, pop3_span user)
{
	struct record record;

	begin_event(session, RECORD_LOGIN_BEGUN, &record);
	if (user.size)
		record_text(&record, RECORD_KEY_USER, user);
	record_write(&record);
}

static void note_refusal(const struct session *session, const char *why)
{
	struct record record;

	begin_event(session, RECORD_ANSWERED_ERR, &record);
	record_number(&record, RECORD_KEY_MS, (counters_clock() - session->login.since) / 1000);
	record_words(&record, RECORD_KEY_REASON, why);
	record_write(&record);
}

/* Credentials came: the step before them is over. */
static void begin_login(struct session *session, const struct pop3_event *event)
{
	if (event->type == POP3_EVENT_SASL_RESPONSE || event->type == POP3_EVENT_SASL_CANCEL)
		return;
	if (!session->login.tried)
		counters_took(COUNTER_LOGIN_STEPS + STEP_CREDENTIALS * HISTOGRAM_SLOTS,
			      session->login.since);
	session->login.tried = true;
	session->login.since = counters_clock();
	session->login.mechanism = (uint8_t)counters_mechanism(
		event->type == POP3_EVENT_SASL_START ? event->mechanism
		: event->type == POP3_EVENT_APOP     ? SPAN_LITERAL("APOP")
						     : SPAN_LITERAL("USER"));
	if (event->type != POP3_EVENT_SASL_START)
		trace_named(session, event->user, false);
	note_login(session, event->type == POP3_EVENT_SASL_START ? SPAN_LITERAL("") : event->user);
}

static void refuse(struct session *session, enum reason reason)
{
	count_login(session, reason);
	note_refusal(session, reason_row(reason)->words);
	forget(session);
	join_drop(session);
	session_refuse(session, reason);
}

/* ---- connect, disconnect ---- */

void login_connect(struct session *session)
{
	struct link *auth = session->front->auth;
	struct ipc_connect message = {.session = session->client.node.key,
				      .port = session->port,
				      .loopback = session->loopback,
				      .listener = session->listener,
				      .resumed = session->stage != STAGE_CONNECTING};

	if (!auth || login_is_known(session))
		return;
	memcpy(message.address, session->address, sizeof(message.address));
	if (ipc_post(&link_peer(auth)->chan, IPC_CONNECT, &message) < 0) {
		conn_abort(&session->client.conn);
		return;
	}
	link_join(auth, &session->login.auth);
}

void login_connect_again(struct session *session)
{
	link_part(&session->login.auth);
	login_connect(session);
}

bool login_is_known(const struct session *session)
{
	return link_of(&session->login.auth) != NULL;
}

static void free_denial(struct session *session)
{
	struct login_denial *denial = session->login.denial;

	if (!denial)
		return;
	loop_timer_cancel(&denial->timer);
	free(denial);
	session->login.denial = NULL;
}

void login_gone(struct session *session)
{
	struct ipc_session message = {.session = session->client.node.key};
	struct link *auth = link_of(&session->login.auth);

	free_denial(session);
	link_part(&session->login.auth);
	forget(session);
	if (auth)
		ipc_post(&link_peer(auth)->chan, IPC_DISCONNECT, &message);
}

static struct session *session_of(struct link_user *user)
{
	return CONTAINER(user, struct session, login.auth);
}

/* auth died, and with it the session's attempts, its stamp and its place in the limits. */
static void auth_gone(struct link_user *user)
{
	struct session *session = session_of(user);

	if (session->stage == STAGE_LOGIN && pop3_server_want(&session->pop3) == POP3_WANT_REPLY &&
	    !session->login.denial)
		refuse(session, REASON_LOGIN_DOWN);
	login_connect(session); /* if the next one is here already */
}

/* ---- attempts ---- */

/* A number that no keeper can guess. -1: the kernel has none. */
static int new_ticket(struct login_tickets *tickets, uint64_t *ret)
{
	if (!tickets->count) {
		if (getrandom(tickets->numbers, sizeof(tickets->numbers), 0) !=
		    (ssize_t)sizeof(tickets->numbers))
			return -1;
		tickets->count = sizeof(tickets->numbers) / sizeof(tickets->numbers[0]);
	}
	*ret = tickets->numbers[--tickets->count];
	return 0;
}

static void send_attempt(struct session *session, const struct pop3_event *event)
{
	static const enum ipc_type types[POP3_EVENT_COUNT] = {
		[POP3_EVENT_PASS] = IPC_PASS,
		[POP3_EVENT_APOP] = IPC_APOP,
		[POP3_EVENT_SASL_START] = IPC_SASL_START,
		[POP3_EVENT_SASL_RESPONSE] = IPC_SASL_RESPONSE};
	pop3_span user = event->type == POP3_EVENT_SASL_START ? event->mechanism : event->user;
	struct ipc_credentials message = {.session = session->client.node.key,
					  .has_secret = event->has_initial ||
							event->type != POP3_EVENT_SASL_START,
					  .tls = session_tls(session)};
	pop3_span texts[] = {user, event->secret};

	if (new_ticket(&session->front->tickets, &session->login.ticket) < 0) {
		refuse(session, REASON_LOGIN_DOWN);
		return;
	}
	message.ticket = session->login.ticket;
	session->login.slow = false;
	if (ipc_post_texts(link_chan(&session->login.auth), types[event->type], &message, texts,
			   2) < 0) {
		refuse(session, REASON_LOGIN_DOWN);
		return;
	}
	link_asked(&session->login.auth, types[event->type]);
}

/* Sent only for mechanisms that use them: to export them costs more than all else of a login. */
static void send_bindings(struct session *session)
{
	struct ipc_bindings message = {.session = session->client.node.key};
	struct tls_session *tls = conn_tls(&session->client.conn);

	message.exporter_size =
		tls_session_exporter(tls, message.exporter, sizeof(message.exporter));
	ipc_send(link_chan(&session->login.auth), IPC_BINDINGS, &message);
}

/* The name in the client's certificate; auth judges it. */
static void send_certified(struct session *session)
{
	struct ipc_session message = {.session = session->client.node.key};
	char name[IPC_TEXT_MAX];
	pop3_span text;

	if (!session_certified(session, name, sizeof(name)))
		return;
	text = span_of(name);
	ipc_send_texts(link_chan(&session->login.auth), IPC_CERTIFIED, &message, &text, 1);
}

static void send_cancel(struct session *session)
{
	struct ipc_session message = {.session = session->client.node.key};

	if (session->front->auth)
		ipc_send(&link_peer(session->front->auth)->chan, IPC_SASL_CANCEL, &message);
}

static void send_or_wait(struct session *session, const struct pop3_event *event)
{
	if (link_has_credit(&session->login.auth))
		send_attempt(session, event);
	else if (link_wait(&session->login.auth, event) < 0) /* its spans live until the reply */
		conn_abort(&session->client.conn);
}

void login_event(struct session *session, const struct pop3_event *event)
{
	char *buffer;

	begin_login(session, event);
	if (event->type == POP3_EVENT_SASL_CANCEL) { /* the machine has replied */
		forget(session);
		send_cancel(session);
		return;
	}
	if (!login_is_known(session)) {
		refuse(session, REASON_LOGIN_DOWN);
		return;
	}
	if (event->type == POP3_EVENT_SASL_START && conn_tls(&session->client.conn) &&
	    event->mechanism.size > 5 && memcmp(event->mechanism.data, "SCRAM", 5) == 0)
		send_bindings(session);
	if (event->type == POP3_EVENT_SASL_START &&
	    span_equal_nocase(event->mechanism, SPAN_LITERAL("EXTERNAL")))
		send_certified(session);
	send_or_wait(session, event);
	if (event->type != POP3_EVENT_SASL_START ||
	    pop3_server_want(&session->pop3) != POP3_WANT_REPLY)
		return;
	buffer = malloc(POP3_SASL_LINE_MAX);
	if (buffer)
		pop3_server_lend(&session->pop3, buffer, POP3_SASL_LINE_MAX);
}

static void resume(struct link_user *user, const struct pop3_event *event)
{
	send_attempt(session_of(user), event);
}

const struct link_handler login_handler = {
	.credits = IPC_AUTH_CREDITS, .resume = resume, .gone = auth_gone};

/* ---- answers ---- */

static void deny_now(struct session *session, enum reason reason, bool close)
{
	refuse(session, reason);
	if (!close)
		return;
	ending_reason(session, "too many failed logins");
	pop3_server_close_after(&session->pop3);
}

static void delay_over(struct loop_timer *timer)
{
	struct login_denial *denial = timer->context;

	denial->session->login.denial = NULL;
	deny_now(denial->session, denial->reason, denial->close);
	loop_timer_cancel(timer);
	free(denial);
}

/* auth's own answers come behind its SLOW. */
static void auth_answered(struct session *session)
{
	link_answered(&session->login.auth);
	session->login.slow = true;
}

static void take_denied(struct session *session, const struct ipc_denied *message)
{
	struct login_denial *denial;

	auth_answered(session);
	join_drop(session);
	if (!message->delay) {
		deny_now(session, (enum reason)message->reason, message->close);
		return;
	}
	denial = calloc(1, sizeof(*denial));
	if (!denial) {
		conn_abort(&session->client.conn);
		return;
	}
	denial->session = session;
	denial->reason = (enum reason)message->reason;
	denial->close = message->close;
	loop_timer_init(&denial->timer, session->front->frame.child->loop, delay_over, denial);
	session->login.denial = denial;
	loop_timer_set(&denial->timer, message->delay);
	/* the client waits for its answer: that time is not counted as its own */
	loop_deadline_renew(&session->front->login, &session->client.deadline);
}

/* The challenge must live until the machine has rendered it, the message does not. */
static void take_challenge(struct session *session, const struct ipc_challenge *message)
{
	pop3_span text = ipc_text(message, 0);
	char *copy = realloc(session->login.challenge, text.size + 1);

	auth_answered(session);
	if (!copy) {
		conn_abort(&session->client.conn);
		return;
	}
	session->login.challenge = copy;
	memcpy(copy, text.data, text.size);
	pop3_server_reply_challenge(&session->pop3, (pop3_span){copy, text.size});
	conn_wake(&session->client.conn);
}

/* auth lost the keeper that it had passed a login on to. The keeper may have answered before it
 * died, so that nothing is unanswered any more, or the client's next login is: then there is
 * nothing to deny. */
static void take_late_denial(struct link *auth, const struct ipc_denied *message)
{
	if (message->reason != REASON_STORE_DOWN)
		peer_break(link_peer(auth), "it denies a login that was not sent");
}

static bool denies(const struct session *session, const struct ipc_denied *message)
{
	return session->login.ticket == message->ticket &&
	       ipc_answers(IPC_DENIED, link_unanswered(&session->login.auth));
}

/* SLOW may come behind the answer of a keeper, which has another way: once, for the login that was
 * answered last. */
static bool says_slow(struct session *session, const struct ipc_slow *message)
{
	uint32_t asked = link_unanswered(&session->login.auth);

	if (!message->ticket || session->login.ticket != message->ticket || session->login.slow)
		return false;
	session->login.slow = true;
	return asked == IPC_NONE ||
	       (ipc_answers(IPC_SLOW, asked) && link_slow(&session->login.auth));
}

void login_message(struct session *session, struct link *auth, enum ipc_type type,
		   const void *message)
{
	if (type == IPC_SLOW) {
		if (!says_slow(session, message))
			peer_break(link_peer(auth), "a login that was not sent is slow");
	} else if (type == IPC_DENIED) {
		if (denies(session, message))
			take_denied(session, message);
		else
			take_late_denial(auth, message);
	} else if (ipc_answers(type, link_unanswered(&session->login.auth))) {
		take_challenge(session, message);
	} else {
		peer_break(link_peer(auth), "it answers a login that was not sent");
	}
}

/* A keeper answers the login that session waits for if auth gave it the ticket. */
static bool is_for(const struct session *session, enum ipc_type type, uint64_t ticket)
{
	return session && session->stage == STAGE_LOGIN && session->login.ticket == ticket &&
	       ipc_answers(type, link_unanswered(&session->login.auth));
}

bool login_waits(const struct session *session, const struct ipc_opened *message)
{
	return is_for(session, IPC_OPENED, message->ticket);
}

void login_opened(struct session *session)
{
	link_answered(&session->login.auth);
	count_login(session, REASON_OK);
	forget(session);
}

/* A login without a maildrop does not count for LOGIN-DELAY. */
static void send_unopened(struct session *session)
{
	const struct config *config = session->front->frame.child->config;
	struct ipc_unopened message = {.session = session->client.node.key,
				       .ticket = session->login.ticket};
	struct link *auth = link_of(&session->login.auth);

	if (auth && config_delays_logins(config))
		ipc_post(&link_peer(auth)->chan, IPC_UNOPENED, &message);
}

void login_unopened(struct session *session, enum reason reason)
{
	link_answered(&session->login.auth);
	send_unopened(session);
	refuse(session, reason);
}

void login_open_failed(struct session *session, const struct ipc_open_failed *message)
{
	if (is_for(session, IPC_OPEN_FAILED, message->ticket))
		login_unopened(session, (enum reason)message->reason);
	/* else: the session or its login has ended meanwhile */
}

void login_in_use(struct session *session, const struct ipc_open_in_use *message)
{
	char text[192];

	if (!is_for(session, IPC_OPEN_IN_USE, message->ticket))
		return; /* the session or its login has ended meanwhile */
	link_answered(&session->login.auth);
	send_unopened(session);
	words_in_use(pop3_server_language(&session->pop3), message, text, sizeof(text));
	count_login(session, REASON_IN_USE);
	note_refusal(session, reason_row(REASON_IN_USE)->words);
	forget(session);
	join_drop(session);
	pop3_server_reply_err(&session->pop3, reason_row(REASON_IN_USE)->code, text);
	conn_wake(&session->client.conn);
}
