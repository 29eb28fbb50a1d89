/*
 * MariaDB and MySQL, by libmariadb, which stands in no other file, with its calls that do not
 * block: each is begun, and gone on with when the connection is ready. At the deadline the socket
 * is shut: then the call that is under way comes to its end.
 */
#include "lookup/sql/backend.h"

#include "base/text.h"

#include <errmsg.h>
#include <mysql.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>

enum {
	STACK = 256 * 1024, /* octets; host names are looked up on it, too */
	PACKET_MAX = 1 << 20,
	CLOSE_MS = 1000,
};

/* Errors of servers; the library's header has the client's only. */
enum {
	ER_UNKNOWN_SYSTEM_VARIABLE = 1193,
	ER_LOCK_WAIT_TIMEOUT = 1205,
	ER_CANT_AGGREGATE_2COLLATIONS = 1267,
	ER_CANT_AGGREGATE_3COLLATIONS = 1270,
	ER_CANT_AGGREGATE_NCOLLATIONS = 1271,
	ER_TRUNCATED_WRONG_VALUE = 1292,
	ER_INVALID_CHARACTER_STRING = 1300,
	ER_STATEMENT_TIMEOUT = 1969,
	ER_QUERY_TIMEOUT = 3024,
	ER_CANNOT_CONVERT_STRING = 3854,
};
static const unsigned broken_errors[] = {1053, 1152, 1158, 1159, 1160, 1161, 1927};

struct connection {
	MYSQL *mysql;
	const struct sql_site *site;
	MYSQL_STMT *prepared[SQL_QUERIES];
	uint64_t deadline;
	bool late;   /* the socket was shut at the deadline */
	bool unread; /* rows of a result are: nothing else can be asked */
	char values[IPC_ANSWER_MAX];
};

/* ---- calls ---- */

/* Waits for what the library waits for. */
static int wait_for(struct connection *c, int status)
{
	int events = (status & MYSQL_WAIT_READ ? POLLIN : 0) |
		     (status & MYSQL_WAIT_WRITE ? POLLOUT : 0) |
		     (status & MYSQL_WAIT_EXCEPT ? POLLPRI : 0);
	int fd = mysql_get_socket(c->mysql), ready = 0;

	if (!c->late)
		ready = sql_wait(fd, events, c->deadline);
	if (!ready) {
		c->late = true;
		shutdown(fd, SHUT_RDWR);
		return status & ~MYSQL_WAIT_TIMEOUT;
	}
	return (ready & POLLIN ? MYSQL_WAIT_READ : 0) | (ready & POLLOUT ? MYSQL_WAIT_WRITE : 0) |
	       (ready & POLLPRI ? MYSQL_WAIT_EXCEPT : 0);
}

static bool do_connect(struct connection *c, unsigned host)
{
	const struct sql_target *target = &c->site->target;
	const char *name = target->hosts[host];
	bool local = !*name || *name == '/';
	MYSQL *ret = NULL;
	int status = mysql_real_connect_start(
		&ret, c->mysql, local ? NULL : name, *target->user ? target->user : NULL,
		c->site->password, target->database, target->ports[host], *name ? name : NULL, 0);

	while (status)
		status = mysql_real_connect_cont(&ret, c->mysql, wait_for(c, status));
	return ret != NULL;
}

static int do_query(struct connection *c, const char *text)
{
	int ret = 1, status = mysql_real_query_start(&ret, c->mysql, text, strlen(text));

	while (status)
		status = mysql_real_query_cont(&ret, c->mysql, wait_for(c, status));
	return ret;
}

static int do_prepare(struct connection *c, MYSQL_STMT *prepared, const char *text)
{
	int ret = 1, status = mysql_stmt_prepare_start(&ret, prepared, text, strlen(text));

	while (status)
		status = mysql_stmt_prepare_cont(&ret, prepared, wait_for(c, status));
	return ret;
}

static int do_execute(struct connection *c, MYSQL_STMT *prepared)
{
	int ret = 1, status = mysql_stmt_execute_start(&ret, prepared);

	while (status)
		status = mysql_stmt_execute_cont(&ret, prepared, wait_for(c, status));
	return ret;
}

