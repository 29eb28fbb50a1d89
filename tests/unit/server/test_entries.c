/* Entries of databases that auth remembers: all of an entry comes back, for its time; the oldest
 * makes room. */
#include "server/auth/entries.h"

#include "base/text.h"
#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOGIN = CONFIG_FOR_LOGIN, RECIPIENT = CONFIG_FOR_RECIPIENT };

static const char database[] = "office";

/* auth keeps them until it ends */
static struct entries *make(uint32_t most)
{
	static struct entries *all[16];
	static unsigned count;

	all[count] = entries_create(most);
	assert_non_null(all[count]);
	return all[count++];
}

static struct finding *finding_of(const char *name)
{
	static struct finding finding;

	memset(&finding, 0, sizeof(finding));
	finding.status = USERS_FOUND;
	finding.database = database;
	snprintf(finding.user.name, sizeof(finding.user.name), "%s", name);
	snprintf(finding.user.home, sizeof(finding.user.home), "home/%s", name);
	snprintf(finding.user.secret, sizeof(finding.user.secret), "{PLAIN}secret");
	snprintf(finding.user.networks, sizeof(finding.user.networks), "10.0.0.0/8");
	finding.user.uid = 1000;
	finding.user.gid = 1001;
	finding.user.has_ids = true;
	finding.user.quota_messages = 5;
	finding.user.quota_octets = 6;
	return &finding;
}

static void put(struct entries *entries, const char *name, uint64_t kept_until)
{
	struct entry_found found = {
		.database = 3, .good_until = 50, .kept_until = kept_until, .judged = true};

	entries_put(entries, LOGIN, span_of(name), finding_of(name), &found);
}

static bool is_there(const struct entries *entries, uint32_t purpose, const char *name,
		     uint64_t now)
{
	struct entry_found found;
	struct finding *finding = entries_get(entries, purpose, span_of(name), now, &found);

	if (!finding)
		return false;
	finding_free(finding);
	return true;
}

static void test_all_of_an_entry_comes_back(void **state)
{
	struct entries *entries = make(4);
	struct entry_found found;
	struct finding *finding;

	(void)state;
	put(entries, "Anna", 100);
	finding = entries_get(entries, LOGIN, SPAN_LITERAL("aNNa"), 99, &found);
	assert_non_null(finding);
	assert_int_equal(finding->status, USERS_FOUND);
	assert_true(finding->cached);
	assert_ptr_equal(finding->database, database);
	assert_string_equal(finding->name, "anna");
	assert_string_equal(finding->user.name, "Anna");
	assert_string_equal(finding->user.home, "home/Anna");
	assert_string_equal(finding->user.secret, "{PLAIN}secret");
	assert_string_equal(finding->user.networks, "10.0.0.0/8");
	assert_int_equal(finding->user.uid, 1000);
	assert_int_equal(finding->user.gid, 1001);
	assert_true(finding->user.has_ids);
	assert_false(finding->user.nologin);
	assert_int_equal(finding->user.quota_messages, 5);
	assert_int_equal(finding->user.quota_octets, 6);
	assert_null(finding->targets);
	assert_int_equal(found.database, 3);
	assert_int_equal(found.good_until, 50);
	assert_int_equal(found.kept_until, 100);
	assert_true(found.judged);
	finding_free(finding);
}

static void test_for_its_time_and_purpose(void **state)
{
	struct entries *entries = make(4);

	(void)state;
	put(entries, "anna", 100);
	assert_true(is_there(entries, LOGIN, "anna", 99));
	assert_false(is_there(entries, LOGIN, "anna", 100));
	assert_false(is_there(entries, RECIPIENT, "anna", 0));
	assert_false(is_there(entries, LOGIN, "ann", 0));
	put(entries, "anna", 200); /* in its place */
	assert_true(is_there(entries, LOGIN, "anna", 199));
}

static void test_an_alias(void **state)
{
	static char targets[] = "berta\0carla@example.org";
	struct entries *entries = make(4);
	struct finding *finding = finding_of("staff");
	struct entry_found found = {.kept_until = 100};

	(void)state;
	finding->targets = targets;
	finding_set_alias(finding, 2);
	entries_put(entries, RECIPIENT, SPAN_LITERAL("staff"), finding, &found);
	memset(&found, 0xff, sizeof(found));
	finding = entries_get(entries, RECIPIENT, SPAN_LITERAL("staff"), 1, &found);
	assert_non_null(finding);
	assert_int_equal(finding->alias.count, 2);
	assert_memory_equal(finding->targets, targets, sizeof(targets));
	assert_ptr_not_equal(finding->targets, targets);
	assert_false(found.judged);
	finding_free(finding);
}

