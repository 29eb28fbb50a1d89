/*
 * The users of a site as its configuration has them: what the monitor checks, auth serves and
 * `valija deliver` looks up. Nothing is opened here but through the descriptors that are given.
 */
#ifndef USERS_SITE_H
#define USERS_SITE_H

#include "config/config.h"
#include "users/recipients.h"
#include "users/users.h"

#include <stdbool.h>

/* Opens the users file in the folder users_fd. Returns 0, or -1 with err. */
int site_users_open(const struct config *config, int users_fd, struct users **ret, struct err *err);
/* Opens the aliases file, where the configuration has one, in the folder aliases_fd (-1: none).
 * Returns 0, or -1 with err. users must live as long as *ret. */
int site_recipients_open(const struct config *config, int aliases_fd, struct users *users,
			 struct recipients **ret, struct err *err);

/* Reports what recipients_check finds, if this site takes mail by LMTP or has aliases. */
void site_recipients_check(const struct config *config, struct recipients *recipients,
			   bool postmasters, void (*warn)(const char *text));

/* Completes the err of an open that failed: file in the folder folder_fd. user: the system user
 * that the process runs as to check passwords, for the advice where it lacks permission; NULL: the
 * caller's own. Returns -1. */
int site_explain(const char *file, int folder_fd, const char *user, struct err *err);

/* A user's own quota, and where it has none that of the site. 0: no limit. */
struct site_quota {
	uint64_t messages, octets;
};
struct site_quota site_quota(const struct config *config, const struct user *user);
/* The seconds between two logins of the user: pop3.login_delay, or the user's own field within
 * pop3.login_delay_max. 0: none. */
uint32_t site_login_delay(const struct config *config, const struct user *user);

#endif
