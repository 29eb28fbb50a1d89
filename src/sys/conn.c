/*
 * See conn.h. pump() is the whole life of a connection: clear what waits for the socket, then let
 * the session take input and render output until it makes no progress. It is called when the socket
 * is ready and at the end of a turn in which somebody woke the connection; never from inside the
 * session's own calls. So is closed().
 */
#include "sys/conn.h"

#include "sys/tls_server.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	TURN_MAX = 256 * 1024,  /* octets in and out before others have their turn */
	ROOM_MIN = 4096,        /* of the scratch: with less the session is asked after a send */
	LINGER_MS = 2000,       /* for what the peer sent behind its last command */
	LINGER_MAX = 64 * 1024, /* octets of it */
};

enum phase { PHASE_HANDSHAKE, PHASE_OPEN, PHASE_LINGER, PHASE_DEAD };

struct conn_linger {
	struct loop_timer timer;
	size_t octets;
};

static struct loop *loop_of(const struct conn *conn)
{
	return conn->watch.loop;
}

/* closed() follows at the end of the turn. */
static void die(struct conn *conn, enum conn_end why)
{
	if (conn->phase == PHASE_DEAD)
		return;
	conn->phase = PHASE_DEAD;
	conn->why = (uint8_t)why;
	loop_watch_want(&conn->watch, 0);
	loop_later_cancel(loop_of(conn), &conn->later); /* a handshake that is not due any more */
	loop_later_add(loop_of(conn), &conn->later);
}

static void finish(struct conn *conn)
{
	struct tls_session *tls = conn->tls;
	const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
	int fd = conn->fd;

	loop_watch_finish(&conn->watch);
	if (conn->linger)
		loop_timer_cancel(&conn->linger->timer);
	free(conn->linger);
	free(conn->input);
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
		die(conn, CONN_CUT);
}

/* ---- output ---- */

/* What the socket did not take. data may be part of the tail. */
static void keep_tail(struct conn *conn, const char *data, size_t size)
{
	if (!conn->tail) {
		conn->tail = malloc(size);
		if (!conn->tail) {
			die(conn, CONN_CUT);
			return;
		}
		memcpy(conn->tail, data, size);
		conn->tail_at = 0;
		conn->tail_size = (uint32_t)size;
	} else {
		conn->tail_at = (uint32_t)(data - conn->tail);
	}
	conn->blocked = true;
}

static void drop_tail(struct conn *conn)
{
	free(conn->tail);
	conn->tail = NULL;
}

/* Octets that the socket took; dies if it is broken. */
static size_t put(struct conn *conn, const char *data, size_t size)
{
	ssize_t done;

	if (conn->tls) {
		done = tls_session_write(conn->tls, data, (uint32_t)size);
		if (done == TLS_FAILED)
			die(conn, CONN_TLS_FAILED);
		else if (done < 0 && done != TLS_WANT_WRITE && done != TLS_WANT_READ)
			die(conn, CONN_CUT);
		conn->blocked = tls_session_blocked(conn->tls);
	} else {
		do
			done = send(conn->fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
		while (done < 0 && errno == EINTR);
		if (done < 0 && errno != EAGAIN)
			die(conn, CONN_CUT);
	}
	if (done < 0)
		return 0;
	conn->octets_out += (uint64_t)done;
	return (size_t)done;
}

static void send_rendered(struct conn *conn, const char *data, size_t size)
{
	size_t done;

	if (conn->tls && conn->closing) /* close_notify goes with it */
		tls_session_hold(conn->tls, true);
	done = put(conn, data, size);

	if (done < size && conn->phase == PHASE_OPEN)
		keep_tail(conn, data + done, size - done);
}

static void file_done(struct conn *conn, bool failed)
{
	conn->file_fd = -1;
	if (conn->handler->file_sent)
		conn->handler->file_sent(conn, failed);
}

static void send_file(struct conn *conn, size_t *spent)
{
	while (conn->file_size) {
		size_t most = conn->file_size < TURN_MAX ? (size_t)conn->file_size : TURN_MAX;
		off_t offset = (off_t)conn->file_offset;
		ssize_t done;

		if (*spent >= TURN_MAX)
			return;
		done = sendfile(conn->fd, conn->file_fd, &offset, most);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0 && errno == EAGAIN) {
			conn->blocked = true;
			return;
		}
		if (done < 0 && (errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN)) {
			die(conn, CONN_CUT);
			return;
		}
		if (done <= 0) { /* shorter than said, or unreadable */
			file_done(conn, true);
			return;
		}
		conn->file_offset += (uint64_t)done;
		conn->file_size -= (uint64_t)done;
		conn->octets_out += (uint64_t)done;
		*spent += (size_t)done;
	}
	file_done(conn, false);
}

