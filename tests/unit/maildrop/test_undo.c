/* Maildirs that go back to Dovecot: its list with our ids, and what is left of ours. */
#include "maildrop_test.h"

#include "base/text.h"
#include "maildrop/maildir/adopt/uidlist_give.h"
#include "maildrop/maildir/adopt/uidlist_lock.h"
#include "maildrop/maildir/bring.h"

#include <limits.h>

static const struct mail_origin by_number = {.server = ORIGIN_DOVECOT, .format = "%u"};

static struct uidlist_message message(const char *id, const char *file)
{
	return (struct uidlist_message){.id = span_of(id), .file = span_of(file)};
}

/* Two messages, "one" and "two", of the files a and b. expected NULL: the list stays. */
static struct uidlist_given give(const char *list, const struct mail_origin *origin,
				 const char *expected)
{
	struct uidlist_message messages[] = {message("one", "a"), message("two", "b")};
	struct uidlist_given given = {0};
	struct err err = {0};

	if (uidlist_give(span_of(list), origin, messages, 2, &given, &err) < 0)
		fail_msg("%s: %s", list, err.text);
	if (!expected)
		assert_null(given.text);
	else if (given.size != strlen(expected) || memcmp(given.text, expected, given.size) != 0)
		fail_msg("%s became %.*s", list, (int)given.size, given.text);
	free(given.text);
	return given;
}

static void ids_are_saved_and_all_else_stays(void **state)
{
	(void)state;
	give("3 V7 N9\n1 :a\n2 :b\n", NULL, "3 V7 N9\n1 Pone :a\n2 Ptwo :b\n");
	give("3 V7 Z N9 Gx\n1 W3 Q  S2 :a:2,S\n2 Gg P W1 :b\n5 Pgone :c\n", NULL,
	     "3 V7 Z N9 Gx\n1 Pone W3 Q S2 :a:2,S\n2 Ptwo Gg W1 :b\n5 Pgone :c\n");
	give("3 V7 N9\n1 Pone :a\n2 Pold Polder :b\n", NULL, "3 V7 N9\n1 Pone :a\n2 Ptwo :b\n");
	give("3 V7 N9\n1 Pone :a\n2 W4 Ptwo :b\n", NULL, NULL);
	give("3 V7 N9\n1 O3 Pone :a\n2 O4 Ptwo :b\n", NULL, NULL);
}

static void what_the_rule_shows_is_not_saved(void **state)
{
	struct uidlist_message messages[] = {message("1", "a"), message("3", "b"),
					     message("c", "c")};
	struct mail_origin origin = by_number;
	static const char list[] = "3 V7 N9\n1 :a\n2 :b\n3 P :c\n";
	struct uidlist_given given;
	struct err err;

	(void)state;
	assert_int_equal(uidlist_give(span_of(list), &origin, messages, 3, &given, &err), 0);
	assert_int_equal(given.saved, 1);
	assert_int_equal(given.size, strlen(list) + 3);
	assert_memory_equal(given.text, "3 V7 N9\n1 :a\n2 P3 :b\n3 P :c\n", given.size);
	free(given.text);
	/* an id depends on other messages, or on a header */
	for (int i = 0; i < 2; i++) {
		origin.rename_duplicates = i == 0;
		origin.reuse_xuidl = i == 1;
		assert_int_equal(uidlist_give(span_of(list), &origin, messages, 3, &given, &err),
				 0);
		assert_int_equal(given.saved, 2);
		free(given.text);
	}
}

static void messages_that_came_since_get_numbers(void **state)
{
	struct uidlist_given given;

	(void)state;
	given = give("3 V7 N9\n", NULL, "3 V7 N11\n9 Pone :a\n10 Ptwo :b\n");
	assert_int_equal(given.added, 2);
	assert_int_equal(given.saved, 2);
	assert_false(given.reordered);
	/* Dovecot adds lines without raising N; a line that was cut has its number, too */
	give("3 V7 N2\n1 :a\n9 :c\n", NULL, "3 V7 N11\n1 Pone :a\n9 :c\n10 Ptwo :b\n");
	give("3 V7 N2\n1 :a\n12 :b", NULL, "3 V7 N14\n1 Pone :a\n13 Ptwo :b\n");
	give("3 V7\n1 :a\n", NULL, "3 V7 N3\n1 Pone :a\n2 Ptwo :b\n");
	give("3 N5 V7\n", NULL, "3 N7 V7\n5 Pone :a\n6 Ptwo :b\n");
}

