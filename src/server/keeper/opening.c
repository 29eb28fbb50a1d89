/* See opening.h. */
#include "server/keeper/opening.h"

#include "base/log.h"
#include "base/text.h"
#include "server/counters.h"
#include "server/keeper/guard.h"
#include "server/keeper/location.h"
#include "server/keeper/takeover.h"
#include "server/record.h"

#include <stdio.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum {
	RETRY_MS =
		50, /* the lock may be freed soon: by a cut connection, or by an old generation */
	OPEN_MS = 60000,  /* a client waits so long for its maildrop, or three quarters of the time
			 to log in */
	PATIENT_MS = 250, /* the same at another server, */
	PATIENCE = 8,     /* so often */
	FRONT_SESSIONS = 1 << 19, /* of one front: each takes it two of a million descriptors */
};

static void begin(struct keeper_session *session);
static void open_maildrop(struct keeper_session *session);
static void retry(struct loop_timer *timer);

static enum reason reason_of(enum maildrop_status status)
{
	switch (status) {
	case MAILDROP_OK:
		return REASON_OK;
	case MAILDROP_IN_USE:
		return REASON_IN_USE;
	case MAILDROP_PERM:
	case MAILDROP_REFUSED: /* of a stored password */
		return REASON_MAILDROP_PERM;
	case MAILDROP_TOO_SOON:
		return REASON_LOGIN_DELAY;
	case MAILDROP_GUARDED:
		return REASON_GUARD;
	case MAILDROP_TEMP:
	case MAILDROP_UNPROVEN:
	case MAILDROP_FULL:
	case MAILDROP_GONE:
	case MAILDROP_OVER_QUOTA:
	case MAILDROP_ABSENT:
	case MAILDROP_WAIT:
	case MAILDROP_LOST:
	case MAILDROP_UNKNOWN:
	case MAILDROP_CANCELLED:
	case MAILDROP_NEEDS_UTF8:
	case MAILDROP_ELSEWHERE:
		break;
	}
	return REASON_MAILDROP_TEMP;
}

static void send_open_failed(struct peer *front, uint64_t session, uint64_t ticket,
			     enum reason reason)
{
	struct ipc_open_failed message = {.session = session, .ticket = ticket, .reason = reason};

	counters_add(COUNTER_OPENS + (size_t)reason, 1);
	if (front)
		peer_send(front, IPC_OPEN_FAILED, &message);
}

/* auth learns that a session of OPEN_MIGRATES is not to be opened elsewhere. */
static void send_here(const struct keeper *keeper, uint64_t auth, uint64_t front, uint64_t session,
		      uint64_t ticket)
{
	struct ipc_verdict message = {.front = front, .session = session, .ticket = ticket};
	struct peer *peer = auth ? child_peer(keeper->child, ROLE_AUTH, auth) : NULL;

	if (peer)
		peer_send(peer, IPC_HERE, &message);
}

static void here(const struct keeper_session *session)
{
	send_here(session->keeper, session->migrates, session->front, session->node.key,
		  session->ticket);
}

static bool is_judged(const struct keeper_session *session)
{
	return session->login && session->login->auth;
}

/* The other server has judged the password: auth knows before the front does. */
static void send_verdict(struct keeper_session *session, enum reason reason)
{
	struct ipc_verdict message = {.front = session->front,
				      .session = session->node.key,
				      .ticket = session->ticket,
				      .reason = reason};
	struct peer *auth = child_peer(session->keeper->child, ROLE_AUTH, session->login->auth);

	counters_add(COUNTER_OPENS + (size_t)reason, reason != REASON_OK);
	if (auth)
		peer_send(auth, IPC_VERDICT, &message);
	session->login->judged = true;
	if (!auth || reason != REASON_OK)
		keeper_close(session);
}

static void refuse(struct keeper_session *session, enum reason reason)
{
	if (is_judged(session)) {
		if (!session->login->judged)
			send_verdict(session, reason);
		else
			keeper_close(session); /* GO did not come */
		return;
	}
	here(session);
	send_open_failed(keeper_session_front(session), session->node.key, session->ticket, reason);
	keeper_close(session);
}

