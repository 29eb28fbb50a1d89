/*
 * POP3 sessions at a keeper: delete, commit and close. Messages of a front about sessions that auth
 * did not open for it are ignored. keeper.h lists the files.
 */
#include "server/keeper/session.h"

#include "base/log.h"
#include "base/text.h"
#include "server/counters.h"

#include <stdlib.h>
#include <string.h>

struct commit {
	struct store_commit op;
	struct keeper_session *session;
};

struct closing {
	struct store_close op;
	struct keeper_session *session;
};

struct wrong {
	struct store_wrong op;
	struct keeper_session *session;
};

struct peer *keeper_session_front(const struct keeper_session *session)
{
	return session->front ? child_peer(session->keeper->child, ROLE_FRONT, session->front)
			      : NULL;
}

static struct table *table_of(const struct keeper_session *session)
{
	struct peer *front = keeper_session_front(session);

	return front ? &((struct keeper_front *)front->data)->sessions : NULL;
}

bool keeper_session_credit(struct keeper_session *session)
{
	struct peer *front = keeper_session_front(session);

	if (front->unanswered >= IPC_KEEPER_CREDITS) {
		peer_break(front, "more requests at once than it has credits for");
		return false;
	}
	front->unanswered++;
	session->credits++;
	return true;
}

void keeper_session_credit_back(struct keeper_session *session)
{
	struct peer *front = keeper_session_front(session);

	if (!front || !session->credits)
		return;
	session->credits--;
	front->unanswered--;
}

/* Memory for an operation. A new keeper is better than a lock that is never freed. */
static void *operation(size_t size)
{
	void *op = calloc(1, size);

	if (!op)
		abort();
	return op;
}

void keeper_stop_waiting(struct keeper_opening *opening)
{
	struct keeper_opening **at = &opening->session->place->waiting;

	while (*at && *at != opening)
		at = &(*at)->next_waiting;
	if (*at)
		*at = opening->next_waiting;
	loop_timer_cancel(&opening->retry);
}

/* ---- ends ---- */

void keeper_login_make(struct keeper_session *session, pop3_span name, pop3_span secret)
{
	struct keeper_login *login = operation(sizeof(*login) + name.size + secret.size);

	login->size = name.size + secret.size;
	login->name = (pop3_span){login->text, name.size};
	login->secret = (pop3_span){login->text + name.size, secret.size};
	if (name.size)
		memcpy(login->text, name.data, name.size);
	if (secret.size)
		memcpy(login->text + name.size, secret.data, secret.size);
	session->login = login;
}

void keeper_login_wipe(struct keeper_login *login)
{
	wipe(login->text + login->name.size, login->secret.size);
	login->secret.size = 0;
}

void keeper_login_free(struct keeper_session *session)
{
	if (session->login)
		wipe(session->login->text, session->login->size);
	free(session->login);
	session->login = NULL;
}

static void leave_table(struct keeper_session *session)
{
	struct table *table = table_of(session);

	if (table)
		table_remove(table, &session->node);
	session->front = 0;
}

static void free_session(struct keeper_session *session)
{
	struct keeper_place *place = session->place;

	leave_table(session);
	keeper_login_free(session);
	free(session->opening);
	free(session->deletions);
	if (place->waiting)
		loop_timer_set(&place->waiting->retry, 0); /* the lock may be free now */
	keeper_place_release(session->keeper, place);
	free(session);
}

void keeper_session_begin(struct keeper_session *session)
{
	session->jobs++;
	keeper_begin(session->keeper);
}

void keeper_session_done(struct keeper_session *session)
{
	struct keeper *keeper = session->keeper;

	if (--session->jobs == 0 && session->closing && !session->maildrop)
		free_session(session);
	keeper_done(keeper);
}

static void closed(struct store_op *op)
{
	struct closing *closing = (struct closing *)op;
	struct keeper_session *session = closing->session;

	free(closing);
	session->maildrop = NULL;
	keeper_session_done(session);
}

void keeper_close_maildrop(struct keeper_session *session)
{
	struct closing *closing = operation(sizeof(*closing));

	closing->session = session;
	closing->op.op.done = closed;
	closing->op.hurry = session->place->waiting || session->keeper->child->draining;
	keeper_session_begin(session);
	store_close(session->maildrop, &closing->op);
}

/* A maildrop that is being opened is closed when it is open (opening.c). */
static void stop_opening(struct keeper_session *session)
{
	struct keeper_opening *opening = session->opening;

	if (!opening)
		return;
	keeper_stop_waiting(opening);
	loop_deadline_cancel(&opening->deadline);
	if (opening->taking)
		table_remove(&session->keeper->takes, &opening->take);
	opening->taking = false;
	if (opening->under_way)
		store_cancel(session->place->root->store, &opening->open.op);
}