/* Sends what waits. False: it still does (or its turn is over, or the connection is). */
static bool clear_output(struct conn *conn, size_t *spent)
{
	conn->blocked = false;
	if (conn->tls && tls_session_blocked(conn->tls)) {
		enum tls_status status = tls_session_flush(conn->tls);

		conn->blocked = status == TLS_WANT_WRITE;
		if (status != TLS_OK && !conn->blocked)
			die(conn, CONN_CUT);
		if (status != TLS_OK)
			return false;
	}
	if (conn->tail) {
		const char *rest = conn->tail + conn->tail_at;
		size_t size = conn->tail_size - conn->tail_at, done = put(conn, rest, size);

		if (conn->phase != PHASE_OPEN)
			return false;
		if (done < size)
			keep_tail(conn, rest + done, size - done);
		else
			drop_tail(conn);
		if (conn->blocked)
			return false;
	}
	if (conn->file_fd >= 0)
		send_file(conn, spent);
	return conn->phase == PHASE_OPEN && !conn->blocked && conn->file_fd < 0;
}

/* ---- input ---- */

/* Reads into the loop's scratch. *readable: whether there may be more. */
static pop3_span read_some(struct conn *conn, bool *readable)
{
	char *buffer = loop_scratch(loop_of(conn), LOOP_SCRATCH_INPUT, CONN_INPUT_MAX);
	ssize_t got;

	*readable = false;
	if (!buffer) {
		die(conn, CONN_CUT);
		return (pop3_span){0};
	}
	if (conn->tls) {
		got = tls_session_read(conn->tls, buffer, CONN_INPUT_MAX);
		conn->blocked = tls_session_blocked(conn->tls);
		if (got == TLS_CLOSED)
			conn->eof = true;
		else if (got == TLS_FAILED)
			die(conn, CONN_TLS_FAILED);
		else if (got == TLS_CUT)
			die(conn, CONN_CUT);
		else if (got > 0)
			*readable = tls_session_pending(conn->tls);
	} else {
		do
			got = recv(conn->fd, buffer, CONN_INPUT_MAX, MSG_DONTWAIT);
		while (got < 0 && errno == EINTR);
		if (got == 0)
			conn->eof = true;
		else if (got < 0 && errno != EAGAIN)
			die(conn, CONN_CUT);
		*readable = got == CONN_INPUT_MAX;
	}
	if (got <= 0)
		return (pop3_span){0};
	conn->octets_in += (uint64_t)got;
	return (pop3_span){buffer, (size_t)got};
}

static void drop_input(struct conn *conn)
{
	free(conn->input);
	conn->input = NULL;
}

static void keep_input(struct conn *conn, pop3_span rest)
{
	if (!rest.size) {
		drop_input(conn);
	} else if (conn->input) {
		conn->input_at = (uint32_t)(rest.data - conn->input);
	} else {
		conn->input = malloc(rest.size);
		if (!conn->input) {
			die(conn, CONN_CUT);
			return;
		}
		memcpy(conn->input, rest.data, rest.size);
		conn->input_at = 0;
		conn->input_size = (uint32_t)rest.size;
	}
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
	} while (CONN_SCRATCH - used >= ROOM_MIN && conn->phase == PHASE_OPEN && !conn->closing &&
		 !conn->want_tls && conn->file_fd < 0);
	return used;
}

