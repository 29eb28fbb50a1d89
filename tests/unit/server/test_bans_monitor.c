/* Bans in the monitor: questions and their answers, the table that goes to fronts, the file and its
 * worker, and the end of bans. The test plays the process control; its workers can be held, the
 * time of day and the loop's timers are the test's. */
#include "server/monitor/bans.h"

#include "base/descriptor.h"
#include "base/log.h"
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum { NOW = 1000000, CONTROL = 12, PATIENCE_MS = 30000, HOUR_MS = 60 * 60 * 1000 };

static struct loop *loop;
static struct workers *workers;
static struct bans *bans; /* on the heap, so that what goes beyond it shows */
static struct mail_root root;
static char folder[64];
static struct {
	time_t now;
	unsigned changes, made, answers, lines, fsyncs;
	uint64_t instance, timer; /* of the last answer; the last timer's ms, 0: none */
	struct ipc_ban_page page;
	char rows[IPC_BATCH_MAX];
	size_t size;
	char log[4096];
	bool full, hold; /* workers take nothing; or keep what they took */
	struct job *held;
	int fsync_error;
	unsigned fsync_good; /* so many work before */
} test;

/* ---- wraps ---- */

time_t __wrap_time(time_t *ret);
void __wrap_loop_timer_set(struct loop_timer *timer, uint64_t ms);
void __wrap_loop_timer_cancel(struct loop_timer *timer);
int __wrap_workers_add(struct workers *to, struct job *job, bool force);
int __real_fsync(int fd);
int __wrap_fsync(int fd);

time_t __wrap_time(time_t *ret)
{
	if (ret)
		*ret = test.now;
	return test.now;
}

void __wrap_loop_timer_set(struct loop_timer *timer, uint64_t ms)
{
	assert_ptr_equal(timer, &bans->over);
	test.timer = ms;
}

void __wrap_loop_timer_cancel(struct loop_timer *timer)
{
	assert_ptr_equal(timer, &bans->over);
	test.timer = 0;
}

int __wrap_workers_add(struct workers *to, struct job *job, bool force)
{
	assert_ptr_equal(to, workers);
	assert_false(force);
	if (test.full)
		return -1;
	assert_null(test.held); /* one at a time */
	test.held = job;
	return 0;
}

int __wrap_fsync(int fd)
{
	test.fsyncs++;
	if (test.fsync_error && test.fsync_good-- == 0) {
		errno = test.fsync_error;
		return -1;
	}
	return __real_fsync(fd);
}

/* ---- what the test does ---- */

static void keep(enum log_level level, const char *text, size_t size)
{
	size_t used = strlen(test.log);

	snprintf(test.log + used, sizeof(test.log) - used, "%d %.*s\n", (int)level, (int)size,
		 text);
	test.lines++;
}

static bool was_logged(const char *words)
{
	bool found = strstr(test.log, words) != NULL;

	if (!found)
		print_message("log: %s\n", test.log);
	test.log[0] = '\0';
	return found;
}

static void changed(void *context)
{
	assert_ptr_equal(context, &test);
	test.changes++;
}

static void made(void *context, const struct ipc_ban *change)
{
	assert_ptr_equal(context, &test);
	assert_true(change->act == BAN_ADD || change->act == BAN_REMOVE);
	test.made++;
}

static void answered(void *context, uint64_t instance, struct ipc_ban_page *page, pop3_span rows)
{
	assert_ptr_equal(context, &test);
	assert_true(rows.size <= sizeof(test.rows));
	test.answers++;
	test.instance = instance;
	test.page = *page;
	test.size = rows.size;
	memcpy(test.rows, rows.data, rows.size);
}

/* The worker has done what it took. */
static void work(void)
{
	struct job *job = test.held;

	assert_non_null(job);
	test.held = NULL;
	job->run(job);
	job->done(job);
}

static struct ipc_ban *ask_of(enum ipc_ban_act act, const char *network, const char *why)
{
	static _Alignas(8) char buffer[sizeof(struct ipc_ban) + 256];
	struct ipc_ban *ask = (void *)buffer;
	static uint64_t number;
	struct network parsed = {.bits = 0};

