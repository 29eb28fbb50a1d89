/*
 * POP3 sessions at a keeper: open, delete, commit and close. A session exists only because auth
 * opened it for this session of this front (keeper_open); messages of a front about other numbers
 * are ignored. keeper.h lists the work of loop and workers.
 */
#include "server/keeper/session.h"

#include "server/keeper/location.h"

#include "base/text.h"
#include "server/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	RETRY_MS =
		50, /* the lock may be freed soon: by a cut connection, or by an old generation */
	RETRIES = 10,
	FRONT_SESSIONS = 1 << 19, /* of one front: each takes it two of a million descriptors */
};

struct parked {
	struct loop_timer timer;
	struct keeper_session *session;
	unsigned tries;
};

enum work { WORK_OPEN, WORK_COMMIT, WORK_INDEX_WRONG, WORK_BODY_WRONG, WORK_CLOSE };

struct session_job {
	struct job job;
	struct keeper_session *session;
	enum work work;
	bool more; /* to sweep */
	enum maildrop_status status;
	struct err err;
};

static void add_work(struct keeper_session *session, enum work work);
static void open_maildrop(struct keeper_session *session);

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

static enum reason reason_of(enum maildrop_status status)
{
	switch (status) {
	case MAILDROP_OK:
		return REASON_OK;
	case MAILDROP_IN_USE:
		return REASON_IN_USE;
	case MAILDROP_PERM:
		return REASON_MAILDROP_PERM;
	case MAILDROP_TEMP:
	case MAILDROP_FULL:
	case MAILDROP_GONE:
	case MAILDROP_OVER_QUOTA:
	case MAILDROP_ABSENT:
	case MAILDROP_WAIT:
		break;
	}
	return REASON_MAILDROP_TEMP;
}

static void send_open_failed(struct peer *front, uint64_t session, uint64_t ticket,
			     enum reason reason)
{
	struct ipc_open_failed message = {.session = session, .ticket = ticket, .reason = reason};

