/*
 * A client's connection, pulled: it owns no output buffer. Whenever its socket can take more or
 * octets came in, it calls the session for the next piece, rendered into the loop's one scratch
 * buffer, and sends it. What a short write leaves over is kept (at most one piece) until the socket
 * takes it; nothing is read or rendered meanwhile. Embedded in the session. Runs in fronts,
 * unprivileged; every octet is hostile.
 */
#ifndef SYS_CONN_H
#define SYS_CONN_H

#include "sys/loop.h"
#include "sys/tls_session.h"

#include <pop3/span.h>

enum conn_end {
	CONN_CLOSED_BY_US,
	CONN_EOF,        /* the peer closed (also half: what it sent before is answered first) */
	CONN_CUT,        /* reset, or TLS without close_notify */
	CONN_TLS_FAILED, /* handshake or record failure: conn_tls_error */
};

struct conn;

struct conn_handler {
	/*
	 * Take what can be used from the front of *in (advance it) and render what is due into out
	 * (cap octets). Returns octets written. Called again as long as it makes progress (takes or
	 * writes something). What is left of *in is kept, at most CONN_INPUT_MAX octets, and
	 * nothing more is read until it is used up; a reset is still noticed then, and EOF when
	 * nothing is unread before it. A call that got 4 KiB of cap or more and makes
	 * no progress is the last one until something happens.
	 */
	size_t (*exchange)(struct conn *conn, pop3_span *in, char *out, size_t cap);
	void (*secured)(struct conn *conn); /* the handshake is complete. May be NULL. */
	/* The handshake waits: for a signature (tls_session_to_sign; then conn_signed), or, if that
	 * is NULL, until fewer handshakes wait for theirs (then conn_go_on). */
	void (*sign)(struct conn *conn);
	/* A slice asked for with conn_send_file is out, or failed (the file is shorter than
	 * announced): failed. May be NULL. */
	void (*file_sent)(struct conn *conn, bool failed);
	/* The connection is over and has been finished; free it here. Called exactly once, never
	 * from inside conn_init or conn_wake. */
	void (*closed)(struct conn *conn, enum conn_end why);
	/*
	 * Whether the peer is still owed something that the session waits for (a reply of auth or a
	 * keeper): then the peer's EOF does not end the connection yet. Asked only after EOF.
	 */
	bool (*busy)(struct conn *conn);
};

#define CONN_INPUT_MAX 4096
#define CONN_SCRATCH 65536

struct conn {
	struct loop_watch watch;
	struct loop_later later;
	const struct conn_handler *handler;
	struct tls_session *tls;
	char *input; /* octets read but not yet taken, NULL: none */
	char *tail;  /* octets rendered but not yet sent, NULL: none */
	uint32_t input_size, input_at;
	uint32_t tail_size, tail_at;
	uint64_t file_offset, file_size; /* of a slice being sent */
	int file_fd;
	int fd;
	uint8_t phase;
	uint8_t why;
	bool closing, want_tls, hello_done, signing, eof, blocked, reset;
	struct tls_server *tls_server; /* of a handshake to come */
	struct conn_linger *linger;
	uint64_t octets_in, octets_out; /* inside TLS */
};

/* Takes the (non-blocking) descriptor. tls: POP3S, handshake first; NULL: plain. exchange is
 * called for the session's first output in this turn. */
void conn_init(struct conn *conn, struct loop *loop, int *fd, const struct conn_handler *handler,
	       struct tls_server *tls);
/* Something changed (a reply arrived): exchange is called at the end of this turn. Cheap, may be
 * called any number of times a turn. */
void conn_wake(struct conn *conn);
/* After what has been rendered is sent: throw away unread input, start the handshake. Call from
 * inside exchange or anywhere. */
void conn_start_tls(struct conn *conn, struct tls_server *tls);
/* After what has been rendered is sent: close (TLS: close_notify). What the peer went on to send is
 * read and thrown away for a moment, so that it does not cost it our last reply. */
void conn_close(struct conn *conn);
/* Close now, unsent output is lost (deadlines, a peer that does not read). closed() is called at
 * the end of this turn. */
void conn_abort(struct conn *conn);
/* Gives the signature that the handshake waits for (size 0: there is none): the handshake goes on
 * inside this call, and secured and exchange may be called. Not from inside other calls of the
 * handler than sign. */
void conn_signed(struct conn *conn, const char *signature, size_t size);
void conn_go_on(struct conn *conn);         /* the handshake tries again, in its turn */
bool conn_blocked(const struct conn *conn); /* output waits for the peer to read */
/* Milliseconds since the peer acknowledged anything, while octets are on their way to it; else
 * UINT64_MAX: it has acknowledged all that it had room for. */
uint64_t conn_silent(const struct conn *conn);
/* sendfile is possible (no TLS). Then: send this slice of fd next; exchange is not called until it
 * is out. fd stays the caller's. */
bool conn_can_send_file(const struct conn *conn);
void conn_send_file(struct conn *conn, int fd, uint64_t offset, uint64_t size);
/* Both still work inside closed(). */
struct tls_session *conn_tls(const struct conn *conn); /* NULL: plain */
const char *conn_tls_error(const struct conn *conn);   /* static text, "": none */

#endif
