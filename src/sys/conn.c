/*
 * See conn.h: the phases of a connection, and when its octets move (conn_octets.h). pump() is the
 * whole life of an open one: clear what waits for the socket, then let the session take input and
 * render output until it makes no progress. It runs when the socket is ready and at the end of a
 * turn in which conn_wake was called, never from inside the session's own calls; so does closed().
 * In fronts, unprivileged; every octet is hostile.
 */
#include "sys/conn.h"

#include "base/descriptor.h"
#include "sys/conn_octets.h"
#include "sys/tls_server.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	ROOM_MIN = 4096,        /* of the scratch: with less the session is asked after a send */
	LINGER_MS = 2000,       /* for what the peer sent behind its last command */
	LINGER_MAX = 64 * 1024, /* octets of it */
};

struct conn_linger {
	struct loop_timer timer;
	size_t octets;
};

static void finish(struct conn *conn)
{
	struct tls_session *tls = conn->tls;
	const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
	int fd = conn->fd;

	loop_watch_finish(&conn->watch);
	if (conn->linger)
		loop_timer_cancel(&conn->linger->timer);
	free(conn->linger);
	conn_drop_input(conn);
	free(conn->tail);
	tls_server_destroy(conn->tls_server);
	/* the kernel need not keep megabytes for a peer that never reads */
	if (conn->reset)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	conn->handler->closed(conn, conn->why); /* conn may be gone from here on */
	tls_session_destroy(tls);
	close(fd);
}

static void want(struct conn *conn, int what)
{
	if (loop_watch_want(&conn->watch, what) < 0)
		conn_die(conn, CONN_CUT);
}

/* ---- the session's turn ---- */

/* Replies to pipelined commands gather in the scratch and leave in one send. */
static size_t render(struct conn *conn, pop3_span *in, char *out, bool *progress)
{
	size_t used = 0, had, written;

	*progress = false;
	do {
		had = in->size;
		written = conn->handler->exchange(conn, in, out + used, CONN_SCRATCH - used);
		assert(written <= CONN_SCRATCH - used && in->size <= had);
		used += written;
		if (!written && in->size == had)
			break;
		*progress = true;
	} while (CONN_SCRATCH - used >= ROOM_MIN && conn->phase == CONN_PHASE_OPEN &&
		 !conn->closing && !conn->want_tls && conn->file_fd < 0);
	return used;
}

/* The session's turn with some input. Returns octets rendered. What it does not take is kept, the
 * rest of the scratch is wiped: in front of a login it may hold a password. */
static size_t take_input(struct conn *conn, pop3_span in, bool from_scratch, char *out,
			 bool *progress, size_t *spent)
{
	size_t had = in.size, used = render(conn, &in, out, progress);

	*spent += used + had - in.size;
	/* commands sent in the clear behind STLS never run (threat 1) */
	if (conn->want_tls || conn->closing)
		in.size = 0;
	if (conn->phase == CONN_PHASE_OPEN)
		conn_keep_input(conn, in);
	if (from_scratch)
		conn_wipe_scratch(conn, had);
	return used;
}

/* One round: input, exchange, output. False: nothing came of it. */
static bool step(struct conn *conn, bool *readable, size_t *spent)
{
	char *out = loop_scratch(conn_loop(conn), LOOP_SCRATCH_OUTPUT, CONN_SCRATCH);
	bool kept = conn->input != NULL, progress;
	pop3_span in = {0};
	size_t used;

	if (!out) {
		conn_die(conn, CONN_CUT);
		return false;
	}
	if (kept)
		in = (pop3_span){conn->input + conn->input_at, conn->input_size - conn->input_at};
	else if (*readable && !conn->eof)
		in = conn_read_some(conn, readable);
	if (conn->phase != CONN_PHASE_OPEN)
		return false;
	used = take_input(conn, in, !kept, out, &progress, spent);
	if (conn->phase != CONN_PHASE_OPEN)
		return false;
	if (used)
		conn_send_rendered(conn, out, used);
	return progress || conn->blocked || conn->want_tls || conn->closing || conn->file_fd >= 0;
}

static void linger_over(struct loop_timer *timer)
{
	conn_die(timer->context, CONN_CLOSED_BY_US);
}

static void linger_read(struct conn *conn)
{
	char *buffer = loop_scratch(conn_loop(conn), LOOP_SCRATCH_INPUT, CONN_INPUT_MAX);
	ssize_t got = buffer ? recv(conn->fd, buffer, CONN_INPUT_MAX, MSG_DONTWAIT) : 0;

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got > 0) {
		conn->linger->octets += (size_t)got;
		conn_wipe_scratch(conn, (size_t)got);
	}
	if (got <= 0 || conn->linger->octets > LINGER_MAX)
		conn_die(conn, CONN_CLOSED_BY_US);
}

