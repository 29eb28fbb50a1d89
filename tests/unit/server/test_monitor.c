/* The monitor as a whole, with children that do what the test wants: signals, reloads, what the
 * service manager is told, exit codes; and `valijad -t`. Nothing here needs root, and root becomes
 * nobody. */
#include "fake_child.h"

#include "build-config.h"
#include "server/counters.h"
#include "server/monitor/monitor.h"

#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sysexits.h>

enum { PATIENCE_MS = 30000, NOBODY = 65534 };

static struct {
	char folder[64];
	int saved_cwd, notify;
	pid_t pid;
	size_t from;
} test;

/* ---- files ---- */

static void put(const char *name, const char *text)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	if (geteuid() == 0)
		assert_int_equal(fchown(fd, NOBODY, NOBODY), 0);
	close(fd);
}

static const char *read_text(const char *name)
{
	static char text[1 << 18];
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = '\0';
	if (fd >= 0)
		close(fd);
	return text;
}

static void wait_in(const char *name, const char *wanted)
{
	for (int ms = 0;
	     !strstr(read_text(name) + (strcmp(name, "out") == 0 ? test.from : 0), wanted);
	     ms += 2) {
		if (ms > PATIENCE_MS)
			fail_msg("no \"%s\" in %s:\n%s", wanted, name, read_text(name));
		usleep(2000);
	}
}

static void wait_log(const char *wanted)
{
	wait_in("out", wanted);
}

static void from_here(void)
{
	test.from = strlen(read_text("out"));
}

static void configure(const char *more)
{
	char text[1000];

	snprintf(text, sizeof(text),
		 "hostname = office.test\nmail = mail\nusers = users\n"
		 "lmtp { listen = {\"lmtp\"} }\n"
		 "processes { fronts = 1\n keepers = 1 }\n%s",
		 more);
	put("valija.conf", text);
}

static int begin(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	(void)state;
	memset(&test, 0, sizeof(test));
	strcpy(test.folder, "/tmp/valija-monitor-XXXXXX");
	assert_non_null(mkdtemp(test.folder));
	test.saved_cwd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(chdir(test.folder), 0);
	assert_int_equal(mkdir("mail", 0700), 0);
	if (geteuid() == 0)
		assert_int_equal(chown(".", NOBODY, NOBODY) | chown("mail", NOBODY, NOBODY), 0);
	put("users", "anna:{PLAIN}x\n");
	configure("");
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/notify", test.folder);
	test.notify = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(test.notify, (struct sockaddr *)&address, sizeof(address)), 0);
	if (geteuid() == 0)
		assert_int_equal(chown("notify", NOBODY, NOBODY), 0);
	setenv("NOTIFY_SOCKET", address.sun_path, 1);
	setenv("STATE_DIRECTORY", test.folder, 1);
	unsetenv("JOURNAL_STREAM");
	unsetenv("WATCHDOG_USEC");
	return 0;
}

static int end(void **state)
{
	char command[100];

	(void)state;
	if (test.pid > 0) {
		kill(test.pid, SIGKILL);
		waitpid(test.pid, NULL, 0);
	}
	close(test.notify);
	assert_int_equal(fchdir(test.saved_cwd), 0);
	close(test.saved_cwd);
	snprintf(command, sizeof(command), "rm -rf '%s'", test.folder);
	return system(command);
}

/* ---- the process ---- */

static void become_nobody(void)
{
	if (geteuid() == 0 && (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
			       setresuid(NOBODY, NOBODY, NOBODY) < 0))
		_exit(99);
}

