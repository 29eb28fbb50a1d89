/*
 * `connect`: which kind of database, where, and as which user: "postgresql:host=db1,db2 port=5432
 * dbname=mail user=valija", "mysql:…", "sqlite:/path". Pure. In lookup processes of driver sql,
 * before the sandbox.
 */
#ifndef LOOKUP_SQL_TARGET_H
#define LOOKUP_SQL_TARGET_H

#include "base/err.h"
#include "lookup/sql/query.h"

#include <stdbool.h>

enum { SQL_HOSTS_MAX = 8 };

struct sql_target {
	enum sql_dialect dialect;
	char text[2048];                  /* the values stand here */
	const char *hosts[SQL_HOSTS_MAX]; /* name, address, or path of a Unix socket; "": the
					      library's own place */
	unsigned ports[SQL_HOSTS_MAX];    /* 0: the usual one */
	unsigned host_count;
	const char *database, *user; /* "": none; of sqlite: the path */
};

/* Returns 0, or -1 with err: not understood, a password in it … */
int sql_target_parse(const char *connect, struct sql_target *ret, struct err *err);
/* Whether host number index is this machine: nobody else reads what goes there. */
bool sql_target_is_local(const struct sql_target *target, unsigned index);

#endif
