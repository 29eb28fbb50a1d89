/*
 * Who may log in. Runs in auth (look-ups on the loop, verification in its worker threads) and in
 * `valija user`. A user database is a driver; the first is a passwd-file in Dovecot's format:
 * NAME:{SCHEME}SECRET[:uid:gid:gecos:home:shell:extra], "#" comments, read again when the file
 * changed.
 */
#ifndef USERS_USERS_H
#define USERS_USERS_H

#include "base/err.h"
#include "base/secret.h"

#include <pop3/span.h>

#include <stdbool.h>
#include <stdint.h>

#define USER_NAME_MAX 255
#define USER_HOME_MAX 511
#define USER_SECRET_MAX 1023

/* One entry, copied out: lives as long as the caller wants. secret is the stored form with its
 * "{SCHEME}". */
struct user {
	char name[USER_NAME_MAX + 1];
	char home[USER_HOME_MAX + 1]; /* below the mail root, "" : the name itself */
	char secret[USER_SECRET_MAX + 1];
	bool has_ids;
	uint32_t uid, gid;
	uint64_t quota_messages, quota_octets; /* extra fields quota_messages=, quota_octets= (K M
						  G), 0: the default */
	bool nologin; /* extra field nologin: may receive, may not log in */
};

enum users_status { USERS_FOUND = 0, USERS_UNKNOWN = -1, USERS_DOWN = -2 /* [SYS/TEMP], 451 */ };

struct users;

/* A passwd-file named file_name in the directory dir_fd (borrowed; must stay open). A file that
 * can't be read or has a bad line is an error with file and line ("users:3: …") at open; later,
 * when a changed file is bad, the old entries stay in force and the error is logged once. */
int users_open_passwd_file(int dir_fd, const char *file_name, struct users **ret, struct err *err);
void users_close(struct users *users);
/* User names are normalized to what is looked up: at most USER_NAME_MAX octets, no NUL or control
 * characters, no "/", not "." or "..", no leading "-" or "." (any of these: USERS_UNKNOWN).
 * Thread-safe. Reads the file again when its identity, size or time changed. */
enum users_status users_find(struct users *users, pop3_span name, struct user *ret_user,
			     struct err *err);
/* Whether any entry could be used with APOP, CRAM-MD5, SCRAM-SHA-1 …: what to offer. */
bool users_any_with_plain_secret(struct users *users);
bool users_any_with_scram(struct users *users, const char *mechanism);
bool user_name_valid(pop3_span name);

#endif
