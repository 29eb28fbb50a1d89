/*
 * Bare and salted digests that other servers' passwd-files hold ({SSHA512}, {PLAIN-MD5}, …):
 * verified so that a site can bring its users along, never made. Used within users only.
 */
#ifndef USERS_DIGESTS_H
#define USERS_DIGESTS_H

#include "users/schemes.h"

#include <stdbool.h>

bool digest_scheme_known(pop3_span name);
enum scheme_verdict digest_verify(pop3_span name, pop3_span payload, const struct secret *password);

#endif
