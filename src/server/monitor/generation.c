/* See generation.h. Policy of a generation: its processes, when they start and end, and what
 * follows from messages of children. Runs in the monitor, as root when that is root; a message of a
 * child is hostile, though its row was checked (slot.c). */
#include "server/monitor/generation.h"

#include "base/log.h"
#include "base/text.h"
#include "server/lines.h"
#include "server/monitor/briefing.h"
#include "server/monitor/demand.h"
#include "server/monitor/health.h"
#include "server/monitor/members.h"
#include "server/monitor/locations.h"
#include "server/monitor/root_stores.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum {
	STOP_GRACE = 2000, /* ms between the end of a drain and SIGKILL; then to the last look */
};

/* The processors that this process may use: a container or taskset may allow fewer than the machine
 * has. */
static unsigned cores(void)
{
	cpu_set_t set;
	int n = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;

	return n > 0 ? (unsigned)n : 1;
}

unsigned generation_fronts(const struct config *config)
{
	return config->fronts ? config->fronts : cores();
}

static unsigned keepers(const struct config *config)
{
	return config->keepers ? config->keepers : cores() < 4 ? cores() : 4;
}

static struct briefing briefing_of(const struct generation *g)
{
	struct briefing briefing = {.files = &g->files,
				    .listeners = g->owner->listeners,
				    .ticket_keys = g->owner->ticket_keys,
				    .generation = g->number,
				    .pages = &g->owner->pages,
				    .bans = &g->owner->bans,
				    .penalties = &g->owner->penalties_kept,
				    .root = g->owner->root};

	for (uint32_t i = 0; i < g->config.root_count; i++)
		briefing.mail_away[i] = g->roots[i].watch.away;
	return briefing;
}

/* ---- what children send ---- */

/* Reports a failed start. Returns true when it was reported by this call: g may be freed then. */
static bool give_up(struct generation *g, const char *why, int code)
{
	if (g->announced || g->failed)
		return false;
	g->failed = true;
	g->owner->failed(g->owner, g, why, code);
	return true;
}

/* A process whose absence costs a part of the service: it neither stops a start nor holds it up. */
static bool is_spare(const struct slot *slot)
{
	return slot->on_demand || slot->role == ROLE_LOOKUP || slot->role == ROLE_LOGINS ||
	       slot->role == ROLE_LOCKER || slot->role == ROLE_CONNECTOR;
}

/* A keys process that is not there is asked again after a while. */
static void ask_keys(void *context, const struct packed *packed, uint32_t number, uint32_t ask)
{
	const struct generation *g = context;

	for (struct slot *slot = g->slots; slot; slot = slot->next)
		if (slot->role == ROLE_KEYS && slot->ready && slot->has_chan)
			briefing_send_certificates(slot, packed, number, ask);
}

static void use_certificates(void *context)
{
	const struct generation *g = context;
	const struct packed packed = {.fds = {g->files.certificates_fd, -1},
				      .sizes = {g->files.certificates_size, 0}};

	for (struct slot *slot = g->slots; slot; slot = slot->next)
		if (slot->role == ROLE_FRONT && slot->has_chan)
			briefing_send_certificates(slot, &packed, g->files.certificates_number, 0);
}

static void take_judgement(struct generation *g, const struct ipc_judged *message)
{
	char why[IPC_TEXT_MAX + 1];

	if (span_copy(ipc_text(message, 0), why, sizeof(why)) < 0)
		snprintf(why, sizeof(why), "no reason given");
	certificate_watch_judged(&g->certificates, message->ask, message->good, why);
}

static void check_ready(struct generation *g)
{
	if (g->announced || g->failed)
		return;
	for (struct slot *slot = g->slots; slot; slot = slot->next)
		if (!slot->ready && !is_spare(slot))
			return;
	g->announced = true;
	if (files_need_keys(&g->config))
		certificate_watch_start(&g->certificates, g->owner->loop, &g->files, ask_keys,
					use_certificates, g);
	g->owner->ready(g->owner, g);
}

