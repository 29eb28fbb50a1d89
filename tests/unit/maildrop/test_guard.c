/* What the register knows of maildrops for the guard, and what follows for one without an index. */
#include "maildrop_test.h"

#include "base/text.h"
#include "maildrop/guard.h"

#define ANNA SPAN_LITERAL("anna")

static char path[200];

static int begin(void **state)
{
	int result = scratch_begin(state);
	struct scratch *s = *state;

	snprintf(path, sizeof(path), "%s/mail-register-1", s->path);
	return result;
}

static struct guard_facts facts_of(uint64_t new, uint64_t cur, uint32_t has, const char *rule)
{
	struct guard_facts facts = {.folders = {new, cur}, .has = has};

	snprintf(facts.rule, sizeof(facts.rule), "%s", rule);
	return facts;
}

/* Another process sees what one has entered: each question has a register of its own. */
static bool seen(const char *location, struct guard_facts facts)
{
	struct mail_register *reg = register_create(path);
	struct err err = {0};
	bool entered = false;

	if (guard_seen(reg, (pop3_span){location, strlen(location)}, &facts, &entered, &err) < 0)
		fail_msg("%s", err.text);
	register_destroy(reg);
	return entered;
}

static void is_right(const char *location, struct guard_facts facts)
{
	struct mail_register *reg = register_create(path);
	struct err err = {0};

	if (guard_judge(reg, (pop3_span){location, strlen(location)}, &facts, &err) != GUARD_RIGHT)
		fail_msg("%s", err.text);
	register_destroy(reg);
}

static void is_wrong(const char *location, struct guard_facts facts, const char *why)
{
	struct mail_register *reg = register_create(path);
	struct err err = {0};

	assert_int_equal(guard_judge(reg, (pop3_span){location, strlen(location)}, &facts, &err),
			 GUARD_WRONG);
	if (!strstr(err.text, why) || !strstr(err.text, "valija guard accept USER"))
		fail_msg("%s", err.text);
	register_destroy(reg);
}

static bool knows(enum register_fact fact, const char *words)
{
	struct mail_register *reg = register_create(path);
	struct err err = {0};
	bool is = false;

	if (register_knows(reg, ANNA, fact, (pop3_span){words, strlen(words)}, &is, &err) < 0)
		fail_msg("%s", err.text);
	register_destroy(reg);
	return is;
}

static enum register_kind kind_of(const char *location)
{
	struct mail_register *reg = register_create(path);
	enum register_kind kind = REGISTER_KINDS;
	struct err err = {0};

	if (register_find(reg, (pop3_span){location, strlen(location)}, &kind, &err) < 0)
		fail_msg("%s", err.text);
	register_destroy(reg);
	return kind;
}

static off_t size(void)
{
	struct stat st;

	return stat(path, &st) < 0 ? 0 : st.st_size;
}

static void test_one_that_nobody_had_is_right(void **state)
{
	(void)state;
	is_right("anna", facts_of(1, 2, 0, ""));
	is_right("anna", facts_of(1, 2, 0, "courier"));
	assert_int_equal(size(), 0);
}

static void test_other_folders_are_wrong(void **state)
{
	(void)state;
	assert_true(seen("anna", facts_of(1, 2, GUARD_FILES, "")));
	is_right("anna", facts_of(1, 2, 0, ""));
	is_wrong("anna", facts_of(1, 3, 0, ""), "maildrop anna: another Maildir stands");
	is_wrong("anna", facts_of(3, 2, 0, ""), "another Maildir stands");
	is_wrong("anna", facts_of(2, 1, 0, ""), "another Maildir stands");
	/* what is ours came along */
	is_right("anna", facts_of(1, 3, GUARD_FILES, ""));
	/* others are others */
	is_right("ann", facts_of(7, 8, 0, ""));
	is_right("anna/x", facts_of(7, 8, 0, ""));
	/* each that it had is known */
	assert_true(seen("anna", facts_of(1, 3, GUARD_FILES, "")));
	is_right("anna", facts_of(1, 2, 0, ""));
	is_right("anna", facts_of(1, 3, 0, ""));
}

