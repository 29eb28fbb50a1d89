/* See claims.h. */
#include "lookup/oauth/claims.h"

#include "base/text.h"

#include <math.h>
#include <string.h>

#define SECONDS_MAX 1e14 /* beyond it no date is meant */

static bool is_text(const json_t *value, const char *text)
{
	return json_is_string(value) && strcmp(json_string_value(value), text) == 0;
}

/* A date, in seconds of 1970. -1: it is none. */
static int read_date(const json_t *value, uint64_t *ret)
{
	double number = json_number_value(value);

	if (!json_is_number(value) || !isfinite(number) || number < 0 || number > SECONDS_MAX)
		return -1;
	*ret = (uint64_t)number;
	return 0;
}

static const char *judge_dates(const json_t *claims, const struct claims_rules *rules, uint64_t now,
			       uint64_t *ret_expires)
{
	const json_t *expires = json_object_get(claims, "exp");
	const json_t *begins = json_object_get(claims, "nbf");
	uint64_t date;

	*ret_expires = 0;
	if (!expires && rules->needs_expiry)
		return "it does not say when it expires (exp)";
	if (expires && (read_date(expires, ret_expires) < 0 || *ret_expires == 0))
		return "its expiry (exp) is no date";
	if (expires && *ret_expires + CLAIMS_LEEWAY <= now)
		return "it has expired";
	if (begins && read_date(begins, &date) < 0)
		return "its beginning (nbf) is no date";
	if (begins && date > now + CLAIMS_LEEWAY)
		return "it is not valid yet (nbf): is the clock right?";
	return NULL;
}

static bool is_ours(const char *audience, const struct claims_rules *rules)
{
	for (size_t i = 0; audience && i < rules->audience_count; i++)
		if (strcmp(audience, rules->audiences[i]) == 0)
			return true;
	return false;
}

/* A string, or an array of strings. */
static bool audience_fits(const json_t *value, const struct claims_rules *rules)
{
	if (rules->audience_count == 0 || is_ours(json_string_value(value), rules))
		return true;
	for (size_t i = 0; i < json_array_size(value); i++)
		if (is_ours(json_string_value(json_array_get(value, i)), rules))
			return true;
	return false;
}

/* The first word of a text, cut off. Size 0: there is none. */
static pop3_span next_word(pop3_span *text)
{
	pop3_span word;
	size_t n = 0;

	while (text->size && *text->data == ' ') {
		text->data++;
		text->size--;
	}
	while (n < text->size && text->data[n] != ' ')
		n++;
	word = (pop3_span){text->data, n};
	text->data += n;
	text->size -= n;
	return word;
}

static bool has_word(const json_t *value, pop3_span word)
{
	const char *text = json_string_value(value);
	pop3_span left = span_of(text ? text : ""), one;

	while ((one = next_word(&left)).size)
		if (span_equal(one, word))
			return true;
	return false;
}

/* Words of one string (scope, RFC 8693), or an array of them (scp, as some write it). */
static bool grants(const json_t *value, pop3_span word)
{
	if (has_word(value, word))
		return true;
	for (size_t i = 0; i < json_array_size(value); i++)
		if (has_word(json_array_get(value, i), word))
			return true;
	return false;
}

static bool scope_fits(const json_t *claims, const char *scope)
{
	const json_t *granted = json_object_get(claims, "scope");
	pop3_span left = span_of(scope), word;

	if (!granted)
		granted = json_object_get(claims, "scp");
	while ((word = next_word(&left)).size)
		if (!grants(granted, word))
			return false;
	return true;
}

/* An address counts only when the issuer has seen that it is the person's: otherwise whoever may
 * write an address into an account would read its mail. */
static const char *judge_user(const json_t *claims, const char *claim,
			      char user[CLAIMS_USER_MAX + 1])
{
	const char *value = json_string_value(json_object_get(claims, claim));
	const json_t *verified = json_object_get(claims, "email_verified");

	if (!value || !*value)
		return "it has no user name: see user_claim, and the scopes that bring it";
	if (strcmp(claim, "email") == 0 && !json_is_true(verified) && !is_text(verified, "true"))
		return "its email is not verified (email_verified)";
	if (span_copy(span_of(value), user, CLAIMS_USER_MAX + 1) < 0)
		return "its user name is too long";
	return NULL;
}

enum claims_result claims_judge(const json_t *claims, const struct claims_rules *rules,
				uint64_t now, struct claims *ret, const char **ret_why)
{
	const json_t *issuer = json_object_get(claims, "iss");
	struct claims judged = {0};

	*ret_why = "it is of another issuer (iss)";
	if ((rules->needs_issuer || (issuer && *rules->issuer)) && !is_text(issuer, rules->issuer))
		return CLAIMS_OTHER;
	*ret_why = judge_dates(claims, rules, now, &judged.expires);
	if (!*ret_why && !audience_fits(json_object_get(claims, "aud"), rules))
		*ret_why = "it was given for another audience (aud)";
	if (!*ret_why && !scope_fits(claims, rules->scope))
		*ret_why = "its scope does not have all that is needed";
	if (!*ret_why)
		*ret_why = judge_user(claims, rules->user_claim, judged.user);
	if (*ret_why)
		return CLAIMS_WRONG;
	*ret = judged;
	return CLAIMS_GOOD;
}
