/*
 * The client's side of SASL and APOP, over GNU SASL; initialised only when a login needs it. One
 * exchange: start, then step per challenge.
 */
#ifndef FETCH_SESSION_SASL_H
#define FETCH_SESSION_SASL_H

#include "base/err.h"
#include "base/secret.h"

#include <pop3/span.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fetch_sasl;

struct fetch_sasl_settings {
	const char *mechanism;
	const char *user;
	const struct secret *password; /* or a token */
	const char *host;
	uint16_t port;
	const unsigned char *binding; /* tls-exporter, 32 octets, or NULL */
};

/* settings stay until fetch_sasl_finish() */
int fetch_sasl_start(const struct fetch_sasl_settings *settings, struct fetch_sasl **ret,
		     struct err *err);
void fetch_sasl_finish(struct fetch_sasl *sasl);
/*
 * Takes a challenge in base64 (empty at the start) and writes the answer in base64 to out (wiped by
 * the caller). Returns its length; -1: the exchange fails, err has the reason.
 */
int fetch_sasl_step(struct fetch_sasl *sasl, pop3_span challenge, char *out, size_t cap,
		    struct err *err);
/* The mechanism is content: for SCRAM, the server has proved that it knows the password too. */
bool fetch_sasl_complete(const struct fetch_sasl *sasl);

/* The status with which the server has refused a token, printable; "": it has said nothing. */
const char *fetch_sasl_token_error(const struct fetch_sasl *sasl);

/* APOP's digest of stamp and password as 32 hex digits. */
void fetch_apop_digest(pop3_span stamp, const struct secret *password, char out[33]);

#endif
