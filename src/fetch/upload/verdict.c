/* See verdict.h. */
#include "fetch/upload/verdict.h"

#include "fetch/upload/answer.h"

#include <jansson.h>

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>

enum { RATE_SECONDS = 60 };

/* {"error": {"message": …, "status": …, "errors": [{"reason": …}]}} */
struct trouble {
	char reason[64], status[64], message[UPLOAD_WORDS_MAX];
};

static void set_text(char *to, size_t size, const json_t *value)
{
	const char *text = json_string_value(value);

	snprintf(to, size, "%s", text ? text : "");
}

static void read_trouble(pop3_span body, struct trouble *ret)
{
	json_t *all = json_loadb(body.data, body.size, JSON_REJECT_DUPLICATES, NULL);
	const json_t *error = json_object_get(all, "error");

	set_text(ret->reason, sizeof(ret->reason),
		 json_object_get(json_array_get(json_object_get(error, "errors"), 0), "reason"));
	set_text(ret->status, sizeof(ret->status), json_object_get(error, "status"));
	set_text(ret->message, sizeof(ret->message), json_object_get(error, "message"));
	json_decref(all);
}

static bool is_rate(const struct trouble *trouble)
{
	static const char *const reasons[] = {"rateLimitExceeded",       "userRateLimitExceeded",
					      "dailyLimitExceeded",      "quotaExceeded",
					      "concurrentLimitExceeded", "backendError"};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (strcmp(trouble->reason, reasons[i]) == 0)
			return true;
	return strcmp(trouble->status, "RESOURCE_EXHAUSTED") == 0;
}

/* A 400 that is no verdict on the message: a label that is gone, an account without Gmail. */
static bool is_about_the_account(const struct trouble *trouble)
{
	return strcmp(trouble->reason, "failedPrecondition") == 0 ||
	       strcmp(trouble->status, "FAILED_PRECONDITION") == 0 ||
	       strcasestr(trouble->message, "label");
}

static enum upload_result set(struct upload_answer *ret, enum upload_result result, int code,
			      long status, const struct trouble *trouble)
{
	char words[UPLOAD_WORDS_MAX + 160];

	snprintf(words, sizeof(words), "%ld %s%s%s", status,
		 trouble->reason[0] ? trouble->reason : trouble->status,
		 trouble->message[0] ? ": " : "", trouble->message);
	return answer_words(ret, result, code, words);
}

static enum upload_result failed(long status, pop3_span body, uint32_t wait,
				 struct upload_answer *ret)
{
	struct trouble trouble = {0};

	read_trouble(body, &trouble);
	ret->wait = wait;
	if (status == 401)
		return set(ret, UPLOAD_LOGIN, EX_NOPERM, status, &trouble);
	if (status == 429 || status == 408 || status >= 500 || is_rate(&trouble)) {
		if (!wait)
			ret->wait = RATE_SECONDS;
		return set(ret, UPLOAD_LATER, EX_TEMPFAIL, status, &trouble);
	}
	if (status == 413 || (status == 400 && !is_about_the_account(&trouble)))
		return set(ret, UPLOAD_REFUSED, 0, status, &trouble);
	return set(ret, UPLOAD_BROKEN, status == 403 ? EX_NOPERM : EX_UNAVAILABLE, status,
		   &trouble);
}

enum upload_result verdict_import(long status, pop3_span body, uint32_t wait,
				  struct upload_answer *ret)
{
	if (status / 100 == 2)
		return answer_words(ret, UPLOAD_DONE, 0, "");
	return failed(status, body, wait, ret);
}

enum upload_result verdict_list(long status, pop3_span body, uint32_t wait,
				struct upload_answer *ret)
{
	json_t *all;
	bool there, known;

	if (status == 403 || status == 400) { /* a token that may insert only */
		struct trouble trouble = {0};

		read_trouble(body, &trouble);
		if (!is_rate(&trouble))
			return set(ret, UPLOAD_UNKNOWN, 0, status, &trouble);
	}
	if (status / 100 != 2)
		return failed(status, body, wait, ret);
	all = json_loadb(body.data, body.size, JSON_REJECT_DUPLICATES, NULL);
	known = json_is_object(all);
	there = json_array_size(json_object_get(all, "messages")) > 0;
	json_decref(all);
	return answer_words(ret,
			    !known  ? UPLOAD_UNKNOWN
			    : there ? UPLOAD_DONE
				    : UPLOAD_ABSENT,
			    0, "");
}

static int copy_id(const json_t *label, char ret[LABEL_ID_MAX])
{
	const char *id = json_string_value(json_object_get(label, "id"));

	if (!id || !id[0] || strlen(id) >= LABEL_ID_MAX)
		return -1;
	memcpy(ret, id, strlen(id) + 1);
	return 0;
}

int verdict_label(pop3_span body, const char *name, char ret[LABEL_ID_MAX])
{
	json_t *all = json_loadb(body.data, body.size, JSON_REJECT_DUPLICATES, NULL);
	const json_t *labels = json_object_get(all, "labels");
	const json_t *best = NULL, *label;
	size_t i;
	int rc = json_is_object(all) ? 1 : -1; /* without labels there is no such member */

	json_array_foreach(labels, i, label)
	{
		const char *one = json_string_value(json_object_get(label, "name"));

		if (one && strcmp(one, name) == 0) {
			best = label;
			break;
		}
		if (one && !best && strcasecmp(one, name) == 0)
			best = label;
	}
	if (best)
		rc = copy_id(best, ret);
	json_decref(all);
	return rc;
}

int verdict_label_made(pop3_span body, char ret[LABEL_ID_MAX])
{
	json_t *label = json_loadb(body.data, body.size, JSON_REJECT_DUPLICATES, NULL);
	int rc = copy_id(label, ret);

	json_decref(label);
	return rc;
}
