/* See auth.h. The life of the auth process: start, connections at fronts, end. On its loop;
 * messages of fronts are hostile, those of the monitor are believed. */
#include "server/auth/auth.h"

#include "base/descriptor.h"
#include "base/log.h"
#include "base/text.h"
#include "server/auth/flush.h"
#include "server/auth/keepers.h"
#include "server/auth/login.h"
#include "server/auth/penalties.h"
#include "server/auth/recipient.h"
#include "server/auth/remote.h"
#include "server/auth/trace.h"
#include "server/auth/report.h"
#include "server/auth/usage.h"
#include "server/auth/who.h"
#include "server/counters.h"
#include "server/record.h"
#include "users/app_passwords.h"
#include "users/site.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum {
	TICK_MS = 5000,
	SWEEP_TICKS = 12,
	QUEUE_MAX = 4096, /* costly logins that wait */
	PROVEN_PAIRS = 64 * 1024,
	DELAYED_USERS = 128 * 1024,
	WORKER_NICE = 10, /* hashes take the time that loops leave */
};

static void send_offer(struct auth *auth, struct peer *front)
{
	struct ipc_offer message = {.apop = auth->apop};
	pop3_span texts[] = {span_of(auth->mechanisms), span_of(auth->mechanisms_tls)};

	if (front->role == ROLE_FRONT || front->role == ROLE_MTA)
		peer_send_texts(front, IPC_OFFER, &message, texts, 2);
}

/* The offer depends on the entries of the users file, which change. Returns true when the offer is
 * a new one. */
static bool renew_offer(struct auth *auth)
{
	char plain[CONFIG_NAME_MAX], tls[CONFIG_NAME_MAX];
	const struct config *config = auth->child->config;
	bool apop = config->apop && !config->app_only &&
		    (users_any_with_plain_secret(auth->users) ||
		     directory_has_databases(config, CONFIG_FOR_LOGIN));

	login_mechanisms(auth->service, false, plain, sizeof(plain));
	login_mechanisms(auth->service, true, tls, sizeof(tls));
	if (strcmp(plain, auth->mechanisms) == 0 && strcmp(tls, auth->mechanisms_tls) == 0 &&
	    apop == auth->apop)
		return false;
	memcpy(auth->mechanisms, plain, sizeof(plain));
	memcpy(auth->mechanisms_tls, tls, sizeof(tls));
	auth->apop = apop;
	return true;
}

static void tick(struct loop_timer *timer)
{
	struct auth *auth = timer->context;

	if (renew_offer(auth))
		for (struct peer *peer = auth->child->peers; peer; peer = peer->next)
			send_offer(auth, peer);
	counters_set(COUNTER_USERS, auth->limits.users.count);
	counters_set(COUNTER_AUTH_QUEUE, auth->queue.waiting);
	databases_count(auth->databases);
	if (++auth->ticks % SWEEP_TICKS == 0)
		last_login_tick(&auth->last_logins);
	if (auth->ticks % SWEEP_TICKS == 0)
		limits_sweep(&auth->limits, loop_now(auth->child->loop));
	penalties_send(auth);
	loop_timer_set(timer, TICK_MS);
}

/* ---- connections ---- */

static struct auth_session *find_session(struct peer *front, uint64_t number)
{
	struct table_node *node = table_find(front->data, number);

	return node ? CONTAINER(node, struct auth_session, node) : NULL;
}

static void end_session(struct auth *auth, struct auth_session *session)
{
	auth_login_given_up(session);
	auth_logout(session);
	limits_disconnect(&auth->limits, session->address);
	table_remove(session->front->data, &session->node);
	free(session->stamp);
	free(session->certified);
	free(session->bindings);
	free(session);
}

static void answer_connect(struct peer *front, uint64_t number, enum reason reason,
			   const char *stamp)
{
	struct ipc_connected message = {.session = number, .reason = reason};
	pop3_span text = span_of(stamp);

	peer_post_texts(front, IPC_CONNECTED, &message, &text, 1);
}

static void refused(const struct peer *front, const struct ipc_connect *message, enum reason why)
{
	struct record record;

	record_begin(&record, RECORD_CONNECTION_REFUSED, message->address, front->instance,
		     message->session);
	record_words(&record, RECORD_KEY_REASON, reason_row(why)->words);
	record_write(&record);
}

/* The connections that a front can have: a front that has more makes auth keep what is not there. A
 * front that is younger than this process has none from before. */
