/*
 * See conn_octets.h. What the socket or the session does not take at once is kept: at most one
 * piece each way. Runs in fronts, unprivileged; every octet is hostile.
 */
#include "sys/conn_octets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

void conn_die(struct conn *conn, enum conn_end why)
{
	if (conn->phase == CONN_PHASE_DEAD)
		return;
	conn->phase = CONN_PHASE_DEAD;
	conn->why = (uint8_t)why;
	loop_watch_want(&conn->watch, 0);
	loop_later_cancel(&conn->later); /* a handshake that is not due any more */
	loop_later_add(conn_loop(conn), &conn->later);
}

/* ---- output ---- */

/* Keeps what the socket did not take. data may be part of the tail. */
static void keep_tail(struct conn *conn, const char *data, size_t size)
{
	if (!conn->tail) {
		conn->tail = malloc(size);
		if (!conn->tail) {
			conn_die(conn, CONN_CUT);
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

/* Returns the octets that the socket took; ends the connection if the socket is broken. */
static size_t put(struct conn *conn, const char *data, size_t size)
{
	ssize_t done;

	if (conn->tls) {
		done = tls_session_write(conn->tls, data, (uint32_t)size);
		if (done == TLS_FAILED)
			conn_die(conn, CONN_TLS_FAILED);
		else if (done < 0 && done != TLS_WANT_WRITE && done != TLS_WANT_READ)
			conn_die(conn, CONN_CUT);
		conn->blocked = tls_session_blocked(conn->tls);
	} else {
		do
			done = send(conn->fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
		while (done < 0 && errno == EINTR);
		if (done < 0 && errno != EAGAIN)
			conn_die(conn, CONN_CUT);
	}
	if (done < 0)
		return 0;
	conn->octets_out += (uint64_t)done;
	return (size_t)done;
}

void conn_send_rendered(struct conn *conn, const char *data, size_t size)
{
	size_t done;

	if (conn->tls && conn->closing) /* close_notify goes with it */
		tls_session_hold(conn->tls, true);
	done = put(conn, data, size);
	if (done < size && conn->phase == CONN_PHASE_OPEN)
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
		size_t most =
			conn->file_size < CONN_TURN_MAX ? (size_t)conn->file_size : CONN_TURN_MAX;
		off_t offset = (off_t)conn->file_offset;
		ssize_t done;

		if (*spent >= CONN_TURN_MAX)
			return;
		done = sendfile(conn->fd, conn->file_fd, &offset, most);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0 && errno == EAGAIN) {
			conn->blocked = true;
			return;
		}
		if (done < 0 && (errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN)) {
			conn_die(conn, CONN_CUT);
			return;
		}
		if (done <= 0) { /* shorter than announced, or unreadable */
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

bool conn_clear_output(struct conn *conn, size_t *spent)
{
	conn->blocked = false;
	if (conn->tls && tls_session_blocked(conn->tls)) {
		enum tls_status status = tls_session_flush(conn->tls);

		conn->blocked = status == TLS_WANT_WRITE;
		if (status != TLS_OK && !conn->blocked)
			conn_die(conn, CONN_CUT);
		if (status != TLS_OK)
			return false;
	}
	if (conn->tail) {
		const char *rest = conn->tail + conn->tail_at;
		size_t size = conn->tail_size - conn->tail_at, done = put(conn, rest, size);

		if (conn->phase != CONN_PHASE_OPEN)
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
	return conn->phase == CONN_PHASE_OPEN && !conn->blocked && conn->file_fd < 0;
}

/* ---- input ---- */

pop3_span conn_read_some(struct conn *conn, bool *readable)
{
	char *buffer = loop_scratch(conn_loop(conn), LOOP_SCRATCH_INPUT, CONN_INPUT_MAX);
	ssize_t got;

	*readable = false;
	if (!buffer) {
		conn_die(conn, CONN_CUT);
		return (pop3_span){0};
	}
	if (conn->tls) {
		got = tls_session_read(conn->tls, buffer, CONN_INPUT_MAX);
		conn->blocked = tls_session_blocked(conn->tls);
		if (got == TLS_CLOSED)
			conn->eof = true;
		else if (got == TLS_FAILED)
			conn_die(conn, CONN_TLS_FAILED);
		else if (got == TLS_CUT)
			conn_die(conn, CONN_CUT);
		else if (got > 0)
			*readable = tls_session_pending(conn->tls);
	} else {
		do
			got = recv(conn->fd, buffer, CONN_INPUT_MAX, MSG_DONTWAIT);
		while (got < 0 && errno == EINTR);
		if (got == 0)
			conn->eof = true;
		else if (got < 0 && errno != EAGAIN)
			conn_die(conn, CONN_CUT);
		*readable = got == CONN_INPUT_MAX;
	}
	if (got <= 0)
		return (pop3_span){0};
	conn->octets_in += (uint64_t)got;
	return (pop3_span){buffer, (size_t)got};
}

void conn_wipe_scratch(struct conn *conn, size_t size)
{
	char *buffer = loop_scratch(conn_loop(conn), LOOP_SCRATCH_INPUT, CONN_INPUT_MAX);

	if (buffer)
		explicit_bzero(buffer, size);
}

void conn_drop_input(struct conn *conn)
{
	if (conn->input)
		explicit_bzero(conn->input, conn->input_size);
	free(conn->input);
	conn->input = NULL;
}

void conn_keep_input(struct conn *conn, pop3_span rest)
{
	if (!rest.size) {
		conn_drop_input(conn);
	} else if (conn->input) {
		conn->input_at = (uint32_t)(rest.data - conn->input);
	} else {
		conn->input = malloc(rest.size);
		if (!conn->input) {
			conn_die(conn, CONN_CUT);
			return;
		}
		memcpy(conn->input, rest.data, rest.size);
		conn->input_at = 0;
		conn->input_size = (uint32_t)rest.size;
	}
}

void conn_flush_held(struct conn *conn)
{
	enum tls_status status = tls_session_flush(conn->tls);

	if (status == TLS_WANT_WRITE)
		conn->blocked = true;
	else if (status != TLS_OK)
		conn_die(conn, CONN_CUT);
}
