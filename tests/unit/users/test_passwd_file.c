/* The passwd-file: lines, look-up, reading again when it changed, and `valija user`'s changes to
 * it. */
#include "mail_of.h"
#include "users/edit.h"
#include "users/passwd_line.h"
#include "users/scheme_kinds.h"
#include "users/users.h"

#include "base/text.h"

#include <fcntl.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[] = "/tmp/test-users-XXXXXX";
static int dir_fd;
static struct err err;
static struct user user;

static int make_directory(void **state)
{
	(void)state;
	if (!mkdtemp(directory))
		return -1;
	dir_fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return dir_fd < 0 ? -1 : 0;
}

static int drop_directory(void **state)
{
	(void)state;
	unlinkat(dir_fd, "users", 0);
	unlinkat(dir_fd, "link", 0);
	close(dir_fd);
	return rmdir(directory);
}

static void write_at(const char *name, const char *text)
{
	int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

/* Renamed into place, with a time that is old enough to be believed. */
static void put(const char *text)
{
	static long age = 1000000;
	struct timespec times[2] = {{.tv_sec = 1600000000 + --age}, {.tv_sec = 1600000000 + age}};

	write_at("new", text);
	assert_int_equal(utimensat(dir_fd, "new", times, 0), 0);
	assert_int_equal(renameat(dir_fd, "new", dir_fd, "users"), 0);
}

static struct users *opened(const char *text)
{
	struct users *users = NULL;

	put(text);
	memset(&err, 0, sizeof(err));
	if (users_open_passwd_file(dir_fd, "users", mail_of("/srv/mail"), &users, &err) < 0)
		fail_msg("%s", err.text);
	return users;
}

static enum users_status find(struct users *users, const char *name)
{
	memset(&user, 0xee, sizeof(user));
	return users_find(users, span_of(name), &user, &err);
}

static void test_fields(void **state)
{
	struct users *users =
		opened("# comment\n"
		       "\n"
		       "anna:{PLAIN}a b:1000:1001:Anna A:sub/anna:/bin/sh:nologin "
		       "quota_messages=5 quota_octets=2G acl_groups=x\n"
		       "bert@example.org:$6$x$y\r\n"
		       "carl:{PLAIN}c::::/srv/mail/deep/carl/::userdb_quota_octets=10k\n"
		       "dora:\n"
		       "\xc3\xa9mile:{PLAIN}e");

	(void)state;
	assert_int_equal(find(users, "anna"), USERS_FOUND);
	assert_string_equal(user.name, "anna");
	assert_string_equal(user.secret, "{PLAIN}a b");
	assert_string_equal(user.home, "sub/anna");
	assert_true(user.has_ids && user.nologin);
	assert_int_equal(user.uid, 1000);
	assert_int_equal(user.gid, 1001);
	assert_int_equal(user.quota_messages, 5);
	assert_true(user.quota_octets == 2ull << 30);
	assert_int_equal(find(users, "bert@example.org"), USERS_FOUND);
	assert_string_equal(user.secret, "$6$x$y");
	assert_string_equal(user.home, "");
	assert_false(user.has_ids || user.nologin);
	assert_int_equal(user.quota_octets, 0);
	assert_int_equal(find(users, "carl"), USERS_FOUND);
	assert_string_equal(user.home, "deep/carl");
	assert_int_equal(user.quota_octets, 10240);
	assert_int_equal(find(users, "dora"), USERS_FOUND);
	assert_string_equal(user.secret, "");
	assert_int_equal(find(users, "\xc3\xa9mile"), USERS_FOUND);
	assert_int_equal(find(users, "# comment"), USERS_UNKNOWN);
	assert_int_equal(find(users, "emil"), USERS_UNKNOWN);
	users_close(users);
}

/* One field that is not known shuts its own user out; the others of the file go on. */
static void test_fields_that_are_not_known(void **state)
{
	static const char *const words[] = {"foo=bar",  "fail=",      "proxy",
					    "imap",     "password=x", "allow_real_nets=192.0.2.1",
					    "home",     "userdb_foo", "nologin foo=bar",
					    "host=a.b", "nopassword", "a comment"};
	char text[200];

	(void)state;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		struct users *users;

		snprintf(text, sizeof(text), "b:{PLAIN}x\na:{PLAIN}x::::::%s\n", words[i]);
		users = opened(text);
		assert_int_equal(find(users, "b"), USERS_FOUND);
		if (find(users, "a") != USERS_UNSERVED)
			fail_msg("%s is passed over", words[i]);
		assert_non_null(strstr(err.text, "users:2: "));
		assert_non_null(strstr(err.text, "valija-users(5)")
					? err.text
					: strstr(err.text, "second field"));
		assert_int_equal(user.nologin, i == 8);
		users_close(users);
	}
}

