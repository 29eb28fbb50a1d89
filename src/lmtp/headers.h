/*
 * The lines that final delivery puts in front of a message (RFC 5321 section 4.4): Return-Path,
 * Delivered-To, Received. Used by the LMTP front and by `valija deliver`. Every text from outside
 * is filtered, so that nothing can inject a line or end one.
 */
#ifndef LMTP_HEADERS_H
#define LMTP_HEADERS_H

#include <pop3/span.h>

#include <stdbool.h>
#include <stdint.h>

enum {
	LMTP_HEADERS_MAX = 3072, /* octets that lmtp_headers_render() needs at most */
	LMTP_DATE_MAX = 40,      /* octets of a date with its NUL, and more */
};

struct lmtp_trace {
	pop3_span sender;       /* path without "<>"; "" the null sender */
	pop3_span recipient;    /* path without "<>": Delivered-To; "": no such line */
	pop3_span peer_name;    /* the name given in LHLO; "": no "from" */
	pop3_span peer_address; /* its IP address; "": a Unix socket */
	pop3_span host_name;
	pop3_span protocol; /* "LMTP", "UTF8LMTP" (RFC 6531 4.3), "local" */
	pop3_span id;       /* of the delivery; "": none */
	int64_t time;       /* seconds since 1970, UTC */
};

/* Writes the lines, CRLF-ended, to out (cap >= LMTP_HEADERS_MAX). Returns octets written. */
size_t lmtp_headers_render(const struct lmtp_trace *trace, char *out, size_t cap);

/* An RFC 5322 date-time in UTC ("Sat, 1 Feb 2025 03:04:05 +0000") with a NUL. out has
 * LMTP_DATE_MAX octets. Returns octets without the NUL. */
size_t lmtp_date(int64_t time, char *out);

#endif