/* The state of a maildrop that is not opened at once; made when it is asked for first. */
static struct keeper_opening *opening_of(struct keeper_session *session)
{
	struct keeper_opening *opening = session->opening;
	struct keeper *keeper = session->keeper;

	if (opening)
		return opening;
	opening = calloc(1, sizeof(*opening));
	if (!opening)
		abort();
	opening->session = session;
	opening->patience = KEEPER_RETRIES;
	loop_timer_init(&opening->retry, keeper->child->loop, retry, opening);
	loop_deadline_init(&opening->deadline);
	loop_deadline_renew(&keeper->opening, &opening->deadline);
	session->opening = opening;
	return opening;
}

/* auth opens the session where the mail is, or the rest of it. */
static void send_not_here(const struct keeper_session *session)
{
	struct ipc_verdict message = {.front = session->front,
				      .session = session->node.key,
				      .ticket = session->ticket,
				      .part = session->part};
	struct peer *auth = child_peer(session->keeper->child, ROLE_AUTH, session->migrates);

	if (auth)
		peer_send(auth, IPC_NOT_HERE, &message);
}

static struct store_who who_of(const struct keeper_session *session)
{
	bool takeover = session->keeper->child->config->takeover;

	const struct keeper_login *login = session->login;

	return (struct store_who){.front = session->front,
				  .session = session->node.key,
				  .login = login ? login->name : SPAN_LITERAL(""),
				  .secret = login ? login->secret : SPAN_LITERAL(""),
				  .flags = (session->no_delete ? STORE_NO_DELETE : 0u) |
					   (takeover ? STORE_TAKE_OVER : 0u) |
					   (session->migrates ? STORE_MIGRATES : 0u)};
}

/* ---- it is open ---- */

static void end_opening(struct keeper_session *session)
{
	struct keeper_opening *opening = session->opening;

	if (!opening)
		return;
	loop_deadline_cancel(&opening->deadline);
	if (opening->taking)
		table_remove(&session->keeper->takes, &opening->take);
	free(opening);
	session->opening = NULL;
}

/* For the recorder. */
static void begin_event(const struct keeper_session *session, enum record_event event,
			uint64_t took, struct record *record)
{
	record_begin(record, event, NULL, session->front, session->node.key);
	record_text(record, RECORD_KEY_USER, span_of(session->user));
	record_number(record, RECORD_KEY_MS, took / 1000);
}

static void note_opened(const struct keeper_session *session, uint32_t messages, uint64_t took)
{
	struct record record;

	begin_event(session, RECORD_OPENED, took, &record);
	record_number(&record, RECORD_KEY_MESSAGES, messages);
	record_write(&record);
}

static void note_in_use(const struct keeper_session *session)
{
	const struct store_holding *holding = &session->opening->holding;
	const struct keeper_session *holder = session->place->holder;
	char id[48], from[64];
	struct record record;

	begin_event(session, RECORD_IN_USE, counters_clock() - session->since, &record);
	if (holder) {
		snprintf(id, sizeof(id), "%llx-%llu", (unsigned long long)holder->front,
			 (unsigned long long)holder->node.key);
		record_words(&record, RECORD_KEY_HOLDER, id);
	}
	if (holding->known) {
		record_words(&record, RECORD_KEY_HOLDER_FROM,
			     record_address(holding->address, from));
		record_number(&record, RECORD_KEY_SINCE, holding->since);
		record_number(&record, RECORD_KEY_IDLE, holding->idle);
	}
	record_write(&record);
}

