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
#include "ipc/messages.h"

#include <pop3/span.h>

#include <stdbool.h>
#include <stdint.h>

struct limit_address;
struct limit_user;

struct limits {
	const struct config *config;
	struct table addresses, blocks, users;
	uint32_t connections;
	uint64_t changes; /* of penalties: failures, and logins that were given up */
};

void limits_init(struct limits *limits, const struct config *config);
/* Counts a connection from address (IPv6: its /64). Returns NULL and a reason: too many
 * connections, or no memory. local: a loopback address is this machine's; else a proxy named it.
 * forced: the limit does not refuse it. */
struct limit_address *limits_connect(struct limits *limits, const uint8_t address[16], bool local,
				     bool forced, enum reason *ret_why);
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
bool limits_given_up(struct limits *limits, struct limit_address *address, uint32_t n,
		     uint64_t now);
/* Counts a user's session. NULL: the user has too many. */
struct limit_user *limits_login(struct limits *limits, pop3_span name);
/* The name that limits_login was called with. */
pop3_span limits_user_name(const struct limit_user *user);
/* Calls visit for some of the users that have a session: see table_scan. */
typedef void limits_visit(void *context, pop3_span name, uint32_t sessions);
uint64_t limits_scan_users(const struct limits *limits, uint64_t cursor, limits_visit *visit,
			   void *context);
void limits_logout(struct limits *limits, struct limit_user *user);
/* Calls visit with the recent failures of each address, then of each wider network of IPv6. */
void limits_penalties(struct limits *limits, uint64_t now,
		      void (*visit)(const struct ipc_penalty *row, void *context), void *context);
/* The same for some addresses alone: see table_scan for the cursor, 0 at first and at the end. */
uint64_t limits_penalties_from(struct limits *limits, uint64_t now, uint64_t cursor,
			       void (*visit)(const struct ipc_penalty *row, void *context),
			       void *context);
/* Takes such a row, which may be anybody's: the greater penalty stays. False: it cannot be right,
 * is too old, or there is no memory. */
bool limits_take_penalty(struct limits *limits, const struct ipc_penalty *row, uint64_t now);
/* Forgets old failures; called about once a minute. now: milliseconds. */
void limits_sweep(struct limits *limits, uint64_t now);

#endif
