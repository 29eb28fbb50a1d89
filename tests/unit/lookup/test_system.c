/* The driver of the system's users, with a name service and a PAM server of ours. */
#include "lookup/driver.h"
#include "lookup/system/server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/text.h"

#include <errno.h>
#include <grp.h>
#include <pthread.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* ---- the name service ---- */

static struct passwd people[] = {
	{.pw_name = "anna", .pw_uid = 1000, .pw_gid = 100, .pw_dir = "/people/anna"},
	{.pw_name = "Berta", .pw_uid = 1001, .pw_gid = 100, .pw_dir = "/people/Berta"},
	{.pw_name = "carl", .pw_uid = 1002, .pw_gid = 200, .pw_dir = "/people/carl"},
	{.pw_name = "Carl", .pw_uid = 1003, .pw_gid = 100, .pw_dir = "/people/Carl"},
	{.pw_name = "low", .pw_uid = 999, .pw_gid = 100, .pw_dir = "/"},
	{.pw_name = "last", .pw_uid = 59999, .pw_gid = 100, .pw_dir = "/people/last"},
	{.pw_name = "nobody", .pw_uid = 65534, .pw_gid = 100, .pw_dir = "/"},
	{.pw_name = "root", .pw_uid = 0, .pw_gid = 0, .pw_dir = "/root"},
	{.pw_name = "toor", .pw_uid = 0, .pw_gid = 0, .pw_dir = "/root"},
	{.pw_name = "dora@ad.example", .pw_uid = 2000, .pw_gid = 100, .pw_dir = "/people/ad/dora"},
};
static int name_service; /* what it fails with */
static char long_home[700];

int __wrap_getpwnam_r(const char *name, struct passwd *pw, char *buf, size_t size,
		      struct passwd **ret);
int __wrap_getgrnam_r(const char *name, struct group *gr, char *buf, size_t size,
		      struct group **ret);
int __wrap_getgrouplist(const char *name, gid_t first, gid_t *groups, int *count);
int __wrap_server_start(const struct server_settings *settings, int *fds, struct err *err);

int __wrap_getpwnam_r(const char *name, struct passwd *pw, char *buf, size_t size,
		      struct passwd **ret)
{
	(void)buf;
	*ret = NULL;
	if (name_service)
		return name_service;
	if (strcmp(name, "huge") == 0)
		return ERANGE; /* with any room */
	if (strcmp(name, "roomy") == 0 && size < 16384)
		return ERANGE;
	*pw = (struct passwd){
		.pw_name = (char *)(uintptr_t)name, .pw_uid = 3000, .pw_dir = "/people/x"};
	if (strcmp(name, "roomy") == 0) {
		*ret = pw;
	} else if (strcmp(name, "long-home") == 0) {
		memset(long_home, 'x', sizeof(long_home) - 1);
		pw->pw_dir = long_home;
		*ret = pw;
	} else if (strcmp(name, "liar") == 0) {
		pw->pw_name = (char *)(uintptr_t) "anna";
		*ret = pw;
	} else if (strcmp(name, "shout") == 0) { /* as winbind may have it */
		pw->pw_name = (char *)(uintptr_t) "SHOUT@AD.EXAMPLE";
		*ret = pw;
	}
	for (size_t i = 0; i < sizeof(people) / sizeof(people[0]) && !*ret; i++)
		if (strcmp(people[i].pw_name, name) == 0) {
			*pw = people[i];
			*ret = pw;
		}
	return 0;
}

int __wrap_getgrnam_r(const char *name, struct group *gr, char *buf, size_t size,
		      struct group **ret)
{
	static char member[] = "anna";
	static char *members[] = {member, NULL};

	(void)buf;
	(void)size;
	*ret = NULL;
	if (strcmp(name, "broken") == 0)
		return EIO;
	if (strcmp(name, "mail-users") == 0) {
		*gr = (struct group){.gr_gid = 200, .gr_mem = members};
		*ret = gr;
	}
	return 0;
}

/* "last" belongs to many groups, 200 the last one of them. */
int __wrap_getgrouplist(const char *name, gid_t first, gid_t *groups, int *count)
{
	int have = strcmp(name, "last") == 0 ? 300 : 1, room = *count;

	for (int i = 0; i < have && i < room; i++)
		groups[i] = i == 0 ? first : i == have - 1 ? 200 : 5000 + (gid_t)i;
	*count = have;
	return have <= room ? have : -1;
}

