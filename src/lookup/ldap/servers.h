/*
 * The servers of a database: the one that is tried next, and how long none is. What one worker
 * learns about a server holds for all. Any thread.
 */
#ifndef LOOKUP_LDAP_SERVERS_H
#define LOOKUP_LDAP_SERVERS_H

#include "base/err.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SERVERS_MAX = 16, SERVERS_BACKOFF_MIN = 1000, SERVERS_BACKOFF_MAX = 30000 };

struct server {
	const char *address;
	uint64_t until; /* not tried before */
	uint64_t wait;  /* the next pause, 0: it was good */
	char why[256];  /* the last failure */
};

struct servers {
	pthread_mutex_t lock;
	unsigned count;
	struct server list[SERVERS_MAX];
};

void servers_init(struct servers *servers);
/* address lives as long as servers. -1 with err. */
int servers_add(struct servers *servers, const char *address, struct err *err);

/* A server that is tried. */
struct server_try {
	unsigned server;
	unsigned left; /* servers that may be tried, with this one */
	uint64_t wait; /* its pause when the try began: of failures together one counts */
};

/* The first server from number `from` on that may be tried. One that failed is tried by one worker
 * at a time, who has `patience` milliseconds. False: there is none. */
bool servers_next(struct servers *servers, unsigned from, uint64_t now, uint64_t patience,
		  struct server_try *ret);
void servers_good(struct servers *servers, const struct server_try *tried);
void servers_bad(struct servers *servers, const struct server_try *tried, uint64_t now,
		 const char *why);
/* Why none can be tried. */
void servers_why(struct servers *servers, char *buf, size_t size);

#endif
