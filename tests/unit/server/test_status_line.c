/* The line that a service manager shows, from counters that may be anything. */
#include "server/monitor/status_line.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

static struct pages pages;
static struct page *front, *other, *auth;

static int begin(void **state)
{
	(void)state;
	pages_init(&pages, NULL, NULL, true);
	front = pages_take(&pages, ROLE_FRONT, 0, 1);
	other = pages_take(&pages, ROLE_FRONT, 1, 1);
	auth = pages_take(&pages, ROLE_AUTH, 0, 1);
	return front && other && auth ? 0 : -1;
}

static int end(void **state)
{
	(void)state;
	pages_finish(&pages);
	return 0;
}

static void set(struct page *page, size_t slot, uint64_t value)
{
	atomic_store(&page->memory->slots[slot], value);
}

static const char *line_at(struct status_line *line, uint64_t now)
{
	static char text[160];

	status_line_write(line, &pages, now, text, sizeof(text));
	return text;
}

static void test_nothing_yet(void **state)
{
	struct status_line line = {0};

	(void)state;
	assert_string_equal(line_at(&line, 1000), "0 sessions, 0.0 logins a second");
}

static void test_sums_of_all_fronts(void **state)
{
	struct status_line line = {0};

	(void)state;
	set(front, COUNTER_SESSIONS_NOW + SERVICE_POP3, 1);
	assert_string_equal(line_at(&line, 1000), "1 session, 0.0 logins a second");
	set(front, COUNTER_SESSIONS_NOW + SERVICE_POP3S, 4);
	set(other, COUNTER_SESSIONS_NOW + SERVICE_POP3, 2);
	set(auth, COUNTER_SESSIONS_NOW + SERVICE_POP3, 100); /* it has none to tell of */
	assert_string_equal(line_at(&line, 2000), "7 sessions, 0.0 logins a second");
}

static void test_logins_of_the_time_between(void **state)
{
	struct status_line line = {0};
	size_t good = counters_login(SERVICE_POP3, 0, TLS_NONE, RESULT_OK);
	size_t bad = counters_login(SERVICE_POP3, 0, TLS_NONE, RESULT_FAILED);

	(void)state;
	set(front, good, 1000); /* before the first line */
	assert_non_null(strstr(line_at(&line, 1000), " 0.0 logins"));
	set(front, good, 1030);
	set(other, good, 5);
	set(front, bad, 500);
	assert_non_null(strstr(line_at(&line, 11000), " 3.5 logins a second"));
	assert_non_null(strstr(line_at(&line, 21000), " 0.0 logins"));
	set(front, good, 0); /* a lie, or another version's counters */
	assert_non_null(strstr(line_at(&line, 31000), " 0.0 logins"));
	assert_non_null(strstr(line_at(&line, 31000), " 0.0 logins")); /* no time between */
}

static void test_the_first_certificate_that_ends(void **state)
{
	struct status_line line = {0};

	(void)state;
	set(front, COUNTER_CERTIFICATE_END, 1800000000);
	set(front, COUNTER_CERTIFICATE_END + 1, 1796083200); /* 2026-12-01 */
	assert_non_null(strstr(line_at(&line, 1), ", first certificate until 2026-12-01"));
	/* a front of a later generation has the renewed one */
	set(other, COUNTER_CERTIFICATE_END + 1, 1900000000);
	assert_non_null(strstr(line_at(&line, 2), ", first certificate until 2027-01-15"));
	set(other, COUNTER_CERTIFICATE_END + 1, UINT64_MAX);
	set(front, COUNTER_CERTIFICATE_END, UINT64_MAX);
	(void)line_at(&line, 3); /* any text, within its room */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nothing_yet, begin, end),
		cmocka_unit_test_setup_teardown(test_sums_of_all_fronts, begin, end),
		cmocka_unit_test_setup_teardown(test_logins_of_the_time_between, begin, end),
		cmocka_unit_test_setup_teardown(test_the_first_certificate_that_ends, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
