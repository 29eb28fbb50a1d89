/*
 * One line of a passwd-file: NAME:SECRET[:uid:gid:gecos:home:shell:extra]. No I/O. Used by the
 * user database and by `valija user`.
 */
#ifndef USERS_PASSWD_LINE_H
#define USERS_PASSWD_LINE_H

#include "users/users.h"

enum passwd_line {
	PASSWD_LINE_ENTRY,    /* err may hold a note about a field that is not used */
	PASSWD_LINE_UNSERVED, /* a user whose mail is where we cannot serve it; err says where */
	PASSWD_LINE_EMPTY,
	PASSWD_LINE_BAD,
};

/* line: without its line end. mail: see users_open_passwd_file. err (not NULL) has no file and
 * line, and is empty when there is nothing to say. */
enum passwd_line passwd_line_parse(pop3_span line, const struct user_mail *mail, struct user *ret,
				   struct err *err);
/* Takes the next line (without LF or CRLF) from the front of *text; *ret_ended: it had its end.
 * false: text is used up. */
bool passwd_line_next(pop3_span *text, pop3_span *ret_line, bool *ret_ended);
/* The name: the text before the first colon. */
pop3_span passwd_line_name(pop3_span line);

#endif
