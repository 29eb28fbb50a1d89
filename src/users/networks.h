/* Lists of networks that a user may log in from: "192.0.2.0/24, 2001:db8::/32, 198.51.100.7".
 * Separated by commas or blanks. No I/O. */
#ifndef USERS_NETWORKS_H
#define USERS_NETWORKS_H

#include <pop3/span.h>

#include <stdbool.h>
#include <stdint.h>

struct network {
	uint8_t address[16]; /* IPv4 mapped */
	uint8_t bits;        /* of address: an IPv4 network has 96 at least */
};

/* One network or address, "192.0.2.0/24". An address has all 128 bits. False: it is none. */
bool network_parse(pop3_span text, struct network *ret);
/* Sets the octets behind the network's bits to 0. */
void network_trim(struct network *network);
/* Whether the network has the address (IPv4 mapped). */
bool network_has(const struct network *network, const uint8_t address[16]);
/* The same, but an IPv6 network never has an IPv4 address, however wide it is. */
bool network_has_family(const struct network *network, const uint8_t address[16]);
/* Whether list is one or more networks and nothing else. */
bool networks_valid(pop3_span list);
/* Whether one of them has the address (IPv4 mapped). A list that is none has no address. */
bool networks_have(pop3_span list, const uint8_t address[16]);

#endif
