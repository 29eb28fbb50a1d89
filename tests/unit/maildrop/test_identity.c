/*
 * Is it the Maildir that the index knows? Folders that are replaced and ids that all change at once
 * are refused, and change nothing; what people, IMAP servers, backups and moves do all day is not.
 */
#include "maildrop_test.h"

#define MESSAGES 4

/* A message whose size says which one it is. */
static const char *text_of(unsigned i)
{
	static char text[64];

	snprintf(text, sizeof(text), "Subject: %.*s\n\nbody\n", (int)i + 1, "aaaaaaaaaaaaaaaa");
	return text;
}

static void put_message(struct scratch *s, const char *where, unsigned i)
{
	put_file(s, where, text_of(i));
}

/* Sets the time of a file, in seconds before now. */
static void make_old(struct scratch *s, const char *name, long seconds)
{
	struct timespec times[2];
	char path[600];

	clock_gettime(CLOCK_REALTIME, &times[0]);
	times[0].tv_sec -= seconds;
	times[1] = times[0];
	snprintf(path, sizeof(path), HOME "/%s", name);
	assert_int_equal(utimensat(s->root, path, times, AT_SYMLINK_NOFOLLOW), 0);
}

static const char *name_of(const char *folder, const char *prefix, unsigned i)
{
	static char name[80];

	snprintf(name, sizeof(name), "%s/%u.%s%s", folder, 1700000000 + i, prefix,
		 strcmp(folder, "cur") == 0 ? ":2,S" : "");
	return name;
}

/* Messages in cur/ that a session has shown. */
static void known(struct scratch *s)
{
	struct maildrop *m;

	make_maildir(s);
	for (unsigned i = 0; i < MESSAGES; i++)
		put_message(s, name_of("cur", "known", i), i);
	m = open_session(s);
	assert_int_equal(session_count(m), MESSAGES);
	maildrop_close(m);
}

static uint32_t opens(struct scratch *s)
{
	struct maildrop *m = open_session(s);
	uint32_t count = session_count(m);

	maildrop_close(m);
	return count;
}

/* Refused, each time, and not because it was tried; a delivery does not change that. */
static void is_refused(struct scratch *s, const char *why)
{
	struct maildrop_usage usage;
	struct maildrop *m;
	struct err err;

	for (int i = 0; i < 3; i++) {
		assert_int_equal(maildrop_open(&s->settings, s->root, HOME, &m, &err),
				 MAILDROP_GUARDED);
		if (!strstr(err.text, why) || !strstr(err.text, "valija guard accept USER"))
			fail_msg("%s", err.text);
		assert_int_equal(maildrop_usage(&s->settings, s->root, HOME, &usage, &err),
				 MAILDROP_GUARDED);
		(void)deliver_text(s, "A: b\r\n\r\n",
				   (struct maildrop_quota){.max_messages = 100 * (i == 1)}, &err);
	}
}

static uint32_t accepted(struct scratch *s)
{
	uint32_t count;

	s->settings.guard_accepts = true;
	count = opens(s);
	s->settings.guard_accepts = false;
	assert_int_equal(opens(s), count);
	return count;
}

static void swap_folder(struct scratch *s, const char *folder)
{
	char path[80], away[80];

	snprintf(path, sizeof(path), HOME "/%s", folder);
	snprintf(away, sizeof(away), HOME "/tmp/%s-away", folder);
	assert_int_equal(renameat(s->root, path, s->root, away), 0);
	assert_int_equal(mkdirat(s->root, path, 0700), 0);
}

static void bring_back(struct scratch *s, const char *folder)
{
	char path[80], away[80];

	snprintf(path, sizeof(path), HOME "/%s", folder);
	snprintf(away, sizeof(away), HOME "/tmp/%s-away", folder);
	assert_int_equal(unlinkat(s->root, path, AT_REMOVEDIR), 0);
	assert_int_equal(renameat(s->root, away, s->root, path), 0);
}

static void shell(struct scratch *s, const char *command)
{
	char line[600];

	snprintf(line, sizeof(line), "cd '%s' && %s", s->path, command);
	assert_int_equal(system(line), 0);
}

/* ---- alarms ---- */

static void test_an_empty_folder_in_the_place_of_cur(void **state)
{
	struct scratch *s = *state;

	known(s);
	swap_folder(s, "cur");
	is_refused(s, "none of its 4 messages is there any more, and cur is another folder");
	bring_back(s, "cur");
	assert_true(opens(s) >= MESSAGES);
}

