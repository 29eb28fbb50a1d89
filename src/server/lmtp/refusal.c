/* See refusal.h. */
#include "server/lmtp/refusal.h"

#include "base/text.h"
#include "server/lmtp/session.h"

void refusal_reply(struct lmtp_session *session, enum reason reason)
{
	const struct reason_row *row = reason_row(reason);

	lmtp_server_reply(&session->lmtp, row->reply, row->enhanced, row->words);
}

static void begin(const struct lmtp_session *session, enum record_event event,
		  struct record *record)
{
	record_begin(record, event, session->address, session->front->frame.child->instance,
		     session->client.node.key);
	record_text(record, RECORD_KEY_SENDER, span_of(session->transaction.sender));
}

/* The client reads the same words. */
void refusal_log(const struct lmtp_session *session, enum record_event event, enum reason reason)
{
	struct record record;

	begin(session, event, &record);
	if (event == RECORD_RECIPIENT_REFUSED)
		record_text(&record, RECORD_KEY_RECIPIENT, span_of(session->transaction.asked));
	record_words(&record, RECORD_KEY_REASON, reason_row(reason)->words);
	record_write(&record);
}