static void test_lines_of_other_programs(void **state)
{
	struct users *users = opened("a:{PLAIN}x:1000:1000:Anna A,,,:/srv/mail/a:/bin/bash\n"
				     "b:{PLAIN}x::::::userdb_gecos=B  nodelay userdb_nice=1\n"
				     "c:{PLAIN}x::::::remote=old\n"
				     "d:{PLAIN}x::::::remote\n");

	(void)state;
	assert_int_equal(find(users, "a"), USERS_FOUND);
	assert_string_equal(user.home, "a");
	assert_int_equal(find(users, "b"), USERS_FOUND);
	assert_int_equal(find(users, "c"), USERS_UNSERVED);
	assert_string_equal(user.remote, "old");
	assert_non_null(strstr(err.text, "another server"));
	assert_int_equal(find(users, "d"), USERS_UNSERVED);
	assert_string_equal(user.remote, "?");
	users_close(users);
}

/* A million users are read again beside the look-ups, which see the old ones until then. */
static void test_a_large_file_is_read_again_by_a_thread(void **state)
{
	enum { USERS = 60000, LINE = 32 };
	char *text = malloc((size_t)USERS * LINE + 1), *at = text;
	struct users *users;
	int seen = 0;

	(void)state;
	assert_non_null(text);
	for (int i = 0; i < USERS; i++)
		at += sprintf(at, "user%05d:{PLAIN}old secret\n", i);
	assert_true(at - text > 1 << 20);
	users = opened(text);
	assert_int_equal(find(users, "user59999"), USERS_FOUND);
	at = text;
	for (int i = 0; i < USERS; i++)
		at += sprintf(at, "user%05d:{PLAIN}new secret\n", i);
	put(text);
	for (int ms = 0; !seen; ms++) {
		assert_true(ms < 30000);
		assert_int_equal(find(users, "user59999"), USERS_FOUND);
		seen = strcmp(user.secret, "{PLAIN}new secret") == 0;
		if (!seen)
			assert_string_equal(user.secret, "{PLAIN}old secret");
		usleep(1000);
	}
	put(text); /* it is closed while it is read */
	assert_int_equal(find(users, "user00000"), USERS_FOUND);
	users_close(users);
	free(text);
}

/* Found in any case; called, and so stored, as the file has it. */
static void test_case_of_ascii_letters_makes_no_difference(void **state)
{
	static const char *const names[][2] = {
		{"anna", "anna"},
		{"ANNA", "anna"},
		{"Bert", "Bert"},
		{"bert", "Bert"},
		{"bERT", "Bert"},
		{"Carol@Example.ORG", "Carol@Example.ORG"},
		{"carol@example.org", "Carol@Example.ORG"},
		{"CAROL@EXAMPLE.ORG", "Carol@Example.ORG"},
		{"\xc3\x89MILE", "\xc3\x89mile"},
	};
	struct users *users =
		opened("anna:{PLAIN}a\nBert:{PLAIN}b\nCarol@Example.ORG:{PLAIN}c::::Deep/Carol\n"
		       "\xc3\x89mile:{PLAIN}e\n");

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (find(users, names[i][0]) != USERS_FOUND)
			fail_msg("%s is not found", names[i][0]);
		assert_string_equal(user.name, names[i][1]);
	}
	assert_int_equal(find(users, "carol@EXAMPLE.org"), USERS_FOUND);
	assert_string_equal(user.home, "Deep/Carol");
	/* letters beyond ASCII are themselves only */
	assert_int_equal(find(users, "\xc3\xa9mile"), USERS_UNKNOWN);
	assert_int_equal(find(users, "carol"), USERS_UNKNOWN);
	users_close(users);
}

/* What an editor puts in front is no part of the first name. */
static void test_byte_order_marks(void **state)
{
	struct users *users = opened("\xef\xbb\xbf"
				     "Anna:{PLAIN}a\nbert:{PLAIN}b\n");

	(void)state;
	assert_int_equal(find(users, "anna"), USERS_FOUND);
	assert_string_equal(user.name, "Anna");
	assert_int_equal(find(users, "bert"), USERS_FOUND);
	/* a change into UTF-16 changes nothing */
	put("\xff\xfe"
	    "c:{PLAIN}c\n");
	assert_int_equal(find(users, "bert"), USERS_FOUND);
	assert_int_equal(find(users, "c"), USERS_UNKNOWN);
	put("\xef\xbb\xbf# ours\nCarl:{PLAIN}c\n");
	assert_int_equal(find(users, "carl"), USERS_FOUND);
	assert_int_equal(find(users, "bert"), USERS_UNKNOWN);
	users_close(users);
}

