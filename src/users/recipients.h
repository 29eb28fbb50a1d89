/*
 * The users of a recipient's address: the full address is looked up, then its local part (if the
 * domain is ours), each as an alias, then as a user, each with and without its sub-address
 * (user+tag); at last the catch-all user. In auth for LMTP and in `valija deliver`. Thread-safe.
 */
#ifndef USERS_RECIPIENTS_H
#define USERS_RECIPIENTS_H

#include "base/err.h"
#include "users/directory.h"
#include "users/users.h"

#include <pop3/span.h>

#include <stddef.h>

#define RECIPIENT_USERS_MAX 64 /* that one address may lead to */

enum recipient_status {
	RECIPIENT_FOUND = 0,
	RECIPIENT_UNKNOWN = -1, /* 550 5.1.1 */
	RECIPIENT_ASK = -3,     /* databases have to be asked: recipients_resolve only */
	RECIPIENT_DOWN = -2, /* 451 4.3.0: the database, or an alias that leads nowhere: see err */
};

/* Texts are copied. Empty or NULL: not used. */
struct recipients_settings {
	const char *delimiters;      /* any of these begins a sub-address */
	const char *domains;         /* ours, separated by blanks; none: every domain is */
	const char *catch_all;       /* user */
	const struct config *config; /* whose databases have recipients, too; NULL: none.
					Borrowed */
	int aliases_dir_fd;          /* borrowed */
	const char *aliases_file;
};

struct recipients;

/* users is borrowed. Fails when the aliases file is bad ("aliases:3: …"). */
int recipients_open(const struct recipients_settings *settings, struct users *users,
		    struct recipients **ret, struct err *err);
void recipients_close(struct recipients *recipients);

/*
 * address: unquoted, local part "@" domain (the last "@" counts) or a local part alone. On
 * RECIPIENT_FOUND ret_users[0 … *ret_count - 1] are the users, each once, at most max (of
 * RECIPIENT_USERS_MAX; more is RECIPIENT_DOWN). Aliases may lead to aliases; a circle ends where it
 * closes, and a name that its own alias leads to means the user of that name.
 */
enum recipient_status recipients_find(struct recipients *recipients, pop3_span address,
				      struct user *ret_users, size_t max, size_t *ret_count,
				      struct err *err);

/* The names that the databases have to be asked about: spellings of one, best first. */
#define RECIPIENT_NAMES_MAX 6
struct recipient_names {
	unsigned count;
	char names[RECIPIENT_NAMES_MAX][USER_NAME_MAX + 1];
};
/* recipients_find with what databases have said so far. RECIPIENT_ASK: *ret_names is to be asked;
 * with the findings added, the call is made again. Where nobody asks databases (recipients_find),
 * a recipient that one of them could have is RECIPIENT_DOWN.
 *
 * Users whose mail is on another server (remote_section) are among those found here alone, if their
 * section has lmtp. mail_to is whom it is for there: remote_user; else the address by which the
 * user was found, with its sub-address, be it the one that was asked about or the target of an
 * alias; the name, where that is too long or was the catch-all. */
enum recipient_status recipients_resolve(struct recipients *recipients, pop3_span address,
					 const struct finding *findings, struct user *ret_users,
					 size_t max, size_t *ret_count,
					 struct recipient_names *ret_names, struct err *err);

/*
 * Names in words what a person should mend before mail comes: aliases and a catch-all that lead to
 * nobody; postmasters: and postmaster, if nobody gets its mail at a domain of ours (RFC 5321
 * section 4.5.1), which `valijad -t` says but not every start. At most RECIPIENTS_WARNINGS_MAX
 * calls of warn.
 */
#define RECIPIENTS_WARNINGS_MAX 16
void recipients_check(struct recipients *recipients, bool postmasters,
		      void (*warn)(const char *text));

#endif
