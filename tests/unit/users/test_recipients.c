/*
 * From address to users: by table over one user database and one aliases file, then the file's
 * grammar, its limits, and what happens when it changes under us.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "users/recipients.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

struct place {
	char path[64];
	int dir_fd;
	struct users *users;
	struct recipients *recipients;
	struct user *found;
	size_t count;
	struct err err;
};

static void write_file(const struct place *place, const char *name, const char *text)
{
	char staged[32];
	int fd;

	snprintf(staged, sizeof(staged), "%s.new", name);
	fd = openat(place->dir_fd, staged, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	assert_int_equal(renameat(place->dir_fd, staged, place->dir_fd, name), 0);
}

static int set_up(void **state)
{
	struct place *place = calloc(1, sizeof(*place));

	strcpy(place->path, "/tmp/valija-recipients-XXXXXX");
	assert_non_null(mkdtemp(place->path));
	place->dir_fd = open(place->path, O_RDONLY | O_DIRECTORY);
	place->found = calloc(RECIPIENT_USERS_MAX, sizeof(*place->found));
	write_file(place, "users",
		   "alice:{PLAIN}a\nbob:{PLAIN}b\nbob+work:{PLAIN}w\ncarol@example.org:{PLAIN}c\n"
		   "dave:{PLAIN}d\npostmaster:{PLAIN}p\n");
	assert_int_equal(
		users_open_passwd_file(place->dir_fd, "users", NULL, &place->users, &place->err),
		0);
	*state = place;
	return 0;
}

static int tear_down(void **state)
{
	struct place *place = *state;

	recipients_close(place->recipients);
	users_close(place->users);
	unlinkat(place->dir_fd, "users", 0);
	unlinkat(place->dir_fd, "aliases", 0);
	close(place->dir_fd);
	rmdir(place->path);
	free(place->found);
	free(place);
	return 0;
}

static int open_with(struct place *place, const char *domains, const char *catch_all,
		     const char *aliases)
{
	struct recipients_settings settings = {.delimiters = "+-",
					       .domains = domains,
					       .catch_all = catch_all,
					       .aliases_dir_fd = place->dir_fd,
					       .aliases_file = aliases ? "aliases" : NULL};

	recipients_close(place->recipients);
	place->recipients = NULL;
	if (aliases)
		write_file(place, "aliases", aliases);
	return recipients_open(&settings, place->users, &place->recipients, &place->err);
}

/* The users found, "alice bob"; "?" nobody knows it, "!" it can't be said. */
static const char *found(struct place *place, const char *address)
{
	static char names[4096];
	size_t n = 0;

	memset(&place->err, 0, sizeof(place->err));
	switch (recipients_find(place->recipients, span_of(address), place->found,
				RECIPIENT_USERS_MAX, &place->count, &place->err)) {
	case RECIPIENT_ASK: /* of recipients_resolve only */
		fail();
		break;
	case RECIPIENT_UNKNOWN:
		return "?";
	case RECIPIENT_DOWN:
		assert_true(place->err.text[0]);
		return "!";
	case RECIPIENT_FOUND:
		break;
	}
	assert_true(place->count > 0);
	for (size_t i = 0; i < place->count; i++)
		n += (size_t)snprintf(names + n, sizeof(names) - n, "%s%s", i ? " " : "",
				      place->found[i].name);
	return names;
}

