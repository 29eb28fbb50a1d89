/*
 * PostgreSQL, by libpq, which stands in no other file. Nothing here blocks: calls begin something,
 * and poll() waits for it until the deadline. Several spellings go in one pipeline: one round trip.
 */
#include "lookup/sql/backend.h"

#include "base/text.h"

#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	BOUND_MAX = 512, /* octets of a parameter: a name, an address, a service */
	TEXT_TYPE = 25,  /* TEXTOID, as in every server since the first */
};

struct connection {
	PGconn *pg;
	const struct sql_site *site;
	bool prepared[SQL_QUERIES];
	bool untyped; /* the last error: the place of a parameter does not tell its type */
};

static void explain(char why[SQL_WHY], const char *message)
{
	size_t n = strcspn(message, "\n");

	text_escape(why, SQL_WHY - 1, (pop3_span){message, n});
}

static enum sql_result broken(const struct connection *c, char why[SQL_WHY])
{
	explain(why, PQerrorMessage(c->pg));
	return SQL_BROKEN;
}

static enum sql_result late(char why[SQL_WHY])
{
	snprintf(why, SQL_WHY, "it did not answer in time");
	return SQL_LATE;
}

/* The meaning of a server's error; result may be one that is none of ours. */
static enum sql_result judge(struct connection *c, const PGresult *result, char why[SQL_WHY])
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	explain(why, PQresultErrorMessage(result));
	if (PQstatus(c->pg) == CONNECTION_BAD || !state)
		return SQL_BROKEN;
	c->untyped = strcmp(state, "42P18") == 0;
	if (strcmp(state, "57014") == 0 || strcmp(state, "55P03") == 0)
		return SQL_SLOW; /* statement_timeout, lock_timeout */
	if (strncmp(state, "57P", 3) == 0 || strncmp(state, "08", 2) == 0)
		return SQL_BROKEN; /* it is shut down */
	if (strcmp(state, "22021") == 0 || strcmp(state, "22P05") == 0)
		return SQL_NO_NAME;
	return strncmp(state, "22", 2) == 0 ? SQL_BAD_VALUE : SQL_FAILED;
}

/* ---- waiting ---- */

static enum sql_result flush(struct connection *c, uint64_t deadline, char why[SQL_WHY])
{
	int rc;

	while ((rc = PQflush(c->pg)) > 0) {
		int ready = sql_wait(PQsocket(c->pg), POLLIN | POLLOUT, deadline);

		if (!ready)
			return late(why);
		if ((ready & POLLIN) && !PQconsumeInput(c->pg))
			return broken(c, why);
	}
	return rc < 0 ? broken(c, why) : SQL_DONE;
}

/* The next result, perhaps NULL; to be cleared. */
static enum sql_result next(struct connection *c, uint64_t deadline, PGresult **ret,
			    char why[SQL_WHY])
{
	enum sql_result result = flush(c, deadline, why);

	while (result == SQL_DONE && PQisBusy(c->pg)) {
		if (!sql_wait(PQsocket(c->pg), POLLIN, deadline))
			return late(why);
		if (!PQconsumeInput(c->pg))
			return broken(c, why);
	}
	if (result == SQL_DONE)
		*ret = PQgetResult(c->pg);
	return result;
}

/* Waits for the end of a command without rows. */
static enum sql_result finish(struct connection *c, uint64_t deadline, char why[SQL_WHY])
{
	enum sql_result verdict = SQL_DONE, result;
	PGresult *answer;

	while ((result = next(c, deadline, &answer, why)) == SQL_DONE && answer) {
		if (PQresultStatus(answer) != PGRES_COMMAND_OK &&
		    PQresultStatus(answer) != PGRES_TUPLES_OK)
			verdict = judge(c, answer, why);
		PQclear(answer);
	}
	return result == SQL_DONE ? verdict : result;
}

/* ---- connections ---- */

static const char *tls_word(enum sql_tls tls)
{
	switch (tls) {
	case SQL_TLS_AUTO:
	case SQL_TLS_VERIFY:
		break;
	case SQL_TLS_OFF:
		return "disable";
	case SQL_TLS_ENCRYPT:
		return "require";
	}
	return "verify-full";
}

