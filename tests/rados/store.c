/*
 * The store in RADOS against a cluster that runs: what a keeper does with it, two nodes, and each
 * operation of a maildrop's life failing in each way, with all that was acknowledged read back.
 * test_store.py starts the cluster.
 */
#include "drive.h"
#include "faults.h"

#include "maildrop/rados/engine/engine.h"
#include "rados/tool/tool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static char path[64];
static struct node one, two;

static int begin(void **state)
{
	(void)state;
	faults_set(FAULT_NONE, 0, 0);
	drive_new_path(path);
	one = two = (struct node){.where = {NULL, NULL}};
	node_begin(&one);
	node_use(&one, path);
	return 0;
}

static int end(void **state)
{
	(void)state;
	faults_set(FAULT_NONE, 0, 0);
	node_end(&one);
	if (two.store)
		node_end(&two);
	return 0;
}

static void deliver(struct node *node, const char *text)
{
	assert_int_equal(node_deliver(node, text, strlen(text)), MAILDROP_OK);
}

static void open_it(struct node *node, struct view *view, uint32_t count)
{
	enum maildrop_status status = node_open(node, view);

	assert_int_equal(status, MAILDROP_OK);
	assert_int_equal(view->count, count);
}

/* ---- what a keeper does ---- */

static void a_maildrop_is_made_before_it_has_mail(void **state)
{
	struct view view;

	(void)state;
	assert_int_equal(node_open(&one, &view), MAILDROP_ABSENT);
	assert_int_equal(node_deliver(&one, "x", 1), MAILDROP_ABSENT);
	assert_int_equal(node_make(&one), MAILDROP_OK);
	assert_int_equal(node_make(&one), MAILDROP_OK); /* and stays as it is */
	open_it(&one, &view, 0);
	node_close(&one, &view, false);
}

static void mail_comes_back_as_it_was(void **state)
{
	struct maildrop_usage usage;
	struct view view;

	(void)state;
	node_make(&one);
	deliver(&one, "A: 1\r\n\r\none\r\n");
	deliver(&one, "A: 2\r\n\r\n.two\r\n");
	open_it(&one, &view, 2);
	assert_int_equal(node_read(&one, &view), MAILDROP_OK);
	assert_string_equal(view.texts[0], "A: 1\r\n\r\none\r\n");
	assert_string_equal(view.texts[1], "A: 2\r\n\r\n.two\r\n");
	assert_int_equal(strlen(view.ids[0]), 32);
	assert_string_not_equal(view.ids[0], view.ids[1]);
	node_close(&one, &view, false);
	assert_int_equal(node_usage(&one, &usage), MAILDROP_OK);
	assert_int_equal(usage.messages, 2);
	assert_int_equal(usage.octets, 27);
}

static void what_is_deleted_is_gone_and_ids_stay(void **state)
{
	uint32_t first = 1;
	struct view view;
	char id[UNIQUE_MAX];

	(void)state;
	node_make(&one);
	deliver(&one, "one\r\n");
	deliver(&one, "two\r\n");
	open_it(&one, &view, 2);
	strcpy(id, view.ids[1]);
	assert_int_equal(node_commit(&one, &view, &first, 1), MAILDROP_OK);
	node_close(&one, &view, false);
	deliver(&one, "three\r\n");
	open_it(&one, &view, 2);
	assert_string_equal(view.ids[0], id);
	assert_int_equal(node_read(&one, &view), MAILDROP_OK);
	assert_string_equal(view.texts[1], "three\r\n");
	node_close(&one, &view, false);
}

static void a_session_does_not_see_what_came_behind_it(void **state)
{
	struct view view;

	(void)state;
	node_make(&one);
	deliver(&one, "one\r\n");
	open_it(&one, &view, 1);
	deliver(&one, "two\r\n");
	assert_int_equal(node_read(&one, &view), MAILDROP_OK);
	node_close(&one, &view, false);
	open_it(&one, &view, 2);
	node_close(&one, &view, false);
}

