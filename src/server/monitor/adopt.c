/* See adopt.h. */
#include "server/monitor/adopt.h"

#include "base/log.h"
#include "server/monitor/briefing.h"
#include "server/monitor/members.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

static const pop3_span nothing = {"", 0};

/* ---- the old program ---- */

bool adopt_is_quiet(struct generation *g)
{
	bool quiet = true;

	for (const struct slot *slot = g->slots; slot; slot = slot->next)
		quiet = quiet && (!slot->has_chan || chan_is_quiet(&slot->chan));
	for (uint32_t i = 0; i < g->config.root_count; i++)
		quiet = locations_settle(g->roots[i].locations) && quiet;
	return quiet;
}

void adopt_hold(struct generation *g, bool hold)
{
	for (struct slot *slot = g->slots; slot; slot = slot->next)
		if (slot->has_chan)
			chan_pause(&slot->chan, hold);
}

static uint64_t since(uint64_t now, uint64_t then)
{
	return now > then ? now - then : 0;
}

static void write_wanted(const struct config *config, struct handover *ret)
{
	for (uint32_t i = 0; i < config->listener_count; i++) {
		const struct config_listener *of = &config->listeners[i];
		struct handover_wanted record = {
			.service = of->service, .port = of->port, .only_six = of->only_six};

		memcpy(record.address, of->address, sizeof(record.address));
		handover_put(ret, HANDOVER_WANTED, &record, nothing);
	}
}

static void write_roots(const struct generation *g, struct handover *ret)
{
	for (uint32_t i = 0; i < g->config.root_count; i++) {
		const struct mail_root *root = &g->files.roots[i].root;
		struct handover_root record = {.fd = handover_fd(ret, g->files.roots[i].fd),
					       .state = (uint32_t)atomic_load(&root->state),
					       .away = g->roots[i].watch.away,
					       .store = g->config.roots[i].store};

		memcpy(record.path, g->config.roots[i].path, sizeof(record.path));
		memcpy(record.memory, root->memory, sizeof(record.memory));
		memcpy(record.mark, root->mark, sizeof(root->mark));
		handover_put(ret, HANDOVER_ROOT, &record, nothing);
	}
}

static void write_lookups(const struct generation *g, struct handover *ret)
{
	for (uint32_t i = 0; i < g->config.database_count; i++) {
		const struct lookup_program *of = &g->files.lookups[i];
		struct handover_lookup record = {.program_fd = handover_fd(ret, of->program_fd),
						 .secrets_fd = handover_fd(ret, of->secrets_fd),
						 .secrets_size = of->secrets_size,
						 .uid = of->uid,
						 .gid = of->gid};

		handover_put(ret, HANDOVER_LOOKUP, &record, nothing);
	}
}

static void write_slot(struct slot *slot, struct handover *ret)
{
	uint64_t now = loop_now(slot->loop);
	const char *home = slot->home ? slot->home : "";
	struct handover_slot record = {
		.role = slot->role,
		.index = slot->index,
		.uid = slot->uid,
		.gid = slot->gid,
		.group_size = slot->group_size,
		.home_root = slot->home_root,
		.pid = slot->pid,
		.channel_fd = slot->has_chan ? handover_fd(ret, slot->chan.fd) : -1,
		.log_fd = slot->pid ? handover_fd(ret, log_pipe_empty(&slot->log)) : -1,
		.page_fd = slot->page ? slot->page->fd : -1,
		.instance = slot->instance,
		.age = since(now, slot->started),
		.idle = since(now, slot->used),
		.killed = slot->killed ? since(now, slot->killed) + 1 : 0,
		.ready = slot->ready,
		.ever_ready = slot->ever_ready,
		.on_demand = slot->on_demand,
		.leaving = slot->leaving,
		.wanted = slot->wanted};

	handover_put(ret, HANDOVER_SLOT, &record, (pop3_span){home, strlen(home)});
}