/* ---- the driver ---- */

static struct config config;
static struct lookup_database database;
static struct sandbox sandbox;
static void *driver, *connection;
static int server_lane; /* the server's end of the first one */
static struct server_settings started;

int __wrap_server_start(const struct server_settings *settings, int *fds, struct err *err)
{
	(void)err;
	started = *settings;
	for (unsigned i = 0; i < settings->lanes; i++) {
		int pair[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
		fds[i] = pair[0];
		if (i == 0)
			server_lane = pair[1];
	}
	return 0;
}

static const char *mail = "/people";

static int open_driver(const char *settings, struct err *err)
{
	char text[1000];

	snprintf(text, sizeof(text),
		 "mail = \"%s\"\nusers = users\npop3 { listen = {\"127.0.0.1:1110\"} }\ndatabase "
		 "\"people\" {\ndriver = system\n%s\n}\n",
		 mail, settings);
	if (config_parse(span_of(text), "/etc/valija.conf", &config, err) < 0)
		return -1;
	database = (struct lookup_database){.config = &config, .settings = &config.databases[0]};
	sandbox = (struct sandbox){0};
	free(connection); /* a process has one of each for its life */
	free(driver);
	driver = connection = NULL;
	return lookup_driver.open(&database, &sandbox, &driver, err);
}

static void open_good(const char *settings)
{
	struct err err = {0};

	if (open_driver(settings, &err) < 0)
		fail_msg("%s", err.text);
}

#define RECIPIENTS "for = {\"recipient\"}\n"

static struct lookup_answer *find(const char *first, const char *second)
{
	static struct lookup_answer answer;
	struct lookup_question question = {.kind = LOOKUP_FIND,
					   .names = {first, second},
					   .name_count = second ? 2 : 1,
					   .service = "lmtp",
					   .deadline = UINT64_MAX};

	answer = (struct lookup_answer){.status = LOOKUP_UNKNOWN};
	lookup_driver.ask(driver, &connection, &question, &answer);
	return &answer;
}

static const char *field(const struct lookup_answer *answer, const char *name)
{
	const char *at = answer->fields, *end = at + answer->size;

	while (at < end) {
		const char *value = at + strlen(at) + 1;

		if (strcmp(at, name) == 0)
			return value;
		at = value + strlen(value) + 1;
	}
	return "";
}

static int status_of(const char *name)
{
	return find(name, NULL)->status;
}

static int reset(void **state)
{
	(void)state;
	name_service = 0;
	mail = "/people";
	return 0;
}

static void entries_are_found(void **state)
{
	const struct lookup_answer *answer;

	(void)state;
	open_good(RECIPIENTS);
	answer = find("anna", NULL);
	assert_int_equal(answer->status, LOOKUP_FOUND);
	assert_string_equal(field(answer, "user"), "anna");
	assert_string_equal(field(answer, "uid"), "1000");
	assert_string_equal(field(answer, "gid"), "100");
	assert_string_equal(field(answer, "home"), "/people/anna");
	assert_string_equal(field(answer, "maildir"), "Maildir");
	answer = find("anna+list", "anna");
	assert_int_equal(answer->status, LOOKUP_FOUND);
	assert_int_equal(answer->matched, 1);
	answer = find("anna", "Berta");
	assert_int_equal(answer->matched, 0);
	assert_int_equal(status_of("no-one"), LOOKUP_UNKNOWN);
	assert_int_equal(status_of("roomy"), LOOKUP_FOUND);
	assert_true(sandbox.path_count > 0);
}

static void names_in_capital_letters(void **state)
{
	const struct lookup_answer *answer;

	(void)state;
	open_good(RECIPIENTS);
	answer = find("ANNA", NULL);
	assert_int_equal(answer->status, LOOKUP_FOUND);
	assert_string_equal(field(answer, "user"), "anna");
	assert_string_equal(field(find("Berta", NULL), "user"), "Berta");
	assert_int_equal(status_of("berta"), LOOKUP_UNKNOWN);
	assert_int_equal(status_of("carl"), LOOKUP_FOUND);
	assert_int_equal(status_of("Carl"), LOOKUP_BAD_ENTRY); /* carl or Carl */
	assert_int_equal(status_of("CARL"), LOOKUP_FOUND);     /* there is no other */
}

static void uids_out_of_range(void **state)
{
	(void)state;
	open_good(RECIPIENTS);
	assert_int_equal(status_of("low"), LOOKUP_UNKNOWN);
	assert_int_equal(status_of("nobody"), LOOKUP_UNKNOWN);
	assert_int_equal(status_of("last"), LOOKUP_FOUND);
	assert_int_equal(status_of("root"), LOOKUP_UNKNOWN);
	open_good(RECIPIENTS "min_uid = 1\nmax_uid = 4294967294");
	assert_int_equal(status_of("low"), LOOKUP_FOUND);
	assert_int_equal(status_of("nobody"), LOOKUP_FOUND);
	assert_int_equal(status_of("root"), LOOKUP_UNKNOWN);
	assert_int_equal(status_of("toor"), LOOKUP_UNKNOWN);
}

static void names_with_a_domain(void **state)
{
	(void)state;
	open_good(RECIPIENTS);
	assert_int_equal(status_of("anna@example.org"), LOOKUP_UNKNOWN);
	assert_int_equal(status_of("dora@ad.example"), LOOKUP_FOUND);
	assert_int_equal(status_of("shout"), LOOKUP_FOUND); /* one user still */
	open_good(RECIPIENTS "domains = {\"\", \"Example.org\"}");
	assert_int_equal(status_of("anna@example.ORG"), LOOKUP_FOUND);
	assert_string_equal(field(find("anna@example.org", NULL), "user"), "");
	assert_string_equal(field(find("anna@example.org", NULL), "home"), "/people/anna");
	assert_int_equal(status_of("anna@other.example"), LOOKUP_UNKNOWN);
	assert_int_equal(status_of("anna@"), LOOKUP_UNKNOWN);
	assert_int_equal(status_of("@example.org"), LOOKUP_UNKNOWN);
	assert_int_equal(status_of("root@example.org"), LOOKUP_UNKNOWN);
}

static void members_of_a_group(void **state)
{
	(void)state;
	open_good(RECIPIENTS "group = mail-users");
	assert_int_equal(status_of("anna"), LOOKUP_FOUND); /* by its list */
	assert_int_equal(status_of("carl"), LOOKUP_FOUND); /* as the first one */
	assert_int_equal(status_of("last"), LOOKUP_FOUND); /* the last of 300 */
	assert_int_equal(status_of("Berta"), LOOKUP_UNKNOWN);
	open_good(RECIPIENTS "group = no-such-group");
	assert_int_equal(status_of("anna"), LOOKUP_DOWN);
	assert_non_null(strstr(find("anna", NULL)->why, "no-such-group: there is none"));
	open_good(RECIPIENTS "group = broken");
	assert_int_equal(status_of("anna"), LOOKUP_DOWN);
}

static void threat_75_a_name_service_that_fails_is_down(void **state)
{
	static const int errors[] = {EIO, EMFILE, ENOMEM, EAGAIN, ETIMEDOUT, ECONNREFUSED, EACCES};

	(void)state;
	open_good(RECIPIENTS);
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		name_service = errors[i];
		assert_int_equal(status_of("anna"), LOOKUP_DOWN);
		assert_int_equal(status_of("no-one"), LOOKUP_DOWN);
		assert_non_null(strstr(find("anna", NULL)->why, strerror(errors[i])));
	}
	name_service = ENOENT; /* modules that are not there */
	assert_int_equal(status_of("no-one"), LOOKUP_UNKNOWN);
}

