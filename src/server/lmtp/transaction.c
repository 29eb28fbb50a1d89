/* See transaction.h. */
#include "server/lmtp/session.h"

#include "base/text.h"
#include "lmtp/headers.h"
#include "server/lmtp/content.h"
#include "server/lmtp/message.h"
#include "server/lmtp/refusal.h"
#include "server/record.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A maildrop that a recipient leads to. auth names its keeper (RESOLVED), which then answers RCPT
 * and DELIVER once each. */
#define PLACE_LEFT UINT32_MAX /* of a keeper that is gone */
enum part_state { PART_ASKED, PART_READY, PART_DONE };
struct lmtp_part {
	uint32_t place; /* of the keeper */
	uint8_t state;
};

/* A recipient: one address, one or more parts. */
struct lmtp_recipient {
	uint32_t serial;       /* of the session: its name towards auth and keepers */
	uint32_t first, parts; /* in the transaction's parts */
	uint32_t ready, done;
	enum reason reason; /* the worst so far */
	bool answered;
};

/* An answer of a keeper that came before auth's RESOLVED: channels are not in step. */
struct lmtp_early {
	uint32_t place;
	uint32_t reason;
};

/* A keeper that may know of the transaction. One on demand with a recipient that is ready does not
 * end before it gets FORGET, or has delivered. */
struct lmtp_knowing {
	uint32_t place;
	bool held;
};

static const char never_asked[] = "it answers for a recipient that was not asked about";

void transaction_too_big(const struct lmtp_session *session, bool received)
{
	struct record record;

	record_begin(&record, RECORD_MESSAGE_REFUSED, session->address,
		     session->front->frame.child->instance, session->client.node.key);
	if (received) /* else the transaction has not begun */
		record_text(&record, RECORD_KEY_SENDER, span_of(session->transaction.sender));
	record_words(&record, RECORD_KEY_REASON, "larger than lmtp.max_size");
	record_write(&record);
}

static bool is_asking(const struct lmtp_transaction *t)
{
	return t->stage == LMTP_ASKING || t->stage == LMTP_RESOLVED;
}

bool transaction_delivering(const struct lmtp_session *session)
{
	return session->transaction.stage == LMTP_DELIVERING;
}

/* ---- the beginning and the end of a transaction ---- */

void transaction_init(struct lmtp_transaction *transaction)
{
	memset(transaction, 0, sizeof(*transaction));
}

/* The message is taken all the same: a bounce would go to nobody, or to the wrong one. */
static void warn_unwritable(const struct lmtp_session *session, pop3_span sender)
{
	if (sender.size && record_may(RECORD_SENDER_UNWRITABLE, session->address))
		log_warning("the envelope sender <%.*s> cannot stand in a header: the message is "
			    "taken with the null sender",
			    (int)sender.size, sender.data);
}

void transaction_begin(struct lmtp_session *session, const struct lmtp_event *event)
{
	struct lmtp_transaction *t = &session->transaction;

	transaction_forget(session);
	t->number++;
	t->utf8 = event->utf8;
	t->declared = event->size;
	memcpy(t->sender, event->path.data, event->path.size);
	t->sender[event->path.size] = '\0';
	warn_unwritable(session, event->unwritable);
	lmtp_server_reply(&session->lmtp, 250, "2.1.0", "sender ok");
}

void transaction_forget(struct lmtp_session *session)
{
	struct lmtp_transaction *t = &session->transaction;
	struct ipc_transaction message = {.session = session->client.node.key,
					  .transaction = t->number};

	for (uint32_t i = 0; i < t->knowing_count; i++) {
		struct peer *keeper = session->front->keepers[t->knowing[i].place];

		if (keeper)
			ipc_send(&keeper->chan, IPC_FORGET, &message);
	}
	content_drop(session);
	free(lmtp_server_take_back(&session->lmtp));
	free(t->recipients);
	free(t->parts);
	free(t->early);
	free(t->knowing);
	t->knowing = NULL;
	t->recipients = NULL;
	t->parts = NULL;
	t->early = NULL;
	t->knowing_count = t->knowing_room = 0;
	t->count = t->room = t->part_count = 0;
	t->early_count = t->early_room = 0;
	t->crowded = t->ending = false;
	t->stage = LMTP_COLLECTING;
}