static void an_order_that_differs_is_written(void **state)
{
	(void)state;
	assert_true(give("3 V7 N9\n1 Ptwo :b\n2 Pone :a\n", NULL,
			 "3 V7 N9\n1 O2 Ptwo :b\n2 O1 Pone :a\n")
			    .reordered);
	give("3 V7 N9\n1 Pone :a\n2 O5 Ptwo W1 :b\n", NULL,
	     "3 V7 N9\n1 O1 Pone :a\n2 O2 Ptwo W1 :b\n");
	/* what came since stands behind those with an order */
	give("3 V7 N9\n1 Pone O5 :a\n", NULL, "3 V7 N10\n1 Pone O5 :a\n9 Ptwo :b\n");
	give("3 V7 N9\n1 Ptwo O5 :b\n", NULL, "3 V7 N10\n1 O2 Ptwo :b\n9 O1 Pone :a\n");
	give("3 V7 N9\n1 O4 Pone :a\n2 O4 Ptwo :b\n", NULL, NULL);
}

static void files_that_dovecot_cannot_have_are_counted(void **state)
{
	struct uidlist_message messages[] = {message("one", "a"), message("two", "a"),
					     message("three", "x\ny"), message("four", "d")};
	static const char expected[] = "3 V7 N5\n3 Pone :a\n4 Pfour :d\n";
	struct uidlist_given given;
	struct err err;

	(void)state;
	assert_int_equal(uidlist_give(span_of("3 V7 N3\n"), NULL, messages, 4, &given, &err), 0);
	assert_int_equal(given.lost, 2);
	assert_int_equal(given.first_lost, 1);
	assert_int_equal(given.added, 2);
	assert_int_equal(given.size, strlen(expected));
	assert_memory_equal(given.text, expected, given.size);
	free(given.text);
	/* Dovecot takes the last line of a file */
	give("3 V7 N9\n1 :a\n2 :b\n4 :a\n", NULL,
	     "3 V7 N9\n1 O1 Pone :a\n2 O2 Ptwo :b\n4 O1 Pone :a\n");
}

static void lists_that_dovecot_would_throw_away(void **state)
{
	static const struct {
		const char *list, *words;
	} bad[] = {
		{"", "first line"},
		{"3 V7 N9", "first line"}, /* cut */
		{"1 7 9\n1 a\n", "version 1"},
		{"3 V7 N9\nhello\n1 :a\n", "1 lines make no sense"},
		{"3 V7 N9\n2 :a\n1 :b\n", "number 1 stands behind 2"},
		{"3 V7 N9\n2 :a\n2 :b\n", "number 2 stands behind 2"},
		{"3 V7 N4294967294\n1 :a\n4294967294 :c\n", "no numbers left"},
	};
	struct uidlist_message messages[] = {message("one", "a"), message("two", "b")};
	struct uidlist_given given = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct err err = {0};

		assert_int_equal(
			uidlist_give(span_of(bad[i].list), NULL, messages, 2, &given, &err), -1);
		if (!strstr(err.text, bad[i].words))
			fail_msg("%s: %s", bad[i].list, err.text);
		assert_null(given.text);
	}
	give("3 V7 N4294967293\n", NULL,
	     "3 V7 N4294967295\n4294967293 Pone :a\n4294967294 Ptwo :b\n");
}

/* ---- in a Maildir ---- */

static void put_list(struct scratch *s, const char *text)
{
	put_file(s, "dovecot-uidlist", text);
}

static void assert_list(struct scratch *s, const char *expected)
{
	int fd = openat(s->root, HOME "/dovecot-uidlist", O_RDONLY | O_CLOEXEC);
	char text[1000];
	ssize_t n = read(fd, text, sizeof(text) - 1);

	close(fd);
	assert_true(n >= 0);
	text[n] = '\0';
	assert_string_equal(text, expected);
}

