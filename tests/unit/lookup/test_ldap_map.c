/* The map from attributes to fields: its rows, and what becomes of values. */
#include "lookup/ldap/map.h"

#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct lookup_question question = {
	.names = {"Anna@example.org"}, .name_count = 1, .service = "pop3"};

/* What a row makes of values, as "name=value;…", or the answer's why. */
static const char *made(const char *text, const char *const *values, size_t count)
{
	static struct lookup_answer answer;
	static char out[2 * IPC_ANSWER_MAX];
	struct map map = {.count = 0};
	struct map_values taken = {.count = count};
	struct err err;

	for (size_t i = 0; i < count && i < MAP_VALUES_MAX; i++)
		taken.values[i] = span_of(values[i]);
	assert_int_equal(map_add(&map, text, &err), 0);
	answer = (struct lookup_answer){.status = LOOKUP_FOUND};
	map_apply(&map.rows[0], &taken, &question, 0, &answer);
	if (answer.status != LOOKUP_FOUND)
		return answer.why;
	out[0] = '\0';
	for (size_t at = 0; at < answer.size;) {
		const char *name = answer.fields + at, *value = name + strlen(name) + 1;

		snprintf(out + strlen(out), sizeof(out) - strlen(out), "%s=%s;", name, value);
		at = (size_t)(value - answer.fields) + strlen(value) + 1;
	}
	return out;
}

#define MADE(text, ...)                                          \
	made(text, (const char *const[]){"", ##__VA_ARGS__} + 1, \
	     sizeof((const char *const[]){"", ##__VA_ARGS__}) / sizeof(char *) - 1)

static void values_and_texts(void **state)
{
	assert_string_equal(MADE("mail=user", "x@y"), "user=x@y;");
	assert_string_equal(MADE("mail=user"), "");
	assert_string_equal(MADE("mail=home", ""), "home=;");
	assert_string_equal(MADE("q=quota_octets={value}M", "7"), "quota_octets=7M;");
	assert_string_equal(MADE("q=home=/{domain}/{value}/{{value}/{value}", "7"),
			    "home=/example.org/7/{value}/7;");
	assert_string_equal(MADE("=home=/srv/{local}"), "home=/srv/Anna;");
	assert_string_equal(MADE("=nologin="), "nologin=;");
}

static void several_values(void **state)
{
	assert_string_equal(MADE("m=alias", "a", "b"), "alias=a;alias=b;");
	assert_string_equal(MADE("m=allow_networks", "10.0.0.0/8", "::1"),
			    "allow_networks=10.0.0.0/8,::1;");
	assert_string_equal(MADE("m=user", "x@y", "anna@EXAMPLE.org"), "user=anna@EXAMPLE.org;");
	assert_string_equal(MADE("m=user", "x@y", "z@y"), "m has 2 values; there can be one");
	assert_string_equal(MADE("m=home", "a", "a", "b"), "m has 3 values; there can be one");
}

static void stored_passwords(void **state)
{
	assert_string_equal(MADE("p=password", "{SSHA}abc="), "password={SSHA}abc=;");
	assert_string_equal(MADE("p=password", "secret"), "password={PLAIN}secret;");
	assert_string_equal(MADE("p=password", "{secret"), "password={PLAIN}{secret;");
	assert_string_equal(MADE("p=password", ""), "password={PLAIN};");
	assert_string_equal(MADE("p=password", "{ARGON2}$argon2id$v=19$x"),
			    "password={ARGON2ID}$argon2id$v=19$x;");
	assert_string_equal(MADE("p=password", "{ARGON2}$argon2i$x"),
			    "password={ARGON2}$argon2i$x;");
	assert_string_equal(MADE("p=password", "{a}", "{b}"), "p has 2 values; there can be one");
}

static void too_much(void **state)
{
	struct lookup_answer *answer = calloc(1, sizeof(*answer));
	struct map map = {.count = 0};
	struct map_values values = {.count = MAP_VALUES_MAX + 1};
	static char lot[8192];

	assert_non_null(answer);
	assert_int_equal(map_add(&map, "a=alias", NULL), 0);
	map_apply(&map.rows[0], &values, &question, 0, answer);
	assert_int_equal(answer->status, LOOKUP_BAD_ENTRY);
	memset(lot, 'x', sizeof(lot) - 1);
	assert_string_equal(MADE("a=home={value}", lot),
			    "the field home: the value makes it too long");
	assert_string_equal(MADE("a=password", lot), "a is too long, or holds a NUL");
	assert_string_equal(MADE("a=allow_networks", "b", lot), "the values of a are too long");
	*answer = (struct lookup_answer){.status = LOOKUP_FOUND};
	values.count = 1;
	values.values[0] = (pop3_span){"a\0b", 3};
	map_apply(&map.rows[0], &values, &question, 0, answer);
	assert_int_equal(answer->status, LOOKUP_BAD_ENTRY);
	free(answer);
}

static void rows_that_are_none(void **state)
{
	static const char *const bad[] = {
		"",           "mail",        "mail=",
		"=home",      "==x",         "a b=home",
		"a)(=home",   "m=Home",      "m=ho me",
		"m=home={x}", "m=home={",    "=home={value}",
		"m:dn:=home", "=home={user", "m=a-very-long-name-of-a-field-that-is-none"};
	struct map map = {.count = 0};
	struct err err;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err.text[0] = '\0';
		assert_int_equal(map_add(&map, bad[i], &err), -1);
		assert_non_null(strstr(err.text, "attributes"));
		assert_int_equal(map.count, 0);
	}
}

static void the_whole_map(void **state)
{
	struct map map = {.count = 0};
	struct err err;

	assert_int_equal(map_add(&map, "=home=/x", &err), 0);
	assert_false(map_reads(&map));
	assert_int_equal(map_add(&map, "mail=user", &err), 0);
	assert_true(map_reads(&map));
	assert_true(map_has(&map, "home") && map_has(&map, "user"));
	assert_false(map_has(&map, "mail"));
	while (map.count < MAP_MAX)
		assert_int_equal(map_add(&map, "mail=user", &err), 0);
	assert_int_equal(map_add(&map, "mail=user", &err), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_and_texts),   cmocka_unit_test(several_values),
		cmocka_unit_test(stored_passwords),   cmocka_unit_test(too_much),
		cmocka_unit_test(rows_that_are_none), cmocka_unit_test(the_whole_map),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
