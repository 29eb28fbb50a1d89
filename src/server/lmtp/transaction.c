/*
 * Recipients and the message of an LMTP transaction: a recipient is accepted when auth resolved it
 * and every keeper concerned is ready for it; the message is collected in a memory file, sealed,
 * and handed to those keepers; a recipient is answered when all its parts are on disk (250) or the
 * worst that happened is known. See lmtp_front.h.
 */
#include "server/lmtp/lmtp.h"

#include "base/log.h"
#include "lmtp/headers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static void reply(struct lmtp_session *session, enum reason reason)
{
	const struct reason_row *row = reason_row(reason);

	lmtp_server_reply(&session->lmtp, row->reply, row->enhanced, row->words);
}

/* -- the beginning and the end of a transaction -- */

void letter_begin(struct lmtp_session *session, const struct lmtp_event *event)
{
	letter_forget(session);
	session->transaction++;
	session->utf8 = event->utf8;
	memcpy(session->sender, event->path.data, event->path.size);
	session->sender[event->path.size] = '\0';
	lmtp_server_reply(&session->lmtp, 250, "2.1.0", "sender ok");
}

static void close_file(struct lmtp_session *session)
{
	if (session->letter_fd >= 0)
		close(session->letter_fd);
	session->letter_fd = -1;
}

static void drop_file(struct lmtp_session *session)
{
	close_file(session);
	session->front->spooled -= session->size;
	session->size = 0;
}

void letter_forget(struct lmtp_session *session)
{
	struct ipc_transaction message = {.session = session->client.node.key,
					  .transaction = session->transaction};

	for (unsigned slot = 0; slot < LMTP_KEEPERS_MAX; slot++)
		if (session->keepers >> slot & 1 && session->front->keepers[slot])
			ipc_send(&session->front->keepers[slot]->chan, IPC_FORGET, &message);
	drop_file(session);
	free(lmtp_server_take_back(&session->lmtp));
	free(session->recipients);
	free(session->parts);
	free(session->early);
	session->recipients = NULL;
	session->parts = NULL;
	session->early = NULL;
	session->keepers = 0;
	session->count = session->room = session->part_count = session->early_count = 0;
	session->asking = session->delivering = false;
}

/* -- recipients -- */

static struct lmtp_recipient *room_for_one(struct lmtp_session *session)
{
	uint32_t room = session->room ? session->room * 2 : 4;
	struct lmtp_recipient *list;

	if (session->count == session->room) {
		list = realloc(session->recipients, room * sizeof(*list));
		if (!list)
			return NULL;
		session->recipients = list;
		session->room = room;
	}
	return &session->recipients[session->count];
}

void letter_recipient(struct lmtp_session *session, const struct lmtp_event *event)
{
	struct lmtp_recipient *recipient = room_for_one(session);
	struct ipc_recipient message = {.session = session->client.node.key,
					.transaction = session->transaction,
					.index = ++session->serials};

	if (!recipient || !session->front->auth ||
	    ipc_send_texts(&session->front->auth->chan, IPC_RCPT, &message, &event->address, 1) <
		    0) {
		reply(session, REASON_STORE_DOWN);
		return;
	}
	memset(recipient, 0, sizeof(*recipient));
	recipient->serial = message.index;
	session->asking = true;
	session->resolved = false;
	session->early_count = 0;
}

static void refuse_recipient(struct lmtp_session *session, enum reason reason)
{
	session->asking = false;
	reply(session, reason);
	conn_wake(&session->client.conn);
}

/* The part of a recipient that a keeper owes an answer for. NULL: none. */
static struct lmtp_part *find_part(struct lmtp_session *session,
				   const struct lmtp_recipient *recipient, unsigned slot,
				   enum lmtp_part_state state)
{
	for (uint32_t i = 0; i < recipient->parts; i++) {
		struct lmtp_part *part = &session->parts[recipient->first + i];

		if (part->slot == slot && part->state == state)
			return part;
	}
	return NULL;
}

