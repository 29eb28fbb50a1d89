/*
 * The grant of an account: its tokens and when they came, in a folder beside the state folder or in
 * a keyring that commands of the user's look after. One lock from reading to writing. Runs as the
 * user, not in the process that speaks with mail servers.
 */
#ifndef FETCH_OAUTH_GRANT_H
#define FETCH_OAUTH_GRANT_H

#include "base/secret.h"
#include "fetch/account/account.h"
#include "fetch/syscalls.h"

enum { GRANT_TEXT_MAX = 4 * SECRET_MAX };

struct grant {
	struct secret access;
	struct secret refresh;
	struct secret
		previous;  /* the refresh token before, until this one was good; size 0: none */
	int64_t expires;   /* of access; seconds since 1970 */
	int64_t refreshed; /* the refresh token was good then */
	int64_t granted;   /* a person consented then */
};

void grant_init(struct grant *grant);
void grant_finish(struct grant *grant);
/* Pure: the form in file and keyring. grant_write returns the octets; -1: no room. */
int grant_write(const struct grant *grant, char *out, size_t cap);
int grant_read(pop3_span text, struct grant *ret); /* -1: it is none, or a part of one */

struct grant_store;

/* Waits for the lock. state_dir stays the caller's. */
int grant_open(const struct fetch_files *files, int state_dir, const struct fetch_account *account,
	       struct grant_store **ret, struct err *err);
void grant_close(struct grant_store *store);
/* 1: read, 0: there is none. */
int grant_load(struct grant_store *store, struct grant *ret, struct err *err);
/* Durable when it returns 0: whatever happens then, the old one or this one is there, whole. */
int grant_save(struct grant_store *store, const struct grant *grant, struct err *err);

#endif