/* Nobody who logs in is without mail: names that no address can have stop only their users. */
static void test_names_that_get_no_mail_are_not_served(void **state)
{
	struct users *users =
		opened("\xe9mile:{PLAIN}x\na@b..c:{PLAIN}x\na@b.:{PLAIN}x\nb@:{PLAIN}x\n"
		       "foo..bar:{PLAIN}x\nanna:{PLAIN}x\n");

	(void)state;
	assert_int_equal(find(users, "\xe9mile"), USERS_UNSERVED);
	assert_non_null(strstr(err.text, "users:1: no mail can be addressed to \\xe9mile"));
	assert_int_equal(find(users, "A@B..C"), USERS_UNSERVED);
	assert_int_equal(find(users, "a@b."), USERS_UNSERVED);
	assert_int_equal(find(users, "b@"), USERS_UNSERVED);
	assert_int_equal(find(users, "foo..bar"), USERS_FOUND);
	assert_int_equal(find(users, "anna"), USERS_FOUND);
	users_close(users);
}

static void test_a_bad_line_is_named(void **state)
{
	static const struct {
		const char *text, *where, *words;
	} bad[] = {
		{"anna\n", "users:1: ", "no colon"},
		{"a:x\n\n-b:x\n", "users:3: ", "user name"},
		{":x\n", "users:1: ", "user name"},
		{"a b:x\n", "users:1: ", "user name"},
		{"a/b:x\n", "users:1: ", "user name"},
		{".a:x\n", "users:1: ", "user name"},
		{"a:x\nb:y\na:z\n", "users:3: ", "line 1 already"},
		{"anna:x\n#\nAnna:y\n", "users:3: ", "line 1 already"},
		{"b:x\nC@Example.org:x\nc@EXAMPLE.org:y\n", "users:3: ", "line 2 already"},
		{"Anna:x\nanna:y\n", "users:2: ", "between anna and Anna"},
		{"\xef\xbb\xbf"
		 "a:x\nA:y\n",
		 "users:2: ", "line 1 already"},
		{"a:x\n\xef\xbb\xbf"
		 "b:x\n",
		 "users:2: ", "byte-order mark"},
		{"\xff\xfe"
		 "a:x\n",
		 "users:1: ", "UTF-16"},
		{"\xfe\xff"
		 "a:x\n",
		 "users:1: ", "UTF-16"},
		{"a:x\x01y\n", "users:1: ", "control character"},
		{"a:x\ry\n", "users:1: ", "control character"},
		{"a:x::::::quota_octets=-1\n", "users:1: ", "quota"},
		{"a:x::::::quota_octets=99999999T\n", "users:1: ", "quota"},
	};
	struct users *users = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		put(bad[i].text);
		assert_int_equal(
			users_open_passwd_file(dir_fd, "users", mail_of("/srv/mail"), &users, &err),
			-1);
		if (strncmp(err.text, bad[i].where, strlen(bad[i].where)) != 0 ||
		    !strstr(err.text, bad[i].words))
			fail_msg("not \"%s… %s\": %s", bad[i].where, bad[i].words, err.text);
		assert_null(users);
	}
}

static void test_long_fields_are_refused(void **state)
{
	struct users *users = NULL;
	char text[2048];

	(void)state;
	snprintf(text, sizeof(text), "a:%01100d\n", 0);
	put(text);
	assert_int_equal(users_open_passwd_file(dir_fd, "users", NULL, &users, &err), -1);
	assert_non_null(strstr(err.text, "1023"));
	snprintf(text, sizeof(text), "%0256d:x\n", 0);
	put(text);
	assert_int_equal(users_open_passwd_file(dir_fd, "users", NULL, &users, &err), -1);
	assert_int_equal(users_open_passwd_file(dir_fd, "absent", NULL, &users, &err), -1);
	assert_int_equal(err.code, EX_NOINPUT);
	assert_int_equal(users_open_passwd_file(dir_fd, ".", NULL, &users, &err), -1);
}

