/* Whether the path of a mail folder still leads to it: looks by processes of their own, and what if
 * one does not answer. Timers go a thousand times faster; some looks are played by the test. */
#include "server/monitor/root_watch.h"

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

enum { PAUSE = 15000, PATIENCE = 10000, LOOKS = 3 };

static char base[64], folder[96], other[96];
static struct loop *loop;
static struct mail_root root;
static struct root_watch watch;
static int mail_fd;
static struct {
	unsigned looks, changes, gathered, pauses;
	struct mail_root_facts facts;
	bool hangs, cannot_start;
	int played; /* the end of the look that hangs */
	pid_t played_pid;
	char log[4096];
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

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
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
	assert_int_equal(fd, mail_fd);
	test.looks++;
	if (test.cannot_start)
		return err_set(err, 1, "no process");
	return test.hangs ? play(ret_answer)
			  : __real_process_ask(ask, fd, context, ret_answer, err);
}

void __wrap_loop_timer_set(struct loop_timer *timer, uint64_t ms)
{
	assert_true(ms == PAUSE || ms == PATIENCE);
	test.pauses += ms == PAUSE;
	/* a look that is real has all its patience: it answers by itself */
	__real_loop_timer_set(timer, ms == PAUSE || test.hangs ? ms / 1000 : ms);
}

/* ---- what the test does ---- */

static void keep(enum log_level level, const char *text, size_t size)
{
	size_t used = strlen(test.log);

	snprintf(test.log + used, sizeof(test.log) - used, "%d %.*s\n", (int)level, (int)size,
		 text);
}

static void changed(void *context)
{
	assert_ptr_equal(context, &test);
	test.changes++;
}

static void looked(void *context, const struct mail_root_facts *facts)
{
	assert_ptr_equal(context, &test);
	test.facts = *facts;
	test.gathered++;
}

