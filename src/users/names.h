/*
 * Names of users: the valid ones, and equality. Case of ASCII letters makes no difference anywhere:
 * users file, logins, recipients, aliases, limits and `valija user` compare names by the functions
 * below only. A user's name, and so the folder of the maildrop, has the spelling of the users file.
 * No I/O; thread-safe.
 */
#ifndef USERS_NAMES_H
#define USERS_NAMES_H

#include "config/config.h"

#include <pop3/span.h>

#include <stdbool.h>
#include <stdint.h>

#define USER_NAME_MAX 255

/* 1 to USER_NAME_MAX octets of 0x21–0x7E or above 0x7F, no "/" or ":", no leading "-", "." or "#",
 * no byte-order mark in front. */
bool user_name_valid(pop3_span name);
/* Whether an MTA can write the valid name as an address, so that every user who can log in can get
 * mail: UTF-8 without control characters, and behind the last "@", if there is one, a domain. */
bool user_name_addressable(pop3_span name);
extern const char names_unaddressable[]; /* the rule in words, for messages */
/* The name with the domain that its own is an alias of (domain_aliases); else the name itself. */
pop3_span user_name_unaliased(const struct config *config, pop3_span name,
			      char buf[USER_NAME_MAX + 1]);
/* The canonical form of a name: ASCII letters are small ones, every other octet is as it was. buf:
 * room for name.size octets; it may be the name itself. Returns a span into buf. */
pop3_span user_name_key(pop3_span name, char *buf);
/* Whether the canonical forms are the same, and a hash of the canonical form. */
bool user_name_same(pop3_span a, pop3_span b);
uint32_t user_name_hash(pop3_span name);

#endif
