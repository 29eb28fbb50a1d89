/*
 * The header of the PROXY protocol, versions 1 and 2 (HAProxy's proxy-protocol.txt), as a receiver
 * reads it: octets in, in pieces of any size, then the address of the client. A state machine
 * without I/O; it takes no octet that stands behind the header. In fronts; every octet is hostile.
 */
#ifndef SERVER_PROXY_HEADER_H
#define SERVER_PROXY_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum proxy_status {
	PROXY_MORE, /* it is not complete */
	PROXY_DONE,
	PROXY_BAD, /* that is no header: nothing of the connection is to be used */
};

enum {
	PROXY_LINE_MAX = 107, /* octets of a header of version 1 */
	PROXY_TLS_MAX = 15,   /* octets of a TLS version that are kept: "TLSv1.3" */
};

/* Embedded; all zero at first. What is read from it after PROXY_DONE: */
struct proxy_header {
	bool local;          /* LOCAL, UNKNOWN, a Unix socket: no address; it is the proxy's own
				connection, such as a health check */
	uint8_t address[16]; /* of the client, IPv4 mapped */
	uint16_t port;
	bool tls; /* the client speaks TLS with the proxy */
	char tls_version[PROXY_TLS_MAX + 1];

	/* the machine's alone */
	uint8_t state, text[PROXY_LINE_MAX + 1];
	uint8_t tlv, part; /* types of the TLV and of the TLV in it */
	uint8_t part_at;   /* octets of the head of that part */
	bool has_crc, has_tls, by_proxy;
	uint16_t at;               /* octets of text */
	uint16_t left;             /* octets of the header that are to come */
	uint16_t addresses;        /* octets of them */
	uint16_t tlv_size, tlv_at; /* octets of the TLV's value, and those that came */
	uint16_t part_left;
	uint32_t crc, crc_sent;
};

/* Takes octets from data; sets *ret_used to how many belong to the header. Not called again after
 * another status than PROXY_MORE. */
enum proxy_status proxy_header_take(struct proxy_header *header, const uint8_t *data, size_t size,
				    size_t *ret_used);

#endif
