/* Children: exactly the descriptors given, a clean environment and signal state. The program
 * starts itself and looks around from inside. */
#include "sys/process.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* Inside the child: 0 when all is as it should be, else the number of the first that is not. */
static int look_around(int fd_count)
{
	struct stat null, standard;
	struct sigaction action;
	sigset_t blocked;
	int signal_number = 0;
	char octet;

	for (int i = 0; i < fd_count; i++) /* each holds its own number */
		if (read(3 + i, &octet, 1) != 1 || octet != 'a' + i)
			return 10 + i;
	for (int fd = 3 + fd_count; fd < 1000; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			return 1;
	if (stat("/dev/null", &null) < 0)
		return 2;
	for (int fd = 0; fd < 2; fd++)
		if (fstat(fd, &standard) < 0 || standard.st_rdev != null.st_rdev)
			return 3;
	if (getenv("PATH") || getenv("SECRET_OF_THE_PARENT") || !getenv("LANG"))
		return 4;
	sigprocmask(SIG_SETMASK, NULL, &blocked);
	if (sigismember(&blocked, SIGTERM))
		return 5;
	if (sigaction(SIGHUP, NULL, &action) < 0 || action.sa_handler != SIG_DFL)
		return 6;
	prctl(PR_GET_PDEATHSIG, &signal_number);
	return signal_number == SIGKILL ? 0 : 7;
}

static int wait_for(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		assert_int_equal(errno, EINTR);
	return status;
}

static int make_pipe_with(char octet)
{
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], &octet, 1), 1);
	close(fds[1]);
	return fds[0];
}

static void assert_child_sees(const int *fds, unsigned count)
{
	char name[] = "look-around", number[8], *argv[] = {name, number, NULL};
	struct err err = {0};
	int exe = process_self(&err), status;
	pid_t pid;

	assert_true(exe >= 0);
	snprintf(number, sizeof(number), "%u", count);
	pid = process_spawn(exe, -1, argv, fds, count, -1, &err);
	assert_string_equal(err.text, "");
	assert_true(pid > 0);
	status = wait_for(pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	close(exe);
}

/* The child's places are taken by the parent's descriptors, in the wrong order and twice. */
static void test_descriptors_are_placed(void **state)
{
	int fds[5];

	(void)state;
	for (int i = 4; i >= 0; i--)
		fds[i] = make_pipe_with((char)('a' + i));
	assert_child_sees(fds, 0);
	assert_child_sees(fds, 5);
	for (int i = 0; i < 5; i++)
		close(fds[i]);
	for (int i = 0; i < 2; i++)
		fds[i] = make_pipe_with((char)('a' + i));
	assert_int_equal(dup2(fds[1], 40), 40);
	assert_int_equal(dup2(fds[0], 41), 41);
	close(fds[0]);
	close(fds[1]);
	assert_child_sees((const int[]){41, 40}, 2);
	close(40);
	close(41);
}

static void test_signals_and_environment(void **state)
{
	sigset_t term, old;

	(void)state;
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, &old);
	signal(SIGHUP, SIG_IGN);
	setenv("SECRET_OF_THE_PARENT", "x", 1);
	assert_child_sees(NULL, 0);
	signal(SIGHUP, SIG_DFL);
	sigprocmask(SIG_SETMASK, &old, NULL);
}

enum { KEPT_FD = 30, CLOSED_FD = 31, BECAME = 42 };

/* In the process that became another: 0 when all is as it should be. */
static int look_after_exec(const char *pid)
{
	sigset_t waiting, blocked;
	char octet;

	if (atoi(pid) != (int)getpid())
		return 20;
	if (read(KEPT_FD, &octet, 1) != 1 || octet != 'k' || fcntl(CLOSED_FD, F_GETFD) >= 0)
		return 21;
	sigpending(&waiting);
	if (!sigismember(&waiting, SIGUSR1)) /* it came before the exec */
		return 22;
	signal(SIGUSR1, SIG_IGN);
	process_hold_signals(false);
	sigprocmask(SIG_SETMASK, NULL, &blocked);
	if (sigismember(&blocked, SIGUSR1) || sigismember(&blocked, SIGTERM))
		return 23;
	return getenv("KEPT") ? BECAME : 24;
}

