/*
 * The authorities that a TLS client trusts, with all that the library looks up for its connections.
 * Reading a file of authorities costs more than a handshake does, so a process that forks others
 * makes this once, and they inherit it. Unprivileged; the files are the user's or the system's.
 * Made by tls_client.c for itself, and by the parent of `valija fetch --watch`.
 */
#ifndef SYS_TLS_TRUST_H
#define SYS_TLS_TRUST_H

#include "base/err.h"

#include <stdbool.h>

struct tls_trust;

/* file: PEM. NULL: the system's authorities, or none at all (pinned keys stand for them). -1: err
 * names the file. */
int tls_trust_create(const char *file, bool none, struct tls_trust **ret, struct err *err);
/* Connections that use it keep what they need. NULL is none. */
void tls_trust_destroy(struct tls_trust *trust);
/* False: the file that was read is another one now. */
bool tls_trust_current(const struct tls_trust *trust);
/* Has the library look up its algorithms now: processes that are forked from this one share them,
 * and each saves milliseconds. */
void tls_trust_warm(void);

#endif
