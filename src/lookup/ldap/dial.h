/*
 * A socket to an LDAP server, within a deadline: libldap's own connecting gives each address of a
 * host the whole time. Blocks; worker threads.
 */
#ifndef LOOKUP_LDAP_DIAL_H
#define LOOKUP_LDAP_DIAL_H

#include "base/err.h"

#include <stdint.h>

/* CLOCK_MONOTONIC in milliseconds, what deadlines are. */
uint64_t dial_now(void);
/* Returns a descriptor, or -1 with err. A host that has several addresses shares the time among
 * them. */
int dial_tcp(const char *host, unsigned port, uint64_t deadline, struct err *err);
int dial_unix(const char *path, uint64_t deadline, struct err *err);

#endif