/* 70 MB: three objects, in slices that do not respect them. */
static void a_large_message_comes_in_slices(void **state)
{
	size_t size = (70 << 20) + 17;
	char *text = malloc(size + 1);
	struct view view;

	(void)state;
	assert_non_null(text);
	for (size_t i = 0; i < size; i++)
		text[i] = i % 61 == 60 ? '\n' : i % 61 == 59 ? '\r' : (char)('a' + i / 61 % 26);
	memcpy(text + size - 2, "\r\n", 3);
	node_make(&one);
	assert_int_equal(node_deliver(&one, text, size), MAILDROP_OK);
	open_it(&one, &view, 1);
	assert_int_equal(node_read(&one, &view), MAILDROP_OK);
	assert_memory_equal(view.texts[0], text, size + 1);
	assert_int_equal(node_commit(&one, &view, &(uint32_t){1}, 1), MAILDROP_OK);
	node_close(&one, &view, false);
	free(text);
}

static void quota_counts_what_the_log_says(void **state)
{
	struct maildrop_usage usage;

	(void)state;
	assert_int_equal(node_usage(&one, &usage), MAILDROP_OK);
	assert_int_equal(usage.messages, 0); /* it is not made yet */
	node_make(&one);
	deliver(&one, "0123456789");
	assert_int_equal(node_usage(&one, &usage), MAILDROP_OK);
	assert_int_equal(usage.octets, 10);
}

/* ---- objects ---- */

static void nothing(struct engine_op *op)
{
	(void)op;
}

/* The object's data size, read by a connection of its own. */
static uint64_t log_size(struct engine *engine)
{
	struct engine_index index = {.op.done = nothing};
	char name[80];

	snprintf(name, sizeof(name), "x/%s", path);
	engine_index(engine, name, &index);
	engine_wait(engine, &index.op);
	assert_int_equal(index.op.result, ENGINE_OK);
	return index.size;
}

static bool body_is_there(struct engine *engine, const char *id)
{
	struct engine_stat stat = {.op.done = nothing};
	char name[80];

	snprintf(name, sizeof(name), "m/%s", id);
	engine_stat(engine, name, &stat);
	engine_wait(engine, &stat.op);
	return stat.op.result == ENGINE_OK;
}

static struct engine *look(void)
{
	const struct engine_settings settings = {
		.conf = drive_conf, .pool = "mail", .bodies = one.rados.bodies, .user = "valija"};
	struct err err = {0};
	struct engine *engine = engine_create(&settings, NULL, 30000, &err);

	assert_non_null(engine);
	assert_true(engine_connected(engine, &err));
	return engine;
}

static void bodies_of_deleted_messages_are_removed(void **state)
{
	struct engine *engine = look();
	struct view view;
	char id[UNIQUE_MAX], other[UNIQUE_MAX];

	(void)state;
	node_make(&one);
	deliver(&one, "one\r\n");
	deliver(&one, "two\r\n");
	open_it(&one, &view, 2);
	strcpy(id, view.ids[0]);
	strcpy(other, view.ids[1]);
	assert_int_equal(node_commit(&one, &view, &(uint32_t){1}, 1), MAILDROP_OK);
	assert_true(body_is_there(engine, id));
	node_close(&one, &view, false);
	node_settle(&one);
	assert_false(body_is_there(engine, id));
	assert_true(body_is_there(engine, other));
	engine_destroy(engine);
}

static void a_log_of_deletions_is_made_short(void **state)
{
	struct engine *engine = look();
	uint32_t numbers[100];
	struct view view;
	uint64_t before;

	(void)state;
	node_make(&one);
	for (uint32_t i = 0; i < 100; i++) {
		deliver(&one, "one\r\n");
		numbers[i] = i + 1;
	}
	before = log_size(engine);
	assert_int_equal(before, 100 * 56);
	open_it(&one, &view, 100);
	assert_int_equal(node_commit(&one, &view, numbers, 99), MAILDROP_OK);
	assert_int_equal(log_size(engine), 100 * 56 + 99 * 24);
	node_close(&one, &view, false);
	assert_int_equal(log_size(engine), 56);
	open_it(&one, &view, 1);
	node_close(&one, &view, false);
	deliver(&one, "two\r\n"); /* under the new generation */
	open_it(&one, &view, 2);
	node_close(&one, &view, false);
	engine_destroy(engine);
}

static void somebody_who_waits_gets_the_lock_at_once(void **state)
{
	struct engine *engine = look();
	uint32_t numbers[100];
	struct view view;

	(void)state;
	node_make(&one);
	for (uint32_t i = 0; i < 100; i++) {
		deliver(&one, "one\r\n");
		numbers[i] = i + 1;
	}
	open_it(&one, &view, 100);
	assert_int_equal(node_commit(&one, &view, numbers, 100), MAILDROP_OK);
	node_close(&one, &view, true);
	assert_int_equal(log_size(engine), 100 * 56 + 100 * 24);
	engine_destroy(engine);
}

