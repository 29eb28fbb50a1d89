/* See child.h. In every child; messages of peers are hostile until ipc_check has passed them, those
 * of the monitor are believed. */
#include "server/child.h"

#include "base/log.h"
#include "server/counters.h"
#include "server/record.h"
#include "server/recorder.h"

#include <assert.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sysexits.h>
#include <unistd.h>

#define PEER_QUEUE_MAX (64u << 20) /* octets queued for a peer that does not read */

struct peer *child_peer(const struct child *child, enum ipc_role role, uint64_t instance)
{
	struct peer *peer = child->peers;

	while (peer && (peer->role != role || peer->instance != instance))
		peer = peer->next;
	return peer;
}

void peer_break(struct peer *peer, const char *why)
{
	chan_break(&peer->chan, why);
}

/* Packets of a peer that has exited are received still, and its end behind them. */
void peer_sent(struct peer *peer, int result)
{
	if (result < 0 && !peer->chan.write_closed)
		peer_break(peer, "it does not read");
}

void peer_send(struct peer *peer, enum ipc_type type, void *message)
{
	peer_sent(peer, ipc_send(&peer->chan, type, message));
}

void peer_send_texts(struct peer *peer, enum ipc_type type, void *message, const pop3_span *texts,
		     unsigned count)
{
	peer_sent(peer, ipc_send_texts(&peer->chan, type, message, texts, count));
}

void peer_post_texts(struct peer *peer, enum ipc_type type, void *message, const pop3_span *texts,
		     unsigned count)
{
	peer_sent(peer, ipc_post_texts(&peer->chan, type, message, texts, count));
}

void peer_send_fds(struct peer *peer, enum ipc_type type, void *message, const int *fds,
		   unsigned count)
{
	peer_sent(peer, ipc_send_fds(&peer->chan, type, message, fds, count));
}

void peer_send_parts(struct peer *peer, enum ipc_type type, void *message, const pop3_span *parts,
		     unsigned count)
{
	peer_sent(peer, ipc_send_all(&peer->chan, type, message, parts, count, NULL, 0));
}

void child_exit(struct child *child)
{
	loop_stop(child->loop);
}

void child_drained(struct child *child, const struct peer *gone, uint32_t waits_not)
{
	if (!child->draining)
		return;
	for (const struct peer *peer = child->peers; peer; peer = peer->next)
		if (peer != gone && !(waits_not & 1u << peer->role))
			return;
	child_exit(child);
}

void *child_state(struct child *child, size_t size, bool *ret_new)
{
	*ret_new = !child->state;
	if (*ret_new)
		child->state = calloc(1, size);
	if (!child->state)
		abort();
	return child->state;
}

void child_sandbox(const struct child *child, enum sandbox_role role, struct sandbox *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->role = role;
	ret->change_ids = child->change_ids;
	ret->uid = child->uid;
	ret->gid = child->gid;
	ret->empty_root = child->change_ids;
}

/* A front keeps no channel to a keeper that ends tidily, and misses nothing. */
static void take_message(struct peer *peer, enum ipc_type type, const void *message, int *fds)
{
	enum ipc_role own = peer->child->role->role;

	if (type != IPC_LEAVE || own == ROLE_AUTH || own == ROLE_KEEPER)
		peer->child->role->peer_message(peer, type, message, fds);
	else if (peer->role == ROLE_KEEPER)
		peer->leaving = true;
	else
		peer_break(peer, "it is no keeper, but leaves as one");
}

static void peer_packet(struct chan *chan, const void *data, size_t size, int *fds,
			unsigned fd_count)
{
	struct peer *peer = chan->context;
	const char *at = data;

	while (size && !chan->broken) {
		size_t first = fd_count ? size : ipc_first(at, size);
		const char *why = "too many messages in a packet"; /* other peers wait meanwhile */
		enum ipc_type type = IPC_NONE;

		if (at - (const char *)data <= CHAN_POST_MAX)
			type = ipc_check(at, first < size ? ipc_size(at) : size, fd_count,
					 peer->role, peer->child->role->role, &why);
		if (type == IPC_NONE) {
			chan_break(chan, why);
			return;
		}
		take_message(peer, type, at, fds);
		ipc_wipe(at);
		at += first;
		size -= first;
	}
}