/* Requests without an answer give their credits back, as the front counts too. The maildrop is
 * closed behind the operations under way. */
void keeper_close(struct keeper_session *session)
{
	/* the front has it, or is to get it when auth says so */
	bool has = session->open || (session->login && session->login->judged && session->maildrop);

	if (session->closing)
		return;
	session->closing = true;
	while (session->credits && keeper_session_front(session))
		keeper_session_credit_back(session);
	leave_table(session);
	stop_opening(session);
	if (session->place->holder == session) {
		session->place->holder = NULL;
		keeper_place_unasked(session->place);
	}
	if (session->reading)
		store_cancel(session->place->root->store, session->reading);
	/* the usual case: the session changed nothing */
	if (has && !session->jobs && store_try_close(session->maildrop)) {
		session->maildrop = NULL;
		session->open = has = false;
	}
	if (has)
		keeper_close_maildrop(session);
	else if (!session->jobs)
		free_session(session);
}

void keeper_session_gone(struct keeper_session *session, enum reason reason)
{
	struct ipc_gone message = {.session = session->node.key, .reason = reason};
	struct peer *front = keeper_session_front(session);

	if (front)
		peer_send(front, IPC_GONE, &message);
	keeper_close(session);
}

/* ---- the log ---- */

static void begin_record(const struct keeper_session *session, enum record_event event,
			 struct record *record)
{
	record_begin(record, event, NULL, session->front, session->node.key);
	record_text(record, RECORD_KEY_USER, span_of(session->user));
	record_text(record, RECORD_KEY_MAILDROP, span_of(session->place->path));
}

void keeper_session_failed(const struct keeper_session *session, enum record_event event,
			   const char *why)
{
	struct record record;

	begin_record(session, event, &record);
	record_words(&record, RECORD_KEY_REASON, why);
	record_write(&record);
}

/* ---- messages ---- */

void keeper_delete(struct keeper_session *session, const struct ipc_delete *message)
{
	uint32_t need = session->deletion_count + message->count, last = 0, number, *room;
	struct maildrop_snapshot snapshot;

	maildrop_snapshot(session->maildrop, &snapshot);
	if (need > snapshot.count)
		goto bad;
	if (need > session->deletion_room) {
		room = realloc(session->deletions, need * sizeof(*room));
		if (!room)
			goto bad;
		session->deletions = room;
		session->deletion_room = need;
	}
	if (session->deletion_count)
		last = session->deletions[session->deletion_count - 1];
	for (uint32_t i = 0; i < message->count; i++, last = number) {
		memcpy(&number, ipc_tail(message) + i * sizeof(number), sizeof(number));
		if (number <= last || number > snapshot.count)
			goto bad;
		session->deletions[session->deletion_count++] = number;
	}
	return;
bad:
	peer_break(keeper_session_front(session), "deletions that are not a session's");
}

/* A password that may not delete: the maildrop stays as it is. */
static void keep_all(struct keeper_session *session)
{
	struct ipc_committed message = {.session = session->node.key, .reason = REASON_NO_DELETE};
	struct record record;

	begin_record(session, RECORD_DELETIONS_KEPT, &record);
	record_words(&record, RECORD_KEY_LABEL, session->label);
	record_number(&record, RECORD_KEY_DELE, session->deletion_count);
	record_write(&record);
	peer_send(keeper_session_front(session), IPC_COMMITTED, &message);
	keeper_session_credit_back(session);
	keeper_close(session);
}

static enum reason reason_of(enum maildrop_status status)
{
	switch (status) {
	case MAILDROP_OK:
		return REASON_OK;
	case MAILDROP_LOST:
		return REASON_NOTHING_DELETED;
	case MAILDROP_IN_USE:
	case MAILDROP_TEMP:
	case MAILDROP_PERM:
	case MAILDROP_GONE:
	case MAILDROP_OVER_QUOTA:
	case MAILDROP_FULL:
	case MAILDROP_ABSENT:
	case MAILDROP_WAIT:
	case MAILDROP_UNKNOWN:
	case MAILDROP_CANCELLED:
	case MAILDROP_NEEDS_UTF8:
	case MAILDROP_ELSEWHERE:
	case MAILDROP_REFUSED:
	case MAILDROP_TOO_SOON:
	case MAILDROP_GUARDED:
	case MAILDROP_UNPROVEN:
		break;
	}
	return REASON_NOT_DELETED;
}

/* For the recorder. */
static void note_committed(const struct keeper_session *session, uint64_t took)
{
	struct record record;

	begin_record(session, RECORD_COMMITTED, &record);
	record_number(&record, RECORD_KEY_DELE, session->deletion_count);
	record_number(&record, RECORD_KEY_MS, took / 1000);
	record_write(&record);
}

