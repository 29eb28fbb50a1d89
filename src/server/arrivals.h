/*
 * Connections from a proxy until their PROXY header is here: then they are handed on with the
 * client's address. What is no header, or does not come in time, is closed without an answer. They
 * have a bound of their own: the one that has waited longest gives way. Runs in fronts, on their
 * loop; made at the first such connection, so that a site without a proxy has none of it.
 */
#ifndef SERVER_ARRIVALS_H
#define SERVER_ARRIVALS_H

#include "server/accept.h"

struct arrivals;

enum {
	ARRIVALS_MAX = 512, /* that wait in a process */
	ARRIVALS_MS = 5000, /* for a header */
};

/* Whether connections of that listener have a PROXY header. */
bool arrivals_proxied(const struct config *config, uint32_t listener);

/* max: how many may wait. arrived: the header is here; takes *fd (sets it to -1), else it is
 * closed; ended: one fewer waits. NULL: out of memory. */
struct arrivals *arrivals_create(struct loop *loop, const struct config *config, size_t max,
				 void (*arrived)(void *context, int *fd,
						 const struct accepted *from),
				 void (*ended)(void *context), void *context);
/* from is the proxy, or a stranger, who is turned away. Takes *fd. */
void arrivals_add(struct arrivals *arrivals, int *fd, const struct accepted *from);
size_t arrivals_waiting(const struct arrivals *arrivals); /* NULL: 0 */
void arrivals_end_all(struct arrivals *arrivals);         /* NULL is none */

#endif
