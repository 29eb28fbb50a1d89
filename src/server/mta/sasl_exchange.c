/* See sasl_exchange.h. */
#include "server/mta/sasl_exchange.h"

#include "base/text.h"
#include "server/counters.h"
#include "server/mta/credit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum {
	/* Postfix waits for 10 s, then it gives the connection up */
	ANSWER_MS = 8 * 1000,
	CLIENT_MS = 300 * 1000, /* RFC 5321 section 4.5.3.2 */
	TEXT_MAX = 2 * IPC_TEXT_MAX + 64,
};

static uint64_t now_of(const struct mta *mta)
{
	return loop_now(mta->frame.child->loop);
}

/* ---- life ---- */

static void answered(struct sasl_exchange *exchange)
{
	if (exchange->asked && !exchange->slow)
		exchange->session->mta->unanswered--;
	exchange->asked = IPC_NONE;
	exchange->slow = false;
}

void sasl_exchange_end(struct sasl_exchange *exchange)
{
	struct sasl_session *session = exchange->session;
	struct mta *mta = session->mta;
	struct sasl_exchange **at = &session->exchanges;
	struct ipc_session message = {.session = exchange->node.key};

	answered(exchange);
	loop_timer_cancel(&exchange->delay);
	loop_deadline_cancel(&exchange->deadline);
	table_remove(&mta->exchanges, &exchange->node);
	while (*at != exchange)
		at = &(*at)->next;
	*at = exchange->next;
	session->exchange_count--;
	if (mta->auth)
		ipc_send(&mta->auth->chan, IPC_DISCONNECT, &message);
	free(exchange);
	mta_go_on(mta);
	if (session->gone)
		return;
	if (!session->exchange_count)
		loop_deadline_renew(&mta->idle, &session->client.deadline);
	conn_wake(&session->client.conn);
}

struct sasl_exchange *sasl_exchange_find(const struct sasl_session *session, uint32_t id)
{
	struct sasl_exchange *exchange = session->exchanges;

	while (exchange && exchange->id != id)
		exchange = exchange->next;
	return exchange;
}

/* ---- what the MTA is told ---- */

/* An MTA takes each FAIL for a wrong password, and its client asks the user for a new one. The end
 * of the connection is a failure that passes; so others must not be on it. */
static void fail_for_now(struct sasl_exchange *exchange)
{
	struct sasl_session *session = exchange->session;
	char text[TEXT_MAX];
	int n = snprintf(text, sizeof(text), "FAIL\t%u\treason=%s\tcode=temp_fail\ttemp",
			 exchange->id, reason_row(REASON_LOGIN_DOWN)->words);

	if (session->exchange_count == 1)
		sasl_session_end(session);
	else
		sasl_session_say(session, text, (size_t)n);
	sasl_exchange_end(exchange);
}

static void fail(struct sasl_exchange *exchange, enum reason reason)
{
	char text[TEXT_MAX];
	int n;

	if (reason_row(reason)->code == POP3_CODE_SYS_TEMP) {
		fail_for_now(exchange);
		return;
	}
	n = snprintf(text, sizeof(text), "FAIL\t%u\treason=%s", exchange->id,
		     reason_row(reason)->words);
	sasl_session_say(exchange->session, text, (size_t)n);
	sasl_exchange_end(exchange);
}

/* The version of TLS is the MTA's to know. */
static void count_login(const struct sasl_exchange *exchange, enum counter_result result)
{
	counters_add(counters_login(SERVICE_SASL, exchange->mechanism, TLS_NONE, result), 1);
}

static void granted(struct sasl_exchange *exchange, pop3_span user)
{
	char text[TEXT_MAX];
	size_t n = (size_t)snprintf(text, sizeof(text), "OK\t%u\tuser=", exchange->id);

	count_login(exchange, RESULT_OK);
	n += fields_escape(user, text + n, sizeof(text) - n);
	sasl_session_say(exchange->session, text, n);
	sasl_exchange_end(exchange);
}

