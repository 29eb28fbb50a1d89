/*
 * LOGIN-DELAY (RFC 2449 section 6.5): when each user logged in last, for a site where the next
 * login may come too soon. Kept as 64-bit hashes under a key of this process, in bounded memory:
 * where more users logged in than have room, the one that did so least recently is forgotten, and
 * may log in again too early. Times end with the process: after a reload or a restart every user
 * may log in once. On auth's loop.
 */
#ifndef SERVER_AUTH_LOGIN_DELAYS_H
#define SERVER_AUTH_LOGIN_DELAYS_H

#include "server/auth/recent.h"

#include <pop3/span.h>

#include <stdbool.h>
#include <stdint.h>

/* The user has logged in. name: in any case of its letters; now: milliseconds of a clock that never
 * goes back. */
void login_delays_put(struct recent *delays, pop3_span name, uint64_t now);
/* Whether the user's last login was less than seconds ago. */
bool login_delays_has(const struct recent *delays, pop3_span name, uint32_t seconds, uint64_t now);
/* The user's last login did not count. */
void login_delays_forget(struct recent *delays, pop3_span name);

#endif
