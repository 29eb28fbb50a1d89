/* The command sink and the process that runs its commands: what a command gets, and what its end
 * means for the message. */
#include "sink_test.h"

#include <signal.h>
#include <time.h>

static const char message[] = "Subject: one\n\nbody\n";

static void a_command_gets_the_message(void **state)
{
	char text[400];

	(void)state;
	place_target(FETCH_COMMAND,
		     "cd %s && cat > message && echo \"$VALIJA_ACCOUNT $VALIJA_USER "
		     "$VALIJA_DELIVERY_ID\" > names && cat /proc/self/status > status",
		     place.path);
	place_open();
	place_expect(place_deliver(message), SINK_OK, 0, "");
	assert_string_equal(place_read("message"), message);
	snprintf(text, sizeof(text), "anna anna@example.org 0123456789abcdef0123456789abcde0\n");
	assert_string_equal(place_read("names"), text);
	/* as a shell would start it: no signal is blocked */
	assert_non_null(strstr(place_read("status"), "SigBlk:\t0000000000000000\n"));
	assert_int_equal(place.sink->batch, 1);
	assert_int_equal(place.sink->ops->settle(place.sink, NULL), SINK_OK);
	assert_int_equal(place.sink->ops->publish(place.sink, NULL), SINK_OK);
	assert_null(place.sink->ops->ask);
	/* the next one: its own text, from its beginning */
	place_expect(place_deliver("Subject: two\n"), SINK_OK, 0, "");
	assert_string_equal(place_read("message"), "Subject: two\n");
}

/* A group of its own, so that it can be ended with all that it started; signals of a terminal end
 * it as they would elsewhere. */
static void a_command_is_a_group_of_its_own(void **state)
{
	(void)state;
	place_target(FETCH_COMMAND, "read pid name state parent group rest < /proc/self/stat; "
				    "test $group = $$ && kill -HUP $$");
	place_open();
	place_expect(place_deliver(message), SINK_FAILED, EX_TEMPFAIL,
		     "signal 1 ended the command");
}

static void what_was_dropped_is_not_run(void **state)
{
	(void)state;
	place_target(FETCH_COMMAND, "cat >> %s/all", place.path);
	place_open();
	assert_int_equal(place.sink->ops->begin(place.sink, PLACE_ID, NULL), SINK_OK);
	assert_int_equal(place.sink->ops->write(place.sink, SPAN_LITERAL("lost"), NULL), SINK_OK);
	place.sink->ops->drop(place.sink);
	place_expect(place_deliver(message), SINK_OK, 0, "");
	assert_string_equal(place_read("all"), message);
}

static void each_status(void **state)
{
	static const struct {
		int status;
		enum sink_result result;
	} cases[] = {
		{1, SINK_FAILED},   {64, SINK_FAILED},  {65, SINK_REFUSED}, {66, SINK_FAILED},
		{67, SINK_REFUSED}, {68, SINK_REFUSED}, {69, SINK_REFUSED}, {70, SINK_FAILED},
		{73, SINK_FAILED},  {75, SINK_FAILED},  {77, SINK_REFUSED}, {78, SINK_FAILED},
		{125, SINK_FAILED}, {126, SINK_BROKEN}, {127, SINK_BROKEN}, {128, SINK_FAILED},
	};
	char text[300];

	(void)state;
	place_target(FETCH_COMMAND, "exit $(cat %s/status)", place.path);
	place_open();
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		bool refused = cases[i].result == SINK_REFUSED;
		int n;

		snprintf(text, sizeof(text), "%d", cases[i].status);
		place_write("status", text);
		place.number = 0;
		assert_int_equal(place_deliver(message), cases[i].result);
		n = snprintf(text, sizeof(text), "the command ended with status %d",
			     cases[i].status);
		if (refused)
			snprintf(text + n, sizeof(text) - (size_t)n, " (it is kept in %s/%s",
				 place.path, place_refused(""));
		assert_memory_equal(place.err.text, text, strlen(text) - (refused ? 1 : 0));
		assert_int_equal(place.err.code, refused ? EX_UNAVAILABLE : EX_TEMPFAIL);
		snprintf(text, sizeof(text), "%s",
			 place_refused("new/0123456789abcdef0123456789abcde0.valija"));
		assert_int_equal(refused && place_has(text), refused);
		if (refused)
			assert_string_equal(place_read(text), message);
	}
}

