/* See session.h. */
#include "maildrop/remote/session.h"

#include "base/descriptor.h"
#include "base/log.h"
#include "base/secret.h"
#include "base/table.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

enum {
	READ_MAX = 65536,   /* octets that one reading brings */
	TURN_MAX = 1 << 18, /* octets of one turn */
	SOCKET_ROOM = 32768 /* the kernel doubles it: what waits there for a slow client */
};

enum phase { PHASE_WAITING, PHASE_CONNECTING, PHASE_HANDSHAKE, PHASE_OPEN, PHASE_DEAD };

static void pump(struct remote_session *session, bool readable);

/* ---- the end ---- */

static void tell_section(struct remote_session *session, const struct err *err)
{
	if (session->has_place)
		section_leave(session->section);
	session->has_place = false;
	if (!session->is_tried)
		return;
	session->is_tried = false;
	if (session->talk.judged)
		section_worked(session->section);
	else if (err)
		section_failed(session->section, err);
	else
		section_gave_up(session->section);
}

static void hang_up(struct remote_session *session)
{
	section_wait_cancel(session->section, &session->wait);
	loop_deadline_cancel(&session->deadline);
	loop_later_cancel(&session->again);
	if (session->fd >= 0)
		loop_watch_finish(&session->watch);
	if (session->tls && !session->kept)
		section_keep_tls(session->section, session->tls);
	tls_client_destroy(session->tls);
	session->tls = NULL;
	close_fd(&session->fd);
	if (session->held)
		wipe(session->held, session->held_size);
	free(session->held);
	session->held = NULL;
	session->held_at = session->held_size = 0;
	session->phase = PHASE_DEAD;
}

static void finish(struct remote_session *session, struct store_op *op, enum maildrop_status status,
		   const struct err *err)
{
	session->finish(session->head.store, op, status, err);
}

static void free_session(struct remote_session *session)
{
	talk_finish(&session->talk);
	free(session);
}

/* Operations on messages end. */
static void end_reading(struct remote_session *session, enum maildrop_status status,
			const struct err *err)
{
	struct store_fetch *fetching = session->fetching;
	struct store_slice *slicing = session->slicing;

	session->fetching = NULL;
	session->slicing = NULL;
	if (fetching)
		finish(session, &fetching->op, status, err);
	if (slicing)
		finish(session, &slicing->op, status, err);
}

/* The session is over, for the reason that its talk has. A maildrop that is open stays, dead, until
 * it is closed. */
static void die(struct remote_session *session)
{
	struct err err = session->talk.err;
	enum maildrop_status status = session->talk.status;
	struct store_open *opening = session->opening;
	struct store_commit *ending = session->ending;
	const struct store_host *host = session->head.store->host;

	tell_section(session, &err);
	hang_up(session);
	session->opening = NULL;
	session->ending = NULL;
	end_reading(session, MAILDROP_TEMP, &err);
	if (opening) {
		finish(session, &opening->op, status, &err);
		free_session(session);
	} else if (ending) {
		finish(session, &ending->op, status, &err);
	} else if (session->head.owner) {
		log_warning("%s: %s", session->head.where->path, err.text);
		host->event(session->head.owner, STORE_LOST);
	}
}

static void fail(struct remote_session *session, const struct err *why)
{
	talk_eof(&session->talk);
	if (why)
		session->talk.err = *why;
	die(session);
}

void session_destroy(struct remote_session *session)
{
	const struct err err = {.code = EX_TEMPFAIL, .text = "it is not wanted any more"};

	tell_section(session, NULL);
	hang_up(session);
	end_reading(session, MAILDROP_CANCELLED, &err);
	free_session(session);
}

/* ---- events of the talk ---- */

static void opened(struct remote_session *session)
{
	struct maildrop_snapshot *snapshot = &session->head.snapshot;
	const struct remote_listing *listing = &session->talk.listing;
	struct store_open *op = session->opening;

	tell_section(session, NULL);
	snapshot->base_fd = listing->base_fd;
	snapshot->delta_fd = listing->delta_fd;
	snapshot->delta_size = INDEX_DELTA_HEADER;
	snapshot->count = listing->count;
	snapshot->octets = listing->octets;
	session->opening = NULL;
	op->maildrop = &session->head;
	finish(session, &op->op, MAILDROP_OK, NULL);
}

static void answered(struct remote_session *session, bool good)
{
	struct store_fetch *op = session->fetching;

	session->fetching = NULL;
	if (!op)
		return;
	if (good)
		op->form = STORE_UNSIZED;
	finish(session, &op->op, good ? MAILDROP_OK : session->talk.status, &session->talk.err);
}

