/*
 * The octets of a message as they come: in a memory file while it is small, then in a file of the
 * spool, which a worker writes to. Keepers get a descriptor that nobody can write by: the memory
 * file sealed, or the spool file opened for reading. On the loop of the LMTP front.
 */
#ifndef SERVER_LMTP_MESSAGE_H
#define SERVER_LMTP_MESSAGE_H

#include "sys/workers.h"

#include <pop3/span.h>

#include <stdbool.h>
#include <stdint.h>

struct lmtp_message;

/* settled is called on the loop when a worker has written what was added: see message_busy.
 * Returns NULL: no memory, or no descriptor. */
struct lmtp_message *message_create(struct workers *workers, void (*settled)(void *context),
				    void *context);
/* From now on it is on the disk; takes fds, a file's descriptors to write and to read. Not while it
 * is busy. */
void message_to_disk(struct lmtp_message *message, int fds[2]);
bool message_on_disk(const struct lmtp_message *message);
/* Adds octets, CONN_SCRATCH at most. Not while it is busy. -1: they cannot be kept. */
int message_add(struct lmtp_message *message, pop3_span text);
/* A worker writes: settled will be called. */
bool message_busy(const struct lmtp_message *message);
/* Octets of it could not be written. */
bool message_failed(const struct lmtp_message *message);
uint64_t message_size(const struct lmtp_message *message);
/* It is complete. Returns 1: it can be lent now; 0: it is busy, then settled, then this is to be
 * called again; -1: it failed. */
int message_complete(struct lmtp_message *message);
/* To be lent once it is complete; stays the message's. */
int message_fd(const struct lmtp_message *message);
/* Frees it, after its worker if that is at work; sets *message to NULL. NULL is legal. */
void message_release(struct lmtp_message **message);

#endif
