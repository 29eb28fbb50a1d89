/* See last_login.h. */
#include "lookup/sql/last_login.h"

#include "base/table.h"
#include "base/text.h"
#include "lookup/sql/values.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
	USERS_MAX = 1 << 20, /* remembered for the day; those beyond are not written */
	WAITING_MAX = 256,
	TIMEOUT_MS = 2000,
};

struct noted {
	struct table_node node; /* key: hash of the name */
};

struct last_login {
	struct sql_pool *pool;
	unsigned timeout;
	pthread_mutex_t mutex;
	struct table noted; /* of the day */
	uint32_t day;
	bool writing; /* a worker is at it */
	unsigned waiting;
	struct sql_values queue[WAITING_MAX];
};

struct last_login *last_login_create(struct sql_pool *pool, unsigned timeout)
{
	struct last_login *logins = calloc(1, sizeof(*logins));

	if (!logins)
		return NULL;
	logins->pool = pool;
	logins->timeout = timeout < TIMEOUT_MS ? timeout : TIMEOUT_MS;
	pthread_mutex_init(&logins->mutex, NULL);
	table_init(&logins->noted);
	return logins;
}

static void forget(struct table_node *node, void *context)
{
	struct last_login *logins = context;

	table_remove(&logins->noted, node);
	free(CONTAINER(node, struct noted, node));
}

void last_login_destroy(struct last_login *logins)
{
	if (!logins)
		return;
	table_each(&logins->noted, forget, logins);
	table_finish(&logins->noted);
	pthread_mutex_destroy(&logins->mutex);
	free(logins);
}

/* ---- with the mutex held ---- */

static uint64_t key_of(const struct sql_values *values)
{
	return hash_octets(values->lower, strlen(values->lower));
}

static bool add(struct last_login *logins, const struct sql_values *values, uint32_t day)
{
	struct noted *noted;

	if (day < logins->day)
		return false;
	if (day > logins->day)
		table_each(&logins->noted, forget, logins);
	logins->day = day;
	if (logins->noted.count >= USERS_MAX || table_find(&logins->noted, key_of(values)))
		return false;
	noted = malloc(sizeof(*noted));
	if (noted)
		table_add(&logins->noted, &noted->node, key_of(values));
	return noted != NULL;
}

static void take_back(struct last_login *logins, const struct sql_values *values)
{
	struct table_node *node = table_find(&logins->noted, key_of(values));

	if (node)
		forget(node, logins);
}

/* Whether the caller is to write; else another worker does, or nobody. */
static bool begin(struct last_login *logins, const struct sql_values *values, uint32_t day)
{
	if (!add(logins, values, day))
		return false;
	if (!logins->writing) {
		logins->writing = true;
		return true;
	}
	if (logins->waiting == WAITING_MAX)
		take_back(logins, values);
	else
		sql_values_copy(&logins->queue[logins->waiting++], values);
	return false;
}

static bool next(struct last_login *logins, bool written, struct sql_values *values)
{
	if (!written)
		take_back(logins, values);
	if (logins->waiting == 0) {
		logins->writing = false;
		return false;
	}
	sql_values_copy(values, &logins->queue[--logins->waiting]);
	return true;
}

/* ---- without it ---- */

static bool write_down(struct last_login *logins, void **connection,
		       const struct sql_values *values)
{
	struct sql_rows rows = {.answer = NULL};
	char why[SQL_WHY];

	return sql_pool_run(logins->pool, connection, SQL_LAST_LOGIN_UPDATE, values, 1,
			    sql_now() + logins->timeout, &rows, why) == SQL_DONE;
}

void last_login_note(struct last_login *logins, void **connection, const char *name, uint32_t day)
{
	struct sql_values values;
	bool go_on, written;

	if (!sql_values_set(&values, name, 0, "", "pop3"))
		return;
	pthread_mutex_lock(&logins->mutex);
	go_on = begin(logins, &values, day);
	pthread_mutex_unlock(&logins->mutex);
	while (go_on) {
		written = write_down(logins, connection, &values);
		pthread_mutex_lock(&logins->mutex);
		go_on = next(logins, written, &values);
		pthread_mutex_unlock(&logins->mutex);
	}
}
