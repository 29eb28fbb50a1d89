/* See front_frame.h. */
#include "server/front_frame.h"

#include "base/log.h"
#include "server/counters.h"
#include "server/record.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum {
	/* for a client to log in before it may have to give way */
	FAIR_MS = 2000,
	FAIR_CROWDED_MS = 1000,
	SAY_MS = 60 * 1000,
};

/* ---- room ---- */

static uint64_t now_of(const struct front_frame *frame)
{
	return loop_now(frame->child->loop);
}

static bool may_give_way(const struct stranger *stranger, bool crowded, const void *context)
{
	const struct front_frame *frame = context;
	const struct client *client =
		(const struct client *)(const void *)((const char *)stranger -
						      offsetof(struct client, stranger));

	return now_of(frame) - client->since >= (crowded ? FAIR_CROWDED_MS : FAIR_MS) &&
	       frame->service->may_give_way(client);
}

static struct stranger *victim(const struct front_frame *frame)
{
	return strangers_victim(&frame->strangers, may_give_way, frame);
}

/* One line of a kind a minute. */
static bool may_say(const struct front_frame *frame, uint64_t *said)
{
	if (*said && now_of(frame) - *said < SAY_MS)
		return false;
	*said = now_of(frame);
	return true;
}

bool frame_make_room(struct front_frame *frame)
{
	struct stranger *stranger = victim(frame);
	struct client *client;

	if (!stranger)
		return false;
	client = CONTAINER(stranger, struct client, stranger);
	strangers_remove(&frame->strangers, stranger);
	client->leaving = true;
	frame->leaving++;
	frame->gave_way++;
	frame->service->give_way(client);
	if (may_say(frame, &frame->gave_way_said))
		log_warning("connections are short (%zu are open): for each new one the oldest "
			    "that has not logged in is ended (%llu so far)",
			    frame->clients.count, (unsigned long long)frame->gave_way);
	return true;
}

/* With those whose PROXY header is to come: each has a place. */
static size_t staying(const struct front_frame *frame)
{
	return frame->clients.count - frame->leaving + arrivals_waiting(frame->arrivals);
}

static bool has_room(struct acceptor *acceptor)
{
	struct front_frame *frame = acceptor->context;

	if (staying(frame) < frame->clients_max || victim(frame))
		return true;
	if (may_say(frame, &frame->waiting_said))
		log_warning("connections are short (%zu are open, all in use or new): others wait "
			    "(try: a higher LimitNOFILE=)",
			    frame->clients.count);
	return false;
}

/* ---- bans ---- */

void frame_take_bans(struct front_frame *frame, const struct ipc_bans *message, int fd)
{
	if (ban_table_open(&frame->bans, fd, message->count) < 0)
		log_error("no new table of bans: the one before holds");
}

bool frame_is_banned(const struct front_frame *frame, const uint8_t address[16],
		     enum config_service service)
{
	static const uint8_t local[16];
	struct record record;

	if (!frame->bans.count || memcmp(address, local, sizeof(local)) == 0 ||
	    !ban_table_has(&frame->bans, address, (int64_t)time(NULL)))
		return false;
	counters_add(COUNTER_CONNECTIONS_BANNED + (size_t)service, 1);
	record_begin(&record, RECORD_REFUSED_BANNED, address, 0, 0);
	record_write(&record);
	return true;
}

/* ---- new connections ---- */

