/* See generation.h. Policy of a generation: its processes, when they start and end, and what
 * follows from messages of children. Runs in the monitor, as root when that is root; a message of a
 * child is hostile, though its row was checked (slot.c). */
#include "server/monitor/generation.h"

#include "base/log.h"
#include "base/text.h"
#include "server/monitor/briefing.h"
#include "server/monitor/demand.h"
#include "server/monitor/health.h"
#include "server/monitor/members.h"
#include "server/monitor/locations.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
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
	return (struct briefing){.files = &g->files,
				 .listeners = g->owner->listeners,
				 .ticket_keys = g->owner->ticket_keys,
				 .generation = g->number,
				 .root = g->owner->root,
				 .mail_away = g->root_watch.away};
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

static void check_ready(struct generation *g)
{
	if (g->announced || g->failed)
		return;
	for (struct slot *slot = g->slots; slot; slot = slot->next)
		if (!slot->ready && !slot->on_demand && slot->role != ROLE_LOOKUP)
			return;
	g->announced = true;
	g->owner->ready(g->owner, g);
}

static void child_failed(struct slot *slot, const struct ipc_failed *message)
{
	char text[IPC_TEXT_MAX + 1];

	if (span_copy(ipc_text(message, 0), text, sizeof(text)) < 0)
		snprintf(text, sizeof(text), "it gave no reason");
	log_error("%s %u cannot start: %s", ipc_role_name(slot->role), slot->index, text);
	/* a database that cannot be asked costs its own users, no start */
	if (!slot->on_demand && slot->role != ROLE_LOOKUP)
		give_up(slot->generation, text, (int)message->code);
}

static void message(struct slot *slot, enum ipc_type type, const void *data)
{
	struct generation *g = slot->generation;

	if (type == IPC_READY) {
		slot->ready = slot->ever_ready = true;
		check_ready(g);
	} else if (type == IPC_FAILED) {
		child_failed(slot, data);
	} else if (type == IPC_KEEPER_WANTED) {
		demand_keeper(slot, data);
	} else if (type == IPC_PEER_LOST) {
		health_peer_lost(slot, ((const struct ipc_instance *)data)->instance);
	} else if (type == IPC_LOCATION) {
		locations_ask(g->locations, slot->instance, data);
	} else if (type == IPC_SPOOL_WANTED) {
		spool_files_send(&g->spool, &slot->chan, loop_now(g->owner->loop));
	} else if (type == IPC_LISTENER_DEAD) {
		g->owner->suspect(g->owner);
	} else if (type == IPC_PONG) {
		health_pong(slot, data);
	} else if (type == IPC_LEAVE) {
		slot->leaving = slot->on_demand;
	}
}

/* ---- processes ---- */

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
	/* auth last: it may use a new keeper, and name it to an LMTP front, at once */
	if (wire(g, slot, false, err) < 0 || wire(g, slot, true, err) < 0)
		return -1;
	if (ipc_send(&slot->chan, IPC_START, &start) == 0)
		return 0;
	return err_set(err, EX_OSERR, "its channel takes no message");
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

static int add_slots(struct generation *g)
{
	unsigned n = keepers(&g->config);
	struct slot *slot = members_add(g, ROLE_AUTH, 0, g->files.auth_uid, g->files.auth_gid);
	bool ok = slot != NULL;

	if (ok && files_need_keys(&g->config))
		ok = members_add(g, ROLE_KEYS, 0, g->files.keys_uid, g->files.keys_gid) != NULL;
	for (unsigned i = 0; i < n && ok; i++) {
		slot = members_add(g, ROLE_KEEPER, i, g->files.mail_uid, g->files.mail_gid);
		ok = slot != NULL;
		if (ok)
			slot->group_size = n;
	}
	for (unsigned i = 0;
	     i < generation_fronts(&g->config) && ok && serves(&g->config, ROLE_FRONT); i++)
		ok = members_add(g, ROLE_FRONT, i, g->files.net_uid, g->files.net_gid) != NULL;
	if (ok && serves(&g->config, ROLE_LMTP))
		ok = members_add(g, ROLE_LMTP, 0, g->files.net_uid, g->files.net_gid) != NULL;
	if (ok && serves(&g->config, ROLE_MTA))
		ok = members_add(g, ROLE_MTA, 0, g->files.net_uid, g->files.net_gid) != NULL;
	for (unsigned i = 0; i < g->config.database_count && ok; i++)
		ok = members_add(g, ROLE_LOOKUP, i, g->files.lookups[i].uid,
				 g->files.lookups[i].gid) != NULL;
	return ok ? 0 : -1;
}