static void opened(struct keeper_session *session, bool absent)
{
	struct peer *front = keeper_session_front(session);
	struct maildrop_snapshot snapshot;
	struct ipc_opened message = {.session = session->node.key,
				     .ticket = session->ticket,
				     .login_delay = session->login_delay};
	pop3_span user = span_of(session->user);
	int fds[2];

	if (is_judged(session) && !session->login->judged) {
		keeper_login_wipe(session->login);
		store_own(session->maildrop, session); /* it may be lost before GO comes */
		send_verdict(session, REASON_OK);
		return;
	}
	if (session->part == PART_WHOLE)
		here(session);
	end_opening(session);
	keeper_login_free(session);
	store_own(session->maildrop, session);
	maildrop_snapshot(session->maildrop, &snapshot);
	message.count = snapshot.count;
	message.octets = snapshot.octets;
	message.delta_size = snapshot.delta_size;
	message.remote = session->place->root->remote;
	message.part = session->part;
	fds[0] = snapshot.base_fd;
	fds[1] = snapshot.delta_fd;
	session->open = true;
	counters_add(COUNTER_OPENS + REASON_OK, 1);
	note_opened(session, snapshot.count,
		    counters_took(COUNTER_LOGIN_STEPS + STEP_MAILDROP * HISTOGRAM_SLOTS,
				  session->since));
	/* one in memory has no lock; another server's lock is its own */
	if (!absent && !session->place->root->remote) {
		session->place->holder = session;
		keeper_guard_seen(session->keeper, session->place, &snapshot);
	}
	if (front)
		peer_sent(front,
			  ipc_send_all(&front->chan, IPC_OPENED, &message, &user, 1, fds, 2));
	if (session->part == PART_HERE)
		send_not_here(session);
}

/* ---- it is not ---- */

static void retry(struct loop_timer *timer)
{
	struct keeper_opening *opening = timer->context;

	keeper_stop_waiting(opening);
	if (opening->session->login)
		begin(opening->session);
	else
		open_maildrop(opening->session);
}

/* The client learns what is known of the other session: it has the right password. */
static void refuse_in_use(struct keeper_session *session)
{
	const struct store_holding *holding = &session->opening->holding;
	struct ipc_open_in_use message = {.session = session->node.key,
					  .ticket = session->ticket,
					  .since = holding->since,
					  .idle = holding->idle};
	struct peer *front = keeper_session_front(session);

	note_in_use(session);
	if (!holding->known || !front) {
		refuse(session, REASON_IN_USE);
		return;
	}
	memcpy(message.address, holding->address, sizeof(message.address));
	here(session);
	counters_add(COUNTER_OPENS + REASON_IN_USE, 1);
	peer_send(front, IPC_OPEN_IN_USE, &message);
	keeper_close(session);
}

static void in_use(struct keeper_session *session)
{
	struct keeper_opening *opening = opening_of(session);
	struct keeper_place *place = session->place;

	if (++opening->tries > opening->patience) {
		refuse_in_use(session);
		return;
	}
	if (!opening->asked)
		keeper_ask_holder(session);
	opening->asked = true;
	opening->next_waiting = place->waiting;
	place->waiting = opening;
	store_hurry(session->place->root->store, &place->where);
	loop_timer_set(&opening->retry, RETRY_MS);
}

static void not_opened(struct keeper_session *session, enum maildrop_status status, const char *why)
{
	session->maildrop = NULL;
	if (session->closing)
		return;
	if (status == MAILDROP_IN_USE && !session->place->root->remote) {
		in_use(session);
		return;
	}
	if (status == MAILDROP_IN_USE && session->login && session->login->patient) {
		session->login->patient--; /* what copies the mail from there gives way */
		loop_timer_set(&session->opening->retry, PATIENT_MS);
		return;
	}
	if (status == MAILDROP_ELSEWHERE && session->migrates) {
		send_not_here(session);
		keeper_close(session);
		return;
	}
	if (status == MAILDROP_REFUSED && is_judged(session)) { /* auth says it */
		if (session->login->logged)
			keeper_session_failed(session, RECORD_MAILDROP_FAILED, why);
		refuse(session, REASON_WRONG);
		return;
	}
	if (status == MAILDROP_GUARDED)
		keeper_guard_tripped(session->keeper, session->place);
	keeper_session_failed(session, RECORD_MAILDROP_FAILED, why);
	refuse(session, reason_of(status));
}

