/*
 * valija-lookup-postgresql, -mysql, -sqlite: users in PostgreSQL, in MariaDB or MySQL, in SQLite.
 * This file is built once for each. Settings become a site (target, statements, TLS), once;
 * questions become runs of a prepared statement in worker threads. Secrets are checked by auth:
 * this driver gives what is stored.
 */
#include "base/text.h"
#include "lookup/driver.h"
#include "lookup/sql/backend.h"
#include "lookup/sql/last_login.h"
#include "lookup/sql/pool.h"
#include "lookup/sql/values.h"

#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

struct sql {
	struct sql_site site;
	const struct sql_backend *backend;
	struct sql_pool *pool;
	struct last_login *last_login; /* NULL: not wanted */
};

static const struct sql_backend *const backends[] = {
#ifdef HAVE_POSTGRESQL
	[SQL_POSTGRESQL] = &sql_postgresql,
#endif
#ifdef HAVE_MYSQL
	[SQL_MYSQL] = &sql_mysql,
#endif
#ifdef HAVE_SQLITE
	[SQL_SQLITE] = &sql_sqlite,
#endif
};

/* ---- settings ---- */

static const char *const libraries[] = {
	[SQL_POSTGRESQL] = "PostgreSQL (libpq)",
	[SQL_MYSQL] = "MariaDB and MySQL (libmariadb)",
	[SQL_SQLITE] = "SQLite",
};

static int find_backend(struct sql *sql, struct err *err)
{
	enum sql_dialect dialect = sql->site.target.dialect;

	if (dialect < sizeof(backends) / sizeof(backends[0]))
		sql->backend = backends[dialect];
	if (!sql->backend)
		return err_set(err, EX_CONFIG, "connect: this program has no %s",
			       libraries[dialect]);
	return sql->backend->load ? sql->backend->load(err) : 0;
}

static const char *const query_names[SQL_QUERIES] = {
	[SQL_USER_QUERY] = "user_query",
	[SQL_RECIPIENT_QUERY] = "recipient_query",
	[SQL_LAST_LOGIN_UPDATE] = "last_login_update",
	[SQL_LIST_QUERY] = "list_query",
};

static int read_queries(const struct lookup_database *database, struct sql_site *site,
			struct err *err)
{
	for (unsigned i = 0; i < SQL_QUERIES; i++) {
		const char *text = lookup_text(database, query_names[i]);

		if (*text && (i == SQL_LIST_QUERY ? sql_list_parse : sql_query_parse)(
				     text, site->target.dialect, &site->statements[i], err) < 0)
			return err_prefix(err, "%s", query_names[i]);
	}
	if (site->target.dialect == SQL_SQLITE && site->statements[SQL_LAST_LOGIN_UPDATE].text)
		return err_set(err, EX_CONFIG,
			       "last_login_update: the process that reads a SQLite file may not "
			       "write it: take the setting out");
	return 0;
}

static int read_tls(const struct lookup_database *database, struct sql_site *site, struct err *err)
{
	site->tls = (enum sql_tls)lookup_number(database, "tls");
	site->ca_file = lookup_text(database, "ca_file");
	site->certificate_file = lookup_text(database, "certificate_file");
	site->key_file = lookup_text(database, "key_file");
	if (!*site->certificate_file != !*site->key_file)
		return err_set(err, EX_CONFIG, "certificate_file and key_file go together");
	return 0;
}

static int read_site(const struct lookup_database *database, struct sql *sql, struct err *err)
{
	struct sql_site *site = &sql->site;

	if (sql_target_parse(lookup_text(database, "connect"), &site->target, err) < 0)
		return err_prefix(err, "connect");
	site->password = lookup_secret(database, "password_file");
	site->timeout = (unsigned)lookup_number(database, "timeout") * 1000;
	/* the database gives up first, so that one slow query does not look like one that hangs */
	site->timeout -= site->timeout / 10;
	if (find_backend(sql, err) < 0 || read_queries(database, site, err) < 0)
		return -1;
	return read_tls(database, site, err);
}

/* The folder of a file, and where a symbolic link leads: a journal stands beside the file. */
static void allow_file(struct sandbox *sandbox, const char *path)
{
	char copy[PATH_MAX], *real = realpath(path, NULL);

	if (span_copy(span_of(path), copy, sizeof(copy)) == 0)
		sandbox_add_path(sandbox, dirname(copy), SANDBOX_READ);
	if (real)
		sandbox_add_path(sandbox, dirname(real), SANDBOX_READ);
	free(real);
}

