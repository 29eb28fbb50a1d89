/*
 * SCRAM's keys (RFC 5802, 7677) and their stored form, "ITERATIONS,SALT,STOREDKEY,SERVERKEY" with
 * the three in base64. Thread-safe, used within users only.
 */
#ifndef USERS_SCRAM_H
#define USERS_SCRAM_H

#include "base/secret.h"

#include <stdint.h>

#define SCRAM_KEY_MAX 32
#define SCRAM_SALT_MAX 64
#define SCRAM_ITERATIONS 10000 /* of entries made here */

struct scram_hash {
	const char *name; /* "SCRAM-SHA-256", also the scheme's */
	size_t size;
};
extern const struct scram_hash scram_sha_1, scram_sha_256;

struct scram_keys {
	uint32_t iterations;
	size_t salt_size;
	unsigned char salt[SCRAM_SALT_MAX];
	unsigned char stored_key[SCRAM_KEY_MAX];
	unsigned char server_key[SCRAM_KEY_MAX];
};

/* -1: damaged. */
int scram_parse(const struct scram_hash *hash, pop3_span payload, struct scram_keys *ret);
int scram_print(const struct scram_hash *hash, const struct scram_keys *keys, char *buf,
		size_t size);
/* Fills the keys from iterations, salt and the password, which is prepared by SASLprep first. -1:
 * out of memory. */
int scram_derive(const struct scram_hash *hash, const struct secret *password,
		 struct scram_keys *keys);

#endif
