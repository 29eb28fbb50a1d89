/*
 * The two mechanisms that log in with an access token: XOAUTH2 (Google, Microsoft) and OAUTHBEARER
 * (RFC 7628). Pure; for sasl.c, in the fetch process. Challenges are hostile.
 */
#ifndef FETCH_SESSION_BEARER_H
#define FETCH_SESSION_BEARER_H

#include <pop3/span.h>

#include <stddef.h>
#include <stdint.h>

enum { BEARER_STATUS_MAX = 64 };

/* The client's first octets, not yet in base64, with a NUL behind them; -1: no room, or a control
 * character inside. */
int bearer_xoauth2(const char *user, pop3_span token, char *out, size_t cap);
int bearer_oauthbearer(const char *user, const char *host, uint16_t port, pop3_span token,
		       char *out, size_t cap);
/* The status in the JSON text with which a server explains a refusal ("401", "invalid_token"),
 * printable; "unknown" where it cannot be read. */
void bearer_status(pop3_span json, char out[BEARER_STATUS_MAX]);

#endif
