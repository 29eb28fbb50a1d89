/* See judge.h. */
#include "users/judge.h"

#include "base/text.h"
#include "users/fields.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	TARGETS_MAX = 256, /* of one alias */
};

struct answer {
	const char *fields;
	size_t size;
};

static const char *first(const struct answer *answer)
{
	return answer->size ? answer->fields : NULL;
}

/* NULL: string is the last one. */
static const char *next(const struct answer *answer, const char *string)
{
	const char *after = string + strlen(string) + 1;

	return after < answer->fields + answer->size ? after : NULL;
}

/* Keeps err as the reason why the entry cannot be used. */
static void refuse(struct finding *finding, const char *why)
{
	finding->status = USERS_UNSERVED;
	if (!finding->why[0])
		snprintf(finding->why, sizeof(finding->why), "%s", why);
}

/* The name as the database spells it: another one than was asked about is another user. */
static void take_name(struct finding *finding, const char *asked, const char *value)
{
	struct user *user = &finding->user;

	if (!user_name_valid(span_of(value)) ||
	    (asked[0] && !user_name_same(span_of(value), span_of(asked)))) {
		refuse(finding, "it is of another name than was asked about");
		return;
	}
	snprintf(user->name, sizeof(user->name), "%s", value);
}

static void add_target(struct finding *finding, size_t *used, const char *value)
{
	size_t n = strlen(value) + 1;

	if (!finding->targets)
		finding->targets = malloc(FINDING_TARGETS_MAX);
	if (!finding->targets || n == 1 || n > FINDING_TARGETS_MAX - *used ||
	    finding->alias.count >= TARGETS_MAX) {
		refuse(finding, "its alias has too many targets, or an empty one");
		return;
	}
	memcpy(finding->targets + *used, value, n);
	*used += n;
	finding_set_alias(finding, finding->alias.count + 1);
}

static void take_field(struct finding *finding, struct user_fields *fields, const char *name,
		       const char *value)
{
	struct err err;

	switch (user_fields_set(fields, span_of(name), span_of(value), &err)) {
	case USER_FIELD_TAKEN:
		return;
	case USER_FIELD_BAD:
	case USER_FIELD_UNKNOWN:
		refuse(finding, err.text);
		return;
	}
}

static bool is_name(const char *name)
{
	return strcmp(name, "user") == 0 || strcmp(name, "username") == 0;
}

/* The fields in two rounds: whether a home can be served depends on the user's name. */
static void take_fields(struct finding *finding, struct user_fields *fields, const char *asked,
			const struct answer *answer)
{
	const char *value;
	size_t used = 0;

	for (const char *name = first(answer); name; name = next(answer, value)) {
		value = next(answer, name);
		if (is_name(name))
			take_name(finding, asked, value);
	}
	for (const char *name = first(answer); name; name = next(answer, value)) {
		value = next(answer, name);
		if (strcmp(name, "alias") == 0)
			add_target(finding, &used, value);
		else if (!is_name(name))
			take_field(finding, fields, name, value);
	}
}

struct finding *judge_answer(const struct config *config, const struct config_database *database,
			     const char *name, const char *fields, size_t size)
{
	struct finding *finding = calloc(1, sizeof(*finding));
	struct answer answer = {fields, size};
	struct user_fields entry;
	struct user_mail mail = {config, database};
	struct err err = {0};

	if (!finding)
		return NULL;
	finding->database = database->name;
	snprintf(finding->name, sizeof(finding->name), "%s", name);
	snprintf(finding->user.name, sizeof(finding->user.name), "%s", name);
	user_fields_begin(&entry, &finding->user, &mail);
	take_fields(finding, &entry, name, &answer);
	if (!finding->user.name[0])
		refuse(finding, "it has no name");
	if (finding->status != USERS_UNSERVED && !finding->alias.count &&
	    user_fields_end(&entry, &err) < 0)
		refuse(finding, err.text);
	return finding;
}