static void threat_76_entries_that_are_none(void **state)
{
	(void)state;
	open_good(RECIPIENTS);
	assert_int_equal(status_of("huge"), LOOKUP_BAD_ENTRY);
	assert_int_equal(status_of("long-home"), LOOKUP_BAD_ENTRY);
	assert_int_equal(status_of("liar"), LOOKUP_BAD_ENTRY); /* another name than was asked */
}

static void where_the_maildir_is(void **state)
{
	(void)state;
	open_good(RECIPIENTS "maildir = \"\"");
	assert_string_equal(field(find("anna", NULL), "maildir"), "");
	open_good(RECIPIENTS "maildir = \"/var/mail/valija/{user}\"");
	/* one folder, however the client writes the name */
	assert_string_equal(field(find("ANNA", NULL), "maildir"), "/var/mail/valija/anna");
	mail = "/srv/mail/{domain}/{local}"; /* that says where, unless the database does */
	open_good(RECIPIENTS);
	assert_int_equal(status_of("anna"), LOOKUP_FOUND);
	assert_string_equal(field(find("anna", NULL), "home"), "");
	assert_string_equal(field(find("anna", NULL), "maildir"), "");
	assert_string_equal(field(find("anna", NULL), "uid"), "1000");
	open_good(RECIPIENTS "maildir = \"/srv/mail/here/{user}\"");
	assert_string_equal(field(find("anna", NULL), "maildir"), "/srv/mail/here/anna");
	open_good(RECIPIENTS "maildir = \"{nothing}\"");
	assert_int_equal(status_of("anna"), LOOKUP_BAD_ENTRY);
}

