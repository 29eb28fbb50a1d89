/*
 * Answers of databases that are remembered: the entry of a name, for a while. What a database
 * judged itself (a password) is remembered as a digest elsewhere (users/login.h); here stands until
 * when that may count. Bounded; the oldest entry makes room. On auth's loop.
 */
#ifndef SERVER_AUTH_ENTRIES_H
#define SERVER_AUTH_ENTRIES_H

#include "users/directory.h"

#include <stdbool.h>
#include <stdint.h>

struct entries;

/* most: entries; 0: none is remembered. NULL: no memory. */
struct entries *entries_create(uint32_t most);

/* An entry as it comes back. */
struct entry_found {
	uint32_t database;               /* its place in the configuration */
	uint64_t good_until, kept_until; /* milliseconds; kept: while the database is down */
	bool judged; /* a secret of that name was right, by the word of the database */
};

/* name: in any case of its letters. finding: USERS_FOUND. */
void entries_put(struct entries *entries, uint32_t purpose, pop3_span name,
		 const struct finding *finding, const struct entry_found *found);
/* Copies the entry of that name; NULL: none is kept, or no memory. The caller frees it. */
struct finding *entries_get(const struct entries *entries, uint32_t purpose, pop3_span name,
			    uint64_t now, struct entry_found *ret);
/* Returns how many were forgotten. */
uint32_t entries_forget(struct entries *entries, uint32_t purpose, pop3_span name);
uint32_t entries_forget_all(struct entries *entries);
/* Whether a login of that day was noted already; from now on it is. False for a name that is not
 * kept. */
bool entries_noted(struct entries *entries, uint32_t purpose, pop3_span name, uint32_t day);

#endif
