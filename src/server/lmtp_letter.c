/*
 * Recipients and the message of an LMTP transaction: a recipient is accepted when auth resolved it
 * and every keeper concerned is ready for it; the message is collected in a memory file, sealed,
 * and handed to those keepers; a recipient is answered when all its parts are on disk (250) or the
 * worst that happened is known. See lmtp_front.h.
 */
#include "server/lmtp_front.h"

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

static const char no_space[] = "too many messages are on their way, try again later";
static const char no_store[] = "the mail store is not available, try again later";

static void enhanced_text(const uint16_t enhanced[3], char buf[12])
{
	snprintf(buf, 12, "%u.%u.%u", enhanced[0] % 10u, enhanced[1] % 1000u, enhanced[2] % 1000u);
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
	struct ipc_transaction message = {.session = session->node.key,
					  .transaction = session->transaction};

	for (unsigned slot = 0; slot < LMTP_KEEPERS_MAX; slot++)
		if (session->keepers >> slot & 1 && session->front->keepers[slot])
			ipc_send(&session->front->keepers[slot]->chan, IPC_FORGET, &message, NULL,
				 0, NULL, 0);
	drop_file(session);
	free(lmtp_server_take_back(&session->lmtp));
	free(session->recipients);
	session->recipients = NULL;
	session->keepers = 0;
	session->count = session->room = 0;
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
	struct ipc_recipient message = {.session = session->node.key,
					.transaction = session->transaction};
	struct iovec tail = {.iov_len = event->address.size};

	if (!recipient || !session->front->auth) {
		lmtp_server_reply(&session->lmtp, 451, "4.3.0", no_store);
		return;
	}
	memset(recipient, 0, sizeof(*recipient));
	recipient->serial = message.index = ++session->serials;
	memcpy(&tail.iov_base, &event->address.data, sizeof(event->address.data));
	if (ipc_send(&session->front->auth->chan, IPC_RCPT, &message, &tail, 1, NULL, 0) < 0) {
		lmtp_server_reply(&session->lmtp, 451, "4.3.0", no_store);
		return;
	}
	session->asking = true;
}

static void refuse_recipient(struct lmtp_session *session, uint16_t code, const char *enhanced,
			     const char *text)
{
	session->asking = false;
	lmtp_server_reply(&session->lmtp, code, enhanced, text);
	conn_wake(&session->conn);
}

static void recipient_ready(struct lmtp_session *session, unsigned slot,
			    const struct ipc_recipient_answer *message)
{
	struct lmtp_recipient *recipient = &session->recipients[session->count];

	session->keepers |= 1ull << slot; /* if only to be told to forget it */
	if (!session->asking || recipient->serial != message->index)
		return;
	recipient->parts = message->parts;
	recipient->keepers |= 1ull << slot;
	if (++recipient->ready < recipient->parts)
		return;
	session->asking = false;
	session->count++;
	lmtp_server_reply(&session->lmtp, 250, "2.1.5", "recipient ok");
	conn_wake(&session->conn);
}

static void recipient_refused(struct lmtp_session *session,
			      const struct ipc_recipient_answer *message)
{
	char text[IPC_TEXT_MAX + 1], enhanced[12];

	if (!session->asking || session->recipients[session->count].serial != message->index)
		return;
	memcpy(text, ipc_tail(message), message->head.tail);
	text[message->head.tail] = '\0';
	enhanced_text(message->enhanced, enhanced);
	refuse_recipient(session, message->code >= 400 && message->code < 600 ? message->code : 451,
			 enhanced, text);
}

/* -- the message -- */

