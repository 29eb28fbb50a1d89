/* Lists of networks that a user may log in from: "192.0.2.0/24, 2001:db8::/32, 198.51.100.7".
 * Separated by commas or blanks. No I/O. */
#ifndef USERS_NETWORKS_H
#define USERS_NETWORKS_H

#include <pop3/span.h>

#include <stdbool.h>
#include <stdint.h>

/* Whether list is one or more networks and nothing else. */
bool networks_valid(pop3_span list);
/* Whether one of them has the address (IPv4 mapped). A list that is none has no address. */
bool networks_have(pop3_span list, const uint8_t address[16]);

#endif