/* ---- two nodes ---- */

static void begin_two(void)
{
	node_begin(&two);
	node_use(&two, path);
}

static void one_session_of_all_nodes_has_the_maildrop(void **state)
{
	struct view view, other;

	(void)state;
	begin_two();
	node_make(&one);
	deliver(&two, "one\r\n");
	open_it(&one, &view, 1);
	assert_int_equal(node_open(&two, &other), MAILDROP_IN_USE);
	assert_int_equal(node_open(&one, &other), MAILDROP_IN_USE);
	deliver(&two, "two\r\n");
	node_close(&one, &view, false);
	open_it(&two, &other, 2);
	assert_int_equal(node_commit(&two, &other, &(uint32_t){2}, 1), MAILDROP_OK);
	node_close(&two, &other, false);
	open_it(&one, &view, 1); /* what it had cached has a tail */
	node_close(&one, &view, false);
}

static void a_cache_of_another_generation_is_not_believed(void **state)
{
	uint32_t numbers[100];
	struct view view;

	(void)state;
	begin_two();
	node_make(&one);
	for (uint32_t i = 0; i < 100; i++) {
		deliver(&one, "one\r\n");
		numbers[i] = i + 1;
	}
	open_it(&one, &view, 100);
	node_close(&one, &view, false);
	open_it(&two, &view, 100);
	assert_int_equal(node_commit(&two, &view, numbers, 100), MAILDROP_OK);
	node_close(&two, &view, false);
	deliver(&one, "two\r\n"); /* its generation is old: refused, read again, appended */
	open_it(&one, &view, 1);
	assert_int_equal(node_read(&one, &view), MAILDROP_OK);
	assert_string_equal(view.texts[0], "two\r\n");
	node_close(&one, &view, false);
}

/* A node that stops for longer than its lease. */
static void a_lock_that_ended_deletes_nothing(void **state)
{
	struct view view, other;

	(void)state;
	node_end(&one);
	one.rados.lease_s = 2;
	node_begin(&one);
	node_use(&one, path);
	begin_two();
	node_make(&one);
	deliver(&one, "one\r\n");
	open_it(&one, &view, 1);
	faults_set(FAULT_BEFORE, 1, 1000); /* the node is cut off: no renewal comes through */
	while (!view.events)
		drive_for(50);
	assert_int_equal(node_read(&one, &view), MAILDROP_TEMP);
	assert_int_equal(node_commit(&one, &view, &(uint32_t){1}, 1), MAILDROP_LOST);
	faults_set(FAULT_NONE, 0, 0);
	while (node_open(&two, &other) == MAILDROP_IN_USE)
		drive_for(50);
	assert_int_equal(other.count, 1);
	node_close(&two, &other, false);
	node_close(&one, &view, false);
	open_it(&one, &view, 1);
	node_close(&one, &view, false);
}

static void a_lock_is_kept_beyond_its_lease(void **state)
{
	struct view view, other;

	(void)state;
	node_end(&one);
	one.rados.lease_s = 4;
	node_begin(&one);
	node_use(&one, path);
	begin_two();
	node_make(&one);
	deliver(&one, "one\r\n");
	open_it(&one, &view, 1);
	for (int i = 0; i < 60; i++) {
		drive_for(100);
		assert_int_equal(node_open(&two, &other), MAILDROP_IN_USE);
	}
	assert_int_equal(view.events, 0);
	assert_int_equal(node_commit(&one, &view, &(uint32_t){1}, 1), MAILDROP_OK);
	node_close(&one, &view, false);
}

/* The lock was taken away, and the session does not know: the cluster knows. */
static void a_broken_lock_deletes_nothing(void **state)
{
	struct engine *engine = look();
	struct engine_locker locker;
	struct view view, other;
	struct err err = {0};
	char name[80];

	(void)state;
	begin_two();
	node_make(&one);
	deliver(&one, "one\r\n");
	open_it(&one, &view, 1);
	snprintf(name, sizeof(name), "x/%s", path);
	assert_int_equal(engine_locker(engine, name, &locker, &err), 1);
	assert_int_equal(engine_break(engine, name, &locker, &err), 0);
	open_it(&two, &other, 1);
	assert_int_equal(node_commit(&one, &view, &(uint32_t){1}, 1), MAILDROP_LOST);
	assert_int_equal(node_commit(&two, &other, &(uint32_t){1}, 1), MAILDROP_OK);
	node_close(&one, &view, false);
	node_close(&two, &other, false);
	open_it(&one, &view, 0);
	node_close(&one, &view, false);
	engine_destroy(engine);
}