/* ---- keepers ---- */

static struct peer *keeper_at(const struct lmtp_front *front, uint32_t place)
{
	return place < front->keeper_room ? front->keepers[place] : NULL;
}

/* The place of a keeper, or PLACE_LEFT. */
static uint32_t place_of(const struct lmtp_front *front, uint64_t instance)
{
	for (uint32_t place = 0; place < front->keeper_room; place++)
		if (front->keepers[place] && front->keepers[place]->instance == instance)
			return place;
	return PLACE_LEFT;
}

/* The keeper gets FORGET when the transaction ends. held: the transaction keeps it from ending. */
static int note_keeper(struct lmtp_transaction *t, uint32_t place, bool held)
{
	uint32_t room = t->knowing_room ? 2 * t->knowing_room : 4, i = 0;
	struct lmtp_knowing *list;

	while (i < t->knowing_count && t->knowing[i].place != place)
		i++;
	if (i < t->knowing_count) {
		t->knowing[i].held |= held;
		return 0;
	}
	if (t->knowing_count == t->knowing_room) {
		list = realloc(t->knowing, room * sizeof(*list));
		if (!list)
			return -1;
		t->knowing = list;
		t->knowing_room = room;
	}
	t->knowing[t->knowing_count++] = (struct lmtp_knowing){place, held};
	return 0;
}

/* The keepers on demand that the transaction keeps from ending. */
static uint32_t keepers_held(const struct lmtp_transaction *t)
{
	uint32_t held = 0;

	if (t->crowded)
		return IPC_HELD_ALL;
	for (uint32_t i = 0; i < t->knowing_count; i++)
		held += t->knowing[i].held;
	return held;
}

static void forget_keeper(struct lmtp_transaction *t, uint32_t place)
{
	for (uint32_t i = 0; i < t->knowing_count; i++)
		if (t->knowing[i].place == place)
			t->knowing[i--] = t->knowing[--t->knowing_count];
}

/* ---- recipients ---- */

static struct lmtp_recipient *room_for_one(struct lmtp_session *session)
{
	struct lmtp_transaction *t = &session->transaction;
	uint32_t room = t->room ? t->room * 2 : 4;
	struct lmtp_recipient *list;

	if (t->count == t->room) {
		list = realloc(t->recipients, room * sizeof(*list));
		if (!list)
			return NULL;
		t->recipients = list;
		t->room = room;
	}
	return &t->recipients[t->count];
}

void transaction_recipient(struct lmtp_session *session, const struct lmtp_event *event)
{
	struct lmtp_transaction *t = &session->transaction;
	struct lmtp_recipient *recipient = room_for_one(session);
	struct ipc_recipient message = {.session = session->client.node.key,
					.transaction = t->number,
					.index = ++t->serials,
					.held = keepers_held(t)};

	if (span_copy(event->address, t->asked, sizeof(t->asked)) < 0)
		t->asked[0] = '\0';
	if (!recipient || !session->front->auth ||
	    ipc_send_texts(&session->front->auth->chan, IPC_RCPT, &message, &event->address, 1) <
		    0) {
		refusal_log(session, RECORD_RECIPIENT_REFUSED, REASON_STORE_DOWN);
		refusal_reply(session, REASON_STORE_DOWN);
		return;
	}
	memset(recipient, 0, sizeof(*recipient));
	recipient->serial = message.index;
	t->stage = LMTP_ASKING;
	t->early_count = 0;
}

