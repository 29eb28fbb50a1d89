/*
 * The file of last logins (users/last_logins.h) on the command line: when a user was seen last, and
 * that a name or a label is nobody's any more. The process logins may append meanwhile. With the
 * rights of the caller.
 */
#ifndef CLI_LAST_SEEN_H
#define CLI_LAST_SEEN_H

#include "base/hash_map.h"
#include "config/config.h"
#include "users/last_logins.h"

/* When a user was seen last; days since 1970, plus 1; 0: never, as far as is known. */
struct last_seen {
	uint32_t pop3, mta;
	uint32_t any; /* the later one */
};

/* The folder of the file. *ret -1: none is kept. */
int last_seen_folder(const struct config *config, int *ret, struct err *err);

/* Of one user. */
int last_seen_user(const struct config *config, const char *name, struct last_seen *ret,
		   struct err *err);
/* Calls each for each label of the user, with the day of its last use, in the order of the first
 * one. */
typedef void last_seen_label(void *context, const char *label, uint32_t day);
int last_seen_labels(const struct config *config, const char *name, last_seen_label *each,
		     void *context, struct err *err);

/* Of all users. */
struct last_seen_all {
	bool kept;      /* there is a file */
	uint32_t since; /* its first day */
	struct hash_map days;
};
int last_seen_load(const struct config *config, struct last_seen_all *ret, struct err *err);
void last_seen_finish(struct last_seen_all *all);
/* The day plus 1 on which that user was seen last; 0: never, as far as is known. */
uint32_t last_seen_day(const struct last_seen_all *all, pop3_span name);

/* The user is removed: another one of that name inherits nothing. */
int last_seen_remove(const struct config *config, const char *name, struct err *err);
/* An app password is, label NULL: all of the user's are; when the user was seen stays known. */
int last_seen_revoke(const struct config *config, const char *name, const char *label,
		     struct err *err);

#endif
