/*
 * Login attempts in auth: a front's message becomes a struct login. A cheap step is done on the
 * loop; a costly one waits in the queue for a worker, and the front gets its credit back. The
 * verdict goes to the front (challenge, denial) or leads to a keeper (grant). Messages of fronts
 * are hostile. See auth.h.
 */
#include "server/auth/login.h"

#include "base/log.h"
#include "base/secret.h"
#include "base/text.h"
#include "config/rules.h"
#include "server/auth/hold.h"
#include "server/auth/keepers.h"
#include "server/auth/remote.h"
#include "server/counters.h"
#include "server/record.h"
#include "users/networks.h"
#include "users/site.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct login_job {
	struct job job;
	struct queue_entry entry;
	struct auth *auth;
	struct auth_session *session; /* NULL: the attempt was cancelled */
	struct login *login;
	enum login_verdict verdict;
	atomic_bool cancelled; /* its hash need not be computed any more */
	bool has_response;
	size_t size;
	char response[];
};

static void begin_record(const struct auth_session *session, enum record_event event,
			 pop3_span name, struct record *record)
{
	bool mta = session->front->role == ROLE_MTA;

	record_begin(record, event, session->ip, session->front->instance, session->node.key);
	if (mta)
		record_words(record, RECORD_KEY_SERVICE, "smtp");
	record_words(record, RECORD_KEY_MECHANISM, auth_mechanism_name(session));
	record_words(record, RECORD_KEY_TLS,
		     !mta           ? tls_protocol_name((enum tls_protocol)session->tls)
		     : session->tls ? "yes"
				    : "no"); /* the version is the MTA's to know */
	record_text(record, RECORD_KEY_USER, name);
}

static void say_of(const struct auth_session *session, enum record_event event, pop3_span name,
		   const char *why)
{
	struct record record;

	begin_record(session, event, name, &record);
	if (why[0])
		record_words(&record, RECORD_KEY_REASON, why);
	record_write(&record);
}

static void say(const struct auth_session *session, enum record_event event, const char *why)
{
	say_of(session, event, login_claimed_name(session->login), why);
}

/* The log has which app password it was; `valija migrate --follow` looks for users whose mail
 * moves.
 */
static void say_login(const struct auth *auth, const struct auth_session *session,
		      const struct user *user, const struct app_password *app)
{
	struct record record;

	begin_record(session, RECORD_LOGIN, login_claimed_name(session->login), &record);
	if (app)
		record_words(&record, RECORD_KEY_LABEL, app->label);
	if (app && app->no_delete)
		record_words(&record, RECORD_KEY_DELETES, "no");
	if (user->migrate_section)
		record_words(&record, RECORD_KEY_MIGRATE,
			     auth->child->config->remotes[user->migrate_section - 1].name);
	record_write(&record);
}

/* The recorder has how long a login is held back because others failed before. */
static void note_hold(const struct auth_session *session, pop3_span name, uint64_t ms)
{
	struct record record;

	begin_record(session, RECORD_HELD, name, &record);
	record_number(&record, RECORD_KEY_DELAY, ms);
	record_number(&record, RECORD_KEY_FAILURES, session->failures);
	record_write(&record);
}

static void denied(struct auth *auth, struct auth_session *session, const char *why)
{
	uint32_t delay;

	session->failures++;
	delay = limits_failed(&auth->limits, session->address, session->failures,
			      loop_now(auth->child->loop));
	say(session, RECORD_LOGIN_REFUSED, why);
	if (delay)
		note_hold(session, login_claimed_name(session->login), delay);
	auth_deny(session, REASON_WRONG, delay);
}

/* It opens no maildrop, and counts for no session of the user. */
static void granted_mta(struct auth_session *session, const struct user *user)
{
	struct ipc_granted message = {.session = session->node.key, .ticket = session->ticket};
	pop3_span name = span_of(user->name);

	peer_send_texts(session->front, IPC_GRANTED, &message, &name, 1);
}

