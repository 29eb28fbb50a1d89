/*
 * The stored form of {CRAM-MD5}: the MD5 states after HMAC's outer and inner key block (RFC 2104
 * section 4), 64 hex digits, enough to answer CRAM-MD5 (RFC 2195) without the password.
 * Thread-safe, used within users only.
 */
#ifndef USERS_CRAM_MD5_H
#define USERS_CRAM_MD5_H

#include "base/secret.h"

#define CRAM_MD5_HEX 64

void cram_md5_make(const struct secret *password, char hex[CRAM_MD5_HEX + 1]);
/* The 32 hex digits a client answers challenge with. -1: hex is damaged. */
int cram_md5_answer(pop3_span hex, pop3_span challenge, char answer[33]);

#endif
