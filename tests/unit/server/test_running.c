/* A valijad that runs already is found by the file that it was started with: this program, started
 * under that name. And the system users whose programs are believed. */
#include "server/monitor/peer_uids.h"
#include "server/monitor/running.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

static char folder[64], file[100];
static pid_t pid;

static int begin(void **state)
{
	int fd;

	(void)state;
	strcpy(folder, "/tmp/valija-running-XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(file, sizeof(file), "%s/valija.conf", folder);
	fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	pid = 0;
	return 0;
}

static void stop(void)
{
	if (pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	pid = 0;
}

static int end(void **state)
{
	char command[100];

	(void)state;
	stop();
	snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	return system(command);
}

/* A process with this command line, which works in the folder; it has begun when its pipe ends. */
static void run(const char *const *arguments)
{
	int ends[2];
	char c;

	stop();
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		char *copies[6] = {NULL};

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (int i = 0; arguments[i]; i++)
			copies[i] = strdup(arguments[i]);
		if (chdir(folder) == 0)
			execv("/proc/self/exe", copies);
		_exit(1);
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], &c, 1), 0);
	close(ends[0]);
}

#define RUN(...) run((const char *const[]){__VA_ARGS__, NULL})

static void test_who_serves_a_file(void **state)
{
	char joined[120], other[120];

	(void)state;
	snprintf(joined, sizeof(joined), "-c%s", file);
	snprintf(other, sizeof(other), "%s/../%s/valija.conf", folder, strrchr(folder, '/') + 1);
	assert_int_equal(running_with(file), 0);
	RUN("valijad", "-c", file);
	assert_int_equal(running_with(file), pid);
	assert_int_equal(running_with("/etc/passwd"), 0);
	assert_int_equal(running_with("/nonexistent/file"), 0);
	assert_int_equal(running_with(other), pid); /* by whatever path */
	RUN("/usr/sbin/valijad", joined);
	assert_int_equal(running_with(file), pid);
	RUN("valijad", "-d", "-c", "valija.conf"); /* from the folder that it works in */
	assert_int_equal(running_with(file), pid);
	RUN("valijad", "-c", other);
	assert_int_equal(running_with(file), pid);
}

static void test_who_does_not(void **state)
{
	(void)state;
	RUN("valijad-other", "-c", file);
	assert_int_equal(running_with(file), 0);
	RUN("valijad", "--child", "-c", file);
	assert_int_equal(running_with(file), 0);
	RUN("valijad", file); /* no file of a configuration */
	assert_int_equal(running_with(file), 0);
	RUN("valijad", "-c");
	assert_int_equal(running_with(file), 0);
	RUN("valijad", "-c", "other.conf");
	assert_int_equal(running_with(file), 0);
}

/* ---- whose programs are believed ---- */

static bool has(const struct ipc_uids *uids, uint32_t uid)
{
	unsigned count = 0;

	for (uint32_t i = 0; i < uids->count; i++)
		count += uids->uids[i] == uid;
	assert_true(count <= 1);
	return count == 1;
}

static void test_whose_programs_are_believed(void **state)
{
	static struct config config;
	struct ipc_uids uids;
	struct err err;

	(void)state;
	memset(&uids, 0xff, sizeof(uids));
	assert_int_equal(peer_uids_find(&config, &uids, &err), 0);
	assert_int_equal(uids.count, geteuid() ? 2 : 1); /* root, and who started valijad */
	assert_true(has(&uids, 0) && has(&uids, geteuid()));
	strcpy(config.sasl_peers, " root  nobody root ");
	assert_int_equal(peer_uids_find(&config, &uids, &err), 0);
	assert_int_equal(uids.count, geteuid() && geteuid() != 65534 ? 3 : 2);
	assert_true(has(&uids, 0) && has(&uids, 65534));
	strcpy(config.sasl_peers, "nobody no-such-user-here");
	memset(&uids, 0xff, sizeof(uids));
	assert_int_equal(peer_uids_find(&config, &uids, &err), -1);
	assert_string_equal(err.text,
			    "sasl.peers names \"no-such-user-here\", and there is no such "
			    "system user");
	assert_int_equal(err.code, EX_NOUSER);
	assert_true(uids.count == UINT32_MAX); /* nothing was written */
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_who_serves_a_file, begin, end),
		cmocka_unit_test_setup_teardown(test_who_does_not, begin, end),
		cmocka_unit_test(test_whose_programs_are_believed),
	};

	if (argc > 1 && strstr(argv[0], "valijad"))
		for (;;)
			pause();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