/* Everything is out. A socket closed with octets unread answers with a reset, which can overtake
 * the last reply: then the connection lingers until those octets end, for a while. dry: the socket
 * was read empty a moment ago. */
static void end(struct conn *conn, bool dry)
{
	char *buffer = loop_scratch(conn_loop(conn), LOOP_SCRATCH_INPUT, CONN_INPUT_MAX);

	if (!conn->eof && !dry && buffer &&
	    recv(conn->fd, buffer, CONN_INPUT_MAX, MSG_DONTWAIT) > 0) {
		conn_wipe_scratch(conn, CONN_INPUT_MAX);
		conn->linger = calloc(1, sizeof(*conn->linger));
	}
	if (!conn->linger) {
		conn_die(conn, CONN_CLOSED_BY_US);
		return;
	}
	conn->phase = CONN_PHASE_LINGER;
	if (conn->tls)
		tls_session_shutdown(conn->tls);
	shutdown(conn->fd, SHUT_WR);
	loop_timer_init(&conn->linger->timer, conn_loop(conn), linger_over, conn);
	loop_timer_set(&conn->linger->timer, LINGER_MS);
	want(conn, LOOP_READ);
}

static void begin_tls(struct conn *conn)
{
	conn->want_tls = false;
	conn_drop_input(conn);
	conn->tls = tls_session_create(conn->tls_server, conn->fd);
	tls_server_destroy(conn->tls_server);
	conn->tls_server = NULL;
	if (!conn->tls) {
		conn_die(conn, CONN_TLS_FAILED);
		return;
	}
	conn->phase = CONN_PHASE_HANDSHAKE;
	want(conn, LOOP_READ);
}

/* The peer sends no more: the connection ends unless the session still owes it a reply. */
static void check_eof(struct conn *conn)
{
	if (conn->phase == CONN_PHASE_OPEN && !conn->handler->busy(conn))
		conn_die(conn, CONN_EOF);
}

/* The event to wait for. unread: the socket was readable, but nothing was to be read from it: only
 * then it is worth a system call to stop waiting for input. */
static void settle(struct conn *conn, bool unread)
{
	int now = conn->watch.wanted;

	if (conn->blocked)
		want(conn, LOOP_WRITE);
	else if (conn->eof)
		want(conn, 0);
	else if (!conn->input)
		want(conn, LOOP_READ);
	else if (unread || !(now & (LOOP_READ | LOOP_HANGUP)))
		want(conn, LOOP_HANGUP);
}

static void pump(struct conn *conn, bool readable)
{
	const bool asked = readable;
	size_t spent = 0;
	bool more = true;

	while (more && conn->phase == CONN_PHASE_OPEN && conn_clear_output(conn, &spent)) {
		if (conn->want_tls) {
			begin_tls(conn);
			return;
		}
		if (conn->closing) {
			end(conn, asked && !readable);
			return;
		}
		if (spent >= CONN_TURN_MAX)
			break;
		if (conn->tls && tls_session_pending(conn->tls))
			readable = true;
		more = step(conn, &readable, &spent);
	}
	if (conn->phase != CONN_PHASE_OPEN)
		return;
	if (spent >= CONN_TURN_MAX && !conn->blocked)
		loop_later_add(conn_loop(conn), &conn->later);
	if (conn->tls && !conn->blocked)
		conn_flush_held(conn);
	if (conn->eof && !more)
		check_eof(conn);
	if (conn->phase == CONN_PHASE_OPEN)
		settle(conn, readable);
}

/* After a step. The one that answers the client's hello is by far the most expensive: ready() lets
 * it wait its turn. */
static void handshake(struct conn *conn, enum tls_status status)
{
	conn->hello_done = true;
	conn->signing = false;
	switch (status) {
	case TLS_OK:
		conn->phase = CONN_PHASE_OPEN;
		if (conn->handler->secured)
			conn->handler->secured(conn);
		pump(conn, tls_session_pending(conn->tls));
		break;
	case TLS_WANT_READ:
		want(conn, LOOP_READ);
		break;
	case TLS_WANT_WRITE:
		want(conn, LOOP_WRITE);
		break;
	case TLS_WANT_TURN:
	case TLS_WANT_SIGNATURE:
		conn->signing = true; /* what is waited for stays as it is: mostly nothing comes */
		conn->handler->sign(conn);
		break;
	case TLS_FAILED:
		conn_die(conn, CONN_TLS_FAILED);
		break;
	case TLS_CLOSED:
	case TLS_CUT:
		conn_die(conn, CONN_CUT);
		break;
	}
}