static void become_another(void)
{
	char name[] = "look-after-exec", number[16], *argv[] = {name, number, NULL};
	int exe = process_self(NULL), fd = make_pipe_with('k'), kept = KEPT_FD;

	if (dup3(fd, KEPT_FD, O_CLOEXEC) < 0 || dup3(fd, CLOSED_FD, O_CLOEXEC) < 0)
		_exit(1);
	process_hold_signals(true);
	raise(SIGUSR1);
	setenv("KEPT", "x", 1);
	snprintf(number, sizeof(number), "%d", (int)getpid());
	process_become(exe, argv, &kept, 1, NULL);
	_exit(2);
}

static void test_a_process_becomes_another(void **state)
{
	pid_t pid = fork();
	int status;

	(void)state;
	if (pid == 0)
		become_another();
	status = wait_for(pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), BECAME);
}

/* All is as before. */
static void test_a_process_that_cannot_become_another(void **state)
{
	char name[] = "no program", *argv[] = {name, NULL};
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct err err = {0};

	(void)state;
	assert_int_equal(process_become(fd, argv, &fd, 1, &err), -1);
	assert_non_null(strstr(err.text, "cannot start no program"));
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
}

static void test_the_path_of_this_program(void **state)
{
	char exe[4096], path[4096], tiny[2], folder[] = "/tmp/valija-process-XXXXXX", link[64];
	struct err err = {0};
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	(void)state;
	assert_true(n > 0);
	exe[n] = '\0';
	assert_int_equal(process_path(exe, path, sizeof(path), &err), 0);
	assert_string_equal(path, exe);
	/* a name that leads elsewhere, or that a shell looked for in PATH */
	assert_int_equal(process_path("/bin/sh", path, sizeof(path), &err), 0);
	assert_string_equal(path, exe);
	assert_int_equal(process_path("valijad", path, sizeof(path), &err), 0);
	assert_string_equal(path, exe);
	assert_int_equal(process_path("valijad", tiny, sizeof(tiny), &err), -1);
	/* a link stays one: it may lead elsewhere later */
	assert_non_null(mkdtemp(folder));
	snprintf(link, sizeof(link), "%s/link", folder);
	assert_int_equal(symlink(exe, link), 0);
	assert_int_equal(process_path(link, path, sizeof(path), &err), 0);
	unlink(link);
	rmdir(folder);
	assert_string_equal(path, link);
}

struct asked {
	bool hangs;
	char octet;
};

/* In the child: counts the descriptors that it has, and reads from the one it was given. */
static void ask(int fd, int out, const void *context)
{
	const struct asked *asked = context;
	char answer[3] = {asked->octet, 0, 0};

	if (read(fd, answer + 1, 1) != 1)
		answer[1] = '?';
	for (int i = 0; i < 1000; i++)
		answer[2] = (char)(answer[2] + (fcntl(i, F_GETFD) >= 0));
	process_answer(out, answer, sizeof(answer), NULL, 0);
	while (asked->hangs)
		pause();
}

static pid_t ask_with(struct asked asked, int *ret_answer, char ret[3])
{
	struct pollfd wait;
	struct err err = {0};
	int fd = make_pipe_with('f'), other = make_pipe_with('o');
	pid_t pid = process_ask(ask, fd, &asked, ret_answer, &err);

	assert_true(pid > 0);
	wait = (struct pollfd){.fd = *ret_answer, .events = POLLIN};
	assert_int_equal(poll(&wait, 1, -1), 1);
	assert_int_equal(process_answer_take(*ret_answer, ret, 3, NULL, NULL), 1);
	close(fd);
	close(other);
	return pid;
}

