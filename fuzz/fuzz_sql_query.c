/*
 * A query of any octets, for each kind of database: refused with words, or taken; what is taken has
 * no placeholder left outside quotes, and as many parameters as were counted. The first octet
 * chooses the database. The same octets as the setting connect.
 */
#include "base/text.h"
#include "lookup/sql/query.h"
#include "lookup/sql/target.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned count_of(const char *text, char mark)
{
	unsigned n = 0;

	for (; *text; text++)
		n += *text == mark;
	return n;
}

static void try_query(const char *text, enum sql_dialect dialect)
{
	struct sql_statement statement = {.text = NULL};
	struct err err = {0};

	if (sql_query_parse(text, dialect, &statement, &err) < 0) {
		assert(err.code && err.text[0] && !statement.text);
		return;
	}
	assert(statement.count >= 1 && statement.count <= SQL_PARAMETERS_MAX);
	assert(strlen(statement.text) <= strlen(text));
	assert(count_of(statement.text, dialect == SQL_POSTGRESQL ? '$' : '?') >= statement.count);
	assert(!strstr(statement.text, "{user}") || strstr(text, "{{user}"));
	for (unsigned i = 0; i < statement.count; i++)
		assert(statement.values[i] < SQL_VALUES);
	free(statement.text);
}

static void try_target(const char *text)
{
	struct sql_target target;
	struct err err = {0};

	if (sql_target_parse(text, &target, &err) < 0) {
		assert(err.code && err.text[0]);
		return;
	}
	assert(target.host_count >= 1 && target.host_count <= SQL_HOSTS_MAX);
	assert(target.database[0]);
	for (unsigned i = 0; i < target.host_count; i++) {
		assert(target.hosts[i] && target.ports[i] <= 65535);
		(void)sql_target_is_local(&target, i);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text;

	if (size == 0 || memchr(data, 0, size))
		return 0;
	text = malloc(size);
	assert(text);
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	try_query(text, (enum sql_dialect)(data[0] % 3));
	try_target(text);
	free(text);
	return 0;
}
