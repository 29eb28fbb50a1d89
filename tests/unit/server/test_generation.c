/* A generation with children that do what the test wants: what each of them is sent, when they are
 * started again, and what their messages and their end mean. */
#include "fake_child.h"

#include "base/log.h"
#include "server/monitor/generation.h"
#include "server/monitor/health.h"
#include "server/monitor/logbook.h"
#include "server/monitor/members.h"

#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/wait.h>
#include <sysexits.h>

enum { PATIENCE_MS = 30000 };

static struct {
	char folder[64];
	int saved_error, saved_cwd, log_fd;
	struct generation_owner owner;
	struct config config;
	struct generation *g;
	struct loop_timer tick;
	struct loop_signal child;
	bool (*until)(void);
	const char *wanted;
	size_t from; /* in the log: what is looked for comes behind it */
	int ticks;
	unsigned ready, yielded, ended, suspects, started;
	char failed[400];
	int code;
	bool met, destroyed;
} test;

/* Standard error is the log: the words of a failure belong to whoever runs the test. */
#define FAIL(...)                                      \
	do {                                           \
		dup2(test.saved_error, STDERR_FILENO); \
		fail_msg(__VA_ARGS__);                 \
	} while (0)

/* ---- the log ---- */

static const char *log_text(void)
{
	static char text[1 << 20];
	ssize_t n = pread(test.log_fd, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

/* The line of a child that says this, or of the monitor. */
static bool is_logged(void)
{
	return strstr(log_text() + test.from, test.wanted) != NULL;
}

static unsigned times(const char *wanted)
{
	unsigned count = 0;

	for (const char *at = log_text(); (at = strstr(at, wanted)); at++)
		count++;
	return count;
}

/* ---- channels ---- */

static unsigned channels, channels_left; /* made so far; before one fails, 0: none does */

int __real_chan_pair(int ret_fds[2], struct err *err);
int __wrap_chan_pair(int ret_fds[2], struct err *err);

int __wrap_chan_pair(int ret_fds[2], struct err *err)
{
	channels++;
	if (channels_left && --channels_left == 0)
		return err_set(err, EX_OSERR, "no descriptors");
	return __real_chan_pair(ret_fds, err);
}

/* ---- the loop ---- */

static void tick(struct loop_timer *timer)
{
	test.met = test.until();
	if (test.met || ++test.ticks > PATIENCE_MS / 2)
		loop_stop(test.owner.loop);
	else
		loop_timer_set(timer, 2);
}

static bool runs_until(bool (*until)(void))
{
	test.until = until;
	test.met = false;
	test.ticks = 0;
	loop_timer_set(&test.tick, 0);
	loop_run(test.owner.loop);
	return test.met;
}

static void wait_until(bool (*until)(void))
{
	if (!runs_until(until))
		FAIL("it does not come; the log:\n%s", log_text());
}

static void wait_log(const char *wanted)
{
	test.wanted = wanted;
	if (!runs_until(is_logged))
		FAIL("no \"%s\" in the log:\n%s", wanted, log_text() + test.from);
}

static unsigned wanted_times;

static bool is_logged_so_often(void)
{
	return times(test.wanted) >= wanted_times;
}

static void wait_times(const char *wanted, unsigned count)
{
	test.wanted = wanted;
	wanted_times = count;
	if (!runs_until(is_logged_so_often) || times(wanted) != count)
		FAIL("\"%s\" %u times, not %u, in the log:\n%s", wanted, times(wanted), count,
		     log_text());
}

static void reap(struct loop_signal *sig, int number)
{
	int status;
	pid_t pid;

	(void)sig, (void)number;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (test.g)
			(void)generation_reaped(test.g, pid, status);
}

/* ---- the owner ---- */

static void on_ready(struct generation_owner *owner, struct generation *g)
{
	(void)owner, (void)g;
	test.ready++;
}

static void on_failed(struct generation_owner *owner, struct generation *g, const char *why,
		      int code)
{
	(void)owner, (void)g;
	snprintf(test.failed, sizeof(test.failed), "%s", why);
	test.code = code;
}

static void on_yielded(struct generation_owner *owner, struct generation *g)
{
	(void)owner;
	assert_ptr_equal(g, test.g);
	test.yielded++;
}

static void on_ended(struct generation_owner *owner, struct generation *g)
{
	(void)owner;
	test.ended++;
	generation_destroy(g);
	test.g = NULL;
}

static void page_made(void *context, const struct page *page)
{
	(void)context;
	if (test.g)
		generation_send_page(test.g, page);
}

static void on_suspect(struct generation_owner *owner)
{
	(void)owner;
	test.suspects++;
}

static bool is_ready(void)
{
	return test.ready > 0;
}

static bool has_failed(void)
{
	return test.failed[0] != '\0';
}

static bool has_ended(void)
{
	return test.ended > 0;
}

static void on_started(struct generation_owner *owner, struct generation *generation,
		       struct slot *slot)
{
	(void)owner, (void)generation;
	assert_true(slot->role == ROLE_CONTROL || slot->role == ROLE_AUTH);
	test.started++;
}

static void on_brief(struct generation_owner *owner, struct chan *chan)
{
	(void)owner, (void)chan;
}

static bool is_suspect(void)
{
	return test.suspects > 0;
}

/* ---- setup ---- */

static void put(const char *name, const char *text)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void configure(const char *more)
{
	char text[1000], file[100];
	struct err err = {.text = ""};
	int n = snprintf(text, sizeof(text),
			 "hostname = office.test\nmail = mail\nusers = users\n"
			 "pop3 { listen = {\"127.0.0.1:9\"} }\n%s%s",
			 strstr(more, "last_logins") ? "" : "login { last_logins = no }\n", more);

	snprintf(file, sizeof(file), "%s/valija.conf", test.folder);
	if (config_parse((pop3_span){text, (size_t)n}, file, &test.config, &err) < 0)
		FAIL("%s", err.text);
	for (uint32_t i = 0; i < test.config.listener_count; i++)
		test.config.listeners[i].port = 0; /* any that is free */
}

static int begin(void **state)
{
	struct err err;

	(void)state;
	memset(&test, 0, sizeof(test));
	strcpy(test.folder, "/tmp/valija-generation-XXXXXX");
	assert_non_null(mkdtemp(test.folder));
	test.saved_cwd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(chdir(test.folder), 0);
	setenv("STATE_DIRECTORY", test.folder, 1);
	unsetenv("JOURNAL_STREAM");
	put("users", "anna:{PLAIN}x\n");
	assert_int_equal(mkdir("mail", 0700), 0);
	test.saved_error = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
	test.log_fd = open("log", O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	dup2(test.log_fd, STDERR_FILENO);
	test.owner.loop = loop_create(&err);
	assert_non_null(test.owner.loop);
	log_open("valijad", LOG_LEVEL_INFO);
	assert_int_equal(logbook_open("valijad", &err), 0);
	test.owner.exe_fd = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	test.owner.no_network_fd = -1;
	test.owner.penalties_kept.fd = -1;
	pages_init(&test.owner.pages, page_made, NULL, true);
	test.owner.listeners = listeners_create();
	test.owner.workers = workers_create(test.owner.loop, 1, 0, 16, &err);
	assert_non_null(test.owner.workers);
	test.owner.ready = on_ready;
	test.owner.failed = on_failed;
	test.owner.yielded = on_yielded;
	test.owner.ended = on_ended;
	test.owner.suspect = on_suspect;
	test.owner.brief = on_brief;
	test.owner.started = on_started;
	test.owner.instances = 100;
	test.owner.ticket_keys[0][0] = 0x5a;
	loop_timer_init(&test.tick, test.owner.loop, tick, NULL);
	loop_signal_init(&test.child, test.owner.loop, SIGCHLD, reap, NULL);
	return 0;
}

static int end(void **state)
{
	char command[100];

	(void)state;
	if (test.g) {
		generation_kill(test.g);
		while (waitpid(-1, NULL, 0) > 0)
			;
		generation_destroy(test.g);
	}
	pages_finish(&test.owner.pages);
	workers_destroy(test.owner.workers);
	listeners_destroy(test.owner.listeners);
	logbook_close();
	log_set_output(NULL);
	loop_signal_finish(&test.child);
	loop_timer_cancel(&test.tick);
	loop_destroy(test.owner.loop);
	dup2(test.saved_error, STDERR_FILENO);
	close(test.saved_error);
	close(test.log_fd);
	close(test.owner.exe_fd);
	assert_int_equal(fchdir(test.saved_cwd), 0);
	close(test.saved_cwd);
	snprintf(command, sizeof(command), "rm -rf '%s'", test.folder);
	return system(command);
}

static int try_create(struct err *err)
{
	struct mail_folder mail;

	assert_int_equal(listeners_open(test.owner.listeners, &test.config,
					generation_fronts(&test.config), err),
			 0);
	mail_folder_open(test.config.roots[0].path, false, &mail);
	assert_true(mail.fd >= 0);
	return generation_create(&test.owner, &test.config, &mail, 7, &test.g, err);
}

static void create(const char *more)
{
	struct err err = {.text = ""};

	configure(more);
	if (try_create(&err) < 0)
		FAIL("%s", err.text);
}

static void create_ready(const char *more)
{
	create(more);
	wait_until(is_ready);
}

static struct slot *slot_of(enum ipc_role role, uint32_t index)
{
	struct slot *slot = test.g->slots;

	while (slot && (slot->role != role || slot->index != index))
		slot = slot->next;
	assert_non_null(slot);
	return slot;
}

/* Orders for a child that runs. */
static void tell(enum ipc_role role, uint32_t index, const char *orders)
{
	char name[64];

	snprintf(name, sizeof(name), "again-%s-%u", ipc_role_name(role), index);
	put(name, orders);
	test.from = strlen(log_text());
	assert_int_equal(kill(slot_of(role, index)->pid, SIGUSR1), 0);
}

/* From now on a line counts. */
static void from_here(void)
{
	test.from = strlen(log_text());
}

/* The next process of that slot is there, and ready. */
static enum ipc_role watched_role;
static uint32_t watched_index;
static pid_t watched_pid;

static bool is_another(void)
{
	struct slot *slot = slot_of(watched_role, watched_index);

	return slot->pid && slot->pid != watched_pid && slot->ready;
}

static void watch(enum ipc_role role, uint32_t index)
{
	watched_role = role;
	watched_index = index;
	watched_pid = slot_of(role, index)->pid;
}

#define TWO "processes { fronts = 2\n keepers = 1 }\n"
#define ONE "processes { fronts = 1\n keepers = 1 }\n"
#define ANSWER "processes { fronts = 1\n keepers = 1\n answer = 10s }\n"
#define OWNERS "processes { fronts = 1\n keepers = 1\n owner_keepers = 1 }\n"

/* ---- what children are sent ---- */

/* The lines of one child since it was started, without their times and names. */
static void lines_of(const char *who, char *ret, size_t size)
{
	size_t used = 0;

	ret[0] = '\0';
	for (const char *at = log_text(); (at = strstr(at, who)); at++) {
		const char *text = strstr(at, "]: "), *stop = strchr(at, '\n');

		if (!text || !stop)
			break;
		used += (size_t)snprintf(ret + used, size - used, "%.*s\n", (int)(stop - text - 3),
					 text + 3);
	}
}

static void expect_lines(const char *who, const char *wanted)
{
	char text[4000];

	lines_of(who, text, sizeof(text));
	assert_string_equal(text, wanted);
}

static const char *wanted_of;

static bool is_sent(void)
{
	char text[4000];

	lines_of(wanted_of, text, sizeof(text));
	return strstr(text, test.wanted) != NULL;
}

/* Channels to processes that start later come behind START. */
static void wait_sent(const char *who, const char *line)
{
	wanted_of = who;
	test.wanted = line;
	wait_until(is_sent);
}

static void test_what_each_role_is_sent(void **state)
{
	char text[4000];

	(void)state;
	create_ready(TWO "lmtp { listen = {\"127.0.0.1:10\"} }\n"
			 "sasl { listen = {\"127.0.0.1:11\"} }\n");
	assert_int_equal(test.ready, 1);
	wait_times("]: start\n", 6);
	/* auth is first, others get channels to those before them, then START */
	lines_of("auth0[", text, sizeof(text));
	assert_non_null(strstr(
		text,
		"config auth 0 uid 0 gid 0 change 0 generation 7 file as \"valijad: auth 0\"\n"
		"COUNTERS file\nRECORDER\n"
		"directory 0 state 0 mark 0 folder\ndirectory 1 state 0 mark 0 folder\n"
		"CONTROL_PEERS\nstart\n"));
	wait_sent("auth0[", "peer keeper 0 uid 0 group 1 socket\n");
	wait_sent("auth0[", "peer front 0 uid 0 group 1 socket\n");
	wait_sent("auth0[", "peer front 1 uid 0 group 1 socket\n");
	wait_sent("auth0[", "peer lmtp 0 uid 0 group 1 socket\n");
	wait_sent("auth0[", "peer mta 0 uid 0 group 1 socket\n");
	lines_of("keeper0[", text, sizeof(text));
	assert_non_null(strstr(
		text, "as \"valijad: keeper 0\"\nCOUNTERS file\nRECORDER\ndirectory 1 state "));
	assert_non_null(strstr(text, " folder\naway 0\npeer auth 0 uid 0 group 1 socket\nstart\n"));
	assert_null(strstr(text, "peer mta"));
	lines_of("front0[", text, sizeof(text));
	assert_non_null(strstr(text, "CERTIFICATES file\ntickets 5a\nlistener 0 socket\n"
				     "peer keeper 0 uid 0 group 1 socket\n"
				     "peer auth 0 uid 0 group 1 socket\nstart\n"));
	lines_of("front1[", text, sizeof(text));
	assert_non_null(strstr(text, "listener 0 socket\n"));
	expect_lines("lmtp0[", "config lmtp 0 uid 0 gid 0 change 0 generation 7 file as "
			       "\"valijad: lmtp 0\"\nCOUNTERS file\nRECORDER\nlistener 2 socket\n"
			       "peer keeper 0 uid 0 group 1 socket\n"
			       "peer auth 0 uid 0 group 1 socket\nstart\n");
	lines_of("mta0[", text, sizeof(text));
	assert_non_null(strstr(text, "\nuids "));
	assert_non_null(
		strstr(text, "\nlistener 3 socket\npeer auth 0 uid 0 group 1 socket\nstart"));
	assert_null(strstr(log_text(), "keys0["));
	assert_null(strstr(log_text(), "error: "));
	assert_null(strstr(log_text(), "lookup"));
}

/* The pages of all processes, of the monitor and its own; later those that are made, and no other
 * role gets them. */
static void test_status_gets_every_page(void **state)
{
	char text[4000];

	(void)state;
	create_ready(ONE "control { metrics = {\"127.0.0.1:9415\"} }\n");
	wait_times("]: start\n", 4);
	expect_lines("status0[", "config status 0 uid 0 gid 0 change 0 generation 7 file as "
				 "\"valijad: status 0\"\nCOUNTERS file\nRECORDER\n"
				 "PAGE file\nPAGE file\nPAGE file\nPAGE file\nPAGE file\n"
				 "SAMPLES file\nlistener 7 socket\nstart\n");
	assert_int_equal(times("PAGE file"), 5);
	assert_non_null(pages_take(&test.owner.pages, ROLE_LMTP, 0, 8));
	wait_times("PAGE file", 6);
	lines_of("front0[", text, sizeof(text));
	assert_null(strstr(text, "PAGE"));
}

/* A process that dies gives its page back, and the next one counts on there. */
static void test_the_page_of_a_process_that_died(void **state)
{
	struct slot *slot;
	struct page *page;

	(void)state;
	create_ready(ONE);
	slot = slot_of(ROLE_FRONT, 0);
	page = slot->page;
	assert_non_null(page);
	assert_int_equal(page->memory->slots[COUNTER_PROCESSES], 1);
	atomic_store(&page->memory->slots[COUNTER_CONNECTIONS], 9);
	kill(slot->pid, SIGKILL);
	wait_log("was ended by signal 9");
	wait_times("config front 0", 2);
	assert_ptr_equal(slot_of(ROLE_FRONT, 0)->page, page);
	assert_int_equal(page->memory->slots[COUNTER_CONNECTIONS], 9);
	assert_int_equal(page->memory->slots[COUNTER_STARTS], 2);
	assert_int_equal(page->memory->slots[COUNTER_FAILURES], 1);
}

#define LOGINS "login { last_logins = yes }\n" ONE

/* It gets a folder of its own and a channel to auth, and nothing else. */
static void test_what_writes_last_logins(void **state)
{
	(void)state;
	create_ready(LOGINS);
	wait_log("logins0[");
	wait_times("]: start\n", 4);
	expect_lines("logins0[", "config logins 0 uid 0 gid 0 change 0 generation 7 file as "
				 "\"valijad: logins 0\"\nCOUNTERS file\nRECORDER\ndirectory 3 "
				 "state 0 mark 0 folder\n"
				 "peer auth 0 uid 0 group 1 socket\nstart\n");
	wait_log("peer logins 0 uid 0 group 1 socket");
	watch(ROLE_LOGINS, 0);
	assert_int_equal(kill(watched_pid, SIGKILL), 0);
	wait_until(is_another); /* its end ends nobody else */
	assert_null(strstr(log_text(), "gave up"));
	assert_string_equal(test.failed, "");
}

/* Without a place for its file everything else serves. */
static void test_no_place_for_last_logins(void **state)
{
	(void)state;
	setenv("STATE_DIRECTORY", "/dev/null", 1);
	create_ready(LOGINS);
	wait_times("]: start\n", 3);
	wait_log("last logins are not written down: ");
	assert_null(strstr(log_text(), "logins0["));
}

static void test_only_what_is_served(void **state)
{
	(void)state;
	create_ready("processes { fronts = 1\n keepers = 3 }\n");
	wait_times("]: start\n", 5);
	assert_null(strstr(log_text(), "lmtp0["));
	assert_null(strstr(log_text(), "mta0["));
	assert_non_null(strstr(log_text(), "keeper2["));
	assert_null(strstr(log_text(), "keeper3["));
	assert_null(strstr(log_text(), "front1["));
	wait_log("peer keeper 2 uid 0 group 3");
}

static void test_as_many_as_the_machine_has(void **state)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);

	(void)state;
	configure("");
	assert_int_equal(generation_fronts(&test.config), processors);
	configure("processes { fronts = 3 }\n");
	assert_int_equal(generation_fronts(&test.config), 3);
}

/* ---- the start ---- */

static void test_a_child_that_cannot_start(void **state)
{
	(void)state;
	put("child-auth-0", "fail 78 the users are gone\n");
	create(ONE);
	wait_until(has_failed);
	assert_string_equal(test.failed, "the users are gone");
	assert_int_equal(test.code, EX_CONFIG);
	wait_log("error: auth 0 cannot start: the users are gone");
	assert_int_equal(test.ready, 0);
}

static void test_a_child_that_ends_before_it_is_ready(void **state)
{
	(void)state;
	put("child-front-0", "exit 3\n");
	create(ONE);
	wait_until(has_failed);
	assert_string_equal(test.failed, "a process ended while it was starting");
	assert_int_equal(test.code, EX_SOFTWARE);
	wait_log(") ended with exit code 3");
	assert_int_equal(test.ready, 0);
}

static void test_users_that_are_not_there(void **state)
{
	struct err err = {.text = ""};

	(void)state;
	configure(ONE);
	snprintf(test.config.users, sizeof(test.config.users), "%s/no/users", test.folder);
	assert_int_equal(try_create(&err), -1);
	assert_non_null(strstr(err.text, "/no"));
	assert_null(test.g);
}

/* A generation whose processes cannot all reach each other does not start. */
static void test_each_channel_is_needed(void **state)
{
	unsigned needed;

	channels = 0;
	create(ONE);
	needed = channels;
	assert_true(needed > 4);
	for (unsigned at = 1; at <= needed; at++) {
		struct err err = {.text = ""};

		assert_int_equal(end(state), 0);
		assert_int_equal(begin(state), 0);
		configure(ONE);
		channels_left = at;
		assert_int_equal(try_create(&err), -1);
		assert_int_equal(channels_left, 0);
		assert_string_equal(err.text, "no descriptors");
		assert_null(test.g);
	}
}

/* ---- the end of a child ---- */

static void test_a_child_that_ends_is_started_again(void **state)
{
	char text[200];
	pid_t pid;

	(void)state;
	create_ready(ONE);
	watch(ROLE_FRONT, 0);
	pid = watched_pid;
	from_here();
	assert_int_equal(kill(pid, SIGTERM), 0);
	wait_until(is_another);
	snprintf(text, sizeof(text),
		 "warning: front 0 (pid %d) was ended by signal 15 (Terminated)", (int)pid);
	wait_log(text);
	assert_int_equal(test.suspects, 1);
	assert_int_equal(test.ready, 1);
	/* it has new channels, and so have the others */
	wait_log("peer front 0 uid 0 group 1 socket");
	/* also one that ends by itself, without a word */
	watch(ROLE_KEEPER, 0);
	tell(ROLE_KEEPER, 0, "exit 0\n");
	wait_log(") ended with exit code 0");
	wait_until(is_another);
	assert_int_equal(test.suspects, 1); /* it holds no listening socket */
	assert_string_equal(test.failed, "");
}

/* What it sent before is taken. */
static void test_why_a_child_ended_comes_with_its_end(void **state)
{
	(void)state;
	create_ready(ONE);
	watch(ROLE_KEEPER, 0);
	tell(ROLE_KEEPER, 0, "say the last line\nfail 71 no memory\nexit 71\n");
	wait_log("error: keeper 0 cannot start: no memory");
	wait_log("the last line");
	wait_log(") ended with exit code 71");
	assert_string_equal(test.failed, ""); /* the generation serves */
}

static void test_a_child_that_breaks_the_rules(void **state)
{
	(void)state;
	create_ready(ONE);
	watch(ROLE_AUTH, 0);
	tell(ROLE_AUTH, 0, "stays\nbad\n");
	wait_until(is_another);
	wait_log("was ended by signal 9 (Killed)");
}

/* ---- messages ---- */

static void test_a_listener_may_be_dead(void **state)
{
	(void)state;
	create_ready(ONE);
	tell(ROLE_FRONT, 0, "dead\n");
	wait_until(is_suspect);
	assert_int_equal(test.suspects, 1);
}

static void test_spool_files(void **state)
{
	(void)state;
	setenv("STATE_DIRECTORY", "/proc/none", 1); /* it is not needed */
	create_ready(ONE "lmtp { listen = {\"127.0.0.1:10\"}\n spool = . }\n");
	tell(ROLE_LMTP, 0, "spool\n");
	wait_log("spool file");
	tell(ROLE_LMTP, 0, "spool\nspool\n");
	wait_log("spool file");
	assert_null(strstr(log_text(), "held in memory"));
}

static void test_no_spool(void **state)
{
	(void)state;
	setenv("STATE_DIRECTORY", "/proc/none", 1);
	create_ready(ONE "lmtp { listen = {\"127.0.0.1:10\"} }\n");
	wait_log("warning: large messages are held in memory while they come, since there is no "
		 "spool: ");
	wait_log("; lmtp.spool may name another folder\n");
	tell(ROLE_LMTP, 0, "spool\n");
	wait_log("spool none");
}

static void test_a_question_about_a_location(void **state)
{
	(void)state;
	create_ready(ONE);
	tell(ROLE_KEEPER, 0, "look anna\n");
	wait_log("location 77 allowed 1");
	assert_int_equal(times("location 77"), 1);
}

static void test_a_listener_that_was_opened_anew(void **state)
{
	struct config_listener other;

	(void)state;
	create_ready(TWO "lmtp { listen = {\"127.0.0.1:10\"} }\n");
	wait_times("listener 0 socket", 2);
	other = test.config.listeners[0];
	from_here();
	generation_send_listener(test.g, &other, 1);
	wait_log("front1[");
	wait_times("listener 0 socket", 3);
	other.port++;
	generation_send_listener(test.g, &other, 0);
	other = test.config.listeners[1];
	generation_send_listener(test.g, &other, 0);
	wait_log("lmtp0[");
	wait_times("listener 0 socket", 3);
	wait_times("listener 2 socket", 2);
}

static void test_ticket_keys_are_for_fronts(void **state)
{
	(void)state;
	create_ready(TWO "lmtp { listen = {\"127.0.0.1:10\"} }\n");
	test.owner.ticket_keys[0][0] = 0xa5;
	from_here();
	generation_send_ticket_keys(test.g);
	wait_log("tickets a5");
	tell(ROLE_LMTP, 0, "say done\n");
	wait_log("done");
	wait_times("tickets a5", 2);
}

/* ---- the drain ---- */

static void test_a_drain(void **state)
{
	(void)state;
	create_ready(ONE);
	generation_drain(test.g, 5000, true);
	wait_until(has_ended);
	wait_times("drain 5000 stop 1", 3);
	assert_int_equal(test.yielded, 1);
	assert_null(strstr(log_text(), "ended with exit code"));
	assert_int_equal(test.ended, 1);
}

static void test_a_drain_that_is_no_stop(void **state)
{
	(void)state;
	create_ready(ONE);
	tell(ROLE_FRONT, 0, "deaf\nsay heard\n");
	wait_log("heard");
	generation_drain(test.g, 60000, false);
	wait_log("drain 60000 stop 0");
	generation_drain(test.g, 0, true); /* after two seconds of grace it is killed */
	wait_log("drain 0 stop 1");
	assert_int_equal(test.ended, 0);
	wait_log("warning: sessions of generation 7 did not end in time: its processes are killed");
	wait_until(has_ended);
	wait_log("was ended by signal 9 (Killed)");
	assert_int_equal(times("did not end in time"), 1);
}

static bool has_yielded(void)
{
	return test.yielded > 0;
}

/* New connections are not its own when each front has said so, or ended; once. */
static void test_a_drain_that_yields(void **state)
{
	(void)state;
	create_ready(TWO);
	tell(ROLE_FRONT, 0, "deaf\nsay one\n");
	wait_log("one");
	tell(ROLE_FRONT, 1, "deaf\nsay two\n");
	wait_log("two");
	generation_drain(test.g, 60000, false);
	wait_times("drain 60000 stop 0", 4); /* auth and keeper have ended */
	tell(ROLE_FRONT, 0, "drains\nsay three\n");
	wait_log("three");
	assert_int_equal(test.yielded, 0);
	tell(ROLE_FRONT, 1, "drains\n");
	wait_until(has_yielded);
	assert_int_equal(test.ended, 0);
	generation_drain(test.g, 0, true);
	wait_until(has_ended);
	assert_int_equal(test.yielded, 1);
}

static void test_a_front_that_ends_has_yielded(void **state)
{
	(void)state;
	create_ready(ONE);
	tell(ROLE_FRONT, 0, "deaf\nsay heard\n");
	wait_log("heard");
	generation_drain(test.g, 60000, false);
	wait_log("drain 60000 stop 0");
	assert_int_equal(test.yielded, 0);
	tell(ROLE_FRONT, 0, "exit 9\n");
	wait_until(has_ended);
	assert_int_equal(test.yielded, 1);
}

/* Nothing is started again, and an end that is not tidy is logged. */
static void test_no_starts_while_draining(void **state)
{
	(void)state;
	create_ready(ONE);
	wait_times("]: start\n", 3); /* their lines may come later than they are ready */
	tell(ROLE_FRONT, 0, "deaf\nsay heard\n");
	wait_log("heard");
	from_here();
	generation_drain(test.g, 60000, true);
	wait_log("drain 60000 stop 1");
	tell(ROLE_FRONT, 0, "exit 9\n");
	wait_until(has_ended);
	wait_log("ended with exit code 9");
	assert_null(strstr(log_text() + test.from, "start"));
}

/* ---- health ---- */

static void test_a_child_that_does_not_answer(void **state)
{
	(void)state;
	create_ready(ANSWER);
	loop_timer_cancel(&test.g->pulse); /* it looks by itself where this test takes its time */
	assert_int_equal(health_pulse(test.g), 1666);
	test.g->config.answer_seconds = 60;
	assert_int_equal(health_pulse(test.g), 5000);
	test.g->config.answer_seconds = 0;
	assert_int_equal(health_pulse(test.g), 5000);
	assert_null(health_look(test.g)); /* pings nobody */
	assert_int_equal(slot_of(ROLE_FRONT, 0)->unanswered, 0);
	test.g->config.answer_seconds = 30;
	tell(ROLE_FRONT, 0, "silent\nsay heard\n");
	wait_log("heard");
	watch(ROLE_FRONT, 0);
	for (int i = 0; i < 6; i++) {
		assert_null(health_look(test.g));
		assert_int_equal(slot_of(ROLE_FRONT, 0)->unanswered, i + 1);
		tell(ROLE_KEEPER, 0, "say worked\n");
		wait_log("worked");
		assert_int_equal(slot_of(ROLE_FRONT, 0)->killed, 0);
	}
	assert_int_equal(slot_of(ROLE_KEEPER, 0)->unanswered, 0);
	assert_null(health_look(test.g));
	wait_log(") has not answered for 30 seconds: it is replaced");
	wait_until(is_another);
	assert_int_equal(times("has not answered"), 1);
}

static void test_a_front_that_a_keeper_cannot_reach(void **state)
{
	char text[300];

	(void)state;
	create_ready(ONE);
	for (int i = 0; i < 4; i++) {
		pid_t keeper = slot_of(ROLE_KEEPER, 0)->pid;

		watch(i < 3 ? ROLE_FRONT : ROLE_KEEPER, 0);
		snprintf(
			text, sizeof(text),
			i < 3 ? "warning: keeper 0 (pid %d, uid 0) has lost its channel to front 0 "
				"(pid %d), which is replaced"
			      : "error: keeper 0 (pid %d, uid 0) has lost front 0 again: the "
				"keeper "
				"is replaced instead",
			(int)keeper, (int)watched_pid);
		tell(ROLE_KEEPER, 0, "lost front 0\n");
		wait_log(text);
		wait_until(is_another);
		wait_log("peer front 0");
	}
	/* a minute later it is believed again */
	slot_of(ROLE_FRONT, 0)->lost_since -= 60001;
	watch(ROLE_FRONT, 0);
	tell(ROLE_KEEPER, 0, "lost front 0\n");
	wait_until(is_another);
}

/* Nobody is ended at the request of one who has no channel to it, or of whom it is no front. */
static void test_others_that_are_lost(void **state)
{
	pid_t auth, front;

	(void)state;
	create_ready(ONE "lmtp { listen = {\"127.0.0.1:10\"} }\n");
	auth = slot_of(ROLE_AUTH, 0)->pid;
	front = slot_of(ROLE_FRONT, 0)->pid;
	tell(ROLE_KEEPER, 0, "lost auth 0\nlost keeper 9\nsay done\n");
	wait_log("done");
	assert_int_equal(slot_of(ROLE_AUTH, 0)->pid, auth);
	assert_int_equal(slot_of(ROLE_FRONT, 0)->pid, front);
	assert_null(strstr(log_text(), "has lost"));
	/* auth may lose a keeper, and is believed each time */
	for (int i = 0; i < 4; i++) {
		watch(ROLE_KEEPER, 0);
		tell(ROLE_AUTH, 0, "lost keeper 0\n");
		wait_log(") has lost its channel to keeper 0 (pid ");
		wait_until(is_another);
		wait_log("peer keeper 0");
	}
	watch(ROLE_LMTP, 0);
	tell(ROLE_AUTH, 0, "lost lmtp 0\n");
	wait_until(is_another);
}

static void test_a_process_that_hangs_in_the_kernel(void **state)
{
	struct slot *slot;
	pid_t pid;

	(void)state;
	create_ready(ANSWER);
	slot = slot_of(ROLE_FRONT, 0);
	pid = slot->pid;
	watch(ROLE_FRONT, 0);
	/* as if it had been killed a while ago */
	slot->killed = loop_now(test.owner.loop) - 2000;
	from_here();
	wait_log("hangs in the kernel and cannot be ended: it is given up; look for a file system "
		 "that does not answer");
	wait_until(is_another);
	tell(ROLE_KEEPER, 0, "say done\n");
	wait_log("done");
	wait_times("]: dead\n", 2);
	kill(pid, SIGKILL);
}

static void test_idle_times(void **state)
{
	struct ipc_pong pong = {.idle = 30};
	struct slot *slot;
	uint64_t now;

	(void)state;
	create_ready(ONE);
	slot = slot_of(ROLE_KEEPER, 0);
	now = loop_now(test.owner.loop);
	health_pong(slot, &pong);
	assert_int_equal(slot->used, now - 30);
	pong.idle = now;
	health_pong(slot, &pong);
	assert_int_equal(slot->used, 0);
	pong.idle = now + 1;
	health_pong(slot, &pong);
	assert_int_equal(slot->used, 0);
}

/* ---- keepers on demand ---- */

static void test_not_without_root(void **state)
{
	(void)state;
	create_ready(ONE);
	tell(ROLE_AUTH, 0, "wanted 4711 anna\n");
	wait_log("error: no keeper for mail of uid 4711: not started as root");
	wait_log("refused 4711");
}

static void as_root(const char *more)
{
	create_ready(more);
	test.owner.root = true;
}

static bool is_there(void)
{
	struct slot *slot = owners_find(test.g->slots, 4711);

	return slot && slot->ready;
}

static bool is_gone(void)
{
	return owners_find(test.g->slots, 4711) == NULL;
}

static void test_a_keeper_for_an_owner(void **state)
{
	char text[2000];

	(void)state;
	as_root(ONE);
	tell(ROLE_AUTH, 0, "wanted 4711 anna\n");
	wait_until(is_there);
	wait_log("owner 4711 of anna");
	lines_of("keeper0[", text, sizeof(text));
	assert_non_null(strstr(text, "config keeper 0 uid 4711 gid 0 change 1 generation 7 file as "
				     "\"valijad: keeper of uid 4711\"\n"));
	wait_log("peer keeper 0 uid 4711 group 1 socket");
	assert_int_equal(test.g->owners.running, 1);
	/* asked for again: no second one */
	tell(ROLE_AUTH, 0, "wanted 4711 anna\nsay asked\n");
	wait_log("asked");
	assert_int_equal(test.g->owners.running, 1);
	assert_int_equal(times("owner 4711 of anna"), 1);
	assert_null(strstr(log_text(), "belongs to root"));
}

/* It was asked for while it was about to end: another one takes its place. */
static void test_one_that_is_wanted_when_it_ends(void **state)
{
	(void)state;
	as_root(ONE);
	tell(ROLE_AUTH, 0, "wanted 4711 anna\n");
	wait_until(is_there);
	tell(ROLE_AUTH, 0, "wanted 4711 anna\nsay asked\n");
	wait_log("asked");
	put("again-keeper-0", "leave\nexit 0\n");
	from_here();
	assert_int_equal(kill(owners_find(test.g->slots, 4711)->pid, SIGUSR1), 0);
	wait_log("owner 4711 of anna");
	assert_int_equal(test.g->owners.running, 1);
	assert_null(strstr(log_text(), "ended with exit code"));
}

static void test_one_that_ends_tidily(void **state)
{
	(void)state;
	as_root(ONE);
	tell(ROLE_AUTH, 0, "wanted 4711 anna\n");
	wait_until(is_there);
	put("again-keeper-0", "leave\nexit 0\n");
	assert_int_equal(kill(owners_find(test.g->slots, 4711)->pid, SIGUSR1), 0);
	wait_until(is_gone);
	assert_int_equal(test.g->owners.running, 0);
	assert_null(strstr(log_text(), "ended with exit code"));
	assert_null(strstr(log_text(), "refused 4711"));
}

static pid_t dead;

static bool is_another_there(void)
{
	return is_there() && owners_find(test.g->slots, 4711)->pid != dead;
}

/* One that dies is started again, as others are. */
static void test_one_that_dies(void **state)
{
	(void)state;
	as_root(ONE);
	tell(ROLE_AUTH, 0, "wanted 4711 anna\n");
	wait_until(is_there);
	dead = owners_find(test.g->slots, 4711)->pid;
	assert_int_equal(kill(dead, SIGKILL), 0);
	wait_until(is_another_there);
	wait_times("owner 4711 of anna", 2);
}

static void test_one_that_does_not_start(void **state)
{
	(void)state;
	as_root(ONE);
	put("child-keeper-0", "exit 1\n");
	tell(ROLE_AUTH, 0, "wanted 4711 anna\n");
	wait_log("refused 4711");
	wait_until(is_gone);
	assert_int_equal(test.g->owners.running, 0);
	assert_int_equal(test.g->owners.failed, 1);
	test.g->owners.failed = 32;
	tell(ROLE_AUTH, 0, "wanted 4711 anna\n");
	wait_log("error: no keeper for mail of uid 4711: too many such keepers could not start "
		 "within ten seconds");
	wait_log("refused 4711");
}

static void test_room_is_made_for_another_owner(void **state)
{
	(void)state;
	as_root(OWNERS);
	tell(ROLE_AUTH, 0, "wanted 4711 anna\n");
	wait_until(is_there);
	tell(ROLE_AUTH, 0, "wanted 0 root\n");
	wait_log("warning: a maildrop in ");
	wait_log(
		"/mail belongs to root: its keeper runs as root, without capabilities and confined "
		"to that folder; better: a user of its own for that maildrop");
	wait_log("leave");
	wait_log("owner 0 of root");
	assert_true(is_gone());
	assert_int_equal(test.g->owners.running, 1);
}

#define IN_PLACE(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		IN_PLACE(test_what_each_role_is_sent),
		IN_PLACE(test_status_gets_every_page),
		IN_PLACE(test_the_page_of_a_process_that_died),
		IN_PLACE(test_only_what_is_served),
		IN_PLACE(test_what_writes_last_logins),
		IN_PLACE(test_no_place_for_last_logins),
		IN_PLACE(test_as_many_as_the_machine_has),
		IN_PLACE(test_a_child_that_cannot_start),
		IN_PLACE(test_a_child_that_ends_before_it_is_ready),
		IN_PLACE(test_users_that_are_not_there),
		IN_PLACE(test_each_channel_is_needed),
		IN_PLACE(test_a_child_that_ends_is_started_again),
		IN_PLACE(test_why_a_child_ended_comes_with_its_end),
		IN_PLACE(test_a_child_that_breaks_the_rules),
		IN_PLACE(test_a_listener_may_be_dead),
		IN_PLACE(test_spool_files),
		IN_PLACE(test_no_spool),
		IN_PLACE(test_a_question_about_a_location),
		IN_PLACE(test_a_listener_that_was_opened_anew),
		IN_PLACE(test_ticket_keys_are_for_fronts),
		IN_PLACE(test_a_drain),
		IN_PLACE(test_a_drain_that_is_no_stop),
		IN_PLACE(test_a_drain_that_yields),
		IN_PLACE(test_a_front_that_ends_has_yielded),
		IN_PLACE(test_no_starts_while_draining),
		IN_PLACE(test_a_child_that_does_not_answer),
		IN_PLACE(test_a_front_that_a_keeper_cannot_reach),
		IN_PLACE(test_others_that_are_lost),
		IN_PLACE(test_a_process_that_hangs_in_the_kernel),
		IN_PLACE(test_idle_times),
		IN_PLACE(test_not_without_root),
		IN_PLACE(test_a_keeper_for_an_owner),
		IN_PLACE(test_one_that_is_wanted_when_it_ends),
		IN_PLACE(test_one_that_ends_tidily),
		IN_PLACE(test_one_that_dies),
		IN_PLACE(test_one_that_does_not_start),
		IN_PLACE(test_room_is_made_for_another_owner),
	};

	if (argc == 2 && strcmp(argv[1], "--child") == 0)
		return fake_main(argv[0]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