static void test_brought_ids_are_missed(void **state)
{
	(void)state;
	seen("anna", facts_of(1, 2, GUARD_FILES | GUARD_IDS, "courier"));
	is_right("anna", facts_of(1, 2, GUARD_FILES | GUARD_IDS, ""));
	is_wrong("anna", facts_of(1, 2, GUARD_FILES, ""), "came from another server");
	is_wrong("anna", facts_of(1, 2, 0, ""), "came from another server");
	is_wrong("anna", facts_of(1, 2, 0, "dovecot"), "came by another rule");
	is_right("anna", facts_of(1, 2, 0, "courier")); /* they are made again */
	is_wrong("anna", facts_of(1, 9, 0, "courier"), "another Maildir stands");
	/* a session that did not look has not forgotten them */
	seen("anna", facts_of(1, 2, GUARD_FILES, ""));
	is_wrong("anna", facts_of(1, 2, 0, ""), "came from another server");
}

static void test_ids_of_our_own_stay(void **state)
{
	(void)state;
	seen("anna", facts_of(1, 2, GUARD_FILES, ""));
	is_wrong("anna", facts_of(1, 2, 0, "courier"), "were of our own");
}

static void test_a_report_is_written_once(void **state)
{
	off_t once;

	(void)state;
	assert_true(seen("anna", facts_of(1, 2, GUARD_FILES | GUARD_IDS, "courier")));
	once = size();
	assert_int_equal(once, 16 * (1 + 4));
	assert_false(seen("anna", facts_of(1, 2, GUARD_FILES | GUARD_IDS, "courier")));
	assert_int_equal(size(), once);
}

/* Cut behind any entry, it is not served yet, or all is known. */
static void test_a_cut_report_is_no_alarm(void **state)
{
	(void)state;
	seen("anna", facts_of(1, 2, GUARD_FILES | GUARD_IDS, "courier"));
	for (off_t at = size(); at >= 0; at--) {
		bool whole = at == 16 * 5;

		assert_int_equal(truncate(path, at), 0);
		is_right("anna", facts_of(1, 2, 0, "courier"));
		is_right("anna", facts_of(1, 2, GUARD_FILES | GUARD_IDS, ""));
		assert_int_equal(knows(REGISTER_SERVED, ""), whole);
		if (whole)
			is_wrong("anna", facts_of(1, 2, 0, ""), "came from another server");
		else
			is_right("anna", facts_of(1, 2, 0, ""));
	}
}

static void test_an_alarm_lasts_until_a_session(void **state)
{
	struct mail_register *reg = register_create(path);
	struct err err;

	(void)state;
	seen("anna", facts_of(1, 2, GUARD_FILES, ""));
	assert_false(knows(REGISTER_ALARM, ""));
	assert_int_equal(guard_alarm(reg, ANNA, &err), 0);
	register_destroy(reg);
	assert_true(knows(REGISTER_ALARM, ""));
	is_right("anna", facts_of(1, 2, 0, ""));
	assert_true(seen("anna", facts_of(1, 2, GUARD_FILES, "")));
	assert_false(knows(REGISTER_ALARM, ""));
}

static void accept(struct guard_facts facts, bool lost_ids)
{
	struct mail_register *reg = register_create(path);
	struct err err = {0};

	if (guard_accept(reg, ANNA, &facts, lost_ids, &err) < 0)
		fail_msg("%s", err.text);
	register_destroy(reg);
}

static void test_what_is_accepted_is_right(void **state)
{
	struct mail_register *reg = register_create(path);
	struct err err;

	(void)state;
	seen("anna", facts_of(1, 2, GUARD_FILES | GUARD_IDS, "courier"));
	assert_int_equal(guard_alarm(reg, ANNA, &err), 0);
	register_destroy(reg);
	accept(facts_of(5, 6, GUARD_FILES, ""), false);
	assert_false(knows(REGISTER_ALARM, ""));
	is_wrong("anna", facts_of(5, 6, 0, ""), "came from another server");
	accept(facts_of(5, 6, GUARD_FILES, ""), true);
	is_right("anna", facts_of(5, 6, 0, ""));
	is_wrong("anna", facts_of(5, 7, 0, ""), "another Maildir stands");
}