static bool can_have(struct peer *front, const struct ipc_connect *message)
{
	const struct auth *auth = front->child->state;
	const struct table *sessions = front->data;

	if (message->resumed && front->instance > front->child->instance)
		peer_break(front, "it resumes connections, but is new");
	else if (sessions->count >= auth->most_connections)
		peer_break(front, "more connections than it has descriptors");
	else
		return true;
	return false;
}

static void take_connect(struct peer *front, const struct ipc_connect *message)
{
	struct auth *auth = front->child->state;
	struct auth_session *session = NULL;
	struct limit_address *address;
	enum reason why = REASON_OK;

	if (find_session(front, message->session)) {
		peer_break(front, "a session number was used twice");
		return;
	}
	if (!can_have(front, message))
		return;
	address = limits_connect(&auth->limits, message->address, message->loopback,
				 message->resumed, &why);
	if (address)
		session = calloc(1, sizeof(*session));
	if (!session) {
		if (address) {
			limits_disconnect(&auth->limits, address);
			why = REASON_MEMORY;
		}
		refused(front, message, why);
		if (!message->resumed) /* the client is not new: its front waits for no answer */
			answer_connect(front, message->session, why, "");
		return;
	}
	session->front = front;
	session->address = address;
	session->loopback = message->loopback;
	session->listener = (uint8_t)message->listener;
	memcpy(session->ip, message->address, sizeof(session->ip));
	table_add(front->data, &session->node, message->session);
	if (message->resumed) {
		session->granted = true; /* the client logged in before this process was started */
		return;
	}
	session->since = (uint32_t)time(NULL);
	if (auth->apop)
		auth_new_stamp(auth, session);
	answer_connect(front, message->session, REASON_OK, session->stamp ? session->stamp : "");
}

static void take_bindings(struct auth_session *session, const struct ipc_bindings *message)
{
	auth_login_cancel(session);
	if (!session->bindings)
		session->bindings = malloc(sizeof(*session->bindings));
	if (session->bindings)
		*session->bindings = *message;
}

static void take_certified(struct auth_session *session, const struct ipc_session *message)
{
	pop3_span name = ipc_text(message, 0);

	auth_login_cancel(session);
	free(session->certified);
	session->certified = strndup(name.data, name.size);
}

static void take_unopened(struct auth_session *session, const struct ipc_unopened *message)
{
	if (session->granted && session->ticket == message->ticket)
		auth_unopened(session);
}

static void front_message(struct peer *front, enum ipc_type type, const void *message)
{
	/* every message about a session has the session's number behind the head */
	uint64_t number = ((const struct ipc_session *)message)->session;
	struct auth_session *session;

	if (type == IPC_CONNECT) {
		take_connect(front, message);
		return;
	}
	if (type == IPC_RCPT || type == IPC_WHOSE || type == IPC_QUOTA) {
		auth_recipient(front, message);
		return;
	}
	session = find_session(front, number);
	if (!session)
		return;
	if (type == IPC_BINDINGS)
		take_bindings(session, message);
	else if (type == IPC_CERTIFIED)
		take_certified(session, message);
	else if (type == IPC_DISCONNECT)
		end_session(front->child->state, session);
	else if (type == IPC_SASL_CANCEL)
		auth_login_given_up(session);
	else if (type == IPC_UNOPENED)
		take_unopened(session, message);
	else
		auth_login_message(session, type, message);
}

/* ---- the process ---- */

/* Another machine's, which has judged the person. */
static void take_order(struct peer *keeper, const struct ipc_nodes *message)
{
	struct auth *auth = keeper->child->state;

	if (!nodes_is_new(&auth->nodes, message->id))
		return;
	if (message->what == NODES_KICK)
		auth_kick_told(auth, message->uid, ipc_text(message, 0));
	else
		auth_flush_told(auth, message->uid, ipc_text(message, 0));
}

static void peer_message(struct peer *peer, enum ipc_type type, const void *message, int *fds)
{
	(void)fds;
	if (type == IPC_ANSWER)
		databases_answer(((struct auth *)peer->child->state)->databases, peer, message);
	else if (type == IPC_WHO)
		auth_who(peer, message);
	else if (type == IPC_ASK)
		auth_report(peer, message);
	else if (type == IPC_TRAFFIC_ANSWER)
		whos_answer(&((struct auth *)peer->child->state)->whos, peer, message);
	else if (type == IPC_PENALTY_ASK)
		penalties_list(peer, message);
	else if (type == IPC_FLUSH)
		auth_flush(peer, message);
	else if (type == IPC_TRACE)
		auth_trace(peer, message);
	else if (type == IPC_VERDICT)
		auth_login_judged(peer, message);
	else if (type == IPC_NODES)
		take_order(peer, message);
	else if (type == IPC_NOT_HERE)
		auth_not_here(peer->child->state, peer, message);
	else if (type == IPC_HERE)
		auth_here(peer->child->state, peer, message);
	else if (type == IPC_USAGE_ANSWER)
		usages_answer(peer, message);
	else if (type != IPC_LEAVE)
		front_message(peer, type, message);
	else if (peer->role == ROLE_KEEPER)
		auth_keeper_leaves(peer, message);
	else
		peer_break(peer, "it is no keeper, but leaves as one");
}

