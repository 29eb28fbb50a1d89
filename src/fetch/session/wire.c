/* Octets to and from the server, in the clear or over TLS, with deadlines; for dialog.c and
 * login.c. The struct is the caller's. In the fetch process; the network is hostile. */
#include "fetch/session/wire.h"

#include "base/secret.h"
#include "fetch/interrupt.h"
#include "fetch/syscalls.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

void wire_init(struct wire *wire)
{
	*wire = (struct wire){.fd = -1};
}

void wire_finish(struct wire *wire)
{
	if (wire->tls && wire->memory)
		wire->memory->size = tls_client_session(wire->tls, wire->memory->session,
							sizeof(wire->memory->session));
	tls_client_destroy(wire->tls);
	if (wire->fd >= 0)
		close(wire->fd);
	if (wire->out)
		wipe(wire->out, WIRE_OUT_SIZE);
	free(wire->in);
	free(wire->out);
	wire_init(wire);
}

char *wire_room(struct wire *wire, size_t *ret_cap)
{
	if (wire->out_at) {
		memmove(wire->out, wire->out + wire->out_at, wire->out_end - wire->out_at);
		wire->out_end -= wire->out_at;
		wire->out_at = 0;
	}
	*ret_cap = WIRE_OUT_SIZE - wire->out_end;
	return wire->out + wire->out_end;
}

void wire_queued(struct wire *wire, size_t n)
{
	wire->out_end += n;
}

pop3_span wire_input(const struct wire *wire)
{
	return (pop3_span){wire->in + wire->in_at, wire->in_end - wire->in_at};
}

void wire_take(struct wire *wire, size_t n)
{
	wire->in_at += n;
	if (n && wire->in_at == wire->in_end)
		wire->in_at = wire->in_end = 0;
}

/* Waits until the socket is ready, or for a while. 0: the time is over, the state's or the run's;
 * -1: a signal ends the run. */
static int wait_ready(const struct wire *wire, short events, int64_t deadline, struct err *err)
{
	struct pollfd poll_fd = {.fd = wire->fd, .events = events};
	int64_t left;

	if (fetch_interrupt_check(err) < 0)
		return -1;
	if (wire->run_deadline && wire->run_deadline < deadline)
		deadline = wire->run_deadline;
	left = deadline - fetch_now();
	if (left <= 0)
		return 0;
	poll(&poll_fd, 1, left > INTERRUPT_POLL_MS ? INTERRUPT_POLL_MS : (int)left);
	return 1;
}

static int timed_out(const struct wire *wire, const char *doing, struct err *err)
{
	if (wire->run_deadline && fetch_now() >= wire->run_deadline)
		return err_set(err, EX_TEMPFAIL,
			       "the run took longer than it may (run-seconds); the rest comes next "
			       "time");
	return err_set(err, EX_TEMPFAIL, "the server was silent for too long (%s)", doing);
}

/* With what is known from before; a session is used once. */
static int create_tls(struct wire *wire, struct tls_client_settings settings, struct err *err)
{
	struct tls_client_memory *memory = wire->memory;
	int rc;

	if (memory) {
		settings.trust = memory->trust;
		settings.session = (pop3_span){memory->session, memory->size};
	}
	rc = tls_client_create(&settings, wire->fd, &wire->tls, err);
	if (memory) {
		wipe(memory->session, memory->size);
		memory->size = 0;
	}
	return rc;
}

int wire_start_tls(struct wire *wire, const struct tls_client_settings *settings, int64_t ms,
		   struct err *err)
{
	int64_t deadline = fetch_now() + ms;

	wire->in_at = wire->in_end = 0;
	if (create_tls(wire, *settings, err) < 0)
		return -1;
	for (;;) {
		struct err why = {0};
		enum tls_client_status status = tls_client_handshake(wire->tls, &why);
		int ready;

		if (status == TLS_CLIENT_OK)
			return 0;
		if (status == TLS_CLIENT_CLOSED)
			return err_set(err, EX_TEMPFAIL,
				       "the server closed the connection in the TLS handshake");
		if (status == TLS_CLIENT_FAILED) {
			if (err)
				*err = why;
			return -1;
		}
		ready = wait_ready(wire, status == TLS_CLIENT_WANT_WRITE ? POLLOUT : POLLIN,
				   deadline, err);
		if (ready <= 0)
			return ready < 0 ? -1 : timed_out(wire, "TLS handshake", err);
	}
}