/* A home on another server's disk is neither shown empty nor a reason to lock the others out. */
static void test_what_we_cannot_serve_stops_only_its_user(void **state)
{
	struct users *users = opened(
		"a:{PLAIN}x::::/elsewhere/a\nb:{PLAIN}x\n"
		"c:{PLAIN}x::::/srv/mailbox/c\nd:{PLAIN}x::::/srv/mail\n"
		"e:{PLAIN}x::::::allow_nets=10.0.0.0/33\nf:{PLAIN}x:vmail:vmail\ng:{PLAIN}x:0:0\n");

	(void)state;
	assert_int_equal(find(users, "a"), USERS_UNSERVED);
	assert_non_null(strstr(err.text, "users:1: "));
	assert_non_null(strstr(err.text, "/elsewhere/a"));
	assert_int_equal(find(users, "b"), USERS_FOUND);
	assert_int_equal(find(users, "c"), USERS_UNSERVED);
	assert_int_equal(find(users, "d"), USERS_UNSERVED);
	assert_int_equal(find(users, "e"), USERS_FOUND);
	assert_true(user.nologin);
	assert_int_equal(find(users, "f"), USERS_FOUND);
	assert_false(user.has_ids);
	assert_int_equal(find(users, "g"), USERS_UNSERVED);
	users_close(users);
}

/* The mail location of a Dovecot users file. */
static void test_a_maildir_of_another_server_is_found(void **state)
{
	static const struct {
		const char *name, *home, *mail, *found;
	} cases[] = {
		{"fred", "/srv/mail/fred", "maildir:~/Maildir", "fred/Maildir"},
		{"fred", "/srv/mail/fred/", "maildir:%h/Maildir/", "fred/Maildir"},
		{"fred", "", "maildir:~/Maildir", "fred/Maildir"},
		{"fred", "", "maildir:~", "fred"},
		{"fred", "/srv/homes/fred", "maildir:/srv/mail/%u", "fred"},
		{"f@b.org", "/srv/homes/fred", "maildir:/srv/mail/%d/%n/%%", "b.org/f/%"},
		{"fred", "sub/fred", "maildir:%h/m", "sub/fred/m"},
	};
	static const char *const others[] = {
		"mbox:~/mail",
		"mdbox:~/m",
		"sdbox:~/m",
		"maildir:/elsewhere/fred",
		"maildir:",
		"maildir:~/Maildir:LAYOUT=fs",
		"maildir:~/../anna",
		"maildir:~anna/Maildir",
		"maildir:%{home}/Maildir",
		"maildir:%Lu",
		"maildir:%h/%",
		"/srv/mail/fred",
		"auto",
		"maildir:%d/x",
		"",
	};
	char text[400];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct users *users;

		snprintf(text, sizeof(text), "%s:{PLAIN}x::::%s::userdb_mail=%s\n", cases[i].name,
			 cases[i].home, cases[i].mail);
		users = opened(text);
		assert_int_equal(find(users, cases[i].name), USERS_FOUND);
		assert_string_equal(user.home, cases[i].found);
		users_close(users);
	}
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		struct users *users;

		snprintf(text, sizeof(text), "b:{PLAIN}x\na:{PLAIN}x::::::userdb_mail=%s nice=5\n",
			 others[i]);
		users = opened(text);
		if (find(users, "a") != USERS_UNSERVED)
			fail_msg("served: %s", text);
		assert_non_null(strstr(err.text, "users:2: "));
		assert_int_equal(find(users, "b"), USERS_FOUND);
		users_close(users);
	}
}

static void test_threat_13_homes_stay_below_the_mail(void **state)
{
	static const char *const homes[] = {
		"..",         "../b", "b/../../c", "b//c",           "./b",          "b/.c",
		".",          "/etc", "/srv/mail", "/srv/mail/../b", "/srv/mail//b", "/srv/mailx/b",
		"/srv/mail/."};
	char text[1200];

	(void)state;
	for (size_t i = 0; i <= sizeof(homes) / sizeof(homes[0]); i++) {
		struct users *users;

		if (i < sizeof(homes) / sizeof(homes[0]))
			snprintf(text, sizeof(text), "a:{PLAIN}x::::%s\nb:{PLAIN}x\n", homes[i]);
		else
			snprintf(text, sizeof(text), "a:{PLAIN}x::::%0600d\nb:{PLAIN}x\n", 0);
		users = opened(text);
		if (find(users, "a") != USERS_UNSERVED)
			fail_msg("served: %s", text);
		assert_int_equal(find(users, "b"), USERS_FOUND);
		users_close(users);
	}
}