static void start_as(int (*run)(const char *file))
{
	test.pid = fork();
	if (test.pid == 0) {
		int fd = open("out", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(fd, STDERR_FILENO);
		dup2(fd, STDOUT_FILENO);
		become_nobody();
		fd = run("valija.conf");
		fflush(NULL);
		_exit(fd);
	}
	assert_true(test.pid > 0);
}

static int exit_code(void)
{
	int status = -1;

	for (int ms = 0; waitpid(test.pid, &status, WNOHANG) == 0; ms += 2) {
		if (ms > PATIENCE_MS)
			fail_msg("it does not end:\n%s", read_text("out"));
		usleep(2000);
	}
	test.pid = 0;
	if (!WIFEXITED(status))
		fail_msg("wait status %d:\n%s", status, read_text("out"));
	return WEXITSTATUS(status);
}

static const char *notice(void)
{
	struct pollfd wait = {.fd = test.notify, .events = POLLIN};
	static char text[1000];
	ssize_t n;

	if (poll(&wait, 1, PATIENCE_MS) != 1)
		fail_msg("no notice:\n%s", read_text("out"));
	n = recv(test.notify, text, sizeof(text) - 1, 0);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

/* The next message to the service manager, but for the figures that come every five seconds. */
static void expect_notice(const char *wanted)
{
	const char *text = notice();

	while (strncmp(text, "STATUS=", 7) == 0)
		text = notice();
	if (strcmp(text, wanted) != 0 &&
	    !(strstr(wanted, "...") && strncmp(text, wanted, strlen(wanted) - 3) == 0))
		fail_msg("\"%s\", not \"%s\"", text, wanted);
}

static const char *serving(void)
{
	static char text[200];

	snprintf(text, sizeof(text), "READY=1\nSTATUS=Serving lmtp %s/lmtp", test.folder);
	return text;
}

static int start_monitor(const char *file)
{
	return monitor_run("valijad", file);
}

static int check_monitor(const char *file)
{
	return monitor_check(file, -1);
}

static void serve(void)
{
	char text[200];

	start_as(start_monitor);
	expect_notice(serving());
	snprintf(text, sizeof(text), "]: ready: lmtp %s/lmtp\n", test.folder);
	wait_log(text);
}

static void stop(int number, const char *drain)
{
	from_here();
	kill(test.pid, number);
	expect_notice("STOPPING=1\nSTATUS=Sessions are ending");
	wait_log(drain);
	assert_int_equal(exit_code(), 0);
	wait_log("]: stopped\n");
	assert_int_equal(access("lmtp", F_OK), -1);
}

/* Signals that a thread other than the first takes, of those that the monitor waits for. */
static void expect_signals_for_the_loop(void)
{
	char path[64], line[256];
	struct dirent *entry;
	unsigned others = 0;
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)test.pid);
	tasks = opendir(path);
	assert_non_null(tasks);
	while ((entry = readdir(tasks))) {
		unsigned long long blocked = 0;
		FILE *status;

		if (entry->d_name[0] == '.' || atoi(entry->d_name) == test.pid)
			continue;
		snprintf(line, sizeof(line), "%s/%.20s/status", path, entry->d_name);
		status = fopen(line, "re");
		assert_non_null(status);
		while (fgets(line, sizeof(line), status))
			sscanf(line, "SigBlk: %llx", &blocked);
		fclose(status);
		for (int i = 0; i < 3; i++)
			assert_true(blocked >> ((const int[]){SIGTERM, SIGHUP, SIGCHLD}[i] - 1) &
				    1);
		others++;
	}
	closedir(tasks);
	assert_true(others > 0);
}

/* ---- start and stop ---- */

static void test_start_and_stop(void **state)
{
	(void)state;
	serve();
	expect_signals_for_the_loop();
	wait_log("]: valijad " VALIJA_VERSION ": up to ");
	wait_log(" descriptors a process; not started as root: processes are confined, but share "
		 "one "
		 "uid\n");
	wait_log("config lmtp 0 uid 0 gid 0 change 0 generation 1 ");
	stop(SIGTERM, "drain 30000 stop 1");
	wait_log("]: stopping: signal 15\n");
}

static void test_an_interrupt_is_in_a_hurry(void **state)
{
	(void)state;
	serve();
	stop(SIGINT, "drain 500 stop 1");
	wait_log("]: stopping: signal 2\n");
}

static void test_the_second_signal(void **state)
{
	(void)state;
	put("child-lmtp-0", "deaf\nready\n");
	serve();
	kill(test.pid, SIGTERM);
	wait_log("drain 30000 stop 1");
	from_here();
	kill(test.pid, SIGTERM);
	wait_log("drain 0 stop 1");
	assert_int_equal(exit_code(), 0); /* two seconds later it is killed */
	wait_log("did not end in time: its processes are killed");
}