static void assert_ours(struct scratch *s, bool are)
{
	static const char *const names[] = {"valija-base", "valija-delta", "valija-lock"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		assert_int_equal(has_file(s, names[i]), are);
	assert_false(has_file(s, "dovecot-uidlist.lock"));
	assert_false(has_file(s, "dovecot-uidlist.valija"));
}

static int open_folder(struct scratch *s)
{
	return openat(s->root, HOME, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void session(struct scratch *s)
{
	struct maildrop *m = open_session(s);

	maildrop_sweep(m);
	maildrop_close(m);
}

/* Brought, and used since. */
static int used(struct scratch *s)
{
	struct adopt_report report;
	struct err err = {0};
	int folder;

	make_maildir(s);
	put_file(s, "cur/1000.a:2,S", "a\n");
	put_file(s, "new/2000.b,S=2", "b\n");
	put_list(s, "3 V16 N9\n1 W3 :1000.a\n2 :2000.b,S=2\n");
	folder = open_folder(s);
	assert_int_equal(maildir_bring(folder, folder, HOME, &by_number, false, &report, &err), 0);
	session(s);
	put_file(s, "new/500.c", "c\n");
	session(s);
	return folder;
}

static enum maildrop_status undo(int folder, bool dry_run, struct undo_report *ret, struct err *err)
{
	return maildir_take_back(folder, folder, HOME, ORIGIN_DOVECOT, false, dry_run, ret, err);
}

#define GIVEN "3 V16 N10\n1 W3 :1000.a\n2 :2000.b,S=2\n9 P500.c :500.c\n"

static void one_that_was_used_is_given_back(void **state)
{
	struct scratch *s = *state;
	struct undo_report report;
	struct err err = {0};
	int folder = used(s);

	for (int dry = 1; dry >= 0; dry--) {
		assert_int_equal(undo(folder, dry, &report, &err), MAILDROP_OK);
		assert_int_equal(report.is, UNDO_DONE);
		assert_int_equal(report.messages, 3);
		assert_int_equal(report.saved, 1);
		assert_int_equal(report.added, 1);
		assert_int_equal(report.again, 0);
		assert_ours(s, dry);
		assert_int_equal(has_file(s, "valija-uidl"), dry);
		assert_list(s, dry ? "3 V16 N9\n1 W3 :1000.a\n2 :2000.b,S=2\n" : GIVEN);
	}
	assert_int_equal(undo(folder, false, &report, &err), MAILDROP_OK);
	assert_int_equal(report.is, UNDO_NOTHING);
	close(folder);
}

/* What undo leaves where it ends between two removals. */
static void one_that_was_cut_is_ended(void **state)
{
	static const char *const names[] = {"valija-uidl", "valija-base", "valija-delta",
					    "valija-lock"};
	struct scratch *s = *state;
	int folder = used(s);

	put_list(s, GIVEN);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		struct undo_report report;
		struct err err = {0};

		remove_file(s, names[i]);
		assert_int_equal(undo(folder, true, &report, &err), MAILDROP_OK);
		assert_int_equal(report.is, i < 3 ? UNDO_DONE : UNDO_NOTHING);
		assert_int_equal(report.added, 0);
		assert_int_equal(report.messages, i == 0 ? 3 : 0);
	}
	close(folder);
}

static void a_session_excludes_it(void **state)
{
	struct scratch *s = *state;
	struct undo_report report;
	struct err err = {0};
	int folder = used(s);
	struct maildrop *m = open_session(s);

	assert_int_equal(undo(folder, false, &report, &err), MAILDROP_IN_USE);
	assert_non_null(strstr(err.text, "stop valijad"));
	assert_ours(s, true);
	maildrop_close(m);
	assert_int_equal(undo(folder, false, &report, &err), MAILDROP_OK);
	close(folder);
}

/* Its session was cut before it unlinked the file. */
static void a_deleted_message_does_not_come_back(void **state)
{
	struct scratch *s = *state;
	struct undo_report report;
	struct err err = {0};
	int folder = used(s), files;
	struct maildrop *m = open_session(s);
	char name[256];

	assert_int_equal(maildrop_commit(m, (uint32_t[]){1}, 1, &err), MAILDROP_OK);
	maildrop_close(m);
	files = count_files(s, "cur", name) + count_files(s, "new", name);
	assert_int_equal(undo(folder, true, &report, &err), MAILDROP_OK);
	assert_int_equal(report.messages, 2);
	assert_int_equal(count_files(s, "cur", name) + count_files(s, "new", name), files);
	assert_ours(s, true);
	assert_int_equal(undo(folder, false, &report, &err), MAILDROP_OK);
	assert_int_equal(report.messages, 2);
	assert_int_equal(count_files(s, "cur", name) + count_files(s, "new", name), files - 1);
	close(folder);
}

static void one_that_was_always_ours(void **state)
{
	struct scratch *s = *state;
	struct undo_report report;
	struct err err = {0};
	int folder;

	make_maildir(s);
	put_file(s, "cur/1000.a:2,S", "a\n");
	session(s);
	folder = open_folder(s);
	assert_int_equal(maildir_take_back(folder, folder, HOME, ORIGIN_COURIER, false, false,
					   &report, &err),
			 MAILDROP_OK);
	assert_int_equal(report.is, UNDO_NOTHING);
	assert_ours(s, true);
	assert_int_equal(undo(folder, true, &report, &err), MAILDROP_OK);
	assert_false(has_file(s, "dovecot-uidlist"));
	assert_int_equal(undo(folder, false, &report, &err), MAILDROP_OK);
	assert_int_equal(report.added, 1);
	assert_true(has_file(s, "dovecot-uidlist"));
	assert_ours(s, false);
	close(folder);
}

/* Its list is elsewhere, for it was brought from one. */
static void no_list_is_made_for_one_that_was_brought(void **state)
{
	struct scratch *s = *state;
	struct undo_report report;
	struct err err = {0};
	int folder = used(s);

	remove_file(s, "dovecot-uidlist");
	assert_true(undo(folder, false, &report, &err) < 0);
	assert_non_null(strstr(err.text, "--from"));
	assert_ours(s, true);
	assert_false(has_file(s, "dovecot-uidlist"));
	close(folder);
}

/* ---- Dovecot's lock ---- */

static void put_lock(struct scratch *s, long pid, const char *more)
{
	char host[HOST_NAME_MAX + 1] = "", text[HOST_NAME_MAX + 80];

	assert_int_equal(gethostname(host, sizeof(host) - 1), 0);
	snprintf(text, sizeof(text), "%ld:%s%s", pid, host, more);
	put_file(s, "dovecot-uidlist.lock", text);
}

static time_t seconds;

/* Each look at the clock takes eleven seconds. */
static int later(clockid_t clock, struct timespec *ret)
{
	int result = clock_gettime(clock, ret);

	ret->tv_sec += seconds += 11;
	return result;
}

static void a_lock_with_a_holder_is_waited_for(void **state)
{
	struct maildrop_syscalls sys = maildrop_kernel;
	struct scratch *s = *state;
	struct maildir_place place;
	struct err err = {0};
	int folder;

	make_maildir(s);
	sys.clock_gettime = later;
	s->settings.syscalls = &sys;
	folder = open_folder(s);
	assert_int_equal(maildir_place_init(&place, &s->settings, HOME), 0);
	for (int i = 0; i < 4; i++) {
		if (i == 0)
			put_lock(s, (long)getpid(), "");
		else if (i == 1)
			put_lock(s, INT_MAX, "x"); /* another machine */
		else
			put_file(s, "dovecot-uidlist.lock", i == 2 ? "" : "0:");
		assert_int_equal(uidlist_lock(&place, folder, &err), -1);
		assert_non_null(strstr(err.text, "dovecot-uidlist.lock"));
		assert_true(has_file(s, "dovecot-uidlist.lock"));
	}
	put_lock(s, INT_MAX, ""); /* no process has that number */
	s->settings.syscalls = NULL;
	place.sys = &maildrop_kernel;
	assert_int_equal(uidlist_lock(&place, folder, &err), 0);
	assert_int_equal(uidlist_unlock(&place, folder), 0);
	assert_false(has_file(s, "dovecot-uidlist.lock"));
	maildir_place_close(&place);
	close(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids_are_saved_and_all_else_stays),
		cmocka_unit_test(what_the_rule_shows_is_not_saved),
		cmocka_unit_test(messages_that_came_since_get_numbers),
		cmocka_unit_test(an_order_that_differs_is_written),
		cmocka_unit_test(files_that_dovecot_cannot_have_are_counted),
		cmocka_unit_test(lists_that_dovecot_would_throw_away),
		cmocka_unit_test_setup_teardown(one_that_was_used_is_given_back, scratch_begin,
						scratch_end),
		cmocka_unit_test_setup_teardown(one_that_was_cut_is_ended, scratch_begin,
						scratch_end),
		cmocka_unit_test_setup_teardown(a_session_excludes_it, scratch_begin, scratch_end),
		cmocka_unit_test_setup_teardown(a_deleted_message_does_not_come_back, scratch_begin,
						scratch_end),
		cmocka_unit_test_setup_teardown(one_that_was_always_ours, scratch_begin,
						scratch_end),
		cmocka_unit_test_setup_teardown(no_list_is_made_for_one_that_was_brought,
						scratch_begin, scratch_end),
		cmocka_unit_test_setup_teardown(a_lock_with_a_holder_is_waited_for, scratch_begin,
						scratch_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