void letter_data(struct lmtp_session *session)
{
	struct lmtp_front *front = session->front;

	session->letter_fd = memfd_create("letter", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (session->letter_fd < 0 || front->spooled >= front->spool_max) {
		drop_file(session);
		lmtp_server_reply(&session->lmtp, 452, "4.3.1", no_space);
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
	lmtp_server_fail_content(&session->lmtp, 452, "4.3.1", no_space);
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
	struct ipc_deliver message = {.session = session->node.key,
				      .size = session->size,
				      .transaction = session->transaction,
				      .count = session->count,
				      .headers_size = (uint32_t)size};
	struct iovec tail[2] = {{.iov_len = session->count * sizeof(*serials)}, {headers, size}};

	memcpy(&tail[0].iov_base, &serials, sizeof(serials));
	if (!keeper ||
	    ipc_send(&keeper->chan, IPC_DELIVER, &message, tail, 2, &session->letter_fd, 1) < 0)
		letter_keeper_gone(session, slot);
}

void letter_send(struct lmtp_session *session)
{
	char headers[IPC_HEADERS_MAX];
	uint32_t serials[IPC_RECIPIENTS_MAX];
	size_t size = render_headers(session, headers);
	struct lmtp_outcome *outcomes = calloc(session->count, sizeof(*outcomes));

	if (!outcomes || session->letter_fd < 0 || session->count > IPC_RECIPIENTS_MAX ||
	    fcntl(session->letter_fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK) <
		    0) {
		free(outcomes);
		lmtp_server_reply_all(&session->lmtp, 451, "4.3.0", no_store);
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

static bool worse(uint16_t a, uint16_t b)
{
	return a / 100 > 2 &&
	       (b / 100 <= 2 || a / 100 < b / 100); /* 4yz, so that it is tried again, then 5yz */
}

static void part_done(struct lmtp_session *session, uint32_t index, uint16_t code,
		      const uint16_t enhanced[3], const char *text)
{
	struct lmtp_recipient *recipient = &session->recipients[index];
	char words[12];

	if (recipient->answered)
		return;
	if (!recipient->code || worse(code, recipient->code)) {
		recipient->code = code;
		memcpy(recipient->enhanced, enhanced, sizeof(recipient->enhanced));
		snprintf(recipient->text, sizeof(recipient->text), "%s", text);
	}
	if (++recipient->done < recipient->parts)
		return;
	recipient->answered = true;
	enhanced_text(recipient->enhanced, words);
	lmtp_server_reply_recipient(&session->lmtp, index, recipient->code, words, recipient->text);
	conn_wake(&session->conn);
}

static void delivered(struct lmtp_session *session, const struct ipc_recipient_answer *message)
{
	char text[IPC_TEXT_MAX + 1];

	memcpy(text, ipc_tail(message), message->head.tail);
	text[message->head.tail] = '\0';
	for (uint32_t i = 0; i < session->count; i++)
		if (session->recipients[i].serial == message->index)
			part_done(session, i, message->code, message->enhanced, text);
}

static void fail_rest(struct lmtp_session *session, uint32_t index)
{
	static const uint16_t enhanced[3] = {4, 3, 0};
	struct lmtp_recipient *recipient = &session->recipients[index];

	/* what its other parts say no longer matters: it will be tried again */
	recipient->done = recipient->parts ? recipient->parts - 1 : 0;
	part_done(session, index, 451, enhanced, no_store);
}

void letter_keeper_gone(struct lmtp_session *session, unsigned slot)
{
	/* which keeper a recipient was passed to is known to auth alone until it answers: it may be
	 * this one, and then nobody answers */
	if (session->asking)
		refuse_recipient(session, 451, "4.3.0", no_store);
	if (!(session->keepers >> slot & 1))
		return;
	session->keepers &= ~(1ull << slot);
	for (uint32_t i = 0; i < session->count && session->delivering; i++)
		if (session->recipients[i].keepers >> slot & 1)
			fail_rest(session, i);
	if (session->delivering || !session->count)
		return;
	/* accepted, but DATA has not come yet: what was promised cannot be kept, so the transaction
	 * ends here */
	conn_abort(&session->conn);
}

/* Who should have answered is gone. */
void letter_unanswered(struct lmtp_session *session)
{
	if (session->asking)
		refuse_recipient(session, 451, "4.3.0", no_store);
}

/* A recipient that became ready when nobody waited for it any more. */
static void forget_late(struct peer *keeper, const struct ipc_recipient_answer *answer)
{
	struct ipc_transaction message = {.session = answer->session,
					  .transaction = answer->transaction};

	ipc_send(&keeper->chan, IPC_FORGET, &message, NULL, 0, NULL, 0);
}

void letter_message(struct lmtp_front *front, struct peer *peer, enum ipc_type type,
		    const void *message)
{
	const struct ipc_recipient_answer *answer = message;
	struct table_node *node = table_find(&front->sessions, answer->session);
	struct lmtp_session *session = node ? CONTAINER(node, struct lmtp_session, node) : NULL;
	unsigned slot = 0;

	if (!session || answer->transaction != session->transaction) {
		if (type == IPC_RCPT_READY)
			forget_late(peer, answer);
		return;
	}
	while (slot < LMTP_KEEPERS_MAX && front->keepers[slot] != peer)
		slot++;
	if (type == IPC_RCPT_REFUSED)
		recipient_refused(session, answer);
	else if (type == IPC_RCPT_READY && slot < LMTP_KEEPERS_MAX)
		recipient_ready(session, slot, answer);
	else if (type == IPC_DELIVERED && session->delivering)
		delivered(session, answer);
}