static void test_threat_13_names_are_refused_before_any_file_access(void **state)
{
	static const char *const names[] = {"",   ".",   "..",  "../x",  "a/b", "/a", "-rf",
					    ".a", "a b", "a\n", "a\x7f", "a:b", "#a"};
	struct users *users = opened("a:{PLAIN}x\n");
	char longest[300];

	(void)state;
	/* with the file gone a look-up would say so in the log; these never get that far */
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_false(user_name_valid(span_of(names[i])));
		assert_int_equal(find(users, names[i]), USERS_UNKNOWN);
	}
	assert_false(user_name_valid((pop3_span){"a\0b", 3}));
	memset(longest, 'x', sizeof(longest));
	assert_true(user_name_valid((pop3_span){longest, 255}));
	assert_false(user_name_valid((pop3_span){longest, 256}));
	users_close(users);
}

static void test_threat_12_14_names_mean_nothing_but_themselves(void **state)
{
	struct users *users = opened("%{home}:{PLAIN}t\nx'or'1'='1:{PLAIN}q\nanna:{PLAIN}a\n");

	(void)state;
	assert_int_equal(find(users, "%{home}"), USERS_FOUND);
	assert_string_equal(user.name, "%{home}");
	assert_int_equal(find(users, "%{user}"), USERS_UNKNOWN);
	assert_int_equal(find(users, "${anna}"), USERS_UNKNOWN);
	assert_int_equal(find(users, "*"), USERS_UNKNOWN);
	assert_int_equal(find(users, "ann*"), USERS_UNKNOWN);
	assert_int_equal(find(users, "x'or'1'='1"), USERS_FOUND);
	assert_int_equal(find(users, "'or'1'='1"), USERS_UNKNOWN);
	assert_int_equal(find(users, "%s%n"), USERS_UNKNOWN);
	users_close(users);
}

static void test_a_changed_file_is_read_again(void **state)
{
	struct users *users = opened("anna:{PLAIN}1\n");

	(void)state;
	put("anna:{PLAIN}2\nbert:{PLAIN}3\n");
	assert_int_equal(find(users, "anna"), USERS_FOUND);
	assert_string_equal(user.secret, "{PLAIN}2");
	assert_int_equal(find(users, "bert"), USERS_FOUND);
	put("bert:{PLAIN}3\n");
	assert_int_equal(find(users, "anna"), USERS_UNKNOWN);
	users_close(users);
}

static void test_a_bad_change_keeps_the_old_entries(void **state)
{
	static const char *const bad[] = {
		"anna:{PLAIN}2\nbert\n",     /* a bad line */
		"",                          /* being written: truncated */
		"anna:{PLAIN}2\nbert:{PLAI", /* being written: half a line */
	};
	struct users *users = opened("anna:{PLAIN}1\ncarl:{PLAIN}1\n");

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		put(bad[i]);
		assert_int_equal(find(users, "anna"), USERS_FOUND);
		assert_string_equal(user.secret, "{PLAIN}1");
		assert_int_equal(find(users, "carl"), USERS_FOUND);
		assert_int_equal(find(users, "bert"), USERS_UNKNOWN);
	}
	unlinkat(dir_fd, "users", 0);
	assert_int_equal(find(users, "carl"), USERS_FOUND);
	put("anna:{PLAIN}3\n");
	assert_int_equal(find(users, "anna"), USERS_FOUND);
	assert_string_equal(user.secret, "{PLAIN}3");
	assert_int_equal(find(users, "carl"), USERS_UNKNOWN);
	users_close(users);
}

/* Same size, same times, within one tick: seen all the same, once the file has settled. */
static void test_a_change_within_a_tick_is_seen(void **state)
{
	struct timespec later = {.tv_nsec = 60000000};
	struct users *users = NULL;
	struct stat st;
	int fd;

	(void)state;
	write_at("users", "anna:{PLAIN}1\n");
	assert_int_equal(users_open_passwd_file(dir_fd, "users", NULL, &users, &err), 0);
	assert_int_equal(fstatat(dir_fd, "users", &st, 0), 0);
	fd = openat(dir_fd, "users", O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "2", 1, 12), 1);
	close(fd);
	/* whether or not the clock of the filesystem moved meanwhile */
	nanosleep(&later, NULL);
	assert_int_equal(find(users, "anna"), USERS_FOUND);
	assert_string_equal(user.secret, "{PLAIN}2");
	users_close(users);
}