static int do_fetch(struct connection *c, MYSQL_STMT *prepared)
{
	int ret = 1, status = mysql_stmt_fetch_start(&ret, prepared);

	while (status)
		status = mysql_stmt_fetch_cont(&ret, prepared, wait_for(c, status));
	return ret;
}

static bool do_free(struct connection *c, MYSQL_STMT *prepared)
{
	my_bool ret = 1;
	int status = mysql_stmt_free_result_start(&ret, prepared);

	while (status)
		status = mysql_stmt_free_result_cont(&ret, prepared, wait_for(c, status));
	return !ret;
}

static void do_close_statement(struct connection *c, MYSQL_STMT *prepared)
{
	my_bool ret;
	int status = mysql_stmt_close_start(&ret, prepared);

	while (status)
		status = mysql_stmt_close_cont(&ret, prepared, wait_for(c, status));
}

static void do_close(struct connection *c)
{
	int status = mysql_close_start(c->mysql);

	while (status)
		status = mysql_close_cont(c->mysql, wait_for(c, status));
}

/* ---- errors ---- */

static bool is_broken(unsigned error)
{
	for (size_t i = 0; i < sizeof(broken_errors) / sizeof(broken_errors[0]); i++)
		if (broken_errors[i] == error)
			return true;
	return error >= CR_MIN_ERROR && error <= CR_MYSQL_LAST_ERROR;
}

static enum sql_result judge(const struct connection *c, unsigned error, const char *text,
			     char why[SQL_WHY])
{
	if (c->late) {
		snprintf(why, SQL_WHY, "it did not answer in time");
		return SQL_LATE;
	}
	text_escape(why, SQL_WHY - 1, span_of(text));
	if (is_broken(error) || error >= CER_MIN_ERROR)
		return SQL_BROKEN;
	switch (error) {
	case ER_STATEMENT_TIMEOUT:
	case ER_QUERY_TIMEOUT:
	case ER_LOCK_WAIT_TIMEOUT:
		return SQL_SLOW;
	case ER_CANT_AGGREGATE_2COLLATIONS:
	case ER_CANT_AGGREGATE_3COLLATIONS:
	case ER_CANT_AGGREGATE_NCOLLATIONS:
	case ER_INVALID_CHARACTER_STRING:
	case ER_CANNOT_CONVERT_STRING:
		return SQL_NO_NAME;
	case ER_TRUNCATED_WRONG_VALUE:
		return SQL_BAD_VALUE;
	}
	return SQL_FAILED;
}

static enum sql_result judge_statement(const struct connection *c, MYSQL_STMT *prepared,
				       char why[SQL_WHY])
{
	return judge(c, mysql_stmt_errno(prepared), mysql_stmt_error(prepared), why);
}

/* ---- connections ---- */

static int load(struct err *err)
{
	if (mysql_library_init(0, NULL, NULL) == 0)
		return 0;
	return err_set(err, EX_OSERR, "the library for MariaDB cannot be used");
}

static void set_tls(MYSQL *mysql, const struct sql_site *site, enum sql_tls tls)
{
	my_bool on = 1, verify = tls == SQL_TLS_VERIFY;

	if (tls == SQL_TLS_OFF)
		return;
	mysql_optionsv(mysql, MYSQL_OPT_SSL_ENFORCE, &on);
	mysql_optionsv(mysql, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify);
	if (verify)
		mysql_optionsv(mysql, MYSQL_OPT_SSL_CA, site->ca_file);
	if (*site->certificate_file)
		mysql_optionsv(mysql, MYSQL_OPT_SSL_CERT, site->certificate_file);
	if (*site->key_file)
		mysql_optionsv(mysql, MYSQL_OPT_SSL_KEY, site->key_file);
}