/* One round: input, exchange, output. False: nothing came of it. */
static bool step(struct conn *conn, bool *readable, size_t *spent)
{
	char *out = loop_scratch(loop_of(conn), LOOP_SCRATCH_OUTPUT, CONN_SCRATCH);
	pop3_span in = {0};
	size_t used, had;
	bool progress;

	if (!out) {
		die(conn, CONN_CUT);
		return false;
	}
	if (conn->input)
		in = (pop3_span){conn->input + conn->input_at, conn->input_size - conn->input_at};
	else if (*readable && !conn->eof)
		in = read_some(conn, readable);
	if (conn->phase != PHASE_OPEN)
		return false;
	had = in.size;
	used = render(conn, &in, out, &progress);
	*spent += used + had - in.size;
	if (conn->phase != PHASE_OPEN)
		return false;
	/* commands sent in the clear behind STLS never run (threat 1) */
	if (conn->want_tls || conn->closing)
		in.size = 0;
	keep_input(conn, in);
	if (used && conn->phase == PHASE_OPEN)
		send_rendered(conn, out, used);
	return progress || conn->blocked || conn->want_tls || conn->closing || conn->file_fd >= 0;
}

static void linger_over(struct loop_timer *timer)
{
	die(timer->context, CONN_CLOSED_BY_US);
}

static void linger_read(struct conn *conn)
{
	char *buffer = loop_scratch(loop_of(conn), LOOP_SCRATCH_INPUT, CONN_INPUT_MAX);
	ssize_t got = buffer ? recv(conn->fd, buffer, CONN_INPUT_MAX, MSG_DONTWAIT) : 0;

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got > 0)
		conn->linger->octets += (size_t)got;
	if (got <= 0 || conn->linger->octets > LINGER_MAX)
		die(conn, CONN_CLOSED_BY_US);
}

/* Everything is out. A socket closed with octets unread answers with a reset, which can overtake
 * the last reply: then the end of those octets is waited for, for a while. dry: it was read empty
 * a moment ago. */
static void end(struct conn *conn, bool dry)
{
	char *buffer = loop_scratch(loop_of(conn), LOOP_SCRATCH_INPUT, CONN_INPUT_MAX);

	if (!conn->eof && !dry && buffer &&
	    recv(conn->fd, buffer, CONN_INPUT_MAX, MSG_DONTWAIT) > 0)
		conn->linger = calloc(1, sizeof(*conn->linger));
	if (!conn->linger) {
		die(conn, CONN_CLOSED_BY_US);
		return;
	}
	conn->phase = PHASE_LINGER;
	if (conn->tls)
		tls_session_shutdown(conn->tls);
	shutdown(conn->fd, SHUT_WR);
	loop_timer_init(&conn->linger->timer, loop_of(conn), linger_over, conn);
	loop_timer_set(&conn->linger->timer, LINGER_MS);
	want(conn, LOOP_READ);
}

static void begin_tls(struct conn *conn)
{
	conn->want_tls = false;
	drop_input(conn);
	conn->tls = tls_session_create(conn->tls_server, conn->fd);
	tls_server_destroy(conn->tls_server);
	conn->tls_server = NULL;
	if (!conn->tls) {
		die(conn, CONN_TLS_FAILED);
		return;
	}
	conn->phase = PHASE_HANDSHAKE;
	want(conn, LOOP_READ);
}

/* The peer sends no more; the connection ends when nobody waits for anything on its behalf. */
static void check_eof(struct conn *conn)
{
	if (conn->eof && conn->phase == PHASE_OPEN && !conn->handler->busy(conn))
		die(conn, CONN_EOF);
}

/* What to wait for. unread: the socket said that it is readable, but nothing was to be read: only
 * then it is worth a system call to stop listening. */
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

/* Nothing more to render now: records held back for it must go alone. */
static void flush_held(struct conn *conn)
{
	enum tls_status status = tls_session_flush(conn->tls);

	if (status == TLS_WANT_WRITE)
		conn->blocked = true;
	else if (status != TLS_OK)
		die(conn, CONN_CUT);
}

