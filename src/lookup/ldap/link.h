/*
 * A worker's connection to one of the servers: made when it is needed, kept, and made again where
 * it broke. Worker threads; a link is one thread's, the site is all's.
 */
#ifndef LOOKUP_LDAP_LINK_H
#define LOOKUP_LDAP_LINK_H

#include "lookup/ldap/client.h"
#include "lookup/ldap/servers.h"

/* The part that all links of a database share. */
struct link_site {
	struct client_options options;
	struct servers servers;
	bool external;       /* log in as the user of the process */
	const char *bind_dn; /* "": anonymously */
	pop3_span password;
};

struct link {
	struct client *client; /* NULL: none */
	bool logged_in;        /* this link is for searches, as the database's own user */
};

/* Something to be done on a connection, until deadline; err, where the result is FAILED or LOST. */
typedef enum client_result link_step(struct client *client, void *context, uint64_t deadline,
				     struct err *err);

/* Does step on the link's connection, or, where that is broken, on a new one: to the first server
 * that can be had. Returns step's result; LOST with err: there is none. */
enum client_result link_do(struct link *link, struct link_site *site, link_step *step,
			   void *context, uint64_t deadline, struct err *err);

#endif