/* ---- docs/models.md, hole 1 ---- */

/* Of a node that waits long before it tries an append again. */
static void begin_slow(unsigned again_ms)
{
	node_end(&one);
	one.rados.again_ms = again_ms;
	one.rados.slack = 1;
	node_begin(&one);
	node_use(&one, path);
}

static void delete_all(struct node *node, uint32_t count)
{
	uint32_t numbers[MESSAGES_MAX];
	struct view view;

	for (uint32_t i = 0; i < count; i++)
		numbers[i] = i + 1;
	open_it(node, &view, count);
	assert_int_equal(node_commit(node, &view, numbers, count), MAILDROP_OK);
	node_close(node, &view, false);
	node_settle(node);
}

/* Generation, body, append: it is applied and not answered. True: the other node was done before
 * the second try. */
static bool deliver_in_doubt(unsigned again_ms)
{
	struct engine *engine = look();
	struct maildrop_usage usage = {0, 0};
	struct node_delivery delivery;
	struct view view;
	bool in_time;

	drive_new_path(path);
	node_use(&one, path);
	node_use(&two, path);
	begin_slow(again_ms);
	node_make(&one);
	faults_set(FAULT_AFTER, 3, 1);
	node_deliver_begin(&one, &delivery, "new\r\n", 5);
	while (faults_count() < 3)
		drive_for(1);
	while (!usage.messages)
		assert_int_equal(node_usage(&two, &usage), MAILDROP_OK);
	delete_all(&two, 1);
	assert_int_equal(log_size(engine), 0); /* compacted: nothing tells of it */
	in_time = !delivery.over;
	assert_int_equal(node_deliver_end(&one, &delivery), MAILDROP_OK);
	faults_set(FAULT_NONE, 0, 0);
	open_it(&two, &view, 0);
	node_close(&two, &view, false);
	engine_destroy(engine);
	return in_time;
}

/* The delivery was applied and not answered; meanwhile its message is shown, deleted, removed,
 * compacted away. */
static void a_delivered_message_that_was_deleted_does_not_come_back(void **state)
{
	unsigned again_ms = 500;

	(void)state;
	two.rados.slack = 1;
	begin_two();
	while (!deliver_in_doubt(again_ms))
		again_ms *= 2;
}

static void a_record_that_is_there_twice_shows_once(void **state)
{
	struct engine *engine = look();
	struct view view;

	(void)state;
	node_make(&one);
	faults_set(FAULT_AFTER, 3, 1);
	assert_int_equal(node_deliver(&one, "new\r\n", 5), MAILDROP_OK);
	faults_set(FAULT_NONE, 0, 0);
	assert_int_equal(log_size(engine), 2 * 56);
	open_it(&one, &view, 1);
	node_close(&one, &view, false);
	engine_destroy(engine);
}

/* Whether its body is still there is not asked any more: a sweep may have removed it for an orphan.
 */
static void a_delivery_that_is_too_old_appends_nothing(void **state)
{
	struct engine *engine = look();

	(void)state;
	node_make(&one);
	node_end(&one);
	one.rados.young_ms = 100;
	one.rados.again_ms = 200;
	node_begin(&one);
	node_use(&one, path);
	faults_set(FAULT_BEFORE, 3, 1);
	/* UNKNOWN, or TEMP, if it was too old before its first try */
	assert_int_not_equal(node_deliver(&one, "new\r\n", 5), MAILDROP_OK);
	faults_set(FAULT_NONE, 0, 0);
	assert_int_equal(log_size(engine), 0);
	engine_destroy(engine);
}

/* A pool that was removed and made again has no maildrop: nobody gets an empty one for it. */
static void a_pool_without_a_mark_has_no_empty_maildrops(void **state)
{
	struct view view;

	(void)state;
	node_end(&one);
	one.rados.pool = "unmarked";
	node_begin(&one);
	node_use(&one, path);
	assert_int_equal(node_open(&one, &view), MAILDROP_TEMP);
	assert_int_equal(node_deliver(&one, "x", 1), MAILDROP_TEMP);
}