/* Counts a session of a POP3 front. Returns false, and denies the login: the user has too many. */
static bool count_session(struct auth *auth, struct auth_session *session, const struct user *user)
{
	char key[USER_NAME_MAX]; /* one user in every spelling, also when the users file changes
				    between logins */

	session->user = limits_login(&auth->limits, user_name_key(span_of(user->name), key));
	if (session->user) {
		session->granted = true;
		session->since = (uint32_t)time(NULL);
		return true;
	}
	say(session, RECORD_LOGIN_REFUSED, "too many sessions of this user");
	auth_deny(session, REASON_USER_SESSIONS, 0);
	return false;
}

/* The secret was right: it is no failure, and costs nothing but this login. */
static bool came_too_soon(const struct auth *auth, struct auth_session *session,
			  const struct user *user, uint32_t delay)
{
	if (!login_delays_has(auth->delays, span_of(user->name), delay,
			      loop_now(auth->child->loop)))
		return false;
	say(session, RECORD_LOGIN_REFUSED, "too soon after the last login");
	auth_deny(session, REASON_LOGIN_DELAY, 0);
	return true;
}

/* A loopback address that comes from a proxy is not this machine's. */
static bool is_foreign_loopback(const struct auth_session *session)
{
	return config_network_is_loopback(session->ip) && !limits_is_loopback(session->address);
}

/* Whether the client is in one of networks. */
static bool comes_from(const struct auth_session *session, const char *networks)
{
	return !is_foreign_loopback(session) && networks_have(span_of(networks), session->ip);
}

static void granted(struct auth *auth, struct auth_session *session)
{
	const struct user *user = login_user(session->login);
	const struct app_password *app = login_app(session->login);
	uint64_t now = loop_now(auth->child->loop);
	bool mta = session->front->role == ROLE_MTA;
	uint32_t delay = mta ? 0 : site_login_delay(auth->child->config, user);

	/* judged after the secret: a stranger learns nothing about the name */
	if (user->networks[0] && !comes_from(session, user->networks)) {
		denied(auth, session, "not from a network of allow_networks");
		return;
	}
	if (app && app->networks[0] && !comes_from(session, app->networks)) {
		denied(auth, session, "not from a network of the app password");
		return;
	}
	if (mta && app && app->no_delete) { /* it is for looking at mail, not for writing it */
		denied(auth, session, "the app password is for reading only");
		return;
	}
	if (delay && came_too_soon(auth, session, user, delay))
		return;
	if (!mta && !count_session(auth, session, user))
		return;
	if (delay)
		login_delays_put(auth->delays, span_of(user->name), now);
	proven_put(auth->proven, span_of(user->name), limits_network(session->address), now / 1000);
	say_login(auth, session, user, app);
	if (login_database(session->login))
		databases_note(auth->databases, login_database(session->login), user->name);
	last_login_note(&auth->last_logins, user, app, mta);
	if (mta)
		granted_mta(session, user);
	else if (user->remote_section)
		auth_open_remote(session, user, app);
	else if (user->migrate_section && auth_moving(session, user, app) < 0)
		auth_deny(session, REASON_LOGIN_DOWN, 0);
	else
		auth_open(session, user, app);
}

static void challenge(struct auth_session *session)
{
	pop3_span text = login_challenge(session->login);
	struct ipc_challenge message = {.session = session->node.key};

	peer_send_texts(session->front, IPC_CHALLENGE, &message, &text, 1);
}

/* The server that has the mail judges the password: it is asked only for clients that may log in,
 * for it is our address that it bans. True: its verdict comes later. */