static void challenge(struct sasl_exchange *exchange, pop3_span challenge_text)
{
	struct sasl_session *session = exchange->session;
	char *text = malloc(TEXT_MAX + challenge_text.size);
	size_t n;

	answered(exchange);
	mta_go_on(session->mta);
	if (!text) {
		fail_for_now(exchange);
		return;
	}
	n = (size_t)snprintf(text, TEXT_MAX, "CONT\t%u\t", exchange->id);
	memcpy(text + n, challenge_text.data, challenge_text.size);
	sasl_session_say(session, text, n + challenge_text.size);
	free(text);
	loop_deadline_renew(&session->mta->client, &exchange->deadline);
}

static void delay_over(struct loop_timer *timer)
{
	struct sasl_exchange *exchange = timer->context;

	fail(exchange, exchange->reason);
}

/* The verdict is held back as for a POP3 client, but no longer than the MTA waits for it. */
static void denied(struct sasl_exchange *exchange, const struct ipc_denied *message)
{
	uint64_t passed = now_of(exchange->session->mta) - exchange->asked_at;
	uint64_t left = passed < ANSWER_MS ? ANSWER_MS - passed : 0;

	answered(exchange);
	mta_go_on(exchange->session->mta);
	loop_deadline_cancel(&exchange->deadline);
	exchange->denied = true;
	count_login(exchange, RESULT_FAILED);
	counters_add(COUNTER_LOGIN_FAILURES + SERVICE_SASL * LABELS_REASON + message->reason, 1);
	exchange->reason = (enum reason)message->reason;
	if (message->delay && left)
		loop_timer_set(&exchange->delay, message->delay < left ? message->delay : left);
	else
		fail(exchange, exchange->reason);
}

static void no_answer(struct loop_deadlines *deadlines, struct loop_deadline *deadline)
{
	(void)deadlines;
	fail_for_now(CONTAINER(deadline, struct sasl_exchange, deadline));
}

static void no_response(struct loop_deadlines *deadlines, struct loop_deadline *deadline)
{
	(void)deadlines;
	fail(CONTAINER(deadline, struct sasl_exchange, deadline), REASON_WRONG);
}

void sasl_exchanges_init(struct mta *mta)
{
	struct loop *loop = mta->frame.child->loop;

	loop_deadlines_init(&mta->answer, loop, ANSWER_MS, no_answer, mta);
	loop_deadlines_init(&mta->client, loop, CLIENT_MS, no_response, mta);
}

/* ---- what auth is asked ---- */

/* texts: the mechanism, the response. */
static void ask(struct sasl_exchange *exchange, enum ipc_type type, const struct fields *fields,
		pop3_span texts[2])
{
	struct mta *mta = exchange->session->mta;
	struct ipc_credentials message = {.session = exchange->node.key,
					  .has_secret =
						  type == IPC_SASL_RESPONSE || fields->has_response,
					  .tls = exchange->session->believed && fields->secured};

	if (getrandom(&message.ticket, sizeof(message.ticket), 0) != sizeof(message.ticket) ||
	    ipc_send_texts(&mta->auth->chan, type, &message, texts, 2) < 0) {
		fail_for_now(exchange);
		return;
	}
	exchange->ticket = message.ticket;
	exchange->asked = type;
	exchange->asked_at = now_of(mta);
	mta->unanswered++;
	loop_deadline_renew(&mta->answer, &exchange->deadline);
}

static struct sasl_exchange *create(struct sasl_session *session, uint32_t id)
{
	struct mta *mta = session->mta;
	struct sasl_exchange *exchange = calloc(1, sizeof(*exchange));

	if (!exchange)
		return NULL;
	exchange->session = session;
	exchange->id = id;
	loop_deadline_init(&exchange->deadline);
	loop_timer_init(&exchange->delay, mta->frame.child->loop, delay_over, exchange);
	table_add(&mta->exchanges, &exchange->node, ++mta->last_number);
	exchange->next = session->exchanges;
	session->exchanges = exchange;
	session->exchange_count++;
	loop_deadline_cancel(&session->client.deadline);
	return exchange;
}

