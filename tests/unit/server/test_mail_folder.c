/* A mail folder that a process of its own opens: what comes of it, and what if nothing does. In
 * some tests that process is played by the test. */
#include "server/monitor/mail_folder.h"

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
#include <sysexits.h>
#include <unistd.h>

static char folder[64];
static struct loop *loop;
static struct mail_opening opening;
static struct {
	unsigned calls;
	bool has_mail;
	struct mail_folder mail;
	struct err err;
} got;
static int played; /* the end of the process that the test plays; -1: it is a real one */
static uint64_t advance;

/* ---- wraps ---- */

pid_t __real_process_ask(void (*ask)(int fd, int out, const void *context), int fd,
			 const void *context, int *ret_answer, struct err *err);
pid_t __wrap_process_ask(void (*ask)(int fd, int out, const void *context), int fd,
			 const void *context, int *ret_answer, struct err *err);
void __real_loop_timer_set(struct loop_timer *timer, uint64_t ms);
void __wrap_loop_timer_set(struct loop_timer *timer, uint64_t ms);

pid_t __wrap_process_ask(void (*ask)(int fd, int out, const void *context), int fd,
			 const void *context, int *ret_answer, struct err *err)
{
	int ends[2];
	pid_t pid;

	if (played < 0)
		return __real_process_ask(ask, fd, context, ret_answer, err);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	*ret_answer = ends[0];
	played = ends[1];
	pid = fork();
	if (pid == 0) {
		close(ends[0]);
		close(ends[1]);
		for (;;)
			pause();
	}
	return pid;
}

/* The time that it has for an answer passes at once, where the test says so. */
void __wrap_loop_timer_set(struct loop_timer *timer, uint64_t ms)
{
	assert_int_equal(ms, 10000);
	__real_loop_timer_set(timer, advance ? 1 : ms);
}

/* ---- what the test does ---- */

static void done(void *context, const struct mail_folder *mail, const struct err *err)
{
	assert_ptr_equal(context, &got);
	got.calls++;
	got.has_mail = mail != NULL;
	if (mail)
		got.mail = *mail;
	else
		got.err = *err;
	loop_stop(loop);
}

static void stop(struct loop_timer *timer)
{
	(void)timer;
	loop_stop(loop);
}

/* Until done is called, but no longer than that. */
static void run_for(uint64_t ms)
{
	struct loop_timer timer;

	loop_timer_init(&timer, loop, stop, NULL);
	__real_loop_timer_set(&timer, ms);
	loop_run(loop);
	loop_timer_cancel(&timer);
}

/* Whether done is called. */
static void run(bool is_called)
{
	run_for(is_called ? 30000 : 30);
	assert_int_equal(got.calls, is_called);
}

static int begin(void **state)
{
	struct err err;

	(void)state;
	memset(&got, 0, sizeof(got));
	advance = 0;
	played = -1;
	strcpy(folder, "/tmp/valija-mail-XXXXXX");
	assert_non_null(mkdtemp(folder));
	loop = loop_create(&err);
	assert_non_null(loop);
	mail_opening_init(&opening, loop, done, &got);
	return 0;
}

/* The end of the process that is played is closed first: then no pid is looked at any more. */
static int end(void **state)
{
	(void)state;
	if (played > 0)
		close(played);
	mail_opening_finish(&opening);
	if (opening.pid > 0)
		kill(opening.pid, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0)
		;
	loop_destroy(loop);
	rmdir(folder);
	return 0;
}

static int start(const char *path, struct err *err)
{
	return mail_opening_start(&opening, path, false, STDERR_FILENO, err);
}

static void test_a_folder(void **state)
{
	struct stat is, wanted;
	struct err err;

	(void)state;
	assert_false(mail_opening_waits(&opening));
	assert_int_equal(start(folder, &err), 0);
	assert_true(mail_opening_waits(&opening));
	run(true);
	assert_true(got.has_mail);
	assert_int_equal(fstat(got.mail.fd, &is) | stat(folder, &wanted), 0);
	assert_int_equal(is.st_ino, wanted.st_ino);
	assert_int_equal(got.mail.uid, wanted.st_uid);
	assert_int_equal(got.mail.gid, wanted.st_gid);
	assert_int_equal(got.mail.device, wanted.st_dev);
	assert_int_equal(got.mail.facts.inode, wanted.st_ino);
	assert_false(got.mail.only_of_root);
	assert_int_equal(fcntl(got.mail.fd, F_GETFD), FD_CLOEXEC);
	assert_false(mail_opening_waits(&opening));
	close(got.mail.fd);
}

static void test_a_folder_that_is_not_there(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(start("/nowhere/at/all", &err), 0);
	run(true);
	assert_true(got.has_mail);
	assert_int_equal(got.mail.fd, -1);
	assert_int_equal(got.mail.err.errnum, ENOENT);
}

