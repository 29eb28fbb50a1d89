/* Refusals of an LMTP session: the reply to the client, and the line in the log. On the loop of the
 * LMTP front. */
#ifndef SERVER_LMTP_REFUSAL_H
#define SERVER_LMTP_REFUSAL_H

#include "ipc/reason.h"
#include "server/record.h"

struct lmtp_session;

/* Answers the command under way. */
void refusal_reply(struct lmtp_session *session, enum reason reason);
/* event: RECORD_RECIPIENT_REFUSED, with the last RCPT, or RECORD_MESSAGE_REFUSED. */
void refusal_log(const struct lmtp_session *session, enum record_event event, enum reason reason);

#endif