	memset(buffer, 0, sizeof(buffer));
	assert_true(!network || network_parse(span_of(network), &parsed));
	*ask = (struct ipc_ban){.number = ++number,
				.uid = 501,
				.gid = 1,
				.act = act,
				.seconds = 600,
				.bits = parsed.bits};
	memcpy(ask->address, parsed.address, sizeof(ask->address));
	ask->head.type = IPC_BAN;
	ask->head.texts[0] = (uint16_t)strlen(why);
	ask->head.tail = ask->head.texts[0];
	memcpy(ask + 1, why, ask->head.tail);
	return ask;
}

/* The answer that came at once; its status is BAN_STATUSES if none did. */
static enum ipc_ban_status put(const struct ipc_ban *ask)
{
	unsigned before = test.answers;

	bans_ask(bans, CONTROL, ask, true);
	if (test.answers == before)
		return BAN_STATUSES;
	assert_int_equal(test.answers, before + 1);
	assert_int_equal(test.instance, CONTROL);
	assert_int_equal(test.page.number, ask->number);
	return (enum ipc_ban_status)test.page.status;
}

static void add(const char *network)
{
	struct ipc_ban *ask = ask_of(BAN_ADD, network, "why not");
	unsigned before = test.answers;

	assert_int_equal(put(ask), BAN_STATUSES);
	assert_false(bans_are_settled(bans));
	work();
	assert_int_equal(test.answers, before + 1);
	assert_int_equal(test.page.number, ask->number);
	assert_int_equal(test.page.status, BAN_OK);
	assert_string_equal(test.page.words, "");
	assert_true(bans_are_settled(bans));
}

static bool table_has(const char *address)
{
	struct ban_table table = {NULL, 0};
	struct network one;
	bool has;

	assert_true(network_parse(span_of(address), &one));
	assert_int_equal(ban_table_open(&table, bans->table_fd, bans->table_count), 0);
	has = ban_table_has(&table, one.address, test.now);
	ban_table_close(&table);
	return has;
}

static void read_text(char *buf, size_t size)
{
	int fd = open(bans->path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, buf, size - 1);

	assert_true(n >= 0);
	buf[n] = '\0';
	close_fd(&fd);
}

static bool file_has(const char *words)
{
	static char text[65536];

	read_text(text, sizeof(text));
	return strstr(text, words) != NULL;
}

