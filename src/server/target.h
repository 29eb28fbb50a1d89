/*
 * The target of a command: a user, an address or a network, or the id of a session as the log has
 * it. The text may fit several of them. In auth and control; no I/O.
 */
#ifndef SERVER_TARGET_H
#define SERVER_TARGET_H

#include "users/names.h"
#include "users/networks.h"

struct target {
	bool all, is_network, is_session; /* all: the text is empty */
	struct network network;           /* an address is one of 128 bits */
	uint64_t front, session;
	pop3_span name; /* in its canonical form, in key; empty: too long for one */
	char key[USER_NAME_MAX];
};

void target_read(pop3_span text, struct target *ret);

#endif