/* A login makes nothing: a user who never had a maildrop gets an empty one in memory. */
static void located(void *context, bool allowed, const char *why)
{
	struct keeper_session *session = context;
	struct err err = {0};
	enum maildrop_status status = MAILDROP_TEMP;

	if (allowed && session->migrates) {
		status = MAILDROP_ELSEWHERE; /* nothing came yet */
	} else if (allowed && !session->closing) {
		status = store_open_empty(session->place->root->store, &session->place->where,
					  &session->maildrop, &err);
		why = err.text;
	}
	if (status == MAILDROP_OK) {
		opened(session, true);
	} else if (!allowed && !session->closing && !session->opening->looked_again) {
		session->opening->looked_again = true; /* a delivery may have made it since */
		begin(session);
	} else {
		not_opened(session, status, why);
	}
	keeper_session_done(session);
}

static void open_done(struct store_op *op)
{
	struct keeper_opening *opening = CONTAINER(op, struct keeper_opening, open.op);
	struct keeper_session *session = opening->session;

	opening->under_way = false;
	if (op->status == MAILDROP_OK)
		session->maildrop = opening->open.maildrop;
	if (op->status == MAILDROP_OK && opening->open.partly)
		session->part = PART_HERE;
	if (op->status == MAILDROP_ABSENT && !session->closing) {
		struct keeper_whose whose = {session->user, session->placed};

		keeper_session_begin(session);
		keeper_location_ask(session->keeper, LOCATION_LOOK, session->place, &whose, located,
				    session);
	} else if (op->status != MAILDROP_OK) {
		struct err err = op->err; /* the operation may begin anew */

		not_opened(session, op->status, err.text);
	} else if (session->closing) {
		keeper_close_maildrop(session);
	} else {
		opened(session, false);
	}
	keeper_session_done(session);
}

static void begin(struct keeper_session *session)
{
	struct keeper_opening *opening = opening_of(session);

	opening->open = (struct store_open){.who = who_of(session)};
	opening->open.op.done = open_done;
	opening->open.op.deadline = opening->deadline.at;
	opening->under_way = true;
	keeper_session_begin(session);
	store_open(session->place->root->store, &session->place->where, &opening->open);
}

/* Opens the maildrop: at once if it is in memory and matches its index, else by an operation. Two
 * changes of thread cost more than such an opening. */
static void open_maildrop(struct keeper_session *session)
{
	struct store_who who = who_of(session);
	enum maildrop_status status = store_try_open(
		session->place->root->store, &session->place->where, &who, &session->maildrop);

	if (status == MAILDROP_OK)
		opened(session, false);
	else if (status == MAILDROP_IN_USE)
		in_use(session);
	else
		begin(session);
}

static void expired(struct loop_deadlines *deadlines, struct loop_deadline *deadline)
{
	(void)deadlines;
	refuse(CONTAINER(deadline, struct keeper_opening, deadline)->session, REASON_MAILDROP_TEMP);
}

void keeper_opening_init(struct keeper *keeper)
{
	uint64_t login = keeper->child->config->login_seconds;

	loop_deadlines_init(&keeper->opening, keeper->child->loop,
			    login * 750 < OPEN_MS ? login * 750 : OPEN_MS, expired, keeper);
}

/* ---- OPEN ---- */

/* What OPEN and OPEN_REMOTE have in common. */
struct wanted {
	struct keeper_root *root;
	pop3_span path, user, label;
	uint64_t front, session, ticket;
	bool no_delete, placed;
	uint32_t login_delay;
	uint64_t migrates; /* as in struct keeper_session */
};

static struct keeper_session *new_session(struct keeper *keeper, const struct wanted *wanted)
{
	pop3_span user = wanted->user, label = wanted->label;
	struct keeper_session *session =
		calloc(1, offsetof(struct keeper_session, user) + user.size + label.size + 2);

	if (session)
		session->place = keeper_place_take(keeper, wanted->root, wanted->path);
	if (!session || !session->place) {
		free(session);
		return NULL;
	}
	memcpy(session->user, user.data, user.size);
	session->label = session->user + user.size + 1;
	if (label.size)
		memcpy(session->label, label.data, label.size);
	session->placed = wanted->placed;
	session->no_delete = wanted->no_delete;
	session->login_delay = wanted->login_delay;
	session->migrates = wanted->migrates;
	session->keeper = keeper;
	session->front = wanted->front;
	session->ticket = wanted->ticket;
	session->since = counters_clock();
	return session;
}

