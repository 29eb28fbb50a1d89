/* See content.h. */
#include "server/lmtp/content.h"

#include "server/lmtp/message.h"
#include "server/lmtp/refusal.h"
#include "server/lmtp/session.h"

static uint64_t now_of(const struct lmtp_session *session)
{
	return loop_now(session->front->frame.child->loop);
}

void content_drop(struct lmtp_session *session)
{
	struct lmtp_transaction *t = &session->transaction;

	message_release(&t->message);
	spool_end(&session->front->memory, &t->memory);
	spool_end(&session->front->disk, &t->disk);
}

/* If there is room on the disk, and a file, the message goes there with its next octets. */
static bool move_to_disk(struct lmtp_session *session)
{
	struct lmtp_transaction *t = &session->transaction;
	struct lmtp_front *front = session->front;
	uint64_t now = now_of(session);
	int fds[2];

	stock_ask(&front->stock);
	if (!front->stock.count ||
	    !spool_begin(&front->disk, &t->disk, session->sender, t->declared, now))
		return false;
	if (!spool_grow(&front->disk, &t->disk, message_size(t->message), now) ||
	    !stock_take(&front->stock, fds)) {
		spool_end(&front->disk, &t->disk);
		return false;
	}
	message_to_disk(t->message, fds);
	spool_end(&front->memory, &t->memory);
	return true;
}

bool content_begin(struct lmtp_session *session, void (*settled)(void *context))
{
	struct lmtp_transaction *t = &session->transaction;
	struct lmtp_front *front = session->front;
	uint64_t declared = t->declared;

	t->data_at = now_of(session);
	t->message = message_create(front->workers, settled, session);
	if (!t->message)
		return false;
	if (t->declared > SPOOL_SMALL && move_to_disk(session))
		return true;
	if (declared > SPOOL_SMALL && front->stock.asked)
		declared = SPOOL_SMALL; /* a file may be there by then */
	return spool_begin(&front->memory, &t->memory, session->sender, declared, now_of(session));
}

/* The rest of the message is read and thrown away. */
void content_fail(struct lmtp_session *session, enum reason reason)
{
	const struct reason_row *row = reason_row(reason);

	refusal_log(session, RECORD_MESSAGE_REFUSED, reason);
	content_drop(session);
	lmtp_server_fail_content(&session->lmtp, row->reply, row->enhanced, row->words);
}

void content_evict(struct spool *spool, struct spool_message *message)
{
	(void)spool;
	content_fail(CONTAINER(message, struct lmtp_session, transaction.memory),
		     REASON_SPOOL_FULL);
}

void content_evict_from_disk(struct spool *spool, struct spool_message *message)
{
	(void)spool;
	content_fail(CONTAINER(message, struct lmtp_session, transaction.disk), REASON_SPOOL_FULL);
}

/* Room for so many more octets of the message, which goes to the disk at its first MiB, or at a
 * later one. */
static bool grow(struct lmtp_session *session, uint64_t more)
{
	struct lmtp_transaction *t = &session->transaction;
	struct lmtp_front *front = session->front;
	uint64_t size = message_size(t->message);

	if (!message_on_disk(t->message) && size / SPOOL_SMALL != (size + more) / SPOOL_SMALL)
		(void)move_to_disk(session);
	return message_on_disk(t->message)
		       ? spool_grow(&front->disk, &t->disk, more, now_of(session))
		       : spool_grow(&front->memory, &t->memory, more, now_of(session));
}

void content_add(struct lmtp_session *session, pop3_span text)
{
	struct lmtp_transaction *t = &session->transaction;

	if (!t->message)
		return;
	if (!grow(session, text.size) || message_add(t->message, text) < 0)
		content_fail(session, REASON_SPOOL_FULL);
}

bool content_busy(const struct lmtp_session *session)
{
	return session->transaction.message && message_busy(session->transaction.message);
}

bool content_late(const struct lmtp_session *session)
{
	const struct lmtp_transaction *t = &session->transaction;

	return lmtp_server_receives(&session->lmtp) &&
	       spool_late(t->data_at, lmtp_server_octets(&session->lmtp), now_of(session));
}