static void settings_that_are_wrong(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(open_driver(RECIPIENTS "min_uid = 0", &err), -1);
	assert_int_equal(open_driver(RECIPIENTS "min_uid = 70000", &err), -1);
	assert_string_equal(err.text, "min_uid is more than max_uid: no user is between");
	assert_int_equal(open_driver("connections = 0", &err), -1);
	assert_int_equal(open_driver("connections = 65", &err), -1);
	if (geteuid() != 0)
		return;
	assert_int_equal(open_driver("service = \"../shadow\"", &err), -1);
	assert_int_equal(open_driver("service = \"\"", &err), -1);
	assert_int_equal(open_driver("service = \"no-such-service\"", &err), -1);
	assert_non_null(strstr(err.text, "dist/pam.d/valija"));
}

/* ---- passwords ---- */

struct play {
	pthread_t thread;
	struct frame_verdict verdicts[4]; /* of the question (id 0: its own), one after the other */
	unsigned count;
	const char *garbage;
	struct frame_question got;
};

static void *be_server(void *context)
{
	struct play *play = context;
	char packet[FRAME_QUESTION_MAX + 1], verdict[FRAME_VERDICT_SIZE];
	ssize_t n = recv(server_lane, packet, sizeof(packet), 0);

	assert_true(n > 0);
	assert_int_equal(frame_take_question((pop3_span){packet, (size_t)n}, &play->got), 0);
	for (unsigned i = 0; i < play->count; i++) {
		if (!play->verdicts[i].id)
			play->verdicts[i].id = play->got.head.id;
		frame_put_verdict(&play->verdicts[i], verdict);
		assert_int_equal(send(server_lane, verdict, sizeof(verdict), 0), sizeof(verdict));
	}
	if (play->garbage)
		assert_true(send(server_lane, play->garbage, strlen(play->garbage), 0) > 0);
	return NULL;
}

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

static struct lookup_answer *verify(const char *name, const char *secret, uint64_t deadline)
{
	static struct lookup_answer answer;
	struct lookup_question question = {.kind = LOOKUP_PASSWORD,
					   .names = {name},
					   .name_count = 1,
					   .secret = span_of(secret),
					   .service = "pop3",
					   .address = "192.0.2.1",
					   .deadline = deadline};

	answer = (struct lookup_answer){.status = LOOKUP_UNKNOWN};
	lookup_driver.ask(driver, &connection, &question, &answer);
	return &answer;
}

static struct lookup_answer *played(struct play *play, const char *name)
{
	struct lookup_answer *answer;

	assert_int_equal(pthread_create(&play->thread, NULL, be_server, play), 0);
	answer = verify(name, "the secret", now() + 60000);
	pthread_join(play->thread, NULL);
	return answer;
}

/* Passwords need root; without it the driver says so, and only that can be tried. */
static bool open_with_pam(void)
{
	if (access("/etc/pam.d/other", R_OK) < 0)
		skip();
	open_good("service = other\nconnections = 1");
	if (geteuid() == 0)
		return true;
	assert_int_equal(verify("anna", "the secret", now() + 60000)->status, LOOKUP_DOWN);
	assert_non_null(strstr(verify("anna", "x", now() + 60000)->why, "needs root"));
	return false;
}

