/* Warnings about the dates of certificates: from which second on, and how it is said. */
#include "server/expiry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define DAY (INT64_C(24) * 3600)
#define NOW (20000 * DAY) /* 2024-10-04 */

static struct tls_dates dates;
static char said[1024];
static unsigned warnings;

struct tls_dates __wrap_tls_server_dates(const struct tls_server *server, unsigned i);
struct tls_dates __wrap_tls_server_dates(const struct tls_server *server, unsigned i)
{
	assert_non_null(server);
	assert_int_equal(i, 0);
	return dates;
}

static void warn(const char *text)
{
	snprintf(said, sizeof(said), "%s", text);
	warnings++;
}

/* The warning about a certificate that is good from first to last, from now on; "": none. */
static const char *about(int64_t first, int64_t last)
{
	static struct config config = {
		.certificate_count = 1,
		.certificates = {{.certificate = "/tls/office.pem", .line = 7}}};
	const struct tls_server *tls = (const struct tls_server *)&config; /* not looked into */

	snprintf(config.file, sizeof(config.file), "/etc/valija.conf");
	dates = (struct tls_dates){NOW + first, NOW + last};
	said[0] = '\0';
	warnings = 0;
	expiry_warn(&config, tls, NOW, warn);
	assert_int_equal(warnings, said[0] != '\0');
	return said;
}

static void test_a_good_one(void **state)
{
	(void)state;
	assert_string_equal(about(-100 * DAY, 14 * DAY), "");
	assert_string_equal(about(0, 100 * DAY), "");
}

static void test_soon_is_fourteen_days(void **state)
{
	(void)state;
	assert_string_equal(about(-100 * DAY, 14 * DAY - 1),
			    "/etc/valija.conf:7: the certificate /tls/office.pem expires on "
			    "2024-10-17, in 13 days: renew it before");
	assert_non_null(strstr(about(-100 * DAY, 0), "in 0 days"));
}

/* One that lives for eight days is to be renewed when two are left. */
static void test_soon_is_a_quarter_of_a_short_life(void **state)
{
	(void)state;
	assert_string_equal(about(-6 * DAY, 2 * DAY), "");
	assert_non_null(strstr(about(-6 * DAY - 4, 2 * DAY), "in 2 days"));
}

static void test_one_that_has_expired(void **state)
{
	(void)state;
	assert_non_null(strstr(about(-100 * DAY, -1), "expired on 2024-10-03: "));
}

static void test_one_that_is_not_valid_yet(void **state)
{
	(void)state;
	assert_non_null(strstr(about(1, 100 * DAY), "is not valid before 2024-10-04: "));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_good_one),
		cmocka_unit_test(test_soon_is_fourteen_days),
		cmocka_unit_test(test_soon_is_a_quarter_of_a_short_life),
		cmocka_unit_test(test_one_that_has_expired),
		cmocka_unit_test(test_one_that_is_not_valid_yet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