static void pump(struct conn *conn, bool readable)
{
	const bool asked = readable;
	size_t spent = 0;
	bool more = true;

	while (more && conn->phase == PHASE_OPEN && clear_output(conn, &spent)) {
		if (conn->want_tls) {
			begin_tls(conn);
			return;
		}
		if (conn->closing) {
			end(conn, asked && !readable);
			return;
		}
		if (spent >= TURN_MAX)
			break;
		if (conn->tls && tls_session_pending(conn->tls))
			readable = true;
		more = step(conn, &readable, &spent);
	}
	if (conn->phase != PHASE_OPEN)
		return;
	if (spent >= TURN_MAX && !conn->blocked)
		loop_later_add(loop_of(conn), &conn->later);
	if (conn->tls && !conn->blocked)
		flush_held(conn);
	if (conn->eof && !more)
		check_eof(conn);
	if (conn->phase == PHASE_OPEN)
		settle(conn, readable);
}

/* The step that answers the client's hello is by far the most expensive: it waits its turn. */
static void handshake(struct conn *conn)
{
	conn->hello_done = true;
	switch (tls_session_handshake(conn->tls)) {
	case TLS_OK:
		conn->phase = PHASE_OPEN;
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
	case TLS_FAILED:
		die(conn, CONN_TLS_FAILED);
		break;
	case TLS_CLOSED:
	case TLS_CUT:
		die(conn, CONN_CUT);
		break;
	}
}

/* The peer did something while input of it waits. */
static void look(struct conn *conn)
{
	struct pollfd poller = {.fd = conn->fd, .events = POLLRDHUP};
	char octet;

	if (poll(&poller, 1, 0) <= 0)
		return;
	if (poller.revents & POLLERR) {
		die(conn, CONN_CUT);
	} else if (recv(conn->fd, &octet, 1, MSG_PEEK | MSG_DONTWAIT) == 0) {
		/* under TLS that is EOF without close_notify; there is nothing to be said to it */
		if (conn->tls)
			die(conn, CONN_CUT);
		conn->eof = true;
		pump(conn, false);
	}
}

static void ready(struct loop_watch *watch, int what)
{
	struct conn *conn = watch->context;

	switch ((enum phase)conn->phase) {
	case PHASE_HANDSHAKE:
		if (conn->hello_done)
			handshake(conn);
		else
			loop_later_add_slow(loop_of(conn), &conn->later);
		break;
	case PHASE_OPEN:
		if (what & LOOP_HANGUP)
			look(conn);
		else
			pump(conn, what & LOOP_READ);
		break;
	case PHASE_LINGER:
		linger_read(conn);
		break;
	case PHASE_DEAD:
		break;
	}
}

static void end_of_turn(struct loop_later *later)
{
	struct conn *conn = later->context;

	if (conn->phase == PHASE_DEAD)
		finish(conn);
	else if (conn->phase == PHASE_HANDSHAKE)
		handshake(conn);
	else if (conn->phase == PHASE_OPEN)
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
	conn->phase = PHASE_OPEN;
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
	/* while blocked or in a handshake it will be asked afterwards anyway */
	if (conn->phase == PHASE_OPEN && !conn->blocked)
		loop_later_add(loop_of(conn), &conn->later);
}

void conn_start_tls(struct conn *conn, struct tls_server *tls)
{
	assert(!conn->tls && !conn->want_tls);
	conn->want_tls = true;
	conn->tls_server = tls_server_keep(tls);
	conn_wake(conn);
}

void conn_close(struct conn *conn)
{
	if (conn->phase == PHASE_HANDSHAKE)
		die(conn, CONN_CLOSED_BY_US);
	conn->closing = true;
	conn_wake(conn);
}

void conn_abort(struct conn *conn)
{
	conn->reset = conn->blocked;
	die(conn, CONN_CLOSED_BY_US);
}

bool conn_blocked(const struct conn *conn)
{
	return conn->blocked;
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
