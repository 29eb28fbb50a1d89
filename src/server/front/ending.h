/*
 * The lines of a session's end in the log: what it took and deleted, and why it ended. Counts live
 * in the session from the login on. Runs in the front.
 */
#ifndef SERVER_FRONT_ENDING_H
#define SERVER_FRONT_ENDING_H

#include "sys/conn.h"

#include <stdbool.h>
#include <stdint.h>

struct session;

/* Embedded in the session. */
struct ending {
	/* after the handshake: a broken connection does not know them any more; else NULL. Of a
	 * client's TLS with a proxy the version alone */
	const char *tls, *cipher;
	char *user;       /* as its keeper knows it; NULL: not logged in */
	const char *why;  /* this process ends the session; NULL: no reason yet */
	uint64_t started; /* ms */
	uint64_t top_octets, retr_octets, dele_octets;
	uint32_t top, retr, dele, left;
	bool topping; /* the body that goes out is TOP's */
};

/* Sets the reason, if there is none yet. why lives for ever. */
void ending_reason(struct session *session, const char *why);
/* Octets of a message went out. */
void ending_octets(struct session *session, uint64_t octets);
/* The connection is over: writes the line of a session that had logged in, of a failed handshake,
 * and of a client that this process sent away. Others came and went: they get a line at debug. */
void ending_write(struct session *session, enum conn_end end);

#endif
