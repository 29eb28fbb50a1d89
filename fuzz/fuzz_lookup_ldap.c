/*
 * Names that clients send, within filters and names of entries; rows of the map of attributes, and
 * what they make of values that a directory sends; messages of servers. The first line is a row,
 * the second a name, the third a message, the rest a value.
 */
#include "base/text.h"
#include "lookup/ldap/escape.h"
#include "lookup/ldap/map.h"
#include "lookup/ldap/verdict.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A value stays one value: nothing in it means something to a filter. */
static void try_escape(pop3_span name)
{
	char buf[4096];
	int n = filter_escape(name, buf + 3, sizeof(buf) - 8);

	if (n < 0)
		return;
	assert((size_t)n >= name.size);
	memcpy(buf, "(a=", 3);
	memcpy(buf + 3 + n, ")", 2);
	assert(filter_is_whole(buf));
	assert(!memchr(buf, 0, (size_t)n + 4));
	for (int i = 3; i < n + 3; i++)
		assert(!strchr("*()=,+\"<>;#& |!~", buf[i]));
}

static void try_map(const char *row, const char *name, pop3_span value)
{
	static struct lookup_answer answer;
	struct lookup_question question = {.names = {name}, .name_count = 1, .service = "pop3"};
	struct map_values values = {.count = 2, .values = {value, span_of(name)}};
	struct map map = {.count = 0};
	struct err err;

	if (map_add(&map, row, &err) < 0)
		return;
	assert(map.rows[0].field[0] && (map.rows[0].attribute[0] || map.rows[0].text));
	for (values.count = 0; values.count < 3; values.count++) {
		answer = (struct lookup_answer){.status = LOOKUP_FOUND};
		map_apply(&map.rows[0], &values, &question, 0, &answer);
		assert(answer.status == LOOKUP_FOUND || answer.status == LOOKUP_BAD_ENTRY);
		assert(answer.size <= sizeof(answer.fields));
		assert(answer.size == 0 || answer.fields[answer.size - 1] == '\0');
		assert(answer.status == LOOKUP_FOUND || answer.why[0]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), *lines[3] = {"", "", ""};
	size_t at = 0;

	if (!text)
		return 0;
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	for (int i = 0; i < 3; i++) {
		char *end = memchr(text + at, '\n', size - at);

		lines[i] = text + at;
		at = end ? (size_t)(end - text) + 1 : size;
		if (end)
			*end = '\0';
	}
	try_escape((pop3_span){text, size});
	try_escape(span_of(lines[1]));
	(void)attribute_is_valid(lines[0]);
	try_map(lines[0], lines[1], (pop3_span){text + at, size - at});
	assert(bind_verdict(53, lines[2], POLICY_NONE) != BIND_RIGHT);
	assert(bind_verdict(49, lines[2], POLICY_NONE) != BIND_RIGHT);
	free(text);
	return 0;
}
