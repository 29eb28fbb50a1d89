/* The process of last logins. The test plays the monitor and auth; its worker can be made to stand
 * at a gate, as on a disk that hangs. */
#include "role_test.h"

#include "base/text.h"
#include "server/logins/logins.h"
#include "users/last_logins.h"
#include "users/learned.h"

static struct role_peer *auth;

int __real_last_logins_append(int folder_fd, const struct last_logins_append *append,
			      uint64_t *ret_size, struct err *err);
int __wrap_last_logins_append(int folder_fd, const struct last_logins_append *append,
			      uint64_t *ret_size, struct err *err);
int __real_last_logins_compact(int folder_fd, uint64_t *ret_size, struct err *err);
int __wrap_last_logins_compact(int folder_fd, uint64_t *ret_size, struct err *err);

int __wrap_last_logins_append(int folder_fd, const struct last_logins_append *append,
			      uint64_t *ret_size, struct err *err)
{
	if (role_is_child)
		role_gate();
	return __real_last_logins_append(folder_fd, append, ret_size, err);
}

int __wrap_last_logins_compact(int folder_fd, uint64_t *ret_size, struct err *err)
{
	if (role_is_child)
		role.shared->recipients++; /* counts them for the test */
	if (role.shared->sessions)
		return err_set(err, 1, "it cannot be rewritten");
	return __real_last_logins_compact(folder_fd, ret_size, err);
}

static void begin_process(void)
{
	role_begin(&logins_role, false);
	role_directory(DIRECTORY_LOGINS, 0, role.folder_fd);
	auth = role_peer(ROLE_AUTH, 0);
	role_go();
}

static int begin(void **state)
{
	(void)state;
	begin_process();
	return 0;
}

static void send_row(const char *name, const char *label, uint32_t day, bool mta)
{
	struct ipc_logged_in message = {.day = day, .mta = mta};

	ROLE_SEND_TEXTS(auth, IPC_LOGGED_IN, &message, name, label);
}

static void collect(void *context, const struct last_login *login)
{
	char *text = context;

	if (login->kind == LAST_LOGIN_SINCE)
		return;
	snprintf(text + strlen(text), 4000 - strlen(text), "%c%u %s %s;",
		 login->kind == LAST_LOGIN_SASL ? 's' : 'p', login->day, login->label, login->name);
}

static const char *all(void)
{
	static char text[4000];
	struct err err = {0};

	text[0] = '\0';
	assert_int_equal(last_logins_each(role.folder_fd, collect, text, &err), 0);
	return text;
}

static void expect_file(const char *wanted)
{
	for (int ms = 0; strcmp(all(), wanted) != 0; ms++) {
		if (ms > ROLE_PATIENCE_MS)
			assert_string_equal(all(), wanted);
		usleep(1000);
	}
}

static void rows_become_lines(void **state)
{
	(void)state;
	send_row("anna", "", 20000, false);
	send_row("Berta@Example.org", "phone", 20000, true);
	send_row("anna", "", 20001, false);
	expect_file("p20000  anna;s20000 phone berta@example.org;p20001  anna;");
}

/* Nothing that auth sends becomes a line that is none. */
static void test_threat_110_hostile_rows_make_no_line(void **state)
{
	(void)state;
	send_row("a/b", "", 20000, false);
	send_row("..", "", 20000, false);
	send_row("a\nb", "", 20000, false);
	send_row("a\xff", "a b", 20000, false);
	send_row("anna", "-", 20000, false);
	send_row("anna", "", LAST_LOGINS_DAY_MAX + 1, false);
	send_row("anna", "", UINT32_MAX, false);
	send_row("anna\xff%0a", "", 20000, false);
	send_row("berta", "", 20000, false);
	expect_file("p20000  anna\xff%0a;p20000  berta;");
}

static void test_threat_110_a_row_that_is_none_cuts_the_channel(void **state)
{
	struct ipc_logged_in message = {.day = 20000, .mta = 2};

	(void)state;
	ROLE_SEND_TEXTS(auth, IPC_LOGGED_IN, &message, "anna", "");
	role_expect_cut(auth);
	auth = role_peer(ROLE_AUTH, 0);
	send_row("anna", "", 20000, false);
	expect_file("p20000  anna;");
}

/* ---- learned passwords ---- */

static void send_learned(const char *section, const char *name, char octet)
{
	char sealed[SEAL_TEXT_SIZE + 1];
	struct ipc_learned message;

	memset(sealed, octet, SEAL_TEXT_SIZE);
	sealed[SEAL_TEXT_SIZE] = '\0';
	ROLE_SEND_TEXTS(auth, IPC_LEARNED, &message, section, name, sealed);
}

static void collect_learned(void *context, const struct learned *learned)
{
	char *text = context;

	snprintf(text + strlen(text), 1000 - strlen(text), "%s %s %c;", learned->section,
		 learned->name, learned->sealed[0]);
}

static void expect_passwords(const char *wanted)
{
	char text[1000];
	struct err err;

	for (int ms = 0;; ms++) {
		text[0] = '\0';
		assert_int_equal(learned_each(role.folder_fd, collect_learned, text, &err), 0);
		if (strcmp(text, wanted) == 0)
			return;
		if (ms > ROLE_PATIENCE_MS)
			assert_string_equal(text, wanted);
		usleep(1000);
	}
}