/* Of root, and all that is in it. */
static void test_folders_of_root(void **state)
{
	struct mail_folder mail;
	char path[128];

	(void)state;
	if (geteuid() != 0) {
		print_message("not root: whose folders are is not tried\n");
		skip();
	}
	mail_folder_open(folder, true, &mail);
	assert_true(mail.only_of_root);
	close(mail.fd);
	mail_folder_open(folder, false, &mail);
	assert_false(mail.only_of_root);
	close(mail.fd);
	snprintf(path, sizeof(path), "%s/anna", folder);
	assert_int_equal(mkdir(path, 0700), 0);
	mail_folder_open(folder, true, &mail);
	assert_true(mail.only_of_root);
	close(mail.fd);
	assert_int_equal(chown(path, 1000, 1000), 0);
	mail_folder_open(folder, true, &mail);
	assert_false(mail.only_of_root);
	close(mail.fd);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(chown(folder, 1000, 1000), 0);
	mail_folder_open(folder, true, &mail);
	assert_false(mail.only_of_root);
	assert_int_equal(mail.uid, 1000);
	close(mail.fd);
}

static void test_the_process_ends_without_an_answer(void **state)
{
	char text[128];
	struct err err;

	(void)state;
	played = 0;
	assert_int_equal(start(folder, &err), 0);
	close(played);
	played = 0;
	run(true);
	assert_false(got.has_mail);
	snprintf(text, sizeof(text), "%s: the process that opens it has ended", folder);
	assert_string_equal(got.err.text, text);
	assert_int_equal(got.err.code, EX_OSERR);
}

static void test_answers_that_are_none(void **state)
{
	struct mail_folder mail = {.fd = 5};
	struct err err;

	(void)state;
	played = 0;
	assert_int_equal(start(folder, &err), 0);
	run(false); /* not yet */
	assert_true(mail_opening_waits(&opening));
	assert_int_equal(send(played, &mail, sizeof(mail) - 1, 0), sizeof(mail) - 1);
	run(true);
	assert_false(got.has_mail);
	close(played);
	got.calls = 0;
	kill(opening.pid, SIGKILL);
	played = 0;
	assert_int_equal(start(folder, &err), 0);
	assert_int_equal(send(played, &mail, sizeof(mail), 0), sizeof(mail)); /* no descriptor */
	run(true);
	assert_false(got.has_mail);
}

static void test_a_folder_that_does_not_answer(void **state)
{
	char text[256];
	struct err err;
	int status;
	pid_t first;

	(void)state;
	played = 0;
	advance = 1;
	assert_int_equal(start(folder, &err), 0);
	first = opening.pid;
	run(true);
	assert_false(got.has_mail);
	snprintf(text, sizeof(text),
		 "the mail folder %s has not answered for 10 seconds: look for a filesystem that "
		 "hangs",
		 folder);
	assert_string_equal(got.err.text, text);
	assert_int_equal(got.err.code, EX_TEMPFAIL);
	assert_int_equal(waitpid(first, &status, 0), first);
	assert_true(WIFSIGNALED(status));
	assert_false(mail_opening_waits(&opening));
	opening.pid = 0;
	/* as long as it hangs in the kernel, no other one waits for that folder */
	assert_int_equal(start(folder, &err), -1);
	assert_string_equal(err.text, text);
}

static void test_an_answer_that_comes_too_late(void **state)
{
	struct mail_folder mail = {.fd = -1};
	struct err err;

	(void)state;
	played = 0;
	advance = 1;
	assert_int_equal(start(folder, &err), 0);
	run(true);
	assert_int_equal(send(played, &mail, sizeof(mail), 0), sizeof(mail));
	run_for(30);
	assert_int_equal(got.calls, 1);
	close(played);
	advance = 0;
	played = 0;
	got.calls = 0;
	assert_int_equal(start(folder, &err), 0); /* that one is over */
	assert_int_equal(send(played, &mail, sizeof(mail), 0), sizeof(mail));
	run(true);
	assert_true(got.has_mail);
}

static void test_another_folder_meanwhile(void **state)
{
	struct err err;
	int first;

	(void)state;
	played = 0;
	assert_int_equal(start("/another", &err), 0);
	first = played;
	kill(opening.pid, SIGKILL);
	played = 0;
	assert_int_equal(start(folder, &err), 0);
	close(first); /* nobody listens to that one */
	run(false);
	mail_opening_finish(&opening);
	assert_false(mail_opening_waits(&opening));
	close(played);
	played = 0;
	run(false);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_FOLDER(test_a_folder),
		IN_FOLDER(test_a_folder_that_is_not_there),
		IN_FOLDER(test_folders_of_root),
		IN_FOLDER(test_the_process_ends_without_an_answer),
		IN_FOLDER(test_answers_that_are_none),
		IN_FOLDER(test_a_folder_that_does_not_answer),
		IN_FOLDER(test_an_answer_that_comes_too_late),
		IN_FOLDER(test_another_folder_meanwhile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
