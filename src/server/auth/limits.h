/*
 * Who is connected from where and logged in as whom, and who failed lately: one place for all
 * fronts. Runs in auth, on the loop. Bounded: an address costs an entry only while it is connected
 * or its failures are remembered.
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
	struct table addresses, users;
	uint32_t connections;
};

void limits_init(struct limits *limits, const struct config *config);
/* A connection from address (IPv6 is counted by /64). NULL and a reason: too many, or no memory.
 * forced: not refused. */
struct limit_address *limits_connect(struct limits *limits, const uint8_t address[16], bool forced,
				     enum reason *ret_why);
void limits_disconnect(struct limits *limits, struct limit_address *address);
/* Milliseconds to wait before the n-th failure of a connection (from 1) is answered; remembers it
 * for the address (not for loopback: behind that stand proxies and webmail, that is, everybody). */
uint32_t limits_failed(struct limits *limits, struct limit_address *address, uint32_t n,
		       uint64_t now);
/* A user's session. NULL: too many. */
struct limit_user *limits_login(struct limits *limits, pop3_span name);
void limits_logout(struct limits *limits, struct limit_user *user);
/* Forgets old failures; call about once a minute. now: milliseconds. */
void limits_sweep(struct limits *limits, uint64_t now);

#endif
