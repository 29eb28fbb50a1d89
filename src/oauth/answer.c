/* See answer.h. */
#include "oauth/answer.h"

#include "base/text.h"

#include <jansson.h>

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { LIFETIME_SECONDS = 3600 };

void oauth_answer_init(struct oauth_answer *answer)
{
	memset(answer, 0, sizeof(*answer));
	secret_init(&answer->access);
	secret_init(&answer->refresh);
}

void oauth_answer_finish(struct oauth_answer *answer)
{
	secret_finish(&answer->access);
	secret_finish(&answer->refresh);
}

static pop3_span text_of(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);

	if (!json_is_string(value))
		return (pop3_span){0};
	return (pop3_span){json_string_value(value), json_string_length(value)};
}

/* Tokens and codes: printable ASCII without blanks (RFC 6749, appendix A). */
static bool is_token(pop3_span text)
{
	for (size_t i = 0; i < text.size; i++)
		if (text.data[i] <= 0x20 || text.data[i] >= 0x7f)
			return false;
	return text.size > 0;
}

/* Seconds: a number, or one in quotes, as some servers send. */
static int64_t seconds_of(const json_t *object, const char *name, int64_t max)
{
	const json_t *value = json_object_get(object, name);
	uint64_t number = 0;

	if (json_is_integer(value) && json_integer_value(value) > 0)
		number = (uint64_t)json_integer_value(value);
	else if (json_is_string(value) &&
		 span_number(text_of(object, name), UINT32_MAX, &number) < 0)
		number = 0;
	return number > (uint64_t)max ? max : (int64_t)number;
}

static json_t *object_of(pop3_span json)
{
	json_t *root = json_loadb(json.data, json.size, JSON_REJECT_DUPLICATES, NULL);

	if (json_is_object(root))
		return root;
	json_decref(root);
	return NULL;
}

/* jansson frees strings without wiping them: tokens would stay behind on the heap. */
static void forget(json_t *root, const char *name)
{
	pop3_span text = text_of(root, name);
	char *own;

	if (!text.size)
		return;
	memcpy(&own, &text.data, sizeof(own)); /* the object's own copy, which is about to go */
	wipe(own, text.size);
}

static void read_error(const json_t *root, struct oauth_answer *ret)
{
	pop3_span code = text_of(root, "error"), words = text_of(root, "error_description");

	if (code.size)
		text_escape(ret->error, sizeof(ret->error) - 1, code);
	if (words.size)
		text_escape(ret->words, sizeof(ret->words) - 1, words);
}

int oauth_answer_read(pop3_span json, struct oauth_answer *ret)
{
	json_t *root = object_of(json);
	pop3_span access = text_of(root, "access_token"), refresh = text_of(root, "refresh_token");
	pop3_span type = text_of(root, "token_type");
	int rc = -1;

	if (!root)
		return -1;
	read_error(root, ret);
	if (ret->error[0]) {
		rc = 0;
	} else if (is_token(access) &&
		   (!type.size || span_equal_nocase(type, SPAN_LITERAL("bearer")))) {
		rc = secret_set(&ret->access, access);
		if (is_token(refresh) && secret_set(&ret->refresh, refresh) < 0)
			rc = -1;
		ret->expires_in = seconds_of(root, "expires_in", 366 * 86400);
	}
	forget(root, "access_token");
	forget(root, "refresh_token");
	json_decref(root);
	return rc;
}

int oauth_answer_take(long status, pop3_span body, struct oauth_answer *ret)
{
	if (oauth_answer_read(body, ret) == 0 &&
	    (status == 200 || (status >= 400 && status < 500 && status != 429 && ret->error[0])))
		return 0;
	oauth_answer_finish(ret);
	oauth_answer_init(ret);
	return -1;
}

int64_t oauth_answer_end(const struct oauth_answer *answer, int64_t now)
{
	return now + (answer->expires_in ? answer->expires_in : LIFETIME_SECONDS);
}

static int copy_token(pop3_span text, char *to, size_t size)
{
	return is_token(text) ? span_copy(text, to, size) : -1;
}

int oauth_device_read(pop3_span json, struct oauth_device *ret)
{
	json_t *root = object_of(json);
	pop3_span link = text_of(root, "verification_uri");
	int rc = -1;

	*ret = (struct oauth_device){0};
	if (!link.size)
		link = text_of(root, "verification_url"); /* as Google spells it */
	if (copy_token(text_of(root, "device_code"), ret->device_code, OAUTH_DEVICE_MAX) == 0 &&
	    copy_token(text_of(root, "user_code"), ret->user_code, OAUTH_CODE_MAX) == 0 &&
	    copy_token(link, ret->link, OAUTH_LINK_MAX) == 0)
		rc = 0;
	ret->expires_in = seconds_of(root, "expires_in", 3600);
	ret->interval = seconds_of(root, "interval", 60);
	if (!ret->expires_in)
		ret->expires_in = 900;
	if (!ret->interval)
		ret->interval = 5; /* RFC 8628 section 3.2 */
	json_decref(root);
	return rc;
}

int oauth_client_read(pop3_span json, struct oauth_client *ret)
{
	json_t *root = object_of(json), *inner = json_object_get(root, "installed");
	int rc = -1;

	*ret = (struct oauth_client){0};
	if (!inner)
		inner = json_object_get(root, "web");
	if (!inner)
		inner = root;
	if (copy_token(text_of(inner, "client_id"), ret->id, sizeof(ret->id)) == 0)
		rc = 0;
	if (text_of(inner, "client_secret").size &&
	    copy_token(text_of(inner, "client_secret"), ret->secret, sizeof(ret->secret)) < 0)
		rc = -1;
	json_decref(root);
	return rc;
}