static void test_a_folder_of_other_mail(void **state)
{
	struct scratch *s = *state;

	known(s);
	swap_folder(s, "cur");
	for (unsigned i = 0; i < 7; i++)
		put_message(s, name_of("cur", "other", i), i + 5);
	is_refused(s, "cur is another folder");
	assert_true(accepted(s) >= 7);
}

static void test_both_folders_made_anew(void **state)
{
	struct scratch *s = *state;
	struct err err;

	known(s);
	swap_folder(s, "cur");
	swap_folder(s, "new");
	/* mail would go where nobody looks for it */
	assert_int_equal(deliver_text(s, "A: b\r\n\r\n", (struct maildrop_quota){0}, &err),
			 MAILDROP_GUARDED);
	is_refused(s, "new and cur are other folders");
	assert_int_equal(accepted(s), 0);
}

static void test_mail_that_nobody_has_seen_is_missed(void **state)
{
	struct scratch *s = *state;

	make_maildir(s);
	for (unsigned i = 0; i < MESSAGES; i++)
		put_message(s, name_of("new", "unseen", i), i);
	assert_int_equal(opens(s), MESSAGES);
	swap_folder(s, "new");
	is_refused(s, "new is another folder");
}

static void rename_all(struct scratch *s, const char *folder)
{
	for (unsigned i = 0; i < MESSAGES; i++) {
		char from[80];

		snprintf(from, sizeof(from), "%s", name_of("cur", "known", i));
		move_file(s, from, name_of(folder, "renamed", i));
	}
}

static void test_all_names_changed(void **state)
{
	struct scratch *s = *state;

	known(s);
	rename_all(s, "cur");
	is_refused(s, "all unique ids changed at once: 4 of its 4 messages");
	assert_true(accepted(s) >= MESSAGES);
}

static void test_all_names_changed_and_moved_to_new(void **state)
{
	struct scratch *s = *state;

	known(s);
	rename_all(s, "new");
	is_refused(s, "all unique ids changed at once");
}

/* As an import by another tool: other files, other names, times of the messages. */
static void test_the_same_messages_in_other_files(void **state)
{
	struct scratch *s = *state;

	known(s);
	for (unsigned i = 0; i < MESSAGES; i++)
		remove_file(s, name_of("cur", "known", i));
	for (unsigned i = 0; i < MESSAGES; i++) {
		put_message(s, name_of("cur", "again", i), i);
		make_old(s, name_of("cur", "again", i), 86400);
	}
	is_refused(s, "all unique ids changed at once: 4 of its 4 messages");
}

static void test_half_of_them_again_is_enough(void **state)
{
	struct scratch *s = *state;

	known(s);
	for (unsigned i = 0; i < MESSAGES; i++)
		remove_file(s, name_of("cur", "known", i));
	for (unsigned i = 0; i < MESSAGES / 2; i++) {
		put_message(s, name_of("cur", "again", i), i);
		make_old(s, name_of("cur", "again", i), 86400);
	}
	is_refused(s, "2 of its 4 messages");
}

static void test_a_damaged_index_knows_it_as_well(void **state)
{
	struct scratch *s = *state;
	struct maildrop *m;
	struct err err;

	known(s);
	remove_file(s, "valija-delta");
	rename_all(s, "cur");
	assert_int_equal(maildrop_open(&s->settings, s->root, HOME, &m, &err), MAILDROP_GUARDED);
}

/* ---- none ---- */

static void test_flags_and_folders_change_nothing(void **state)
{
	struct scratch *s = *state;

	known(s);
	for (unsigned i = 0; i < MESSAGES; i++) {
		char from[80], to[80];

		snprintf(from, sizeof(from), "%s", name_of("cur", "known", i));
		snprintf(to, sizeof(to), "cur/%u.known:2,FRS", 1700000000 + i);
		move_file(s, from, to);
	}
	assert_int_equal(opens(s), MESSAGES);
}

static void test_an_inbox_emptied_one_by_one(void **state)
{
	struct scratch *s = *state;

	known(s);
	for (unsigned i = 0; i < MESSAGES; i++)
		remove_file(s, name_of("cur", "known", i));
	assert_int_equal(opens(s), 0);
	put_message(s, "new/1800000000.later", 0);
	assert_int_equal(opens(s), 1);
}

static void test_emptied_by_webmail_and_new_mail_came(void **state)
{
	struct scratch *s = *state;

	known(s);
	for (unsigned i = 0; i < MESSAGES; i++)
		remove_file(s, name_of("cur", "known", i));
	/* the same octets, and perhaps the same inodes: reports that come each day */
	for (unsigned i = 0; i < 2 * MESSAGES; i++)
		put_message(s, name_of("new", "report", i), 0);
	assert_int_equal(opens(s), 2 * MESSAGES);
}