/* ---- orphans ---- */

static bool count_one(void *context, const char *name)
{
	(void)name;
	++*(unsigned *)context;
	return true;
}

static unsigned bodies(struct engine *engine)
{
	struct err err = {0};
	unsigned count = 0;

	assert_int_equal(engine_list(engine, ENGINE_BODIES, "m/", count_one, &count, &err), 0);
	return count;
}

/* `valija rados sweep`. age_s 0: a test waits for no week. False: something was left out. */
static bool sweep(struct engine *engine, unsigned age_s, bool dry_run)
{
	struct tool tool = {.command = "sweep",
			    .engine = engine,
			    .pool = "mail",
			    .bodies = "bodies",
			    .dry_run = dry_run,
			    .orphan_s = age_s};
	struct err err = {0};

	if (sweep_command(&tool, &err) != 0)
		fail_msg("%s", err.text);
	return !tool.trouble;
}

/* It notes what it sees first, then removes it. */
static bool sweep_all(struct engine *engine)
{
	return sweep(engine, 0, false) && sweep(engine, 0, false);
}

/* A node that gives a delivery up after its first append. */
static void begin_impatient(unsigned again_ms)
{
	node_end(&one);
	one.rados.young_ms = 100;
	one.rados.again_ms = again_ms;
	node_begin(&one);
	node_use(&one, path);
}

static void lose_a_record(void)
{
	begin_impatient(200);
	faults_set(FAULT_BEFORE, 3, 1); /* generation, body, record */
	assert_int_not_equal(node_deliver(&one, "lost\r\n", 6), MAILDROP_OK);
	faults_set(FAULT_NONE, 0, 0);
}

static void an_orphan_is_swept_and_nothing_else(void **state)
{
	struct engine *engine = look();
	struct view view;
	unsigned before;

	(void)state;
	node_make(&one);
	deliver(&one, "one\r\n");
	assert_true(sweep_all(engine)); /* what other tests left */
	before = bodies(engine);
	lose_a_record();
	assert_int_equal(bodies(engine), before + 1);
	assert_true(sweep(engine, 0, true) && sweep(engine, 0, true)); /* notes nothing */
	assert_true(sweep(engine, 0, false));                          /* sees it first */
	assert_int_equal(bodies(engine), before + 1);
	assert_true(sweep(engine, 0, false));
	assert_int_equal(bodies(engine), before);
	open_it(&one, &view, 1);
	assert_int_equal(node_read(&one, &view), MAILDROP_OK);
	node_close(&one, &view, false);
	engine_destroy(engine);
}

static void a_young_orphan_stays(void **state)
{
	struct engine *engine = look();
	unsigned before;

	(void)state;
	node_make(&one);
	assert_true(sweep_all(engine));
	before = bodies(engine);
	lose_a_record();
	for (int i = 0; i < 3; i++)
		assert_true(sweep(engine, 3600, false));
	assert_int_equal(bodies(engine), before + 1);
	engine_destroy(engine);
}

static void a_sweep_passes_over_a_maildrop_in_use(void **state)
{
	struct engine *engine = look();
	struct view view;
	unsigned before;

	(void)state;
	node_make(&one);
	assert_true(sweep_all(engine));
	before = bodies(engine);
	lose_a_record();
	open_it(&one, &view, 0);
	assert_false(sweep_all(engine));
	assert_int_equal(bodies(engine), before + 1);
	node_close(&one, &view, false);
	assert_true(sweep(engine, 0, false));
	assert_int_equal(bodies(engine), before);
	engine_destroy(engine);
}

/* docs/models.md, hole 2: the append of a delivery lies somewhere for longer than the sweep waits.
 */
static void an_append_that_comes_after_a_sweep_is_refused(void **state)
{
	struct engine *engine = look();
	struct node_delivery delivery;
	struct view view;
	unsigned before;

	(void)state;
	node_make(&one);
	assert_true(sweep_all(engine));
	before = bodies(engine);
	begin_impatient(5000);
	faults_set(FAULT_LATE, 3, 1);
	node_deliver_begin(&one, &delivery, "late\r\n", 6);
	while (faults_count() < 3 && !delivery.over)
		drive_for(1);
	faults_set(FAULT_NONE, 0, 0);
	assert_int_equal(bodies(engine), before + 1);
	assert_true(sweep_all(engine));
	assert_int_equal(bodies(engine), before);
	faults_release();
	assert_int_equal(log_size(engine), 0); /* no record without a body */
	assert_int_not_equal(node_deliver_end(&one, &delivery), MAILDROP_OK);
	open_it(&one, &view, 0);
	node_close(&one, &view, false);
	engine_destroy(engine);
}