static void write_files(const struct generation_files *files, struct handover_generation *record,
			struct handover *ret)
{
	record->config_fd = handover_fd(ret, files->config_fd);
	record->users_fd = handover_fd(ret, files->users_fd);
	record->aliases_fd = handover_fd(ret, files->aliases_fd);
	record->spool_fd = handover_fd(ret, files->spool_fd);
	record->certificates_fd = handover_fd(ret, files->certificates_fd);
	record->keys_fd = handover_fd(ret, files->keys_fd);
	record->logins_fd = handover_fd(ret, files->logins_fd);
	record->remotes_fd = handover_fd(ret, files->remotes_fd) + 1;
	record->keeper_fd = handover_fd(ret, files->keeper_fd) + 1;
	record->certificates_size = files->certificates_size;
	record->keys_size = files->keys_size;
	record->net_uid = files->net_uid;
	record->net_gid = files->net_gid;
	record->auth_uid = files->auth_uid;
	record->auth_gid = files->auth_gid;
	record->keys_uid = files->keys_uid;
	record->keys_gid = files->keys_gid;
	record->logins_uid = files->logins_uid;
	record->logins_gid = files->logins_gid;
	record->mail_uid = files->mail_uid;
	record->mail_gid = files->mail_gid;
	record->uid_count = files->peer_uids.count;
	memcpy(record->uids, files->peer_uids.uids, sizeof(record->uids));
	record->control_uid_count = files->control_peers.count;
	record->control_has_group = files->control_peers.has_group;
	record->control_gid = files->control_peers.gid;
	memcpy(record->control_uids, files->control_peers.uids, sizeof(record->control_uids));
}

void adopt_hand_on(struct generation *g, struct handover *ret)
{
	const struct config *config = &g->config;
	struct handover_generation record = {.number = g->number,
					     .draining = g->draining,
					     .killed = g->killed,
					     .counts = !g->counts_otherwise,
					     .since = (uint64_t)g->since,
					     .wanted = config->listener_count,
					     .roots = config->root_count,
					     .lookups = config->database_count,
					     .program_fd = handover_fd(ret, g->program_fd),
					     .fronts = generation_fronts(config),
					     .answer_seconds = config->answer_seconds,
					     .drain_seconds = config->drain_seconds,
					     .owner_keepers = config->owner_keepers,
					     .log_level = config->log_level};

	if (g->draining)
		record.deadline = since(g->drain_until, loop_now(g->owner->loop));
	memcpy(record.file, config->file, sizeof(record.file));
	memcpy(record.directory, config->directory, sizeof(record.directory));
	memcpy(record.log_to, config->log_to, sizeof(record.log_to));
	memcpy(record.log_events, config->log_events, sizeof(record.log_events));
	write_files(&g->files, &record, ret);
	handover_put(ret, HANDOVER_GENERATION, &record, nothing);
	write_wanted(config, ret);
	write_roots(g, ret);
	write_lookups(g, ret);
	for (struct slot *slot = g->slots; slot; slot = slot->next)
		write_slot(slot, ret);
	owners_hand_on(&g->owners, loop_now(g->owner->loop), ret);
}

/* ---- the new one ---- */

