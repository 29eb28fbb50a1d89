/* Notices of a mailbox that is nearly full: at which delivery there is one, and what it says. The
 * random octets are the test's. */
#include "server/keeper/notice.h"

#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { KIB = 1024 };

static char text[NOTICE_MAX + 1];
static bool no_random;

int __wrap_random_octets(void *buf, size_t size);

int __wrap_random_octets(void *buf, size_t size)
{
	memset(buf, 0xab, size);
	return no_random ? -1 : 0;
}

static unsigned notice(struct maildrop_quota quota, struct maildrop_usage before,
		       struct maildrop_usage after)
{
	unsigned percent = 0;
	size_t size = notice_if_passed(&quota, &before, &after, "anna@office.test", "office.test",
				       text, &percent);

	text[size] = '\0';
	assert_int_equal(size > 0, percent > 0);
	return percent;
}

static unsigned by_messages(uint64_t most, uint64_t before, uint64_t after)
{
	return notice((struct maildrop_quota){.max_messages = most},
		      (struct maildrop_usage){.messages = before, .octets = 1},
		      (struct maildrop_usage){.messages = after, .octets = 1});
}

static unsigned by_octets(uint64_t most, uint64_t before, uint64_t after)
{
	return notice((struct maildrop_quota){.max_octets = most},
		      (struct maildrop_usage){.octets = before, .messages = 1},
		      (struct maildrop_usage){.octets = after, .messages = 1});
}

static void test_the_delivery_that_passes_a_step(void **state)
{
	(void)state;
	assert_int_equal(by_messages(100, 78, 79), 0);
	assert_int_equal(by_messages(100, 79, 80), 80);
	assert_int_equal(by_messages(100, 80, 81), 0);
	assert_int_equal(by_messages(100, 93, 94), 0);
	assert_int_equal(by_messages(100, 94, 95), 95);
	assert_int_equal(by_messages(100, 95, 96), 0);
	assert_int_equal(by_messages(100, 10, 99), 95); /* both: one notice, of the higher */
	assert_int_equal(by_octets(100, 79, 80), 80);
	assert_int_equal(by_octets(100, 94, 95), 95);
	assert_int_equal(by_octets(100, 95, 100), 0);
}

/* The step is the next whole number from that share of the quota on, also of large ones. */
static void test_steps_are_rounded_up(void **state)
{
	(void)state;
	assert_int_equal(by_messages(7, 4, 5), 0); /* 5.6 */
	assert_int_equal(by_messages(7, 5, 6), 80);
	assert_int_equal(by_messages(7, 6, 7), 95); /* 6.65 */
	assert_int_equal(by_messages(1, 0, 1), 95);
	assert_int_equal(by_messages(101, 80, 80), 0);
	assert_int_equal(by_messages(101, 80, 81), 80);   /* 80.8 */
	assert_int_equal(by_messages(105, 83, 84), 80);   /* 84 */
	assert_int_equal(by_messages(199, 159, 160), 80); /* 159.2 */
	assert_int_equal(by_messages(199, 158, 159), 0);
	assert_int_equal(by_messages(250, 199, 200), 80);
	assert_int_equal(by_messages(250, 198, 199), 0);
	assert_int_equal(by_octets(UINT64_MAX, UINT64_MAX / 100 * 80 - 1, UINT64_MAX / 100 * 96),
			 95);
}

static void test_one_of_both_limits_is_enough(void **state)
{
	const struct maildrop_quota quota = {.max_messages = 100, .max_octets = 1000};
	const struct maildrop_usage low = {.messages = 10, .octets = 10},
				    many = {.messages = 80, .octets = 10},
				    large = {.messages = 10, .octets = 800},
				    both = {.messages = 80, .octets = 800};

	(void)state;
	assert_int_equal(notice(quota, low, many), 80);
	assert_int_equal(notice(quota, low, large), 80);
	assert_int_equal(notice(quota, many, both), 0); /* it was told */
	assert_int_equal(notice(quota, large, both), 0);
	assert_int_equal(notice(quota, low, low), 0);
}