static void the_cluster_tells_the_time(void **state)
{
	struct engine *engine = look();
	struct err err = {0};
	time_t now = 0, again = 0;

	(void)state;
	assert_int_equal(engine_time(engine, "valija", &now, &err), 0);
	assert_true(now >= time(NULL) - 60 && now <= time(NULL) + 1); /* the same machine's clock */
	assert_int_equal(engine_time(engine, "valija", &again, &err), 0);
	assert_true(again >= now && again < now + 60); /* no lock is left, and none in the way */
	assert_int_equal(engine_time(engine, "nothing", &now, &err), -1);
	engine_destroy(engine);
}

/* ---- every operation, every fault ---- */

enum { LIVES = 3 };

/* What clients and MTAs were told. */
struct told {
	char text[64];
	bool acked, shown;
	bool deleted;       /* +OK */
	bool maybe_deleted; /* QUIT was answered, and not with +OK */
};

struct life {
	struct told mails[64];
	unsigned count;
	unsigned logins;
};

static struct told *told_of(struct life *life, const char *text)
{
	for (unsigned i = 0; i < life->count; i++)
		if (strcmp(life->mails[i].text, text) == 0)
			return &life->mails[i];
	fail_msg("a message that nobody sent: %s", text);
	return NULL;
}

/* Every 250 is remembered, and nothing is sent again under the same text: so a text that is seen
 * twice is a fault. */
static void send(struct life *life, struct node *node)
{
	struct told *mail = &life->mails[life->count++];

	snprintf(mail->text, sizeof(mail->text), "message %u\r\n", life->count);
	mail->acked = node_deliver(node, mail->text, strlen(mail->text)) == MAILDROP_OK;
}

static void check_view(struct life *life, const struct view *view)
{
	for (unsigned i = 0; i < life->count; i++)
		life->mails[i].shown = false;
	for (uint32_t n = 0; n < view->count; n++) {
		struct told *mail = told_of(life, view->texts[n]);

		assert_false(mail->shown);   /* twice */
		assert_false(mail->deleted); /* again */
		mail->shown = true;
	}
	for (unsigned i = 0; i < life->count; i++) {
		const struct told *mail = &life->mails[i];

		if (mail->acked && !mail->deleted && !mail->maybe_deleted)
			assert_true(mail->shown); /* lost */
	}
}

/* Logs in, reads all, deletes every second one. A fault ends the session, as the keeper would. */
static void collect(struct life *life, struct node *node)
{
	uint32_t numbers[64], count = 0;
	struct view view;
	enum maildrop_status status;

	if (node_open(node, &view) != MAILDROP_OK)
		return;
	if (node_read(node, &view) == MAILDROP_OK) {
		check_view(life, &view);
		for (uint32_t n = 1; n <= view.count; n += 2)
			numbers[count++] = n;
		status = node_commit(node, &view, numbers, count);
		for (uint32_t i = 0; i < count; i++) {
			struct told *mail = told_of(life, view.texts[numbers[i] - 1]);

			mail->deleted = status == MAILDROP_OK;
			mail->maybe_deleted = status == MAILDROP_UNKNOWN;
		}
		life->logins++;
	}
	node_close(node, &view, false);
}

/* After a login without faults what was not certain is. */
static void settle_told(struct life *life)
{
	struct view view;
	bool some = false, all = true;

	while (node_open(&one, &view) == MAILDROP_IN_USE) /* a lease that nobody gave back */
		drive_for(100);
	assert_int_equal(node_read(&one, &view), MAILDROP_OK);
	check_view(life, &view);
	for (unsigned i = 0; i < life->count; i++) {
		struct told *mail = &life->mails[i];

		if (!mail->maybe_deleted)
			continue;
		some = some || !mail->shown;
		all = all && !mail->shown;
		mail->maybe_deleted = false;
		mail->deleted = !mail->shown;
	}
	assert_true(!some || all); /* half a QUIT */
	node_close(&one, &view, false);
}

