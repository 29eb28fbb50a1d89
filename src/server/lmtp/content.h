/*
 * The message of a transaction while it comes: room for it (spool.h), in memory or on the disk
 * (message.h), and its end when there is none. On the loop of the LMTP front.
 */
#ifndef SERVER_LMTP_CONTENT_H
#define SERVER_LMTP_CONTENT_H

#include "ipc/reason.h"
#include "server/lmtp/spool.h"

#include <pop3/span.h>

#include <stdbool.h>

struct lmtp_session;

/* DATA: begins the message, on the disk if it is known to be large and there is room. settled is
 * called with the session when a worker has written (message_busy). False: there is no room. */
bool content_begin(struct lmtp_session *session, void (*settled)(void *context));
/* The next octets; what cannot be kept fails the message. Not while it is busy. */
void content_add(struct lmtp_session *session, pop3_span text);
/* A worker writes to the disk: nothing more of the message can be taken now. */
bool content_busy(const struct lmtp_session *session);
/* The message has taken longer than any sender needs. */
bool content_late(const struct lmtp_session *session);
/* The message is thrown away; the rest of it is read, and refused at its end. */
void content_fail(struct lmtp_session *session, enum reason reason);
/* Ends it and its room. Legal without a message. */
void content_drop(struct lmtp_session *session);
/* struct spool.evict of the two. */
void content_evict(struct spool *spool, struct spool_message *message);
void content_evict_from_disk(struct spool *spool, struct spool_message *message);

#endif
