/* See map.h. */
#include "lookup/ldap/map.h"

#include "base/secret.h"
#include "base/text.h"
#include "lookup/ldap/escape.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

enum { FIELD_TEXT_MAX = 2048 };
static const char value_mark[] = "{value}";

static bool field_is_valid(const char *field)
{
	return *field && strspn(field, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(field);
}

/* The next "{value}" of a text; "{{value}" is none. NULL: there is none. */
static const char *find_value(const char *text)
{
	for (; (text = strchr(text, '{')); text += text[1] == '{' ? 2 : 1)
		if (strncmp(text, value_mark, sizeof(value_mark) - 1) == 0)
			return text;
	return NULL;
}

/* Writes a part of a row's text, which has no "{value}". */
static int expand_part(pop3_span part, const struct lookup_question *question, unsigned name,
		       char *buf, size_t size, struct err *err)
{
	char text[FIELD_TEXT_MAX];

	if (span_copy(part, text, sizeof(text)) < 0)
		return err_set(err, EX_DATAERR, "the text of a field is too long");
	return lookup_expand(text, question, name, NULL, buf, size, err);
}

/* Writes a row's text with its placeholders filled in. -1 with err. */
static int expand(const char *text, pop3_span value, const struct lookup_question *question,
		  unsigned name, char *buf, size_t size, struct err *err)
{
	size_t used = 0;

	for (;;) {
		const char *mark = find_value(text);
		pop3_span part = {text, mark ? (size_t)(mark - text) : strlen(text)};
		int n = expand_part(part, question, name, buf + used, size - used, err);

		if (n < 0)
			return -1;
		used += (size_t)n;
		if (!mark)
			return (int)used;
		if (value.size >= size - used)
			return err_set(err, EX_DATAERR, "the value makes it too long");
		memcpy(buf + used, value.data, value.size);
		used += value.size;
		text = mark + sizeof(value_mark) - 1;
	}
}

/* Whether the text can be filled in for some user. */
static int check_text(const char *text, struct err *err)
{
	const struct lookup_question question = {.names = {"a@b"}, .name_count = 1, .service = ""};
	char buf[FIELD_TEXT_MAX];

	return expand(text, SPAN_LITERAL(""), &question, 0, buf, sizeof(buf), err) < 0 ? -1 : 0;
}

/* Takes "ATTRIBUTE=FIELD=text" apart. */
static int split(const char *text, struct map_row *row)
{
	size_t attribute = strcspn(text, "="), field;
	const char *second = text + attribute + 1;

	if (!text[attribute])
		return -1;
	field = strcspn(second, "=");
	*row = (struct map_row){.text = second[field] ? second + field + 1 : NULL};
	if (span_copy((pop3_span){text, attribute}, row->attribute, sizeof(row->attribute)) < 0 ||
	    span_copy((pop3_span){second, field}, row->field, sizeof(row->field)) < 0)
		return -1;
	return 0;
}

/* A row without an attribute has a text, and no value in it; a matching rule is no attribute. */
static bool is_whole(const struct map_row *row)
{
	if (!field_is_valid(row->field))
		return false;
	if (row->attribute[0])
		return attribute_is_valid(row->attribute) && !strchr(row->attribute, ':');
	return row->text && !find_value(row->text);
}

int map_add(struct map *map, const char *text, struct err *err)
{
	struct map_row *row = &map->rows[map->count];

	if (map->count == MAP_MAX)
		return err_set(err, EX_CONFIG, "attributes: at most %d", MAP_MAX);
	if (split(text, row) < 0 || !is_whole(row))
		return err_set(err, EX_CONFIG,
			       "attributes: \"%.60s\" is none of \"ATTRIBUTE=FIELD\", "
			       "\"ATTRIBUTE=FIELD=text with {value}\", \"=FIELD=text\"",
			       text);
	if (row->text && check_text(row->text, err) < 0)
		return err_prefix(err, "attributes: %s", row->field);
	map->count++;
	return 0;
}

bool map_has(const struct map *map, const char *field)
{
	for (unsigned i = 0; i < map->count; i++)
		if (strcmp(map->rows[i].field, field) == 0)
			return true;
	return false;
}

bool map_reads(const struct map *map)
{
	for (unsigned i = 0; i < map->count; i++)
		if (map->rows[i].attribute[0])
			return true;
	return false;
}

static void add(const struct map_row *row, pop3_span value, const struct lookup_question *question,
		unsigned name, struct lookup_answer *answer)
{
	char buf[FIELD_TEXT_MAX];
	struct err err;
	int n;

	if (!row->text) {
		lookup_field(answer, row->field, value.size ? value.data : "", value.size);
		return;
	}
	n = expand(row->text, value, question, name, buf, sizeof(buf), &err);
	if (n < 0)
		lookup_bad(answer, "the field %s: %s", row->field, err.text);
	else
		lookup_field(answer, row->field, buf, (size_t)n);
}

/* A stored password as directories have it (RFC 2307) in our form: one without "{SCHEME}" is the
 * password itself; OpenLDAP has one name for all kinds of Argon2. */
static void add_password(const struct map_row *row, pop3_span value, struct lookup_answer *answer)
{
	static const pop3_span argon2 = {"{ARGON2}$argon2id$", 18};
	char buf[FIELD_TEXT_MAX];
	pop3_span scheme = SPAN_LITERAL("");
	int n;

	if (value.size == 0 || value.data[0] != '{' || !memchr(value.data, '}', value.size)) {
		scheme = SPAN_LITERAL("{PLAIN}");
	} else if (value.size > argon2.size &&
		   span_equal_nocase((pop3_span){value.data, argon2.size}, argon2)) {
		scheme = SPAN_LITERAL("{ARGON2ID}");
		value = (pop3_span){value.data + 8, value.size - 8};
	}
	n = value.size < FIELD_TEXT_MAX
		    ? snprintf(buf, sizeof(buf), "%.*s%.*s", (int)scheme.size, scheme.data,
			       (int)value.size, value.size ? value.data : "")
		    : FIELD_TEXT_MAX;
	if (n < 0 || n >= FIELD_TEXT_MAX || (size_t)n != scheme.size + value.size)
		lookup_bad(answer, "%s is too long, or holds a NUL", row->attribute);
	else
		lookup_field(answer, row->field, buf, (size_t)n);
	wipe(buf, sizeof(buf));
}

static void add_value(const struct map_row *row, pop3_span value,
		      const struct lookup_question *question, unsigned name,
		      struct lookup_answer *answer)
{
	if (!row->text && strcmp(row->field, "password") == 0)
		add_password(row, value, answer);
	else
		add(row, value, question, name, answer);
}

/* Of several names of an entry the one that was asked for. NULL: it is not among them. */
static const pop3_span *own_name(const struct map_values *values, const char *name)
{
	for (size_t i = 0; i < values->count; i++)
		if (span_equal_nocase(values->values[i], span_of(name)))
			return &values->values[i];
	return NULL;
}

static void add_list(const struct map_row *row, const struct map_values *values,
		     const struct lookup_question *question, unsigned name,
		     struct lookup_answer *answer)
{
	char buf[FIELD_TEXT_MAX];
	size_t used = 0;

	for (size_t i = 0; i < values->count; i++) {
		pop3_span value = values->values[i];

		if (value.size + 1 >= sizeof(buf) - used) {
			lookup_bad(answer, "the values of %s are too long", row->attribute);
			return;
		}
		if (i)
			buf[used++] = ',';
		memcpy(buf + used, value.data, value.size);
		used += value.size;
	}
	add(row, (pop3_span){buf, used}, question, name, answer);
}

void map_apply(const struct map_row *row, const struct map_values *values,
	       const struct lookup_question *question, unsigned name, struct lookup_answer *answer)
{
	const pop3_span *own;

	if (!row->attribute[0]) {
		add(row, SPAN_LITERAL(""), question, name, answer);
		return;
	}
	if (values->count > MAP_VALUES_MAX) {
		lookup_bad(answer, "%s has more than %d values", row->attribute, MAP_VALUES_MAX);
	} else if (values->count <= 1 || strcmp(row->field, "alias") == 0) {
		for (size_t i = 0; i < values->count; i++)
			add_value(row, values->values[i], question, name, answer);
	} else if (strcmp(row->field, "allow_networks") == 0 ||
		   strcmp(row->field, "allow_nets") == 0) {
		add_list(row, values, question, name, answer);
	} else if (strcmp(row->field, "user") == 0 &&
		   (own = own_name(values, question->names[name]))) {
		add(row, *own, question, name, answer);
	} else {
		lookup_bad(answer, "%s has %zu values; there can be one", row->attribute,
			   values->count);
	}
}
