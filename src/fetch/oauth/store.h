/*
 * Where the grant of an account is kept: in a folder beside the state folder or in a keyring that
 * commands of the user's look after. One lock from reading to writing. Runs as the user, not in
 * the process that speaks with mail servers.
 */
#ifndef FETCH_OAUTH_STORE_H
#define FETCH_OAUTH_STORE_H

#include "fetch/account/account.h"
#include "fetch/syscalls.h"
#include "oauth/grant.h"

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