/* How many of four strangers, roughly, cost what the entry with this secret does. */
static unsigned share_of(struct users *users, const char *secret)
{
	char name[16], got[USER_SECRET_MAX + 1];
	unsigned count = 0;

	for (unsigned i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "x%u", i);
		assert_int_equal(users_stranger_secret(users, span_of(name), ~0u, got, sizeof(got)),
				 0);
		count += strcmp(got, secret) == 0;
	}
	return (count + 125) / 250;
}

static void test_what_is_there(void **state)
{
	struct users *users = opened("a:{PLAIN}x\n");
	char secret[USER_SECRET_MAX + 1];

	(void)state;
	assert_true(users_any_with_plain_secret(users));
	assert_false(users_any_with_cram_md5(users));
	assert_false(users_any_with_scram(users, "SCRAM-SHA-1"));
	assert_int_equal(users_first_secret(users, "SCRAM-SHA-1", secret, sizeof(secret)), -1);
	put("a:$6$x$1\nb:{CRAM-MD5}00\nc:{SCRAM-SHA-256}1,2,3,4\nd:{BLF-CRYPT}$2b$10$x\n"
	    "e:$6$x$2\nf:!\ng:*\nh:\n");
	assert_false(users_any_with_plain_secret(users));
	assert_true(users_any_with_cram_md5(users));
	assert_true(users_any_with_scram(users, "SCRAM-SHA-256"));
	assert_false(users_any_with_scram(users, "SCRAM-SHA-1"));
	assert_int_equal(users_stranger_secret(users, span_of("x"), 1u << SCHEME_KIND_CRAM_MD5,
					       secret, sizeof(secret)),
			 0);
	assert_string_equal(secret, "{CRAM-MD5}00");
	assert_int_equal(users_stranger_secret(users, span_of("x"), 1u << SCHEME_KIND_ARGON2,
					       secret, sizeof(secret)),
			 -1);
	assert_int_equal(share_of(users, "$6$x$1"), 2); /* a and e cost the same; c is damaged */
	assert_int_equal(share_of(users, "{BLF-CRYPT}$2b$10$x"), 1);
	assert_int_equal(users_first_secret(users, "SCRAM-SHA-256", secret, sizeof(secret)), 0);
	assert_string_equal(secret, "{SCRAM-SHA-256}1,2,3,4");
	put("# nobody\n");
	assert_int_equal(find(users, "a"), USERS_UNKNOWN);
	assert_int_equal(users_stranger_secret(users, span_of("x"), ~0u, secret, sizeof(secret)),
			 -1);
	users_close(users);
}

/* -- valija user -- */

static char path[64];

static const char *content(void)
{
	static char text[4096];
	int fd = openat(dir_fd, "users", O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, sizeof(text) - 1);

	assert_true(n >= 0);
	text[n] = '\0';
	close(fd);
	return text;
}

static int edit(enum edit what, const char *name, const char *stored)
{
	snprintf(path, sizeof(path), "%s/users", directory);
	memset(&err, 0, sizeof(err));
	return edit_users(path, what, span_of(name), stored, &err);
}

static void test_edits_keep_everything_else(void **state)
{
	struct stat before, after;

	(void)state;
	put("# a:b\r\n\nanna:{PLAIN}1:5:6:g:h:s:x=1 y\r\nnonsense\nbert:{PLAIN}2");
	assert_int_equal(fchmodat(dir_fd, "users", 0604, 0), 0);
	fstatat(dir_fd, "users", &before, 0);
	assert_int_equal(edit(EDIT_CHANGE, "anna", "{X}9"), 0);
	assert_string_equal(content(),
			    "# a:b\r\n\nanna:{X}9:5:6:g:h:s:x=1 y\nnonsense\nbert:{PLAIN}2\n");
	fstatat(dir_fd, "users", &after, 0);
	assert_int_equal(after.st_mode, before.st_mode);
	assert_int_equal(edit(EDIT_ADD, "carl", "{X}3"), 0);
	assert_int_equal(edit(EDIT_DELETE, "anna", NULL), 0);
	assert_string_equal(content(), "# a:b\r\n\nnonsense\nbert:{PLAIN}2\ncarl:{X}3\n");
	assert_int_equal(edit(EDIT_ADD, "bert", "{X}3"), -1);
	assert_int_equal(err.code, EX_CANTCREAT);
	assert_int_equal(edit(EDIT_CHANGE, "emil", "{X}3"), -1);
	assert_int_equal(err.code, EX_NOUSER);
	assert_int_equal(edit(EDIT_DELETE, "ann", NULL), -1);
	assert_int_equal(err.code, EX_NOUSER);
	assert_int_equal(edit(EDIT_ADD, "a:b", "{X}3"), -1);
	assert_int_equal(err.code, EX_DATAERR);
	assert_string_equal(content(), "# a:b\r\n\nnonsense\nbert:{PLAIN}2\ncarl:{X}3\n");
}

