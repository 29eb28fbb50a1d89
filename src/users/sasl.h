/*
 * The server side of SASL (PLAIN and LOGIN, the others by GNU SASL), the one door to it: an
 * exchange takes the client's octets and returns ours; it gets a user's data through a struct of
 * callbacks. Synchronous; one exchange is in one thread at a time. Used within users only.
 */
#ifndef USERS_SASL_H
#define USERS_SASL_H

#include "base/err.h"
#include "base/secret.h"
#include "users/scram.h"

#include <stdbool.h>

struct sasl_context; /* one a process */
struct sasl_exchange;

enum sasl_status {
	SASL_MORE,    /* output is the challenge */
	SASL_DONE,    /* finished; output may hold the server's final message (SCRAM) */
	SASL_DENIED,  /* malformed, wrong proof, unknown */
	SASL_FAILURE, /* ours: no memory */
};

struct sasl_callbacks {
	void *argument;
	/* PLAIN, LOGIN: the credentials as the client sent them; they are checked afterwards. */
	void (*simple)(void *argument, pop3_span authid, pop3_span authzid, pop3_span password);
	/* SCRAM: the keys of authid; never fails (unknown users get keys that no proof fits). */
	void (*scram)(void *argument, const struct scram_hash *hash, pop3_span authid,
		      pop3_span authzid, struct scram_keys *ret);
};

int sasl_context_create(struct sasl_context **ret, struct err *err);
void sasl_context_destroy(struct sasl_context *context);

/* mechanism: PLAIN, LOGIN, SCRAM-SHA-…[-PLUS]. exporter: tls-exporter data, empty when there is
 * none or when PLUS is not offered. callbacks must outlive the exchange. NULL: unknown or no
 * memory. */
struct sasl_exchange *sasl_start(struct sasl_context *context, const char *mechanism,
				 pop3_span exporter, const struct sasl_callbacks *callbacks);
/* The output lives until the next step. */
enum sasl_status sasl_step(struct sasl_exchange *exchange, pop3_span input, pop3_span *ret_output);
void sasl_finish(struct sasl_exchange *exchange);

#endif