static void test_old_mail_is_moved_in_by_webmail(void **state)
{
	struct scratch *s = *state;

	known(s);
	for (unsigned i = 0; i < MESSAGES; i++)
		remove_file(s, name_of("cur", "known", i));
	for (unsigned i = 0; i < 3; i++) {
		put_message(s, name_of("cur", "archive", i), 8 + i);
		make_old(s, name_of("cur", "archive", i), 864000);
	}
	assert_int_equal(opens(s), 3);
}

static void test_one_message_out_and_in_again(void **state)
{
	struct scratch *s = *state;

	make_maildir(s);
	put_message(s, "cur/1700000000.one:2,", 1);
	assert_int_equal(opens(s), 1);
	move_file(s, "cur/1700000000.one:2,", "cur/1700000009.again:2,");
	assert_int_equal(opens(s), 1);
}

static void test_one_that_is_kept_is_enough(void **state)
{
	struct scratch *s = *state;

	known(s);
	for (unsigned i = 1; i < MESSAGES; i++) {
		char from[80];

		snprintf(from, sizeof(from), "%s", name_of("cur", "known", i));
		move_file(s, from, name_of("cur", "renamed", i));
	}
	assert_int_equal(opens(s), MESSAGES);
}

static void test_a_folder_replaced_by_one_with_the_messages(void **state)
{
	struct scratch *s = *state;

	known(s);
	shell(s, "cp -a " HOME "/cur " HOME "/copy && rm -r " HOME "/cur && mv " HOME "/copy " HOME
		 "/cur");
	assert_int_equal(opens(s), MESSAGES);
}

static void test_a_maildir_restored_from_a_backup(void **state)
{
	struct scratch *s = *state;

	known(s);
	shell(s, "cp -a " HOME " backup");
	put_message(s, "new/1800000000.later", 0);
	assert_int_equal(opens(s), MESSAGES + 1);
	shell(s, "rm -r " HOME " && cp -a backup " HOME);
	assert_int_equal(opens(s), MESSAGES);
}

/* Between two sessions: nothing of the old index is found, and the Maildir is the same. */
static void test_emptied_and_moved_to_another_disk(void **state)
{
	struct scratch *s = *state;

	known(s);
	for (unsigned i = 0; i < MESSAGES; i++)
		remove_file(s, name_of("cur", "known", i));
	put_message(s, "cur/1800000000.later:2,", 9);
	shell(s, "cp -a " HOME " moved && rm -r " HOME " && mv moved " HOME);
	assert_int_equal(opens(s), 1);
}

static void test_our_own_deletions_are_none(void **state)
{
	const uint32_t numbers[] = {1, 2, 3, 4};
	struct scratch *s = *state;

	known(s);
	delete_messages(s, numbers, MESSAGES);
	assert_int_equal(opens(s), 0);
	for (unsigned i = 0; i < MESSAGES; i++) {
		put_message(s, name_of("cur", "again", i), i);
		make_old(s, name_of("cur", "again", i), 86400);
	}
	assert_int_equal(opens(s), MESSAGES);
}

int main(void)
{
#define SCRATCH(test) cmocka_unit_test_setup_teardown(test, scratch_begin, scratch_end)
	const struct CMUnitTest tests[] = {
		SCRATCH(test_an_empty_folder_in_the_place_of_cur),
		SCRATCH(test_a_folder_of_other_mail),
		SCRATCH(test_both_folders_made_anew),
		SCRATCH(test_mail_that_nobody_has_seen_is_missed),
		SCRATCH(test_all_names_changed),
		SCRATCH(test_all_names_changed_and_moved_to_new),
		SCRATCH(test_the_same_messages_in_other_files),
		SCRATCH(test_half_of_them_again_is_enough),
		SCRATCH(test_a_damaged_index_knows_it_as_well),
		SCRATCH(test_flags_and_folders_change_nothing),
		SCRATCH(test_an_inbox_emptied_one_by_one),
		SCRATCH(test_emptied_by_webmail_and_new_mail_came),
		SCRATCH(test_old_mail_is_moved_in_by_webmail),
		SCRATCH(test_one_message_out_and_in_again),
		SCRATCH(test_one_that_is_kept_is_enough),
		SCRATCH(test_a_folder_replaced_by_one_with_the_messages),
		SCRATCH(test_a_maildir_restored_from_a_backup),
		SCRATCH(test_emptied_and_moved_to_another_disk),
		SCRATCH(test_our_own_deletions_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