static void child_failed(struct slot *slot, const struct ipc_failed *message)
{
	char text[IPC_TEXT_MAX + 1];

	if (span_copy(ipc_text(message, 0), text, sizeof(text)) < 0)
		snprintf(text, sizeof(text), "it gave no reason");
	log_error("%s %u cannot start: %s", ipc_role_name(slot->role), slot->index, text);
	if (!is_spare(slot))
		give_up(slot->generation, text, (int)message->code);
}

/* All that could take a connection have said that they do not any more, or ended. */
static void check_yielded(struct generation *g)
{
	for (const struct slot *slot = g->slots; slot; slot = slot->next)
		if (slot->accepts && slot->pid > 0)
			return;
	if (g->draining && !g->yielded)
		g->owner->yielded(g->owner, g);
	g->yielded = g->draining;
}

/* A root that there is none of is in no question of a sound keeper; it gets no answer. */
static void ask_location(struct slot *slot, const struct ipc_location *question)
{
	struct generation *g = slot->generation;

	if (question->root < g->config.root_count)
		locations_ask(g->roots[question->root].locations, slot->instance, question);
}

static void ask_guard(struct slot *slot, const struct ipc_guard *question)
{
	struct generation *g = slot->generation;

	if (question->root < g->config.root_count)
		locations_guard(g->roots[question->root].locations, slot->instance, question);
}

static void message(struct slot *slot, enum ipc_type type, const void *data, int *fds)
{
	struct generation *g = slot->generation;

	if (type == IPC_READY) {
		slot->ready = slot->ever_ready = true;
		if (slot->page)
			atomic_store(&slot->page->memory->slots[COUNTER_PROCESSES], 1);
		check_ready(g);
	} else if (type == IPC_DRAINS) {
		slot->accepts = false;
		check_yielded(g);
	} else if (type == IPC_FAILED) {
		child_failed(slot, data);
	} else if (type == IPC_KEEPER_WANTED) {
		demand_keeper(slot, data);
	} else if (type == IPC_PEER_LOST) {
		health_peer_lost(slot, ((const struct ipc_instance *)data)->instance);
	} else if (type == IPC_LOCATION) {
		ask_location(slot, data);
	} else if (type == IPC_GUARD) {
		ask_guard(slot, data);
	} else if (type == IPC_TAKE || type == IPC_TAKEN) {
		const struct take_from from = {g, slot->instance, slot->uid};

		g->owner->take(g->owner, &from, type, data);
	} else if (type == IPC_PENALTIES) {
		g->owner->penalties(g->owner, g, data, &fds[0]);
	} else if (type == IPC_BAN) {
		g->owner->ban(g->owner, slot->instance, data);
	} else if (type == IPC_NODES_BAN) {
		g->owner->ban_told(g->owner, data);
	} else if (type == IPC_SPOOL_WANTED) {
		spool_files_send(&g->spool, &slot->chan, loop_now(g->owner->loop));
	} else if (type == IPC_JUDGED) {
		take_judgement(g, data);
	} else if (type == IPC_LISTENER_DEAD) {
		g->owner->suspect(g->owner);
	} else if (type == IPC_PONG) {
		health_pong(slot, data);
	} else if (type == IPC_LEAVE) {
		slot->leaving = slot->on_demand;
	} else if (type == IPC_ASK) {
		g->owner->asked(g->owner, slot, data, fds[0]);
	}
}

/* ---- processes ---- */

static void pulse(struct loop_timer *timer);

static int wire(struct generation *g, struct slot *slot, bool auth, struct err *err)
{
	for (struct slot *other = g->slots; other; other = other->next)
		if (other != slot && other->has_chan && (other->role == ROLE_AUTH) == auth &&
		    briefing_wire(slot, other, err) < 0)
			return -1;
	return 0;
}

