/* cyrus.index of all versions that are known, and the name in cyrus.header. */
#include "cli/import/cyrus/records.h"

#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { EXPUNGED = 31 };

struct made {
	char octets[2048];
	uint32_t version, head, body, count;
};

static void put(char *at, uint64_t number, unsigned octets)
{
	while (octets--) {
		at[octets] = (char)number;
		number >>= 8;
	}
}

/* An index of messages 1, 3, 5 …, that came at 1000 and each a second later. */
static struct made make(uint32_t version, uint32_t count)
{
	struct made made = {.version = version, .count = count};
	bool wide = version >= 20;

	made.head = version < 8 ? 76 : version < 12 ? 96 : version < 14 ? 128 : wide ? 192 : 160;
	made.body = version < 8 ? 60 : version < 12 ? 80 : version < 16 ? 104 : wide ? 144 : 112;
	put(made.octets + 8, version, 4);
	put(made.octets + 12, made.head, 4);
	put(made.octets + 16, made.body, 4);
	put(made.octets + 20, count, 4);
	put(made.octets + (wide ? 92 : 44), 0xabcd, 4);
	put(made.octets + (version < 19 ? 60 : 64), 1, 4);
	for (uint32_t i = 0; i < count; i++) {
		char *record = made.octets + made.head + i * made.body;

		put(record, 2 * i + 1, 4);
		put(record + (wide ? 8 : 4), (1000ull + i) * (wide ? 1000000000 : 1), wide ? 8 : 4);
		put(record + (wide ? 24 : 12), 70 + i, wide ? 8 : 4);
	}
	return made;
}

static void flag(struct made *made, uint32_t i, unsigned bit)
{
	put(made->octets + made->head + i * made->body + (made->version < 20 ? 32 : 36), 1u << bit,
	    4);
}

static pop3_span all_of(const struct made *made)
{
	return (pop3_span){made->octets, made->head + made->body * made->count};
}

static void test_versions(void **state)
{
	static const uint32_t versions[] = {6, 7, 8, 9, 10, 12, 13, 14, 15, 16, 17, 18, 19, 20};

	(void)state;
	for (size_t i = 0; i < sizeof(versions) / sizeof(*versions); i++) {
		struct made made = make(versions[i], 3);
		struct cyrus_index index;

		flag(&made, 1, 4);
		assert_int_equal(cyrus_index_parse(all_of(&made), true, &index, NULL), 0);
		assert_int_equal(index.version, versions[i]);
		assert_int_equal(index.uidvalidity, 0xabcd);
		assert_false(index.only_uids);
		assert_int_equal(index.count, 3);
		assert_int_equal(index.messages[2].uid, 5);
		assert_int_equal(index.messages[2].seconds, 1002);
		assert_int_equal(index.messages[2].size, 72);
		assert_int_equal(index.messages[1].flags, CYRUS_SEEN);
		cyrus_index_finish(&index);
	}
}

static uint32_t shown(const struct made *made, bool skip_deleted)
{
	struct cyrus_index index;
	uint32_t count;

	assert_int_equal(cyrus_index_parse(all_of(made), skip_deleted, &index, NULL), 0);
	count = index.count;
	cyrus_index_finish(&index);
	return count;
}

static void test_what_is_hidden(void **state)
{
	struct made made = make(17, 4), old = make(10, 4), wide = make(20, 4);

	(void)state;
	flag(&made, 1, EXPUNGED);
	assert_int_equal(shown(&made, false), 3);
	flag(&made, 2, 2);
	assert_int_equal(shown(&made, false), 3);
	assert_int_equal(shown(&made, true), 2);
	/* what that bit is in an old index is not known, and nothing expunged is in one */
	flag(&old, 1, EXPUNGED);
	assert_int_equal(shown(&old, false), 4);
	put(made.octets + 112, 1002, 4);
	assert_int_equal(shown(&made, false), 1);
	put(wide.octets + 112, 1001000000000ull, 8);
	assert_int_equal(shown(&wide, false), 2);
}

static void test_ids_of_old_mailboxes(void **state)
{
	struct made made = make(9, 1);
	struct cyrus_index index;

	(void)state;
	put(made.octets + 60, 0, 4);
	assert_int_equal(cyrus_index_parse(all_of(&made), false, &index, NULL), 0);
	assert_true(index.only_uids);
	cyrus_index_finish(&index);
}

static void refuse(struct made made, size_t size, const char *why)
{
	struct cyrus_index index;
	struct err err = {0};

	assert_int_equal(cyrus_index_parse((pop3_span){made.octets, size}, false, &index, &err),
			 -1);
	assert_non_null(strstr(err.text, why));
}

static void test_damage(void **state)
{
	struct made made = make(17, 3);
	size_t size = all_of(&made).size;

	(void)state;
	refuse(made, 75, "shorter");
	refuse(made, size - 1, "cut off");
	refuse(make(5, 1), 400, "its version is 5");
	refuse(make(21, 1), 400, "its version is 21");
	put(made.octets + made.head + made.body, 1, 4);
	refuse(made, size, "do not ascend");
	made = make(17, 3);
	put(made.octets + 12, 0xffffffff, 4);
	refuse(made, size, "cut off");
	made = make(17, 3);
	put(made.octets + 16, 0, 4);
	refuse(made, size, "cut off");
	made = make(17, 3);
	put(made.octets + 20, 0xffffffff, 4);
	refuse(made, size, "cut off");
	/* a header that ends before its fields */
	made = make(17, 0);
	put(made.octets + 12, 100, 4);
	refuse(made, 160, "cut off");
}

static void is_name(const char *line, const char *name)
{
	char text[256];
	int n = snprintf(text, sizeof(text), "Cyrus mailbox header\nx\ny\n%s", line);

	assert_true(span_equal(cyrus_header_name((pop3_span){text, (size_t)n}), span_of(name)));
}

static void test_names(void **state)
{
	(void)state;
	is_name("%(T e N user.anna^b I 1nc Q user.anna^b A %(anna p))\n", "user.anna^b");
	is_name("%(T e N \"example.org!user.anna\" I 1nc)\n", "example.org!user.anna");
	is_name("user.anna\t0123\n", "");
	is_name("%(A %(N user.eve) N user.anna)\n", "");
	is_name("%(", "");
	is_name("", "");
	assert_int_equal(cyrus_header_name((pop3_span){0}).size, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_what_is_hidden),
		cmocka_unit_test(test_ids_of_old_mailboxes),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
