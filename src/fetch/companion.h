/*
 * A process beside the fetch process, forked before that one confines itself, and the socket
 * between them: what only the companion may do, the confined process asks it for. Packets keep
 * their bounds (SOCK_SEQPACKET).
 */
#ifndef FETCH_COMPANION_H
#define FETCH_COMPANION_H

#include "base/err.h"

#include <sys/types.h>

struct companion {
	pid_t pid;
	int socket;
};

/* serve is the companion's life, on its end of the socket; it does not return. purpose: for an
 * error, "cannot prepare to …". */
int companion_start(struct companion *ret, void (*serve)(int socket, const void *context),
		    const void *context, const char *purpose, struct err *err);
/* Its next receive ends, although companions that were forked later have the socket, too; waits for
 * its end. */
void companion_stop(struct companion *companion);
/* The answer to a request: octets of the packet; -1: it has ended. */
ssize_t companion_answer(const struct companion *companion, void *buf, size_t size);

#endif
