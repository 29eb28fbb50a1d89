/* The kind of a stored password, found without computing anything. Used within users only. */
#ifndef USERS_SCHEME_KINDS_H
#define USERS_SCHEME_KINDS_H

#include <pop3/span.h>

enum scheme_kind {
	SCHEME_KIND_PLAIN,
	SCHEME_KIND_CRYPT, /* everything libxcrypt verifies */
	SCHEME_KIND_ARGON2,
	SCHEME_KIND_SCRAM_SHA_1,
	SCHEME_KIND_SCRAM_SHA_256,
	SCHEME_KIND_CRAM_MD5,
	SCHEME_KIND_DIGEST, /* SHA256, SSHA512, PLAIN-MD5, …: verified, never made */
	SCHEME_KIND_LOCKED, /* empty, "*", "!", "x": no password is right */
	SCHEME_KIND_UNKNOWN,
	SCHEME_KIND_COUNT
};

/* stored: as in the file. *ret_payload: what is behind "{SCHEME}", within stored. */
enum scheme_kind scheme_kind(const char *stored, pop3_span *ret_payload);

#endif