static void test_a_start_that_fails(void **state)
{
	(void)state;
	put("child-auth-0", "fail 78 the users are gone\n");
	start_as(start_monitor);
	assert_int_equal(exit_code(), EX_CONFIG);
	wait_log("error: auth 0 cannot start: the users are gone\n");
}

static void test_no_mail_folder(void **state)
{
	(void)state;
	assert_int_equal(rename("mail", "moved"), 0);
	start_as(start_monitor);
	assert_int_equal(exit_code(), EX_NOINPUT);
	wait_log("/mail: No such file or directory\n");
}

static void test_a_configuration_that_is_none(void **state)
{
	(void)state;
	configure("no_such_setting = 1\n");
	start_as(start_monitor);
	assert_int_equal(exit_code(), EX_CONFIG);
	wait_log("no_such_setting");
}

/* The pid of the last process that said "config …" with that beginning. */
static pid_t pid_of(const char *config)
{
	const char *text = read_text("out"), *at = NULL;
	pid_t pid = 0;

	while ((at = strstr(at ? at + 1 : text, config)) != NULL) {
		const char *bracket = at;

		while (bracket > text && *bracket != '[')
			bracket--;
		pid = (pid_t)atoi(bracket + 1);
	}
	return pid;
}

/* What the monitor has counted, in its own page. */
static uint64_t counted(size_t slot)
{
	char path[64], link[64];
	struct dirent *entry;
	uint64_t value = UINT64_MAX;
	DIR *fds;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)test.pid);
	fds = opendir(path);
	if (!fds)
		fail_msg("%s cannot be looked at", path);
	while ((entry = readdir(fds)) && value == UINT64_MAX) {
		ssize_t n = readlinkat(dirfd(fds), entry->d_name, link, sizeof(link) - 1);
		const struct counters_page *page;
		int fd;

		link[n > 0 ? n : 0] = '\0';
		if (strncmp(link, "/memfd:counters", 15) != 0)
			continue;
		fd = openat(dirfd(fds), entry->d_name, O_RDONLY | O_CLOEXEC);
		page = mmap(NULL, sizeof(*page), PROT_READ, MAP_SHARED, fd, 0);
		close(fd);
		assert_ptr_not_equal(page, MAP_FAILED);
		if (page->role == ROLE_MONITOR)
			value = page->slots[slot];
		munmap((void *)(uintptr_t)page, sizeof(*page));
	}
	closedir(fds);
	return value;
}

/* Of reloads or upgrades, from COUNTER_RELOADS or COUNTER_UPGRADES on. */
static void assert_counted(size_t slot, unsigned good, unsigned failed)
{
	assert_int_equal(counted(slot + RESULT_OK), good);
	assert_int_equal(counted(slot + RESULT_FAILED), failed);
}

/* ---- reload ---- */

static void reload(void)
{
	from_here();
	kill(test.pid, SIGHUP);
	expect_notice("RELOADING=1\nMONOTONIC_USEC=...");
}

static void test_a_reload(void **state)
{
	char text[200];

	(void)state;
	serve();
	reload();
	expect_notice(serving());
	snprintf(text, sizeof(text), "]: reloaded: lmtp %s/lmtp\n", test.folder);
	wait_log(text);
	wait_log("generation 2 ");
	wait_log("drain 3600000 stop 0"); /* the standard time stands for an hour */
	configure("timeouts { drain = 7s }\n");
	reload();
	expect_notice(serving());
	wait_log("generation 3 ");
	wait_log("drain 3600000 stop 0");
	reload();
	expect_notice(serving());
	wait_log("drain 7000 stop 0");
	assert_counted(COUNTER_RELOADS, 3, 0);
	assert_int_equal(counted(COUNTER_GENERATION), 4);
	assert_counted(COUNTER_UPGRADES, 0, 0);
	stop(SIGTERM, "drain 7000 stop 1");
}