static unsigned live(struct life *life, enum fault fault, unsigned first, unsigned many)
{
	unsigned operations;

	drive_new_path(path);
	node_use(&one, path);
	node_use(&two, path);
	*life = (struct life){.count = 0};
	assert_int_equal(node_make(&one), MAILDROP_OK);
	faults_set(fault, first, many);
	for (int i = 0; i < LIVES; i++) {
		send(life, &one);
		send(life, &two);
		collect(life, i % 2 ? &two : &one);
	}
	operations = faults_count();
	faults_set(FAULT_NONE, 0, 0);
	settle_told(life);
	faults_release();
	settle_told(life);
	collect(life, &two);
	settle_told(life);
	node_settle(&one);
	node_settle(&two);
	return operations;
}

static void every_operation_with(enum fault fault, unsigned many)
{
	struct life life;
	unsigned operations, acked = 0, lives = 0;

	node_end(&one);
	one.rados.lease_s = two.rados.lease_s = 3; /* a lock that is not given back is waited for */
	one.rados.slack = two.rados.slack = 1; /* each session that deletes makes a shorter log */
	one.rados.again_ms = two.rados.again_ms = 1;
	node_begin(&one);
	begin_two();
	operations = live(&life, FAULT_NONE, 0, 0);
	assert_true(operations > 20);
	for (unsigned i = 0; i < life.count; i++)
		assert_true(life.mails[i].acked);
	assert_int_equal(life.logins, LIVES + 1);
	for (unsigned first = 1; first <= operations; first++, lives++) {
		live(&life, fault, first, many);
		for (unsigned i = 0; i < life.count; i++)
			acked += life.mails[i].acked;
	}
	print_message("fault %d, %u in a row: %u lives of %u operations, %u acknowledged "
		      "deliveries read back\n",
		      fault, many, lives, operations, acked);
}

static void every_operation_fails(void **state)
{
	(void)state;
	every_operation_with(FAULT_FAILS, 1);
}

static void every_operation_times_out_before(void **state)
{
	(void)state;
	every_operation_with(FAULT_BEFORE, 1);
}

static void every_operation_times_out_after(void **state)
{
	(void)state;
	every_operation_with(FAULT_AFTER, 1);
}

static void every_operation_is_late(void **state)
{
	(void)state;
	every_operation_with(FAULT_LATE, 1);
}

static void every_operation_finds_the_pool_full(void **state)
{
	(void)state;
	every_operation_with(FAULT_FULL, 1);
}

static void every_two_operations_time_out_after(void **state)
{
	(void)state;
	every_operation_with(FAULT_AFTER, 2);
}

/* WORD: only the tests whose names have it. */
int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(a_maildrop_is_made_before_it_has_mail),
		TEST(mail_comes_back_as_it_was),
		TEST(what_is_deleted_is_gone_and_ids_stay),
		TEST(a_session_does_not_see_what_came_behind_it),
		TEST(a_large_message_comes_in_slices),
		TEST(quota_counts_what_the_log_says),
		TEST(bodies_of_deleted_messages_are_removed),
		TEST(a_log_of_deletions_is_made_short),
		TEST(somebody_who_waits_gets_the_lock_at_once),
		TEST(one_session_of_all_nodes_has_the_maildrop),
		TEST(a_cache_of_another_generation_is_not_believed),
		TEST(a_lock_that_ended_deletes_nothing),
		TEST(a_lock_is_kept_beyond_its_lease),
		TEST(a_broken_lock_deletes_nothing),
		TEST(a_delivered_message_that_was_deleted_does_not_come_back),
		TEST(a_record_that_is_there_twice_shows_once),
		TEST(a_delivery_that_is_too_old_appends_nothing),
		TEST(a_pool_without_a_mark_has_no_empty_maildrops),
		TEST(an_orphan_is_swept_and_nothing_else),
		TEST(a_young_orphan_stays),
		TEST(a_sweep_passes_over_a_maildrop_in_use),
		TEST(an_append_that_comes_after_a_sweep_is_refused),
		TEST(the_cluster_tells_the_time),
		TEST(every_operation_fails),
		TEST(every_operation_times_out_before),
		TEST(every_operation_times_out_after),
		TEST(every_operation_is_late),
		TEST(every_operation_finds_the_pool_full),
		TEST(every_two_operations_time_out_after),
	};
	int failed;

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	drive_begin();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	drive_end();
	return failed;
}