static void test_edits_know_names_in_every_case(void **state)
{
	(void)state;
	put("Carol@Example.ORG:{X}1::::c\nDave:{X}2\nanna:{X}3\n");
	assert_int_equal(edit(EDIT_ADD, "carol@example.org", "{X}9"), -1);
	assert_int_equal(err.code, EX_CANTCREAT);
	assert_non_null(strstr(err.text, "Carol@Example.ORG"));
	assert_int_equal(edit(EDIT_ADD, "DAVE", "{X}9"), -1);
	assert_int_equal(err.code, EX_CANTCREAT);
	assert_int_equal(edit(EDIT_ADD, "Anna", "{X}9"), -1);
	assert_int_equal(edit(EDIT_CHANGE, "CAROL@example.org", "{X}8"), 0);
	assert_int_equal(edit(EDIT_DELETE, "dave", NULL), 0);
	assert_string_equal(content(), "Carol@Example.ORG:{X}8::::c\nanna:{X}3\n");
}

/* What the server refuses can be mended with the same command, by exact names. */
static void test_edits_of_a_name_that_is_there_twice(void **state)
{
	(void)state;
	put("Bert:{X}1\nbert:{X}2\n");
	assert_int_equal(edit(EDIT_DELETE, "BERT", NULL), -1);
	assert_int_equal(err.code, EX_DATAERR);
	assert_int_equal(edit(EDIT_CHANGE, "BERT", "{X}3"), -1);
	assert_int_equal(edit(EDIT_ADD, "bert", "{X}3"), -1);
	assert_string_equal(content(), "Bert:{X}1\nbert:{X}2\n");
	assert_int_equal(edit(EDIT_CHANGE, "bert", "{X}3"), 0);
	assert_string_equal(content(), "Bert:{X}1\nbert:{X}3\n");
	assert_int_equal(edit(EDIT_DELETE, "Bert", NULL), 0);
	assert_string_equal(content(), "bert:{X}3\n");
}

static void test_edits_and_byte_order_marks(void **state)
{
	(void)state;
	put("\xef\xbb\xbf"
	    "Anna:{X}1\nbert:{X}2\n");
	assert_int_equal(edit(EDIT_ADD, "anna", "{X}9"), -1);
	assert_int_equal(err.code, EX_CANTCREAT);
	assert_int_equal(edit(EDIT_CHANGE, "anna", "{X}3"), 0);
	assert_string_equal(content(), "\xef\xbb\xbf"
				       "Anna:{X}3\nbert:{X}2\n");
	assert_int_equal(edit(EDIT_DELETE, "Anna", NULL), 0);
	assert_string_equal(content(), "\xef\xbb\xbf"
				       "bert:{X}2\n");
	put("\xff\xfe"
	    "anna:{X}1\n");
	assert_int_equal(edit(EDIT_ADD, "bert", "{X}9"), -1);
	assert_int_equal(err.code, EX_DATAERR);
	assert_non_null(strstr(err.text, "UTF-16"));
	assert_string_equal(content(), "\xff\xfe"
				       "anna:{X}1\n");
}

static void test_names_that_get_no_mail_are_not_added(void **state)
{
	static const char *const names[] = {"a@b..c",
					    "a@",
					    "@example.org",
					    "a@example.org.",
					    "\xe9mile",
					    "\xef\xbb\xbf"
					    "anna"};

	(void)state;
	put("a@b..c:{X}1\n");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_int_equal(edit(EDIT_ADD, names[i], "{X}9"), -1);
		assert_int_equal(err.code, EX_DATAERR);
	}
	assert_string_equal(content(), "a@b..c:{X}1\n");
	/* they can be taken out */
	assert_int_equal(edit(EDIT_DELETE, "a@b..c", NULL), 0);
	assert_int_equal(edit(EDIT_ADD, "foo..bar@example.org", "{X}9"), 0);
}

static void test_a_missing_file_is_made_by_add_only(void **state)
{
	struct stat st;

	(void)state;
	unlinkat(dir_fd, "users", 0);
	assert_int_equal(edit(EDIT_DELETE, "anna", NULL), -1);
	assert_int_equal(err.code, EX_NOINPUT);
	assert_int_equal(fstatat(dir_fd, "users", &st, 0), -1);
	assert_int_equal(edit(EDIT_ADD, "anna", "{X}1"), 0);
	assert_string_equal(content(), "anna:{X}1\n");
	fstatat(dir_fd, "users", &st, 0);
	assert_int_equal(st.st_mode & 0007, 0);
}