static void learned_passwords_become_lines(void **state)
{
	(void)state;
	send_learned("old", "Anna@Example.org", 'a');
	send_learned("ol d", "anna", 'b'); /* no section has that name */
	send_learned("old", "a\nb", 'c');
	send_learned("old", "..", 'd');
	send_learned("old", "anna", ' ');
	send_learned("old", "anna", '\n');
	send_learned("older", "berta", 'e');
	send_learned("old", "anna@example.org", 'f');
	expect_passwords("old anna@example.org a;older berta e;old anna@example.org f;");
	send_row("anna", "", 20000, false);
	expect_file("p20000  anna;");
}

static void test_threat_110_a_seal_of_another_size_cuts_the_channel(void **state)
{
	struct ipc_learned message;

	(void)state;
	ROLE_SEND_TEXTS(auth, IPC_LEARNED, &message, "old", "anna", "AAAA");
	role_expect_cut(auth);
}

static void a_name_too_long_is_no_line(void **state)
{
	char name[IPC_TEXT_MAX + 1];

	(void)state;
	memset(name, 'a', IPC_TEXT_MAX);
	name[IPC_TEXT_MAX] = '\0';
	send_row(name, "", 20000, false);
	name[USER_NAME_MAX] = '\0';
	send_row(name, "", 20000, false);
	send_row("berta", "", 20000, false);
	for (int ms = 0; !strstr(all(), "berta"); ms++) {
		assert_true(ms < ROLE_PATIENCE_MS);
		usleep(1000);
	}
	assert_int_equal(strlen(all()), strlen("p20000  ;p20000  berta;") + USER_NAME_MAX);
}

/* A disk that hangs holds up nobody: the loop answers, what does not fit is dropped, the rest is
 * written once it goes on. */
static void test_threat_110_a_disk_that_hangs_holds_up_nobody(void **state)
{
	enum { MANY = 20000 };
	unsigned lines = 0;

	(void)state;
	role.shared->closed = true;
	for (unsigned i = 0; i < MANY; i++) {
		char name[32];

		snprintf(name, sizeof(name), "user%06u", i);
		send_row(name, "", 20000, false);
	}
	role_ping(); /* all rows are taken */
	role_open_gate(-1);
	role_peer_dies(auth);
	role_drain(1000);
	assert_int_equal(role_ends(), 0);
	for (const char *at = all(); (at = strstr(at, "user")); at++)
		lines++;
	assert_true(lines > 100); /* all() shows the first ones */
}

/* What came before the end is written, and the process ends by itself. */
static void the_last_rows_are_written(void **state)
{
	(void)state;
	role.shared->closed = true;
	send_row("anna", "", 20000, false);
	send_row("berta", "", 20000, false);
	role_ping();
	role_drain(1000);
	role_peer_dies(auth);
	role_open_gate(-1);
	assert_int_equal(role_ends(), 0);
	assert_string_equal(all(), "p20000  anna;p20000  berta;");
}

static void the_start_compacts(void **state)
{
	char line[LAST_LOGINS_LINE_MAX], text[8 * LAST_LOGINS_LINE_MAX] = "";
	struct last_login login;

	(void)state;
	for (uint32_t day = 1; day <= 3; day++) {
		(void)last_login_set(&login, LAST_LOGIN_POP3, day, span_of("anna"), span_of(""));
		(void)last_login_print(&login, line);
		strcat(text, line);
	}
	role_begin(&logins_role, false);
	role_write(LAST_LOGINS_FILE, text);
	role_directory(DIRECTORY_LOGINS, 0, role.folder_fd);
	auth = role_peer(ROLE_AUTH, 0);
	role_go();
	expect_file("p3  anna;");
	send_row("anna", "", 4, false);
	expect_file("p3  anna;p4  anna;");
	assert_int_equal(role.shared->recipients, 1);
}

/* A file that has grown is rewritten while the process runs. */
static void a_grown_file_is_compacted(void **state)
{
	enum { MANY = 40000, BATCH = 1000 };

	(void)state;
	for (uint32_t i = 0; i < MANY; i++) {
		send_row("anna", "a-label-of-32-octets-aaaaaaaaaaa", 1 + i, false);
		if (i % BATCH == 0)
			role_ping(); /* the pace of its worker, roughly */
	}
	for (int ms = 0; role.shared->recipients < 2; ms++) {
		assert_true(ms < ROLE_PATIENCE_MS);
		send_row("anna", "", 60000, false);
		usleep(1000);
	}
}

/* Nor is the whole file read for each line where that cannot be done. */
static void a_file_that_cannot_be_rewritten_grows(void **state)
{
	enum { MANY = 60000, BATCH = 200 };
	const char *label = "a-label-of-32-octets-aaaaaaaaaaa";

	(void)state;
	role.shared->sessions = 1;
	for (uint32_t i = 0; i < MANY; i++) {
		send_row("anna", label, 1 + i, false);
		if (i % BATCH == 0)
			role_ping();
	}
	send_row("berta", "", 20000, false);
	role_drain(1000);
	role_peer_dies(auth);
	assert_int_equal(role_ends(), 0);
	assert_in_range(role.shared->recipients, 1, 4);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, begin, role_over)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rows_become_lines),
		TEST(learned_passwords_become_lines),
		TEST(test_threat_110_a_seal_of_another_size_cuts_the_channel),
		TEST(test_threat_110_hostile_rows_make_no_line),
		TEST(test_threat_110_a_row_that_is_none_cuts_the_channel),
		TEST(a_name_too_long_is_no_line),
		TEST(test_threat_110_a_disk_that_hangs_holds_up_nobody),
		TEST(the_last_rows_are_written),
		cmocka_unit_test_teardown(the_start_compacts, role_over),
		TEST(a_grown_file_is_compacted),
		TEST(a_file_that_cannot_be_rewritten_grows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
