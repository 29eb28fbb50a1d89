/* See message.h. */
#include "lookup/http/message.h"

#include "base/secret.h"
#include "base/text.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	VERSION = 1,
	TTL_MAX = 24 * 3600,
};

/* ---- the request ---- */

static json_t *names_of(const struct lookup_question *question, struct message_names *names)
{
	json_t *array = json_array();

	names->count = 0;
	for (unsigned i = 0; i < question->name_count; i++) {
		json_t *name = json_string(question->names[i]);

		if (name && json_array_append_new(array, name) == 0)
			names->places[names->count++] = i;
	}
	return array;
}

static int dump(const json_t *json, char *buf, size_t size)
{
	size_t n = json_dumpb(json, buf, size, JSON_COMPACT);

	return n > 0 && n <= size ? (int)n : -1;
}

int message_write(const struct lookup_question *question, struct message_names *ret_names,
		  char *buf, size_t size)
{
	json_t *json = json_object(), *names = names_of(question, ret_names);
	bool verify = question->kind == LOOKUP_PASSWORD;
	int rc = -1;

	if (!json || !names)
		goto out;
	if (json_object_set_new(json, "version", json_integer(VERSION)) < 0 ||
	    json_object_set_new(json, "kind", json_string(verify ? "verify" : "find")) < 0 ||
	    json_object_set(json, "names", names) < 0 ||
	    json_object_set_new(json, "service", json_string(question->service)) < 0)
		goto out;
	if (ret_names->count == 0)
		rc = 0;
	else if (!verify)
		rc = dump(json, buf, size);
	else if (json_object_set_new(json, "tls", json_boolean(question->tls)) < 0 ||
		 json_object_set_new(json, "address", json_string(question->address)) < 0)
		rc = -1;
	else if (json_object_set_new(json, "password",
				     json_stringn(question->secret.data, question->secret.size)) <
		 0)
		rc = 0;
	else
		rc = dump(json, buf, size);
out:
	json_decref(names);
	json_decref(json);
	return rc;
}

/* ---- the answer ---- */

static const struct {
	const char *word;
	enum lookup_status status;
} statuses[] = {
	{"found", LOOKUP_FOUND},     {"unknown", LOOKUP_UNKNOWN}, {"wrong", LOOKUP_WRONG},
	{"refused", LOOKUP_REFUSED}, {"down", LOOKUP_DOWN},
};

/* One value: a text, a whole number, true or false. */
static int text_of(const json_t *value, char number[32], pop3_span *ret)
{
	if (json_is_string(value)) {
		*ret = (pop3_span){json_string_value(value), json_string_length(value)};
		return 0;
	}
	if (json_is_integer(value))
		snprintf(number, 32, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	else if (json_is_boolean(value))
		snprintf(number, 32, "%s", json_is_true(value) ? "yes" : "no");
	else
		return -1;
	*ret = span_of(number);
	return 0;
}

static void read_value(const char *name, const json_t *value, struct lookup_answer *answer)
{
	char number[32];
	pop3_span text;

	if (json_is_null(value))
		return;
	if (text_of(value, number, &text) < 0)
		lookup_bad(answer, "the field %.64s is no text, whole number, true or false", name);
	else
		lookup_field(answer, name, text.data, text.size);
}

/* Networks stand in one field, with commas. */
static void read_networks(const char *name, const json_t *values, struct lookup_answer *answer)
{
	char list[1024] = "";
	size_t used = 0;

	for (size_t i = 0; i < json_array_size(values); i++) {
		const char *value = json_string_value(json_array_get(values, i));
		int n = value ? snprintf(list + used, sizeof(list) - used, "%s%s", i ? "," : "",
					 value)
			      : -1;

		if (n < 0 || (size_t)n >= sizeof(list) - used) {
			lookup_bad(answer, "the field %.64s is no list of networks", name);
			return;
		}
		used += (size_t)n;
	}
	if (used == 0) /* from nowhere, or from everywhere? */
		lookup_bad(answer, "the field %.64s is an empty list", name);
	else
		lookup_field(answer, name, list, used);
}

static void read_fields(json_t *fields, struct lookup_answer *answer)
{
	const char *name;
	json_t *value;

	json_object_foreach(fields, name, value)
	{
		if (!json_is_array(value))
			read_value(name, value, answer);
		else if (strcmp(name, "allow_networks") == 0 || strcmp(name, "allow_nets") == 0)
			read_networks(name, value, answer);
		else if (strcmp(name, "alias") == 0)
			for (size_t i = 0; i < json_array_size(value); i++)
				read_value(name, json_array_get(value, i), answer);
		else
			lookup_bad(answer, "the field %.64s is a list", name);
	}
}

/* Why the object is no answer; NULL: it is one. */
static const char *judge(json_t *json, const struct message_names *names)
{
	static const char *const members[] = {"version", "status", "matched", "fields", "ttl"};
	const json_t *matched = json_object_get(json, "matched");
	const json_t *ttl = json_object_get(json, "ttl"), *fields = json_object_get(json, "fields");
	const json_t *version = json_object_get(json, "version");
	size_t known = 0;

	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		known += json_object_get(json, members[i]) != NULL;
	if (json_object_size(json) != known)
		return "the answer has a member that is not known";
	if (version && json_integer_value(version) != VERSION)
		return "the answer is of another version than 1";
	if (matched && (!json_is_integer(matched) || json_integer_value(matched) < 0 ||
			json_integer_value(matched) >= (json_int_t)names->count))
		return "\"matched\" is no place in \"names\"";
	if (ttl && (!json_is_integer(ttl) || json_integer_value(ttl) < 0 ||
		    json_integer_value(ttl) > TTL_MAX))
		return "\"ttl\" is no number of seconds up to a day";
	if (fields && !json_is_object(fields))
		return "\"fields\" is no object";
	return NULL;
}

static void read_answer(json_t *json, const struct message_names *names,
			struct lookup_answer *answer)
{
	const char *word = json_string_value(json_object_get(json, "status"));
	const char *why =
		json_is_object(json) ? judge(json, names) : "the answer is no JSON object";
	size_t i = 0, count = sizeof(statuses) / sizeof(statuses[0]);

	while (!why && i < count && (!word || strcmp(statuses[i].word, word) != 0))
		i++;
	if (!why && i == count)
		why = "\"status\" is none of found, unknown, wrong, refused, down";
	if (!why && statuses[i].status == LOOKUP_DOWN)
		why = "the program says that it is down";
	if (why) {
		lookup_down(answer, "%s", why);
		return;
	}
	answer->status = statuses[i].status;
	if (answer->status != LOOKUP_FOUND)
		return;
	answer->matched = names->places[json_integer_value(json_object_get(json, "matched"))];
	answer->ttl = (uint32_t)json_integer_value(json_object_get(json, "ttl"));
	read_fields(json_object_get(json, "fields"), answer);
}

void message_read(pop3_span text, const struct message_names *names, struct lookup_answer *answer)
{
	json_t *json =
		json_loadb(text.data ? text.data : "", text.size, JSON_REJECT_DUPLICATES, NULL);

	read_answer(json, names, answer);
	json_decref(json);
}