/* What a keeper answers to the RCPT under way. False: nobody asked that keeper. */
static bool take_answer(struct lmtp_session *session, unsigned slot, enum reason reason)
{
	struct lmtp_recipient *recipient = &session->recipients[session->count];
	struct lmtp_part *part = find_part(session, recipient, slot, PART_ASKED);

	if (!part)
		return false;
	part->state = PART_READY;
	if (reason != REASON_OK) {
		refuse_recipient(session, reason);
		return true;
	}
	if (++recipient->ready < recipient->parts)
		return true;
	session->asking = false;
	session->count++;
	lmtp_server_reply(&session->lmtp, 250, "2.1.5", "recipient ok");
	conn_wake(&session->client.conn);
	return true;
}

/* Kept until auth has named the keepers. */
static bool keep_early(struct lmtp_session *session, unsigned slot, enum reason reason)
{
	if (!session->early)
		session->early = malloc(IPC_PARTS_MAX * sizeof(*session->early));
	if (!session->early) {
		refuse_recipient(session, REASON_MEMORY);
		return true;
	}
	if (session->early_count == IPC_PARTS_MAX)
		return false;
	session->early[session->early_count++] = (struct lmtp_early){(uint8_t)slot, reason};
	return true;
}

static void keeper_answers(struct lmtp_session *session, struct peer *keeper, unsigned slot,
			   const struct ipc_recipient_answer *message)
{
	enum reason reason = (enum reason)message->reason;

	session->keepers |= 1ull << slot; /* FORGET goes there, too */
	if (message->index > session->serials) {
		peer_break(keeper, "it answers for a recipient that nobody asked about");
		return;
	}
	if (!session->asking || session->recipients[session->count].serial != message->index)
		return; /* that one was refused meanwhile */
	if (session->resolved ? !take_answer(session, slot, reason)
			      : !keep_early(session, slot, reason))
		peer_break(keeper, "it answers for a recipient that is another keeper's");
}

static int add_parts(struct lmtp_session *session, const struct ipc_resolved *message)
{
	struct lmtp_recipient *recipient = &session->recipients[session->count];
	struct lmtp_part *parts =
		realloc(session->parts, (session->part_count + message->parts) * sizeof(*parts));

	if (!parts)
		return -1;
	session->parts = parts;
	recipient->first = session->part_count;
	for (uint32_t i = 0; i < message->parts; i++) {
		uint64_t instance;
		unsigned slot = 0;

		memcpy(&instance, ipc_tail(message) + i * sizeof(instance), sizeof(instance));
		while (slot < LMTP_KEEPERS_MAX &&
		       (!session->front->keepers[slot] ||
			session->front->keepers[slot]->instance != instance))
			slot++;
		if (slot == LMTP_KEEPERS_MAX)
			return -1; /* it is gone, or not known yet */
		parts[session->part_count++] = (struct lmtp_part){(uint8_t)slot, PART_ASKED};
		session->keepers |= 1ull << slot;
	}
	recipient->parts = message->parts;
	return 0;
}

static void take_resolved(struct lmtp_session *session, const struct ipc_resolved *message)
{
	if (!session->asking || session->resolved ||
	    session->recipients[session->count].serial != message->index)
		return; /* that one was refused meanwhile */
	session->resolved = true;
	if (add_parts(session, message) < 0) {
		refuse_recipient(session, REASON_STORE_DOWN);
		return;
	}
	for (uint32_t i = 0; i < session->early_count && session->asking; i++) {
		const struct lmtp_early *early = &session->early[i];
		struct peer *keeper = session->front->keepers[early->slot];

		if (!take_answer(session, early->slot, (enum reason)early->reason) && keeper)
			peer_break(keeper, "it answers for a recipient that is another keeper's");
	}
}

static void auth_refuses(struct lmtp_session *session, const struct ipc_recipient_answer *message)
{
	if (session->asking && session->recipients[session->count].serial == message->index)
		refuse_recipient(session, (enum reason)message->reason);
}

