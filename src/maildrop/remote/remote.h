/*
 * A store whose maildrops are on other POP3 servers: carried out on the loop itself, a session at
 * that server for each maildrop that is open (session.h), over libpop3's client machine (talk.h).
 * In the connector, unprivileged; what comes from the network is hostile.
 *
 * A location is "SECTION/USER". store_who has the name and the secret for the other server. Several
 * sessions of a user may be open at a time: that server decides.
 */
#ifndef MAILDROP_REMOTE_REMOTE_H
#define MAILDROP_REMOTE_REMOTE_H

#include "maildrop/store.h"

enum remote_tls { REMOTE_TLS, REMOTE_STARTTLS, REMOTE_CLEAR };

/* Texts live as long as the store. */
struct remote_server {
	const char *name; /* of the section */
	const char *host;
	uint16_t port;
	enum remote_tls tls;
	const char *ca_file; /* PEM */
	const char *pin;     /* "sha256//…" in its place; NULL: none */
	bool token;          /* the secret is an access token (XOAUTH2) */
	uint32_t timeout_ms;
	/* The LMTP server that mail for its users goes to; its certificate is judged in the same
	 * way. NULL: none. */
	const char *lmtp_host;
	uint16_t lmtp_port;
	enum remote_tls lmtp_tls;
	const char *host_name; /* ours, for LHLO */
	bool for_mail;         /* host, port and tls are those of the LMTP server */
};

/* Reads the files of authorities: before the sandbox. */
struct store *remote_store_create(const struct store_host *host,
				  const struct remote_server *servers, unsigned count,
				  struct err *err);
/* After the sandbox: names are looked up by threads from now on. */
int remote_store_start(struct store *store, struct err *err);
void remote_store_destroy(struct store *store);
/* Messages of an open maildrop whose unique ids there no client may get: theirs are digests. */
uint32_t remote_replaced_ids(const struct maildrop *maildrop);

#endif