static void test_what_is_forgotten_is_new(void **state)
{
	struct mail_register *reg = register_create(path);
	struct err err;

	(void)state;
	seen("anna", facts_of(1, 2, GUARD_FILES | GUARD_IDS, "courier"));
	assert_int_equal(guard_forget(reg, ANNA, &err), 0);
	register_destroy(reg);
	is_right("anna", facts_of(3, 4, 0, ""));
	is_right("anna", facts_of(3, 4, 0, "dovecot"));
}

/* A fact is no location, and none of another one. */
static void test_facts_and_locations_are_apart(void **state)
{
	struct mail_register *reg = register_create(path);
	struct err err;

	(void)state;
	seen("anna", facts_of(1, 2, GUARD_FILES, ""));
	assert_int_equal(kind_of("anna"), REGISTER_NONE);
	assert_int_equal(register_enter(reg, ANNA, REGISTER_MADE, REGISTER_NOW, &err), 0);
	register_destroy(reg);
	assert_int_equal(kind_of("anna"), REGISTER_MADE);
	assert_true(knows(REGISTER_SERVED, ""));
	assert_true(knows(REGISTER_FOLDERS, "1 2"));
	assert_false(knows(REGISTER_FOLDERS, ""));
	assert_false(knows(REGISTER_BROUGHT, "1 2"));
	assert_false(knows(REGISTER_SERVED, "1 2"));
}

static void test_what_is_too_long_is_an_error(void **state)
{
	struct mail_register *reg = register_create(path);
	char text[2048];
	struct err err;
	bool is;

	(void)state;
	memset(text, 'x', sizeof(text));
	for (size_t n = 1200; n <= sizeof(text); n += 848) {
		pop3_span words = {text, n};
		int wanted = n > 1280 ? -1 : 0;

		assert_int_equal(register_knows(reg, ANNA, REGISTER_BROUGHT, words, &is, &err),
				 wanted);
		assert_int_equal(register_knows(reg, words, REGISTER_SERVED, ANNA, &is, &err),
				 wanted);
		assert_int_equal(
			register_note(reg, ANNA, REGISTER_BROUGHT, words, true, REGISTER_NOW, &err),
			wanted);
	}
	register_destroy(reg);
}

static void test_a_register_that_cannot_be_read_judges_nothing(void **state)
{
	struct guard_facts facts = facts_of(1, 2, 0, "");
	struct mail_register *reg;
	struct err err;
	bool entered;

	(void)state;
	seen("anna", facts_of(1, 2, GUARD_FILES, ""));
	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	reg = register_create(path);
	assert_int_equal(guard_judge(reg, ANNA, &facts, &err), GUARD_UNKNOWN);
	assert_int_equal(guard_seen(reg, ANNA, &facts, &entered, &err), -1);
	assert_int_equal(guard_alarm(reg, ANNA, &err), -1);
	assert_int_equal(guard_accept(reg, ANNA, &facts, true, &err), -1);
	assert_int_equal(guard_forget(reg, ANNA, &err), -1);
	register_destroy(reg);
	assert_int_equal(rmdir(path), 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, scratch_end)
	const struct CMUnitTest tests[] = {
		TEST(test_one_that_nobody_had_is_right),
		TEST(test_other_folders_are_wrong),
		TEST(test_brought_ids_are_missed),
		TEST(test_ids_of_our_own_stay),
		TEST(test_a_report_is_written_once),
		TEST(test_a_cut_report_is_no_alarm),
		TEST(test_an_alarm_lasts_until_a_session),
		TEST(test_what_is_accepted_is_right),
		TEST(test_what_is_forgotten_is_new),
		TEST(test_facts_and_locations_are_apart),
		TEST(test_what_is_too_long_is_an_error),
		TEST(test_a_register_that_cannot_be_read_judges_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
