/*
 * Rows of a result, as they come, into an answer. One row is a user; several are one recipient's
 * aliases, and each of these may have several targets, separated by commas. A row of NULLs only,
 * which aggregates make, is no row. In worker threads.
 */
#ifndef LOOKUP_SQL_ROWS_H
#define LOOKUP_SQL_ROWS_H

#include "lookup/driver.h"

enum { SQL_COLUMNS_MAX = 64 };

/* value NULL: NULL. too_long: the value was not read. */
struct sql_cell {
	const char *name, *value;
	size_t size;
	bool too_long;
};

struct sql_rows {
	struct lookup_answer *answer;   /* NULL: an update, of which there are none, or a list */
	struct lookup_listing *listing; /* NULL: it is none */
	unsigned count, set;
	bool alias; /* the first row is one */
};

void sql_rows_begin(struct sql_rows *rows, struct lookup_answer *answer);
/* Row of spelling number set; spellings come in order, and the first with rows counts. False: that
 * is enough, the query is not one for a user. */
bool sql_rows_add(struct sql_rows *rows, unsigned set, const struct sql_cell *cells,
		  unsigned count);

#endif
