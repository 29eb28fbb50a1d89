/*
 * A connection to an LDAP server: login, searches. The one file that knows libldap. Calls block, up
 * to a deadline (CLOCK_MONOTONIC, milliseconds) that comes with each. Worker threads; a connection
 * is one thread's.
 */
#ifndef LOOKUP_LDAP_CLIENT_H
#define LOOKUP_LDAP_CLIENT_H

#include "base/err.h"
#include "lookup/ldap/map.h"

#include <stdbool.h>
#include <stdint.h>

struct client;

struct client_options {
	bool starttls, tls, insecure, referrals; /* tls: some connection is encrypted */
	const char *ca_file;
};

enum client_result {
	CLIENT_DONE,
	CLIENT_WRONG,   /* a login: name or password are wrong */
	CLIENT_REFUSED, /* a login: right, but the account may not be used */
	CLIENT_ABSENT,  /* searches found nothing, and of one of them there is no such base */
	CLIENT_FAILED,  /* the server answers, but not what was asked */
	CLIENT_LOST,    /* the connection is over, or the server silent until the deadline */
};

enum client_scope { CLIENT_SUB, CLIENT_ONE, CLIENT_BASE };

/* A search for one entry, and what it found. */
struct client_search {
	const char *base, *filter;
	enum client_scope scope;
	unsigned entries; /* 0, 1, 2: or more */
	char *dn;         /* of the first */
	void *answer;     /* libldap's */
};

/* Sets what holds for all connections, and loads what the library loads lazily: before the sandbox
 * and any thread. */
int client_prepare(const struct client_options *options, struct err *err);
/* Whether address is that of a server: ldap://HOST[:PORT], ldaps://…, ldapi://PATH. */
int client_check(const char *address, struct err *err);
/* Whether octets to that server can be read by others on their way. */
bool client_is_open(const char *address, const struct client_options *options);

/* NULL with err: no connection, or none that can be trusted. */
struct client *client_open(const char *address, const struct client_options *options,
			   uint64_t deadline, struct err *err);
/* NULL is none. lost: the server does not read; nothing more is sent to it. */
void client_close(struct client *client, bool lost);

/* Login with a name and a password, which is not empty. */
enum client_result client_bind(struct client *client, const char *dn, pop3_span password,
			       uint64_t deadline, struct err *err);
/* Login as the user of this process, by a Unix socket (SASL EXTERNAL). */
enum client_result client_bind_external(struct client *client, uint64_t deadline, struct err *err);
/* Sends all searches (IPC_LOOKUP_NAMES_MAX at most) before it waits for the first answer.
 * attributes: NULL behind the last; none: none are fetched. client_forget in any case. */
enum client_result client_search(struct client *client, struct client_search *searches,
				 unsigned count, const char *const *attributes, uint64_t deadline,
				 struct err *err);
void client_forget(struct client_search *searches, unsigned count);

/* An entry of a list: its name, and a value of the attribute, or none (data NULL). False: that is
 * enough. */
typedef bool client_each(void *context, struct client *client, const char *dn, pop3_span value);
/* Calls each for all entries of a search, one page of them after the other (RFC 2696). The client
 * may be searched with from in there. */
enum client_result client_list(struct client *client, const struct client_search *search,
			       const char *attribute, client_each *each, void *context,
			       uint64_t deadline, struct err *err);

/* The values of an attribute of a found entry, until client_values_end. Returns what that takes.
 */
void *client_values(struct client *client, const struct client_search *search,
		    const char *attribute, struct map_values *ret);
void client_values_end(void *held);

#endif
