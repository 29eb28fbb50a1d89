/*
 * Requests of Postfix's policy service: lines "NAME=VALUE", ended by an empty one. Octets in, the
 * attributes that count out: no I/O, no memory. Every octet is hostile.
 */
#ifndef SERVER_MTA_POLICY_REQUEST_H
#define SERVER_MTA_POLICY_REQUEST_H

#include <pop3/span.h>

#include <stdbool.h>
#include <stdint.h>

enum {
	POLICY_LINE_MAX = 1024, /* octets of a line that is read; a longer one is passed over */
	POLICY_REQUEST_MAX = 64 * 1024, /* octets of a request */
	POLICY_ADDRESS_MAX = 512,
};

enum policy_status { POLICY_WHOLE, POLICY_MORE, POLICY_BAD };

struct policy_request {
	char line[POLICY_LINE_MAX]; /* the beginning of a line */
	size_t line_size;
	bool line_long;
	size_t taken; /* octets of this request */
	char recipient[POLICY_ADDRESS_MAX];
	size_t recipient_size;
	bool has_recipient, has_kind;
	bool doubtful; /* what is asked, and about whom, is not clear */
	uint64_t size; /* of the message, as its sender says; 0: not known */
};

void policy_request_init(struct policy_request *request);
/* Takes octets off the front of *in, those of this request only. BAD: it is none. After WHOLE or
 * BAD the struct must be initialized for another one. */
enum policy_status policy_request_take(struct policy_request *request, pop3_span *in);
/* The recipient of a whole request that asks about one, clearly; else empty. Lives in request. */
pop3_span policy_request_recipient(const struct policy_request *request);

#endif
