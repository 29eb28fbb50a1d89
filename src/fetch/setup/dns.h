/* The POP3 servers of a domain by DNS: SRV (RFC 6186) and MX. dns_srv_read and dns_mx_read are
 * pure: answers come from the network, unsigned. */
#ifndef FETCH_SETUP_DNS_H
#define FETCH_SETUP_DNS_H

#include "base/err.h"

#include <pop3/span.h>

#include <stdint.h>

enum { DNS_NAME_MAX = 256, DNS_ANSWER_MAX = 8192 };

struct dns_target {
	char name[DNS_NAME_MAX]; /* without the last dot; "": the service is not offered */
	uint16_t port;           /* of SRV */
};

/* The first by priority, then by weight. 1; 0: the answer has none; -1: it cannot be read. */
int dns_srv_read(pop3_span answer, struct dns_target *ret);
int dns_mx_read(pop3_span answer, struct dns_target *ret);

/* service: "_pop3s._tcp". 1: found, 0: DNS has nothing, or cannot be asked now. */
int dns_srv(const char *service, const char *domain, struct dns_target *ret);
int dns_mx(const char *domain, struct dns_target *ret);

#endif
