/* Files of certificates that change while they are served: what is noticed, what keys is asked,
 * what is used, and what if something does not answer. Looks are real processes, but for some that
 * the test plays; timers fire when the test says so. */
#include "server/monitor/certificate_watch.h"

#include "base/descriptor.h"
#include "base/log.h"
#include "sys/process.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAUSE = 60000, QUIET = 1000, SECOND = 5000, PATIENCE = 10000, TICKS = 15000 };

#define CERTIFICATE(text) "-----BEGIN CERTIFICATE-----\n" text "\n-----END CERTIFICATE-----\n"

static char folder[64];
static struct loop *loop;
static struct config config;
static struct generation_files files;
static struct certificate_watch watch;
static struct {
	uint64_t next, patience; /* ms of these timers, set last; 0: not since */
	unsigned asked, used, lines;
	uint32_t number, ask;
	char packed[PACKED_COUNT][512];
	char log[4096];
	bool hangs, cannot_start;
	int played; /* the end of the look that hangs */
	pid_t played_pid;
	bool (*until)(void);
	bool met;
} test;

/* ---- wraps ---- */

pid_t __real_process_ask(void (*ask)(int fd, int out, const void *context), int fd,
			 const void *context, int *ret_answer, struct err *err);
pid_t __wrap_process_ask(void (*ask)(int fd, int out, const void *context), int fd,
			 const void *context, int *ret_answer, struct err *err);
void __real_loop_timer_set(struct loop_timer *timer, uint64_t ms);
void __wrap_loop_timer_set(struct loop_timer *timer, uint64_t ms);