/* Of a memory file; -1: 0. */
static uint64_t size_of(int fd)
{
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static void read_files(struct generation_files *files, const struct handover_generation *record)
{
	files->config_fd = handover_take_fd(record->config_fd);
	files->users_fd = handover_take_fd(record->users_fd);
	files->aliases_fd = handover_take_fd(record->aliases_fd);
	files->spool_fd = handover_take_fd(record->spool_fd);
	files->certificates_fd = handover_take_fd(record->certificates_fd);
	files->keys_fd = handover_take_fd(record->keys_fd);
	files->logins_fd = handover_take_fd(record->logins_fd);
	files->remotes_fd = handover_take_fd(record->remotes_fd - 1);
	files->remotes_size = size_of(files->remotes_fd);
	files->learn_fd = -1; /* what is learned less until a reload comes with later logins */
	files->keeper_fd = handover_take_fd(record->keeper_fd - 1);
	files->certificates_size = record->certificates_size;
	files->keys_size = record->keys_size;
	files->net_uid = record->net_uid;
	files->net_gid = record->net_gid;
	files->auth_uid = record->auth_uid;
	files->auth_gid = record->auth_gid;
	files->keys_uid = record->keys_uid;
	files->keys_gid = record->keys_gid;
	files->logins_uid = record->logins_uid;
	files->logins_gid = record->logins_gid;
	files->mail_uid = record->mail_uid;
	files->mail_gid = record->mail_gid;
	files->peer_uids.count = record->uid_count;
	memcpy(files->peer_uids.uids, record->uids, sizeof(record->uids));
	files->control_peers.count = record->control_uid_count;
	files->control_peers.has_group = record->control_has_group;
	files->control_peers.gid = record->control_gid;
	memcpy(files->control_peers.uids, record->control_uids, sizeof(record->control_uids));
}

static void read_config(struct config *config, const struct handover_generation *record)
{
	config->fronts = record->fronts;
	config->answer_seconds = record->answer_seconds;
	config->drain_seconds = record->drain_seconds;
	config->owner_keepers = record->owner_keepers;
	config->log_level = record->log_level;
	config->listener_count = record->wanted;
	config->root_count = record->roots;
	config->database_count = record->lookups;
	memcpy(config->file, record->file, sizeof(record->file));
	memcpy(config->directory, record->directory, sizeof(record->directory));
	memcpy(config->log_to, record->log_to, sizeof(record->log_to));
	memcpy(config->log_events, record->log_events, sizeof(record->log_events));
}

static void read_roots(struct generation *g, struct handover_reader *reader,
		       bool away[CONFIG_ROOTS_MAX])
{
	for (uint32_t i = 0; i < CONFIG_ROOTS_MAX; i++)
		g->files.roots[i].fd = -1;
	for (uint32_t i = 0; i < g->config.root_count; i++) {
		const struct handover_root *record = handover_next(reader, NULL);
		struct files_root *of = &g->files.roots[i];

		of->fd = handover_take_fd(record->fd);
		memcpy(g->config.roots[i].path, record->path, sizeof(record->path));
		g->config.roots[i].store = record->store;
		of->root.path = g->config.roots[i].path;
		memcpy(of->root.memory, record->memory, sizeof(record->memory));
		memcpy(of->root.mark, record->mark, sizeof(of->root.mark));
		atomic_store(&of->root.state, (enum mail_root_state)record->state);
		away[i] = record->away;
	}
}

static void read_lookups(struct generation *g, struct handover_reader *reader)
{
	for (uint32_t i = 0; i < g->config.database_count; i++) {
		const struct handover_lookup *record = handover_next(reader, NULL);

		g->files.lookups[i] =
			(struct lookup_program){.program_fd = handover_take_fd(record->program_fd),
						.secrets_fd = handover_take_fd(record->secrets_fd),
						.secrets_size = record->secrets_size,
						.uid = record->uid,
						.gid = record->gid};
	}
}

/* Never is a signal sent to, or an end waited for of, a process that is not this one's. */
static bool is_child(pid_t pid)
{
	siginfo_t info = {0};

	return pid > 0 && waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

static void read_process(struct slot *slot, const struct handover_slot *record)
{
	uint64_t now = loop_now(slot->loop);
	int channel = handover_take_fd(record->channel_fd), log = handover_take_fd(record->log_fd);

	slot->instance = record->instance;
	slot->started = since(now, record->age);
	slot->used = since(now, record->idle);
	slot->killed = record->killed ? since(now, record->killed - 1) : 0;
	slot->ready = record->ready;
	slot->leaving = record->leaving;
	slot->wanted = record->wanted;
	if (is_child(record->pid)) {
		slot_adopt(slot, record->pid, &channel, &log);
		return;
	}
	if (channel >= 0)
		close(channel);
	if (log >= 0)
		close(log);
}

static int read_slot(struct generation *g, struct handover_reader *reader, struct err *err)
{
	pop3_span home;
	const struct handover_slot *record = handover_next(reader, &home);
	struct slot *slot = members_add(g, (enum ipc_role)record->role, record->index, record->uid,
					record->gid);

	if (slot && record->on_demand)
		slot->home = strndup(home.data, home.size);
	if (!slot || (record->on_demand && !slot->home))
		return err_set(err, EX_OSERR, "out of memory");
	slot->group_size = record->group_size;
	slot->ever_ready = record->ever_ready;
	slot->on_demand = record->on_demand;
	slot->home_root = record->home_root;
	g->owners.running += record->on_demand;
	if (!g->counts_otherwise)
		slot->page = pages_find(&g->owner->pages, record->page_fd);
	read_process(slot, record);
	return 0;
}

static int read_rest(struct generation *g, struct handover_reader *reader, struct err *err)
{
	for (;;) {
		pop3_span home;

		if (handover_kind(reader) == HANDOVER_SLOT) {
			if (read_slot(g, reader, err) < 0)
				return -1;
		} else if (handover_kind(reader) == HANDOVER_WAITING) {
			const struct handover_waiting *record = handover_next(reader, &home);
			uint64_t now = loop_now(g->owner->loop);

			(void)owners_wait(&g->owners, record->uid,
					  (struct owner_home){record->root, home},
					  since(now, record->age));
		} else {
			return 0;
		}
	}
}

/* Those that had no process are started as after a back-off. */
static void begin(struct generation *g, const struct handover_generation *record)
{
	g->spool.folder = g->files.spool_fd;
	if (owners_anything_waits(&g->owners))
		loop_timer_set(&g->room, 1);
	if (record->draining) {
		generation_go_on_draining(g, record->deadline, record->killed);
		return;
	}
	for (struct slot *slot = g->slots; slot; slot = slot->next)
		if (!slot->pid)
			slot_start_later(slot);
}

/* A program that handed none over: the one that is installed by now. Behind read_roots. */
static void open_keeper(struct generation *g)
{
	struct err err;

	if (g->files.keeper_fd < 0 && files_open_keeper(&g->files, &err) < 0)
		log_error("keepers of the generation before cannot be started again: %s", err.text);
}

struct generation *adopt_generation(struct generation_owner *owner, struct handover_reader *reader,
				    bool *ret_serving, struct err *err)
{
	const struct handover_generation *record = handover_next(reader, NULL);
	struct generation *g = generation_new(owner, record->number);
	bool away[CONFIG_ROOTS_MAX];

	if (!g) {
		err_set(err, EX_OSERR, "out of memory");
		return NULL;
	}
	g->announced = g->adopted = true;
	g->since = (time_t)record->since;
	g->counts_otherwise = !record->counts || !owner->pages.same;
	g->program_fd = handover_take_fd(record->program_fd);
	g->files.config = &g->config;
	read_config(&g->config, record);
	g->front_count = record->fronts;
	read_files(&g->files, record);
	for (uint32_t i = 0; i < record->wanted; i++)
		listeners_wanted(handover_next(reader, NULL), &g->config.listeners[i]);
	read_roots(g, reader, away);
	open_keeper(g);
	read_lookups(g, reader);
	if (generation_begin_roots(g, err) < 0 || read_rest(g, reader, err) < 0) {
		generation_destroy(g);
		return NULL;
	}
	for (uint32_t i = 0; i < record->roots; i++)
		g->roots[i].watch.away = away[i];
	begin(g, record);
	if (!record->draining)
		bans_open(&owner->bans, &g->files.roots[0].root);
	*ret_serving = !record->draining;
	return g;
}