static int brief(struct slot *slot, struct err *err)
{
	struct generation *g = slot->generation;
	struct briefing briefing = briefing_of(g);
	struct ipc_empty start;

	briefing_send(&briefing, slot);
	g->owner->brief(g->owner, &slot->chan);
	/* auth last: it may use a new keeper, and name it to an LMTP front, at once */
	if (wire(g, slot, false, err) < 0 || wire(g, slot, true, err) < 0)
		return -1;
	if (slot->role == ROLE_CONTROL || slot->role == ROLE_AUTH)
		g->owner->started(g->owner, g, slot);
	if (ipc_send(&slot->chan, IPC_START, &start) == 0)
		return 0;
	return err_set(err, EX_SOFTWARE,
		       "a process ended while it was starting (its channel takes no message)");
}

static void again(struct slot *slot)
{
	struct err err;

	if (slot->generation->draining || members_start(slot, &err) == 0)
		return;
	log_error("cannot start %s %u: %s", ipc_role_name(slot->role), slot->index, err.text);
	if (!slot->pid)
		slot_start_last(slot);
}

static const struct slot_events events = {.brief = brief, .message = message, .again = again};

static bool serves(const struct config *config, enum ipc_role role)
{
	for (uint32_t i = 0; i < config->listener_count; i++)
		if (briefing_role(config->listeners[i].service) == role)
			return true;
	return false;
}

/* One a folder of group mail. */
static bool add_lockers(struct generation *g)
{
	bool ok = true;

	for (uint32_t i = 0; i < g->config.root_count && ok; i++) {
		const struct files_root *root = &g->files.roots[i];

		if (root->locked && root->lock_gid != (gid_t)-1)
			ok = members_add(g, ROLE_LOCKER, i, g->files.lock_uid, root->lock_gid) !=
			     NULL;
	}
	return ok;
}

/* As many as keepers, where users have their mail on other servers. */
static bool add_connectors(struct generation *g, unsigned n)
{
	for (unsigned i = 0; i < n && g->config.remote_count; i++) {
		struct slot *slot = members_add(g, ROLE_CONNECTOR, i, g->files.connector_uid,
						g->files.connector_gid);

		if (!slot)
			return false;
		slot->group_size = n;
	}
	return true;
}

static int add_slots(struct generation *g)
{
	unsigned n = keepers(&g->config);
	struct slot *slot;
	bool ok;

	g->front_count = generation_fronts(&g->config);
	slot = members_add(g, ROLE_AUTH, 0, g->files.auth_uid, g->files.auth_gid);
	ok = slot != NULL;
	if (ok && files_need_keys(&g->config))
		ok = members_add(g, ROLE_KEYS, 0, g->files.keys_uid, g->files.keys_gid) != NULL;
	ok = ok && add_lockers(g); /* keepers get a channel to it with all else */
	for (unsigned i = 0; i < n && ok; i++) {
		slot = members_add(g, ROLE_KEEPER, i, g->files.mail_uid, g->files.mail_gid);
		ok = slot != NULL;
		if (ok)
			slot->group_size = n;
	}
	ok = ok && add_connectors(g, n);
	for (unsigned i = 0; i < g->front_count && ok && serves(&g->config, ROLE_FRONT); i++)
		ok = members_add(g, ROLE_FRONT, i, g->files.net_uid, g->files.net_gid) != NULL;
	if (ok && serves(&g->config, ROLE_LMTP))
		ok = members_add(g, ROLE_LMTP, 0, g->files.net_uid, g->files.net_gid) != NULL;
	if (ok && serves(&g->config, ROLE_MTA))
		ok = members_add(g, ROLE_MTA, 0, g->files.net_uid, g->files.net_gid) != NULL;
	if (ok && g->files.logins_fd >= 0)
		ok = members_add(g, ROLE_LOGINS, 0, g->files.logins_uid, g->files.logins_gid) !=
		     NULL;
	if (ok && serves(&g->config, ROLE_CONTROL))
		ok = members_add(g, ROLE_CONTROL, 0, g->files.net_uid, g->files.net_gid) != NULL;
	for (unsigned i = 0; i < g->config.database_count && ok; i++)
		ok = members_add(g, ROLE_LOOKUP, i, g->files.lookups[i].uid,
				 g->files.lookups[i].gid) != NULL;
	/* last: it gets the pages of those that were started before */
	if (ok && serves(&g->config, ROLE_STATUS))
		ok = members_add(g, ROLE_STATUS, 0, g->files.net_uid, g->files.net_gid) != NULL;
	return ok ? 0 : -1;
}

