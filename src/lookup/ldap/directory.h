/*
 * A connection to an LDAP server: login, searches. The one file that knows libldap. Calls block, up
 * to a deadline (CLOCK_MONOTONIC, milliseconds) that comes with each. Worker threads; a connection
 * is one thread's.
 */
#ifndef LOOKUP_LDAP_DIRECTORY_H
#define LOOKUP_LDAP_DIRECTORY_H

#include "base/err.h"
#include "lookup/ldap/map.h"

#include <stdbool.h>
#include <stdint.h>

struct directory;

struct directory_options {
	bool starttls, tls, insecure, referrals; /* tls: some connection is encrypted */
	const char *ca_file;
};

enum directory_result {
	DIRECTORY_DONE,
	DIRECTORY_WRONG,   /* a login: name or password are wrong */
	DIRECTORY_REFUSED, /* a login: right, but the account may not be used */
	DIRECTORY_ABSENT,  /* searches found nothing, and of one of them there is no such base */
	DIRECTORY_FAILED,  /* the server answers, but not what was asked */
	DIRECTORY_LOST,    /* the connection is over, or the server silent until the deadline */
};

enum directory_scope { DIRECTORY_SUB, DIRECTORY_ONE, DIRECTORY_BASE };

/* A search for one entry, and what it found. */
struct directory_search {
	const char *base, *filter;
	enum directory_scope scope;
	unsigned entries; /* 0, 1, 2: or more */
	char *dn;         /* of the first */
	void *answer;     /* libldap's */
};

/* Sets what holds for all connections, and loads what the library loads lazily: before the sandbox
 * and any thread. */
int directory_prepare(const struct directory_options *options, struct err *err);
/* Whether address is that of a server: ldap://HOST[:PORT], ldaps://…, ldapi://PATH. */
int directory_check(const char *address, struct err *err);
/* Whether octets to that server can be read by others on their way. */
bool directory_is_open(const char *address, const struct directory_options *options);

/* NULL with err: no connection, or none that can be trusted. */
struct directory *directory_open(const char *address, const struct directory_options *options,
				 uint64_t deadline, struct err *err);
/* NULL is none. lost: the server does not read; nothing more is sent to it. */
void directory_close(struct directory *directory, bool lost);

/* Login with a name and a password, which is not empty. */
enum directory_result directory_bind(struct directory *directory, const char *dn,
				     pop3_span password, uint64_t deadline, struct err *err);
/* Login as the user of this process, by a Unix socket (SASL EXTERNAL). */
enum directory_result directory_bind_external(struct directory *directory, uint64_t deadline,
					      struct err *err);
/* Sends all searches (IPC_LOOKUP_NAMES_MAX at most) before it waits for the first answer.
 * attributes: NULL behind the last; none: none are fetched. directory_forget in any case. */
enum directory_result directory_search(struct directory *directory,
				       struct directory_search *searches, unsigned count,
				       const char *const *attributes, uint64_t deadline,
				       struct err *err);
void directory_forget(struct directory_search *searches, unsigned count);

/* The values of an attribute of a found entry, until directory_values_end. Returns what that takes.
 */
void *directory_values(struct directory *directory, const struct directory_search *search,
		       const char *attribute, struct map_values *ret);
void directory_values_end(void *held);

#endif
