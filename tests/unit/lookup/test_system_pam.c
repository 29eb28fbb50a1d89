/* Answers to PAM's prompts, and verdicts out of its codes. libpam is a stand-in here: a script of
 * prompts and codes. */
#include "lookup/system/pam.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <security/pam_appl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static struct {
	int start, authenticate, account; /* codes */
	int prompts[8];                   /* styles, 0: the end */
	int together;                     /* prompts of one call */
	/* what happened */
	struct pam_conv conversation;
	char given[8][64];
	int said, ended, flags, accounts;
	char tty[64], address[64];
	bool delays_off;
} pam;

int __wrap_pam_start(const char *service, const char *user, const struct pam_conv *conversation,
		     pam_handle_t **ret);
int __wrap_pam_end(pam_handle_t *handle, int code);
int __wrap_pam_set_item(pam_handle_t *handle, int type, const void *item);
int __wrap_pam_authenticate(pam_handle_t *handle, int flags);
int __wrap_pam_acct_mgmt(pam_handle_t *handle, int flags);

int __wrap_pam_start(const char *service, const char *user, const struct pam_conv *conversation,
		     pam_handle_t **ret)
{
	static char handle;

	assert_string_equal(service, "valija");
	assert_string_equal(user, "anna");
	pam.conversation = *conversation;
	*ret = (pam_handle_t *)&handle;
	return pam.start;
}

int __wrap_pam_end(pam_handle_t *handle, int code)
{
	(void)handle;
	(void)code;
	pam.ended++;
	return PAM_SUCCESS;
}

int __wrap_pam_set_item(pam_handle_t *handle, int type, const void *item)
{
	(void)handle;
	if (type == PAM_TTY)
		strcpy(pam.tty, item);
	if (type == PAM_RHOST)
		strcpy(pam.address, item);
	if (type == PAM_FAIL_DELAY)
		pam.delays_off = item != NULL;
	return PAM_SUCCESS;
}

/* As modules do: a failed conversation is their failure. */
int __wrap_pam_authenticate(pam_handle_t *handle, int flags)
{
	int step = pam.together ? pam.together : 1;

	(void)handle;
	pam.flags = flags;
	for (int at = 0; pam.prompts[at]; at += step) {
		struct pam_message messages[8];
		const struct pam_message *list[8];
		struct pam_response *replies = NULL;

		for (int i = 0; i < step; i++) {
			messages[i] = (struct pam_message){pam.prompts[at + i], "?"};
			list[i] = &messages[i];
		}
		if (pam.conversation.conv(step, list, &replies, pam.conversation.appdata_ptr) !=
		    PAM_SUCCESS)
			return pam.authenticate ? pam.authenticate : PAM_CONV_ERR;
		for (int i = 0; i < step; i++) {
			strcpy(pam.given[pam.said++], replies[i].resp);
			free(replies[i].resp);
		}
		free(replies);
	}
	return pam.authenticate;
}

int __wrap_pam_acct_mgmt(pam_handle_t *handle, int flags)
{
	(void)handle;
	pam.flags = flags;
	pam.accounts++;
	return pam.account;
}

static enum verdict ask(uint32_t *ret_detail)
{
	char secret[] = "the secret";
	enum verdict verdict = pam_ask("valija", "anna", "192.0.2.1", secret, ret_detail);

	for (size_t i = 0; i < sizeof(secret); i++)
		assert_int_equal(secret[i], 0); /* wiped */
	assert_int_equal(pam.ended, 1);
	assert_int_equal(pam.flags & PAM_DISALLOW_NULL_AUTHTOK,
			 pam.flags ? PAM_DISALLOW_NULL_AUTHTOK : 0);
	assert_true(*ret_detail < DETAIL_QUESTION);
	return verdict;
}

static int reset(void **state)
{
	(void)state;
	memset(&pam, 0, sizeof(pam));
	pam.prompts[0] = PAM_PROMPT_ECHO_OFF;
	return 0;
}

static void a_password_is_given(void **state)
{
	uint32_t detail;

	(void)state;
	assert_int_equal(ask(&detail), VERDICT_RIGHT);
	assert_string_equal(pam.given[0], "the secret");
	assert_int_equal(pam.said, 1);
	assert_string_equal(pam.tty, "valija");
	assert_string_equal(pam.address, "192.0.2.1");
	assert_true(pam.delays_off);
}

