/*
 * last_login_update: writes down that a user logged in, at most once a user and day, and never with
 * more than one of the workers. What cannot be written is given up; the user's next login tries
 * again. In worker threads.
 */
#ifndef LOOKUP_SQL_LAST_LOGIN_H
#define LOOKUP_SQL_LAST_LOGIN_H

#include "lookup/sql/pool.h"

struct last_login;

/* NULL: out of memory. */
struct last_login *last_login_create(struct sql_pool *pool, unsigned timeout);
void last_login_destroy(struct last_login *logins);
/* connection: the worker's. day: since 1970. */
void last_login_note(struct last_login *logins, void **connection, const char *name, uint32_t day);

#endif
