/*
 * All users of a site: those of the users file, and those of databases, which answer later. A
 * look-up that needs a database ends with USERS_ASK; who began it asks the databases (in auth: over
 * lookup processes), keeps the answer as a finding, and begins again. Findings belong to one login
 * or one recipient. Nothing here asks or waits; thread-safe as users.h is.
 */
#ifndef USERS_DIRECTORY_H
#define USERS_DIRECTORY_H

#include "config/config.h"
#include "users/aliases.h"
#include "users/users.h"

#define FINDING_TARGETS_MAX 8192

/* The verdict of a database that judges secrets itself. */
enum finding_secret {
	FINDING_UNJUDGED, /* the stored secret is in user, or no secret was asked about */
	FINDING_RIGHT,
	FINDING_WRONG,
	FINDING_REFUSED, /* right, but the account is expired or locked */
};

/* The answer of the databases about one name. */
struct finding {
	struct finding *next;
	char name[USER_NAME_MAX + 1]; /* that was asked about; "": that of the token */
	enum users_status status;     /* FOUND, UNKNOWN, DOWN or UNSERVED */
	enum finding_secret secret;
	bool cached;          /* an answer from before this login */
	bool fleeting;        /* forgotten while it was asked for: it serves this login alone */
	bool judges;          /* a database that judges secrets was asked */
	const char *database; /* that has the user, or is down; of the configuration */
	struct user user;
	char *targets;      /* of an alias, each with its NUL; owned; NULL: a user */
	char *access;       /* an access token that was asked for; owned, secret; NULL: none */
	struct alias alias; /* these targets, if there are any */
	char why[sizeof(((struct err *)0)->text)]; /* of DOWN and UNSERVED */
};

void finding_free(struct finding *finding);
/* The finding is an alias of so many targets. */
void finding_set_alias(struct finding *finding, uint32_t targets);

/* The name that users have for the one that a person gave: the domain of an alias is replaced
 * (domain_aliases), a missing one is added where no user of the file has the bare name
 * (login.realm). The name itself, or a text in buf. config NULL: the name itself. */
pop3_span directory_name(struct users *users, const struct config *config, pop3_span name,
			 char buf[USER_NAME_MAX + 1]);
/* users_find, then the findings. purpose: CONFIG_FOR_LOGIN or CONFIG_FOR_RECIPIENT. USERS_ASK: the
 * databases have to be asked about the name. *ret_finding: NULL where the users file has the user.
 * config NULL: there is no database. */
enum users_status directory_find(struct users *users, const struct config *config, uint32_t purpose,
				 const struct finding *findings, pop3_span name, struct user *ret,
				 const struct finding **ret_finding, struct err *err);
/* Whether any database has users for that purpose. */
bool directory_has_databases(const struct config *config, uint32_t purpose);

#endif