/* Reports a lost channel to the monitor, which replaces the process at its other end. A channel is
 * made once, when one of its two processes starts; without it, both would run on but not work
 * together. The more privileged process reports. */
static void tell_lost(const struct peer *peer)
{
	struct ipc_instance message = {.instance = peer->instance};
	enum ipc_role own = peer->child->role->role;
	bool front = peer->role == ROLE_FRONT || peer->role == ROLE_LMTP ||
		     peer->role == ROLE_MTA || peer->role == ROLE_CONTROL;

	if ((front && (own == ROLE_AUTH || own == ROLE_KEEPER || own == ROLE_CONNECTOR ||
		       own == ROLE_KEYS)) ||
	    (own == ROLE_AUTH && (peer->role == ROLE_KEEPER || peer->role == ROLE_CONNECTOR ||
				  peer->role == ROLE_LOOKUP || peer->role == ROLE_LOGINS)))
		ipc_send(&peer->child->monitor, IPC_PEER_LOST, &message);
}

static void peer_broken(struct chan *chan, const char *why)
{
	struct peer *peer = chan->context, **at = &peer->child->peers;

	/* a channel between two generations ends with the older one */
	bool usual = peer->role == ROLE_CONTROL || peer->child->role->role == ROLE_CONTROL;

	if (!peer->child->draining && !peer->leaving && !usual &&
	    record_may(RECORD_CHANNEL_GONE, NULL))
		log_info("channel to %s %u is gone: %s", ipc_role_name(peer->role), peer->index,
			 why);
	while (*at != peer)
		at = &(*at)->next;
	*at = peer->next;
	if (!peer->leaving)
		tell_lost(peer);
	if (peer->child->started)
		peer->child->role->peer_gone(peer);
	chan_finish(chan);
	free(peer);
}

static const struct chan_handler peer_handler = {.packet = peer_packet, .broken = peer_broken};

static void add_peer(struct child *child, const struct ipc_peer *message, int *fd)
{
	struct peer *peer = calloc(1, sizeof(*peer));

	if (!peer) {
		log_error("cannot take a channel to a peer: out of memory");
		return;
	}
	peer->child = child;
	peer->instance = message->instance;
	peer->role = (enum ipc_role)message->role;
	peer->index = message->index;
	peer->uid = message->uid;
	peer->group_size = message->group_size;
	peer->next = child->peers;
	child->peers = peer;
	chan_init(&peer->chan, child->loop, fd, &peer_handler, peer, PEER_QUEUE_MAX);
	if (child->started)
		child->role->peer_up(peer);
	else /* peers are not read before all of them are known and the sandbox is entered */
		chan_pause(&peer->chan, true);
}

static void take_config(struct child *child, const struct ipc_config *message, int *fd)
{
	char name[32];
	struct err err;

	child->config = config_map(*fd, &err);
	if (!child->config) {
		log_error("no configuration from the monitor: %s", err.text);
		exit(EX_SOFTWARE);
	}
	child->role = child->roles[message->role];
	child->instance = message->instance;
	child->index = message->index;
	child->generation = message->generation;
	child->uid = message->uid;
	child->gid = message->gid;
	child->change_ids = message->change_ids;
	snprintf(name, sizeof(name), "%s%u", ipc_role_name(child->role->role), child->index);
	log_set_level((enum log_level)child->config->log_level);
	record_set_events(child->config->log_events[0] != '\0');
	prctl(PR_SET_NAME, name);
}

static void fail(struct child *child, struct err *err)
{
	struct ipc_failed message = {.code = (uint32_t)err->code & 255};
	pop3_span text = {err->text, strnlen(err->text, IPC_TEXT_MAX)};

	ipc_send_texts(&child->monitor, IPC_FAILED, &message, &text, 1);
	exit(err->code ? err->code : EX_SOFTWARE);
}

static void start(struct child *child)
{
	struct ipc_empty ready;
	struct err err = {.code = EX_SOFTWARE};

	assert(child->role);
	if (child->role->start(child, &err) < 0)
		fail(child, &err);
	child->started = true;
	for (struct peer *peer = child->peers; peer; peer = peer->next) {
		chan_pause(&peer->chan, false);
		child->role->peer_up(peer);
	}
	ipc_send(&child->monitor, IPC_READY, &ready);
}

