/*
 * Connections of all workers to the hosts of one database: which host is tried, when one that
 * failed is tried again, and what happens to a question whose connection breaks. In worker threads;
 * the state of hosts is shared by them.
 */
#ifndef LOOKUP_SQL_POOL_H
#define LOOKUP_SQL_POOL_H

#include "lookup/sql/backend.h"

struct sql_pool;

/* site and backend stay the caller's. NULL: out of memory. */
struct sql_pool *sql_pool_create(const struct sql_site *site, const struct sql_backend *backend);
void sql_pool_destroy(struct sql_pool *pool);
/* Runs a query on the worker's connection; opens it first if need be. SQL_BROKEN: no host can be
 * asked. See backend.h. */
enum sql_result sql_pool_run(struct sql_pool *pool, void **connection, enum sql_query query,
			     const struct sql_values *values, unsigned count, uint64_t deadline,
			     struct sql_rows *rows, char why[SQL_WHY]);
void sql_pool_close(struct sql_pool *pool, void **connection);

#endif
