/*
 * The door to libevent's HTTP server: GET and HEAD, one request a connection, a bounded number of
 * connections, each with a deadline. In status, the only process that has it.
 */
#ifndef SERVER_STATUS_HTTP_H
#define SERVER_STATUS_HTTP_H

#include "base/err.h"
#include "sys/loop.h"

#include <stdio.h>

struct http;

struct http_answer {
	int code; /* 200 … */
	const char *type;
};

struct http_handler {
	/* Writes the answer to a request for path (without a query); accept: what the client takes,
	 * "" if it did not say. */
	void (*answer)(void *context, const char *path, const char *accept, FILE *out,
		       struct http_answer *ret);
	/* A listening socket was shut: another is needed. */
	void (*dead)(void *context);
	void *context;
};

struct http *http_create(struct loop *loop, const struct http_handler *handler, struct err *err);
/* Takes connections from a listening socket; *fd is taken over. */
void http_listen(struct http *http, int *fd);
/* Closes all sockets. */
void http_destroy(struct http *http);

#endif