static void without_anything(void **state)
{
	struct place *place = *state;
	static const char *const table[][2] = {
		{"alice", "alice"},
		{"alice@example.org", "alice"},
		{"Alice@anything.example", "alice"},
		{"alice+tag@example.org", "alice"},
		{"alice-tag+more@example.org", "alice"},
		{"bob+work@example.org", "bob+work"},
		{"bob+other@example.org", "bob"},
		{"carol@example.org", "carol@example.org"},
		{"carol+tag@example.org", "carol@example.org"},
		{"carol@example.net", "?"},
		{"carol", "?"},
		{"+alice@example.org", "?"},
		{"nobody@example.org", "?"},
		{"Postmaster", "postmaster"},
		{"", "?"},
		{"@example.org", "?"},
		{"@", "?"},
		{"../alice@example.org", "?"},
		{"carol@example.org@example.org", "?"},
		{"alice@x@example.org", "?"},
		{".", "?"},
		{"alice@", "alice"},
	};

	assert_int_equal(open_with(place, "", "", NULL), 0);
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
		if (strcmp(found(place, table[i][0]), table[i][1]) != 0)
			fail_msg("%s: %s", table[i][0], found(place, table[i][0]));
}

static void only_our_domains(void **state)
{
	struct place *place = *state;

	assert_int_equal(open_with(place, " example.com  Example.NET", "dave", NULL), 0);
	assert_string_equal(found(place, "alice@example.com"), "alice");
	assert_string_equal(found(place, "alice@EXAMPLE.net"), "alice");
	assert_string_equal(found(place, "alice"), "alice");
	assert_string_equal(found(place, "carol@example.org"), "carol@example.org");
	assert_string_equal(found(place, "alice@example.org"), "?");
	assert_string_equal(found(place, "alice@sub.example.com"), "?");
	assert_string_equal(found(place, "alice@example.co"), "?");
	/* the catch-all catches what is ours */
	assert_string_equal(found(place, "whoever@example.com"), "dave");
	assert_string_equal(found(place, "whoever"), "dave");
	assert_string_equal(found(place, "whoever@example.org"), "?");
}

static void catch_all_must_exist(void **state)
{
	struct place *place = *state;

	assert_int_equal(open_with(place, "", "ghost", NULL), 0);
	assert_string_equal(found(place, "alice"), "alice");
	assert_string_equal(found(place, "whoever"), "!");
	assert_non_null(strstr(place->err.text, "ghost"));
}

static char warnings[8192];

static void collect_warning(const char *text)
{
	size_t n = strlen(warnings);

	snprintf(warnings + n, sizeof(warnings) - n, "%s\n", text);
}

static const char *checked(struct place *place)
{
	warnings[0] = '\0';
	recipients_check(place->recipients, true, collect_warning);
	return warnings;
}

static void the_check_names_what_leads_to_nobody(void **state)
{
	struct place *place = *state;
	char many[4096] = "";
	size_t lines = 0;

	assert_int_equal(open_with(place, "", "", NULL), 0); /* postmaster is a user */
	assert_string_equal(checked(place), "");
	assert_int_equal(open_with(place, "example.org", "ghost", NULL), 0);
	assert_string_equal(checked(place), "catch_all: there is no user ghost\n");
	assert_int_equal(open_with(place, "", "", "a: b\nb: a\nok: alice, a\nself: self\n"), 0);
	assert_non_null(strstr(checked(place), "aliases:1: a leads to no user\n"));
	assert_non_null(strstr(warnings, "aliases:2: b leads to no user\n"));
	assert_non_null(strstr(warnings, "aliases:4: self leads to no user\n"));
	assert_null(strstr(warnings, "ok"));
	assert_int_equal(open_with(place, "", "", "all: alice, ghost\n"), 0);
	assert_string_equal(checked(place),
			    "aliases:1: ghost, a target of all, is no user and no alias\n");
	for (int i = 0; i < 100; i++)
		snprintf(many + strlen(many), sizeof(many) - strlen(many), "x%d: x%d\n", i, i);
	assert_int_equal(open_with(place, "", "", many), 0);
	for (const char *at = checked(place); (at = strchr(at, '\n')); at++)
		lines++;
	assert_int_equal(lines, RECIPIENTS_WARNINGS_MAX);
}

