/* Driver sql without a server: queries and what they become, the setting connect, rows, the
 * parameters of a name, and what open() refuses. */
#include "lookup/sql/query.h"
#include "lookup/sql/rows.h"
#include "lookup/sql/target.h"
#include "lookup/sql/values.h"

#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct err err;

/* ---- queries ---- */

static void becomes(enum sql_dialect dialect, const char *query, const char *text,
		    const char *values)
{
	static const char letters[] = "uldas";
	struct sql_statement statement;
	char got[SQL_PARAMETERS_MAX + 1] = "";

	if (sql_query_parse(query, dialect, &statement, &err) < 0)
		fail_msg("refused: %s: %s", query, err.text);
	for (unsigned i = 0; i < statement.count; i++)
		got[i] = letters[statement.values[i]];
	assert_string_equal(statement.text, text);
	assert_string_equal(got, values);
	free(statement.text);
}

static void refused(enum sql_dialect dialect, const char *query, const char *words)
{
	struct sql_statement statement = {.text = NULL};

	memset(&err, 0, sizeof(err));
	assert_int_equal(sql_query_parse(query, dialect, &statement, &err), -1);
	if (!strstr(err.text, words))
		fail_msg("not \"%s\": %s", words, err.text);
	assert_null(statement.text);
}

static void test_lists(void **state)
{
	struct sql_statement statement = {.text = NULL};

	(void)state;
	assert_int_equal(sql_list_parse("SELECT '{{' ;", SQL_SQLITE, &statement, &err), 0);
	assert_int_equal(statement.count, 0);
	free(statement.text);
	statement.text = NULL;
	assert_int_equal(sql_list_parse("a = {user}", SQL_MYSQL, &statement, &err), -1);
	assert_non_null(strstr(err.text, "placeholders"));
	assert_int_equal(sql_list_parse("a = {domain}", SQL_MYSQL, &statement, &err), -1);
	assert_int_equal(sql_list_parse("a = '{user}'", SQL_MYSQL, &statement, &err), -1);
	assert_int_equal(sql_list_parse("SELECT 1; SELECT 2", SQL_MYSQL, &statement, &err), -1);
	assert_null(statement.text);
}

static void test_placeholders(void **state)
{
	(void)state;
	becomes(SQL_POSTGRESQL, "a = {user}", "a = $1", "u");
	becomes(SQL_POSTGRESQL, "a={user} or b={local} and c={domain} or d={user}",
		"a=$1 or b=$2 and c=$3 or d=$4", "uldu");
	becomes(SQL_MYSQL, "a={user} or b={address} and c={service};", "a=? or b=? and c=?", "uas");
	becomes(SQL_SQLITE, "a={user} ;\n", "a=? ", "u");
	becomes(SQL_SQLITE, "a={user} and b='{{x}' and c={{", "a=? and b='{{x}' and c={", "u");
}

static void test_what_is_no_placeholder(void **state)
{
	(void)state;
	becomes(SQL_POSTGRESQL, "a={user} and b='{\"x\":1}'::jsonb ? 'x'",
		"a=$1 and b='{\"x\":1}'::jsonb ? 'x'", "u");
	becomes(SQL_POSTGRESQL, "a={user} and b=$t$ $ it's $t$ and c='it''s'",
		"a=$1 and b=$t$ $ it's $t$ and c='it''s'", "u");
	becomes(SQL_POSTGRESQL, "a={user} and b='\\' and c=E'\\'' and d={local}",
		"a=$1 and b='\\' and c=E'\\'' and d=$2", "ul");
	becomes(SQL_MYSQL, "a={user} and `b'`='\\'' and c={local}", "a=? and `b'`='\\'' and c=?",
		"ul");
	becomes(SQL_SQLITE, "a={user} and b='\\' and \"c'\"={local} -- it's",
		"a=? and b='\\' and \"c'\"=? -- it's", "ul");
	becomes(SQL_MYSQL, "a={user} /* it's */ and b LIKE '%d%' # it's\n and c={local}",
		"a=? /* it's */ and b LIKE '%d%' # it's\n and c=?", "ul");
}

