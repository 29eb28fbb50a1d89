/*
 * Login attempts in auth: a front's message becomes a struct login. A cheap step is done on the
 * loop, a costly one in a worker. The verdict goes to the front (challenge, denial) or leads to a
 * keeper (grant). Messages of fronts are hostile. See auth.h.
 */
#include "server/auth/login.h"

#include "base/log.h"
#include "base/secret.h"
#include "base/text.h"
#include "server/auth/keepers.h"
#include "server/record.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct login_job {
	struct job job;
	struct auth *auth;
	struct auth_session *session; /* NULL: the attempt was cancelled */
	struct peer *front;
	struct login *login;
	enum login_verdict verdict;
	atomic_bool cancelled; /* its hash need not be computed any more */
	bool has_response;
	size_t size;
	char response[];
};

static void say(const struct auth_session *session, enum record_event event, const char *why)
{
	struct record record;

	record_begin(&record, event, session->ip, session->front->instance, session->node.key);
	record_words(&record, RECORD_KEY_MECHANISM, session->mechanism);
	record_words(&record, RECORD_KEY_TLS, session->tls ? "yes" : "no");
	record_text(&record, RECORD_KEY_USER, login_claimed_name(session->login));
	if (why[0])
		record_words(&record, RECORD_KEY_REASON, why);
	record_write(&record);
}

static void denied(struct auth *auth, struct auth_session *session)
{
	uint32_t delay;

	session->failures++;
	delay = limits_failed(&auth->limits, session->address, session->failures,
			      loop_now(auth->child->loop));
	say(session, RECORD_LOGIN_REFUSED, login_reason(session->login));
	auth_deny(session, REASON_WRONG, delay);
}

static void granted(struct auth *auth, struct auth_session *session)
{
	const struct user *user = login_user(session->login);
	char key[USER_NAME_MAX]; /* one user in every spelling, also when the users file changes
				    between logins */

	session->user = limits_login(&auth->limits, user_name_key(span_of(user->name), key));
	if (!session->user) {
		say(session, RECORD_LOGIN_REFUSED, "too many sessions of this user");
		auth_deny(session, REASON_USER_SESSIONS, 0);
		return;
	}
	session->granted = true;
	say(session, RECORD_LOGIN, "");
	auth_open(session, user);
}

static void challenge(struct auth_session *session)
{
	pop3_span text = login_challenge(session->login);
	struct ipc_challenge message = {.session = session->node.key};

	peer_send_texts(session->front, IPC_CHALLENGE, &message, &text, 1);
}

static void conclude(struct auth *auth, struct auth_session *session, enum login_verdict verdict)
{
	switch (verdict) {
	case LOGIN_MORE:
		challenge(session);
		return;
	case LOGIN_GRANTED:
		granted(auth, session);
		break;
	case LOGIN_DENIED:
		denied(auth, session);
		break;
	case LOGIN_PERM:
		say(session, RECORD_LOGIN_FAILED, login_reason(session->login));
		auth_deny(session, REASON_LOGIN_UNCHECKABLE, 0);
		break;
	case LOGIN_TEMP:
	case LOGIN_SLOW:
		say(session, RECORD_LOGIN_FAILED, login_reason(session->login));
		auth_deny(session, REASON_LOGIN_DOWN, 0);
		break;
	}
	login_destroy(session->login);
	session->login = NULL;
}

/* ---- in a worker ---- */

static void job_run(struct job *base)
{
	struct login_job *job = (struct login_job *)base;

	if (atomic_load(&job->cancelled))
		return;
	job->verdict =
		login_step(job->login, (pop3_span){job->response, job->size}, job->has_response);
}

static void job_done(struct job *base)
{
	struct login_job *job = (struct login_job *)base;

	if (job->session) {
		job->session->job = NULL;
		job->front->unanswered--;
		conclude(job->auth, job->session, job->verdict);
	} else {
		login_destroy(job->login);
	}
	wipe(job->response, job->size);
	free(job);
}

static int add_job(struct auth *auth, struct auth_session *session, pop3_span response,
		   bool has_response)
{
	struct login_job *job = calloc(1, sizeof(*job) + response.size);

	if (!job)
		return -1;
	job->job.run = job_run;
	job->job.done = job_done;
	job->auth = auth;
	job->session = session;
	job->front = session->front;
	job->login = session->login;
	job->has_response = has_response;
	job->size = response.size;
	if (response.size)
		memcpy(job->response, response.data, response.size);
	if (workers_add(auth->workers, &job->job, false) < 0) {
		wipe(job->response, job->size);
		free(job);
		return -1;
	}
	session->job = job;
	session->front->unanswered++;
	return 0;
}