static void peer_up(struct peer *peer)
{
	struct auth *auth = peer->child->state;

	if (peer->role == ROLE_KEEPER) {
		auth_keeper_up(auth, peer);
		return;
	}
	if (peer->role == ROLE_LOOKUP) {
		databases_up(auth->databases, peer);
		return;
	}
	if (peer->role == ROLE_CONTROL || peer->role == ROLE_CONNECTOR)
		return;
	if (peer->role == ROLE_LOGINS) {
		last_login_up(&auth->last_logins, peer);
		return;
	}
	peer->data = malloc(sizeof(struct table));
	if (!peer->data) {
		peer_break(peer, "out of memory");
		return;
	}
	table_init(peer->data);
	send_offer(auth, peer);
}

static void end_one(struct table_node *node, void *context)
{
	struct auth_session *session = CONTAINER(node, struct auth_session, node);

	auth_login_cancel(session); /* no fault of the client */
	end_session(context, session);
}

static void peer_gone(struct peer *peer)
{
	struct auth *auth = peer->child->state;

	if (peer->role == ROLE_KEEPER) {
		usages_keeper_gone(auth, peer);
		auth_keeper_gone(auth, peer);
	}
	if (peer->role == ROLE_CONNECTOR)
		auth_connector_gone(auth, peer);
	whos_gone(&auth->whos, peer);
	if (peer->role == ROLE_LOOKUP)
		databases_gone(auth->databases, peer);
	if (peer->role == ROLE_LOGINS)
		last_login_gone(&auth->last_logins, peer);
	if (peer->role != ROLE_KEEPER && peer->data) {
		table_each(peer->data, end_one, auth);
		table_finish(peer->data);
		free(peer->data);
	}
	if (peer->child->draining) /* it may end now */
		penalties_send(auth);
	child_drained(peer->child, peer, IPC_KEEPS | IPC_D | IPC_W | IPC_C);
}

static void drain(struct child *child, uint64_t ms)
{
	(void)ms;
	if (child->started)
		penalties_send(child->state);
	child_drained(child, NULL, IPC_KEEPS | IPC_D | IPC_W | IPC_C);
}

static struct auth *root_struct(struct child *child)
{
	bool is_new;
	struct auth *auth = child_state(child, sizeof(*auth), &is_new);

	if (!is_new)
		return auth;
	auth->child = child;
	auth->users_fd = auth->aliases_fd = auth->early_fd = auth->learn_fd = -1;
	for (int i = 0; i < CONFIG_ROOTS_MAX; i++)
		auth->mail_fds[i] = -1;
	return auth;
}

/* Those that come with the briefing wait for the start: there is no table yet. */
static void take_penalties(struct auth *auth, const struct ipc_penalties *message, int *fd)
{
	if (auth->child->started) {
		penalties_take(auth, message, *fd);
		return;
	}
	close_fd(&auth->early_fd);
	auth->early_fd = *fd;
	auth->early = *message;
	*fd = -1;
}

static void take_learn(struct auth *auth, const struct ipc_remotes *message, int *fd)
{
	close_fd(&auth->learn_fd);
	auth->learn_fd = *fd;
	auth->learn_size = message->size;
	*fd = -1;
}

static void monitor_message(struct child *child, enum ipc_type type, const void *message, int *fds)
{
	struct auth *auth = root_struct(child);
	const struct ipc_directory *directory = message;
	int *to = NULL;

	if (type == IPC_KEEPER_REFUSED)
		auth_keeper_refused(auth, ((const struct ipc_owner *)message)->uid);
	if (type == IPC_PENALTIES)
		take_penalties(auth, message, &fds[0]);
	if (type == IPC_REMOTES)
		take_learn(auth, message, &fds[0]);
	if (type == IPC_CONTROL_PEERS)
		auth->control = *(const struct ipc_control_peers *)message;
	if (type != IPC_DIRECTORY)
		return;
	switch ((enum ipc_directory_kind)directory->kind) {
	case DIRECTORY_USERS:
		to = &auth->users_fd;
		break;
	case DIRECTORY_ALIASES:
		to = &auth->aliases_fd;
		break;
	case DIRECTORY_MAIL:
		to = &auth->mail_fds[directory->root];
		break;
	case DIRECTORY_LOGINS:
	case DIRECTORY_COUNT:
		break;
	}
	if (to) {
		*to = fds[0];
		fds[0] = -1;
	}
}

