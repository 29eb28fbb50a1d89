/*
 * A person's command to ask the databases anew about a user, or about all: what they said is
 * forgotten, entries and the verdicts on passwords. Files need none of it: they are read when they
 * change. On auth's loop; control is believed about the uid of the person, and about nothing else.
 */
#ifndef SERVER_AUTH_FLUSH_H
#define SERVER_AUTH_FLUSH_H

#include "ipc/messages.h"

struct auth;
struct peer;

/* Answers when it is done. The person's uid or gid must be one of those that the monitor named. */
void auth_flush(struct peer *control, const struct ipc_flush *message);
/* The order of a person at another machine. */
void auth_flush_told(struct auth *auth, uint32_t uid, pop3_span name);

#endif