static void aliases_are_followed(void **state)
{
	struct place *place = *state;
	static const char *const table[][2] = {
		{"sales@example.org", "alice bob"},
		{"Sales", "alice bob"},
		{"sales+quote@example.org", "alice bob"},
		{"all@example.org", "alice bob carol@example.org dave"},
		{"chief@example.com", "dave"},
		{"chief@example.org", "?"},
		{"chief", "?"},
		{"dave", "dave alice"},      /* itself, and a copy */
		{"left@example.org", "bob"}, /* a tag's user by a target with a tag */
		{"work", "bob+work"},
		{"circle1", "!"},
		{"circle3", "alice"},
		{"broken", "!"},
		{"half-broken", "alice"},
		{"wide", "alice bob"},
	};

	assert_int_equal(open_with(place, "", "",
				   "# who is who\n"
				   "\n"
				   "sales: alice, BOB\n"
				   "all:\talice,\r\n"
				   "  bob,\n"
				   "\tcarol@example.org, sales, all2\n"
				   "all2: dave2\n"
				   "dave2: dave3\n"
				   "dave3: dave\n"
				   "chief@example.com: dave2\n"
				   "left: bob+gone\n"
				   "work: bob+work\n"
				   "circle1: circle2\n"
				   "circle2: circle1\n"
				   "circle3: circle4\n"
				   "circle4: circle3, alice\n"
				   "broken: ghost\n"
				   "half-broken: ghost, alice\n"
				   "wide : alice ,bob,alice\n"
				   "dave: dave, alice\n"),
			 0);
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		const char *expected = table[i][1];

		/* dave3 leads to dave, whose alias has a copy for alice: she is named once */
		if (strcmp(table[i][0], "chief@example.com") == 0)
			expected = "dave alice";
		if (strcmp(found(place, table[i][0]), expected) != 0)
			fail_msg("%s: %s", table[i][0], found(place, table[i][0]));
	}
	found(place, "broken");
	assert_non_null(strstr(place->err.text, "aliases:17: broken"));
}

/* Capitals in the users file, in aliases, in their targets, in the catch-all and in addresses. */
static void case_makes_no_difference(void **state)
{
	struct place *place = *state;
	static const char *const table[][2] = {
		{"Frank", "Frank"},
		{"frank@example.org", "Frank"},
		{"FRANK@EXAMPLE.ORG", "Frank"},
		{"FRANK+Tag@Example.org", "Frank"},
		{"frank-smith+tag@example.org", "Frank-Smith"},
		{"Grace@Example.NET", "Grace@Example.NET"},
		{"grace@example.net", "Grace@Example.NET"},
		{"GRACE+tag@EXAMPLE.NET", "Grace@Example.NET"},
		{"grace@example.net.", "Grace@Example.NET"},
		{"Alice@example.org", "alice"},
		{"ALICE+x", "alice"},
		{"sales", "Frank Grace@Example.NET"},
		{"SALES@example.org", "Frank Grace@Example.NET"},
		{"bob@example.org", "dave"},
		{"Own", "?"},
		{"hidden", "dave"},
		{"HIDDEN@example.org", "dave"},
		{"heidi", "Heidi Frank"},
	};

	write_file(
		place, "users",
		"alice:{PLAIN}a\nFrank:{PLAIN}f\nFrank-Smith:{PLAIN}s\nGrace@Example.NET:{PLAIN}g\n"
		"bob:{PLAIN}b\ndave:{PLAIN}d\nHidden:{PLAIN}h\nHeidi:{PLAIN}h\n");
	assert_int_equal(open_with(place, "", "",
				   "Sales: FRANK, grace@EXAMPLE.net, frank, Frank+tag\n"
				   "BOB: Dave\n"
				   "hidden: dave\n"
				   "HEIDI: heidi, frank\n"),
			 0);
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
		if (strcmp(found(place, table[i][0]), table[i][1]) != 0)
			fail_msg("%s: %s", table[i][0], found(place, table[i][0]));
	/* nothing of it is the catch-all's, whose name has another case as well */
	assert_int_equal(open_with(place, "Example.ORG", "HEIDI", NULL), 0);
	assert_string_equal(found(place, "frank@EXAMPLE.org"), "Frank");
	assert_string_equal(found(place, "FRANK-SMITH+tag+more@example.org"), "Frank-Smith");
	assert_string_equal(found(place, "frank@example.org."), "Frank");
	assert_string_equal(found(place, "GRACE@example.net"), "Grace@Example.NET");
	assert_string_equal(found(place, "Nobody@EXAMPLE.org"), "Heidi");
	assert_string_equal(found(place, "frank@example.com"), "?");
}