static void prompts_are_told_apart(void **state)
{
	static const int prompts[] = {PAM_TEXT_INFO, PAM_PROMPT_ECHO_ON, PAM_PROMPT_ECHO_OFF,
				      PAM_ERROR_MSG};
	uint32_t detail;

	(void)state;
	for (int together = 1; together <= 4; together += 3) {
		reset(state);
		memcpy(pam.prompts, prompts, sizeof(prompts));
		pam.together = together;
		assert_int_equal(ask(&detail), VERDICT_RIGHT);
		assert_string_equal(pam.given[0], "");
		assert_string_equal(pam.given[1], "anna");
		assert_string_equal(pam.given[2], "the secret");
	}
}

/* A code of one use, or the password for another module: whatever code the modules make of it. */
static void a_second_prompt_gets_no_password(void **state)
{
	static const int codes[] = {PAM_SUCCESS, PAM_CONV_ERR, PAM_AUTH_ERR, PAM_SYSTEM_ERR};
	uint32_t detail;

	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		reset(state);
		pam.prompts[1] = PAM_PROMPT_ECHO_OFF;
		pam.together = i < 4 ? 1 : 2;
		pam.authenticate = codes[i % 4];
		assert_int_equal(ask(&detail), VERDICT_WRONG);
		assert_true(pam.said <= 1);
		assert_int_equal(pam.accounts, 0);
	}
}

static void who_did_not_look_lets_nobody_in(void **state)
{
	uint32_t detail;

	(void)state;
	pam.prompts[0] = 0;
	assert_int_equal(ask(&detail), VERDICT_WRONG);
	pam.ended = 0;
	pam.prompts[0] = PAM_PROMPT_ECHO_ON;
	assert_int_equal(ask(&detail), VERDICT_WRONG);
	assert_int_equal(pam.accounts, 0);
}

static void other_prompts_fail(void **state)
{
	uint32_t detail;

	(void)state;
	pam.prompts[0] = 7; /* binary, or what there may be some day */
	assert_int_equal(ask(&detail), VERDICT_DOWN);
}

static void codes_of_the_password(void **state)
{
	uint32_t detail;

	(void)state;
	for (int code = 1; code < 64; code++) {
		bool wrong = code == PAM_AUTH_ERR || code == PAM_USER_UNKNOWN ||
			     code == PAM_PERM_DENIED || code == PAM_MAXTRIES ||
			     code == PAM_ACCT_EXPIRED || code == PAM_CRED_EXPIRED ||
			     code == PAM_NEW_AUTHTOK_REQD || code == PAM_AUTHTOK_EXPIRED;

		reset(state);
		pam.authenticate = code;
		assert_int_equal(ask(&detail), wrong ? VERDICT_WRONG : VERDICT_DOWN);
		assert_int_equal(pam.accounts, 0); /* nothing is said about the account */
	}
}

static void codes_of_the_account(void **state)
{
	uint32_t detail;

	(void)state;
	for (int code = 1; code < 64; code++) {
		bool expired = code == PAM_ACCT_EXPIRED || code == PAM_CRED_EXPIRED ||
			       code == PAM_NEW_AUTHTOK_REQD || code == PAM_AUTHTOK_EXPIRED;
		bool locked = code == PAM_PERM_DENIED || code == PAM_AUTH_ERR ||
			      code == PAM_USER_UNKNOWN || code == PAM_MAXTRIES;

		reset(state);
		pam.account = code;
		assert_int_equal(ask(&detail), expired  ? VERDICT_EXPIRED
					       : locked ? VERDICT_LOCKED
							: VERDICT_DOWN);
	}
	assert_string_equal(pam_words(PAM_SYSTEM_ERR), pam_strerror(NULL, PAM_SYSTEM_ERR));
}

static void no_service_is_down(void **state)
{
	uint32_t detail;

	(void)state;
	pam.start = PAM_ABORT;
	assert_int_equal(ask(&detail), VERDICT_DOWN);
	assert_int_equal(detail, PAM_ABORT);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup(name, reset)
	const struct CMUnitTest tests[] = {
		CASE(a_password_is_given),   CASE(prompts_are_told_apart),
		CASE(other_prompts_fail),    CASE(a_second_prompt_gets_no_password),
		CASE(codes_of_the_password), CASE(who_did_not_look_lets_nobody_in),
		CASE(codes_of_the_account),  CASE(no_service_is_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