static void test_a_reload_that_is_refused(void **state)
{
	(void)state;
	serve();
	configure("no_such_setting = 1\n");
	reload();
	expect_notice("READY=1\nSTATUS=The new configuration was refused, see the log; the old one "
		      "goes on: ...");
	wait_log("error: the new configuration is not used, the old one goes on: ");
	configure("");
	assert_int_equal(rename("mail", "moved"), 0);
	reload();
	expect_notice("READY=1\nSTATUS=The new configuration was refused, see the log; the old one "
		      "goes on: ...");
	assert_int_equal(rename("moved", "mail"), 0);
	put("child-lmtp-0", "fail 71 no memory\n");
	reload();
	expect_notice("READY=1\nSTATUS=The new configuration was refused, see the log; the old one "
		      "goes on: no memory");
	put("child-lmtp-0", "ready\n");
	assert_counted(COUNTER_RELOADS, 0, 3);
	reload();
	expect_notice(serving());
	assert_counted(COUNTER_RELOADS, 1, 3);
	stop(SIGTERM, "drain 30000 stop 1");
}

static void test_a_reload_within_a_reload(void **state)
{
	(void)state;
	serve();
	put("child-lmtp-0", "say slow\n");
	reload();
	wait_log("slow");
	kill(test.pid, SIGHUP);
	wait_log("]: a reload is in progress; reloading again when it is done\n");
	put("child-lmtp-0", "ready\n");
	put("again-lmtp-0", "ready\n");
	{ /* the slow one */
		const char *at = strstr(read_text("out") + test.from, "]: slow");
		long pid;

		while (*at != '[')
			at--;
		pid = strtol(at + 1, NULL, 10);
		assert_int_equal(kill((pid_t)pid, SIGUSR1), 0);
	}
	expect_notice(serving());
	expect_notice("RELOADING=1\nMONOTONIC_USEC=...");
	expect_notice(serving());
	wait_log("generation 3 ");
}

/* A line of that process. */
static void wait_line_of(pid_t pid, const char *words)
{
	char text[300];

	snprintf(text, sizeof(text), "[%d]: %s\n", (int)pid, words);
	wait_log(text);
}

static bool has_line_of(pid_t pid, const char *words)
{
	char text[300];

	snprintf(text, sizeof(text), "[%d]: %s\n", (int)pid, words);
	return strstr(read_text("out") + test.from, text) != NULL;
}

/* What a keeper asks goes to those of all other generations, and the answer to it alone. */
static void test_keepers_of_generations_talk(void **state)
{
	pid_t keepers[3];
	char text[100];
	unsigned long long asker = 0;
	const char *of;

	(void)state;
	put("child-keeper-0", "deaf\nready\n");
	serve();
	keepers[0] = pid_of("config keeper 0 ");
	for (int i = 1; i < 3; i++) {
		reload();
		expect_notice(serving());
		wait_line_of(keepers[i - 1], "drain 3600000 stop 0");
		keepers[i] = pid_of("config keeper 0 ");
		assert_int_not_equal(keepers[i], keepers[i - 1]);
	}
	for (int i = 2; i > 0; i--) { /* the one that serves, and one that drains */
		from_here();
		snprintf(text, sizeof(text), "take %d anna\n", i);
		put("again-keeper-0", text);
		assert_int_equal(kill(keepers[i], SIGUSR1), 0);
		snprintf(text, sizeof(text), "take %d of ", i);
		for (int k = 0; k < 3; k++) {
			char begin_of[140];

			if (k == i)
				continue;
			snprintf(begin_of, sizeof(begin_of), "[%d]: %s", (int)keepers[k], text);
			wait_log(begin_of);
		}
		of = strstr(read_text("out") + test.from, text);
		assert_int_equal(sscanf(of + strlen(text), "%llu: anna", &asker), 1);
	}
	from_here();
	snprintf(text, sizeof(text), "taken %llu 9\n", asker); /* it is that of the second one */
	put("again-keeper-0", text);
	assert_int_equal(kill(keepers[2], SIGUSR1), 0);
	wait_line_of(keepers[1], "taken 9");
	assert_false(has_line_of(keepers[0], "taken 9"));
	from_here();
	assert_int_equal(kill(keepers[0], SIGUSR1), 0);
	wait_line_of(keepers[1], "taken 9");
	assert_false(has_line_of(keepers[2], "taken 9"));
}

/* ---- others ---- */

