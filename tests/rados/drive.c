/* See drive.h. */
#include "drive.h"

#include "base/log.h"
#include "base/random.h"
#include "maildrop/index/view.h"
#include "maildrop/rados/mark.h"
#include "sys/loop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SETTLE_MS = 60000 };

struct loop *drive_loop;
const char *drive_conf;

static void mark_pools(void)
{
	const char *bodies = getenv("VALIJA_BODIES");
	const struct engine_settings settings = {.conf = drive_conf,
						 .pool = "mail",
						 .bodies = bodies ? bodies : "bodies",
						 .user = "valija"};
	struct err err = {0};
	struct engine *engine = engine_create(&settings, NULL, 30000, &err);

	if (!engine || mark_make(engine, &err) < 0 || mark_look(engine, &err) != 1)
		fail_msg("%s", err.text);
	engine_destroy(engine);
}

void drive_begin(void)
{
	struct err err;

	drive_conf = getenv("VALIJA_CEPH_CONF");
	assert_non_null(drive_conf);
	log_open("test", getenv("VALIJA_TEST_LOG") ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR);
	drive_loop = loop_create(&err);
	assert_non_null(drive_loop);
	mark_pools();
}

void drive_end(void)
{
	loop_destroy(drive_loop);
}

/* The loop has no call that runs it once: a call at the end of each turn stops it. */
struct turn {
	struct loop_later later;
	struct loop_timer tick;
	const bool *over;
};

static void stop_if_over(struct loop_timer *timer)
{
	struct turn *turn = timer->context;

	if (*turn->over)
		loop_stop(drive_loop);
	else
		loop_timer_set(timer, 1);
}

void drive_until(const bool *over)
{
	struct turn turn = {.over = over};

	if (*over)
		return;
	loop_timer_init(&turn.tick, drive_loop, stop_if_over, &turn);
	loop_timer_set(&turn.tick, 0);
	loop_run(drive_loop);
	loop_timer_cancel(&turn.tick);
}

static void ring(struct loop_timer *timer)
{
	*(bool *)timer->context = true;
}

void drive_for(unsigned ms)
{
	struct loop_timer timer;
	bool over = false;

	loop_timer_init(&timer, drive_loop, ring, &over);
	loop_timer_set(&timer, ms);
	drive_until(&over);
	loop_timer_cancel(&timer);
}

void drive_new_path(char ret[64])
{
	uint64_t number;

	assert_int_equal(random_octets(&number, sizeof(number)), 0);
	snprintf(ret, 64, "test/%016llx", (unsigned long long)number);
}

/* ---- nodes ---- */

static void event(void *owner, enum store_event what)
{
	struct view *view = owner;

	(void)what;
	view->events++;
}

void node_begin(struct node *node)
{
	struct err err = {0};
	const char *bodies = getenv("VALIJA_BODIES");

	if (!node->rados.conf)
		node->rados.conf = drive_conf;
	if (!node->rados.pool)
		node->rados.pool = "mail";
	node->rados.bodies = bodies ? bodies : "bodies";
	node->rados.user = "valija";
	node->rados.connect_ms = 30000;
	node->host = (struct store_host){.loop = drive_loop, .threads = 2, .event = event};
	node->settings = (struct maildrop_settings){.host_name = "test", .rados = &node->rados};
	node->store = store_rados_create(&node->host, &node->settings, -1, &err);
	if (!node->store)
		fail_msg("%s", err.text);
}

void node_use(struct node *node, const char *path)
{
	if (node->where.lane)
		store_leave(node->store, &node->where);
	node->where = (struct store_where){.path = path};
}

void node_end(struct node *node)
{
	node_use(node, NULL);
	node_settle(node);
	if (store_rados_idle(node->store)) /* else a test has failed, and left a session open */
		store_rados_destroy(node->store);
	node->store = NULL;
}

/* ---- operations ---- */

struct waiting {
	struct store_op *op;
	bool over;
	struct waiting *next;
};
static struct waiting *waiting;

static void done(struct store_op *op)
{
	struct waiting *of = waiting;

	while (of->op != op)
		of = of->next;
	of->over = true;
}

static enum maildrop_status wait_for(struct waiting *of)
{
	struct waiting **at = &waiting;

	drive_until(&of->over);
	while (*at != of)
		at = &(*at)->next;
	*at = of->next;
	return of->op->status;
}

static void expect(struct waiting *of, struct store_op *op)
{
	*of = (struct waiting){.op = op, .next = waiting};
	waiting = of;
	op->done = done;
}

enum maildrop_status node_make(struct node *node)
{
	struct store_op op = {0};
	struct waiting of;

	expect(&of, &op);
	store_make(node->store, &node->where, &op);
	return wait_for(&of);
}

static void delivered(struct store_op *op)
{
	((struct node_delivery *)(void *)op)->over = true;
}

void node_deliver_begin(struct node *node, struct node_delivery *ret, const char *text, size_t size)
{
	int fd = memfd_create("message", MFD_CLOEXEC);

	assert_int_equal(write(fd, text, size), size);
	*ret = (struct node_delivery){
		.op = {.op.done = delivered, .delivery = {.message_fd = fd, .message_size = size}}};
	store_deliver(node->store, &node->where, &ret->op);
}