/* The caller closes it, and nothing is left of the connection in the kernel either. */
static void reset(int fd)
{
	const struct linger at_once = {.l_onoff = 1, .l_linger = 0};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

static void end_if_drained(struct front_frame *frame)
{
	if (frame->child->draining && !frame->clients.count && !arrivals_waiting(frame->arrivals))
		child_exit(frame->child);
}

/* The last fifth is for addresses that have no other connection without a login. */
static void take_client(void *context, int *fd, const struct accepted *from)
{
	struct front_frame *frame = context;
	size_t room = frame->clients_max;

	if (from->service <= SERVICE_POP3S &&
	    frame_is_banned(frame, from->address, from->service)) {
		reset(*fd);
		return;
	}
	if (strangers_crowded(&frame->strangers, from->address))
		room -= room / 5;
	if (staying(frame) >= room)
		frame_make_room(frame);
	frame->service->connected(frame, fd, from);
}

static void arrival_ended(void *context)
{
	struct front_frame *frame = context;

	acceptor_go_on(&frame->acceptor);
	end_if_drained(frame);
}

static void take_connection(struct acceptor *acceptor, int *fd, const struct accepted *from)
{
	struct front_frame *frame = acceptor->context;

	if (!arrivals_proxied(frame->child->config, from->listener)) {
		take_client(frame, fd, from);
		return;
	}
	if (!frame->arrivals)
		frame->arrivals =
			arrivals_create(frame->child->loop, frame->child->config,
					frame->arrivals_max, take_client, arrival_ended, frame);
	if (frame->arrivals)
		arrivals_add(frame->arrivals, fd, from);
}

static void listener_dead(struct acceptor *acceptor)
{
	struct front_frame *frame = acceptor->context;
	struct ipc_empty message;

	ipc_send(&frame->child->monitor, IPC_LISTENER_DEAD, &message);
}

/* ---- start ---- */

static void abort_one(struct table_node *node, void *context)
{
	(void)context;
	conn_abort(&CONTAINER(node, struct client, node)->conn);
}

static void drain_over(struct loop_timer *timer)
{
	struct front_frame *frame = timer->context;

	arrivals_end_all(frame->arrivals);
	table_each(&frame->clients, abort_one, NULL);
	end_if_drained(frame);
}

void *frame_root(struct child *child, size_t size, const struct front_service *service)
{
	bool is_new;
	struct front_frame *frame = child_state(child, size, &is_new);

	if (!is_new)
		return frame;
	frame->child = child;
	frame->service = service;
	acceptor_init(&frame->acceptor, child->loop, has_room, take_connection, listener_dead,
		      frame);
	strangers_init(&frame->strangers);
	table_init(&frame->clients);
	loop_timer_init(&frame->drain_over, child->loop, drain_over, frame);
	return frame;
}

void frame_listen(struct front_frame *frame, const struct ipc_listener *message, int *fd)
{
	acceptor_add(&frame->acceptor, (enum config_service)message->service, message->place, fd);
}

int frame_start(struct front_frame *frame, size_t clients_max, struct err *err)
{
	struct sandbox sandbox;

	frame->clients_max = clients_max;
	frame->arrivals_max = clients_max / 4 < ARRIVALS_MAX ? clients_max / 4 + 1 : ARRIVALS_MAX;
	child_sandbox(frame->child, frame->service->sandbox, &sandbox);
	sandbox.max_files = frame->file_max;
	if (sandbox_enter(&sandbox, err) < 0)
		return -1;
	acceptor_start(&frame->acceptor);
	return 0;
}

/* ---- clients ---- */

void frame_add(struct front_frame *frame, struct client *client, const struct accepted *from)
{
	client->since = now_of(frame);
	client->service = (uint8_t)from->service;
	counters_add(COUNTER_CONNECTIONS + client->service, 1);
	counters_add(COUNTER_CONNECTIONS_NOW + client->service, 1);
	strangers_add(&frame->strangers, &client->stranger, from->address);
	loop_deadline_init(&client->deadline);
	table_add(&frame->clients, &client->node, ++frame->last_number);
}

void frame_known(struct front_frame *frame, struct client *client)
{
	strangers_remove(&frame->strangers, &client->stranger);
}

void frame_active(struct front_frame *frame, struct client *client)
{
	client->since = now_of(frame);
	strangers_renew(&frame->strangers, &client->stranger);
}

void frame_remove(struct front_frame *frame, struct client *client)
{
	counters_less(COUNTER_CONNECTIONS_NOW + client->service);
	strangers_remove(&frame->strangers, &client->stranger);
	if (client->leaving)
		frame->leaving--;
	loop_deadline_cancel(&client->deadline);
	table_remove(&frame->clients, &client->node);
	acceptor_go_on(&frame->acceptor);
	end_if_drained(frame);
}

struct client *frame_find(const struct front_frame *frame, uint64_t number)
{
	struct table_node *node = table_find(&frame->clients, number);

	return node ? CONTAINER(node, struct client, node) : NULL;
}

void frame_expired(struct loop_deadlines *deadlines, struct loop_deadline *deadline)
{
	(void)deadlines;
	conn_abort(&CONTAINER(deadline, struct client, deadline)->conn);
}

/* ---- the end ---- */

static void end_idle(struct table_node *node, void *context)
{
	struct front_frame *frame = context;

	frame->service->end_idle(frame, CONTAINER(node, struct client, node));
}

void frame_stop_accepting(struct front_frame *frame)
{
	acceptor_stop(&frame->acceptor);
}

void frame_drain(struct front_frame *frame, uint64_t ms)
{
	acceptor_stop(&frame->acceptor);
	if (frame->child->stopping) /* after a reload their header is waited for */
		arrivals_end_all(frame->arrivals);
	table_each(&frame->clients, end_idle, frame);
	if (!frame->clients.count && !arrivals_waiting(frame->arrivals))
		child_exit(frame->child);
	else
		loop_timer_set(&frame->drain_over, ms);
}