static void test_forgotten_by_name_and_purpose(void **state)
{
	struct entries *entries = make(8);
	struct entry_found found = {.kept_until = 100};

	(void)state;
	put(entries, "anna", 100);
	put(entries, "berta", 100);
	entries_put(entries, RECIPIENT, SPAN_LITERAL("anna"), finding_of("anna"), &found);
	assert_int_equal(entries_forget(entries, LOGIN, SPAN_LITERAL("AnnA")), 1);
	assert_int_equal(entries_forget(entries, LOGIN, SPAN_LITERAL("anna")), 0);
	assert_false(is_there(entries, LOGIN, "anna", 1));
	assert_true(is_there(entries, LOGIN, "berta", 1));
	assert_true(is_there(entries, RECIPIENT, "anna", 1));
	put(entries, "anna", 100); /* the list of all is whole */
	assert_int_equal(entries_forget_all(entries), 3);
	assert_int_equal(entries_forget_all(entries), 0);
	assert_false(is_there(entries, LOGIN, "berta", 1));
	put(entries, "berta", 100);
	assert_true(is_there(entries, LOGIN, "berta", 1));
}

static void test_the_oldest_makes_room(void **state)
{
	struct entries *entries = make(3);

	(void)state;
	put(entries, "a", 100);
	put(entries, "b", 100);
	put(entries, "c", 100);
	put(entries, "a", 100); /* it is the newest now */
	put(entries, "d", 100);
	assert_true(is_there(entries, LOGIN, "a", 1));
	assert_false(is_there(entries, LOGIN, "b", 1));
	assert_true(is_there(entries, LOGIN, "c", 1));
	assert_true(is_there(entries, LOGIN, "d", 1));
	put(entries, "e", 100);
	assert_false(is_there(entries, LOGIN, "c", 1));
	put(entries, "f", 100);
	assert_false(is_there(entries, LOGIN, "a", 1));
	assert_true(is_there(entries, LOGIN, "d", 1));
}

static void test_none_where_none_are_wanted(void **state)
{
	struct entries *entries = make(0);
	char longest[USER_NAME_MAX + 2];
	struct entry_found found = {.kept_until = 100};

	(void)state;
	put(entries, "a", 100);
	assert_false(is_there(entries, LOGIN, "a", 1));
	entries = make(2);
	memset(longest, 'x', sizeof(longest));
	longest[USER_NAME_MAX + 1] = '\0';
	entries_put(entries, LOGIN, span_of(longest), finding_of("a"), &found);
	assert_false(is_there(entries, LOGIN, longest, 1));
	longest[USER_NAME_MAX] = '\0';
	entries_put(entries, LOGIN, span_of(longest), finding_of("a"), &found);
	assert_true(is_there(entries, LOGIN, longest, 1));
}

static void test_the_day_of_a_login(void **state)
{
	struct entries *entries = make(2);

	(void)state;
	assert_false(entries_noted(entries, LOGIN, SPAN_LITERAL("a"), 7));
	assert_false(entries_noted(entries, LOGIN, SPAN_LITERAL("a"), 7));
	put(entries, "a", 100);
	assert_false(entries_noted(entries, LOGIN, SPAN_LITERAL("a"), 7));
	assert_true(entries_noted(entries, LOGIN, SPAN_LITERAL("A"), 7));
	put(entries, "a", 100); /* asked for anew: the day stays */
	assert_true(entries_noted(entries, LOGIN, SPAN_LITERAL("a"), 7));
	assert_false(entries_noted(entries, LOGIN, SPAN_LITERAL("a"), 8));
	assert_true(entries_noted(entries, LOGIN, SPAN_LITERAL("a"), 8));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_of_an_entry_comes_back),
		cmocka_unit_test(test_for_its_time_and_purpose),
		cmocka_unit_test(test_an_alias),
		cmocka_unit_test(test_forgotten_by_name_and_purpose),
		cmocka_unit_test(test_the_oldest_makes_room),
		cmocka_unit_test(test_none_where_none_are_wanted),
		cmocka_unit_test(test_the_day_of_a_login),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
