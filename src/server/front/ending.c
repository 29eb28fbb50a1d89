/* See ending.h. */
#include "server/front/session.h"

#include "base/log.h"
#include "base/text.h"
#include "server/counters.h"
#include "server/record.h"

#include <stdlib.h>

void ending_reason(struct session *session, const char *why)
{
	if (!session->ending.why)
		session->ending.why = why;
}

void ending_octets(struct session *session, uint64_t octets)
{
	if (session->ending.topping)
		session->ending.top_octets += octets;
	else
		session->ending.retr_octets += octets;
	counters_add(session->ending.topping ? COUNTER_TOP_OCTETS : COUNTER_RETR_OCTETS, octets);
}

static bool had_too_many_bad_commands(const struct session *session)
{
	uint16_t max = session->front->strict.max_bad_commands;

	return session->stage != STAGE_CONNECTING && max && session->pop3.bad_commands >= max;
}

/* A client that was never set to use TLS: its user sees no cause, but that the login fails. */
static bool went_without_tls(const struct session *session)
{
	return session->stage != STAGE_CONNECTING && session->pop3.tls_wanted &&
	       !session->ending.tls && !session->ending.user;
}

/* NULL: the client left by itself. */
static const char *own_reason(const struct session *session, enum conn_end end)
{
	if (session->ending.why)
		return session->ending.why;
	if (went_without_tls(session))
		return "no login in clear text: the client has to use TLS";
	if (end != CONN_CLOSED_BY_US)
		return NULL;
	if (had_too_many_bad_commands(session))
		return "too many bad commands";
	return session->front->frame.child->draining ? "drain" : NULL;
}

static const char *reason_of(const struct session *session, enum conn_end end)
{
	const char *own = own_reason(session, end);

	if (own)
		return own;
	switch (end) {
	case CONN_CLOSED_BY_US:
		return "closed";
	case CONN_EOF:
		return "the client closed the connection";
	case CONN_CUT:
		return "cut";
	case CONN_TLS_FAILED:
		return conn_tls_error(&session->client.conn);
	}
	return "";
}

static void begin(const struct session *session, enum record_event event, struct record *record)
{
	record_begin(record, event, session->address, session->front->frame.child->instance,
		     session->client.node.key);
	record_words(record, RECORD_KEY_SERVICE,
		     session->service == SERVICE_POP3S ? "pop3s" : "pop3");
	if (!session->ending.tls)
		return;
	record_words(record, RECORD_KEY_TLS, session->ending.tls);
	if (session->ending.cipher)
		record_words(record, RECORD_KEY_CIPHER, session->ending.cipher);
}

static void write_counts(const struct session *session, struct record *record)
{
	const struct ending *ending = &session->ending;

	record_number(record, RECORD_KEY_TOP, ending->top);
	record_number(record, RECORD_KEY_TOP_OCTETS, ending->top_octets);
	record_number(record, RECORD_KEY_RETR, ending->retr);
	record_number(record, RECORD_KEY_RETR_OCTETS, ending->retr_octets);
	record_number(record, RECORD_KEY_DELE, ending->dele);
	record_number(record, RECORD_KEY_DELE_OCTETS, ending->dele_octets);
	record_number(record, RECORD_KEY_LEFT, ending->left);
}

static void count(const struct session *session, bool handshake)
{
	uint64_t now = loop_now(session->front->frame.child->loop);

	if (handshake)
		counters_add(COUNTER_HANDSHAKES_FAILED + (size_t)session->service, 1);
	if (!session->ending.user)
		return;
	counters_less(COUNTER_SESSIONS_NOW + (size_t)session->service);
	counters_enter(COUNTER_SESSION_SECONDS + (size_t)session->service * HISTOGRAM_SLOTS,
		       now - session->ending.started);
}

void ending_write(struct session *session, enum conn_end end)
{
	struct ending *ending = &session->ending;
	bool handshake = end == CONN_TLS_FAILED && !session->ending.tls;
	bool loud = ending->user || (!session->quiet && (handshake || own_reason(session, end)));
	struct record record;

	count(session, handshake);
	begin(session,
	      !loud          ? RECORD_LEFT_EARLY
	      : handshake    ? RECORD_TLS_FAILED
	      : ending->user ? RECORD_SESSION_END
			     : RECORD_STRANGER_END,
	      &record);
	if (ending->user)
		write_counts(session, &record);
	record_number(&record, RECORD_KEY_SECONDS,
		      (loop_now(session->front->frame.child->loop) - ending->started) / 1000);
	if (ending->user)
		record_text(&record, RECORD_KEY_USER, span_of(ending->user));
	record_words(&record, RECORD_KEY_REASON, reason_of(session, end));
	record_write(&record);
	if (!loud)
		log_debug("session-end without a login: %s", reason_of(session, end));
	free(ending->user);
	ending->user = NULL;
}
