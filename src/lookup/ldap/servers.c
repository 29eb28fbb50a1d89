/* See servers.h. */
#include "lookup/ldap/servers.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

void servers_init(struct servers *servers)
{
	*servers = (struct servers){.count = 0};
	pthread_mutex_init(&servers->lock, NULL);
}

int servers_add(struct servers *servers, const char *address, struct err *err)
{
	if (servers->count == SERVERS_MAX)
		return err_set(err, EX_CONFIG, "servers: at most %d", SERVERS_MAX);
	servers->list[servers->count++].address = address;
	return 0;
}

bool servers_next(struct servers *servers, unsigned from, uint64_t now, uint64_t patience,
		  struct server_try *ret)
{
	*ret = (struct server_try){.left = 0};
	pthread_mutex_lock(&servers->lock);
	for (unsigned i = from; i < servers->count; i++) {
		if (now < servers->list[i].until)
			continue;
		if (ret->left++ == 0) {
			ret->server = i;
			ret->wait = servers->list[i].wait;
		}
	}
	if (ret->wait)
		servers->list[ret->server].until = now + patience;
	pthread_mutex_unlock(&servers->lock);
	return ret->left > 0;
}

void servers_good(struct servers *servers, const struct server_try *tried)
{
	struct server *good = &servers->list[tried->server];

	pthread_mutex_lock(&servers->lock);
	good->until = good->wait = 0;
	pthread_mutex_unlock(&servers->lock);
}

void servers_bad(struct servers *servers, const struct server_try *tried, uint64_t now,
		 const char *why)
{
	struct server *bad = &servers->list[tried->server];

	pthread_mutex_lock(&servers->lock);
	if (bad->wait == tried->wait) {
		bad->wait = bad->wait ? bad->wait * 2 : SERVERS_BACKOFF_MIN;
		if (bad->wait > SERVERS_BACKOFF_MAX)
			bad->wait = SERVERS_BACKOFF_MAX;
		bad->until = now + bad->wait;
	}
	snprintf(bad->why, sizeof(bad->why), "%s", why);
	pthread_mutex_unlock(&servers->lock);
}

void servers_why(struct servers *servers, char *buf, size_t size)
{
	size_t used = 0;

	if (size)
		buf[0] = '\0';
	pthread_mutex_lock(&servers->lock);
	for (unsigned i = 0; i < servers->count; i++) {
		const struct server *server = &servers->list[i];
		int n;

		if (!server->wait || used >= size)
			continue;
		n = snprintf(buf + used, size - used, "%s%s: %s", used ? "; " : "", server->address,
			     server->why);
		if (n > 0)
			used += (size_t)n;
	}
	pthread_mutex_unlock(&servers->lock);
}
