/*
 * A client library behind a table of functions: postgresql.c, mysql.c, sqlite.c, each of which may
 * be left out of a build. A connection is one worker thread's; calls block until their deadline at
 * most (CLOCK_MONOTONIC, milliseconds), but for the system's resolver.
 */
#ifndef LOOKUP_SQL_BACKEND_H
#define LOOKUP_SQL_BACKEND_H

#include "lookup/sql/query.h"
#include "lookup/sql/rows.h"
#include "lookup/sql/target.h"

#include <pop3/span.h>

enum sql_tls { SQL_TLS_AUTO, SQL_TLS_OFF, SQL_TLS_ENCRYPT, SQL_TLS_VERIFY };

enum sql_query {
	SQL_USER_QUERY,
	SQL_RECIPIENT_QUERY,
	SQL_LAST_LOGIN_UPDATE,
	SQL_LIST_QUERY,
	SQL_QUERIES
};

/* The settings of a database. They live as long as the process. */
struct sql_site {
	struct sql_target target;
	struct sql_statement statements[SQL_QUERIES];
	enum sql_tls tls;
	const char *ca_file, *certificate_file, *key_file, *password; /* "": none */
	unsigned timeout; /* milliseconds that a statement may run */
};

/* Parameters of one spelling. */
struct sql_values {
	pop3_span value[SQL_VALUES];
	char lower[256]; /* the name with its ASCII letters in lower case */
	unsigned name;   /* its place in the question */
};

enum sql_result {
	SQL_DONE,
	SQL_BROKEN,    /* the connection is to be closed; on a new one it may go well */
	SQL_LATE,      /* no answer until the deadline; the connection is to be closed */
	SQL_SLOW,      /* the database gave up: its own time limit, a lock */
	SQL_FAILED,    /* the database refuses the statement: a table is missing … */
	SQL_TOO_MUCH,  /* rows without end; the connection is to be closed */
	SQL_BAD_VALUE, /* it cannot take these values */
	SQL_NO_NAME, /* the database's character set does not have this name: nobody is called so */
};

enum { SQL_WHY = 200 };

struct sql_backend {
	/* Before the sandbox, once; may be NULL. */
	int (*load)(struct err *err);
	/* NULL: why says what happened. */
	void *(*connect)(const struct sql_site *site, unsigned host, uint64_t deadline,
			 char why[SQL_WHY]);
	/* Runs a statement for each of count spellings, best first, as few round trips as can be;
	 * it may stop after the first that has rows. Anything but SQL_DONE: why. */
	enum sql_result (*run)(void *connection, enum sql_query query,
			       const struct sql_values *values, unsigned count, uint64_t deadline,
			       struct sql_rows *rows, char why[SQL_WHY]);
	void (*close)(void *connection);
};

extern const struct sql_backend sql_postgresql, sql_mysql, sql_sqlite;

/* The protection of a connection to that host: never SQL_TLS_AUTO. */
enum sql_tls sql_site_tls(const struct sql_site *site, unsigned host);
uint64_t sql_now(void);
/* Milliseconds until deadline, for poll(). */
int sql_left(uint64_t deadline);
/* Waits until fd can be read or written (POLLIN, POLLOUT). Returns what can be done; 0: the
 * deadline is over. */
int sql_wait(int fd, int events, uint64_t deadline);

#endif
