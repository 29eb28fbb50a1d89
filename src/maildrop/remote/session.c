/* See session.h. */
#include "maildrop/remote/session.h"

#include "base/log.h"
#include "base/secret.h"
#include "base/table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum {
	READ_MAX = 65536,   /* octets that one reading brings */
	TURN_MAX = 1 << 18, /* octets of one turn */
};

static void pump(struct remote_session *session, bool readable);

/* ---- the end ---- */

static struct remote_session *session_of(struct link *link)
{
	return CONTAINER(link, struct remote_session, link);
}

static void hang_up(struct remote_session *session)
{
	loop_later_cancel(&session->again);
	link_close(&session->link);
	if (session->held)
		wipe(session->held, session->held_size);
	free(session->held);
	session->held = NULL;
	session->held_at = session->held_size = 0;
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
	talk_lend(&session->talk, NULL, 0);
	if (fetching)
		finish(session, &fetching->op, status, err);
	if (slicing)
		finish(session, &slicing->op, status, err);
}

static void answer_slice(struct remote_session *session)
{
	struct store_slice *op = session->slicing;

	if (!op || !talk_has_octets(&session->talk))
		return;
	session->slicing = NULL;
	op->size = talk_take(&session->talk, &op->last);
	finish(session, &op->op, MAILDROP_OK, NULL);
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

	link_tell(&session->link, session->talk.judged, &err);
	hang_up(session);
	session->opening = NULL;
	session->ending = NULL;
	answer_slice(session); /* what came before */
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

/* why: NULL: the end of the connection is all that is known. It may be that of the talk. */
static void fail(struct remote_session *session, const struct err *why)
{
	struct err err = why ? *why : (struct err){0};

	talk_eof(&session->talk);
	if (why)
		session->talk.err = err;
	die(session);
}

void session_destroy(struct remote_session *session)
{
	const struct err err = {.code = EX_TEMPFAIL, .text = "it is not wanted any more"};

	link_tell(&session->link, session->talk.judged, NULL);
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

	link_tell(&session->link, session->talk.judged, NULL);
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

/* False: the session is over, and may be gone. */
static bool take_event(struct remote_session *session, enum talk_event event)
{
	switch (event) {
	case TALK_MORE:
		break;
	case TALK_START_TLS:
		if (link_start_tls(&session->link) == 0)
			return true;
		fail(session, &session->talk.err);
		return false;
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

/* False: the connection is over, and so is the session. */
static bool flush(struct remote_session *session)
{
	pop3_span out;
	ssize_t n;

	while ((out = talk_output(&session->talk)).size) {
		n = link_write(&session->link, out);
		if (n < 0) {
			fail(session, &session->talk.err);
			return false;
		}
		if (n == 0)
			break;
		talk_sent(&session->talk, (size_t)n);
	}
	return true;
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
		if (event == TALK_START_TLS)
			return true;
	} while (event != TALK_MORE);
	if (session->talk.ended || talk_blocked(&session->talk))
		answer_slice(session);
	hold(session, in);
	return true;
}

/* unread: the socket is readable, but nothing is to be read from it: only then it is worth a system
 * call to stop waiting for input. */
static void settle(struct remote_session *session, bool progress, bool unread)
{
	bool blocked;
	int want;

	answer_slice(session);
	blocked = talk_blocked(&session->talk);
	want = blocked && unread ? 0 : LOOP_READ;
	if (talk_output(&session->talk).size)
		want |= LOOP_WRITE;
	if (link_want(&session->link, want) < 0)
		fail(session, NULL);
	else /* not because a client is slow */
		link_await(&session->link, talk_waits(&session->talk) && !blocked, progress);
}

/* Not more than can be taken. */
static size_t most_to_read(const struct remote_session *session)
{
	size_t room = talk_room(&session->talk);

	return room < READ_MAX ? room : READ_MAX;
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
			settle(session, taken > 0, readable);
			return;
		}
		if (!in.size && !held && taken >= TURN_MAX) {
			loop_later_add(session->loop, &session->again);
			settle(session, true, false);
			return;
		}
		if (!in.size && !held) {
			n = link_read(&session->link, buf, most_to_read(session));
			if (n == -2) {
				fail(session, &session->talk.err);
				return;
			}
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
		if (session->link.phase == LINK_HANDSHAKE) {
			link_handshake(&session->link);
			return;
		}
		if (!session->opening)
			link_keep_tls(&session->link);
	}
}

static void pump_again(struct loop_later *later)
{
	struct remote_session *session = later->context;

	if (session->link.phase == LINK_OPEN)
		pump(session, true);
}

/* ---- the connection ---- */

static void link_opened(struct link *link)
{
	struct remote_session *session = session_of(link);

	if (link->tls && link->section->server->tls == REMOTE_STARTTLS)
		talk_tls_started(&session->talk);
	pump(session, true);
}

static void link_ready(struct link *link, int what)
{
	pump(session_of(link), (what & LOOP_READ) != 0);
}

static void link_failed(struct link *link)
{
	fail(session_of(link), link->err);
}

static const struct link_owner link_owner = {
	.opened = link_opened, .ready = link_ready, .failed = link_failed};

/* ---- operations ---- */

void session_open(struct remote_session *session, struct store_open *op)
{
	session->opening = op;
	session->again.run = pump_again;
	session->again.context = session;
	link_open(&session->link, session->section, &link_owner, &session->talk.err);
}

static const struct err is_dead = {.code = EX_TEMPFAIL,
				   .text = "the connection to the other server is gone"};

void session_fetch(struct remote_session *session, struct store_fetch *op)
{
	if (session->link.phase == LINK_DEAD) {
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
	if (session->link.phase == LINK_DEAD) {
		finish(session, &op->op, MAILDROP_TEMP, &is_dead);
		return;
	}
	assert(!session->slicing);
	session->slicing = op;
	talk_lend(&session->talk, op->room, op->size);
	pump(session, true); /* what may have come meanwhile */
}

void session_commit(struct remote_session *session, struct store_commit *op)
{
	if (session->link.phase == LINK_DEAD) {
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
		link_tell(&session->link, session->talk.judged, NULL);
		session->opening = NULL;
		finish(session, op, MAILDROP_CANCELLED, &err);
		session_destroy(session);
	} else if ((session->fetching && op == &session->fetching->op) ||
		   (session->slicing && op == &session->slicing->op)) {
		end_reading(session, MAILDROP_CANCELLED, &err);
	}
}