static void test_a_link_stays_a_link(void **state)
{
	char link[80];
	struct stat st;

	(void)state;
	put("anna:{X}1\n");
	assert_int_equal(symlinkat("users", dir_fd, "link"), 0);
	snprintf(link, sizeof(link), "%s/link", directory);
	assert_int_equal(edit_users(link, EDIT_ADD, span_of("bert"), "{X}2", &err), 0);
	fstatat(dir_fd, "link", &st, AT_SYMLINK_NOFOLLOW);
	assert_true(S_ISLNK(st.st_mode));
	assert_string_equal(content(), "anna:{X}1\nbert:{X}2\n");
}

/* Processes that add at the same time lose nothing of each other's. */
static void test_edits_at_the_same_time(void **state)
{
	enum { PROCESSES = 8, EACH = 12 };
	pid_t children[PROCESSES];
	struct users *users;
	char name[32];
	int status;

	(void)state;
	put("# start\n");
	for (int i = 0; i < PROCESSES; i++) {
		children[i] = fork();
		if (children[i] == 0) {
			for (int k = 0; k < EACH; k++) {
				snprintf(name, sizeof(name), "u%d-%d", i, k);
				if (edit(EDIT_ADD, name, "{PLAIN}x") < 0)
					_exit(1);
			}
			_exit(0);
		}
	}
	for (int i = 0; i < PROCESSES; i++) {
		assert_int_equal(waitpid(children[i], &status, 0), children[i]);
		assert_int_equal(status, 0);
	}
	assert_int_equal(users_open_passwd_file(dir_fd, "users", NULL, &users, &err), 0);
	for (int i = 0; i < PROCESSES * EACH; i++) {
		snprintf(name, sizeof(name), "u%d-%d", i / EACH, i % EACH);
		assert_int_equal(find(users, name), USERS_FOUND);
	}
	users_close(users);
}

static void collect(void *argument, pop3_span name)
{
	char *list = argument;
	size_t used = strlen(list);

	snprintf(list + used, 200 - used, "%.*s ", (int)name.size, name.data);
}

static void test_list(void **state)
{
	char list[200] = "";

	(void)state;
	put("# a:b\nzoe:x\n\nanna:y:1:2\nbad line\n");
	snprintf(path, sizeof(path), "%s/users", directory);
	assert_int_equal(edit_list(path, collect, list, &err), 0);
	assert_string_equal(list, "zoe anna ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_fields_that_are_not_known),
		cmocka_unit_test(test_lines_of_other_programs),
		cmocka_unit_test(test_a_large_file_is_read_again_by_a_thread),
		cmocka_unit_test(test_case_of_ascii_letters_makes_no_difference),
		cmocka_unit_test(test_byte_order_marks),
		cmocka_unit_test(test_names_that_get_no_mail_are_not_served),
		cmocka_unit_test(test_a_bad_line_is_named),
		cmocka_unit_test(test_long_fields_are_refused),
		cmocka_unit_test(test_what_we_cannot_serve_stops_only_its_user),
		cmocka_unit_test(test_a_maildir_of_another_server_is_found),
		cmocka_unit_test(test_threat_13_homes_stay_below_the_mail),
		cmocka_unit_test(test_threat_13_names_are_refused_before_any_file_access),
		cmocka_unit_test(test_threat_12_14_names_mean_nothing_but_themselves),
		cmocka_unit_test(test_a_changed_file_is_read_again),
		cmocka_unit_test(test_a_bad_change_keeps_the_old_entries),
		cmocka_unit_test(test_a_change_within_a_tick_is_seen),
		cmocka_unit_test(test_what_is_there),
		cmocka_unit_test(test_edits_keep_everything_else),
		cmocka_unit_test(test_edits_know_names_in_every_case),
		cmocka_unit_test(test_edits_of_a_name_that_is_there_twice),
		cmocka_unit_test(test_edits_and_byte_order_marks),
		cmocka_unit_test(test_names_that_get_no_mail_are_not_added),
		cmocka_unit_test(test_a_missing_file_is_made_by_add_only),
		cmocka_unit_test(test_a_link_stays_a_link),
		cmocka_unit_test(test_edits_at_the_same_time),
		cmocka_unit_test(test_list),
	};

	return cmocka_run_group_tests(tests, make_directory, drop_directory);
}
