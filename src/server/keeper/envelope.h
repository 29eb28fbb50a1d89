/*
 * The log's fields about a delivered message: sender and client, from the trace lines that the LMTP
 * front made (lmtp/headers.h), and the message id, from the message itself. All of it is text from
 * outside. On a keeper's loop.
 */
#ifndef SERVER_KEEPER_ENVELOPE_H
#define SERVER_KEEPER_ENVELOPE_H

#include <pop3/span.h>

enum {
	ENVELOPE_ID_MAX = 256,
	ENVELOPE_HEAD = 8192, /* octets of the message that are searched */
};

/* They live as long as headers. Empty: there is none. */
pop3_span envelope_sender(const char *headers);
pop3_span envelope_client(const char *headers);
/* Writes the message id of a message that begins with head, without "<" and ">", or "". */
void envelope_message_id(pop3_span head, char ret[ENVELOPE_ID_MAX]);

#endif