/* Sends what can be sent now. */
static int flush_out(struct wire *wire, struct err *err)
{
	wire->tls_wants_write = false;
	while (wire->out_at < wire->out_end) {
		const char *from = wire->out + wire->out_at;
		size_t size = wire->out_end - wire->out_at;
		ssize_t n;

		if (wire->tls) {
			n = tls_client_write(wire->tls, from, size, err);
			if (n == TLS_CLIENT_WANT_WRITE || n == TLS_CLIENT_WANT_READ)
				return 0;
			if (n <= 0) /* the reason may be waiting to be read; an error is final */
				return n == TLS_CLIENT_CLOSED ? 0 : -1;
		} else {
			n = send(wire->fd, from, size, MSG_NOSIGNAL | MSG_DONTWAIT);
			if (n < 0 && errno == EINTR)
				continue;
			if (n < 0 && (errno == EAGAIN || errno == EPIPE || errno == ECONNRESET))
				return 0; /* an answer sent before the end is still to be read */
			if (n < 0)
				return err_sys(err, EX_TEMPFAIL, errno, "cannot send");
		}
		wipe(wire->out + wire->out_at, (size_t)n); /* may have been a password */
		wire->out_at += (size_t)n;
		wire->octets_out += (size_t)n;
	}
	wire->out_at = wire->out_end = 0;
	return 0;
}

/* 1: something; 0: end; -1: error; -2: nothing now. */
static int receive(struct wire *wire, struct err *err)
{
	ssize_t n;

	if (wire->tls) {
		n = tls_client_read(wire->tls, wire->in, WIRE_IN_SIZE, err);
		if (n == TLS_CLIENT_WANT_READ || n == TLS_CLIENT_WANT_WRITE) {
			wire->tls_wants_write = n == TLS_CLIENT_WANT_WRITE;
			return -2;
		}
		if (n == TLS_CLIENT_CLOSED)
			return 0;
		if (n < 0)
			return -1;
	} else {
		n = recv(wire->fd, wire->in, WIRE_IN_SIZE, MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return -2;
		if (n < 0)
			return err_sys(err, EX_TEMPFAIL, errno, "connection lost");
		if (n == 0)
			return 0;
	}
	wire->in_at = 0;
	wire->in_end = (size_t)n;
	wire->octets_in += (size_t)n;
	return 1;
}

/* A server that drips octets must not hold us for ever. */
static int check_rate(struct wire *wire, struct err *err)
{
	int64_t now = fetch_now(), span = now - wire->rate_since;

	if (!wire->rate_since) {
		wire->rate_since = now;
		wire->rate_octets = wire->octets_in;
	} else if (span >= wire->rate_window) {
		uint64_t octets = wire->octets_in - wire->rate_octets;

		if (octets * 1000 < wire->minimum_rate * (uint64_t)span)
			return err_set(err, EX_TEMPFAIL,
				       "the server sent %llu octets in %lld seconds, too little "
				       "(minimum-rate)",
				       (unsigned long long)octets, (long long)span / 1000);
		wire->rate_since = now;
		wire->rate_octets = wire->octets_in;
	}
	return 0;
}

int wire_wait(struct wire *wire, int64_t ms, struct err *err)
{
	int64_t deadline = fetch_now() + ms;

	for (;;) {
		short events = POLLIN;
		int got, ready;

		if (fetch_interrupt_check(err) < 0)
			return -1;
		if (wire->run_deadline && fetch_now() >= wire->run_deadline)
			return timed_out(wire, "whole run", err);
		if (flush_out(wire, err) < 0)
			return -1;
		got = receive(wire, err);
		if (got != -2)
			return got == 1 && check_rate(wire, err) < 0 ? -1 : got;
		if (wire->out_at < wire->out_end || wire->tls_wants_write)
			events |= POLLOUT;
		ready = wait_ready(wire, events, deadline, err);
		if (ready <= 0)
			return ready < 0 ? -1 : timed_out(wire, "waiting for its answer", err);
	}
}