static pid_t play(int *ret_answer)
{
	int ends[2];
	pid_t pid;

	assert_int_equal(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
	pid = fork();
	if (pid == 0) {
		close(ends[0]);
		close(ends[1]);
		for (;;)
			pause();
	}
	*ret_answer = ends[0];
	test.played = ends[1];
	return test.played_pid = pid;
}

pid_t __wrap_process_ask(void (*ask)(int fd, int out, const void *context), int fd,
			 const void *context, int *ret_answer, struct err *err)
{
	assert_int_equal(fd, files.certificates_fd);
	if (test.cannot_start)
		return err_set(err, 1, "no process");
	return test.hangs ? play(ret_answer)
			  : __real_process_ask(ask, fd, context, ret_answer, err);
}

void __wrap_loop_timer_set(struct loop_timer *timer, uint64_t ms)
{
	if (timer == &watch.next)
		test.next = ms;
	else if (timer == &watch.patience)
		test.patience = ms;
	else
		__real_loop_timer_set(timer, ms);
}

/* ---- what the test does ---- */

static void keep(enum log_level level, const char *text, size_t size)
{
	size_t used = strlen(test.log);

	snprintf(test.log + used, sizeof(test.log) - used, "%d %.*s\n", (int)level, (int)size,
		 text);
	test.lines++;
}

static void ask(void *context, const struct packed *packed, uint32_t number, uint32_t which)
{
	assert_ptr_equal(context, &test);
	for (unsigned kind = 0; kind < PACKED_COUNT; kind++) {
		uint32_t head = sizeof(uint32_t); /* before a file: its size */
		ssize_t n = pread(packed->fds[kind], test.packed[kind],
				  sizeof(test.packed[kind]) - 1, head);

		assert_int_equal(n + head, packed->sizes[kind]);
		test.packed[kind][n] = '\0';
	}
	test.number = number;
	test.ask = which;
	test.asked++;
}

static void use(void *context)
{
	assert_ptr_equal(context, &test);
	test.used++;
}

static void tick(struct loop_timer *timer)
{
	static unsigned ticks;

	test.met = test.until();
	ticks = test.met ? 0 : ticks + 1;
	if (test.met || ticks > TICKS)
		loop_stop(loop);
	else
		__real_loop_timer_set(timer, 2);
}

static void wait_until(bool (*until)(void))
{
	struct loop_timer timer;

	test.until = until;
	loop_timer_init(&timer, loop, tick, NULL);
	__real_loop_timer_set(&timer, 0);
	loop_run(loop);
	loop_timer_cancel(&timer);
	if (!test.met)
		fail_msg("it does not come: %s", test.log);
}

static bool no_look(void)
{
	return watch.answer_fd < 0;
}

static bool timer_is_set(void)
{
	return test.next != 0;
}

/* What was reported so far is read. */
static void drain_events(void)
{
	if (watch.events.fd >= 0)
		watch.events.ready(&watch.events, LOOP_READ);
}

/* The time of the next look has come, and that is over. */
static void look(void)
{
	drain_events();
	test.next = 0;
	watch.next.fired(&watch.next);
	wait_until(no_look);
	assert_true(test.next > 0);
	assert_true(waitpid(-1, NULL, 0) > 0);
}

/* Something has happened in a folder that is watched. */
static void expect_event(void)
{
	test.next = 0;
	wait_until(timer_is_set);
	assert_int_equal(test.next, QUIET);
}

static void path_of(const char *name, char *ret)
{
	snprintf(ret, CONFIG_PATH_MAX, "%s/%s", folder, name);
}

static void write_text(const char *name, const char *text)
{
	char path[CONFIG_PATH_MAX];
	int fd;

	path_of(name, path);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

/* As tools that renew do: beside it, then over it. */
static void replace(const char *name, const char *text)
{
	char new[CONFIG_PATH_MAX], path[CONFIG_PATH_MAX];

	write_text("new", text);
	path_of("new", new);
	path_of(name, path);
	assert_int_equal(rename(new, path), 0);
}

static void make_folder(const char *name)
{
	char path[CONFIG_PATH_MAX];

	path_of(name, path);
	assert_int_equal(mkdir(path, 0700), 0);
}

static unsigned descriptors(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static bool was_logged(const char *words)
{
	bool found = strstr(test.log, words) != NULL;

	if (!found)
		print_message("log: %s\n", test.log);
	test.log[0] = '\0';
	return found;
}

static void start(void)
{
	struct err err;

	files.certificates_fd =
		certificates_pack(&config, PACKED_CERTIFICATES, &files.certificates_size, &err);
	files.keys_fd = certificates_pack(&config, PACKED_KEYS, &files.keys_size, &err);
	assert_true(files.certificates_fd >= 0 && files.keys_fd >= 0);
	certificate_watch_start(&watch, loop, &files, ask, use, &test);
	assert_int_equal(test.next, QUIET); /* changed since they were read? */
}

static int begin(void **state)
{
	struct err err;

	(void)state;
	memset(&test, 0, sizeof(test));
	memset(&config, 0, sizeof(config));
	memset(&watch, 0, sizeof(watch));
	files = (struct generation_files){.config = &config, .certificates_number = 5};
	test.played = -1;
	strcpy(folder, "/tmp/valija-certwatch-XXXXXX");
	assert_non_null(mkdtemp(folder));
	make_folder("site");
	config.certificate_count = 1;
	path_of("site/site.pem", config.certificates[0].certificate);
	path_of("site/site.key", config.certificates[0].key);
	write_text("site/site.pem", CERTIFICATE("one"));
	write_text("site/site.key", "key one");
	loop = loop_create(&err);
	assert_non_null(loop);
	log_set_output(keep);
	log_set_level(LOG_LEVEL_INFO);
	return 0;
}

static int end(void **state)
{
	char command[96];

	(void)state;
	certificate_watch_stop(&watch);
	close_fd(&test.played);
	if (test.played_pid > 0)
		kill(test.played_pid, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0)
		;
	close_fd(&files.certificates_fd);
	close_fd(&files.keys_fd);
	log_set_output(NULL);
	loop_destroy(loop);
	snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	return system(command);
}

static int begin_watch(void **state)
{
	begin(state);
	start();
	look();
	assert_int_equal(test.next, PAUSE);
	assert_int_equal(test.patience, PATIENCE);
	assert_int_equal(test.asked, 0);
	assert_true(watch.events.fd >= 0);
	return 0;
}

/* ---- what has changed ---- */

static void test_nothing_has_changed(void **state)
{
	unsigned before = descriptors();

	(void)state;
	look();
	look();
	assert_int_equal(test.next, PAUSE);
	assert_int_equal(test.asked + test.lines, 0);
	assert_int_equal(descriptors(), before);
}

static void test_a_change_before_the_first_look(void **state)
{
	(void)state;
	start();
	write_text("site/site.key", "key two");
	look();
	assert_int_equal(test.asked, 1);
}

static void test_touched_alone(void **state)
{
	unsigned before = descriptors();

	(void)state;
	write_text("site/site.pem", CERTIFICATE("one"));
	expect_event();
	look();
	assert_int_equal(test.next, PAUSE);
	assert_int_equal(test.asked + test.lines, 0);
	assert_int_equal(descriptors(), before);
}

static void test_what_keys_accepts_is_used(void **state)
{
	unsigned before = descriptors();

	(void)state;
	write_text("site/site.pem", CERTIFICATE("two"));
	expect_event();
	look();
	assert_int_equal(test.next, PATIENCE); /* of keys */
	assert_int_equal(test.asked, 1);
	assert_int_equal(test.ask, 1);
	assert_int_equal(test.number, 6);
	assert_string_equal(test.packed[PACKED_CERTIFICATES], CERTIFICATE("two"));
	assert_string_equal(test.packed[PACKED_KEYS], "key one");
	assert_int_equal(files.certificates_number, 5); /* not yet */
	assert_int_equal(descriptors(), before + 2);
	certificate_watch_judged(&watch, 2, true, ""); /* no answer to that question */
	assert_int_equal(test.used, 0);
	certificate_watch_judged(&watch, 1, true, "");
	assert_int_equal(test.used, 1);
	assert_int_equal(files.certificates_number, 6);
	assert_int_equal(files.certificates_size, sizeof(uint32_t) + strlen(CERTIFICATE("two")));
	assert_int_equal(files.keys_size, sizeof(uint32_t) + strlen("key one"));
	assert_int_equal(lseek(files.certificates_fd, 0, SEEK_END), files.certificates_size);
	assert_int_equal(lseek(files.keys_fd, 0, SEEK_END), files.keys_size);
	assert_int_equal(test.next, PAUSE);
	assert_true(was_logged("files of certificates have changed: new handshakes use them"));
	assert_int_equal(descriptors(), before);
	certificate_watch_judged(&watch, 1, true, ""); /* once more */
	assert_int_equal(test.used, 1);
	look(); /* they are what is in use */
	assert_int_equal(test.asked, 1);
	assert_int_equal(descriptors(), before);
}

static void test_a_key_alone(void **state)
{
	(void)state;
	replace("site/site.key", "key two");
	expect_event();
	look();
	assert_int_equal(test.asked, 1);
	assert_string_equal(test.packed[PACKED_KEYS], "key two");
	certificate_watch_judged(&watch, 1, true, "");
	replace("site/site.key", "key one"); /* and back: another change */
	expect_event();
	look();
	assert_int_equal(test.asked, 2);
	assert_int_equal(test.number, 7);
}

/* Without an event, as on a filesystem that reports none: the look of each minute. */
static void test_no_event_is_needed(void **state)
{
	(void)state;
	write_text("site/site.pem", CERTIFICATE("two"));
	look();
	assert_int_equal(test.asked, 1);
}

/* ---- where it is watched ---- */

static int begin_link(void **state)
{
	char path[CONFIG_PATH_MAX];

	begin(state);
	make_folder("live");
	make_folder("archive");
	make_folder("store");
	write_text("archive/one.pem", CERTIFICATE("one"));
	write_text("store/one.key", "key one");
	path_of("live/site.pem", config.certificates[0].certificate);
	path_of("live/site.key", config.certificates[0].key);
	assert_int_equal(symlink("../archive/one.pem", config.certificates[0].certificate), 0);
	path_of("store/one.key", path);
	assert_int_equal(symlink(path, config.certificates[0].key), 0);
	start();
	look();
	return 0;
}

static void test_folders_that_links_lead_to(void **state)
{
	char new[CONFIG_PATH_MAX];

	(void)state;
	write_text("archive/one.pem", CERTIFICATE("two"));
	expect_event();
	look();
	assert_int_equal(test.asked, 1);
	certificate_watch_judged(&watch, 1, true, "");
	write_text("store/one.key", "key two");
	expect_event();
	look();
	assert_int_equal(test.asked, 2);
	certificate_watch_judged(&watch, 2, true, "");
	write_text("archive/two.pem", CERTIFICATE("three"));
	expect_event();
	look();
	assert_int_equal(test.asked, 2); /* no link leads to it yet */
	path_of("live/new", new);
	assert_int_equal(symlink("../archive/two.pem", new), 0);
	assert_int_equal(rename(new, config.certificates[0].certificate), 0);
	expect_event();
	look();
	assert_int_equal(test.asked, 3);
	assert_string_equal(test.packed[PACKED_CERTIFICATES], CERTIFICATE("three"));
}

/* The folder of both files is swapped for another one, which is watched from then on. */
static void test_a_folder_that_is_swapped(void **state)
{
	char site[CONFIG_PATH_MAX], old[CONFIG_PATH_MAX], next[CONFIG_PATH_MAX];

	(void)state;
	make_folder("next");
	write_text("next/site.pem", CERTIFICATE("two"));
	write_text("next/site.key", "key two");
	path_of("site", site);
	path_of("old", old);
	path_of("next", next);
	drain_events();
	assert_int_equal(rename(site, old), 0);
	assert_int_equal(rename(next, site), 0);
	expect_event();
	look();
	assert_int_equal(test.asked, 1);
	assert_string_equal(test.packed[PACKED_KEYS], "key two");
	certificate_watch_judged(&watch, 1, true, "");
	drain_events();
	write_text("site/site.key", "key three");
	expect_event();
}

static void test_the_authorities_of_clients(void **state)
{
	(void)state;
	begin(state);
	make_folder("clients");
	path_of("clients/ca.pem", config.client_ca);
	strcpy(config.mechanisms, "EXTERNAL PLAIN");
	write_text("clients/ca.pem", CERTIFICATE("ca"));
	start();
	look();
	write_text("clients/ca.pem", CERTIFICATE("ca two"));
	expect_event();
	look();
	assert_int_equal(test.asked, 1);
}

/* ---- what cannot be used ---- */

static void test_a_file_that_is_gone_for_a_moment(void **state)
{
	unsigned before = descriptors();

	(void)state;
	assert_int_equal(unlink(config.certificates[0].key), 0);
	expect_event();
	look();
	assert_int_equal(test.next, SECOND);
	assert_int_equal(test.lines, 0);
	write_text("site/site.key", "key one"); /* as it was */
	look();
	assert_int_equal(test.next, PAUSE);
	assert_int_equal(test.asked + test.lines, 0);
	assert_int_equal(watch.faults, 0);
	assert_int_equal(descriptors(), before);
}

static void test_a_file_that_stays_away(void **state)
{
	unsigned before = descriptors();

	(void)state;
	assert_int_equal(unlink(config.certificates[0].key), 0);
	look();
	look();
	assert_int_equal(test.next, PAUSE);
	assert_int_equal(test.lines, 1);
	assert_true(was_logged("changed files of certificates are not used, the old ones go on: "));
	look(); /* it is still away: nothing new */
	look();
	assert_int_equal(test.lines, 1);
	assert_int_equal(test.next, PAUSE);
	assert_int_equal(descriptors(), before);
	write_text("site/site.key", "key two");
	look();
	assert_int_equal(test.asked, 1);
	certificate_watch_judged(&watch, 1, true, "");
	assert_int_equal(test.used, 1);
}

static void refuse(const char *why)
{
	certificate_watch_judged(&watch, test.ask, false, why);
}

static void test_what_keys_does_not_accept(void **state)
{
	unsigned before = descriptors();

	(void)state;
	write_text("site/site.pem", CERTIFICATE("two"));
	look();
	assert_int_equal(test.asked, 1);
	refuse("the key is another one's");
	assert_int_equal(test.next, SECOND); /* the key may still come */
	assert_int_equal(test.lines, 0);
	assert_int_equal(descriptors(), before);
	look();
	assert_int_equal(test.asked, 2);
	refuse("the key is another one's");
	assert_int_equal(test.next, PAUSE);
	assert_true(was_logged("the old ones go on: the key is another one's\n"));
	look(); /* it was complained about */
	assert_int_equal(test.asked, 2);
	write_text("site/site.pem", CERTIFICATE("three"));
	look();
	refuse("the key is another one's");
	look();
	refuse("the key is another one's");
	assert_int_equal(test.asked, 4);
	assert_int_equal(test.next, PAUSE);
	assert_int_equal(test.lines, 1); /* the same complaint */
	refuse("once more");             /* nothing is being judged */
	assert_int_equal(test.lines, 1);
	write_text("site/site.pem", CERTIFICATE("four"));
	look();
	refuse("it has expired");
	look();
	refuse("it has expired");
	assert_true(was_logged("the old ones go on: it has expired\n"));
	assert_int_equal(files.certificates_number, 5);
	assert_int_equal(test.used, 0);
	assert_int_equal(descriptors(), before);
}

/* Changed back to what is in use: that complaint is over, and comes again with the fault. */
static void test_changed_back(void **state)
{
	(void)state;
	for (unsigned round = 1; round <= 2; round++) {
		write_text("site/site.pem", CERTIFICATE("two"));
		look();
		refuse("no");
		look();
		refuse("no");
		assert_int_equal(test.lines, round);
		write_text("site/site.pem", CERTIFICATE("one"));
		look();
		assert_int_equal(test.next, PAUSE);
		assert_int_equal(test.asked, 2 * round);
		assert_int_equal(watch.faults, 0);
	}
}

static void test_good_ones_end_a_complaint(void **state)
{
	(void)state;
	for (unsigned round = 1; round <= 2; round++) {
		write_text("site/site.pem", round == 1 ? CERTIFICATE("two") : CERTIFICATE("four"));
		look();
		refuse("no");
		look();
		refuse("no");
		assert_int_equal(test.lines, 2 * round - 1);
		write_text("site/site.pem",
			   round == 1 ? CERTIFICATE("three") : CERTIFICATE("five"));
		look();
		certificate_watch_judged(&watch, test.ask, true, "");
		assert_int_equal(test.used, round);
		assert_int_equal(test.lines, 2 * round);
	}
}

/* ---- what does not answer ---- */

static void test_keys_does_not_answer(void **state)
{
	unsigned before = descriptors();

	(void)state;
	write_text("site/site.pem", CERTIFICATE("two"));
	look();
	look();
	assert_int_equal(test.asked, 2);
	assert_int_equal(test.next, PATIENCE);
	assert_int_equal(descriptors(), before + 2);
	certificate_watch_judged(&watch, 1, true, ""); /* too late */
	assert_int_equal(test.used, 0);
	certificate_watch_judged(&watch, 2, true, "");
	assert_int_equal(test.used, 1);
	assert_int_equal(descriptors(), before);
}

static void test_a_look_that_hangs(void **state)
{
	int status;

	(void)state;
	test.hangs = true;
	test.next = 0;
	watch.next.fired(&watch.next);
	assert_true(watch.answer_fd >= 0);
	assert_int_equal(test.patience, PATIENCE);
	watch.next.fired(&watch.next); /* there is no second one */
	watch.patience.fired(&watch.patience);
	assert_true(was_logged("1 files of certificates: their filesystem has not answered for 10 "
			       "seconds; what is in use goes on\n"));
	watch.patience.fired(&watch.patience);
	assert_int_equal(test.lines, 1);
	assert_int_equal(waitpid(test.played_pid, &status, 0), test.played_pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	test.played_pid = 0;
	assert_int_equal(test.next, 0);
	close_fd(&test.played); /* it is over now */
	test.hangs = false;
	wait_until(no_look);
	assert_int_equal(test.next, PAUSE);
	assert_false(watch.late);
	look();
	assert_int_equal(test.next, PAUSE);
}

/* A change during a look: the next one comes soon. */
static void test_a_change_during_a_look(void **state)
{
	(void)state;
	test.hangs = true;
	test.next = 0;
	watch.next.fired(&watch.next);
	write_text("site/site.pem", CERTIFICATE("two"));
	assert_int_equal(test.next, 0);
	drain_events();
	assert_int_equal(test.next, 0);
	close_fd(&test.played);
	wait_until(no_look);
	assert_int_equal(test.next, QUIET);
	test.hangs = false;
	look();
	assert_int_equal(test.asked, 1);
	assert_int_equal(test.next, PATIENCE); /* that change was seen */
}

static void test_an_answer_that_is_cut(void **state)
{
	(void)state;
	test.hangs = true;
	test.next = 0;
	watch.next.fired(&watch.next);
	assert_int_equal(send(test.played, "x", 1, 0), 1);
	wait_until(no_look);
	assert_int_equal(test.next, PAUSE);
	assert_int_equal(test.asked + test.lines, 0);
}

static void test_no_look_can_be_made(void **state)
{
	(void)state;
	test.cannot_start = true;
	test.next = 0;
	watch.next.fired(&watch.next);
	assert_int_equal(test.next, PAUSE);
	assert_int_equal(watch.answer_fd, -1);
	test.cannot_start = false;
	look();
}

/* ---- its end ---- */

static void test_stopped_in_the_middle(void **state)
{
	unsigned before;
	int status;

	(void)state;
	certificate_watch_stop(&watch); /* never started */
	begin(state);
	before = descriptors();
	start();
	look();
	write_text("site/site.pem", CERTIFICATE("two"));
	look();
	assert_int_equal(test.asked, 1);
	test.hangs = true;
	watch.next.fired(&watch.next);
	certificate_watch_stop(&watch);
	assert_int_equal(waitpid(test.played_pid, &status, 0), test.played_pid);
	assert_int_equal(WTERMSIG(status), SIGKILL);
	test.played_pid = 0;
	close_fd(&test.played);
	assert_int_equal(descriptors(), before + 2); /* what is in use */
	certificate_watch_judged(&watch, 1, true, "");
	assert_int_equal(test.used, 0);
	certificate_watch_stop(&watch);
}

#define WATCHED(test) cmocka_unit_test_setup_teardown(test, begin_watch, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WATCHED(test_nothing_has_changed),
		cmocka_unit_test_setup_teardown(test_a_change_before_the_first_look, begin, end),
		WATCHED(test_touched_alone),
		WATCHED(test_what_keys_accepts_is_used),
		WATCHED(test_a_key_alone),
		WATCHED(test_no_event_is_needed),
		cmocka_unit_test_setup_teardown(test_folders_that_links_lead_to, begin_link, end),
		WATCHED(test_a_folder_that_is_swapped),
		cmocka_unit_test_teardown(test_the_authorities_of_clients, end),
		WATCHED(test_a_file_that_is_gone_for_a_moment),
		WATCHED(test_a_file_that_stays_away),
		WATCHED(test_what_keys_does_not_accept),
		WATCHED(test_changed_back),
		WATCHED(test_good_ones_end_a_complaint),
		WATCHED(test_keys_does_not_answer),
		WATCHED(test_a_look_that_hangs),
		WATCHED(test_a_change_during_a_look),
		WATCHED(test_an_answer_that_is_cut),
		WATCHED(test_no_look_can_be_made),
		cmocka_unit_test_teardown(test_stopped_in_the_middle, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