static void refuse_recipient(struct lmtp_session *session, enum reason reason)
{
	struct lmtp_transaction *t = &session->transaction;

	if (t->stage == LMTP_RESOLVED) /* its parts are the last ones */
		t->part_count = t->recipients[t->count].first;
	t->stage = LMTP_COLLECTING;
	refusal_log(session, RECORD_RECIPIENT_REFUSED, reason);
	refusal_reply(session, reason);
	conn_wake(&session->client.conn);
}

/* The part of a recipient that a keeper owes an answer for. NULL: none. */
static struct lmtp_part *find_part(struct lmtp_session *session,
				   const struct lmtp_recipient *recipient, uint32_t place,
				   enum part_state state)
{
	struct lmtp_transaction *t = &session->transaction;

	for (uint32_t i = 0; i < recipient->parts; i++) {
		struct lmtp_part *part = &t->parts[recipient->first + i];

		if (part->place == place && part->state == state)
			return part;
	}
	return NULL;
}

/* A keeper's answer to the RCPT under way. False: that keeper was not asked. */
static bool take_answer(struct lmtp_session *session, uint32_t place, enum reason reason)
{
	struct lmtp_transaction *t = &session->transaction;
	struct lmtp_recipient *recipient = &t->recipients[t->count];
	struct lmtp_part *part = find_part(session, recipient, place, PART_ASKED);

	if (!part)
		return false;
	part->state = PART_READY;
	if (reason != REASON_OK) {
		refuse_recipient(session, reason);
		return true;
	}
	if (++recipient->ready < recipient->parts)
		return true;
	t->stage = LMTP_COLLECTING;
	t->count++;
	lmtp_server_reply(&session->lmtp, 250, "2.1.5", "recipient ok");
	conn_wake(&session->client.conn);
	return true;
}

/* Keeps an answer until auth has named the keepers. Each keeper has its own bound, so that none can
 * fill the list for another. False: this one sent too many. */
static bool keep_early(struct lmtp_session *session, uint32_t place, enum reason reason)
{
	struct lmtp_transaction *t = &session->transaction;
	uint32_t count = t->early_count, same = 0;
	struct lmtp_early *list = t->early;

	for (uint32_t i = 0; i < count; i++)
		same += list[i].place == place;
	if (same == IPC_PARTS_MAX)
		return false;
	if (count == t->early_room) {
		list = realloc(list, (count + IPC_PARTS_MAX) * sizeof(*list));
		if (!list) {
			refuse_recipient(session, REASON_MEMORY);
			return true;
		}
		t->early = list;
		t->early_room = count + IPC_PARTS_MAX;
	}
	list[t->early_count++] = (struct lmtp_early){place, reason};
	return true;
}

static void keeper_answers(struct lmtp_session *session, struct peer *keeper, uint32_t place,
			   const struct ipc_recipient_answer *message)
{
	struct lmtp_transaction *t = &session->transaction;
	enum reason reason = (enum reason)message->reason;

	if (note_keeper(t, place, message->on_demand) < 0) {
		if (is_asking(t))
			refuse_recipient(session, REASON_MEMORY);
		return;
	}
	if (message->index > t->serials) {
		peer_break(keeper, never_asked);
		return;
	}
	if (!is_asking(t) || t->recipients[t->count].serial != message->index)
		return; /* that recipient was refused meanwhile */
	if (t->stage == LMTP_RESOLVED ? !take_answer(session, place, reason)
				      : !keep_early(session, place, reason))
		peer_break(keeper, "it answers for a recipient that is another keeper's");
}

static int add_parts(struct lmtp_session *session, const struct ipc_resolved *message)
{
	struct lmtp_transaction *t = &session->transaction;
	struct lmtp_recipient *recipient = &t->recipients[t->count];
	struct lmtp_part *parts =
		realloc(t->parts, (t->part_count + message->parts) * sizeof(*parts));

	if (!parts)
		return -1;
	t->parts = parts;
	recipient->first = t->part_count;
	for (uint32_t i = 0; i < message->parts; i++) {
		uint64_t instance;
		uint32_t place;

		memcpy(&instance, ipc_tail(message) + i * sizeof(instance), sizeof(instance));
		place = place_of(session->front, instance);
		if (place == PLACE_LEFT || note_keeper(t, place, false) < 0)
			return -1; /* that keeper is gone */
		parts[t->part_count++] = (struct lmtp_part){place, PART_ASKED};
	}
	recipient->parts = message->parts;
	return 0;
}

