/* See pool.h. */
#include "lookup/sql/pool.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	FIRST_WAIT_MS = 1000,
	LAST_WAIT_MS = 30 * 1000,
	IDLE_MS = 5 * 60 * 1000, /* a firewall may have forgotten an older connection */
};

/* A host that failed is tried again after wait, by one worker; the others go on to the next. */
struct host {
	uint64_t retry_at, changed_at, alive_at;
	unsigned wait; /* 0: it is not known to be bad */
};

struct sql_pool {
	const struct sql_site *site;
	const struct sql_backend *backend;
	pthread_mutex_t mutex;
	struct host hosts[SQL_HOSTS_MAX];
	char why[SQL_WHY]; /* of the last failure */
};

/* A worker's connection. */
struct link {
	void *connection;
	unsigned host;
	uint64_t used_at;
	bool worked[SQL_QUERIES]; /* on this connection */
};

uint64_t sql_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int sql_left(uint64_t deadline)
{
	uint64_t now = sql_now();

	return now < deadline ? (int)(deadline - now < 600000 ? deadline - now : 600000) : 0;
}

int sql_wait(int fd, int events, uint64_t deadline)
{
	struct pollfd ready = {.fd = fd, .events = (short)events};
	int left, n;

	do {
		left = sql_left(deadline);
		n = left > 0 ? poll(&ready, 1, left) : 0;
	} while (n < 0 && errno == EINTR);
	if (n <= 0)
		return 0;
	return ready.revents & (POLLERR | POLLHUP | POLLNVAL) ? events : ready.revents;
}

enum sql_tls sql_site_tls(const struct sql_site *site, unsigned host)
{
	if (site->tls != SQL_TLS_AUTO)
		return site->tls;
	return sql_target_is_local(&site->target, host) ? SQL_TLS_OFF : SQL_TLS_VERIFY;
}

struct sql_pool *sql_pool_create(const struct sql_site *site, const struct sql_backend *backend)
{
	struct sql_pool *pool = calloc(1, sizeof(*pool));

	if (!pool)
		return NULL;
	pool->site = site;
	pool->backend = backend;
	pthread_mutex_init(&pool->mutex, NULL);
	return pool;
}

void sql_pool_destroy(struct sql_pool *pool)
{
	if (pool)
		pthread_mutex_destroy(&pool->mutex);
	free(pool);
}

/* ---- hosts ---- */

/* Whether a host may be tried now. One that failed is one worker's to try; it is his for a while.
 */
static bool claim(struct sql_pool *pool, unsigned i)
{
	struct host *host = &pool->hosts[i];
	uint64_t now = sql_now();
	bool mine;

	pthread_mutex_lock(&pool->mutex);
	mine = !host->wait || host->retry_at <= now;
	if (mine && host->wait)
		host->retry_at = now + pool->site->timeout + host->wait;
	pthread_mutex_unlock(&pool->mutex);
	return mine;
}

static void mark_good(struct sql_pool *pool, unsigned i)
{
	struct host *host = &pool->hosts[i];

	pthread_mutex_lock(&pool->mutex);
	host->alive_at = sql_now();
	if (host->wait) {
		host->wait = 0;
		host->changed_at = host->alive_at;
	}
	pthread_mutex_unlock(&pool->mutex);
}

/* begun: what other workers found out since then is newer. */
static void mark_bad(struct sql_pool *pool, unsigned i, uint64_t begun, const char *why)
{
	struct host *host = &pool->hosts[i];
	uint64_t now = sql_now();

	pthread_mutex_lock(&pool->mutex);
	if (host->changed_at <= begun && host->alive_at <= begun) {
		unsigned next = host->wait ? host->wait * 2 : FIRST_WAIT_MS;

		host->wait = next < LAST_WAIT_MS ? next : LAST_WAIT_MS;
		host->retry_at = now + host->wait;
		host->changed_at = now;
	}
	snprintf(pool->why, sizeof(pool->why), "%s", why);
	pthread_mutex_unlock(&pool->mutex);
}