enum maildrop_status node_deliver_end(struct node *node, struct node_delivery *delivery)
{
	(void)node;
	drive_until(&delivery->over);
	close(delivery->op.delivery.message_fd);
	return delivery->op.op.status;
}

enum maildrop_status node_deliver(struct node *node, const char *text, size_t size)
{
	struct node_delivery delivery;

	node_deliver_begin(node, &delivery, text, size);
	return node_deliver_end(node, &delivery);
}

enum maildrop_status node_usage(struct node *node, struct maildrop_usage *ret)
{
	struct store_usage op = {0};
	struct waiting of;
	enum maildrop_status status;

	expect(&of, &op.op);
	store_usage(node->store, &node->where, &op);
	status = wait_for(&of);
	*ret = op.usage;
	return status;
}

static void list(struct view *view)
{
	struct maildrop_snapshot snapshot;
	struct index_view *index;
	struct err err = {0};
	uint32_t n;

	maildrop_snapshot(view->maildrop, &snapshot);
	assert_true(snapshot.count < MESSAGES_MAX);
	view->count = snapshot.count;
	if (index_view_create(snapshot.base_fd, snapshot.delta_fd, snapshot.delta_size,
			      snapshot.count, snapshot.octets, &index, &err) < 0)
		fail_msg("%s", err.text);
	for (n = 0; n < view->count; n++) {
		struct index_entry entry;

		assert_int_equal(index_view_read(index, n + 1, true, &entry, 1, &err), 1);
		assert_true(entry.unique_id.size < UNIQUE_MAX);
		memcpy(view->ids[n], entry.unique_id.data, entry.unique_id.size);
		view->ids[n][entry.unique_id.size] = '\0';
	}
	index_view_destroy(index);
}

enum maildrop_status node_open(struct node *node, struct view *ret)
{
	struct store_open op = {0};
	struct waiting of;
	enum maildrop_status status;

	memset(ret, 0, sizeof(*ret));
	status = store_try_open(node->store, &node->where, &op.who, &ret->maildrop);
	if (status != MAILDROP_WAIT)
		return status;
	expect(&of, &op.op);
	store_open(node->store, &node->where, &op);
	status = wait_for(&of);
	if (status != MAILDROP_OK)
		return status;
	ret->maildrop = op.maildrop;
	store_own(ret->maildrop, ret);
	list(ret);
	return status;
}

/* In slices, as a front pulls a large message. */
static enum maildrop_status read_slices(struct view *view, uint32_t number,
					const struct maildrop_body *body)
{
	char *text = calloc(1, body->stored + 1);
	uint64_t at = 0;

	assert_non_null(text);
	while (at < body->stored) {
		struct store_slice op = {
			.number = number, .offset = at, .size = 131072, .room = text + at};
		struct waiting of;
		enum maildrop_status status;

		if (op.size > body->stored - at)
			op.size = body->stored - at;
		expect(&of, &op.op);
		store_slice(view->maildrop, &op);
		status = wait_for(&of);
		if (status != MAILDROP_OK) {
			free(text);
			return status;
		}
		at += op.size;
	}
	view->texts[number - 1] = text;
	return MAILDROP_OK;
}

enum maildrop_status node_read(struct node *node, struct view *view)
{
	struct store_value values[16];
	static char room[65536];
	uint32_t number = 1;

	(void)node;
	while (number <= view->count) {
		struct store_fetch op = {.first = number,
					 .count = 16,
					 .room = room,
					 .room_size = sizeof(room),
					 .values = values};
		struct waiting of;
		enum maildrop_status status;
		char *at = room;

		expect(&of, &op.op);
		store_fetch(view->maildrop, &op);
		status = wait_for(&of);
		if (status == MAILDROP_OK && op.form == STORE_STREAM)
			status = read_slices(view, number++, &op.body);
		if (status != MAILDROP_OK)
			return status;
		for (uint32_t i = 0; i < op.ready; i++, number++) {
			view->texts[number - 1] = strndup(at, values[i].stored);
			at += values[i].stored;
		}
	}
	return MAILDROP_OK;
}

enum maildrop_status node_commit(struct node *node, struct view *view, const uint32_t *numbers,
				 uint32_t count)
{
	struct store_commit op = {.numbers = numbers, .count = count};
	struct waiting of;

	(void)node;
	expect(&of, &op.op);
	store_commit(view->maildrop, &op);
	return wait_for(&of);
}

void node_close(struct node *node, struct view *view, bool hurry)
{
	struct store_close op = {.hurry = hurry};
	struct waiting of;

	(void)node;
	for (uint32_t i = 0; i < view->count; i++)
		free(view->texts[i]);
	if (store_try_close(view->maildrop))
		return;
	expect(&of, &op.op);
	store_close(view->maildrop, &op);
	assert_int_equal(wait_for(&of), MAILDROP_OK);
}

void node_settle(struct node *node)
{
	for (int i = 0; !store_rados_idle(node->store) && i < SETTLE_MS; i++)
		drive_for(1);
}