/* Every setting that libpq would else take from the environment or a file of the user's. */
static PGconn *start(const struct sql_site *site, unsigned host)
{
	char port[16] = "", timeout[16];
	enum sql_tls tls = sql_site_tls(site, host);
	const char *const settings[][2] = {
		{"host", site->target.hosts[host]},
		{"port", port},
		{"dbname", site->target.database},
		{"user", site->target.user},
		{"password", site->password},
		{"passfile", "/dev/null"},
		{"sslmode", tls_word(tls)},
		{"sslrootcert", tls == SQL_TLS_VERIFY ? site->ca_file : "/dev/null/none"},
		{"sslcert", *site->certificate_file ? site->certificate_file : "/dev/null/none"},
		{"sslkey", *site->key_file ? site->key_file : "/dev/null/none"},
		{"gssencmode", "disable"},
		{"client_encoding", "UTF8"},
		{"application_name", "valija"},
		{"tcp_user_timeout", timeout},
		{"keepalives_idle", "60"},
	};
	const char *names[sizeof(settings) / sizeof(settings[0]) + 1] = {NULL};
	const char *values[sizeof(settings) / sizeof(settings[0]) + 1] = {NULL};

	if (site->target.ports[host])
		snprintf(port, sizeof(port), "%u", site->target.ports[host]);
	snprintf(timeout, sizeof(timeout), "%u", site->timeout);
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		names[i] = settings[i][0];
		values[i] = settings[i][1];
	}
	return PQconnectStartParams(names, values, 0);
}

static enum sql_result greet(struct connection *c, uint64_t deadline, char why[SQL_WHY])
{
	PostgresPollingStatusType state = PGRES_POLLING_WRITING;

	if (PQstatus(c->pg) == CONNECTION_BAD)
		return broken(c, why);
	while (state != PGRES_POLLING_OK) {
		int events = state == PGRES_POLLING_READING ? POLLIN : POLLOUT;

		if (!sql_wait(PQsocket(c->pg), events, deadline))
			return late(why);
		state = PQconnectPoll(c->pg);
		if (state == PGRES_POLLING_FAILED)
			return broken(c, why);
	}
	return SQL_DONE;
}

static void close_connection(void *connection)
{
	struct connection *c = connection;

	PQfinish(c->pg);
	free(c);
}

static void ignore_notice(void *context, const PGresult *result)
{
	(void)context, (void)result;
}

static void *open_connection(const struct sql_site *site, unsigned host, uint64_t deadline,
			     char why[SQL_WHY])
{
	struct connection *c = calloc(1, sizeof(*c));
	char limit[64];

	snprintf(why, SQL_WHY, "out of memory");
	if (!c)
		return NULL;
	c->site = site;
	c->pg = start(site, host);
	if (!c->pg || greet(c, deadline, why) != SQL_DONE || PQsetnonblocking(c->pg, 1) < 0)
		goto failed;
	PQsetNoticeReceiver(c->pg, ignore_notice, NULL);
	snprintf(limit, sizeof(limit), "SET statement_timeout = %u", site->timeout);
	if (!PQsendQuery(c->pg, limit)) {
		broken(c, why);
		goto failed;
	}
	if (finish(c, deadline, why) == SQL_DONE)
		return c;
failed:
	close_connection(c);
	return NULL;
}

/* ---- queries ---- */

static const char *const names[SQL_QUERIES] = {
	[SQL_USER_QUERY] = "valija_user",
	[SQL_RECIPIENT_QUERY] = "valija_recipient",
	[SQL_LAST_LOGIN_UPDATE] = "valija_last_login",
	[SQL_LIST_QUERY] = "valija_list",
};

static enum sql_result prepare_typed(struct connection *c, enum sql_query query, const Oid *types,
				     uint64_t deadline, char why[SQL_WHY])
{
	const struct sql_statement *statement = &c->site->statements[query];

	if (!PQsendPrepare(c->pg, names[query], statement->text, (int)statement->count, types))
		return broken(c, why);
	return finish(c, deadline, why);
}

/* The server finds out the types of parameters, each by the place where it stands; where that does
 * not tell, as in concat(), all are text. */
static enum sql_result prepare(struct connection *c, enum sql_query query, uint64_t deadline,
			       char why[SQL_WHY])
{
	Oid types[SQL_PARAMETERS_MAX];
	enum sql_result result;

	for (unsigned i = 0; i < SQL_PARAMETERS_MAX; i++)
		types[i] = TEXT_TYPE;
	c->untyped = false;
	result = prepare_typed(c, query, NULL, deadline, why);
	if (result == SQL_FAILED && c->untyped)
		result = prepare_typed(c, query, types, deadline, why);
	c->prepared[query] = result == SQL_DONE;
	return result;
}

static bool send_one(struct connection *c, enum sql_query query, const struct sql_values *values)
{
	const struct sql_statement *statement = &c->site->statements[query];
	char text[SQL_VALUES][BOUND_MAX];
	const char *bound[SQL_PARAMETERS_MAX];

	for (unsigned i = 0; i < SQL_VALUES; i++)
		if (span_copy(values->value[i], text[i], sizeof(text[i])) < 0)
			text[i][0] = '\0'; /* no name, address or service is that long */
	for (unsigned i = 0; i < statement->count; i++)
		bound[i] = text[statement->values[i]];
	return PQsendQueryPrepared(c->pg, names[query], (int)statement->count, bound, NULL, NULL,
				   0);
}