static void verdicts_become_answers(void **state)
{
	static const struct {
		enum verdict verdict;
		uint32_t detail;
		enum lookup_status status;
	} cases[] = {
		{VERDICT_RIGHT, 0, LOOKUP_FOUND},
		{VERDICT_WRONG, 0, LOOKUP_WRONG},
		{VERDICT_EXPIRED, 0, LOOKUP_REFUSED},
		{VERDICT_LOCKED, 0, LOOKUP_REFUSED},
		{VERDICT_DOWN, 9, LOOKUP_DOWN},
		{VERDICT_DOWN, DETAIL_HUNG, LOOKUP_DOWN},
		{VERDICT_DOWN, DETAIL_DIED, LOOKUP_DOWN},
		{VERDICT_DOWN, DETAIL_FULL, LOOKUP_DOWN},
		{VERDICT_DOWN, DETAIL_QUESTION, LOOKUP_DOWN},
	};

	(void)state;
	if (!open_with_pam())
		return;
	assert_int_equal(started.lanes, 1);
	assert_int_equal(started.range.min, 1000);
	assert_int_equal(started.longest, 10000);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct play play = {.verdicts = {{0, cases[i].verdict, cases[i].detail}},
				    .count = 1};
		const struct lookup_answer *answer = played(&play, "ANNA");

		assert_int_equal(answer->status, cases[i].status);
		assert_string_equal(play.got.user, "anna"); /* as the system spells it */
		assert_string_equal(play.got.secret, "the secret");
		assert_string_equal(play.got.address, "192.0.2.1");
		assert_false(answer->finished);
		assert_int_equal(answer->why[0] != 0, answer->status == LOOKUP_DOWN);
		assert_string_equal(field(answer, "uid"), i == 0 ? "1000" : "");
	}
}

static void what_needs_no_question(void **state)
{
	static char too_long[FRAME_SECRET_MAX + 1];

	(void)state;
	if (!open_with_pam())
		return;
	memset(too_long, 'x', FRAME_SECRET_MAX);
	/* nobody plays the server: a question would be DOWN */
	assert_int_equal(verify("anna", "", now() + 60000)->status, LOOKUP_WRONG);
	assert_int_equal(verify("anna", too_long, now() + 60000)->status, LOOKUP_WRONG);
	assert_int_equal(verify("no-one", "x", now() + 60000)->status, LOOKUP_UNKNOWN);
	assert_int_equal(verify("root", "x", now() + 60000)->status, LOOKUP_UNKNOWN);
	name_service = EIO;
	assert_int_equal(verify("anna", "x", now() + 60000)->status, LOOKUP_DOWN);
}

static void a_late_verdict_is_of_another_question(void **state)
{
	struct play late = {.verdicts = {{1, VERDICT_RIGHT, 0}, {0, VERDICT_WRONG, 0}}, .count = 2};

	(void)state;
	if (!open_with_pam())
		return;
	assert_int_equal(verify("anna", "first", 0)->status,
			 LOOKUP_DOWN); /* id 1: never answered */
	assert_int_equal(recv(server_lane, (char[1]){0}, 1, 0), 1);
	assert_int_equal(played(&late, "anna")->status, LOOKUP_WRONG);
}

static void threat_61_a_server_that_lies_is_left(void **state)
{
	struct play garbage = {.garbage = "yes, let her in"};

	(void)state;
	if (!open_with_pam())
		return;
	assert_int_equal(played(&garbage, "anna")->status, LOOKUP_DOWN);
	open_with_pam();
	assert_true(played(&garbage, "anna")->finished);
	open_with_pam();
	close(server_lane);
	assert_int_equal(verify("anna", "x", now() + 60000)->status, LOOKUP_DOWN);
	assert_true(verify("anna", "x", now() + 60000)->finished);
}

static int end(void **state)
{
	(void)state;
	free(connection);
	free(driver);
	return 0;
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup(name, reset)
	const struct CMUnitTest tests[] = {
		CASE(entries_are_found),
		CASE(names_in_capital_letters),
		CASE(uids_out_of_range),
		CASE(names_with_a_domain),
		CASE(members_of_a_group),
		CASE(threat_75_a_name_service_that_fails_is_down),
		CASE(threat_76_entries_that_are_none),
		CASE(where_the_maildir_is),
		CASE(settings_that_are_wrong),
		CASE(verdicts_become_answers),
		CASE(what_needs_no_question),
		CASE(a_late_verdict_is_of_another_question),
		CASE(threat_61_a_server_that_lies_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, end);
}