void sasl_exchange_start(struct sasl_session *session, const struct fields *fields)
{
	struct mta *mta = session->mta;
	struct sasl_exchange *exchange = create(session, fields->id);
	struct ipc_connect connect = {.loopback = 1};
	pop3_span texts[] = {fields->mechanism, fields->response};

	if (!exchange) {
		sasl_session_end(session);
		return;
	}
	if (fields->mechanism.size > FIELDS_MECHANISM_MAX ||
	    fields->response.size > FIELDS_RESPONSE_MAX) {
		fail(exchange, REASON_LOGIN_UNCHECKABLE);
		return;
	}
	if (!mta->auth || (session->believed && fields->bad_address)) {
		fail_for_now(exchange);
		return;
	}
	exchange->mechanism = (uint8_t)counters_mechanism(fields->mechanism);
	if (session->believed && frame_is_banned(&mta->frame, fields->address, SERVICE_SASL)) {
		fail(exchange, REASON_WRONG);
		return;
	}
	connect.session = exchange->node.key;
	if (session->believed) {
		memcpy(connect.address, fields->address, sizeof(connect.address));
		connect.loopback = fields_is_local(fields->address);
		connect.port = fields->port;
	}
	if (ipc_send(&mta->auth->chan, IPC_CONNECT, &connect) < 0)
		fail_for_now(exchange);
	else
		ask(exchange, IPC_SASL_START, fields, texts);
}

void sasl_exchange_respond(struct sasl_exchange *exchange, pop3_span response)
{
	struct mta *mta = exchange->session->mta;
	const struct fields none = {.secured = false};
	pop3_span texts[] = {SPAN_LITERAL(""), response};

	if (exchange->asked || exchange->denied)
		return; /* out of order: its verdict comes */
	if (response.size > FIELDS_RESPONSE_MAX)
		fail(exchange, REASON_WRONG);
	else if (!mta->auth)
		fail_for_now(exchange);
	else
		ask(exchange, IPC_SASL_RESPONSE, &none, texts);
}

/* ---- what auth answers ---- */

static void connected(struct sasl_exchange *exchange, enum reason reason)
{
	if (reason != REASON_OK)
		fail(exchange, reason);
}

static void slow(struct sasl_exchange *exchange)
{
	exchange->slow = true;
	exchange->session->mta->unanswered--;
	mta_go_on(exchange->session->mta);
}

void sasl_exchange_message(struct mta *mta, uint64_t number, enum ipc_type type,
			   const void *message)
{
	struct table_node *node = table_find(&mta->exchanges, number);
	struct sasl_exchange *exchange = node ? CONTAINER(node, struct sasl_exchange, node) : NULL;
	uint64_t ticket = 0;

	if (!exchange)
		return; /* it was given up meanwhile */
	if (type == IPC_CONNECTED) {
		connected(exchange, (enum reason)((const struct ipc_connected *)message)->reason);
		return;
	}
	if (type == IPC_DENIED)
		ticket = ((const struct ipc_denied *)message)->ticket;
	else if (type == IPC_GRANTED)
		ticket = ((const struct ipc_granted *)message)->ticket;
	else if (type == IPC_SLOW)
		ticket = ((const struct ipc_slow *)message)->ticket;
	else
		ticket = exchange->ticket;
	if (!ipc_answers(type, exchange->asked) || ticket != exchange->ticket ||
	    (type == IPC_SLOW && exchange->slow)) {
		peer_break(mta->auth, "it answers a login that was not sent");
		return;
	}
	if (type == IPC_SLOW)
		slow(exchange);
	else if (type == IPC_CHALLENGE)
		challenge(exchange, ipc_text(message, 0));
	else if (type == IPC_GRANTED)
		granted(exchange, ipc_text(message, 0));
	else
		denied(exchange, message);
}

static void fail_one(struct table_node *node, void *context)
{
	struct sasl_exchange *exchange = CONTAINER(node, struct sasl_exchange, node);

	(void)context;
	if (!exchange->denied) /* that verdict stands */
		fail_for_now(exchange);
}

void sasl_exchanges_fail(struct mta *mta)
{
	table_each(&mta->exchanges, fail_one, NULL);
}