static void pulse(struct loop_timer *timer);

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
	struct generation *g = context;
	struct briefing briefing = briefing_of(g);

	for (struct slot *slot = g->slots; slot; slot = slot->next)
		if (slot->has_chan)
			briefing_send_away(&briefing, slot);
}

static void root_looked_at(void *context, const struct mail_root_facts *facts)
{
	struct generation *g = context;

	files_remember_root(&g->files, facts);
}

/* A program that asks a database, and ends before it got all that it needs, is started again: it
 * costs its own users, no start. */
static int start_first(struct slot *slot, struct err *err)
{
	if (members_start(slot, err) == 0)
		return 0;
	if (slot->role != ROLE_LOOKUP)
		return -1;
	log_error("cannot start %s %u: %s", ipc_role_name(slot->role), slot->index, err->text);
	if (!slot->pid)
		slot_start_last(slot);
	return 0;
}

int generation_create(struct generation_owner *owner, const struct config *config,
		      const struct mail_folder *mail, uint32_t number, struct generation **ret,
		      struct err *err)
{
	struct generation *g = calloc(1, sizeof(*g));
	int rc;

	if (!g) {
		close(mail->fd);
		return err_set(err, EX_OSERR, "out of memory");
	}
	g->config = *config;
	g->owner = owner;
	g->events = &events;
	g->number = number;
	rc = files_open(&g->files, &g->config, owner->root, mail, err);
	if (rc == 0 && add_slots(g) < 0)
		rc = err_set(err, EX_OSERR, "out of memory");
	loop_timer_init(&g->room, owner->loop, demand_room, g);
	loop_timer_init(&g->pulse, owner->loop, pulse, g);
	loop_timer_set(&g->pulse, health_pulse(g));
	if (rc == 0) {
		g->locations = locations_create(owner->workers, owner->loop, &g->files.root,
						g->config.mail, send_location, g);
		rc = g->locations ? 0 : err_set(err, EX_OSERR, "out of memory");
	}
	if (rc == 0) {
		files_remember_root(&g->files, &mail->facts);
		spool_files_init(&g->spool, &g->files, serves(&g->config, ROLE_LMTP));
		root_watch_init(&g->root_watch, owner->loop, &g->files.root, g->files.mail_fd,
				root_changed, root_looked_at, g);
	}
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

const struct config *generation_config(const struct generation *g)
{
	return &g->config;
}

uint32_t generation_number(const struct generation *g)
{
	return g->number;
}

static bool has_listener(const struct config *config, const struct config_listener *wanted)
{
	for (uint32_t i = 0; i < config->listener_count; i++) {
		const struct config_listener *own = &config->listeners[i];

		if (own->service == wanted->service && own->port == wanted->port &&
		    own->only_six == wanted->only_six && strcmp(own->address, wanted->address) == 0)
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

/* ---- the end ---- */

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
	if (!g->draining)
		root_watch_last(&g->root_watch);
	g->draining = g->root_watch.retired = true;
	if (!g->killed)
		loop_timer_set(&g->deadline, ms + STOP_GRACE);
	for (struct slot *slot = g->slots; slot; slot = slot->next) {
		slot_no_more_starts(slot);
		if (slot->has_chan)
			ipc_send(&slot->chan, IPC_DRAIN, &message);
	}
	check_ended(g);
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
		slot_finish(slot);
		free(slot);
	}
	if (g->deadline.loop)
		loop_timer_cancel(&g->deadline);
	locations_destroy(g->locations);
	root_watch_finish(&g->root_watch);
	loop_timer_cancel(&g->room);
	loop_timer_cancel(&g->pulse);
	owners_finish(&g->owners);
	files_close(&g->files);
	free(g);
}

/* The process of a slot has ended, or was given up. */
static void slot_ended(struct generation *g, struct slot *slot, bool tidy)
{
	if (slot->role == ROLE_FRONT || slot->role == ROLE_LMTP || slot->role == ROLE_MTA)
		g->owner->suspect(g->owner);
	if (g->draining)
		check_ended(g);
	else if (!demand_ended(g, slot, tidy) &&
		 (slot->ever_ready || slot->role == ROLE_LOOKUP ||
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
	slot_ended(g, slot, slot->leaving && status == 0);
	return true;
}

/* Others do not see the end of a process that cannot end. */
static void give_up_process(struct generation *g, struct slot *slot)
{
	struct ipc_instance dead = {.instance = slot->instance};

	slot_abandon(slot);
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
	stuck = health_look(g);
	if (stuck) /* one a pulse: g may be gone afterwards */
		give_up_process(g, stuck);
}