static void committed(struct store_op *op)
{
	struct commit *commit = (struct commit *)op;
	struct keeper_session *session = commit->session;
	struct peer *front = keeper_session_front(session);
	struct ipc_committed message = {.session = session->node.key,
					.reason = reason_of(op->status)};
	uint64_t took;

	counters_add(COUNTER_COMMITS + (op->status == MAILDROP_OK ? RESULT_OK : RESULT_FAILED), 1);
	took = counters_took(COUNTER_COMMIT_SECONDS, session->since);
	if (op->status != MAILDROP_OK)
		keeper_session_failed(session, RECORD_DELETIONS_FAILED, op->err.text);
	else
		note_committed(session, took);
	if (front)
		peer_send(front, IPC_COMMITTED, &message);
	free(commit);
	keeper_session_credit_back(session);
	keeper_close(session);
	keeper_session_done(session);
}

static void commit_all(struct keeper_session *session, const struct ipc_commit *message)
{
	struct commit *commit = operation(sizeof(*commit));
	struct deleted_by *by = &commit->op.by;

	by->front = session->front;
	by->session = session->node.key;
	memcpy(by->address, message->address, sizeof(by->address));
	(void)span_copy(span_of(session->label), by->label, sizeof(by->label));
	commit->session = session;
	commit->op.op.done = committed;
	commit->op.numbers = session->deletions;
	commit->op.count = session->deletion_count;
	keeper_session_begin(session);
	store_commit(session->maildrop, &commit->op);
}

void keeper_commit(struct keeper_session *session, const struct ipc_commit *message)
{
	struct peer *front = keeper_session_front(session);

	if (message->total != session->deletion_count) {
		peer_break(front, "deletions that do not add up");
		return;
	}
	if (!keeper_session_credit(session))
		return;
	session->committing = true;
	session->since = counters_clock();
	if (session->no_delete)
		keep_all(session);
	else
		commit_all(session, message);
}

struct keeper_session *keeper_session_find(struct peer *front, uint64_t number)
{
	struct table *sessions = &((struct keeper_front *)front->data)->sessions;
	struct table_node *node = table_find(sessions, number);

	return node ? CONTAINER(node, struct keeper_session, node) : NULL;
}

bool keeper_session_ready(const struct keeper_session *session)
{
	return session->open && !session->committing;
}

static void told(struct store_op *op)
{
	struct wrong *wrong = (struct wrong *)op;
	struct keeper_session *session = wrong->session;

	if (op->status != MAILDROP_OK)
		log_warning("%s: message %u: %s", session->place->path, wrong->op.number,
			    op->err.text);
	free(wrong);
	keeper_session_done(session);
}

/* number 0: the index. */
static void is_wrong(struct keeper_session *session, uint32_t number)
{
	struct wrong *wrong = operation(sizeof(*wrong));

	wrong->session = session;
	wrong->op.op.done = told;
	wrong->op.number = number;
	keeper_session_begin(session);
	store_wrong(session->maildrop, &wrong->op);
}

void keeper_index_wrong(struct keeper_session *session)
{
	if (!session->index_wrong)
		is_wrong(session, 0);
	session->index_wrong = true;
}

void keeper_body_wrong(struct keeper_session *session, const struct ipc_body_wrong *message)
{
	struct maildrop_snapshot snapshot;

	maildrop_snapshot(session->maildrop, &snapshot);
	if (message->number > snapshot.count) {
		peer_break(keeper_session_front(session), "a wrong message that is not there");
		return;
	}
	if (session->body_wrong)
		return; /* counting is work: once a session, which a front cuts after it */
	session->body_wrong = message->number;
	is_wrong(session, message->number);
}

static void end_one(struct table_node *node, void *context)
{
	(void)context;
	keeper_close(CONTAINER(node, struct keeper_session, node));
}

void keeper_sessions_end(struct peer *front)
{
	table_each(&((struct keeper_front *)front->data)->sessions, end_one, NULL);
}

static void end_judged(struct table_node *node, void *context)
{
	struct keeper_session *session = CONTAINER(node, struct keeper_session, node);
	const uint64_t *auth = context;

	if (session->login && session->login->auth == *auth)
		keeper_close(session);
}

void keeper_judge_gone(const struct peer *auth)
{
	uint64_t instance = auth->instance;

	for (struct peer *peer = auth->child->peers; peer; peer = peer->next)
		if (peer->role == ROLE_FRONT && peer->data)
			table_each(&((struct keeper_front *)peer->data)->sessions, end_judged,
				   &instance);
}
