/*
 * For how long a client has done nothing: sent no command, acknowledged no octet. Another login may
 * take its maildrop over then (keeper/takeover.h). In the front, on its loop.
 */
#ifndef SERVER_FRONT_ACTIVITY_H
#define SERVER_FRONT_ACTIVITY_H

#include "sys/conn.h"

#include <stdbool.h>
#include <stdint.h>

/* Embedded, all zero at first. Its members are activity.c's alone. */
struct activity {
	uint64_t last;    /* ms: something moved */
	uint64_t traffic; /* octets in and out by then */
};

/* The connection was looked after; wrote: something goes out because of it. */
void activity_note(struct activity *activity, const struct conn *conn, uint64_t now, bool wrote);
/* In milliseconds. */
uint64_t activity_idle(struct activity *activity, const struct conn *conn, uint64_t now);

#endif
