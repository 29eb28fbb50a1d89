/*
 * SQLite, which stands in no other file. A file is opened to be read only: the process may write
 * none. Another program's lock, and a query that takes long, are given up at the deadline.
 */
#include "lookup/sql/backend.h"

#include "base/text.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
	VALUE_MAX = 1 << 20, /* octets of a value, as SQLite itself limits it */
	STEPS = 1000,        /* of SQLite's machine between two looks at the clock */
};

struct connection {
	const struct sql_site *site;
	sqlite3 *db;
	sqlite3_stmt *prepared[SQL_QUERIES];
	uint64_t deadline;
	dev_t device; /* of the file that is open */
	ino_t inode;
};

static int is_over(void *context)
{
	const struct connection *c = context;

	return sql_left(c->deadline) == 0;
}

static enum sql_result judge(const struct connection *c, int code, char why[SQL_WHY])
{
	text_escape(why, SQL_WHY - 1, span_of(sqlite3_errmsg(c->db)));
	switch (code & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_INTERRUPT:
		return SQL_SLOW;
	case SQLITE_TOOBIG:
	case SQLITE_MISMATCH:
		return SQL_BAD_VALUE;
	case SQLITE_ERROR:
		return SQL_FAILED;
	}
	return SQL_BROKEN;
}

static void close_connection(void *connection)
{
	struct connection *c = connection;

	for (unsigned i = 0; i < SQL_QUERIES; i++)
		sqlite3_finalize(c->prepared[i]);
	sqlite3_close(c->db);
	free(c);
}

static void *open_connection(const struct sql_site *site, unsigned host, uint64_t deadline,
			     char why[SQL_WHY])
{
	struct connection *c = calloc(1, sizeof(*c));
	struct stat st;

	(void)host, (void)deadline;
	snprintf(why, SQL_WHY, "out of memory");
	if (!c)
		return NULL;
	c->site = site;
	if (sqlite3_open_v2(site->target.database, &c->db,
			    SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK ||
	    stat(site->target.database, &st) < 0) {
		snprintf(why, SQL_WHY, "%.150s: %s", site->target.database,
			 c->db ? sqlite3_errmsg(c->db) : "out of memory");
		close_connection(c);
		return NULL;
	}
	c->device = st.st_dev;
	c->inode = st.st_ino;
	sqlite3_extended_result_codes(c->db, 1);
	sqlite3_limit(c->db, SQLITE_LIMIT_LENGTH, VALUE_MAX);
	sqlite3_progress_handler(c->db, STEPS, is_over, c);
	return c;
}

/* A file that was put in its place is another database. */
static bool is_replaced(const struct connection *c)
{
	struct stat st;

	return stat(c->site->target.database, &st) < 0 || st.st_dev != c->device ||
	       st.st_ino != c->inode;
}

static enum sql_result prepare(struct connection *c, enum sql_query query, char why[SQL_WHY])
{
	const struct sql_statement *statement = &c->site->statements[query];
	sqlite3_stmt **prepared = &c->prepared[query];
	int rc = sqlite3_prepare_v3(c->db, statement->text, -1, SQLITE_PREPARE_PERSISTENT, prepared,
				    NULL);

	if (rc != SQLITE_OK)
		return judge(c, rc, why);
	if (*prepared && sqlite3_bind_parameter_count(*prepared) == (int)statement->count)
		return SQL_DONE;
	sqlite3_finalize(*prepared);
	*prepared = NULL;
	snprintf(why, SQL_WHY, "the query has parameters besides its placeholders");
	return SQL_FAILED;
}

static bool add_row(sqlite3_stmt *prepared, unsigned set, struct sql_rows *rows)
{
	struct sql_cell cells[SQL_COLUMNS_MAX];
	int columns = sqlite3_column_count(prepared);

	if (columns > SQL_COLUMNS_MAX)
		return false;
	for (int i = 0; i < columns; i++) {
		bool null = sqlite3_column_type(prepared, i) == SQLITE_NULL;
		const char *text = null ? NULL : (const char *)sqlite3_column_text(prepared, i);

		cells[i] = (struct sql_cell){.name = sqlite3_column_name(prepared, i),
					     .value = text,
					     .size = (size_t)sqlite3_column_bytes(prepared, i),
					     .too_long = !text && !null};
	}
	return sql_rows_add(rows, set, cells, (unsigned)columns);
}

/* Runs the statement for one spelling. */
static enum sql_result run_one(struct connection *c, enum sql_query query,
			       const struct sql_values *values, unsigned set, struct sql_rows *rows,
			       char why[SQL_WHY])
{
	const struct sql_statement *statement = &c->site->statements[query];
	sqlite3_stmt *prepared = c->prepared[query];
	enum sql_result result = SQL_DONE;
	int rc = SQLITE_OK;

	for (unsigned i = 0; i < statement->count && rc == SQLITE_OK; i++) {
		pop3_span value = values->value[statement->values[i]];

		rc = sqlite3_bind_text(prepared, (int)i + 1, value.data, (int)value.size,
				       SQLITE_STATIC);
	}
	while (rc == SQLITE_OK && (rc = sqlite3_step(prepared)) == SQLITE_ROW)
		rc = add_row(prepared, set, rows) ? SQLITE_OK : SQLITE_FULL;
	if (rc == SQLITE_FULL) {
		snprintf(why, SQL_WHY, "the query finds too many rows or columns for one name");
		result = SQL_TOO_MUCH;
	} else if (rc != SQLITE_DONE) {
		result = judge(c, rc, why);
	}
	sqlite3_reset(prepared);
	sqlite3_clear_bindings(prepared);
	return result;
}

static enum sql_result run(void *connection, enum sql_query query, const struct sql_values *values,
			   unsigned count, uint64_t deadline, struct sql_rows *rows,
			   char why[SQL_WHY])
{
	struct connection *c = connection;
	enum sql_result result = SQL_DONE;

	c->deadline = deadline;
	sqlite3_busy_timeout(c->db, sql_left(deadline));
	snprintf(why, SQL_WHY, "%.150s was replaced", c->site->target.database);
	if (is_replaced(c))
		return SQL_BROKEN;
	if (!c->prepared[query])
		result = prepare(c, query, why);
	for (unsigned i = 0; i < count && result == SQL_DONE && !rows->count; i++)
		result = run_one(c, query, &values[i], i, rows, why);
	return result;
}

const struct sql_backend sql_sqlite = {
	.connect = open_connection,
	.run = run,
	.close = close_connection,
};