static void allow_paths(struct sandbox *sandbox, const struct sql_site *site)
{
	if (site->target.dialect == SQL_SQLITE) {
		allow_file(sandbox, site->target.database);
		return;
	}
	sandbox_add_path(sandbox, "/etc", SANDBOX_READ); /* names of hosts, certificates */
	sandbox_add_path(sandbox, "/usr", SANDBOX_READ); /* modules for names and logins */
	sandbox_add_path(sandbox, "/run", SANDBOX_READ); /* a resolver's resolv.conf */
	sandbox_add_path(sandbox, site->ca_file, SANDBOX_READ);
	sandbox_add_path(sandbox, site->certificate_file, SANDBOX_READ);
	sandbox_add_path(sandbox, site->key_file, SANDBOX_READ);
}

static int open_sql(const struct lookup_database *database, struct sandbox *sandbox, void **ret,
		    struct err *err)
{
	struct sql *sql = calloc(1, sizeof(*sql));

	if (!sql)
		return err_set(err, EX_OSERR, "out of memory");
	if (read_site(database, sql, err) < 0)
		goto failed;
	sql->pool = sql_pool_create(&sql->site, sql->backend);
	if (sql->pool && sql->site.statements[SQL_LAST_LOGIN_UPDATE].text)
		sql->last_login = last_login_create(sql->pool, sql->site.timeout);
	if (!sql->pool || (sql->site.statements[SQL_LAST_LOGIN_UPDATE].text && !sql->last_login)) {
		err_set(err, EX_OSERR, "out of memory");
		goto failed;
	}
	allow_paths(sandbox, &sql->site);
	*ret = sql;
	return 0;
failed:
	sql_pool_destroy(sql->pool);
	for (unsigned i = 0; i < SQL_QUERIES; i++)
		free(sql->site.statements[i].text);
	free(sql);
	return -1;
}

/* ---- questions ---- */

static enum sql_query query_of(const struct sql *sql, const struct lookup_question *question)
{
	if (question->purpose == LOOKUP_RECIPIENT && sql->site.statements[SQL_RECIPIENT_QUERY].text)
		return SQL_RECIPIENT_QUERY;
	return SQL_USER_QUERY;
}

static void conclude(enum sql_result result, enum sql_query query, const char *why,
		     struct lookup_answer *answer)
{
	switch (result) {
	case SQL_DONE:
		return;
	case SQL_BROKEN:
	case SQL_LATE:
		lookup_down(answer, "%s", why);
		return;
	case SQL_SLOW:
	case SQL_FAILED:
		lookup_down(answer, "%s: %s", query_names[query], why);
		return;
	case SQL_TOO_MUCH:
	case SQL_BAD_VALUE:
		lookup_bad(answer, "%s: %s", query_names[query], why);
		return;
	case SQL_NO_NAME:
		answer->status = LOOKUP_UNKNOWN;
		answer->size = 0;
		return;
	}
}

static void ask(void *state, void **connection, const struct lookup_question *question,
		struct lookup_answer *answer)
{
	struct sql *sql = state;
	struct sql_values values[IPC_LOOKUP_NAMES_MAX];
	struct sql_rows rows = {.answer = answer};
	enum sql_query query = query_of(sql, question);
	enum sql_result result;
	unsigned count = 0;
	char why[SQL_WHY];

	if (question->kind != LOOKUP_FIND) {
		lookup_down(answer, "a database of driver sql does not check passwords itself");
		return;
	}
	for (unsigned i = 0; i < question->name_count; i++)
		if (sql_values_set(&values[count], question->names[i], i, question->address,
				   question->service))
			count++;
	answer->status = LOOKUP_UNKNOWN;
	if (count == 0)
		return;
	result = sql_pool_run(sql->pool, connection, query, values, count,
			      sql_now() + lookup_time_left(question), &rows, why);
	if (rows.count)
		answer->matched = values[rows.set].name;
	conclude(result, query, why, answer);
}

static void list(void *state, void **connection, struct lookup_listing *listing)
{
	struct sql *sql = state;
	struct sql_rows rows = {.listing = listing};
	struct sql_values none;
	enum sql_result result;
	char why[SQL_WHY];

	if (!sql->site.statements[SQL_LIST_QUERY].text) {
		lookup_down(&listing->answer, "it has no list_query");
		return;
	}
	(void)sql_values_set(&none, "", 0, "", "");
	result = sql_pool_run(sql->pool, connection, SQL_LIST_QUERY, &none, 1, listing->deadline,
			      &rows, why);
	if (result != SQL_DONE && listing->answer.status != LOOKUP_DOWN)
		lookup_down(&listing->answer, "list_query: %s", why);
}

static void note(void *state, void **connection, const char *name, uint32_t day)
{
	struct sql *sql = state;

	if (sql->last_login)
		last_login_note(sql->last_login, connection, name, day);
}

const struct lookup_driver lookup_driver = {
	.driver = DRIVER_SQL,
	.open = open_sql,
	.ask = ask,
	.note = note,
	.list = list,
};