static void answer_slice(struct remote_session *session)
{
	struct store_slice *op = session->slicing;

	if (!op || !talk_has_octets(&session->talk))
		return;
	session->slicing = NULL;
	op->size = talk_take(&session->talk, op->room, op->size, &op->last);
	finish(session, &op->op, MAILDROP_OK, NULL);
}

static int begin_tls(struct remote_session *session)
{
	struct err err;

	if (section_tls(session->section, session->fd, &session->tls, &err) < 0) {
		fail(session, &err);
		return -1;
	}
	session->phase = PHASE_HANDSHAKE;
	return 0;
}

/* False: the session is over, and may be gone. */
static bool take_event(struct remote_session *session, enum talk_event event)
{
	switch (event) {
	case TALK_MORE:
		break;
	case TALK_START_TLS:
		return begin_tls(session) == 0;
	case TALK_OPENED:
		opened(session);
		break;
	case TALK_ANSWERED:
	case TALK_REFUSED:
		answered(session, event == TALK_ANSWERED);
		break;
	case TALK_OVER:
		die(session);
		return false;
	}
	return true;
}

/* ---- octets ---- */

/* 1: all is out, or the socket takes no more; 0: the connection is over, and so is the session. */
static int flush(struct remote_session *session)
{
	pop3_span out;
	struct err err = {0};

	session->tls_wants_write = false;
	while ((out = talk_output(&session->talk)).size) {
		ssize_t n;

		if (session->tls) {
			n = tls_client_write(session->tls, out.data, out.size, &err);
			if (n == TLS_CLIENT_WANT_READ || n == TLS_CLIENT_WANT_WRITE)
				return 1;
			if (n == TLS_CLIENT_CLOSED)
				return 1; /* why may be there to be read */
			if (n < 0) {
				fail(session, &err);
				return 0;
			}
		} else {
			n = send(session->fd, out.data, out.size, MSG_NOSIGNAL | MSG_DONTWAIT);
			if (n < 0 && errno == EINTR)
				continue;
			if (n < 0) /* an answer before the end is still to be read */
				return 1;
		}
		talk_sent(&session->talk, (size_t)n);
	}
	return 1;
}

/* Octets; 0: the end; -1: none now; -2: the session is over. */
static ssize_t receive(struct remote_session *session, char *buf)
{
	struct err err = {0};
	ssize_t n;

	if (session->tls) {
		n = tls_client_read(session->tls, buf, READ_MAX, &err);
		if (n == TLS_CLIENT_WANT_READ || n == TLS_CLIENT_WANT_WRITE) {
			session->tls_wants_write = n == TLS_CLIENT_WANT_WRITE;
			return -1;
		}
		if (n == TLS_CLIENT_CLOSED)
			return 0;
		if (n > 0)
			return n;
		fail(session, &err);
		return -2;
	}
	n = recv(session->fd, buf, READ_MAX, MSG_DONTWAIT);
	if (n >= 0)
		return n;
	return errno == EAGAIN || errno == EINTR ? -1 : 0;
}

/* What was not taken waits, as octets of a body wait in front of it. */
static void hold(struct remote_session *session, pop3_span in)
{
	if (session->held && in.size) {
		session->held_at = session->held_size - in.size;
		return;
	}
	if (session->held)
		wipe(session->held, session->held_size);
	free(session->held);
	session->held = NULL;
	session->held_at = session->held_size = 0;
	if (!in.size)
		return;
	session->held = malloc(in.size);
	if (!session->held)
		abort();
	memcpy(session->held, in.data, in.size);
	session->held_size = in.size;
}

/* The talk takes what it can. False: the session is over. */
static bool feed(struct remote_session *session, pop3_span in)
{
	enum talk_event event;

	do {
		event = talk_next(&session->talk, &in);
		if (!take_event(session, event))
			return false;
		answer_slice(session);
		if (event == TALK_START_TLS)
			return true;
	} while (event != TALK_MORE);
	hold(session, in);
	return true;
}

/* Whether an answer is waited for, and not because a client is slow. */
static bool awaits(const struct remote_session *session)
{
	return session->phase < PHASE_OPEN ||
	       (talk_waits(&session->talk) && !talk_blocked(&session->talk));
}