void auth_login_cancel(struct auth_session *session)
{
	if (session->job) {
		atomic_store(&session->job->cancelled, true);
		session->job->session = NULL; /* the job owns the login now */
		session->front->unanswered--;
		session->job = NULL;
	} else {
		login_destroy(session->login);
	}
	session->login = NULL;
}

/* ---- messages of fronts ---- */

static void step(struct auth_session *session, pop3_span response, bool has_response)
{
	struct auth *auth = session->front->child->state;
	enum login_verdict verdict = login_step_fast(session->login, response, has_response);

	if (verdict != LOGIN_SLOW)
		conclude(auth, session, verdict);
	else if (add_job(auth, session, response, has_response) < 0)
		conclude(auth, session, LOGIN_TEMP);
}

static struct login *start_sasl(struct auth *auth, struct auth_session *session,
				pop3_span mechanism)
{
	const struct ipc_bindings *bindings = session->bindings;
	struct login_channel channel = {.tls = session->tls, .loopback = session->loopback};

	if (session->tls && bindings) {
		channel.exporter =
			(pop3_span){(const char *)bindings->exporter, bindings->exporter_size};
		channel.end_point =
			(pop3_span){(const char *)bindings->end_point, bindings->end_point_size};
	}
	return login_sasl(auth->service, mechanism, &channel);
}

/* For the log: POP3's own ways by the name of their command. */
static void name_mechanism(struct auth_session *session, enum ipc_type type, pop3_span mechanism)
{
	pop3_span name = mechanism;

	if (type != IPC_SASL_START)
		name = type == IPC_PASS ? SPAN_LITERAL("USER") : SPAN_LITERAL("APOP");
	if (span_copy(name, session->mechanism, sizeof(session->mechanism)) < 0)
		memcpy(session->mechanism, "?", sizeof("?"));
}

static struct login *start_attempt(struct auth_session *session, enum ipc_type type, pop3_span user,
				   pop3_span secret)
{
	struct auth *auth = session->front->child->state;
	struct login *login;
	char *stamp;

	name_mechanism(session, type, user);
	if (type == IPC_PASS)
		return login_pass(auth->service, user, secret);
	if (type == IPC_SASL_START)
		return start_sasl(auth, session, user);
	stamp = session->stamp; /* a stamp is good for one attempt */
	session->stamp = NULL;
	login = login_apop(auth->service, user, secret, stamp ? span_of(stamp) : SPAN_LITERAL(""));
	free(stamp);
	return login;
}

/* A front may be hostile: auth checks for itself what the front was allowed to offer. */
static bool allowed(const struct auth_session *session, enum ipc_type type, pop3_span mechanism)
{
	const struct config *config = session->front->child->config;
	bool in_clear = type == IPC_PASS ||
			(type == IPC_SASL_START && (span_equal(mechanism, SPAN_LITERAL("PLAIN")) ||
						    span_equal(mechanism, SPAN_LITERAL("LOGIN"))));

	if (session->tls || !in_clear)
		return true;
	return config->plain_without_tls || (session->loopback && config->plain_on_loopback);
}

void auth_login_message(struct auth_session *session, enum ipc_type type,
			const struct ipc_credentials *message)
{
	pop3_span user = ipc_text(message, 0), secret = ipc_text(message, 1);

	if (session->job || (type == IPC_SASL_RESPONSE) != (session->login != NULL))
		return; /* out of order: a front that does this loses its client, nothing more */
	/* The session may be granted already: then the keeper refused the maildrop, and only the
	 * front knows. A hostile front gains nothing: a session opens one maildrop at its
	 * keeper. */
	auth_logout(session);
	if (session->front->unanswered >= IPC_AUTH_CREDITS) {
		peer_break(session->front, "more logins at once than it has credits for");
		return;
	}
	session->ticket = message->ticket;
	if (type != IPC_SASL_RESPONSE)
		session->tls = message->tls;
	if (!allowed(session, type, user)) {
		auth_deny(session, REASON_CLEAR_TEXT, 0);
		return;
	}
	if (type != IPC_SASL_RESPONSE)
		session->login = start_attempt(session, type, user, secret);
	if (!session->login) {
		auth_deny(session, REASON_LOGIN_DOWN, 0);
		return;
	}
	if (type == IPC_PASS || type == IPC_APOP)
		step(session, SPAN_LITERAL(""), false);
	else
		step(session, secret, message->has_secret);
}
