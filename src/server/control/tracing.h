/*
 * What somebody reads as it happens: a trace, out of the lane of traces of the fronts' rings
 * (recorder.h), which begin with it; or the logins of users whose mail moves here, out of auth's.
 * Nobody waits for the reader: what was written over meanwhile is counted. In control; what stands
 * in a ring is another process's.
 */
#ifndef SERVER_CONTROL_TRACING_H
#define SERVER_CONTROL_TRACING_H

#include "server/control/rings.h"

struct tracing {
	bool logins; /* no trace: logins */
	uint64_t id;
	uint64_t until; /* loop_now; UINT64_MAX: as long as the reader stays */
	uint64_t lost;  /* events that were written over and not yet reported */
	uint64_t lines; /* so far */
	uint64_t seen[RINGS_MAX];
};

/* Begins with what comes from now on. NULL: no memory. */
struct tracing *tracing_begin(const struct rings *rings, uint64_t id, uint64_t until);
/* The same for logins: it begins with all that the rings remember. */
struct tracing *tracing_begin_logins(void);
/* The lines since the last call, of the control protocol (docs/control.md), in memory of their own;
 * *ret_size 0: there are none, or no memory. */
char *tracing_collect(struct tracing *tracing, const struct rings *rings, size_t *ret_size);

#endif