static void send_location(void *context, uint64_t instance,
			  const struct ipc_location_answer *answer, pop3_span why)
{
	struct generation *g = context;
	struct ipc_location_answer message = *answer;

	for (struct slot *slot = g->slots; slot; slot = slot->next)
		if (slot->has_chan && slot->instance == instance)
			(void)ipc_send_texts(&slot->chan, IPC_LOCATION_ANSWER, &message, &why, 1);
}

static void root_changed(void *context)
{
	struct generation *g = ((struct generation_root *)context)->generation;
	struct briefing briefing = briefing_of(g);

	for (struct slot *slot = g->slots; slot; slot = slot->next)
		if (slot->has_chan)
			briefing_send_away(&briefing, slot);
}

static void root_looked_at(void *context, const struct mail_root_facts *facts)
{
	struct generation_root *root = context;

	files_remember_root(&root->generation->files, root->index, facts);
}

int generation_begin_roots(struct generation *g, struct err *err)
{
	struct generation_owner *owner = g->owner;

	for (uint32_t i = 0; i < g->config.root_count; i++) {
		struct generation_root *root = &g->roots[i];

		root->generation = g;
		root->index = i;
		root->locations =
			locations_create(owner->workers, owner->loop, &g->files.roots[i].root,
					 g->config.roots[i].path, send_location, g);
		if (!root->locations)
			return err_set(err, EX_OSERR, "out of memory");
		root_watch_init(&root->watch, owner->loop, &g->files.roots[i].root,
				g->files.roots[i].fd, root_changed, root_looked_at, root);
	}
	return 0;
}

/* A spare process that ends before it got all that it needs is started again. */
static int start_first(struct slot *slot, struct err *err)
{
	if (members_start(slot, err) == 0)
		return 0;
	if (!is_spare(slot))
		return -1;
	log_error("cannot start %s %u: %s", ipc_role_name(slot->role), slot->index, err->text);
	if (!slot->pid)
		slot_start_last(slot);
	return 0;
}

struct generation *generation_new(struct generation_owner *owner, uint32_t number)
{
	struct generation *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	g->owner = owner;
	g->events = &events;
	g->number = number;
	g->program_fd = -1;
	loop_timer_init(&g->room, owner->loop, demand_room, g);
	loop_timer_init(&g->pulse, owner->loop, pulse, g);
	loop_timer_set(&g->pulse, health_pulse(g));
	return g;
}

int generation_create(struct generation_owner *owner, const struct config *config,
		      const struct mail_folder *mail, uint32_t number, struct generation **ret,
		      struct err *err)
{
	struct generation *g = generation_new(owner, number);
	int rc;

	if (!g) {
		for (uint32_t i = 0; i < config->root_count; i++)
			close(mail[i].fd);
		return err_set(err, EX_OSERR, "out of memory");
	}
	g->config = *config;
	g->program_fd = fcntl(owner->exe_fd, F_DUPFD_CLOEXEC, 0);
	g->since = time(NULL);
	rc = root_stores_resolve(&g->config, mail, err);
	files_begin(&g->files, &g->config, mail);
	if (rc == 0)
		rc = files_open(&g->files, owner->root, mail, err);
	if (rc == 0)
		files_open_logins(&g->files, owner->root);
	if (rc == 0)
		bans_open(&owner->bans, &g->files.roots[0].root);
	if (rc == 0 && add_slots(g) < 0)
		rc = err_set(err, EX_OSERR, "out of memory");
	if (rc == 0 && g->program_fd < 0)
		rc = err_sys(err, EX_OSERR, errno, "the program of the processes");
	loop_timer_set(&g->pulse, health_pulse(g));
	for (uint32_t i = 0; i < config->root_count && rc == 0; i++)
		files_remember_root(&g->files, i, &mail[i].facts);
	if (rc == 0)
		rc = generation_begin_roots(g, err);
	if (rc == 0)
		spool_files_init(&g->spool, &g->files, serves(&g->config, ROLE_LMTP));
	for (struct slot *slot = g->slots; slot && rc == 0; slot = slot->next)
		rc = start_first(slot, err);
	if (rc < 0) {
		generation_kill(g);
		generation_destroy(g);
		return -1;
	}
	*ret = g;
	return 0;
}