/* The session, in its front's table; NULL: there is none, and whoever waits for it knows. */
static struct keeper_session *add_session(struct keeper *keeper, const struct wanted *wanted)
{
	struct peer *front = child_peer(keeper->child, ROLE_FRONT, wanted->front);
	struct keeper_session *session;

	if (!front)
		return NULL; /* the front exited meanwhile: its sessions are over */
	if (keeper_session_find(front, wanted->session)) {
		/* the front's CLOSE is still queued; auth, restarted, does not know that session
		 * and sent OPEN first */
		send_open_failed(front, wanted->session, wanted->ticket, REASON_IN_USE);
		return NULL;
	}
	if (((struct keeper_front *)front->data)->sessions.count >= FRONT_SESSIONS) {
		peer_break(front, "it never closes its maildrops");
		return NULL;
	}
	session = new_session(keeper, wanted);
	if (!session) {
		peer_break(front, "out of memory");
		return NULL;
	}
	table_add(&((struct keeper_front *)front->data)->sessions, &session->node, wanted->session);
	return session;
}

void keeper_open(struct peer *auth, const struct ipc_open *message, bool migrates)
{
	struct keeper *keeper = auth->child->state;
	const struct wanted wanted = {.root = keeper_root_of(keeper, message->root),
				      .path = ipc_text(message, 1),
				      .user = ipc_text(message, 0),
				      .label = ipc_text(message, 2),
				      .front = message->front,
				      .session = message->session,
				      .ticket = message->ticket,
				      .no_delete = message->no_delete,
				      .placed = message->placed,
				      .login_delay = message->login_delay,
				      .migrates = migrates ? auth->instance : 0};
	struct keeper_session *session;

	if (!wanted.root) {
		peer_break(auth, "a maildrop in a folder that is not there");
		return;
	}
	session = add_session(keeper, &wanted);
	if (!session)
		send_here(keeper, wanted.migrates, wanted.front, wanted.session, wanted.ticket);
	if (session && migrates && !(store_abilities(wanted.root->store) & STORE_MOVES))
		not_opened(session, MAILDROP_PERM, "only a Maildir can be moved to (migrate=)");
	else if (session)
		open_maildrop(session);
}

/* ---- OPEN_REMOTE, GO ---- */

void keeper_open_remote(struct peer *auth, const struct ipc_open_remote *message, pop3_span path,
			pop3_span name, pop3_span secret)
{
	const struct wanted wanted = {.root = &((struct keeper *)auth->child->state)->remotes,
				      .path = path,
				      .user = ipc_text(message, 0),
				      .label = ipc_text(message, 1),
				      .front = message->front,
				      .session = message->session,
				      .ticket = message->ticket,
				      .no_delete = message->no_delete,
				      .login_delay = message->login_delay};
	struct keeper_session *session = add_session(auth->child->state, &wanted);

	if (!session)
		return;
	keeper_login_make(session, name, secret);
	session->login->auth = message->judge ? auth->instance : 0;
	session->login->logged = message->judge == 2;
	session->part = (uint8_t)message->part;
	session->login->patient = message->patient ? PATIENCE : 0;
	begin(session);
	if (!session->login->patient)
		keeper_login_wipe(session->login); /* the store has it */
}

void keeper_go(struct peer *auth, const struct ipc_verdict *message)
{
	struct peer *front = child_peer(auth->child, ROLE_FRONT, message->front);
	struct keeper_session *session =
		front ? keeper_session_find(front, message->session) : NULL;

	if (!session && message->reason == REASON_OK) /* it was lost while auth asked a keeper */
		send_open_failed(front, message->session, message->ticket, REASON_MAILDROP_TEMP);
	if (!session || !session->login || session->login->auth != auth->instance ||
	    session->ticket != message->ticket)
		return; /* it is over */
	if (message->reason != REASON_OK) {
		keeper_close(session);
		return;
	}
	if (!session->login->judged || !session->maildrop)
		return;
	session->login_delay = message->login_delay;
	if (message->part)
		session->part = (uint8_t)message->part;
	opened(session, false);
}
