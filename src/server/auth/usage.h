/*
 * Questions of mta: whether mail for a recipient would be refused since a maildrop is over its
 * quota. Keepers know that; each user's is asked. Everything else than a sure yes is a no at the
 * MTA, so a question waits for a short time, and a keeper that does not answer gets few. On auth's
 * loop.
 */
#ifndef SERVER_AUTH_USAGE_H
#define SERVER_AUTH_USAGE_H

#include "server/auth/session.h"

struct usages;

struct usages *usages_create(struct auth *auth, struct err *err); /* NULL: it failed */
/* mta's QUOTA, about an address that leads to these users: it is answered now or later. */
void usages_ask(struct auth *auth, const struct peer *mta, const struct ipc_recipient *message,
		const struct user *users, size_t count);
void usages_answer(struct peer *keeper, const struct ipc_usage_answer *message);
/* That keeper answers nothing any more. */
void usages_keeper_gone(struct auth *auth, const struct peer *keeper);

#endif
