/*
 * Passwords that one process writes down and another one reads: sealed with the public half of a
 * key pair, opened with the private half, so that the process that seals, and the disk, give
 * nothing back. RSA-OAEP with 3072 bits, SHA-256 and the name of the user as its label, which makes
 * all of one size; an HMAC over label and seal tells them from what somebody else has sealed. Both
 * halves are texts: a line with the key of the HMAC, and PEM. Any process and thread. Reading a key
 * loads OpenSSL's providers: before the sandbox, and only where passwords are sealed.
 */
#ifndef BASE_SEAL_H
#define BASE_SEAL_H

#include "base/err.h"
#include "base/secret.h"

#include <pop3/span.h>

enum {
	SEAL_PASSWORD_MAX = 318, /* octets: of the size, less what OAEP takes */
	SEAL_TEXT_SIZE = 556,    /* of what is sealed, in base64 */
	SEAL_FILE_MAX = 4096,    /* octets of a text with a key */
};

struct seal_key;

/* Makes a pair: texts, which end with NUL; the caller wipes both. */
int seal_make(char opens[SEAL_FILE_MAX], char seals[SEAL_FILE_MAX], struct err *err);
/* Reads one of them. opens: the private half. -1 with err. */
int seal_key_read(pop3_span text, bool opens, struct seal_key **ret, struct err *err);
void seal_key_free(struct seal_key *key); /* NULL is legal */
/* 60 microseconds. -1: the password is empty or too long, or no octets are random. */
int seal_password(const struct seal_key *key, pop3_span label, pop3_span password,
		  char text[SEAL_TEXT_SIZE + 1]);
/* -1: it was sealed by somebody without the key, or for another label, or is damaged. */
int seal_open(const struct seal_key *key, pop3_span label, pop3_span text, struct secret *ret);

#endif