static void test_refused_queries(void **state)
{
	static const char *const quoted[] = {
		"'{user}'",       "\"{local}\"",         "'%@{domain}'",
		"'it''s {user}'", "/* {user} */ {user}", "{user} -- {user}"};

	(void)state;
	for (unsigned dialect = 0; dialect < 3; dialect++)
		for (size_t i = 0; i < sizeof(quoted) / sizeof(quoted[0]); i++)
			refused((enum sql_dialect)dialect, quoted[i], "stands in ");
	refused(SQL_MYSQL, "`{user}`", "stands in quotes");
	refused(SQL_MYSQL, "'\\'{user}' ", "stands in quotes");
	refused(SQL_POSTGRESQL, "E'\\'{user}'", "stands in quotes");
	refused(SQL_POSTGRESQL, "$q${user}$q$", "stands in quotes");
	refused(SQL_MYSQL, "# {user}", "stands in a comment");
	refused(SQL_MYSQL, "a = '%u'", "Dovecot");
	refused(SQL_MYSQL, "a = '%Ln' and b = '%d'", "Dovecot");
	refused(SQL_MYSQL, "a = '%{user}'", "stands in quotes");
	refused(SQL_MYSQL, "a = '%{user | lower}'", "Dovecot");
	refused(SQL_MYSQL, "a = %{username}", "Dovecot");
	refused(SQL_SQLITE, "a = {name}", "known are");
	refused(SQL_SQLITE, "a = {user", "known are");
	refused(SQL_SQLITE, "a = {User}", "known are");
	refused(SQL_SQLITE, "a = ? and b = {user}", "is a parameter");
	refused(SQL_POSTGRESQL, "a = $1 and b = {user}", "is a parameter");
	refused(SQL_SQLITE, "a = {user}; DELETE FROM users", "more than one");
	refused(SQL_SQLITE, "a = {user} and b = 'x", "do not end");
	refused(SQL_SQLITE, "a = {user} /* x", "do not end");
	refused(SQL_POSTGRESQL, "a = {user} and b = $$x$", "do not end");
	refused(SQL_SQLITE, "SELECT 1", "the same for all");
	refused(SQL_SQLITE, "a = {domain}", "the same for all");
	refused(SQL_SQLITE, "", "the same for all");
}

static void test_many_placeholders(void **state)
{
	char query[8 * (SQL_PARAMETERS_MAX + 1) + 1] = "";
	struct sql_statement statement;

	(void)state;
	for (int i = 0; i < SQL_PARAMETERS_MAX; i++)
		strcat(query, "{user},");
	assert_int_equal(sql_query_parse(query, SQL_POSTGRESQL, &statement, &err), 0);
	assert_int_equal(statement.count, SQL_PARAMETERS_MAX);
	assert_non_null(strstr(statement.text, "$64,"));
	free(statement.text);
	strcat(query, "{user},");
	refused(SQL_POSTGRESQL, query, "more than 64 placeholders");
}

/* ---- connect ---- */

static void test_targets(void **state)
{
	struct sql_target target;

	(void)state;
	assert_int_equal(sql_target_parse("postgresql:host=a,/run/pg,::1 port=1,2,65535 "
					  "dbname=mail  user=me",
					  &target, &err),
			 0);
	assert_int_equal(target.dialect, SQL_POSTGRESQL);
	assert_int_equal(target.host_count, 3);
	assert_string_equal(target.hosts[1], "/run/pg");
	assert_int_equal(target.ports[2], 65535);
	assert_string_equal(target.database, "mail");
	assert_string_equal(target.user, "me");
	assert_false(sql_target_is_local(&target, 0));
	assert_true(sql_target_is_local(&target, 1));
	assert_true(sql_target_is_local(&target, 2));

	assert_int_equal(sql_target_parse("mysql:dbname=mail", &target, &err), 0);
	assert_int_equal(target.host_count, 1);
	assert_string_equal(target.hosts[0], "");
	assert_int_equal(target.ports[0], 0);
	assert_true(sql_target_is_local(&target, 0));

	assert_int_equal(sql_target_parse("mysql:port=33 host=a,b dbname=mail", &target, &err), 0);
	assert_int_equal(target.ports[1], 33);

	assert_int_equal(sql_target_parse("sqlite:/a file", &target, &err), 0);
	assert_string_equal(target.database, "/a file");
}

