/* Queries of Dovecot's SQL databases, in which names are pasted into the text, as queries of
 * valija.conf, which have parameters. */
#ifndef CLI_IMPORT_SETTINGS_QUERY_H
#define CLI_IMPORT_SETTINGS_QUERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum { QUERY_COLUMNS_MAX = 24 };

struct query_column {
	char name[64];
	char text[64]; /* the expression, cut; to look whether it is a number */
};

struct query {
	const char *text; /* Dovecot's */
	bool mysql;       /* quotes and CONCAT of MySQL */
	struct query_column columns[QUERY_COLUMNS_MAX];
	size_t count; /* 0: they cannot be told, as of SELECT * */
};

/* Reads the columns of a SELECT; text lives as long as *ret. */
void query_read(const char *text, bool mysql, struct query *ret);
/* The column by one of its names, such as "home|userdb_home"; NULL: none. */
const struct query_column *query_column(const struct query *query, const char *names);
/* Writes the query with parameters. False: a variable in it has no counterpart. */
bool query_write(const struct query *query, FILE *out);

#endif