/* -- the message -- */

void letter_data(struct lmtp_session *session)
{
	struct lmtp_front *front = session->front;

	session->letter_fd = memfd_create("letter", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (session->letter_fd < 0 || front->spooled >= front->spool_max) {
		drop_file(session);
		reply(session, REASON_SPOOL_FULL);
		return;
	}
	lmtp_server_reply_data_go(&session->lmtp);
}

void letter_content(struct lmtp_session *session, pop3_span text)
{
	struct lmtp_front *front = session->front;

	if (session->letter_fd < 0)
		return;
	if (front->spooled + text.size > front->spool_max)
		goto failed;
	while (text.size) {
		ssize_t n = write(session->letter_fd, text.data, text.size);

		if (n <= 0)
			goto failed;
		text.data += n;
		text.size -= (size_t)n;
		session->size += (uint64_t)n;
		front->spooled += (uint64_t)n;
	}
	return;
failed:
	log_warning("a message was refused: %llu octets are on their way",
		    (unsigned long long)front->spooled);
	drop_file(session);
	lmtp_server_fail_content(&session->lmtp, reason_row(REASON_SPOOL_FULL)->reply,
				 reason_row(REASON_SPOOL_FULL)->enhanced,
				 reason_row(REASON_SPOOL_FULL)->words);
}

static size_t render_headers(const struct lmtp_session *session, char *headers)
{
	const char *host = session->front->settings.host_name;
	struct lmtp_trace trace = {
		.sender = {session->sender, strlen(session->sender)},
		.peer_name = lmtp_server_peer_name(&session->lmtp),
		.peer_address = {session->peer_address, strlen(session->peer_address)},
		.host_name = {host, strlen(host)},
		.protocol = {session->utf8 ? "UTF8LMTP" : "LMTP", session->utf8 ? 8 : 4},
		.time = time(NULL)};

	return lmtp_headers_render(&trace, headers, IPC_HEADERS_MAX);
}

static void send_to(struct lmtp_session *session, unsigned slot, const uint32_t *serials,
		    char *headers, size_t size)
{
	struct peer *keeper = session->front->keepers[slot];
	struct ipc_deliver message = {.session = session->client.node.key,
				      .size = session->size,
				      .transaction = session->transaction,
				      .count = session->count};
	pop3_span parts[] = {{(const char *)serials, session->count * sizeof(*serials)},
			     {headers, size}};

	if (!keeper || ipc_send_all(&keeper->chan, IPC_DELIVER, &message, parts, 2,
				    &session->letter_fd, 1) < 0)
		letter_keeper_gone(session, slot);
}

void letter_send(struct lmtp_session *session)
{
	char headers[IPC_HEADERS_MAX];
	uint32_t serials[IPC_RECIPIENTS_MAX];
	size_t size = render_headers(session, headers);
	const struct reason_row *store_down = reason_row(REASON_STORE_DOWN);
	struct lmtp_outcome *outcomes = calloc(session->count, sizeof(*outcomes));

	if (!outcomes || session->letter_fd < 0 || session->count > IPC_RECIPIENTS_MAX ||
	    fcntl(session->letter_fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK) <
		    0) {
		free(outcomes);
		lmtp_server_reply_all(&session->lmtp, store_down->reply, store_down->enhanced,
				      store_down->words);
		return;
	}
	lmtp_server_lend(&session->lmtp, outcomes);
	for (uint32_t i = 0; i < session->count; i++)
		serials[i] = session->recipients[i].serial;
	session->delivering = true;
	for (unsigned slot = 0; slot < LMTP_KEEPERS_MAX; slot++)
		if (session->keepers >> slot & 1)
			send_to(session, slot, serials, headers, size);
	close_file(session); /* keepers have it: its octets count until they have answered */
}

/* -- outcomes -- */

/* 4yz, so that it is tried again, goes before 5yz, that before 250. */
static bool worse(enum reason a, enum reason b)
{
	unsigned x = reason_row(a)->reply / 100, y = reason_row(b)->reply / 100;

	return x > 2 && (y <= 2 || x < y);
}

static void part_done(struct lmtp_session *session, uint32_t index, enum reason reason)
{
	struct lmtp_recipient *recipient = &session->recipients[index];
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

static void delivered(struct lmtp_session *session, struct peer *keeper, unsigned slot,
		      const struct ipc_recipient_answer *message)
{
	for (uint32_t i = 0; i < session->count; i++) {
		struct lmtp_part *part;

		if (session->recipients[i].serial != message->index)
			continue;
		part = find_part(session, &session->recipients[i], slot, PART_READY);
		if (!part)
			break;
		part->state = PART_DONE;
		part_done(session, i, (enum reason)message->reason);
		return;
	}
	peer_break(keeper, "it answers a delivery that it was not asked for");
}

static void fail_rest(struct lmtp_session *session, uint32_t index)
{
	struct lmtp_recipient *recipient = &session->recipients[index];

	/* what its other parts answer no longer matters: it will be tried again */
	recipient->done = recipient->parts ? recipient->parts - 1 : 0;
	part_done(session, index, REASON_STORE_DOWN);
}

static bool has_part(const struct lmtp_session *session, const struct lmtp_recipient *recipient,
		     unsigned slot)
{
	for (uint32_t i = 0; i < recipient->parts; i++)
		if (session->parts[recipient->first + i].slot == slot)
			return true;
	return false;
}

void letter_keeper_gone(struct lmtp_session *session, unsigned slot)
{
	/* which keeper a recipient was passed to is known to auth alone until it answers: it may be
	 * this one, and then nobody answers */
	if (session->asking)
		refuse_recipient(session, REASON_STORE_DOWN);
	if (!(session->keepers >> slot & 1))
		return;
	session->keepers &= ~(1ull << slot);
	for (uint32_t i = 0; i < session->count && session->delivering; i++)
		if (has_part(session, &session->recipients[i], slot))
			fail_rest(session, i);
	if (session->delivering || !session->count)
		return;
	/* accepted, but DATA has not come yet: what was promised cannot be kept, so the transaction
	 * ends here */
	conn_abort(&session->client.conn);
}

/* Who should have answered is gone. */
void letter_unanswered(struct lmtp_session *session)
{
	if (session->asking)
		refuse_recipient(session, REASON_STORE_DOWN);
}

/* A recipient that became ready when nobody waited for it any more. */
static void forget_late(struct peer *keeper, const struct ipc_recipient_answer *answer)
{
	struct ipc_transaction message = {.session = answer->session,
					  .transaction = answer->transaction};

	ipc_send(&keeper->chan, IPC_FORGET, &message);
}

static void keeper_message(struct lmtp_session *session, struct peer *keeper, enum ipc_type type,
			   const struct ipc_recipient_answer *answer)
{
	struct lmtp_front *front = session->front;
	unsigned slot = 0;

	while (slot < LMTP_KEEPERS_MAX && front->keepers[slot] != keeper)
		slot++;
	if (slot == LMTP_KEEPERS_MAX)
		return;
	if (type != IPC_DELIVERED)
		keeper_answers(session, keeper, slot, answer);
	else if (session->delivering) /* else: its other parts have failed the transaction */
		delivered(session, keeper, slot, answer);
}

void letter_message(struct lmtp_front *front, struct peer *peer, enum ipc_type type,
		    const void *message)
{
	/* RESOLVED begins as the answers of keepers do */
	const struct ipc_recipient_answer *answer = message;
	struct lmtp_session *session = lmtp_session_find(front, answer->session);

	if (!session || answer->transaction != session->transaction) {
		if (type == IPC_RCPT_READY)
			forget_late(peer, answer);
	} else if (type == IPC_RESOLVED) {
		take_resolved(session, message);
	} else if (peer->role == ROLE_AUTH) {
		auth_refuses(session, answer);
	} else {
		keeper_message(session, peer, type, answer);
	}
}