/* A user who cannot be served is somebody all the same. */
static void the_catch_all_gets_what_is_nobodys(void **state)
{
	struct place *place = *state;

	write_file(place, "users",
		   "Ivan:{PLAIN}i::::/elsewhere/ivan\ndave:{PLAIN}d\n\xc3\x89mile:{PLAIN}e\n");
	assert_int_equal(open_with(place, "", "dave", NULL), 0);
	assert_string_equal(found(place, "ivan@example.org"), "!");
	assert_string_equal(found(place, "IVAN+tag@example.org"), "!");
	assert_string_equal(found(place, "\xc3\x89MILE@example.org"), "\xc3\x89mile");
	assert_string_equal(found(place, "eve@example.org"), "dave");
}

static void byte_order_marks(void **state)
{
	struct place *place = *state;

	assert_int_equal(open_with(place, "", "",
				   "\xef\xbb\xbf"
				   "Sales: alice\nx: bob\n"),
			 0);
	assert_string_equal(found(place, "sales"), "alice");
	assert_string_equal(found(place, "x"), "bob");
	assert_int_equal(open_with(place, "", "", "\xef\xbb\xbf# ours\n\nSales: alice\n"), 0);
	assert_string_equal(found(place, "sales"), "alice");
}

static void bad_files_name_their_line(void **state)
{
	struct place *place = *state;
	static const char *const table[][2] = {
		{"a: alice\nb\n", "aliases:2:"},
		{"a: alice\n: bob\n", "aliases:2:"},
		{"a:\n", "aliases:1:"},
		{"a: alice,\n", "aliases:1:"},
		{"a: , alice\n", "aliases:1:"},
		{"# x\n\na: alice,\n bob,\n\nb: alice\n", "aliases:3:"},
		{"a: alice\nA: bob\n", "aliases:2: a is an alias on line 1"},
		{"b@x.org: alice\n#\nB@X.ORG: bob\n", "aliases:3: b@x.org is an alias on line 1"},
		{"\xef\xbb\xbf"
		 "a: alice\nA: bob\n",
		 "aliases:2: a is an alias on line 1"},
		{"a: alice\n\xef\xbb\xbf"
		 "b: bob\n",
		 "aliases:2:"},
		{"\xff\xfe"
		 "a\n",
		 "UTF-16"},
		{"\xfe\xff"
		 "a\n",
		 "UTF-16"},
		{"a: |/bin/sh\n", "aliases:1:"},
		{"a: \"|/bin/sh\"\n", "aliases:1:"},
		{"a: /var/mail/a\n", "aliases:1:"},
		{"a: :include:/etc/list\n", "aliases:1:"},
		{"a: two words\n", "aliases:1:"},
		{"a b: alice\n", "aliases:1:"},
		{"a: alice\x01\n", "aliases:1:"},
		{"a: alice", "last line"},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		if (open_with(place, "", "", table[i][0]) == 0)
			fail_msg("taken: %s", table[i][0]);
		if (!strstr(place->err.text, table[i][1]))
			fail_msg("%s: %s", table[i][0], place->err.text);
	}
	assert_int_equal(open_with(place, "", "", ""), 0);
	assert_string_equal(found(place, "alice"), "alice");
	recipients_close(place->recipients);
	place->recipients = NULL;
	unlinkat(place->dir_fd, "aliases", 0);
	struct recipients_settings settings = {.aliases_dir_fd = place->dir_fd,
					       .aliases_file = "aliases"};
	assert_int_equal(recipients_open(&settings, place->users, &place->recipients, &place->err),
			 -1);
	mkdirat(place->dir_fd, "aliases", 0700);
	assert_int_equal(recipients_open(&settings, place->users, &place->recipients, &place->err),
			 -1);
	unlinkat(place->dir_fd, "aliases", AT_REMOVEDIR);
	mkfifoat(place->dir_fd, "aliases", 0600);
	assert_int_equal(recipients_open(&settings, place->users, &place->recipients, &place->err),
			 -1);
}