static void write_text(const char *text)
{
	FILE *file = fopen(bans->path, "we");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static unsigned descriptors(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static int begin(void **state)
{
	static char somebody; /* workers are not looked into */
	union {
		char *some;
		struct workers *workers;
	} as = {.some = &somebody};
	struct err err;

	(void)state;
	memset(&test, 0, sizeof(test));
	test.now = NOW;
	strcpy(folder, "/tmp/valija-bans-XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(root.memory, sizeof(root.memory), "%s/mail-root-abc", folder);
	loop = loop_create(&err);
	workers = as.workers;
	bans = calloc(1, sizeof(*bans));
	assert_true(loop && bans);
	bans->workers = workers;
	bans->changed = changed;
	bans->made = made;
	bans->answer = answered;
	bans->context = &test;
	bans_init(bans, loop);
	bans_open(bans, &root);
	log_set_output(keep);
	return 0;
}

static int end(void **state)
{
	char command[96];

	(void)state;
	log_set_output(NULL);
	while (test.held) /* what a job has is its own */
		work();
	bans_end(bans);
	bans_finish(bans);
	free(bans);
	loop_destroy(loop);
	snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	return system(command);
}

/* ---- changes ---- */

/* Another machine's person is not judged here, and its change goes no further. */
static void test_what_another_machine_tells(void **state)
{
	struct ipc_ban *ask = ask_of(BAN_ADD, "192.0.2.0/24", "guesses");

	(void)state;
	bans_told(bans, ask);
	assert_true(table_has("192.0.2.7"));
	assert_true(was_logged("banned"));
	work();
	assert_true(bans_are_settled(bans));
	assert_true(file_has("192.0.2.0/24"));
	bans_told(bans, ask_of(BAN_ADD, "127.0.0.0/8", ""));
	assert_true(was_logged("loopback"));
	assert_false(table_has("127.0.0.1"));
	bans_told(bans, ask_of(BAN_REMOVE, "198.51.100.0/24", "")); /* not there */
	assert_int_equal(test.changes, 1);
	bans_told(bans, ask_of(BAN_REMOVE, "192.0.2.0/24", ""));
	assert_int_equal(test.changes, 2);
	work();
	assert_int_equal(test.answers, 0);
	assert_int_equal(test.made, 0);
	add("192.0.2.0/24");
	assert_int_equal(test.made, 1);
}

static void test_a_ban_holds_at_once_and_is_written_down(void **state)
{
	struct ipc_ban *ask = ask_of(BAN_ADD, "192.0.2.77/24", "guesses\tpasswords\x7f");

	(void)state;
	assert_int_equal(bans->table_fd, -1);
	assert_true(bans->path[0]);
	assert_true(bans_are_settled(bans));
	assert_int_equal(put(ask), BAN_STATUSES); /* not yet */
	assert_int_equal(test.changes, 1);
	assert_true(table_has("192.0.2.1") && !table_has("192.0.3.1"));
	assert_false(bans_are_settled(bans));
	assert_true(bans_would_be_lost(bans));
	assert_true(was_logged("banned"));
	work();
	assert_int_equal(test.answers, 1);
	assert_int_equal(test.page.status, BAN_OK);
	assert_int_equal(test.page.number, ask->number);
	assert_true(bans_are_settled(bans));
	assert_false(bans_would_be_lost(bans));
	assert_int_equal(test.fsyncs, 2); /* the file's and the folder's */
	assert_true(file_has(
		"192.0.2.0/24 until=1000600 since=1000000 by-uid=501 why=guesses?passwords?\n"));
	assert_null(test.held);
}

/* What is changed while a worker writes is written after that, and answered then. */
static void test_changes_during_a_writing(void **state)
{
	struct ipc_ban *ask = ask_of(BAN_ADD, "192.0.2.1", "");
	uint64_t first = ask->number;

	(void)state;
	assert_int_equal(put(ask), BAN_STATUSES);
	assert_int_equal(put(ask_of(BAN_ADD, "192.0.2.2", "")), BAN_STATUSES);
	assert_int_equal(put(ask_of(BAN_ADD, "192.0.2.3", "")), BAN_STATUSES);
	assert_int_equal(test.changes, 3);
	work();
	assert_int_equal(test.answers, 1);
	assert_int_equal(test.page.number, first);
	assert_false(file_has("192.0.2.2"));
	assert_false(bans_are_settled(bans));
	assert_true(bans_would_be_lost(bans));
	work();
	assert_int_equal(test.answers, 3);
	assert_int_equal(test.page.number, first + 2);
	assert_true(file_has("192.0.2.2") && file_has("192.0.2.3"));
	assert_null(test.held);
	assert_true(bans_are_settled(bans) && !bans_would_be_lost(bans));
}

static void test_a_ban_is_removed(void **state)
{
	(void)state;
	add("192.0.2.0/24");
	add("2001:db8::/32");
	assert_int_equal(put(ask_of(BAN_REMOVE, "192.0.2.0/25", "")), BAN_NOT_THERE);
	assert_int_equal(test.changes, 2);
	test.log[0] = '\0';
	assert_int_equal(put(ask_of(BAN_REMOVE, "192.0.2.0/24", "")), BAN_STATUSES);
	assert_true(was_logged("unbanned") && !table_has("192.0.2.1") && table_has("2001:db8::1"));
	work();
	assert_int_equal(test.page.status, BAN_OK);
	assert_false(file_has("192.0.2"));
	assert_int_equal(put(ask_of(BAN_REMOVE, "2001:db8::/32", "")), BAN_STATUSES);
	assert_int_equal(bans->table_fd, -1); /* none is left: no table */
	assert_int_equal(bans->table_count, 0);
	assert_false(bans_would_be_lost(bans)); /* nothing holds that is not written down */
	work();
	assert_true(file_has("end 0\n"));
}

/* As many as fit may wait for the disk. */
static void test_so_many_may_wait(void **state)
{
	char network[32];

	(void)state;
	for (unsigned i = 0; i < BANS_WAITERS; i++) {
		snprintf(network, sizeof(network), "192.0.2.%u", i);
		assert_int_equal(put(ask_of(BAN_ADD, network, "")), BAN_STATUSES);
	}
	assert_int_equal(put(ask_of(BAN_ADD, "192.0.2.200", "")), BAN_FAILED);
	assert_string_equal(test.page.words, "too many changes wait for the disk: try again");
	assert_int_equal(put(ask_of(BAN_REMOVE, "192.0.2.1", "")), BAN_FAILED);
	assert_false(table_has("192.0.2.200"));
	work();
	assert_int_equal(test.answers, 3);
	assert_int_equal(put(ask_of(BAN_ADD, "192.0.2.200", "")), BAN_STATUSES);
	work();
	assert_int_equal(test.answers, 2 + BANS_WAITERS);
	work();
	assert_int_equal(test.answers, 3 + BANS_WAITERS);
	assert_true(bans_are_settled(bans));
}

static void test_a_full_list(void **state)
{
	struct ban ban = {.until = NOW + 10, .network = {.bits = 128}};

	(void)state;
	for (unsigned i = 0; i < BANS_MAX; i++) {
		ban.network.address[14] = (uint8_t)(i >> 8);
		ban.network.address[15] = (uint8_t)i;
		assert_int_equal(ban_list_add(&bans->list, &ban), 0);
	}
	assert_int_equal(put(ask_of(BAN_ADD, "192.0.2.1", "")), BAN_FAILED);
	assert_non_null(strstr(test.page.words, "the list of bans is full: remove some"));
	assert_int_equal(test.changes, 0);
	test.now += 10; /* they are over: there is room */
	assert_int_equal(put(ask_of(BAN_ADD, "192.0.2.1", "")), BAN_STATUSES);
	assert_int_equal(bans->list.count, 1);
}

static void refused_but_by_force(const char *network, const char *words)
{
	struct ipc_ban *ask = ask_of(BAN_ADD, network, "");

	if (put(ask) != BAN_FAILED || !strstr(test.page.words, words))
		fail_msg("%s: %s", network, test.page.words);
	assert_int_equal(bans->list.count, 0);
	ask->flags = BAN_FORCE;
	assert_int_equal(put(ask), BAN_STATUSES);
	work();
	ask = ask_of(BAN_REMOVE, network, ""); /* needs no force */
	assert_int_equal(put(ask), BAN_STATUSES);
	work();
}

static void test_networks_that_need_force(void **state)
{
	static const char *const own[] = {"127.0.0.1",   "127.255.255.255", "127.1.0.0/16",
					  "127.0.0.0/8", "126.0.0.0/7",     "0.0.0.0/0",
					  "::1",         "::/120",          "::/0"},
				 *const wide[] = {"128.0.0.0/7", "224.0.0.0/4", "2001::/15",
						  "8000::/1"},
				 *const good[] = {"126.0.0.0/8", "128.0.0.0/8", "2001::/16", "::2",
						  "10.0.0.1"};

	(void)state;
	for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
		refused_but_by_force(own[i], "has addresses of this machine (loopback)");
	for (size_t i = 0; i < sizeof(wide) / sizeof(*wide); i++)
		refused_but_by_force(wide[i], "that network is very wide: --force");
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		add(good[i]);
}

static void test_threat_111_nobody_else_is_obeyed(void **state)
{
	struct ipc_ban *ask = ask_of(BAN_ADD, "192.0.2.1", "");

	(void)state;
	bans_ask(bans, CONTROL, ask, false);
	assert_int_equal(test.page.status, BAN_REFUSED);
	assert_int_equal(bans->list.count, 0);
	add("192.0.2.2");
	ask = ask_of(BAN_LIST, NULL, "");
	ask->flags = BAN_BEGINS;
	bans_ask(bans, CONTROL, ask, false);
	assert_int_equal(test.page.status, BAN_REFUSED);
	assert_int_equal(test.page.count + test.size, 0);
}

/* ---- lists ---- */

static const struct ipc_ban_row *row_at(size_t *at)
{
	const struct ipc_ban_row *row = (const void *)(test.rows + *at);

	*at += sizeof(*row) + ipc_who_name_room(row->why_size);
	assert_true(*at <= test.size);
	return row;
}

static void test_pages(void **state)
{
	enum { ALL = 2 * IPC_BAN_ROWS_MAX };
	struct ipc_ban *ask = ask_of(BAN_LIST, NULL, "");
	struct ban ban = {
		.until = NOW + 10, .since = NOW - 5, .by_uid = 7, .network = {.bits = 128}};
	const struct ipc_ban_row *row = NULL;
	unsigned seen = 0;

	(void)state;
	for (unsigned i = 0; i < ALL; i++) {
		ban.network.address[0] = 0x20;
		ban.network.address[14] = (uint8_t)(i >> 8);
		ban.network.address[15] = (uint8_t)i;
		memset(ban.why, 0, sizeof(ban.why));
		memset(ban.why, 'x', i % IPC_BAN_WHY_MAX);
		assert_int_equal(ban_list_add(&bans->list, &ban), 0);
	}
	ask->flags = BAN_BEGINS;
	memset(ask->address, 0xff, sizeof(ask->address)); /* not looked at */
	for (unsigned pages = 1;; pages++) {
		enum ipc_ban_status status = put(ask);
		size_t at = 0;

		assert_int_equal(status, pages == 2 ? BAN_OK : BAN_MORE);
		assert_int_equal(test.page.count, IPC_BAN_ROWS_MAX);
		for (unsigned i = 0; i < test.page.count; i++, seen++) {
			row = row_at(&at);
			assert_int_equal(row->address[14] << 8 | row->address[15], seen);
			assert_int_equal(row->bits, 128);
			assert_int_equal(row->until, NOW + 10);
			assert_int_equal(row->since, NOW - 5);
			assert_int_equal(row->by_uid, 7);
			assert_int_equal(row->why_size, seen % IPC_BAN_WHY_MAX);
			for (uint32_t o = 0; o < ipc_who_name_room(row->why_size); o++)
				assert_int_equal(((const char *)(row + 1))[o],
						 o < row->why_size ? 'x' : '\0');
		}
		assert_int_equal(at, test.size);
		if (status == BAN_OK)
			break;
		ask->flags = 0;
		memcpy(ask->address, row->address, sizeof(ask->address));
		ask->bits = row->bits;
	}
	assert_int_equal(seen, ALL);
	assert_int_equal(test.changes, 0);
	assert_null(test.held);
}

/* A list has none that is over, and then the file and the table have none either. */
static void test_a_list_has_none_that_is_over(void **state)
{
	struct ipc_ban *ask;

	(void)state;
	add("192.0.2.1");
	test.now += 100;
	add("192.0.2.2");
	test.now = NOW + 600;
	ask = ask_of(BAN_LIST, NULL, "");
	ask->flags = BAN_BEGINS;
	assert_int_equal(put(ask), BAN_OK);
	assert_int_equal(test.page.count, 1);
	assert_int_equal(test.changes, 3);
	work();
	assert_false(file_has("192.0.2.1"));
	assert_true(file_has("192.0.2.2"));
	assert_int_equal(put(ask), BAN_OK);
	assert_int_equal(test.changes, 3);
	assert_null(test.held);
}

/* ---- their end ---- */

static void test_the_first_end_sets_the_timer(void **state)
{
	struct ipc_ban *ask;

	(void)state;
	assert_int_equal(test.timer, 0);
	add("192.0.2.1");
	assert_int_equal(test.timer, 600 * 1000);
	ask = ask_of(BAN_ADD, "192.0.2.2", "");
	ask->seconds = 7;
	assert_int_equal(put(ask), BAN_STATUSES);
	assert_int_equal(test.timer, 7000);
	work();
	add("192.0.2.3");
	assert_int_equal(test.timer, 7000); /* still the first */
	test.now += 7;
	bans->over.fired(&bans->over);
	assert_int_equal(bans->list.count, 2);
	assert_int_equal(test.timer, (600 - 7) * 1000);
	assert_int_equal(test.changes, 4);
	assert_true(bans_would_be_lost(bans));
	work();
	assert_false(file_has("192.0.2.2"));
	bans->over.fired(&bans->over); /* too early: nothing is over */
	assert_int_equal(test.changes, 4);
	assert_null(test.held);
	assert_int_equal(test.timer, (600 - 7) * 1000);
	test.now = NOW + 600;
	bans->over.fired(&bans->over);
	assert_int_equal(bans->list.count, 0);
	assert_int_equal(test.timer, 0);
}

static void test_a_timer_is_at_most_an_hour(void **state)
{
	struct ipc_ban *ask = ask_of(BAN_ADD, "192.0.2.1", "");

	(void)state;
	ask->seconds = HOUR_MS / 1000 + 1;
	assert_int_equal(put(ask), BAN_STATUSES);
	assert_int_equal(test.timer, HOUR_MS);
	work();
	ask->seconds = HOUR_MS / 1000 - 1;
	assert_int_equal(put(ask), BAN_STATUSES);
	assert_int_equal(test.timer, HOUR_MS - 1000);
	work();
	ask->seconds = 0; /* it is over: soon */
	assert_int_equal(put(ask), BAN_STATUSES);
	assert_int_equal(test.timer, 1000);
}

/* ---- the file ---- */

/* A start reads what an earlier one wrote; a second opening of the same file does nothing. */
static void test_a_start_has_the_bans_of_the_last(void **state)
{
	unsigned before = descriptors();

	(void)state;
	write_text("valija-bans 1\n192.0.2.0/24 until=1000050 since=1 by-uid=0 why=x\nend 1\n");
	bans_open(bans, &root);
	assert_int_equal(bans->list.count, 0); /* it was read and was sound */
	bans->path[0] = '\0';
	bans_open(bans, &root);
	assert_int_equal(bans->list.count, 1);
	assert_int_equal(test.changes, 1);
	assert_int_equal(test.timer, 50 * 1000);
	assert_true(table_has("192.0.2.1"));
	bans_open(bans, &root);
	assert_int_equal(test.changes, 1);
	assert_int_equal(test.lines, 0);
	assert_false(bans_would_be_lost(bans));
	assert_int_equal(descriptors(), before + 1); /* the table */
}

/* Of a damaged file the sound lines hold; nothing is changed until it was mended. */
static void test_a_damaged_file(void **state)
{
	static const char damaged[] =
		"valija-bans 1\n192.0.2.0/24 until=1000050 since=1 by-uid=0 why=x\nxx\nend 2\n";
	struct ipc_ban *ask = ask_of(BAN_LIST, NULL, "");
	char text[256];

	(void)state;
	write_text(damaged);
	bans->path[0] = '\0';
	bans_open(bans, &root);
	assert_true(was_logged(":3: it does not begin with a net"));
	assert_true(table_has("192.0.2.1"));
	ask->flags = BAN_BEGINS;
	assert_int_equal(put(ask), BAN_FAILED);
	assert_non_null(strstr(test.page.words, ":3: it does not begin with a net"));
	assert_int_equal(put(ask_of(BAN_ADD, "192.0.3.1", "")), BAN_FAILED);
	assert_non_null(strstr(test.page.words, ":3: it does not begin with a net"));
	assert_int_equal(put(ask_of(BAN_REMOVE, "192.0.2.0/24", "")), BAN_FAILED);
	assert_int_equal(bans->list.count, 1);
	test.now = NOW + 50; /* it ends all the same, but not in that file */
	bans->over.fired(&bans->over);
	assert_int_equal(bans->list.count, 0);
	assert_null(test.held);
	read_text(text, sizeof(text));
	assert_string_equal(text, damaged);
	test.now = NOW;
	bans_open(bans, &root); /* a reload: it is damaged still */
	assert_true(was_logged(":3: it does not begin with a net"));
	assert_int_equal(bans->list.count, 1);
	write_text("valija-bans 1\n192.0.4.0/24 until=1000050 since=1 by-uid=0 why=x\nend 1\n");
	bans_open(bans, &root);
	assert_int_equal(bans->list.count, 1);
	assert_true(table_has("192.0.4.1") && !table_has("192.0.2.1"));
	add("192.0.5.1");
	assert_true(file_has("192.0.4.0/24") && file_has("192.0.5.1"));
}

/* The file of a damaged one was emptied: what held of it is gone from the table as well. */
static void test_a_damaged_file_that_is_removed(void **state)
{
	(void)state;
	write_text("valija-bans 1\n192.0.2.0/24 until=1000050 since=1 by-uid=0 why=x\n");
	bans->path[0] = '\0';
	bans_open(bans, &root);
	assert_true(table_has("192.0.2.1"));
	assert_int_equal(test.changes, 1);
	assert_int_equal(unlink(bans->path), 0);
	bans_open(bans, &root);
	assert_int_equal(bans->list.count, 0);
	assert_int_equal(bans->table_fd, -1);
	assert_int_equal(test.changes, 2);
	assert_int_equal(test.timer, 0);
}

static void test_no_state_folder(void **state)
{
	static const char words[] =
		"it holds until valijad ends, but is not written down: there is no state folder: "
		"set STATE_DIRECTORY";

	(void)state;
	root.memory[0] = '\0';
	bans_open(bans, &root);
	assert_string_equal(bans->path, "");
	assert_int_equal(put(ask_of(BAN_ADD, "192.0.2.1", "")), BAN_FAILED);
	assert_string_equal(test.page.words, words);
	assert_true(was_logged("the bans hold until valijad ends, but are not written down: there "
			       "is no state folder"));
	assert_true(table_has("192.0.2.1"));
	assert_null(test.held);
	assert_true(bans_are_settled(bans) && bans_would_be_lost(bans));
}

/* Its flush or that of its folder fails. */
static void test_what_cannot_be_written(void **state)
{
	(void)state;
	for (unsigned good = 0; good < 2; good++) {
		assert_int_equal(put(ask_of(BAN_ADD, "192.0.2.9", "")), BAN_STATUSES);
		test.fsync_error = EIO;
		test.fsync_good = good;
		work();
		assert_int_equal(test.page.status, BAN_FAILED);
	}
	assert_int_equal(put(ask_of(BAN_ADD, "192.0.2.1", "")), BAN_STATUSES);
	test.fsync_good = 0;
	work();
	assert_int_equal(test.page.status, BAN_FAILED);
	assert_non_null(strstr(test.page.words, "it holds until valijad ends, but is not written "
						"down: "));
	assert_non_null(strstr(test.page.words, "cannot be written: "));
	assert_true(was_logged("are not written down"));
	assert_true(bans_are_settled(bans) && bans_would_be_lost(bans));
	assert_null(test.held);
	test.fsync_error = 0;
	add("192.0.2.2"); /* the next writing has both */
	assert_true(file_has("192.0.2.1"));
	assert_false(bans_would_be_lost(bans));
	test.full = true;
	assert_int_equal(put(ask_of(BAN_ADD, "192.0.2.3", "")), BAN_FAILED);
	assert_non_null(strstr(test.page.words, "there is no memory, or the disk does not answer"));
	assert_true(bans_are_settled(bans) && bans_would_be_lost(bans));
}

/* Without workers any more, at the end: it is written when it is due. */
static void test_the_end(void **state)
{
	(void)state;
	assert_int_equal(put(ask_of(BAN_ADD, "192.0.2.1", "")), BAN_STATUSES);
	assert_int_equal(put(ask_of(BAN_ADD, "192.0.2.2", "")), BAN_STATUSES);
	assert_int_equal(test.timer, 600 * 1000);
	bans_end(bans);
	assert_int_equal(test.timer, 0);
	work(); /* and at once what has come since */
	assert_int_equal(test.answers, 2);
	assert_null(test.held);
	assert_true(file_has("192.0.2.2"));
	assert_true(bans_are_settled(bans) && !bans_would_be_lost(bans));
}

static void test_the_log(void **state)
{
	(void)state;
	add("192.0.2.0/24");
	assert_true(was_logged("2 banned network=\"192.0.2.0/24\" seconds=600 by-uid=501 "
			       "reason=\"why\\x20not\"\n"));
	assert_int_equal(put(ask_of(BAN_REMOVE, "192.0.2.0/24", "")), BAN_STATUSES);
	assert_true(was_logged("unbanned network=\"192.0.2.0/24\" by-uid=501\n"));
}

#define BANS(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BANS(test_what_another_machine_tells),
		BANS(test_a_ban_holds_at_once_and_is_written_down),
		BANS(test_changes_during_a_writing),
		BANS(test_a_ban_is_removed),
		BANS(test_so_many_may_wait),
		BANS(test_a_full_list),
		BANS(test_networks_that_need_force),
		BANS(test_threat_111_nobody_else_is_obeyed),
		BANS(test_pages),
		BANS(test_a_list_has_none_that_is_over),
		BANS(test_the_first_end_sets_the_timer),
		BANS(test_a_timer_is_at_most_an_hour),
		BANS(test_a_start_has_the_bans_of_the_last),
		BANS(test_a_damaged_file),
		BANS(test_a_damaged_file_that_is_removed),
		BANS(test_no_state_folder),
		BANS(test_what_cannot_be_written),
		BANS(test_the_end),
		BANS(test_the_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
