/*
 * Counts of connections by address and of sessions by user, and recent failures: one place for all
 * fronts. On auth's loop. Bounded: an address has an entry only while it is connected or its
 * failures are remembered. An IPv6 address is its /64; its /56 and its /48 are counted as well, and
 * may have four and 16 times as much.
 */
#ifndef SERVER_AUTH_LIMITS_H
#define SERVER_AUTH_LIMITS_H

#include "base/table.h"
#include "config/config.h"
#include "ipc/reason.h"

#include <pop3/span.h>

#include <stdbool.h>
#include <stdint.h>

struct limit_address;
struct limit_user;

struct limits {
	const struct config *config;
	struct table addresses, blocks, users;
	uint32_t connections;
};

void limits_init(struct limits *limits, const struct config *config);
/* Counts a connection from address (IPv6: its /64). Returns NULL and a reason: too many
 * connections, or no memory. forced: the limit does not refuse it. */
struct limit_address *limits_connect(struct limits *limits, const uint8_t address[16], bool forced,
				     enum reason *ret_why);
/* The canonical form of a connection's address (IPv6: its /64); lives as long as the address. */
const uint8_t *limits_network(const struct limit_address *address);
bool limits_is_loopback(const struct limit_address *address);
/* Whether logins from the address failed recently. */
bool limits_has_failures(const struct limit_address *address, uint64_t now);
void limits_disconnect(struct limits *limits, struct limit_address *address);
/* Counts a failed login. Returns the milliseconds to wait before the n-th failure of a connection
 * (from 1) is answered. The address remembers the failure, unless it is loopback: there proxies and
 * webmail connect for all users. */
uint32_t limits_failed(struct limits *limits, struct limit_address *address, uint32_t n,
		       uint64_t now);
/* Counts a login that was given up after it had cost work. Returns whether that is a failure: the
 * first one of an address is none, nor is any of a loopback address, unless n, the number of those
 * of its connection, says so. */
bool limits_given_up(struct limit_address *address, uint32_t n, uint64_t now);
/* Counts a user's session. NULL: the user has too many. */
struct limit_user *limits_login(struct limits *limits, pop3_span name);
void limits_logout(struct limits *limits, struct limit_user *user);
/* Forgets old failures; called about once a minute. now: milliseconds. */
void limits_sweep(struct limits *limits, uint64_t now);

#endif