/* 70 users behind one alias, aliases that double 2^20 times: an end, and words for it. */
static void expansion_is_bounded(void **state)
{
	struct place *place = *state;
	char *text = calloc(1, 65536), *at = text;

	for (int i = 0; i < 70; i++)
		at += sprintf(at, "u%d:{PLAIN}x\n", i);
	write_file(place, "users", text);
	at = text;
	for (int i = 0; i < 20; i++)
		at += sprintf(at, "d%d: d%d, d%d, x%d\n", i, i + 1, i + 1, i);
	at += sprintf(at, "d20: u1, u2\nmany: u0");
	for (int i = 1; i < 70; i++)
		at += sprintf(at, ", u%d", i);
	at += sprintf(at, "\nenough: u0");
	for (int i = 1; i < RECIPIENT_USERS_MAX; i++)
		at += sprintf(at, ", u%d", i);
	at += sprintf(at, "\nlong: u0");
	for (int i = 1; i < 300; i++)
		at += sprintf(at, ", u%d", i % 2);
	sprintf(at, "\n");
	assert_int_equal(open_with(place, "", "", text), 0);
	free(text);
	assert_string_equal(found(place, "d0"), "u1 u2");
	assert_string_equal(found(place, "many"), "!");
	assert_string_equal(found(place, "long"), "!");
	found(place, "enough");
	assert_int_equal(place->count, RECIPIENT_USERS_MAX);
}

static void changes_are_seen(void **state)
{
	struct place *place = *state;

	assert_int_equal(open_with(place, "", "", "a: alice\n"), 0);
	assert_string_equal(found(place, "a"), "alice");
	/* same size, within the same tick of the clock */
	write_file(place, "aliases", "a: bobby\nbobby: bob\n");
	assert_string_equal(found(place, "a"), "bob");
	write_file(place, "aliases", "b: bob\n");
	assert_string_equal(found(place, "a"), "?");
	assert_string_equal(found(place, "b"), "bob");
	/* bad, half-written or gone: what was read before stays */
	write_file(place, "aliases", "b: alice\nb\n");
	assert_string_equal(found(place, "b"), "bob");
	write_file(place, "aliases", "b: ali");
	assert_string_equal(found(place, "b"), "bob");
	unlinkat(place->dir_fd, "aliases", 0);
	assert_string_equal(found(place, "b"), "bob");
	write_file(place, "aliases", "b: alice\n");
	assert_string_equal(found(place, "b"), "alice");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(without_anything, set_up, tear_down),
		cmocka_unit_test_setup_teardown(only_our_domains, set_up, tear_down),
		cmocka_unit_test_setup_teardown(catch_all_must_exist, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_check_names_what_leads_to_nobody, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(aliases_are_followed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(case_makes_no_difference, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_catch_all_gets_what_is_nobodys, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(byte_order_marks, set_up, tear_down),
		cmocka_unit_test_setup_teardown(bad_files_name_their_line, set_up, tear_down),
		cmocka_unit_test_setup_teardown(expansion_is_bounded, set_up, tear_down),
		cmocka_unit_test_setup_teardown(changes_are_seen, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