void generation_wire(struct generation *g, struct slot *foreign)
{
	struct err err;

	for (struct slot *slot = g->slots; slot; slot = slot->next) {
		bool pair = (slot->role == ROLE_CONTROL && foreign->role == ROLE_AUTH) ||
			    (slot->role == ROLE_AUTH && foreign->role == ROLE_CONTROL);

		if (pair && slot->has_chan && briefing_wire(slot, foreign, &err) < 0)
			log_warning("commands do not reach the sessions of generation %u: %s",
				    g->number, err.text);
	}
}

const struct config *generation_config(const struct generation *g)
{
	return &g->config;
}

uint32_t generation_number(const struct generation *g)
{
	return g->number;
}

struct chan *generation_channel(struct generation *g, uint64_t instance)
{
	for (struct slot *slot = g->slots; slot; slot = slot->next)
		if (slot->has_chan && slot->instance == instance)
			return &slot->chan;
	return NULL;
}

void generation_send_log_level(struct generation *g, uint32_t level)
{
	struct ipc_log_level message = {.level = level};

	for (struct slot *slot = g->slots; slot; slot = slot->next)
		if (slot->has_chan)
			(void)ipc_send(&slot->chan, IPC_LOG_LEVEL, &message);
}

void generation_stop_accepting(struct generation *g)
{
	struct ipc_empty message;

	for (struct slot *slot = g->slots; slot; slot = slot->next)
		if (slot->has_chan && (slot->role == ROLE_FRONT || slot->role == ROLE_LMTP))
			(void)ipc_send(&slot->chan, IPC_STOP_ACCEPTING, &message);
}

bool generation_is_draining(const struct generation *g)
{
	return g->draining;
}

bool generation_is_adopted(const struct generation *g)
{
	return g->adopted;
}

uint64_t generation_since(const struct generation *g)
{
	return (uint64_t)g->since;
}

void generation_processes(const struct generation *g, generation_process_look *look, void *context)
{
	for (const struct slot *slot = g->slots; slot; slot = slot->next) {
		uint64_t lived = loop_now(g->owner->loop) - slot->started;
		const struct generation_process process = {.role = slot->role,
							   .index = slot->index,
							   .uid = slot->uid,
							   .instance = slot->instance,
							   .pid = slot->pid,
							   .ready = slot->ready,
							   .killed = slot->killed != 0,
							   .seconds = lived / 1000};

		if (slot->instance)
			look(context, g, &process);
	}
}

static bool has_listener(const struct config *config, const struct config_listener *wanted)
{
	for (uint32_t i = 0; i < config->listener_count; i++) {
		if (listeners_same(&config->listeners[i], wanted))
			return true;
	}
	return false;
}

void generation_send_listener(struct generation *g, const struct config_listener *wanted,
			      unsigned index)
{
	struct listeners *listeners = g->owner->listeners;
	struct briefing briefing = briefing_of(g);
	int fd = listeners_fd(listeners, wanted, index);

	if (fd < 0 || !has_listener(&g->config, wanted))
		return;
	for (struct slot *slot = g->slots; slot; slot = slot->next)
		if (slot->has_chan && listeners_fd(listeners, wanted, slot->index) == fd)
			briefing_send_listener(&briefing, slot, wanted);
}