static bool begin_judging(struct auth *auth, struct auth_session *session)
{
	const struct user *user = login_user(session->login);

	if (user->networks[0] && !comes_from(session, user->networks)) {
		denied(auth, session, "not from a network of allow_networks");
		return false;
	}
	if (session->front->role == ROLE_MTA) {
		say(session, RECORD_LOGIN_FAILED,
		    "another server judges this password, and only for POP3");
		auth_deny(session, REASON_LOGIN_UNCHECKABLE, 0);
		return false;
	}
	switch (auth_ask_remote(session)) {
	case ASK_SENT:
		return true;
	case ASK_BUSY:
		say(session, RECORD_LOGIN_FAILED, "another server judges too many of its network");
		auth_deny(session, REASON_LOGIN_BUSY, 0);
		break;
	case ASK_NONE:
		say(session, RECORD_LOGIN_FAILED, "no connector runs");
		auth_deny(session, REASON_STORE_DOWN, 0);
		break;
	}
	return false;
}

static void conclude(struct auth *auth, struct auth_session *session, enum login_verdict verdict)
{
	assert(verdict != LOGIN_ASK);
	switch (verdict) {
	case LOGIN_MORE:
		challenge(session);
		return;
	case LOGIN_GRANTED:
		counters_took(COUNTER_LOGIN_STEPS + STEP_VERDICT * HISTOGRAM_SLOTS,
			      session->asked_at);
		granted(auth, session);
		break;
	case LOGIN_ELSEWHERE:
		if (begin_judging(auth, session))
			return;
		break;
	case LOGIN_DENIED:
		denied(auth, session, login_reason(session->login));
		break;
	case LOGIN_PERM:
		say(session, RECORD_LOGIN_FAILED, login_reason(session->login));
		auth_deny(session, REASON_LOGIN_UNCHECKABLE, 0);
		break;
	case LOGIN_UNSERVED:
		say(session, RECORD_LOGIN_FAILED, login_reason(session->login));
		auth_deny(session, REASON_MAILDROP_PERM, 0);
		break;
	case LOGIN_TEMP:
	case LOGIN_SLOW:
	case LOGIN_ASK:
		say(session, RECORD_LOGIN_FAILED, login_reason(session->login));
		auth_deny(session, REASON_LOGIN_DOWN, 0);
		break;
	}
	login_destroy(session->login);
	session->login = NULL;
}