/* The peer did something while input of it waits. */
static void look(struct conn *conn)
{
	int events = wait_fd(conn->fd, POLLRDHUP, 0);
	char octet;

	if (events <= 0)
		return;
	if (events & POLLERR) {
		conn_die(conn, CONN_CUT);
	} else if (recv(conn->fd, &octet, 1, MSG_PEEK | MSG_DONTWAIT) == 0) {
		/* under TLS that is EOF without close_notify; no reply can reach it */
		if (conn->tls)
			conn_die(conn, CONN_CUT);
		conn->eof = true;
		pump(conn, false);
	}
}

/* The peer did something while its handshake waits for us. What it sent is read later. */
static void look_while_signing(struct conn *conn)
{
	if (wait_fd(conn->fd, POLLRDHUP, 0) > 0)
		conn_die(conn, CONN_CUT);
	else
		want(conn, LOOP_HANGUP);
}

static void ready(struct loop_watch *watch, int what)
{
	struct conn *conn = watch->context;

	switch ((enum conn_phase)conn->phase) {
	case CONN_PHASE_HANDSHAKE:
		if (conn->signing)
			look_while_signing(conn);
		else if (conn->hello_done)
			handshake(conn, tls_session_handshake(conn->tls));
		else
			loop_later_add_slow(conn_loop(conn), &conn->later);
		break;
	case CONN_PHASE_OPEN:
		if (what & LOOP_HANGUP)
			look(conn);
		else
			pump(conn, what & LOOP_READ);
		break;
	case CONN_PHASE_LINGER:
		linger_read(conn);
		break;
	case CONN_PHASE_DEAD:
		break;
	}
}

static void end_of_turn(struct loop_later *later)
{
	struct conn *conn = later->context;

	if (conn->phase == CONN_PHASE_DEAD)
		finish(conn);
	else if (conn->phase == CONN_PHASE_HANDSHAKE)
		handshake(conn, tls_session_handshake(conn->tls));
	else if (conn->phase == CONN_PHASE_OPEN)
		pump(conn, false);
}

void conn_init(struct conn *conn, struct loop *loop, int *fd, const struct conn_handler *handler,
	       struct tls_server *tls)
{
	memset(conn, 0, sizeof(*conn));
	conn->fd = *fd;
	*fd = -1;
	conn->file_fd = -1;
	conn->handler = handler;
	conn->later.run = end_of_turn;
	conn->later.context = conn;
	conn->phase = CONN_PHASE_OPEN;
	loop_watch_init(&conn->watch, loop, conn->fd, ready, conn);
	if (tls) {
		conn->tls_server = tls_server_keep(tls);
		begin_tls(conn);
	} else {
		loop_later_add(loop, &conn->later);
		want(conn, LOOP_READ);
	}
}

void conn_wake(struct conn *conn)
{
	/* while it is blocked or in a handshake, pump() runs afterwards anyway */
	if (conn->phase == CONN_PHASE_OPEN && !conn->blocked)
		loop_later_add(conn_loop(conn), &conn->later);
}

void conn_start_tls(struct conn *conn, struct tls_server *tls)
{
	assert(!conn->tls && !conn->want_tls);
	conn->want_tls = true;
	conn->tls_server = tls_server_keep(tls);
	conn_wake(conn);
}

void conn_signed(struct conn *conn, const char *signature, size_t size)
{
	if (conn->phase == CONN_PHASE_HANDSHAKE && tls_session_to_sign(conn->tls))
		handshake(conn, tls_session_signed(conn->tls, signature, size));
}

void conn_go_on(struct conn *conn)
{
	if (conn->phase == CONN_PHASE_HANDSHAKE)
		loop_later_add_slow(conn_loop(conn), &conn->later);
}

void conn_close(struct conn *conn)
{
	if (conn->phase == CONN_PHASE_HANDSHAKE)
		conn_die(conn, CONN_CLOSED_BY_US);
	conn->closing = true;
	conn_wake(conn);
}

void conn_abort(struct conn *conn)
{
	conn->reset = conn->blocked;
	conn_die(conn, CONN_CLOSED_BY_US);
}

bool conn_blocked(const struct conn *conn)
{
	return conn->blocked;
}

uint64_t conn_silent(const struct conn *conn)
{
	struct tcp_info info;
	socklen_t size = sizeof(info);

	if (getsockopt(conn->fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0 || !info.tcpi_unacked)
		return UINT64_MAX;
	return info.tcpi_last_ack_recv;
}

bool conn_can_send_file(const struct conn *conn)
{
	return !conn->tls;
}

void conn_send_file(struct conn *conn, int fd, uint64_t offset, uint64_t size)
{
	assert(!conn->tls && conn->file_fd < 0);
	conn->file_fd = fd;
	conn->file_offset = offset;
	conn->file_size = size;
	conn_wake(conn);
}

struct tls_session *conn_tls(const struct conn *conn)
{
	return conn->tls;
}

const char *conn_tls_error(const struct conn *conn)
{
	return conn->tls ? tls_session_error(conn->tls) : "";
}