void generation_send_ticket_keys(struct generation *g)
{
	struct briefing briefing = briefing_of(g);

	for (struct slot *slot = g->slots; slot; slot = slot->next)
		if (slot->role == ROLE_FRONT && slot->has_chan)
			briefing_send_ticket_keys(&briefing, slot);
}

void generation_send_page(struct generation *g, const struct page *page)
{
	for (struct slot *slot = g->slots; slot && !g->counts_otherwise; slot = slot->next)
		if (slot->has_chan)
			briefing_send_page(slot, page);
}

void generation_send_ring(struct generation *g, const struct page *page, bool is_new)
{
	for (struct slot *slot = g->slots; slot; slot = slot->next)
		if (slot->has_chan)
			briefing_send_ring(slot, page, is_new);
}

void generation_send_penalties(struct generation *g)
{
	struct briefing briefing = briefing_of(g);

	for (struct slot *slot = g->slots; slot; slot = slot->next)
		if (slot->has_chan)
			briefing_send_penalties(&briefing, slot);
}

void generation_send_bans(struct generation *g)
{
	for (struct slot *slot = g->slots; slot; slot = slot->next)
		if (slot->has_chan)
			briefing_send_bans(&g->owner->bans, slot);
}

void generation_tell_ban(struct generation *g, const struct ipc_ban *change)
{
	struct ipc_ban copy = *change;
	pop3_span why = ipc_text(change, 0);
	bool has_nodes = false;

	for (uint32_t i = 0; i < g->config.root_count; i++)
		has_nodes = has_nodes || g->config.roots[i].store == CONFIG_RADOS;
	for (struct slot *slot = has_nodes ? g->slots : NULL; slot; slot = slot->next)
		if (slot->role == ROLE_KEEPER && slot->has_chan && slot->ready &&
		    ipc_send_texts(&slot->chan, IPC_NODES_BAN, &copy, &why, 1) == 0)
			return;
}

bool generation_obeys(const struct generation *g, uint32_t uid, uint32_t gid)
{
	return lines_obeyed(&g->files.control_peers, uid, gid);
}

void generation_answer_ban(struct generation *g, uint64_t instance, struct ipc_ban_page *page,
			   pop3_span rows)
{
	for (struct slot *slot = g->slots; slot; slot = slot->next)
		if (slot->has_chan && slot->role == ROLE_CONTROL && slot->instance == instance)
			(void)ipc_send_all(&slot->chan, IPC_BAN_PAGE, page, &rows, 1, NULL, 0);
}

/* ---- the end ---- */

static bool takes_connections(const struct slot *slot)
{
	return slot->role == ROLE_FRONT || slot->role == ROLE_LMTP || slot->role == ROLE_MTA ||
	       slot->role == ROLE_CONTROL || slot->role == ROLE_STATUS;
}

static void check_ended(struct generation *g)
{
	if (!g->draining)
		return;
	for (struct slot *slot = g->slots; slot; slot = slot->next)
		if (slot->pid > 0)
			return;
	g->owner->ended(g->owner, g);
}

static void deadline_over(struct loop_timer *timer)
{
	struct generation *g = timer->context;

	if (g->killed) { /* a process that hangs in the kernel holds up nobody */
		for (struct slot *slot = g->slots; slot; slot = slot->next)
			if (slot->pid > 0)
				slot_abandon(slot);
		check_ended(g);
		return;
	}
	log_warning("sessions of generation %u did not end in time: its processes are killed",
		    g->number);
	generation_kill(g);
	g->killed = true;
	loop_timer_set(timer, STOP_GRACE);
}