static void a_signal_ends_a_command(void **state)
{
	(void)state;
	place_target(FETCH_COMMAND, "kill -KILL $$");
	place_open();
	place_expect(place_deliver(message), SINK_FAILED, EX_TEMPFAIL,
		     "signal 9 ended the command");
}

static bool is_gone(long pid)
{
	char path[40], text[400] = "";
	const char *name_end;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return true;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	name_end = strrchr(text, ')');
	return n <= 0 || !name_end || name_end[2] == 'Z';
}

static int64_t milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* It is asked to end after its time; two seconds later it is killed, with all that it started. */
static void a_command_that_does_not_end(void **state)
{
	static const struct {
		const char *command;
		int64_t least;
	} cases[] = {
		{"echo $$ > pid; exec sleep 1000", 1000},
		{"trap '' TERM; sleep 1000 & echo $! > pid; wait", 3000},
		{"(trap '' TERM; echo $$ >/dev/null; exec sleep 1000) & echo $! > pid; wait", 1000},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int64_t began;
		long pid;

		place_target(FETCH_COMMAND, "cd %s; %s", place.path, cases[i].command);
		place.account.limits.command_seconds = 1;
		place_open();
		began = milliseconds();
		place_expect(place_deliver(message), SINK_FAILED, EX_TEMPFAIL,
			     "the command did not end within 1 seconds (command-seconds)");
		assert_true(milliseconds() - began >= cases[i].least);
		pid = strtol(place_read("pid"), NULL, 10);
		assert_true(pid > 1);
		for (int ms = 0; !is_gone(pid); ms++) {
			assert_true(ms < 30000);
			usleep(1000);
		}
		assert_int_equal(place_end(state), 0);
		assert_int_equal(place_begin(state), 0);
	}
}

/* What a command prints goes where the fetcher's own output goes, or away from its events. */
static void where_output_goes(void **state)
{
	static const char *const names[] = {"out", "err"};

	for (int apart = 0; apart < 2; apart++) {
		int saved[2], fds[2];

		place_target(FETCH_COMMAND, "echo printed; echo warned >&2");
		place.output_apart = apart;
		fflush(NULL);
		for (int i = 0; i < 2; i++) {
			char path[100];

			snprintf(path, sizeof(path), "%s/%s", place.path, names[i]);
			saved[i] = fcntl(STDOUT_FILENO + i, F_DUPFD_CLOEXEC, 3);
			fds[i] = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
			dup2(fds[i], STDOUT_FILENO + i);
		}
		(void)place_try_open();
		for (int i = 0; i < 2; i++) {
			dup2(saved[i], STDOUT_FILENO + i);
			close(saved[i]);
			close(fds[i]);
		}
		assert_non_null(place.sink);
		place_expect(place_deliver(message), SINK_OK, 0, "");
		assert_string_equal(place_read("out"), apart ? "" : "printed\n");
		assert_string_equal(place_read("err"), apart ? "printed\nwarned\n" : "warned\n");
		assert_int_equal(place_end(state), 0);
		assert_int_equal(place_begin(state), 0);
	}
}

static bool no_shell;

int __real_execl(const char *path, const char *first, ...);
int __wrap_execl(const char *path, const char *first, ...);

int __wrap_execl(const char *path, const char *first, ...)
{
	const char *option, *command;
	va_list ap;

	if (no_shell) {
		errno = ENOMEM;
		return -1;
	}
	va_start(ap, first);
	option = va_arg(ap, const char *);
	command = va_arg(ap, const char *);
	va_end(ap);
	return __real_execl(path, first, option, command, (char *)NULL);
}

/* The child that would be the shell ends, and does nothing else. */
static void a_shell_that_cannot_be_started(void **state)
{
	(void)state;
	place_target(FETCH_COMMAND, "true");
	no_shell = true;
	place_open();
	no_shell = false;
	for (unsigned i = 0; i < 2; i++)
		place_expect(place_deliver(message), SINK_FAILED, EX_TEMPFAIL,
			     "the command ended with status 71");
}

#define IN_PLACE(test) cmocka_unit_test_setup_teardown(test, place_begin, place_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_PLACE(a_command_gets_the_message),  IN_PLACE(a_command_is_a_group_of_its_own),
		IN_PLACE(what_was_dropped_is_not_run), IN_PLACE(each_status),
		IN_PLACE(a_signal_ends_a_command),     IN_PLACE(a_command_that_does_not_end),
		IN_PLACE(where_output_goes),           IN_PLACE(a_shell_that_cannot_be_started),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