static void set_options(MYSQL *mysql, const struct sql_site *site, unsigned host)
{
	const char *name = site->target.hosts[host];
	unsigned off = 0,
		 protocol = *name && *name != '/' ? MYSQL_PROTOCOL_TCP : MYSQL_PROTOCOL_SOCKET;
	unsigned long packet = PACKET_MAX;
	size_t stack = STACK;

	mysql_optionsv(mysql, MYSQL_OPT_NONBLOCK, &stack);
	mysql_optionsv(mysql, MYSQL_OPT_PROTOCOL, &protocol);
	mysql_optionsv(mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4");
	mysql_optionsv(mysql, MYSQL_OPT_MAX_ALLOWED_PACKET, &packet);
	/* a server may ask for neither a file of ours nor the password as it is */
	mysql_optionsv(mysql, MYSQL_OPT_LOCAL_INFILE, &off);
	mysql_optionsv(mysql, MARIADB_OPT_RESTRICTED_AUTH,
		       "mysql_native_password,client_ed25519,caching_sha2_password,"
		       "sha256_password");
	set_tls(mysql, site, sql_site_tls(site, host));
}

/* Says goodbye, as long as that does not take long; rows that are unread are not read for it. */
static void close_connection(void *connection)
{
	struct connection *c = connection;

	c->deadline = sql_now() + CLOSE_MS;
	if (c->unread)
		shutdown(mysql_get_socket(c->mysql), SHUT_RDWR);
	for (unsigned i = 0; i < SQL_QUERIES; i++)
		if (c->prepared[i])
			do_close_statement(c, c->prepared[i]);
	if (c->mysql)
		do_close(c);
	explicit_bzero(c->values, sizeof(c->values));
	free(c);
}

/* MariaDB's setting, in seconds, or else MySQL's, in milliseconds. */
static int limit_statements(struct connection *c)
{
	unsigned ms = c->site->timeout;
	char text[80];

	snprintf(text, sizeof(text), "SET SESSION max_statement_time=%u.%03u", ms / 1000,
		 ms % 1000);
	if (do_query(c, text) == 0)
		return 0;
	if (mysql_errno(c->mysql) != ER_UNKNOWN_SYSTEM_VARIABLE)
		return -1;
	snprintf(text, sizeof(text), "SET SESSION max_execution_time=%u", ms);
	return do_query(c, text);
}

static void *open_connection(const struct sql_site *site, unsigned host, uint64_t deadline,
			     char why[SQL_WHY])
{
	struct connection *c = calloc(1, sizeof(*c));

	snprintf(why, SQL_WHY, "out of memory");
	if (!c)
		return NULL;
	c->site = site;
	c->deadline = deadline;
	c->mysql = mysql_init(NULL);
	if (!c->mysql) {
		close_connection(c);
		return NULL;
	}
	set_options(c->mysql, site, host);
	if (do_connect(c, host) && limit_statements(c) == 0)
		return c;
	judge(c, mysql_errno(c->mysql), mysql_error(c->mysql), why);
	close_connection(c);
	return NULL;
}

/* ---- queries ---- */

static enum sql_result prepare(struct connection *c, enum sql_query query, char why[SQL_WHY])
{
	const struct sql_statement *statement = &c->site->statements[query];
	MYSQL_STMT *prepared = mysql_stmt_init(c->mysql);
	enum sql_result result = SQL_FAILED;

	snprintf(why, SQL_WHY, "out of memory");
	if (!prepared)
		return SQL_FAILED;
	if (do_prepare(c, prepared, statement->text) != 0) {
		result = judge_statement(c, prepared, why);
	} else if (mysql_stmt_param_count(prepared) != statement->count) {
		snprintf(why, SQL_WHY, "the query has parameters besides its placeholders");
	} else {
		c->prepared[query] = prepared;
		return SQL_DONE;
	}
	do_close_statement(c, prepared);
	return result;
}

static void bind_values(const struct connection *c, enum sql_query query,
			const struct sql_values *values, MYSQL_BIND bound[SQL_PARAMETERS_MAX])
{
	const struct sql_statement *statement = &c->site->statements[query];
	static char nothing[1];

	memset(bound, 0, statement->count * sizeof(*bound));
	for (unsigned i = 0; i < statement->count; i++) {
		pop3_span value = values->value[statement->values[i]];
		union {
			const char *in;
			char *out;
		} text = {.in = value.size ? value.data : nothing};

		bound[i].buffer_type = MYSQL_TYPE_STRING;
		bound[i].buffer = text.out; /* it is read only */
		bound[i].buffer_length = value.size;
	}
}

/* Copies a column of the row as text to values, of which *used octets are. */
static void take_cell(struct connection *c, MYSQL_STMT *prepared, unsigned i, size_t *used,
		      struct sql_cell *ret)
{
	size_t room = sizeof(c->values) - *used;
	unsigned long size = 0;
	my_bool null = 0, error = 0;
	MYSQL_BIND out = {.buffer_type = MYSQL_TYPE_STRING,
			  .buffer = c->values + *used,
			  .buffer_length = room,
			  .length = &size,
			  .is_null = &null,
			  .error = &error};

	if (mysql_stmt_fetch_column(prepared, &out, i, 0) != 0 || (!null && size > room)) {
		ret->too_long = true;
	} else if (!null) {
		ret->value = c->values + *used;
		ret->size = size;
		*used += size;
	}
}

static bool add_row(struct connection *c, MYSQL_STMT *prepared, const MYSQL_FIELD *fields,
		    unsigned columns, unsigned set, struct sql_rows *rows)
{
	struct sql_cell cells[SQL_COLUMNS_MAX];
	size_t used = 0;

	for (unsigned i = 0; i < columns; i++) {
		cells[i] = (struct sql_cell){.name = fields[i].name};
		take_cell(c, prepared, i, &used, &cells[i]);
	}
	return sql_rows_add(rows, set, cells, columns);
}

static enum sql_result take_rows(struct connection *c, MYSQL_STMT *prepared, unsigned set,
				 struct sql_rows *rows, char why[SQL_WHY])
{
	unsigned columns = mysql_stmt_field_count(prepared);
	MYSQL_RES *names = columns ? mysql_stmt_result_metadata(prepared) : NULL;
	bool enough = columns > SQL_COLUMNS_MAX;
	int rc = columns ? 0 : MYSQL_NO_DATA;

	if (columns && !names)
		return judge_statement(c, prepared, why);
	while (!enough && (rc == 0 || rc == MYSQL_DATA_TRUNCATED)) {
		rc = do_fetch(c, prepared);
		if (rc == 0 || rc == MYSQL_DATA_TRUNCATED)
			enough = !add_row(c, prepared, mysql_fetch_fields(names), columns, set,
					  rows);
	}
	if (names)
		mysql_free_result(names);
	if (enough) {
		c->unread = true;
		snprintf(why, SQL_WHY, "the query finds too many rows or columns for one name");
		return SQL_TOO_MUCH;
	}
	return rc == MYSQL_NO_DATA && do_free(c, prepared) ? SQL_DONE
							   : judge_statement(c, prepared, why);
}

static enum sql_result run(void *connection, enum sql_query query, const struct sql_values *values,
			   unsigned count, uint64_t deadline, struct sql_rows *rows,
			   char why[SQL_WHY])
{
	struct connection *c = connection;
	MYSQL_BIND bound[SQL_PARAMETERS_MAX];
	enum sql_result result = SQL_DONE;

	c->deadline = deadline;
	if (!c->prepared[query])
		result = prepare(c, query, why);
	for (unsigned i = 0; i < count && result == SQL_DONE && !rows->count; i++) {
		MYSQL_STMT *prepared = c->prepared[query];

		bind_values(c, query, &values[i], bound);
		if (mysql_stmt_bind_param(prepared, bound) || do_execute(c, prepared) != 0)
			result = judge_statement(c, prepared, why);
		else
			result = take_rows(c, prepared, i, rows, why);
	}
	return result;
}

const struct sql_backend sql_mysql = {
	.load = load,
	.connect = open_connection,
	.run = run,
	.close = close_connection,
};