/* ---- connections ---- */

/* A host that hangs leaves time for those after it. */
static uint64_t share_of(uint64_t deadline, unsigned hosts_left)
{
	uint64_t now = sql_now();

	return now < deadline ? now + (deadline - now) / hosts_left : deadline;
}

static bool connect_host(struct sql_pool *pool, struct link *link, unsigned i, uint64_t deadline)
{
	unsigned left = pool->site->target.host_count - i;
	uint64_t begun = sql_now();
	char why[SQL_WHY] = "";

	if (!claim(pool, i))
		return false;
	*link = (struct link){.host = i, .used_at = begun};
	link->connection = pool->backend->connect(pool->site, i, share_of(deadline, left), why);
	if (!link->connection) {
		mark_bad(pool, i, begun, why);
		return false;
	}
	mark_good(pool, i);
	return true;
}

static bool open_link(struct sql_pool *pool, struct link *link, uint64_t deadline,
		      char why[SQL_WHY])
{
	if (link->connection && sql_now() - link->used_at < IDLE_MS)
		return true;
	if (link->connection)
		pool->backend->close(link->connection);
	link->connection = NULL;
	for (unsigned i = 0; i < pool->site->target.host_count; i++)
		if (connect_host(pool, link, i, deadline))
			return true;
	pthread_mutex_lock(&pool->mutex);
	snprintf(why, SQL_WHY, "%s", pool->why);
	pthread_mutex_unlock(&pool->mutex);
	return false;
}

static void close_link(struct sql_pool *pool, struct link *link)
{
	if (link->connection)
		pool->backend->close(link->connection);
	link->connection = NULL;
}

/* Whether a new connection may help. A statement that went well before was forgotten, or its tables
 * changed. */
static bool is_stale(const struct link *link, enum sql_query query, enum sql_result result,
		     bool fresh)
{
	return (result == SQL_BROKEN && !fresh) || (result == SQL_FAILED && link->worked[query]);
}

static void note_result(struct sql_pool *pool, struct link *link, enum sql_query query,
			enum sql_result result, uint64_t begun, const char *why)
{
	if (result == SQL_BROKEN || result == SQL_LATE || result == SQL_TOO_MUCH) {
		close_link(pool, link);
		/* an update may wait for a lock, a list take long: that says nothing about
		 * questions */
		if (query != SQL_LAST_LOGIN_UPDATE && query != SQL_LIST_QUERY &&
		    result != SQL_TOO_MUCH)
			mark_bad(pool, link->host, begun, why);
		return;
	}
	mark_good(pool, link->host);
	link->used_at = sql_now();
	if (result == SQL_DONE)
		link->worked[query] = true;
}

enum sql_result sql_pool_run(struct sql_pool *pool, void **connection, enum sql_query query,
			     const struct sql_values *values, unsigned count, uint64_t deadline,
			     struct sql_rows *rows, char why[SQL_WHY])
{
	struct link *link = *connection;
	struct lookup_answer *answer = rows->answer;
	enum sql_result result;
	bool fresh;

	if (!link)
		*connection = link = calloc(1, sizeof(*link));
	snprintf(why, SQL_WHY, "out of memory");
	if (!link)
		return SQL_BROKEN;
	do {
		uint64_t begun;

		fresh = !link->connection;
		if (!open_link(pool, link, deadline, why))
			return SQL_BROKEN;
		begun = sql_now();
		sql_rows_begin(rows, answer);
		result = pool->backend->run(link->connection, query, values, count, deadline, rows,
					    why);
		if (is_stale(link, query, result, fresh)) {
			close_link(pool, link);
			continue;
		}
		note_result(pool, link, query, result, begun, why);
		break;
	} while (true);
	return result;
}

void sql_pool_close(struct sql_pool *pool, void **connection)
{
	if (*connection)
		close_link(pool, *connection);
	free(*connection);
	*connection = NULL;
}
