/* See signing.h. */
#include "server/front/signing.h"

#include "server/front/session.h"
#include "sys/tls_server.h"

static void join(struct session *session, struct session **at)
{
	session->signing.next = *at;
	session->signing.at = at;
	if (*at)
		(*at)->signing.at = &session->signing.next;
	*at = session;
}

static void part(struct session *session)
{
	struct signing *signing = &session->front->signing;
	struct signing_user *user = &session->signing;

	if (!user->at)
		return;
	if (signing->waiting_end == &user->next)
		signing->waiting_end = user->at;
	*user->at = user->next;
	if (user->next)
		user->next->signing.at = user->at;
	user->at = NULL;
	user->ticket = 0;
}

/* Uses a credit. Without keys the request is remembered only. */
static void send_request(struct session *session)
{
	struct signing *signing = &session->front->signing;
	const struct tls_to_sign *wanted = tls_session_to_sign(conn_tls(&session->client.conn));
	struct ipc_sign message = {.session = session->client.node.key,
				   .ticket = session->signing.ticket};
	pop3_span content;

	if (!signing->keys || !wanted)
		return;
	message.key = wanted->key;
	message.scheme = wanted->scheme;
	content = (pop3_span){(const char *)wanted->content, wanted->size};
	signing->unanswered++;
	peer_send_parts(signing->keys, IPC_SIGN, &message, &content, 1);
}

static bool wants_signature(const struct session *session)
{
	return tls_session_to_sign(conn_tls(&session->client.conn)) != NULL;
}

static void ask(struct session *session)
{
	struct signing *signing = &session->front->signing;

	session->signing.ticket = ++signing->last_ticket;
	join(session, &signing->sent);
	send_request(session);
}

static bool has_credit(const struct signing *signing)
{
	return signing->unanswered < IPC_SIGN_CREDITS;
}

void signing_wanted(struct session *session)
{
	struct signing *signing = &session->front->signing;

	part(session);
	if (wants_signature(session) && has_credit(signing)) {
		ask(session);
		return;
	}
	if (!signing->waiting)
		signing->waiting_end = &signing->waiting;
	join(session, signing->waiting_end);
	signing->waiting_end = &session->signing.next;
}

/* Credits or turns may be free: the first that wait go on. */
static void next_turns(struct front *front)
{
	struct signing *signing = &front->signing;
	unsigned taken = front->tls ? tls_server_signing(front->tls) : TLS_SIGNING_MAX;
	struct session *first;

	while ((first = signing->waiting) != NULL) {
		if (wants_signature(first)) {
			if (!has_credit(signing))
				return;
			part(first);
			ask(first);
			continue;
		}
		if (taken++ >= TLS_SIGNING_MAX)
			return;
		part(first);
		conn_go_on(&first->client.conn);
	}
}

void signing_stop(struct session *session)
{
	part(session);
	next_turns(session->front);
}

void signing_up(struct front *front, struct peer *keys)
{
	front->signing.keys = keys;
	front->signing.unanswered = 0;
	for (struct session *session = front->signing.sent; session;
	     session = session->signing.next)
		send_request(session);
}

void signing_gone(struct front *front, const struct peer *keys)
{
	if (front->signing.keys == keys)
		front->signing.keys = NULL;
}

void signing_answer(struct front *front, struct session *session, const struct ipc_signed *message)
{
	if (front->signing.unanswered)
		front->signing.unanswered--;
	/* else: of a session that has ended, or keys answers what it was not asked */
	if (session && session->signing.ticket && session->signing.ticket == message->ticket) {
		part(session);
		conn_signed(&session->client.conn, ipc_tail(message), message->head.tail);
	}
	next_turns(front);
}