static void settle(struct remote_session *session, bool progress)
{
	int want = talk_blocked(&session->talk) ? 0 : LOOP_READ;

	if (talk_output(&session->talk).size || session->tls_wants_write)
		want |= LOOP_WRITE;
	if (loop_watch_want(&session->watch, want) < 0) {
		fail(session, NULL);
		return;
	}
	if (!awaits(session))
		loop_deadline_cancel(&session->deadline);
	else if (progress || !session->deadline.next)
		loop_deadline_renew(&session->section->silence, &session->deadline);
}

static void handshake(struct remote_session *session)
{
	struct err err = {0};

	switch (tls_client_handshake(session->tls, &err)) {
	case TLS_CLIENT_OK:
		session->phase = PHASE_OPEN;
		if (session->section->server->tls == REMOTE_STARTTLS)
			talk_tls_started(&session->talk);
		pump(session, true);
		return;
	case TLS_CLIENT_WANT_READ:
		(void)loop_watch_want(&session->watch, LOOP_READ);
		return;
	case TLS_CLIENT_WANT_WRITE:
		(void)loop_watch_want(&session->watch, LOOP_WRITE);
		return;
	case TLS_CLIENT_CLOSED:
		err_set(&err, EX_TEMPFAIL,
			"the other server closed the connection in the TLS "
			"handshake");
		break;
	case TLS_CLIENT_FAILED:
		break;
	}
	fail(session, &err);
}

/* The whole life of an open connection. */
static void pump(struct remote_session *session, bool readable)
{
	char *buf = loop_scratch(session->loop, LOOP_SCRATCH_INPUT, READ_MAX);
	bool held = true; /* what is held goes first, and perhaps an end behind it */
	size_t taken = 0;
	ssize_t n;

	if (!buf)
		abort();
	while (flush(session)) {
		pop3_span in = {NULL, 0};

		if (session->held)
			in = (pop3_span){session->held + session->held_at,
					 session->held_size - session->held_at};
		if (talk_blocked(&session->talk) || (!in.size && !held && !readable)) {
			settle(session, taken > 0);
			return;
		}
		if (!in.size && !held && taken >= TURN_MAX) {
			loop_later_add(session->loop, &session->again);
			settle(session, true);
			return;
		}
		if (!in.size && !held) {
			n = receive(session, buf);
			if (n == -2)
				return;
			if (n == 0) {
				fail(session, NULL);
				return;
			}
			readable = n > 0;
			if (!readable)
				continue;
			in = (pop3_span){buf, (size_t)n};
			taken += in.size;
		}
		held = false;
		if (!feed(session, in))
			return;
		if (session->phase == PHASE_HANDSHAKE) {
			handshake(session);
			return;
		}
		if (session->tls && !session->kept && session->opening == NULL) {
			section_keep_tls(session->section, session->tls);
			session->kept = true;
		}
	}
}

static void pump_again(struct loop_later *later)
{
	struct remote_session *session = later->context;

	if (session->phase == PHASE_OPEN)
		pump(session, true);
}

/* ---- dialing ---- */

static void dial(struct remote_session *session);

static void connected(struct remote_session *session)
{
	int error = 0;
	socklen_t size = sizeof(error);

	getsockopt(session->fd, SOL_SOCKET, SO_ERROR, &error, &size);
	if (error) {
		err_sys(&session->talk.err, EX_TEMPFAIL, error, "cannot connect to %s port %u",
			session->section->server->host, (unsigned)session->section->server->port);
		dial(session);
		return;
	}
	if (session->section->server->tls != REMOTE_TLS) {
		session->phase = PHASE_OPEN;
		pump(session, true);
	} else if (begin_tls(session) == 0) {
		handshake(session);
	}
}

static void ready(struct loop_watch *watch, int what)
{
	struct remote_session *session = watch->context;

	switch ((enum phase)session->phase) {
	case PHASE_CONNECTING:
		connected(session);
		break;
	case PHASE_HANDSHAKE:
		handshake(session);
		break;
	case PHASE_OPEN:
		pump(session, (what & LOOP_READ) != 0 || session->tls != NULL);
		break;
	case PHASE_WAITING:
	case PHASE_DEAD:
		break;
	}
}

