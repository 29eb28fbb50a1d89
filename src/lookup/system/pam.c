/* See pam.h. */
#include "lookup/system/pam.h"

#include "base/secret.h"

#include <security/pam_appl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct conversation {
	const char *user;
	char *secret;
	bool given, again;
};

/* The password is for one prompt: a second one wants something else, such as a code of one use,
 * that no POP3 client can send. */
static char *answer(struct conversation *talk, int style)
{
	switch (style) {
	case PAM_PROMPT_ECHO_OFF:
		talk->again = talk->given;
		talk->given = true;
		return talk->again ? NULL : strdup(talk->secret);
	case PAM_PROMPT_ECHO_ON:
		return strdup(talk->user);
	case PAM_TEXT_INFO:
	case PAM_ERROR_MSG:
		return strdup("");
	default:
		return NULL;
	}
}

static void free_replies(struct pam_response *replies, int count)
{
	for (int i = 0; i < count; i++) {
		if (replies[i].resp)
			wipe(replies[i].resp, strlen(replies[i].resp));
		free(replies[i].resp);
	}
	free(replies);
}

static int converse(int count, const struct pam_message **messages, struct pam_response **ret,
		    void *context)
{
	struct conversation *talk = context;
	struct pam_response *replies;

	if (count <= 0 || count > PAM_MAX_NUM_MSG)
		return PAM_CONV_ERR;
	replies = calloc((size_t)count, sizeof(*replies));
	if (!replies)
		return PAM_BUF_ERR;
	for (int i = 0; i < count; i++) {
		replies[i].resp = answer(talk, messages[i]->msg_style);
		if (!replies[i].resp) {
			free_replies(replies, count);
			return PAM_CONV_ERR;
		}
	}
	*ret = replies;
	return PAM_SUCCESS;
}

/* auth delays answers itself, by address, for all databases. */
static void no_delay(int result, unsigned microseconds, void *context)
{
	(void)result;
	(void)microseconds;
	(void)context;
}

/* Before the password has proved right, an account that is locked is not told from a wrong one. */
static enum verdict judge_password(int code, const struct conversation *talk)
{
	switch (code) {
	case PAM_SUCCESS:
		return talk->given ? VERDICT_RIGHT : VERDICT_WRONG; /* it let in without looking */
	case PAM_AUTH_ERR:
	case PAM_USER_UNKNOWN:
	case PAM_PERM_DENIED:
	case PAM_MAXTRIES:
	case PAM_ACCT_EXPIRED:
	case PAM_CRED_EXPIRED:
	case PAM_NEW_AUTHTOK_REQD:
	case PAM_AUTHTOK_EXPIRED:
		return VERDICT_WRONG;
	default: /* modules say various things when their question is not answered */
		return talk->again ? VERDICT_WRONG : VERDICT_DOWN;
	}
}

static enum verdict judge_account(int code)
{
	switch (code) {
	case PAM_SUCCESS:
		return VERDICT_RIGHT;
	case PAM_ACCT_EXPIRED:
	case PAM_NEW_AUTHTOK_REQD:
	case PAM_AUTHTOK_EXPIRED:
	case PAM_CRED_EXPIRED:
		return VERDICT_EXPIRED;
	case PAM_PERM_DENIED:
	case PAM_AUTH_ERR:
	case PAM_USER_UNKNOWN:
	case PAM_MAXTRIES:
		return VERDICT_LOCKED;
	default:
		return VERDICT_DOWN;
	}
}

static int set_items(pam_handle_t *pam, const char *service, const char *address)
{
	void (*delay)(int, unsigned, void *) = no_delay;
	const void *item;
	int code;

	memcpy(&item, &delay, sizeof(item)); /* PAM's interface has no type for functions */
	code = pam_set_item(pam, PAM_FAIL_DELAY, item);
	if (code == PAM_SUCCESS)
		code = pam_set_item(pam, PAM_TTY, service); /* pam_access and others want one */
	if (code == PAM_SUCCESS && *address)
		code = pam_set_item(pam, PAM_RHOST, address);
	return code;
}

/* An empty password is right for nobody, whatever "nullok" says. */
static enum verdict ask(pam_handle_t *pam, const struct conversation *talk, uint32_t *ret_detail)
{
	int code = pam_authenticate(pam, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);
	enum verdict verdict = judge_password(code, talk);

	if (verdict == VERDICT_RIGHT) {
		code = pam_acct_mgmt(pam, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);
		verdict = judge_account(code);
	}
	*ret_detail = (uint32_t)code;
	return verdict;
}

enum verdict pam_ask(const char *service, const char *user, const char *address, char *secret,
		     uint32_t *ret_detail)
{
	struct conversation talk = {.user = user, .secret = secret};
	struct pam_conv conversation = {.conv = converse, .appdata_ptr = &talk};
	pam_handle_t *pam = NULL;
	enum verdict verdict = VERDICT_DOWN;
	int code = pam_start(service, user, &conversation, &pam);

	if (code == PAM_SUCCESS)
		code = set_items(pam, service, address);
	*ret_detail = (uint32_t)code;
	if (code == PAM_SUCCESS)
		verdict = ask(pam, &talk, ret_detail);
	if (pam)
		pam_end(pam, code);
	wipe(secret, strlen(secret));
	if (*ret_detail >= DETAIL_QUESTION)
		*ret_detail = PAM_SYSTEM_ERR;
	return verdict;
}

const char *pam_words(uint32_t code)
{
	return pam_strerror(NULL, (int)code);
}