	if (front)
		peer_send(front, IPC_OPEN_FAILED, &message);
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

/* ---- the maildrop is in use: wait a little ---- */

static void unpark(struct keeper_session *session)
{
	struct keeper_session **at = &session->lane->waiting;

	if (!session->parked)
		return;
	while (*at && *at != session)
		at = &(*at)->next_waiting;
	if (*at)
		*at = session->next_waiting;
	loop_timer_cancel(&session->parked->timer);
}

static void retry(struct loop_timer *timer)
{
	struct parked *parked = timer->context;

	unpark(parked->session);
	open_maildrop(parked->session);
}

static bool park(struct keeper_session *session)
{
	struct parked *parked = session->parked;

	if (!parked) {
		parked = calloc(1, sizeof(*parked));
		if (!parked)
			return false;
		parked->session = session;
		loop_timer_init(&parked->timer, session->keeper->child->loop, retry, parked);
		session->parked = parked;
	}
	if (++parked->tries > RETRIES)
		return false;
	session->next_waiting = session->lane->waiting;
	session->lane->waiting = session;
	atomic_store(&session->lane->hurry, true);
	loop_timer_set(&parked->timer, RETRY_MS);
	return true;
}

/* ---- ends ---- */

static void leave_table(struct keeper_session *session)
{
	struct table *table = table_of(session);

	if (table)
		table_remove(table, &session->node);
	session->front = 0;
}

static void free_session(struct keeper_session *session)
{
	struct keeper_lane *lane = session->lane;

	leave_table(session);
	unpark(session);
	free(session->parked);
	free(session->deletions);
	free(session->user);
	if (lane->waiting)
		loop_timer_set(&lane->waiting->parked->timer, 0); /* the lock may be free now */
	keeper_lane_release(session->keeper, lane);
	free(session);
}

static void session_job_less(struct keeper_session *session)
{
	if (--session->jobs == 0 && session->closing && !session->maildrop)
		free_session(session);
}

void keeper_session_job_over(struct keeper_session *session)
{
	struct keeper *keeper = session->keeper;

	session_job_less(session);
	keeper_job_over(keeper);
}

/* Ends a session: the front expects no more answers. Requests without an answer give their credits
 * back, as the front counts too. The maildrop is closed behind the jobs under way; one that is
 * being opened is closed when it is open (open_done). */
void keeper_close(struct keeper_session *session)
{
	if (session->closing)
		return;
	session->closing = true;
	while (session->credits && keeper_session_front(session))
		keeper_session_credit_back(session);
	leave_table(session);
	unpark(session);
	if (session->open && !session->jobs && maildrop_at_rest(session->maildrop)) {
		maildrop_close(session->maildrop); /* the usual case: the session changed nothing */
		session->maildrop = NULL;
		session->open = false;
	}
	if (session->open) {
		atomic_store(&session->lane->hurry, session->lane->waiting != NULL);
		add_work(session, WORK_CLOSE);
	} else if (!session->jobs) {
		free_session(session);
	}
}

/* ---- jobs ---- */

static void job_run(struct job *base)
{
	struct session_job *job = (struct session_job *)base;
	struct keeper_session *s = job->session;

	switch (job->work) {
	case WORK_OPEN:
		atomic_store(&s->lane->hurry, false);
		job->status = maildrop_open(&s->keeper->settings, s->keeper->mail_fd, s->lane->path,
					    &s->maildrop, &job->err);
		break;
	case WORK_COMMIT:
		job->status =
			maildrop_commit(s->maildrop, s->deletions, s->deletion_count, &job->err);
		break;
	case WORK_INDEX_WRONG:
		maildrop_index_wrong(s->maildrop);
		break;
	case WORK_BODY_WRONG:
		(void)maildrop_body_wrong(s->maildrop, s->body_wrong, &job->err);
		break;
	case WORK_CLOSE:
		job->more = !s->ending && maildrop_sweep_slice(s->maildrop, &s->lane->hurry);
		if (job->more)
			break;
		maildrop_close(s->maildrop);
		s->maildrop = NULL;
		break;
	}
}

static void opened(struct keeper_session *session)
{
	struct peer *front = keeper_session_front(session);
	struct maildrop_snapshot snapshot;
	struct ipc_opened message = {.session = session->node.key, .ticket = session->ticket};
	pop3_span user;
	int fds[2];

	maildrop_snapshot(session->maildrop, &snapshot);
	message.count = snapshot.count;
	message.octets = snapshot.octets;
	message.delta_size = snapshot.delta_size;
	fds[0] = snapshot.base_fd;
	fds[1] = snapshot.delta_fd;
	session->open = true;
	if (!session->absent)
		keeper_location_seen(session->keeper, session->lane);
	user = span_of(session->user);
	if (front && ipc_send_all(&front->chan, IPC_OPENED, &message, &user, 1, fds, 2) < 0)
		peer_break(front, "it does not read");
}

static void not_opened(struct keeper_session *session, enum maildrop_status status)
{
	if (status == MAILDROP_IN_USE && park(session))
		return;
	send_open_failed(keeper_session_front(session), session->node.key, session->ticket,
			 reason_of(status));
	keeper_close(session);
}

static void begin_record(const struct keeper_session *session, enum record_event event,
			 struct record *record)
{
	record_begin(record, event, NULL, session->front, session->node.key);
	record_text(record, RECORD_KEY_USER, span_of(session->user));
	record_text(record, RECORD_KEY_MAILDROP, span_of(session->lane->path));
}

static void log_failure(const struct keeper_session *session, enum record_event event,
			const char *why)
{
	struct record record;

	begin_record(session, event, &record);
	record_words(&record, RECORD_KEY_REASON, why);
	record_write(&record);
}

static void not_opened_for(struct keeper_session *session, enum maildrop_status status,
			   const char *why)
{
	session->maildrop = NULL;
	if (session->closing)
		return;
	if (status != MAILDROP_IN_USE)
		log_failure(session, RECORD_MAILDROP_FAILED, why);
	not_opened(session, status);
}

/* A login makes nothing: a user who never had a maildrop gets an empty one in memory. */
static void located(void *context, bool allowed, const char *why)
{
	struct keeper_session *session = context;
	struct err err = {0};
	enum maildrop_status status = MAILDROP_TEMP;

	if (allowed && !session->closing) {
		status = maildrop_open_empty(&session->keeper->settings, session->lane->path,
					     &session->maildrop, &err);
		why = err.text;
	}
	session->absent = status == MAILDROP_OK;
	if (status == MAILDROP_OK) {
		opened(session);
	} else if (!allowed && !session->looked_again && !session->closing) {
		session->looked_again = true; /* a delivery may have made it since */
		add_work(session, WORK_OPEN);
	} else {
		not_opened_for(session, status, why);
	}
	session_job_less(session);
}

static void open_done(struct session_job *job)
{
	struct keeper_session *session = job->session;

	if (job->status == MAILDROP_ABSENT && !session->closing) {
		session->maildrop = NULL;
		session->jobs++;
		keeper_location_ask(session->keeper, LOCATION_LOOK, session->lane, located,
				    session);
		return;
	}
	if (job->status == MAILDROP_OK) {
		if (session->closing)
			add_work(session, WORK_CLOSE);
		else
			opened(session);
		return;
	}
	not_opened_for(session, job->status, job->err.text);
}

static void commit_done(struct session_job *job)
{
	struct keeper_session *session = job->session;
	struct peer *front = keeper_session_front(session);
	struct ipc_committed message = {.session = session->node.key,
					.reason = job->status == MAILDROP_OK ? REASON_OK
									     : REASON_NOT_DELETED};

	if (job->status != MAILDROP_OK)
		log_failure(session, RECORD_DELETIONS_FAILED, job->err.text);
	if (front)
		peer_send(front, IPC_COMMITTED, &message);
	keeper_session_credit_back(session);
	keeper_close(session);
}

/* The next slice, behind the jobs of others. A login that waits, and a keeper that drains, get the
 * maildrop closed without it; a later session's close goes on there. */
static void sweep_on(struct keeper_session *session)
{
	session->ending = session->keeper->child->draining || session->lane->waiting ||
			  atomic_load(&session->lane->hurry);
	add_work(session, WORK_CLOSE);
}

static void job_done(struct job *base)
{
	struct session_job *job = (struct session_job *)base;
	struct keeper_session *session = job->session;

	switch (job->work) {
	case WORK_OPEN:
		open_done(job);
		break;
	case WORK_COMMIT:
		commit_done(job);
		break;
	case WORK_BODY_WRONG:
		if (job->err.text[0])
			log_warning("%s: message %u: %s", session->lane->path, session->body_wrong,
				    job->err.text);
		break;
	case WORK_CLOSE:
		if (job->more)
			sweep_on(session);
		break;
	case WORK_INDEX_WRONG:
		break;
	}
	free(job);
	keeper_session_job_over(session);
}

static void add_work(struct keeper_session *session, enum work work)
{
	static const char *const doing[] = {
		[WORK_OPEN] = "opening it",       [WORK_COMMIT] = "deleting messages",
		[WORK_INDEX_WRONG] = "its index", [WORK_BODY_WRONG] = "counting a message",
		[WORK_CLOSE] = "closing it",
	};
	struct session_job *job = calloc(1, sizeof(*job));

	if (!job)
		abort(); /* a new keeper is better than a lock that is never freed */
	job->job.run = job_run;
	job->job.done = job_done;
	job->session = session;
	job->work = work;
	session->jobs++;
	if (work == WORK_OPEN)
		atomic_store(&session->lane->hurry, true);
	keeper_add_job(session->keeper, session->lane, &job->job, doing[work]);
}

/* Opens the maildrop: on the loop if no worker uses it and it is in memory and matches its index,
 * else in a worker. Two changes of thread cost more than such an opening. */
static void open_maildrop(struct keeper_session *session)
{
	const struct keeper *keeper = session->keeper;
	enum maildrop_status status = MAILDROP_WAIT;

	if (atomic_load(&keeper->mail_away)) {
		not_opened_for(session, MAILDROP_TEMP, KEEPER_MAIL_AWAY);
		return;
	}
	if (job_lane_idle(&session->lane->jobs))
		status = maildrop_open_now(&keeper->settings, keeper->mail_fd, session->lane->path,
					   &session->maildrop);
	if (status == MAILDROP_OK)
		opened(session);
	else if (status == MAILDROP_WAIT)
		add_work(session, WORK_OPEN);
	else
		not_opened(session, status);
}

/* ---- messages ---- */

void keeper_open(struct peer *auth, const struct ipc_open *message)
{
	struct keeper *keeper = auth->child->state;
	struct peer *front = child_peer(auth->child, ROLE_FRONT, message->front);
	pop3_span user = ipc_text(message, 0), label = ipc_text(message, 2);
	struct keeper_session *session;

	if (!front)
		return; /* the front exited meanwhile: its sessions are over */
	if (keeper_session_find(front, message->session)) {
		/* the front's CLOSE is still queued; auth, restarted, does not know that session
		 * and sent OPEN first */
		send_open_failed(front, message->session, message->ticket, REASON_IN_USE);
		return;
	}
	if (((struct keeper_front *)front->data)->sessions.count >= FRONT_SESSIONS) {
		peer_break(front, "it never closes its maildrops");
		return;
	}
	session = calloc(1, sizeof(*session));
	if (session)
		session->user = malloc(user.size + label.size + 2);
	if (session && session->user)
		session->lane = keeper_lane_take(keeper, ipc_text(message, 1));
	if (!session || !session->lane) {
		if (session)
			free(session->user);
		free(session);
		peer_break(front, "out of memory");
		return;
	}
	memcpy(session->user, user.data, user.size);
	session->user[user.size] = '\0';
	session->label = session->user + user.size + 1;
	if (label.size)
		memcpy(session->label, label.data, label.size);
	session->label[label.size] = '\0';
	session->no_delete = message->no_delete;
	session->keeper = keeper;
	session->front = message->front;
	session->ticket = message->ticket;
	session->asked_at = loop_now(keeper->child->loop);
	table_add(&((struct keeper_front *)front->data)->sessions, &session->node,
		  message->session);
	open_maildrop(session);
}

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
	if (session->no_delete)
		keep_all(session);
	else
		add_work(session, WORK_COMMIT);
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

void keeper_index_wrong(struct keeper_session *session)
{
	if (!session->index_wrong)
		add_work(session, WORK_INDEX_WRONG);
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
	add_work(session, WORK_BODY_WRONG);
}

static void end_one(struct table_node *node, void *context)
{
	(void)context;
	keeper_close(CONTAINER(node, struct keeper_session, node));
}

struct expiry {
	uint64_t now, ms;
};

static void expire_one(struct table_node *node, void *context)
{
	struct keeper_session *session = CONTAINER(node, struct keeper_session, node);
	const struct expiry *expiry = context;

	if (session->open || expiry->now - session->asked_at < expiry->ms)
		return;
	send_open_failed(keeper_session_front(session), session->node.key, session->ticket,
			 REASON_MAILDROP_TEMP);
	keeper_close(session);
}

void keeper_sessions_expire(struct keeper *keeper, uint64_t ms)
{
	struct expiry expiry = {loop_now(keeper->child->loop), ms};

	for (struct peer *peer = keeper->child->peers; peer; peer = peer->next)
		if (peer->role == ROLE_FRONT && peer->data)
			table_each(&((struct keeper_front *)peer->data)->sessions, expire_one,
				   &expiry);
}

void keeper_sessions_end(struct peer *front)
{
	table_each(&((struct keeper_front *)front->data)->sessions, end_one, NULL);
}