static void test_a_question_in_a_process_of_its_own(void **state)
{
	int answer, status;
	char got[3];
	pid_t pid = ask_with((struct asked){false, 'x'}, &answer, got);

	(void)state;
	assert_int_equal(got[0], 'x');
	assert_int_equal(got[1], 'f');
	assert_int_equal(got[2], 5); /* standard ones, what was given, the pipe */
	status = wait_for(pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(read(answer, got, 1), 0);
	close(answer);
}

/* The pipe does not end before the process does, so it shows whether that is there still. */
static void test_a_question_that_hangs(void **state)
{
	int answer, status;
	char got[3];
	pid_t pid = ask_with((struct asked){true, 'x'}, &answer, got);

	(void)state;
	assert_int_equal(process_answer_take(answer, got, 3, NULL, NULL), 0);
	kill(pid, SIGKILL);
	status = wait_for(pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(read(answer, got, 1), 0);
	close(answer);
}

/* In the child: the pipe comes with the answer, twice. */
static void give(int fd, int out, const void *context)
{
	(void)context;
	process_answer(out, "ok", 2, (const int[]){fd, fd}, 2);
}

static unsigned two(const void *answer)
{
	(void)answer;
	return 2;
}

static int ask_for_pipes(char octet)
{
	struct err err = {0};
	int fd = make_pipe_with(octet), answer;
	pid_t pid = process_ask(give, fd, NULL, &answer, &err);

	assert_true(pid > 0);
	assert_int_equal(wait_for(pid), 0);
	close(fd);
	return answer;
}

static int lowest_free(void)
{
	int fd = dup(STDERR_FILENO);

	assert_true(fd >= 0);
	close(fd);
	return fd;
}

static void test_descriptors_come_with_an_answer(void **state)
{
	int answer = ask_for_pipes('d'), fds[PROCESS_ANSWER_FDS];
	char got[2], octet;

	(void)state;
	assert_int_equal(process_answer_take(answer, got, 2, two, fds), 1);
	assert_memory_equal(got, "ok", 2);
	assert_true(fds[0] != fds[1]);
	assert_true(fcntl(fds[0], F_GETFD) & FD_CLOEXEC);
	assert_int_equal(read(fds[1], &octet, 1), 1);
	assert_int_equal(octet, 'd');
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(process_answer_take(answer, got, 2, two, fds),
			 -1); /* its process has ended */
	close(answer);
}

/* Of two, one has room: it is closed again. */
static void test_an_answer_whose_descriptors_find_no_room(void **state)
{
	int answer = ask_for_pipes('d'), fds[PROCESS_ANSWER_FDS], place = lowest_free();
	struct rlimit old, few;
	char got[2];

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	few = (struct rlimit){(rlim_t)place + 1, old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	assert_int_equal(process_answer_take(answer, got, 2, two, fds), -1);
	assert_int_equal(lowest_free(), place);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	close(answer);
}

/* An answer of another size than the one that is awaited: no descriptor stays open. */
static void test_an_answer_of_another_size(void **state)
{
	int answer = ask_for_pipes('d'), fds[PROCESS_ANSWER_FDS], place = lowest_free();
	char got[3];

	(void)state;
	assert_int_equal(process_answer_take(answer, got, 3, two, fds), -1);
	assert_int_equal(lowest_free(), place);
	close(answer);
}

static void test_what_is_no_program_is_an_error(void **state)
{
	char name[] = "nothing", *argv[] = {name, NULL};
	struct err err;
	int fd = open("/dev/null", O_RDONLY);

	(void)state;
	assert_int_equal(process_spawn(fd, -1, argv, NULL, 0, -1, &err), -1);
	assert_int_equal(err.errnum, EACCES);
	assert_non_null(strstr(err.text, "cannot start nothing"));
	close(fd);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* nothing is left to be waited for */
}

static void test_descriptor_limit(void **state)
{
	struct rlimit old, low, now;
	unsigned long got;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = (struct rlimit){100, old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	got = process_raise_nofile(50);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &now), 0);
	assert_int_equal(now.rlim_cur, old.rlim_max);
	assert_int_equal(got, now.rlim_cur);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_descriptors_are_placed),
		cmocka_unit_test(test_signals_and_environment),
		cmocka_unit_test(test_a_question_in_a_process_of_its_own),
		cmocka_unit_test(test_a_question_that_hangs),
		cmocka_unit_test(test_descriptors_come_with_an_answer),
		cmocka_unit_test(test_an_answer_whose_descriptors_find_no_room),
		cmocka_unit_test(test_an_answer_of_another_size),
		cmocka_unit_test(test_what_is_no_program_is_an_error),
		cmocka_unit_test(test_descriptor_limit),
		cmocka_unit_test(test_a_process_becomes_another),
		cmocka_unit_test(test_a_process_that_cannot_become_another),
		cmocka_unit_test(test_the_path_of_this_program),
	};

	if (strcmp(argv[0], "look-after-exec") == 0)
		return argc == 2 ? look_after_exec(argv[1]) : 9;
	if (strcmp(argv[0], "look-around") == 0)
		return argc == 2 ? look_around(atoi(argv[1])) : 9;
	alarm(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