static void test_refused_targets(void **state)
{
	static const char *const rows[][2] = {
		{"", "begins with"},
		{"pgsql:dbname=x", "begins with"},
		{"postgresql:", "names no database"},
		{"postgresql:dbname=", "not understood"},
		{"postgresql:mail", "not understood"},
		{"postgresql:dbname=x sslmode=require", "not known there"},
		{"postgresql:dbname=x password=y", "password_file"},
		{"mysql:password dbname=x", "password_file"},
		{"mysql:dbname=x passwd=y", "password_file"},
		{"postgresql://me:secret@host/x", "password_file"},
		{"postgresql://me@host:12/x", "URLs"},
		{"mysql:dbname=x host=", "not understood"},
		{"mysql:dbname=x host=a,,b", "1 to 8 hosts"},
		{"mysql:dbname=x host=a,b,c,d,e,f,g,h,i", "1 to 8 hosts"},
		{"mysql:dbname=x port=0", "no port"},
		{"mysql:dbname=x port=65536", "no port"},
		{"mysql:dbname=x port=a", "no port"},
		{"mysql:dbname=x host=a,b,c port=1,2", "2 ports for 3 hosts"},
		{"mysql:dbname=x port=1,2,3,4,5,6,7,8,9", "too many ports"},
		{"sqlite:", "whole path"},
		{"sqlite:mail.db", "whole path"},
	};
	struct sql_target target;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memset(&err, 0, sizeof(err));
		assert_int_equal(sql_target_parse(rows[i][0], &target, &err), -1);
		if (!strstr(err.text, rows[i][1]))
			fail_msg("%s: %s", rows[i][0], err.text);
		assert_null(strstr(err.text, "secret"));
	}
}

/* ---- parameters ---- */

static bool is(pop3_span span, const char *text)
{
	return span_equal(span, span_of(text));
}

static void test_values(void **state)
{
	struct sql_values values, copy;

	(void)state;
	assert_true(sql_values_set(&values, "Anna@b@EXAMPLE.org", 3, "192.0.2.1", "pop3"));
	sql_values_copy(&copy, &values);
	memset(&values, 0xee, sizeof(values));
	assert_true(is(copy.value[SQL_USER], "anna@b@example.org"));
	assert_true(is(copy.value[SQL_LOCAL], "anna@b"));
	assert_true(is(copy.value[SQL_DOMAIN], "example.org"));
	assert_true(is(copy.value[SQL_ADDRESS], "192.0.2.1"));
	assert_true(is(copy.value[SQL_SERVICE], "pop3"));
	assert_int_equal(copy.name, 3);
	assert_true(sql_values_set(&values, "Anna", 0, "", ""));
	assert_true(is(values.value[SQL_LOCAL], "anna"));
	assert_true(is(values.value[SQL_DOMAIN], ""));
}

/* What is no UTF-8 is the name of nobody: a server might cut it or take another octet for it. */
static void test_names_of_nobody(void **state)
{
	static const char *const good[] = {"gr\xc3\xb6\xc3\x9f"
					   "e",
					   "\xe2\x82\xac", "\xf0\x9f\x93\xae", "\xf4\x8f\xbf\xbf",
					   "\xed\x9f\xbf"};
	static const char *const bad[] = {"\xff",
					  "a\xc3",
					  "\xc3(",
					  "\x80",
					  "\xc0\xaf",
					  "\xc1\xbf",
					  "\xe0\x80\xaf",
					  "\xed\xa0\x80",
					  "\xf0\x80\x80\xaf",
					  "\xf4\x90\x80\x80",
					  "\xf5\x80\x80\x80",
					  "\xe2\x82",
					  "\xe2\x82z",
					  "\xf0\x9f\x93"};
	struct sql_values values;
	char text[300];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(sql_values_set(&values, good[i], 0, "", ""));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(sql_values_set(&values, bad[i], 0, "", ""));
	memset(text, 'a', sizeof(text));
	text[256] = '\0';
	assert_false(sql_values_set(&values, text, 0, "", ""));
	text[255] = '\0';
	assert_true(sql_values_set(&values, text, 0, "", ""));
}

/* ---- rows ---- */

#define CELL(name, text)                            \
	{                                           \
		name, text, sizeof(text) - 1, false \
	}

static struct lookup_answer answer;
static struct sql_rows rows;

static bool add(unsigned set, const struct sql_cell *cells, unsigned count)
{
	return sql_rows_add(&rows, set, cells, count);
}

static bool holds(const char *fields, size_t size)
{
	return answer.size == size && memcmp(answer.fields, fields, size) == 0;
}

