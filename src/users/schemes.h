/*
 * Password schemes: "{SCHEME}secret" as Dovecot writes them. Verifying may take tens of
 * milliseconds on purpose. Thread-safe.
 */
#ifndef USERS_SCHEMES_H
#define USERS_SCHEMES_H

#include "base/err.h"
#include "base/secret.h"

#include <stdbool.h>

enum scheme_verdict {
	SCHEME_MATCH,
	SCHEME_MISMATCH,
	SCHEME_BROKEN /* unknown scheme or damaged: [SYS/PERM], log it */
};

/* stored: NUL-terminated, with {SCHEME}. Constant-time comparison. err says what is broken. */
enum scheme_verdict scheme_verify(const char *stored, const struct secret *password,
				  struct err *err);
/* Whether there may be a password that stored accepts, by its form alone: nothing is computed. */
bool scheme_can_match(const char *stored);
/* Does the same work for a user who does not exist as for the entry like (of the site's usual
 * scheme; NULL: yescrypt). Never a match. */
void scheme_verify_dummy(const char *like, const struct secret *password);
#define SCHEME_USUAL "YESCRYPT" /* what commands make of passwords, unless told otherwise */
/* Makes a stored form: name is PLAIN, YESCRYPT, BLF-CRYPT, SHA512-CRYPT, SHA256-CRYPT,
 * ARGON2ID, SCRAM-SHA-1, SCRAM-SHA-256, CRAM-MD5. */
int scheme_make(const char *name, const struct secret *password, char *buf, size_t size,
		struct err *err);
/* NULL-terminated list for messages and man pages. */
const char *const *scheme_names(void);

#endif
