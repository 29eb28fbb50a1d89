/*
 * Lines of the protocol of Dovecot's auth socket, as its clients send them: fields, separated by
 * tabs. Octets in, a struct out: no I/O, no memory. Every octet is hostile.
 */
#ifndef SERVER_MTA_FIELDS_H
#define SERVER_MTA_FIELDS_H

#include <pop3/span.h>

#include <stdbool.h>
#include <stdint.h>

enum {
	FIELDS_LINE_MAX = 16384 + 1024, /* octets of a line, without its end */
	FIELDS_RESPONSE_MAX = 16384,
	FIELDS_MECHANISM_MAX = 64,
};

enum fields_line {
	FIELDS_VERSION, /* of a version that is understood */
	FIELDS_CPID,
	FIELDS_AUTH,
	FIELDS_CONT,
	FIELDS_CANCEL,
	FIELDS_OTHER, /* of a later version: passed over */
	FIELDS_BAD    /* not the protocol */
};

/* Spans are parts of the line. */
struct fields {
	uint32_t id;         /* of the exchange: AUTH, CONT, CANCEL */
	pop3_span mechanism; /* AUTH */
	pop3_span response;  /* base64, not checked: AUTH, CONT */
	bool has_response;   /* AUTH */
	bool secured;        /* the MTA's client has TLS */
	bool has_address, bad_address;
	uint8_t address[16]; /* of the MTA's client, IPv4 mapped; all zero: none */
	uint16_t port;
};

enum fields_line fields_parse(pop3_span line, struct fields *ret);
/* Whether an address is one of this machine, or none. */
bool fields_is_local(const uint8_t address[16]);
/* Writes text so that it can stand in a field, cut at size octets. Returns octets written. */
size_t fields_escape(pop3_span text, char *buf, size_t size);

#endif