static void test_a_log_file_that_was_renamed(void **state)
{
	(void)state;
	configure("log_to = \"./log\"\n");
	start_as(start_monitor);
	expect_notice(serving());
	reload();
	expect_notice(serving());
	wait_in("log", "]: reloaded: lmtp ");
	assert_int_equal(rename("log", "log.1"), 0);
	kill(test.pid, SIGUSR1);
	for (int ms = 0; access("log", F_OK) < 0; ms++) {
		assert_true(ms < PATIENCE_MS);
		usleep(1000);
	}
	kill(test.pid, SIGTERM);
	assert_int_equal(exit_code(), 0);
	assert_non_null(strstr(read_text("log"), "]: stopping: signal 15\n"));
	assert_null(strstr(read_text("log.1"), "stopping"));
}

static void test_the_watchdog(void **state)
{
	(void)state;
	setenv("WATCHDOG_USEC", "300000", 1);
	start_as(start_monitor);
	for (int pats = 0; pats < 3;)
		pats += strcmp(notice(), "WATCHDOG=1") == 0;
	unsetenv("WATCHDOG_USEC");
}

static void test_a_listener_that_died(void **state)
{
	(void)state;
	serve();
	assert_int_equal(unlink("lmtp"), 0);
	put("again-lmtp-0", "dead\n");
	from_here();
	{ /* its name alone is gone: the socket listens, and nothing is done */
		const char *at = strstr(read_text("out"), "lmtp0[");

		kill((pid_t)strtol(at + 6, NULL, 10), SIGUSR1);
	}
	stop(SIGTERM, "drain 30000 stop 1");
	assert_null(strstr(read_text("out"), "was shut by another process"));
}

/* ---- valijad -t ---- */

static void check(int code, const char *wanted)
{
	(void)unlink("out");
	test.from = 0;
	start_as(check_monitor);
	assert_int_equal(exit_code(), code);
	wait_log(wanted);
}

static void test_checks(void **state)
{
	(void)state;
	check(EX_OK, "/valija.conf: good\n");
	if (strstr(read_text("out"), "the state folder"))
		fail_msg("%s", read_text("out"));
	assert_int_equal(access("lmtp", F_OK), -1);
	put("lmtp", "");
	check(EX_CONFIG, "/lmtp exists and is not a socket\n");
	assert_int_equal(unlink("lmtp"), 0);
	put("users", "anna\n");
	check(EX_CONFIG, "users:1: ");
	put("users", "anna:{PLAIN}x\n");
	assert_int_equal(rename("mail", "moved"), 0);
	check(EX_NOINPUT, "valijad: ");
	assert_int_equal(rename("moved", "mail"), 0);
	configure("lmtp { aliases = aliases\n listen = {\"lmtp\"} }\n");
	configure("no_such_setting = 1\n");
	check(EX_CONFIG, "no_such_setting");
	configure("log_to = \"/nowhere/log\"\n");
	check(EX_CONFIG, "cannot open the log /nowhere/log: ");
	configure("");
	setenv("STATE_DIRECTORY", "/proc/none", 1);
	check(EX_OK, "valijad: warning: the state folder cannot be used: ");
	wait_log("no maildrop is made, and one that goes missing is not noticed: let "
		 "STATE_DIRECTORY "
		 "name a folder that valijad may write\n");
}

#define IN_PLACE(test) cmocka_unit_test_setup_teardown(test, begin, end)

/* ---- upgrades: the next program is this one again ---- */

static void upgrade(void)
{
	from_here();
	kill(test.pid, SIGUSR2);
	expect_notice("RELOADING=1\nMONOTONIC_USEC=...");
}

static void test_an_upgrade(void **state)
{
	char text[200];
	pid_t lmtp;

	(void)state;
	serve();
	lmtp = pid_of("config lmtp 0 ");
	for (unsigned generation = 2; generation < 5; generation++) {
		upgrade();
		wait_log("it can take over, so this process becomes ");
		snprintf(text, sizeof(text),
			 "]: upgraded to valijad " VALIJA_VERSION ": lmtp %s/lmtp\n", test.folder);
		wait_log(text);
		expect_notice(serving());
		snprintf(text, sizeof(text), "generation %u ", generation);
		wait_log(text);
		wait_log("drain 3600000 stop 0");
	}
	assert_true(lmtp > 0 && pid_of("config lmtp 0 ") != lmtp);
	assert_counted(COUNTER_UPGRADES, 3, 0);
	reload();
	expect_notice(serving());
	wait_log("generation 5 ");
	stop(SIGTERM, "drain 30000 stop 1");
}