static void tick(struct loop_timer *timer)
{
	static unsigned ticks;

	errno = EAGAIN; /* that of an earlier call says nothing */
	test.met = test.until();
	ticks = test.met ? 0 : ticks + 1;
	if (test.met || ticks > 15000)
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

static bool has_looked(void)
{
	return test.looks >= LOOKS;
}

/* Some looks that began from now on have ended. */
static void look_around(void)
{
	test.looks = 0;
	wait_until(has_looked);
}

static int begin(void **state)
{
	struct err err;

	(void)state;
	memset(&test, 0, sizeof(test));
	test.played = -1;
	strcpy(base, "/tmp/valija-watch-XXXXXX");
	assert_non_null(mkdtemp(base));
	snprintf(folder, sizeof(folder), "%s/mail", base);
	snprintf(other, sizeof(other), "%s/moved", base);
	assert_int_equal(mkdir(folder, 0700), 0);
	mail_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	loop = loop_create(&err);
	assert_non_null(loop);
	log_set_output(keep);
	log_set_level(LOG_LEVEL_INFO);
	memset(&root, 0, sizeof(root));
	root.path = folder;
	atomic_store(&root.state, MAIL_ROOT_OTHER);
	root_watch_init(&watch, loop, &root, mail_fd, changed, looked, &test);
	return 0;
}

static int end(void **state)
{
	char command[128];

	(void)state;
	if (test.played >= 0)
		close(test.played);
	root_watch_finish(&watch);
	if (test.played_pid > 0)
		kill(test.played_pid, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0)
		;
	log_set_output(NULL);
	loop_destroy(loop);
	close(mail_fd);
	snprintf(command, sizeof(command), "rm -rf '%s'", base);
	return system(command);
}

/* A line of this level: before, the folder, behind. */
static void expect_log(enum log_level level, const char *before, const char *behind)
{
	char text[512];

	snprintf(text, sizeof(text), "%d %s%s%s", (int)level, before, folder, behind);
	if (!strstr(test.log, text))
		fail_msg("no \"%s\" in %s", text, test.log);
}

static void test_a_folder_that_stays(void **state)
{
	(void)state;
	look_around();
	assert_int_equal(test.changes, 0);
	assert_int_equal(test.gathered, 0);
	assert_string_equal(test.log, "");
	assert_true(test.pauses >= LOOKS);
}

static void test_a_folder_that_goes_and_comes_back(void **state)
{
	(void)state;
	look_around();
	assert_int_equal(rename(folder, other), 0);
	look_around();
	assert_int_equal(test.changes, 1);
	assert_true(watch.away);
	expect_log(LOG_LEVEL_ERROR, "",
		   " is not the folder any more that valijad has open (No such file or directory): "
		   "was it moved");
	assert_int_equal(mkdir(folder, 0700), 0); /* still not that one */
	look_around();
	assert_int_equal(test.changes, 1);
	assert_int_equal(rmdir(folder), 0);
	assert_int_equal(rename(other, folder), 0);
	look_around();
	assert_int_equal(test.changes, 2);
	assert_false(watch.away);
	expect_log(LOG_LEVEL_INFO, "",
		   " is the folder again that valijad has open: logins and deliveries go on\n");
}

static void test_another_folder(void **state)
{
	(void)state;
	assert_int_equal(rename(folder, other), 0);
	assert_int_equal(mkdir(folder, 0700), 0);
	look_around();
	assert_int_equal(test.changes, 1);
	expect_log(LOG_LEVEL_ERROR, "",
		   " is not the folder any more that valijad has open (another folder has its "
		   "path): ");
}

static void test_a_folder_of_before_a_reload(void **state)
{
	(void)state;
	watch.retired = true;
	assert_int_equal(rename(folder, other), 0);
	look_around();
	assert_int_equal(test.changes, 1);
	expect_log(LOG_LEVEL_INFO, "sessions from before the last reload have the folder that was ",
		   " then (No such file or directory): their deliveries are put off\n");
	assert_null(strstr(test.log, "not the folder any more"));
}

static void test_a_new_folder_is_looked_into(void **state)
{
	struct stat st;

	(void)state;
	atomic_store(&root.state, MAIL_ROOT_NEW);
	look_around();
	assert_true(test.gathered >= LOOKS - 1);
	assert_int_equal(fstat(mail_fd, &st), 0);
	assert_int_equal(test.facts.inode, st.st_ino);
}

static void test_the_last_look(void **state)
{
	(void)state;
	root_watch_last(&watch); /* what is of no use is not gathered */
	assert_int_equal(test.gathered, 0);
	assert_int_equal(test.looks, 0);
	atomic_store(&root.state, MAIL_ROOT_KNOWN);
	root_watch_last(&watch);
	assert_int_equal(test.gathered, 1);
	assert_false(watch.last);
	look_around();
	assert_int_equal(test.gathered, 1);
	watch.late = true; /* its filesystem hangs */
	root_watch_last(&watch);
	assert_int_equal(test.gathered, 1);
	watch.late = false;
}

static void test_the_last_look_does_not_answer(void **state)
{
	int status;

	(void)state;
	atomic_store(&root.state, MAIL_ROOT_NEW);
	test.hangs = true;
	root_watch_last(&watch);
	assert_int_equal(test.gathered, 0);
	assert_int_equal(waitpid(test.played_pid, &status, 0), test.played_pid);
	assert_true(WIFSIGNALED(status));
	test.played_pid = 0;
	test.hangs = false;
}

static bool is_late(void)
{
	return watch.late;
}

static bool answers_again(void)
{
	return strstr(test.log, " answers again\n") != NULL;
}

static void test_a_look_that_hangs(void **state)
{
	int status;

	(void)state;
	test.hangs = true;
	wait_until(is_late);
	assert_int_equal(test.looks, 1);
	expect_log(LOG_LEVEL_WARNING, "",
		   " has not answered for 10 seconds: it is not known whether a filesystem was "
		   "mounted there or unmounted");
	assert_int_equal(waitpid(test.played_pid, &status, 0), test.played_pid);
	assert_int_equal(WTERMSIG(status), SIGKILL);
	test.played_pid = 0;
	assert_int_equal(test.changes, 0);
	test.hangs = false;
	close(test.played); /* it is over now */
	test.played = -1;
	wait_until(answers_again);
	expect_log(LOG_LEVEL_INFO, "", " answers again\n");
	assert_true(test.looks >= 2);
	assert_false(watch.late);
}

static void test_no_look_can_be_made(void **state)
{
	(void)state;
	test.cannot_start = true;
	look_around();
	expect_log(LOG_LEVEL_WARNING, "", " cannot be looked at: no process\n");
	assert_int_equal(test.changes, 0);
	assert_true(test.pauses >= LOOKS);
	test.cannot_start = false;
	assert_int_equal(rename(folder, other), 0);
	look_around();
	assert_int_equal(test.changes, 1);
}

#define WATCHED(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WATCHED(test_a_folder_that_stays),
		WATCHED(test_a_folder_that_goes_and_comes_back),
		WATCHED(test_another_folder),
		WATCHED(test_a_folder_of_before_a_reload),
		WATCHED(test_a_new_folder_is_looked_into),
		WATCHED(test_the_last_look),
		WATCHED(test_the_last_look_does_not_answer),
		WATCHED(test_a_look_that_hangs),
		WATCHED(test_no_look_can_be_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
