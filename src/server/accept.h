/*
 * Connections from the listening sockets that the monitor sent: the part that POP3 and LMTP fronts
 * share. Runs in fronts. When descriptors are short it pauses, so that open sessions go on.
 */
#ifndef SERVER_ACCEPT_H
#define SERVER_ACCEPT_H

#include "config/config.h"
#include "sys/loop.h"
#include "sys/tls_session.h"

#include <stdint.h>

/* A new socket may arrive before the front sees that the old one was shut. */
#define ACCEPT_LISTENERS_MAX (2 * CONFIG_LISTENERS_MAX)

struct acceptor;

enum accepted_proxied {
	PROXIED_NOT,
	PROXIED_CLIENT, /* a proxy named the client */
	PROXIED_ITSELF, /* it is the proxy's own connection, such as a health check */
};

struct accepted {
	enum config_service service;
	uint32_t listener;   /* its place in the configuration */
	uint8_t address[16]; /* IPv4 mapped; all zero: a Unix socket */
	char text[64];       /* the same for people; "": a Unix socket */
	uint16_t port;
	bool loopback; /* also a Unix socket; never where it is proxied */
	enum accepted_proxied proxied;
	enum tls_protocol tls;   /* between client and proxy, if that counts; else TLS_NONE */
	const char *tls_version; /* the same for people; lives for ever. NULL: none */
};

struct accept_listener {
	struct loop_watch watch;
	struct acceptor *acceptor;
	enum config_service service;
	uint32_t place; /* in the configuration */
};

struct acceptor {
	struct loop *loop;
	/* Whether there is room for a connection more. False: they wait in the kernel for a while.
	 */
	bool (*room)(struct acceptor *acceptor);
	/* Takes *fd (sets it to -1), else the caller closes it. */
	void (*take)(struct acceptor *acceptor, int *fd, const struct accepted *from);
	void *context;
	/* A listening socket was shut and is closed: the monitor must send another. */
	void (*dead)(struct acceptor *acceptor);
	struct accept_listener listeners[ACCEPT_LISTENERS_MAX]; /* watch.fd -1: a free place */
	unsigned count;
	int wanted; /* what all sockets are watched for now */
	bool stopped, paused;
	struct loop_timer again;
};

void acceptor_init(struct acceptor *acceptor, struct loop *loop, bool (*room)(struct acceptor *),
		   void (*take)(struct acceptor *, int *, const struct accepted *),
		   void (*dead)(struct acceptor *), void *context);
/* place: of the listener in the configuration. */
void acceptor_add(struct acceptor *acceptor, enum config_service service, uint32_t place, int *fd);
void acceptor_start(struct acceptor *acceptor);
/* There may be room again: what waits is not left waiting for the end of a pause. */
void acceptor_go_on(struct acceptor *acceptor);
/* Closes this process's copies of the sockets: other processes go on accepting from them. */
void acceptor_stop(struct acceptor *acceptor);

#endif