static int enter_sandbox(struct auth *auth, struct err *err)
{
	struct sandbox sandbox;

	child_sandbox(auth->child, SANDBOX_AUTH, &sandbox);
	sandbox.paths[sandbox.path_count++] = (struct sandbox_path){auth->users_fd, SANDBOX_READ};
	if (auth->aliases_fd >= 0)
		sandbox.paths[sandbox.path_count++] =
			(struct sandbox_path){auth->aliases_fd, SANDBOX_READ};
	return sandbox_enter(&sandbox, err);
}

static int open_users(struct auth *auth, struct err *err)
{
	const struct config *config = auth->child->config;

	if (site_users_open(config, auth->users_fd, &auth->users, err) == 0 &&
	    app_passwords_open(auth->users_fd, &auth->apps, err) == 0)
		return 0;
	return site_explain(auth->users ? APP_PASSWORDS_FILE : config->users, auth->users_fd,
			    auth->child->change_ids ? config->user_auth : NULL, err);
}

static int create_service(struct auth *auth, struct login_settings *settings, struct err *err)
{
	settings->apps = auth->apps;
	return login_service_create(auth->users, settings, &auth->service, err);
}

static unsigned worker_count(const struct config *config)
{
	cpu_set_t cpus; /* the processors that this process may use, as for fronts and keepers */

	if (config->auth_workers)
		return config->auth_workers;
	return sched_getaffinity(0, sizeof(cpus), &cpus) < 0 ? 1 : (unsigned)CPU_COUNT(&cpus);
}

static int start(struct child *child, struct err *err)
{
	struct auth *auth = root_struct(child);
	struct login_settings settings = {.app_only = child->config->app_only,
					  .host_name = child->config->host_name,
					  .mechanisms = child->config->mechanisms,
					  .cache_entries = child->config->auth_cache_entries,
					  .cache_seconds = child->config->auth_cache_seconds,
					  .config = child->config,
					  .keys_with_databases = child->config->mechanisms_named};
	unsigned threads = worker_count(child->config);

	struct rlimit files;

	/* the same as that of fronts: all children have the monitor's */
	auth->most_connections =
		getrlimit(RLIMIT_NOFILE, &files) < 0 ? RLIM_INFINITY : files.rlim_cur;
	limits_init(&auth->limits, child->config);
	whos_init(&auth->whos, child->loop);
	if (auth->early_fd >= 0)
		penalties_take(auth, &auth->early, auth->early_fd);
	close_fd(&auth->early_fd);
	last_login_notes_init(&auth->last_logins);
	auth->last_logins.off = !child->config->last_logins;
	if (learning_create(child->config, &auth->learn_fd, auth->learn_size, &auth->learning,
			    err) < 0) /* OpenSSL has to read files for it */
		return -1;
	queue_init(&auth->queue, QUEUE_MAX, threads);
	if (enter_sandbox(auth, err) < 0 || open_users(auth, err) < 0 ||
	    create_service(auth, &settings, err) < 0 || auth_recipients_open(auth, err) < 0 ||
	    proven_create(PROVEN_PAIRS, &auth->proven, err) < 0 ||
	    (config_delays_logins(child->config) &&
	     recent_create(DELAYED_USERS, &auth->delays, err) < 0))
		return -1;
	auth->databases = databases_create(child, err);
	if (!auth->databases)
		return -1;
	auth->usages = usages_create(auth, err);
	if (!auth->usages)
		return -1;
	auth->workers = workers_create(child->loop, threads, WORKER_NICE, threads, err);
	if (!auth->workers)
		return -1;
	if (child->change_ids)
		auth->homes =
			homes_create(child->loop, auth->mail_fds, auth_home_settled, auth, err);
	if (child->change_ids && !auth->homes)
		return -1;
	for (uint32_t i = 0; i < child->config->root_count && auth->homes; i++)
		if (child->config->roots[i].store == CONFIG_MBOX)
			homes_have_mboxes(auth->homes, i);
	renew_offer(auth);
	loop_timer_init(&auth->tick, child->loop, tick, auth);
	loop_timer_set(&auth->tick, TICK_MS);
	return 0;
}

const struct child_role auth_role = {
	.role = ROLE_AUTH,
	.monitor_message = monitor_message,
	.start = start,
	.peer_up = peer_up,
	.peer_gone = peer_gone,
	.peer_message = peer_message,
	.drain = drain,
};