static void test_rows(void **state)
{
	static const struct sql_cell user[] = {
		CELL("User", "anna"), CELL("PASSWORD", "x"), {"home", NULL, 0, false}};
	static const struct sql_cell none[] = {{"a", NULL, 0, false}, {"b", NULL, 0, false}};
	static const char fields[] = "user\0anna\0password\0x";

	(void)state;
	sql_rows_begin(&rows, &answer);
	assert_int_equal(answer.status, LOOKUP_UNKNOWN);
	assert_true(add(0, none, 2));
	assert_int_equal(answer.status, LOOKUP_UNKNOWN);
	assert_true(add(1, user, 3));
	assert_int_equal(answer.status, LOOKUP_FOUND);
	assert_int_equal(rows.set, 1);
	assert_true(holds(fields, sizeof(fields)));
	/* a worse spelling that is somebody, too */
	assert_true(add(2, user, 3));
	assert_true(holds(fields, sizeof(fields)));
	/* the same one twice */
	assert_true(add(1, user, 3));
	assert_int_equal(answer.status, LOOKUP_BAD_ENTRY);
	assert_non_null(strstr(answer.why, "two rows"));
	/* a run that is begun again forgets */
	sql_rows_begin(&rows, &answer);
	assert_int_equal(answer.status, LOOKUP_UNKNOWN);
	assert_int_equal(answer.size, 0);
}

static void test_rows_of_aliases(void **state)
{
	static const struct sql_cell first[] = {CELL("user", "sales"), CELL("alias", "anna")};
	static const struct sql_cell second[] = {CELL("user", "sales"), CELL("alias", "bert")};
	static const struct sql_cell user[] = {CELL("user", "sales"), {"alias", NULL, 0, false}};
	static const char fields[] = "user\0sales\0alias\0anna\0alias\0bert";

	(void)state;
	sql_rows_begin(&rows, &answer);
	assert_true(add(0, first, 2) && add(0, second, 2));
	assert_int_equal(answer.status, LOOKUP_FOUND);
	assert_true(holds(fields, sizeof(fields)));
	assert_true(add(0, user, 2));
	assert_int_equal(answer.status, LOOKUP_BAD_ENTRY);

	sql_rows_begin(&rows, &answer);
	assert_true(add(0, user, 2) && add(0, first, 2));
	assert_int_equal(answer.status, LOOKUP_BAD_ENTRY);

	sql_rows_begin(&rows, &answer);
	for (unsigned i = 0; add(0, first, 2); i++)
		assert_in_range(i, 0, 1000);
}

/* Several in one field; a comma in quotes is part of an address. */
static void test_targets_in_one_field(void **state)
{
	static const struct sql_cell several[] = {CELL("alias", " a@x,\"b,\\\"\"@x ,\n,c@x,")};
	static const struct sql_cell more[] = {CELL("alias", "d@x")};
	static const struct sql_cell none[][1] = {{CELL("alias", "")}, {CELL("alias", " , ")}};
	static const char fields[] = "alias\0a@x\0alias\0\"b,\\\"\"@x\0alias\0c@x\0alias\0d@x";

	(void)state;
	sql_rows_begin(&rows, &answer);
	assert_true(add(0, several, 1) && add(0, more, 1));
	assert_int_equal(answer.status, LOOKUP_FOUND);
	assert_true(holds(fields, sizeof(fields)));
	for (unsigned i = 0; i < 2; i++) {
		sql_rows_begin(&rows, &answer);
		assert_true(add(0, none[i], 1));
		assert_int_equal(answer.status, LOOKUP_BAD_ENTRY);
	}
}

static void test_bad_cells(void **state)
{
	static const char long_name[] = "0123456789012345678901234567890123456789012345678901234567"
					"890123456789";
	static const struct sql_cell cells[][1] = {
		{CELL("home", "a\0b")}, {{"home", NULL, 0, true}}, {CELL(long_name, "x")}};
	static const char *const words[] = {"holds a NUL", "home is too long", "column's name"};

	(void)state;
	for (size_t i = 0; i < sizeof(cells) / sizeof(cells[0]); i++) {
		sql_rows_begin(&rows, &answer);
		assert_true(add(0, cells[i], 1));
		assert_int_equal(answer.status, LOOKUP_BAD_ENTRY);
		assert_non_null(strstr(answer.why, words[i]));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_placeholders),
		cmocka_unit_test(test_what_is_no_placeholder),
		cmocka_unit_test(test_refused_queries),
		cmocka_unit_test(test_many_placeholders),
		cmocka_unit_test(test_targets),
		cmocka_unit_test(test_refused_targets),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_names_of_nobody),
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_rows_of_aliases),
		cmocka_unit_test(test_targets_in_one_field),
		cmocka_unit_test(test_bad_cells),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