static void take_resolved(struct lmtp_session *session, struct peer *auth,
			  const struct ipc_resolved *message)
{
	struct lmtp_transaction *t = &session->transaction;

	if (message->index > t->serials) {
		peer_break(auth, never_asked);
		return;
	}
	if (t->stage != LMTP_ASKING || t->recipients[t->count].serial != message->index)
		return; /* that recipient was refused meanwhile */
	t->stage = LMTP_RESOLVED;
	if (add_parts(session, message) < 0) {
		refuse_recipient(session, REASON_STORE_DOWN);
		return;
	}
	for (uint32_t i = 0; i < t->early_count && t->stage == LMTP_RESOLVED; i++) {
		const struct lmtp_early *early = &t->early[i];
		struct peer *keeper = keeper_at(session->front, early->place);

		if (!take_answer(session, early->place, (enum reason)early->reason) && keeper)
			peer_break(keeper, "it answers for a recipient that is another keeper's");
	}
}

static void auth_refuses(struct lmtp_session *session, struct peer *auth,
			 const struct ipc_recipient_answer *message)
{
	struct lmtp_transaction *t = &session->transaction;

	if (message->index > t->serials) {
		peer_break(auth, never_asked);
		return;
	}
	if (!is_asking(t) || t->recipients[t->count].serial != message->index)
		return;
	if (message->reason == REASON_TOO_MANY_OWNERS || message->reason == REASON_OWNERS_BUSY)
		t->crowded = true; /* the next recipients do not wait */
	refuse_recipient(session, (enum reason)message->reason);
}

/* ---- the message ---- */

static void settled(void *context);

void transaction_data(struct lmtp_session *session)
{
	if (!content_begin(session, settled)) {
		refusal_log(session, RECORD_MESSAGE_REFUSED, REASON_SPOOL_FULL);
		content_drop(session);
		refusal_reply(session, REASON_SPOOL_FULL);
		return;
	}
	lmtp_server_reply_data_go(&session->lmtp);
}

static size_t render_headers(const struct lmtp_session *session, char *headers)
{
	const struct lmtp_transaction *t = &session->transaction;
	const char *host = session->front->settings.host_name;
	struct lmtp_trace trace = {
		.sender = {t->sender, strlen(t->sender)},
		.peer_name = lmtp_server_peer_name(&session->lmtp),
		.peer_address = {session->peer_address, strlen(session->peer_address)},
		.host_name = {host, strlen(host)},
		.protocol = {t->utf8 ? "UTF8LMTP" : "LMTP", t->utf8 ? 8 : 4},
		.time = time(NULL)};

	return lmtp_headers_render(&trace, headers, IPC_HEADERS_MAX);
}

static bool has_part(const struct lmtp_session *session, const struct lmtp_recipient *recipient,
		     uint32_t place)
{
	const struct lmtp_transaction *t = &session->transaction;

	for (uint32_t i = 0; i < recipient->parts; i++)
		if (t->parts[recipient->first + i].place == place)
			return true;
	return false;
}

/* Whether an accepted recipient is the keeper's. One that only answered, or that refused its own
 * recipient, gets no message: it may be another user's. */
static bool owes_delivery(const struct lmtp_session *session, uint32_t place)
{
	const struct lmtp_transaction *t = &session->transaction;

	for (uint32_t i = 0; i < t->count; i++)
		if (has_part(session, &t->recipients[i], place))
			return true;
	return false;
}

