/*
 * Listening sockets, the monitor's: they outlive generations, so a reload loses no connection. A
 * TCP address of POP3 has one socket a front (SO_REUSEPORT: the kernel spreads connections). POP3S
 * and a path have one for all: there a front takes a connection when it has time for the handshake,
 * and none waits behind another's handshakes while a front has nothing to do.
 */
#ifndef SERVER_MONITOR_LISTENERS_H
#define SERVER_MONITOR_LISTENERS_H

#include "base/err.h"
#include "config/config.h"

struct listeners;

struct listeners *listeners_create(void);
void listeners_destroy(struct listeners *listeners);
/* Makes what config asks for and is not there yet, for so many fronts. On failure what was there
 * stays as it was. */
int listeners_open(struct listeners *listeners, const struct config *config, unsigned fronts,
		   struct err *err);
/* Looks at each socket, opens those anew that listen no more (a child may have shut one, or
 * somebody with a copy of it), and names each new one. Returns how many could not be opened. */
typedef void listeners_opened(void *context, const struct config_listener *wanted, unsigned front);
unsigned listeners_mend(struct listeners *listeners, listeners_opened *opened, void *context);
/* Closes what config no longer asks for. */
void listeners_retain(struct listeners *listeners, const struct config *config, unsigned fronts);
/* The socket of config's listener for front index; -1: none. Stays the listeners'. */
int listeners_fd(const struct listeners *listeners, const struct config_listener *wanted,
		 unsigned front);
/* "pop3 127.0.0.1:1110, …" with the real port where 0 was asked for. */
void listeners_describe(const struct listeners *listeners, char *buf, size_t size);

#endif
