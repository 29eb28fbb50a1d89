/* Networks as people write them, "192.0.2.0/24" or "2001:db8::/32"; an address alone is itself. No
 * I/O. Any process. */
#ifndef CONFIG_NETWORK_H
#define CONFIG_NETWORK_H

#include <pop3/span.h>

#include <stdbool.h>
#include <stdint.h>

struct config_network {
	uint8_t address[16]; /* IPv4 mapped */
	uint32_t bits;       /* of address */
};

/* -1: it is none. */
int config_network_parse(pop3_span text, struct config_network *ret);
/* address: IPv4 mapped or IPv6. */
bool config_network_has(const struct config_network *network, const uint8_t address[16]);
/* 127.0.0.0/8 or ::1. */
bool config_network_is_loopback(const uint8_t address[16]);

#endif