void generation_drain(struct generation *g, uint64_t ms, bool stop)
{
	struct ipc_drain message = {.ms = ms, .stop = stop};

	if (!g->draining)
		loop_timer_init(&g->deadline, g->owner->loop, deadline_over, g);
	for (uint32_t i = 0; i < g->config.root_count; i++) {
		if (!g->draining)
			root_watch_last(&g->roots[i].watch);
		g->roots[i].watch.retired = true;
	}
	certificate_watch_stop(&g->certificates);
	g->draining = true;
	if (!g->killed) {
		g->drain_until = loop_now(g->owner->loop) + ms + STOP_GRACE;
		loop_timer_set(&g->deadline, ms + STOP_GRACE);
	}
	for (struct slot *slot = g->slots; slot; slot = slot->next) {
		slot_no_more_starts(slot);
		slot->accepts = slot->has_chan && takes_connections(slot) && !g->yielded;
		if (slot->has_chan)
			ipc_send(&slot->chan, IPC_DRAIN, &message);
	}
	check_yielded(g);
	check_ended(g);
}

void generation_go_on_draining(struct generation *g, uint64_t ms, bool killed)
{
	g->draining = g->yielded = true; /* an upgrade waits for that */
	g->killed = killed;
	g->drain_until = loop_now(g->owner->loop) + ms;
	loop_timer_init(&g->deadline, g->owner->loop, deadline_over, g);
	loop_timer_set(&g->deadline, ms);
	for (uint32_t i = 0; i < g->config.root_count; i++)
		g->roots[i].watch.retired = true;
}

void generation_kill(struct generation *g)
{
	g->draining = true;
	for (struct slot *slot = g->slots; slot; slot = slot->next)
		slot_kill(slot);
}

void generation_destroy(struct generation *g)
{
	while (g->slots) {
		struct slot *slot = g->slots;

		g->slots = slot->next;
		pages_abandon(slot->page); /* it was not reaped: it may count still */
		slot_finish(slot);
		free(slot);
	}
	if (g->deadline.loop)
		loop_timer_cancel(&g->deadline);
	for (uint32_t i = 0; i < g->config.root_count; i++) {
		locations_destroy(g->roots[i].locations);
		root_watch_finish(&g->roots[i].watch);
	}
	certificate_watch_stop(&g->certificates);
	loop_timer_cancel(&g->room);
	loop_timer_cancel(&g->pulse);
	owners_finish(&g->owners);
	files_close(&g->files);
	if (g->program_fd >= 0)
		close(g->program_fd);
	free(g);
}

/* The process of a slot has ended, or was given up. */
static void slot_ended(struct generation *g, struct slot *slot, bool tidy)
{
	slot->page = NULL; /* it was given back */
	if (takes_connections(slot))
		g->owner->suspect(g->owner);
	if (g->draining) {
		check_yielded(g);
		check_ended(g);
	} else if (!demand_ended(g, slot, tidy) &&
		   (slot->ever_ready || is_spare(slot) ||
		    !give_up(g, "a process ended while it was starting", EX_SOFTWARE)))
		slot_start_later(slot);
}

bool generation_reaped(struct generation *g, pid_t pid, int status)
{
	struct slot *slot = g->slots;

	while (slot && slot->pid != pid)
		slot = slot->next;
	if (!slot)
		return false;
	slot_reaped(slot, status, g->draining || slot->on_demand);
	if (slot->page && status && !g->draining)
		atomic_fetch_add(&slot->page->memory->slots[COUNTER_FAILURES], 1);
	pages_release(slot->page);
	slot_ended(g, slot, slot->leaving && status == 0);
	return true;
}

/* Others do not see the end of a process that cannot end. */
static void give_up_process(struct generation *g, struct slot *slot)
{
	struct ipc_instance dead = {.instance = slot->instance};

	slot_abandon(slot);
	pages_abandon(slot->page);
	for (struct slot *other = g->slots; other; other = other->next)
		if (other->has_chan)
			ipc_send(&other->chan, IPC_PEER_DEAD, &dead);
	slot_ended(g, slot, false);
}

static void pulse(struct loop_timer *timer)
{
	struct generation *g = timer->context;
	struct slot *stuck;

	loop_timer_set(timer, health_pulse(g));
	health_count(g);
	stuck = health_look(g);
	if (stuck) /* one a pulse: g may be gone afterwards */
		give_up_process(g, stuck);
}
