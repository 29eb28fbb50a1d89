/*
 * Through a proxy to the server: SOCKS5 (RFC 1928, 1929) and HTTP CONNECT (RFC 9110 section 9.3.6),
 * over a connected non-blocking socket. The proxy sees the server's name and port, then TLS. For
 * connect.c; replies are hostile and bounded.
 */
#ifndef FETCH_SESSION_PROXY_H
#define FETCH_SESSION_PROXY_H

#include "fetch/account/account.h"

#include <pop3/span.h>

enum {
	PROXY_REPLY_MAX = 8192,
	PROXY_REQUEST_MAX = 1024,
};

/* Requests that a SOCKS5 proxy answers. */
enum proxy_step { PROXY_METHOD, PROXY_LOGIN, PROXY_CONNECT };

/* Asks for host and port until deadline (fetch_now). -1: err names the proxy. */
int proxy_open(int fd, const struct fetch_proxy *proxy, const char *host, uint16_t port,
	       int64_t deadline, struct err *err);

/* Pure. Octets of a whole reply at the front of in; 0: more is needed; -1: it is no reply, or one
 * that refuses. ret_method: of PROXY_METHOD, 0 or 2. */
int proxy_parse_socks(enum proxy_step step, pop3_span in, int *ret_method, struct err *err);
int proxy_parse_http(pop3_span in, struct err *err);
/* Pure: the request to connect; octets, -1: the host does not fit. */
int proxy_socks_request(const char *host, uint16_t port, unsigned char buf[PROXY_REQUEST_MAX]);
int proxy_http_request(const struct fetch_proxy *proxy, const char *host, uint16_t port,
		       char buf[PROXY_REQUEST_MAX]);

#endif
