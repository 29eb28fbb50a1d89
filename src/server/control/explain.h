/*
 * `valija explain`: what the recorder's rings have about a user, an address or a session, as lines
 * of the control protocol (docs/control.md): events in the order of time, then what to do. In
 * control; bounded in time and memory by the size of the rings.
 */
#ifndef SERVER_CONTROL_EXPLAIN_H
#define SERVER_CONTROL_EXPLAIN_H

#include "server/control/rings.h"

struct explain_clock {
	uint64_t loop_ms; /* loop_now */
	uint64_t real_ms; /* of 1970, at the same time */
};
/* Whenever it is asked, an event has the same time, but where the machine's clock was set. */
struct explain_clock explain_clock_now(uint64_t loop_ms);

/* The lines in memory of their own; NULL: there is none left. *ret_events: those that are told. */
char *explain(const struct rings *rings, pop3_span target, const struct explain_clock *clock,
	      size_t *ret_size, unsigned *ret_events);

#endif
