/*
 * The octets of a connection: between its socket (or TLS session), the session that renders and
 * takes them, and a file that is sent as it is. Below conn.c, which decides when any of this
 * happens; for conn.c only. Nothing here calls the session but file_sent().
 */
#ifndef SYS_CONN_OCTETS_H
#define SYS_CONN_OCTETS_H

#include "sys/conn.h"

enum { CONN_TURN_MAX = 256 * 1024 }; /* octets in and out before others have their turn */

enum conn_phase { CONN_PHASE_HANDSHAKE, CONN_PHASE_OPEN, CONN_PHASE_LINGER, CONN_PHASE_DEAD };

static inline struct loop *conn_loop(const struct conn *conn)
{
	return conn->watch.loop;
}

/* The end of a connection, here because a broken socket is found here: closed() follows at the end
 * of the turn. The first reason counts. */
void conn_die(struct conn *conn, enum conn_end why);

/* Sends what the session rendered; keeps what the socket does not take. */
void conn_send_rendered(struct conn *conn, const char *data, size_t size);
/* Sends what waits: records, the rest of a piece, a file; adds octets of a file to *spent. False:
 * something still waits (or its turn is over, or the connection is). */
bool conn_clear_output(struct conn *conn, size_t *spent);
/* Sends records that were held back for more to go with them. */
void conn_flush_held(struct conn *conn);

/* Reads into the loop's scratch, where the octets live until the loop is returned to. *readable:
 * there may be more. */
pop3_span conn_read_some(struct conn *conn, bool *readable);
/* Keeps what the session did not take: rest is a part of the scratch or of what was kept. */
void conn_keep_input(struct conn *conn, pop3_span rest);
void conn_drop_input(struct conn *conn);
/* The octets in the scratch have been used or kept: they may have been a password. */
void conn_wipe_scratch(struct conn *conn, size_t size);

#endif