static void send_to(struct lmtp_session *session, uint32_t place, const uint32_t *serials,
		    char *headers, size_t size)
{
	struct lmtp_transaction *t = &session->transaction;
	struct peer *keeper = keeper_at(session->front, place);
	struct ipc_deliver message = {.session = session->client.node.key,
				      .size = t->size,
				      .transaction = t->number,
				      .count = t->count,
				      .utf8 = t->utf8};
	pop3_span parts[] = {{(const char *)serials, t->count * sizeof(*serials)}, {headers, size}};
	int fd = message_fd(t->message);

	if (!keeper || ipc_send_all(&keeper->chan, IPC_DELIVER, &message, parts, 2, &fd, 1) < 0)
		transaction_keeper_gone(session, place);
}

static void refuse_all(struct lmtp_session *session, enum reason reason)
{
	const struct reason_row *row = reason_row(reason);

	refusal_log(session, RECORD_MESSAGE_REFUSED, reason);
	content_drop(session);
	lmtp_server_reply_all(&session->lmtp, row->reply, row->enhanced, row->words);
}

static void fail_recipient(struct lmtp_session *session, uint32_t index);

/* The message is complete, and can be lent. */
static void lend(struct lmtp_session *session)
{
	struct lmtp_transaction *t = &session->transaction;
	char headers[IPC_HEADERS_MAX];
	uint32_t serials[IPC_RECIPIENTS_MAX];
	size_t size = render_headers(session, headers);
	struct lmtp_outcome *outcomes = calloc(t->count, sizeof(*outcomes));

	if (!outcomes || t->count > IPC_RECIPIENTS_MAX) {
		free(outcomes);
		refuse_all(session, REASON_STORE_DOWN);
		return;
	}
	lmtp_server_lend(&session->lmtp, outcomes);
	for (uint32_t i = 0; i < t->count; i++)
		serials[i] = t->recipients[i].serial;
	t->size = message_size(t->message);
	t->stage = LMTP_DELIVERING;
	for (uint32_t i = 0; i < t->count && t->stage == LMTP_DELIVERING; i++)
		if (has_part(session, &t->recipients[i], PLACE_LEFT))
			fail_recipient(session, i);
	for (uint32_t place = 0; place < session->front->keeper_room; place++)
		if (owes_delivery(session, place))
			send_to(session, place, serials, headers, size);
	message_release(&t->message); /* keepers have it; it counts until they have answered */
}

void transaction_deliver(struct lmtp_session *session)
{
	struct lmtp_transaction *t = &session->transaction;
	int complete = t->message ? message_complete(t->message) : -1;

	spool_complete(&session->front->memory, &t->memory);
	spool_complete(&session->front->disk, &t->disk);
	if (complete < 0)
		refuse_all(session, REASON_DISK_FULL);
	else if (complete)
		lend(session);
	t->ending = complete == 0;
}

/* A worker has written what came of the message. */
static void settled(void *context)
{
	struct lmtp_session *session = context;

	if (session->transaction.ending)
		transaction_deliver(session);
	else if (message_failed(session->transaction.message))
		content_fail(session, REASON_DISK_FULL);
	conn_wake(&session->client.conn);
}

/* ---- outcomes ---- */

/* A reply 4yz is worse than 5yz, because it is tried again; both are worse than 250. */
static bool worse(enum reason a, enum reason b)
{
	unsigned x = reason_row(a)->reply / 100, y = reason_row(b)->reply / 100;

	return x > 2 && (y <= 2 || x < y);
}

static void part_done(struct lmtp_session *session, uint32_t index, enum reason reason)
{
	struct lmtp_transaction *t = &session->transaction;
	struct lmtp_recipient *recipient = &t->recipients[index];
	const struct reason_row *row;

	if (recipient->answered)
		return;
	if (worse(reason, recipient->reason))
		recipient->reason = reason;
	if (++recipient->done < recipient->parts)
		return;
	recipient->answered = true;
	row = reason_row(recipient->reason);
	lmtp_server_reply_recipient(&session->lmtp, index, row->reply, row->enhanced, row->words);
	conn_wake(&session->client.conn);
}

