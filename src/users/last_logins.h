/*
 * The file of last logins: the day on which a user, or one of a user's app passwords, was used last
 * for POP3 or for sending mail. Lines are appended; the latest one of a name, label and service
 * counts, and a rewriting of the file (compaction) leaves that one alone. Each line has a checksum:
 * what a power cut, a full disk or an intruder left behind is passed over, and the next line begins
 * on its own. The format is in docs/maildrop-format.md.
 *
 * The process logins (server/logins) appends and rewrites, `valija user` appends and reads. What
 * appends or rewrites holds a lock on the file. Blocks on the disk; one thread a call.
 */
#ifndef USERS_LAST_LOGINS_H
#define USERS_LAST_LOGINS_H

#include "base/err.h"
#include "users/names.h"

#include <pop3/span.h>

#include <stdbool.h>
#include <stdint.h>

#define LAST_LOGINS_FILE "last"            /* in a folder of its own */
#define LAST_LOGINS_LABEL_MAX 32           /* APP_LABEL_MAX */
#define LAST_LOGINS_LINE_MAX 1024          /* with its end and a NUL */
#define LAST_LOGINS_MAX (1u << 30)         /* octets of the file */
#define LAST_LOGINS_DAY_MAX 2932896        /* 9999-12-31, in days since 1970 */
#define LAST_LOGINS_ENTRIES_MAX (8u << 20) /* that are told apart */

enum last_login_kind {
	LAST_LOGIN_POP3,
	LAST_LOGIN_SASL,    /* at an MTA */
	LAST_LOGIN_REMOVED, /* the user was: no line of the name before this one counts */
	LAST_LOGIN_REVOKED, /* the app password was: no line of that label before this one counts;
			       without a label: no line with any */
	LAST_LOGIN_SINCE,   /* the file was begun: earlier logins are not known; the name is none */
	LAST_LOGIN_KINDS
};

struct last_login {
	enum last_login_kind kind;
	uint32_t day;                          /* since 1970 */
	char name[USER_NAME_MAX + 1];          /* canonical: user_name_key */
	char label[LAST_LOGINS_LABEL_MAX + 1]; /* of the app password; "": another secret */
};

/* Fills *ret. -1: the name or the label is none. */
int last_login_set(struct last_login *ret, enum last_login_kind kind, uint32_t day, pop3_span name,
		   pop3_span label);
/* Writes the line with its end. Returns its size. */
size_t last_login_print(const struct last_login *login, char buf[LAST_LOGINS_LINE_MAX]);
/* Reads a line without its end. -1: it is none. */
int last_login_parse(pop3_span line, struct last_login *ret);
/* A day as "2026-11-28". */
#define LAST_LOGINS_DATE_SIZE 11
void last_login_date(uint32_t day, char buf[LAST_LOGINS_DATE_SIZE]);
uint32_t last_login_today(void);

/* Appends whole lines. make: a file that is not there is made; else nothing is done. sync: they are
 * on the disk when 0 is returned. ret_size: of the file, afterwards; may be NULL. */
struct last_logins_append {
	pop3_span lines;
	bool make, sync;
};
int last_logins_append(int folder_fd, const struct last_logins_append *append, uint64_t *ret_size,
		       struct err *err);
/* Leaves the line that counts of each name, label and service. At any moment either the old file
 * or the new one is there, whole. Nothing is done if there is none. */
int last_logins_compact(int folder_fd, uint64_t *ret_size, struct err *err);
/* Calls visit for each line that is one, in order. No file: for none. */
typedef void last_logins_visit(void *context, const struct last_login *login);
int last_logins_each(int folder_fd, last_logins_visit *visit, void *context, struct err *err);

#endif