static void answer_ping(struct child *child)
{
	struct ipc_pong message = {.idle = child->role->idle ? child->role->idle(child) : 0};

	ipc_send(&child->monitor, IPC_PONG, &message);
}

/* The process at the other end can neither answer nor end: its channel would never break. */
static void peer_dead(const struct child *child, uint64_t instance)
{
	struct peer *peer = child->peers;

	while (peer && peer->instance != instance)
		peer = peer->next;
	if (peer)
		peer_break(peer, "the monitor gave that process up");
}

static void use_recorder(int fd)
{
	struct recorder recorder;

	if (recorder_open(fd, true, &recorder))
		recorder_use(&recorder);
}

static void monitor_message(struct child *child, enum ipc_type type, const void *data, int *fds)
{
	struct ipc_empty drains;

	if (type == IPC_PEER) {
		add_peer(child, data, &fds[0]);
	} else if (type == IPC_COUNTERS) {
		counters_use(counters_page_open(fds[0], true));
	} else if (type == IPC_RECORDER) {
		use_recorder(fds[0]);
	} else if (type == IPC_START) {
		if (!child->started)
			start(child);
	} else if (type == IPC_PING) {
		answer_ping(child);
	} else if (type == IPC_LOG_LEVEL) {
		log_set_level((enum log_level)((const struct ipc_log_level *)data)->level);
	} else if (type == IPC_PEER_DEAD) {
		peer_dead(child, ((const struct ipc_instance *)data)->instance);
	} else if (type == IPC_DRAIN) {
		child->draining = true;
		child->stopping = ((const struct ipc_drain *)data)->stop;
		if (child->role->drain)
			child->role->drain(child, ((const struct ipc_drain *)data)->ms);
		else
			child_drained(child, NULL, 0);
		ipc_send(&child->monitor, IPC_DRAINS, &drains);
	} else {
		child->role->monitor_message(child, type, data, fds);
	}
}

static void monitor_packet(struct chan *chan, const void *data, size_t size, int *fds,
			   unsigned fd_count)
{
	struct child *child = chan->context;
	const char *why;
	enum ipc_role role = child->role ? child->role->role : ROLE_FRONT;
	enum ipc_type type = ipc_check(data, size, fd_count, ROLE_MONITOR, role, &why);

	if (type == IPC_NONE || (!child->role && type != IPC_CONFIG)) {
		chan_break(chan, type ? "the first message is not the configuration" : why);
		return;
	}
	if (type == IPC_CONFIG)
		take_config(child, data, &fds[0]);
	else
		monitor_message(child, type, data, fds);
}

static void monitor_broken(struct chan *chan, const char *why)
{
	struct child *child = chan->context;

	log_error("the channel to the monitor is gone, so this process ends: %s", why);
	chan_finish(chan);
	child_exit(child);
}

static const struct chan_handler monitor_handler = {.packet = monitor_packet,
						    .broken = monitor_broken};

int child_main(int fd, const struct child_role *const roles[ROLE_COUNT])
{
	struct child child = {.roles = roles};
	struct err err;

	log_open_pipe(LOG_LEVEL_INFO);
	mallopt(M_ARENA_MAX,
		2); /* one malloc arena for each worker thread would cost more than all sessions */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT,
	       SIG_IGN); /* Ctrl-C reaches the whole process group; the monitor sends DRAIN */
	signal(SIGHUP, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGUSR1, SIG_IGN);
	child.loop = loop_create(&err);
	if (!child.loop) {
		log_error("%s", err.text);
		return EX_OSERR;
	}
	record_start(child.loop);
	chan_init(&child.monitor, child.loop, &fd, &monitor_handler, &child, PEER_QUEUE_MAX);
	/* PEER is handled before other peers' messages that name the new peer's instance */
	if (loop_watch_urgent(&child.monitor.watch) < 0) {
		log_error("cannot watch the channel to the monitor");
		return EX_OSERR;
	}
	loop_run(child.loop);
	record_finish();
	return EX_OK;
}
