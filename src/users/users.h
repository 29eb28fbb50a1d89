/*
 * The user database. In auth (look-ups on the loop, verification in its worker threads) and in
 * `valija user`. A database is a driver; the first is a passwd-file in Dovecot's format:
 * NAME:{SCHEME}SECRET[:uid:gid:gecos:home:shell:extra], "#" comments, read again when the file
 * changed.
 */
#ifndef USERS_USERS_H
#define USERS_USERS_H

#include "base/err.h"
#include "base/secret.h"
#include "users/names.h"

#include <pop3/span.h>

#include <stdbool.h>
#include <stdint.h>

#define USER_HOME_MAX 511
#define USER_SECRET_MAX 1023
#define USER_REMOTE_NAME_MAX 127
#define USER_REMOTE_SECRET_MAX 248 /* octets that fit behind PASS */

/* One entry, copied out: lives as long as the caller wants. secret is the stored form with its
 * "{SCHEME}". */
struct user {
	char name[USER_NAME_MAX + 1];
	/* the location (location.h): root is of config->roots, home below it, "": the name itself;
	 * placed: the entry says where */
	uint32_t root;
	bool placed;
	char home[USER_HOME_MAX + 1];
	char secret[USER_SECRET_MAX + 1];
	bool has_ids;
	uint32_t uid, gid;
	uint64_t quota_messages, quota_octets; /* extra fields quota_messages=, quota_octets= (K M
						  G), 0: the default */
	bool has_login_delay; /* extra field login_delay: seconds between two logins */
	uint32_t login_delay;
	/* Mail of another server: USERS_UNSERVED, for there is no maildrop here, but a login may
	 * open it there: extra fields remote, remote_user, remote_password. */
	char remote[64];         /* the name of the configuration's section; "": the mail is here */
	uint32_t remote_section; /* 1 + its place; 0: there is none, or the entry cannot be used */
	/* 1 + the place of the section that the mail moves here from: extra field migrate. Until
	 * it has, a login opens it there. 0: it does not move */
	uint32_t migrate_section;
	char remote_user[USER_REMOTE_NAME_MAX + 1];       /* "": as the section says */
	char remote_password[USER_REMOTE_SECRET_MAX + 1]; /* "": the section's */
	char mail_to[USER_NAME_MAX + 1]; /* of a recipient: the address there (recipients.h) */
	bool nologin;                    /* extra field nologin: may receive, may not log in */
	bool external;      /* extra field external: may log in with a client's certificate */
	char networks[256]; /* that the user may log in from (users/networks.h); "": any */
};

/* The site whose mail users have, and the database that they are of (NULL: the users file), for
 * location.h. Borrowed. config NULL: there is no site; homes are names. */
struct user_mail {
	const struct config *config;
	const struct config_database *database;
};

/* The folder of the user's maildrop below its root; lives as long as user. */
const char *user_home(const struct user *user);

enum users_status {
	USERS_FOUND = 0,
	USERS_UNKNOWN = -1,
	USERS_DOWN = -2,     /* [SYS/TEMP], 451 */
	USERS_ASK = -4,      /* directory_find only: databases have to be asked */
	USERS_UNSERVED = -3, /* the entry is there, its mail cannot be served: the same, but only
				for the right secret */
};

struct users;

/* A passwd-file named file_name in the directory dir_fd (borrowed, O_PATH will do; must stay open).
 * A file that cannot be read or has a bad line is an error with file and line ("users:3: …") at
 * open; later, when a changed file is bad, half-written (empty, or its last line not ended) or
 * gone, the old entries stay in force and the error is logged once. mail (NULL: no site): borrowed
 * are the configuration and the database that it names. A user whose mail is in no mail folder, or
 * whose entry has a field that is not known, is warned about when the file is read, and is
 * USERS_UNSERVED: neither mail nor an empty maildrop in its stead is shown. */
int users_open_passwd_file(int dir_fd, const char *file_name, const struct user_mail *mail,
			   struct users **ret, struct err *err);
void users_close(struct users *users);
/* Looks up whose name is the same but for the case of ASCII letters; ret_user->name is the entry's
 * own spelling. USERS_UNSERVED: err says why, ret_user holds name, secret and nologin. Names that
 * user_name_valid refuses are USERS_UNKNOWN before any file is touched.
 * Thread-safe. Reads the file again when its identity, size or time changed. */
enum users_status users_find(struct users *users, pop3_span name, struct user *ret_user,
			     struct err *err);
/* Calls each with every name in the order of the file, until it returns false. */
void users_each(struct users *users, bool (*each)(void *context, pop3_span name), void *context);
/* Whether any entry can be used with APOP, CRAM-MD5, SCRAM-SHA-1 …: the mechanisms on offer depend
 * on it. */
bool users_any_with_plain_secret(struct users *users);
bool users_any_with_cram_md5(struct users *users);
bool users_any_with_scram(struct users *users, const char *mechanism); /* "SCRAM-SHA-256" */
/* The stored secret of a user: what the password of name, which is nobody's, is "verified" against.
 * Its scheme and cost are chosen by a keyed digest of the name, each as often as the file has it,
 * so that a name always costs the same and none shows by its cost that it is nobody's. kinds: a set
 * of 1 << enum scheme_kind to choose among. Returns -1 when there is nobody. */
int users_stranger_secret(struct users *users, pop3_span name, unsigned kinds, char *buf,
			  size_t size);
/* The first stored secret with this "{SCHEME}", or -1: parameters that unknown users' answers copy.
 */
int users_first_secret(struct users *users, const char *scheme, char *buf, size_t size);

#endif
