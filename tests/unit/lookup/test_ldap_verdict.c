/* The meaning of a server's answer to a login: whom it lets in, and what is no answer. */
#include "lookup/ldap/verdict.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#define AD "80090308: LdapErr: DSID-0C09050F, comment: AcceptSecurityContext error, data %s, v4563"

static void plain_results(void **state)
{
	assert_int_equal(bind_verdict(0, "", POLICY_NONE), BIND_RIGHT);
	assert_int_equal(bind_verdict(0, NULL, POLICY_NONE), BIND_RIGHT);
	assert_int_equal(bind_verdict(49, "", POLICY_NONE), BIND_WRONG);
	assert_int_equal(bind_verdict(49, NULL, POLICY_NONE), BIND_WRONG);
	assert_int_equal(bind_verdict(32, "", POLICY_NONE), BIND_WRONG);
	assert_int_equal(bind_verdict(34, "", POLICY_NONE), BIND_WRONG);
	assert_int_equal(bind_verdict(48, "", POLICY_NONE), BIND_WRONG);
	assert_int_equal(bind_verdict(19, "Exceed password retry limit", POLICY_NONE), BIND_WRONG);
}

/* Busy, unavailable, TLS wanted, a referral, errors of the library: the password was not judged. */
static void what_is_no_answer(void **state)
{
	const int codes[] = {1, 2, 3, 8, 10, 11, 13, 14, 50, 51, 52, 53, 80, -1, -5, -11, 4096};

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		for (int policy = -1; policy < 4; policy++)
			assert_int_equal(bind_verdict(codes[i], "no", policy), BIND_FAILED);
}

static void one_account_that_is_locked(void **state)
{
	assert_int_equal(bind_verdict(53, "Account inactivated. Contact system administrator.", -1),
			 BIND_WRONG);
	assert_int_equal(bind_verdict(53, "NDS error: login lockout (-197)", -1), BIND_WRONG);
	assert_int_equal(bind_verdict(53, "authentication is disabled", -1), BIND_FAILED);
}

static void password_policy(void **state)
{
	assert_int_equal(bind_verdict(49, "", POLICY_EXPIRED), BIND_REFUSED);
	assert_int_equal(bind_verdict(0, "", POLICY_CHANGE_AFTER_RESET), BIND_REFUSED);
	assert_int_equal(bind_verdict(0, "", POLICY_EXPIRED), BIND_REFUSED);
	assert_int_equal(bind_verdict(49, "", POLICY_LOCKED), BIND_WRONG);
}

static void active_directory(void **state)
{
	const char *refused[] = {"530", "531", "532", "533", "701", "773"};
	const char *wrong[] = {"525", "52e", "775", "0", "", "zz", "5320"};
	char message[256];

	for (size_t i = 0; i < 6; i++) {
		snprintf(message, sizeof(message), AD, refused[i]);
		assert_int_equal(bind_verdict(49, message, POLICY_NONE), BIND_REFUSED);
		assert_int_equal(bind_verdict(0, message, POLICY_NONE), BIND_RIGHT);
	}
	for (size_t i = 0; i < 7; i++) {
		snprintf(message, sizeof(message), AD, wrong[i]);
		assert_int_equal(bind_verdict(49, message, POLICY_NONE), BIND_WRONG);
	}
	assert_int_equal(bind_verdict(49, "data 532", POLICY_NONE), BIND_WRONG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_results),
		cmocka_unit_test(what_is_no_answer),
		cmocka_unit_test(one_account_that_is_locked),
		cmocka_unit_test(password_policy),
		cmocka_unit_test(active_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