static bool send_all(struct connection *c, enum sql_query query, const struct sql_values *values,
		     unsigned count)
{
	if (count == 1)
		return send_one(c, query, values);
	if (!PQenterPipelineMode(c->pg))
		return false;
	for (unsigned i = 0; i < count; i++)
		if (!send_one(c, query, &values[i]))
			return false;
	return PQpipelineSync(c->pg);
}

static bool add_rows(const PGresult *result, unsigned set, struct sql_rows *rows)
{
	struct sql_cell cells[SQL_COLUMNS_MAX];
	int columns = PQnfields(result);

	if (columns > SQL_COLUMNS_MAX)
		return false;
	for (int row = 0; row < PQntuples(result); row++) {
		for (int i = 0; i < columns; i++)
			cells[i] = (struct sql_cell){.name = PQfname(result, i),
						     .value = PQgetisnull(result, row, i)
								      ? NULL
								      : PQgetvalue(result, row, i),
						     .size = (size_t)PQgetlength(result, row, i)};
		if (!sql_rows_add(rows, set, cells, (unsigned)columns))
			return false;
	}
	return true;
}

static enum sql_result too_much(char why[SQL_WHY])
{
	snprintf(why, SQL_WHY, "the query finds too many rows or columns for one name");
	return SQL_TOO_MUCH;
}

/* The meaning of one result, of spelling number set. */
static enum sql_result take(struct connection *c, const PGresult *answer, unsigned set,
			    struct sql_rows *rows, char why[SQL_WHY])
{
	switch (PQresultStatus(answer)) {
	case PGRES_SINGLE_TUPLE:
	case PGRES_TUPLES_OK:
		return add_rows(answer, set, rows) ? SQL_DONE : too_much(why);
	case PGRES_COMMAND_OK:
	case PGRES_PIPELINE_SYNC:
	case PGRES_PIPELINE_ABORTED: /* by an earlier one, which was judged */
		return SQL_DONE;
	default:
		return judge(c, answer, why);
	}
}

/* All results of spelling number set, up to the NULL behind them. */
static enum sql_result take_all(struct connection *c, unsigned set, uint64_t deadline,
				struct sql_rows *rows, char why[SQL_WHY])
{
	enum sql_result verdict = SQL_DONE, result;
	PGresult *answer;

	PQsetSingleRowMode(c->pg); /* so that a query without end does not fill the memory */
	while ((result = next(c, deadline, &answer, why)) == SQL_DONE && answer) {
		if (verdict == SQL_DONE)
			verdict = take(c, answer, set, rows, why);
		PQclear(answer);
		if (verdict == SQL_BROKEN || verdict == SQL_TOO_MUCH)
			return verdict;
	}
	return result == SQL_DONE ? verdict : result;
}

static enum sql_result end_pipeline(struct connection *c, uint64_t deadline, char why[SQL_WHY])
{
	PGresult *answer = NULL;
	enum sql_result result = next(c, deadline, &answer, why);
	bool synced = result == SQL_DONE && PQresultStatus(answer) == PGRES_PIPELINE_SYNC;

	PQclear(answer);
	if (result != SQL_DONE)
		return result;
	return synced && PQexitPipelineMode(c->pg) ? SQL_DONE : broken(c, why);
}

static enum sql_result run(void *connection, enum sql_query query, const struct sql_values *values,
			   unsigned count, uint64_t deadline, struct sql_rows *rows,
			   char why[SQL_WHY])
{
	struct connection *c = connection;
	enum sql_result verdict = SQL_DONE, result = SQL_DONE;

	if (!c->prepared[query])
		result = prepare(c, query, deadline, why);
	if (result != SQL_DONE)
		return result;
	if (!send_all(c, query, values, count))
		return broken(c, why);
	for (unsigned i = 0; i < count; i++) {
		char own[SQL_WHY];

		result = take_all(c, i, deadline, rows, own);
		if (verdict == SQL_DONE && result != SQL_DONE) {
			verdict = result;
			snprintf(why, SQL_WHY, "%s", own);
		}
		if (result == SQL_BROKEN || result == SQL_LATE || result == SQL_TOO_MUCH)
			return verdict;
	}
	if (count > 1) {
		result = end_pipeline(c, deadline, why);
		if (result != SQL_DONE)
			return result;
	}
	return verdict;
}

const struct sql_backend sql_postgresql = {
	.connect = open_connection,
	.run = run,
	.close = close_connection,
};