void auth_login_judged(struct peer *connector, const struct ipc_verdict *message)
{
	struct auth *auth = connector->child->state;
	struct auth_session *session = auth_verdict(auth, connector, message);

	if (!session)
		return;
	if (session->access) {
		auth_token_judged(session, message);
		return;
	}
	if (message->reason == REASON_OK) {
		counters_took(COUNTER_LOGIN_STEPS + STEP_VERDICT * HISTOGRAM_SLOTS,
			      session->asked_at);
		learn_password(auth->learning, &auth->last_logins, login_user(session->login),
			       login_password(session->login));
		granted(auth, session);
		auth_remote_cancel(session); /* if it was not */
	} else {
		auth_judging_over(session);
		/* a copying that no keeper has told to give way */
		if (message->reason == REASON_IN_USE && login_user(session->login)->migrate_section)
			auth_hurry(auth, login_user(session->login), true);
		if (message->reason == REASON_WRONG) {
			denied(auth, session, "the other server refuses the password");
		} else {
			say(session, RECORD_LOGIN_FAILED, reason_row(message->reason)->words);
			auth_deny(session, (enum reason)message->reason, 0);
		}
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
	counters_add(COUNTER_HASHES, 1);
	job->verdict =
		login_step(job->login, (pop3_span){job->response, job->size}, job->has_response);
}

static void free_job(struct login_job *job)
{
	wipe(job->response, job->size);
	free(job);
}

static void run_next(struct auth *auth);
static void ask(struct auth *auth, struct auth_session *session, pop3_span response,
		bool has_response);

static void job_done(struct job *base)
{
	struct login_job *job = (struct login_job *)base;
	struct auth *auth = job->auth;

	queue_leave(&auth->queue, &job->entry);
	run_next(auth); /* no worker waits for what follows */
	if (job->session) {
		job->session->job = NULL;
		if (job->verdict == LOGIN_ASK)
			ask(auth, job->session, (pop3_span){job->response, job->size},
			    job->has_response);
		else
			conclude(auth, job->session, job->verdict);
	} else {
		login_destroy(job->login);
	}
	free_job(job);
}

/* ---- the queue ---- */

/* Gives workers to the logins whose turn it is. The queue lets no more run than there are threads,
 * so the workers' own queue is never full. */
static void run_next(struct auth *auth)
{
	struct queue_entry *entry;

	while ((entry = queue_take(&auth->queue))) {
		struct login_job *job = CONTAINER(entry, struct login_job, entry);

		job->verdict = LOGIN_TEMP;
		if (workers_add(auth->workers, &job->job, false) == 0)
			continue;
		job_done(&job->job);
		return;
	}
}

static enum queue_class class_of(const struct auth *auth, const struct auth_session *session)
{
	uint64_t now = loop_now(auth->child->loop);

	if (proven_has(auth->proven, login_claimed_name(session->login),
		       limits_network(session->address), now / 1000))
		return QUEUE_PROVEN;
	return limits_has_failures(session->address, now) ? QUEUE_FAILED : QUEUE_CALM;
}

static struct login_job *new_job(struct auth *auth, struct auth_session *session,
				 pop3_span response, bool has_response)
{
	struct login_job *job = calloc(1, sizeof(*job) + response.size);

	if (!job)
		return NULL;
	job->job.run = job_run;
	job->job.done = job_done;
	job->auth = auth;
	job->session = session;
	job->login = session->login;
	job->has_response = has_response;
	job->size = response.size;
	if (response.size)
		memcpy(job->response, response.data, response.size);
	return job;
}

/* -1: the queue is full. */
static int add_job(struct auth *auth, struct auth_session *session, pop3_span response,
		   bool has_response)
{
	struct login_job *job = new_job(auth, session, response, has_response);

	if (!job)
		return -1;
	if (queue_add(&auth->queue, &job->entry, limits_network(session->address),
		      limits_is_loopback(session->address), class_of(auth, session)) < 0) {
		free_job(job);
		return -1;
	}
	session->job = job;
	auth_slow(session);
	run_next(auth);
	return 0;
}

/* ---- databases ---- */

/* The step of an attempt that waits for the answer of a database. */
struct login_ask {
	struct ask *ask;
	struct auth_session *session;
	bool has_response;
	size_t size;
	char response[];
};

static void drop_ask(struct auth_session *session)
{
	struct login_ask *wait = session->ask;

	if (!wait)
		return;
	databases_cancel(wait->ask);
	session->ask = NULL;
	wipe(wait->response, wait->size);
	free(wait);
}

static bool remembered(void *context, const char *database)
{
	return login_remembered(context, database);
}

static struct ask_question question_of(const struct auth *auth, const struct auth_session *session)
{
	struct login_question of = login_question(session->login);
	bool mta = session->front->role == ROLE_MTA;
	struct ask_question question = {.purpose = mta ? LOOKUP_SASL : LOOKUP_LOGIN,
					.names = {of.name},
					.name_count = 1,
					.password = of.password,
					.token = of.token,
					.fresh = of.fresh,
					.proved = of.proved,
					.tls = (enum tls_protocol)session->tls,
					.loopback = limits_is_loopback(session->address),
					.class = class_of(auth, session),
					.front = session->front->instance,
					.session = session->node.key,
					.remembered = remembered,
					.context = session->login};

	memcpy(question.address, session->ip, sizeof(question.address));
	memcpy(question.network, limits_network(session->address), sizeof(question.network));
	return question;
}

static void step(struct auth_session *session, pop3_span response, bool has_response);

static void answered(void *context, struct finding *findings)
{
	struct login_ask *wait = context;
	struct auth_session *session = wait->session;

	session->ask = NULL;
	if (findings) {
		login_answered(session->login, findings);
		step(session, (pop3_span){wait->response, wait->size}, wait->has_response);
	} else {
		conclude(session->front->child->state, session, LOGIN_TEMP);
	}
	wipe(wait->response, wait->size);
	free(wait);
}

/* Asks the databases; the step is made again with their answer. The front gets its credit back. */
static void ask(struct auth *auth, struct auth_session *session, pop3_span response,
		bool has_response)
{
	struct login_ask *wait = calloc(1, sizeof(*wait) + response.size);
	struct ask_question question = question_of(auth, session);

	if (wait) {
		wait->session = session;
		wait->has_response = has_response;
		wait->size = response.size;
		if (response.size)
			memcpy(wait->response, response.data, response.size);
		wait->ask = databases_ask(auth->databases, &question, answered, wait);
	}
	if (!wait || !wait->ask) {
		free(wait);
		conclude(auth, session, LOGIN_TEMP);
		return;
	}
	session->ask = wait;
	auth_slow(session);
}

/* Whether what the databases say is remembered: then the step can be made again at once. */
static bool is_known(struct auth *auth, struct auth_session *session)
{
	struct ask_question question = question_of(auth, session);
	struct finding *finding = databases_known(auth->databases, &question);

	if (finding)
		login_answered(session->login, finding);
	return finding != NULL;
}

/* ---- the end of an attempt ---- */

void auth_login_cancel(struct auth_session *session)
{
	struct login_job *job = session->job;
	struct auth *auth = session->front->child->state;

	auth_hold_drop(session);
	auth_remote_cancel(session);
	drop_ask(session);
	session->job = NULL;
	if (job && !queue_waits(&job->entry)) { /* a worker has it, and the login with it */
		atomic_store(&job->cancelled, true);
		job->session = NULL;
	} else {
		login_destroy(session->login);
		if (job) {
			queue_leave(&auth->queue, &job->entry);
			free_job(job);
		}
	}
	session->login = NULL;
}

/* Whether the attempt has cost work that no verdict has answered for. */
static bool has_begun(const struct auth_session *session)
{
	if (session->job)
		return !queue_waits(&session->job->entry);
	if (session->ask || session->judging)
		return true;
	return session->login && login_has_begun(session->login);
}

void auth_login_given_up(struct auth_session *session)
{
	struct auth *auth = session->front->child->state;
	uint64_t now = loop_now(auth->child->loop);

	if (has_begun(session)) {
		/* a worker may be about to write the name */
		say_of(session, RECORD_LOGIN_GIVEN_UP,
		       session->job ? SPAN_LITERAL("") : login_claimed_name(session->login), "");
		if (limits_given_up(&auth->limits, session->address, ++session->given_up, now))
			session->hold_until = now + limits_failed(&auth->limits, session->address,
								  ++session->failures, now);
	}
	auth_login_cancel(session);
}

/* ---- messages of fronts ---- */

/* The password was not looked at: nothing is said about it. */
static void turned_away(struct auth_session *session)
{
	say(session, RECORD_LOGIN_FAILED, "too many logins wait for a worker");
	auth_deny(session, REASON_LOGIN_BUSY, 0);
	login_destroy(session->login);
	session->login = NULL;
}

static void step(struct auth_session *session, pop3_span response, bool has_response)
{
	struct auth *auth = session->front->child->state;
	enum login_verdict verdict = login_step_fast(session->login, response, has_response);

	while (verdict == LOGIN_ASK && is_known(auth, session))
		verdict = login_step_fast(session->login, response, has_response);
	if (verdict == LOGIN_ASK)
		ask(auth, session, response, has_response);
	else if (verdict != LOGIN_SLOW)
		conclude(auth, session, verdict);
	else if (add_job(auth, session, response, has_response) < 0)
		turned_away(session);
}

static struct login *start_sasl(struct auth *auth, struct auth_session *session,
				pop3_span mechanism)
{
	const struct ipc_bindings *bindings = session->bindings;
	struct login_channel channel = {.tls = session->tls != TLS_NONE,
					.loopback = session->loopback};

	if (!limits_is_loopback(session->address)) /* there proxies connect for all */
		channel.network = (pop3_span){(const char *)limits_network(session->address), 16};
	if (session->tls && bindings)
		channel.exporter =
			(pop3_span){(const char *)bindings->exporter, bindings->exporter_size};
	if (session->tls && session->certified && config_takes_certificates(auth->child->config))
		channel.certified = span_of(session->certified);
	return login_sasl(auth->service, mechanism, &channel);
}

/* POP3's own ways have the name of their command. */
static void set_mechanism(struct auth_session *session, enum ipc_type type, pop3_span mechanism)
{
	pop3_span name = mechanism;

	if (type != IPC_SASL_START)
		name = type == IPC_PASS ? SPAN_LITERAL("USER") : SPAN_LITERAL("APOP");
	session->mechanism = (uint8_t)counters_mechanism(name);
	session->attempted = true;
}

const char *auth_mechanism_name(const struct auth_session *session)
{
	return session->attempted ? counters_label_value(SET_MECHANISM, session->mechanism) : "";
}

static struct login *start_attempt(struct auth_session *session, enum ipc_type type, pop3_span user,
				   pop3_span secret)
{
	struct auth *auth = session->front->child->state;
	struct login *login;
	char *stamp;

	set_mechanism(session, type, user);
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

/* Credentials in clear text are taken from the client's network at that listener. */
static bool is_listed(const struct auth_session *session)
{
	const struct config *config = session->front->child->config;
	const struct config_networks *networks = &config->rules[session->listener].plain_networks;

	return networks->count && session->front->role == ROLE_FRONT &&
	       !is_foreign_loopback(session) && config_networks_have(networks, session->ip);
}

/* A front may be hostile: auth checks for itself what the front was allowed to offer. */
static bool allowed(const struct auth_session *session, enum ipc_type type, pop3_span mechanism)
{
	const struct config *config = session->front->child->config;
	bool in_clear = type == IPC_PASS ||
			(type == IPC_SASL_START && config_mechanism_shows_secret(mechanism));

	if (session->tls || !in_clear || is_listed(session))
		return true;
	return config->plain_without_tls || (session->loopback && config->plain_on_loopback);
}

/* A connection whose exchanges failed by being given up ends like one with wrong passwords. */
static bool has_failed_enough(const struct auth_session *session)
{
	uint32_t most = session->front->child->config->max_failures;

	return most && session->given_up && session->failures >= most;
}

static void take_login(struct auth_session *session, enum ipc_type type,
		       const struct ipc_credentials *message)
{
	pop3_span user = ipc_text(message, 0), secret = ipc_text(message, 1);

	if (!allowed(session, type, user)) {
		set_mechanism(session, type, user);
		say_of(session, RECORD_LOGIN_FAILED,
		       type == IPC_SASL_START ? SPAN_LITERAL("") : user,
		       reason_row(REASON_CLEAR_TEXT)->words);
		auth_deny(session, REASON_CLEAR_TEXT, 0);
		return;
	}
	if (type != IPC_SASL_RESPONSE && has_failed_enough(session)) {
		auth_deny(session, REASON_WRONG, 0);
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

void auth_login_message(struct auth_session *session, enum ipc_type type,
			const struct ipc_credentials *message)
{
	if (session->job || session->held || session->ask || session->judging || session->access ||
	    (type == IPC_SASL_RESPONSE) != (session->login != NULL))
		return; /* out of order: a front that does this loses its client, nothing more */
	/* The session may be granted already: then the keeper refused the maildrop, and only the
	 * front knows. A hostile front gains nothing: a session opens one maildrop at its
	 * keeper. */
	auth_logout(session);
	session->ticket = message->ticket;
	session->asked_at = counters_clock();
	session->slow = false;
	if (type != IPC_SASL_RESPONSE)
		session->tls = (uint8_t)message->tls;
	if (type != IPC_SASL_START || !auth_hold(session, message, take_login))
		take_login(session, type, message);
	else
		note_hold(session, SPAN_LITERAL(""),
			  session->hold_until -
				  loop_now(((struct auth *)session->front->child->state)
						   ->child->loop));
}