/* -1: that address cannot be tried. */
static int dial_one(struct remote_session *session, const struct section_address *to)
{
	const struct sockaddr *address = (const struct sockaddr *)(const void *)&to->address;
	int room = SOCKET_ROOM, one = 1;

	session->fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (session->fd < 0)
		return -1;
	setsockopt(session->fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	setsockopt(session->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(session->fd, address, to->size) < 0 && errno != EINPROGRESS) {
		err_sys(&session->talk.err, EX_TEMPFAIL, errno, "cannot connect to %s port %u",
			session->section->server->host, (unsigned)session->section->server->port);
		close_fd(&session->fd);
		return -1;
	}
	loop_watch_init(&session->watch, session->loop, session->fd, ready, session);
	session->phase = PHASE_CONNECTING;
	loop_deadline_renew(&session->section->silence, &session->deadline);
	return loop_watch_want(&session->watch, LOOP_WRITE);
}

/* Tries the next address. */
static void dial(struct remote_session *session)
{
	const struct section *section = session->section;
	struct err err;

	if (session->fd >= 0)
		loop_watch_finish(&session->watch);
	close_fd(&session->fd);
	while (session->address < section->count)
		if (dial_one(session, &section->addresses[session->address++]) == 0)
			return;
	err = session->talk.err;
	if (!section->count)
		err = section->why;
	fail(session, &err);
}

static void resolved(struct section_wait *wait)
{
	dial(CONTAINER(wait, struct remote_session, wait));
}

/* On the loop, behind the call that began it, or that gave it its place. */
static void begin(struct loop_later *later)
{
	struct remote_session *session = later->context;

	session->again.run = pump_again;
	if (!section_may_try(session->section, &session->talk.err)) {
		session->talk.status = MAILDROP_TEMP;
		die(session);
		return;
	}
	session->is_tried = true;
	if (section_resolve(session->section, &session->wait))
		dial(session);
}

static void take_turn(struct section_wait *wait)
{
	struct remote_session *session = CONTAINER(wait, struct remote_session, wait);

	session->has_place = true;
	loop_later_add(session->loop, &session->again);
}

void session_silent(struct loop_deadlines *deadlines, struct loop_deadline *deadline)
{
	struct remote_session *session = CONTAINER(deadline, struct remote_session, deadline);
	struct err err;

	(void)deadlines;
	err_set(&err, EX_TEMPFAIL, "%s",
		session->phase != PHASE_WAITING ? "the other server was silent for too long"
		: session->has_place            ? "no name server says where that server is"
				     : "too many sessions at that server are being opened");
	if (session->phase == PHASE_CONNECTING) {
		session->talk.err = err;
		dial(session);
	} else {
		fail(session, &err);
	}
}

/* ---- operations ---- */

void session_open(struct remote_session *session, struct store_open *op)
{
	session->opening = op;
	session->fd = -1;
	session->wait.turn = take_turn;
	session->wait.resolved = resolved;
	session->again.run = begin;
	session->again.context = session;
	loop_deadline_init(&session->deadline);
	loop_deadline_renew(&session->section->silence, &session->deadline);
	if (section_enter(session->section, &session->wait))
		take_turn(&session->wait);
}

static const struct err is_dead = {.code = EX_TEMPFAIL,
				   .text = "the connection to the other server is gone"};

void session_fetch(struct remote_session *session, struct store_fetch *op)
{
	if (session->phase == PHASE_DEAD) {
		finish(session, &op->op, MAILDROP_TEMP, &is_dead);
		return;
	}
	assert(!session->fetching);
	session->fetching = op;
	talk_fetch(&session->talk, op->first, op->top, op->lines);
	loop_later_add(session->loop, &session->again);
}

void session_slice(struct remote_session *session, struct store_slice *op)
{
	if (session->phase == PHASE_DEAD && !talk_has_octets(&session->talk)) {
		finish(session, &op->op, MAILDROP_TEMP, &is_dead);
		return;
	}
	assert(!session->slicing);
	session->slicing = op;
	answer_slice(session);
	if (session->phase == PHASE_OPEN)
		loop_later_add(session->loop, &session->again);
}

void session_commit(struct remote_session *session, struct store_commit *op)
{
	if (session->phase == PHASE_DEAD) {
		finish(session, &op->op, MAILDROP_LOST, &is_dead);
		return;
	}
	session->ending = op;
	talk_quit(&session->talk, op->numbers, op->count);
	loop_later_add(session->loop, &session->again);
}

void session_cancel(struct remote_session *session, struct store_op *op)
{
	const struct err err = {.code = EX_TEMPFAIL, .text = "it is not wanted any more"};

	if (session->opening && op == &session->opening->op) {
		tell_section(session, NULL);
		session->opening = NULL;
		finish(session, op, MAILDROP_CANCELLED, &err);
		session_destroy(session);
	} else if ((session->fetching && op == &session->fetching->op) ||
		   (session->slicing && op == &session->slicing->op)) {
		end_reading(session, MAILDROP_CANCELLED, &err);
	}
}