static void test_no_quota_no_notice(void **state)
{
	(void)state;
	assert_int_equal(by_messages(0, 0, 1000000), 0);
	assert_int_equal(by_octets(0, 0, 1000000), 0);
}

static void contains(const char *wanted)
{
	if (!strstr(text, wanted))
		fail_msg("no \"%s\" in\n%s", wanted, text);
}

/* The time in its header, which must be now, give or take a minute. */
static void expect_date(void)
{
	struct tm tm = {0};
	const char *at = strstr(text, "\r\nDate: ");
	time_t now = time(NULL);

	assert_non_null(at);
	at = strptime(at + 8, "%a, %d %b %Y %H:%M:%S +0000\r\n", &tm);
	assert_non_null(at);
	assert_in_range(timegm(&tm), now - 60, now + 60);
}

static void test_its_words(void **state)
{
	struct maildrop_quota quota = {.max_messages = 10, .max_octets = 5000 * KIB};
	const struct maildrop_usage before = {.messages = 7, .octets = 2 * KIB},
				    after = {.messages = 8, .octets = 4000 * KIB + 5};

	(void)state;
	assert_int_equal(notice(quota, before, after), 80);
	assert_memory_equal(text, "From: Mail system <postmaster@office.test>\r\n", 44);
	contains("\r\nTo: <anna@office.test>\r\nSubject: Your mailbox is 80 % full\r\nDate: ");
	contains(" +0000\r\nMessage-ID: <abababababababababababab@office.test>\r\n"
		 "Auto-Submitted: auto-generated\r\n");
	expect_date();
	contains("\r\n\r\nYour mailbox on office.test holds 8 messages with 4000 KiB.\r\n"
		 "Allowed are 10 messages and 5000 KiB.\r\n\r\nWhen it is full, ");
	assert_string_equal(text + strlen(text) - 26, "delete it on the server.\r\n");
	quota.max_octets = 0;
	assert_int_equal(notice(quota, before, after), 80);
	contains("\r\nAllowed are 10 messages.\r\n");
	quota = (struct maildrop_quota){.max_octets = 3 * KIB};
	assert_int_equal(notice(quota, before, after), 95);
	contains("\r\nAllowed are 3 KiB.\r\n");
	contains("\r\nSubject: Your mailbox is 95 % full\r\n");
}

static void test_without_random_octets(void **state)
{
	(void)state;
	no_random = true;
	assert_int_equal(by_messages(1, 0, 1), 95);
	contains("\r\nMessage-ID: <000000000000000000000000@office.test>\r\n");
	no_random = false;
}

/* Names that leave no room: no notice is better than half of one. */
static void test_what_does_not_fit_is_left_out(void **state)
{
	static char address[NOTICE_MAX];
	const struct maildrop_quota quota = {.max_messages = 1};
	const struct maildrop_usage before = {.messages = 0}, after = {.messages = 1};
	size_t size, most = 0;
	unsigned percent;

	(void)state;
	memset(address, 'a', sizeof(address) - 1);
	assert_int_equal(notice_if_passed(&quota, &before, &after, address, "h", text, &percent),
			 0);
	for (size_t length = 1; length < sizeof(address); length++) {
		address[length] = '\0';
		size = notice_if_passed(&quota, &before, &after, address, "h", text, &percent);
		address[length] = 'a';
		if (!size)
			break;
		assert_memory_equal(text + size - 26, "delete it on the server.\r\n", 26);
		most = size;
	}
	assert_true(most > NOTICE_MAX - 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_delivery_that_passes_a_step),
		cmocka_unit_test(test_steps_are_rounded_up),
		cmocka_unit_test(test_one_of_both_limits_is_enough),
		cmocka_unit_test(test_no_quota_no_notice),
		cmocka_unit_test(test_its_words),
		cmocka_unit_test(test_without_random_octets),
		cmocka_unit_test(test_what_does_not_fit_is_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
