/*
 * What the log says about a delivered message: sender and client, from the trace lines that the
 * LMTP front made (lmtp/headers.h), and the message id, from the message itself. All of it is text
 * from outside. In a keeper's workers and on its loop.
 */
#ifndef SERVER_KEEPER_ENVELOPE_H
#define SERVER_KEEPER_ENVELOPE_H

#include <pop3/span.h>

#include <stdint.h>

enum { ENVELOPE_ID_MAX = 256 };

/* They live as long as headers. Empty: there is none. */
pop3_span envelope_sender(const char *headers);
pop3_span envelope_client(const char *headers);
/* Reads the beginning of the message and writes its message id, without "<" and ">", or "". */
void envelope_message_id(int fd, uint64_t size, char ret[ENVELOPE_ID_MAX]);

#endif
