/*
 * A query of the configuration as a statement of the database: each placeholder becomes a parameter
 * of its own, so a value is never part of the text. Pure. In lookup processes of driver sql, before
 * the sandbox.
 */
#ifndef LOOKUP_SQL_QUERY_H
#define LOOKUP_SQL_QUERY_H

#include "base/err.h"

#include <stdint.h>

enum sql_dialect { SQL_POSTGRESQL, SQL_MYSQL, SQL_SQLITE };

enum sql_value { SQL_USER, SQL_LOCAL, SQL_DOMAIN, SQL_ADDRESS, SQL_SERVICE, SQL_VALUES };

enum { SQL_PARAMETERS_MAX = 64 };

struct sql_statement {
	char *text; /* NULL: there is none */
	unsigned count;
	uint8_t values[SQL_PARAMETERS_MAX]; /* enum sql_value of each parameter, in order */
};

/* Returns 0, or -1 with err: a placeholder in quotes or in a comment, one that is not known, more
 * than one statement, no {user} and no {local} … ret->text is to be freed. */
int sql_query_parse(const char *query, enum sql_dialect dialect, struct sql_statement *ret,
		    struct err *err);
/* The same of a query for all users, which has no placeholders. */
int sql_list_parse(const char *query, enum sql_dialect dialect, struct sql_statement *ret,
		   struct err *err);

#endif