/* A generation that drains since before two upgrades ends with its last process, or by force. */
static void test_generations_that_drain_are_handed_on(void **state)
{
	pid_t lmtp;

	(void)state;
	put("child-lmtp-0", "deaf\nready\n");
	serve();
	lmtp = pid_of("config lmtp 0 ");
	put("child-lmtp-0", "ready\n");
	reload();
	expect_notice(serving());
	upgrade();
	expect_notice(serving());
	upgrade();
	expect_notice(serving());
	assert_int_equal(kill(lmtp, 0), 0);
	from_here();
	kill(lmtp, SIGKILL);
	wait_log("lmtp 0 (pid ");
	wait_log("was ended by signal 9");
	stop(SIGTERM, "drain 30000 stop 1");
}

static void test_processes_that_cannot_start_after_an_upgrade(void **state)
{
	pid_t auth;

	(void)state;
	serve();
	auth = pid_of("config auth 0 ");
	put("child-lmtp-0", "fail 71 no memory\n");
	upgrade();
	expect_notice("READY=1\nSTATUS=The new configuration was refused, see the log; the old one "
		      "goes on: no memory");
	wait_log("error: no process of valijad " VALIJA_VERSION " serves: those of the version "
		 "before go on, with the configuration that they have: no memory\n");
	put("child-lmtp-0", "ready\n");
	assert_int_equal(kill(auth, 0), 0);
	from_here();
	kill(auth, SIGKILL);
	wait_log("config auth 0 uid 0 gid 0 change 0 generation 1 "); /* started again */
	wait_log("peer keeper 0");
	assert_counted(COUNTER_UPGRADES, 0, 1);
	upgrade();
	expect_notice(serving());
	wait_log("generation 3 ");
	assert_counted(COUNTER_UPGRADES, 1, 1);
	stop(SIGTERM, "drain 30000 stop 1");
}

static void test_an_upgrade_that_is_refused(void **state)
{
	(void)state;
	serve();
	configure("no_such_setting = 1\n");
	upgrade();
	expect_notice("READY=1\nSTATUS=An upgrade was refused, see the log; the version that runs "
		      "goes on: ...");
	wait_log("no_such_setting");
	assert_counted(COUNTER_UPGRADES, 0, 1);
	configure("");
	upgrade();
	expect_notice(serving());
	wait_log("generation 2 ");
	assert_counted(COUNTER_UPGRADES, 1, 1);
	assert_counted(COUNTER_RELOADS, 1, 0); /* it reads the configuration, too */
	stop(SIGTERM, "drain 30000 stop 1");
}

/* The program that is tried, and that the monitor becomes. */
static int other_part(int argc, char **argv)
{
	static const char tried[] = "--state=", resumed[] = "--resume=";
	const char *last = argv[argc - 1];

	if (strncmp(last, tried, sizeof(tried) - 1) == 0)
		return monitor_check(argv[3], atoi(last + sizeof(tried) - 1));
	if (strncmp(last, resumed, sizeof(resumed) - 1) == 0)
		return monitor_resume(argv[0], argv[2], atoi(last + sizeof(resumed) - 1));
	return -1;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		IN_PLACE(test_start_and_stop),
		IN_PLACE(test_an_interrupt_is_in_a_hurry),
		IN_PLACE(test_the_second_signal),
		IN_PLACE(test_a_start_that_fails),
		IN_PLACE(test_no_mail_folder),
		IN_PLACE(test_a_configuration_that_is_none),
		IN_PLACE(test_a_reload),
		IN_PLACE(test_a_reload_that_is_refused),
		IN_PLACE(test_a_reload_within_a_reload),
		IN_PLACE(test_keepers_of_generations_talk),
		IN_PLACE(test_a_log_file_that_was_renamed),
		IN_PLACE(test_the_watchdog),
		IN_PLACE(test_a_listener_that_died),
		IN_PLACE(test_checks),
		IN_PLACE(test_an_upgrade),
		IN_PLACE(test_generations_that_drain_are_handed_on),
		IN_PLACE(test_processes_that_cannot_start_after_an_upgrade),
		IN_PLACE(test_an_upgrade_that_is_refused),
	};

	if (argc == 2 && strcmp(argv[1], "--child") == 0)
		return fake_main(argv[0]);
	if (argc > 3)
		return other_part(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