static void delivered(struct lmtp_session *session, struct peer *keeper, uint32_t place,
		      const struct ipc_recipient_answer *message)
{
	struct lmtp_transaction *t = &session->transaction;

	for (uint32_t i = 0; i < t->count; i++) {
		struct lmtp_part *part;

		if (t->recipients[i].serial != message->index)
			continue;
		part = find_part(session, &t->recipients[i], place, PART_READY);
		if (!part)
			break;
		part->state = PART_DONE;
		part_done(session, i, (enum reason)message->reason);
		return;
	}
	peer_break(keeper, "it answers a delivery that it was not asked for");
}

static void fail_recipient(struct lmtp_session *session, uint32_t index)
{
	struct lmtp_transaction *t = &session->transaction;
	struct lmtp_recipient *recipient = &t->recipients[index];

	/* the client will try this recipient again, so that answers for its other parts do not
	 * matter any more */
	recipient->done = recipient->parts ? recipient->parts - 1 : 0;
	part_done(session, index, REASON_STORE_DOWN);
}

/* The next keeper that gets the place has no part in what the last one was asked. */
static void leave_place(struct lmtp_transaction *t, uint32_t place)
{
	for (uint32_t i = 0; i < t->part_count; i++)
		if (t->parts[i].place == place)
			t->parts[i].place = PLACE_LEFT;
	for (uint32_t i = 0; i < t->early_count; i++)
		if (t->early[i].place == place)
			t->early[i].place = PLACE_LEFT;
}

void transaction_keeper_gone(struct lmtp_session *session, uint32_t place)
{
	struct lmtp_transaction *t = &session->transaction;

	/* until auth has named the keepers of the recipient under way, this one may be among them,
	 * and then no answer comes */
	if ((t->stage == LMTP_ASKING && !session->front->left_tidily) ||
	    (t->stage == LMTP_RESOLVED && has_part(session, &t->recipients[t->count], place)))
		refuse_recipient(session, REASON_STORE_DOWN);
	forget_keeper(t, place);
	for (uint32_t i = 0; i < t->count && t->stage == LMTP_DELIVERING; i++)
		if (has_part(session, &t->recipients[i], place))
			fail_recipient(session, i);
	/* recipients that were accepted before the message is complete are told behind it */
	leave_place(t, place);
}

void transaction_unanswered(struct lmtp_session *session)
{
	struct lmtp_transaction *t = &session->transaction;

	if (is_asking(t))
		refuse_recipient(session, REASON_STORE_DOWN);
}

/* A recipient became ready after its transaction had ended. */
static void forget_late(struct peer *keeper, const struct ipc_recipient_answer *answer)
{
	struct ipc_transaction message = {.session = answer->session,
					  .transaction = answer->transaction};

	ipc_send(&keeper->chan, IPC_FORGET, &message);
}

static void keeper_message(struct lmtp_session *session, struct peer *keeper, enum ipc_type type,
			   const struct ipc_recipient_answer *answer)
{
	struct lmtp_transaction *t = &session->transaction;
	uint32_t place = place_of(session->front, keeper->instance);

	if (place == PLACE_LEFT)
		return;
	if (type != IPC_DELIVERED)
		keeper_answers(session, keeper, place, answer);
	else if (t->stage == LMTP_DELIVERING) /* else: the transaction has failed already */
		delivered(session, keeper, place, answer);
}

void transaction_message(struct lmtp_session *session, struct peer *peer, enum ipc_type type,
			 const void *message)
{
	const struct ipc_recipient_answer *answer = message; /* RESOLVED begins in the same way */

	if (!session || answer->transaction != session->transaction.number) {
		if (type == IPC_RCPT_READY)
			forget_late(peer, answer);
	} else if (type == IPC_RESOLVED) {
		take_resolved(session, peer, message);
	} else if (peer->role == ROLE_AUTH) {
		auth_refuses(session, peer, answer);
	} else {
		keeper_message(session, peer, type, answer);
	}
}
