/*
 * An app password: one that the site makes, shows once, and keeps as a digest under a key. It
 * proves a user as the user's own password does, until it expires or is revoked. Here: its form,
 * its digest, and its line in the file. No I/O; thread-safe. Used within users only; what a
 * login or `valija user app` needs of it goes out through login.h and app_edit.h.
 *
 * 140 random bits need no slow hash: nobody tries them all. The digest covers the user's name, so a
 * line that is copied to another user proves nothing.
 */
#ifndef USERS_APP_PASSWORD_H
#define USERS_APP_PASSWORD_H

#include "base/err.h"
#include "users/names.h"

#include <pop3/span.h>

#include <stdbool.h>
#include <stdint.h>

#define APP_PASSWORDS_FILE "app-passwords" /* beside the users file */
#define APP_LETTERS 28                     /* of base32, in small letters: 140 bits */
#define APP_SHOWN_MAX 40                   /* with "-" between groups of four, and a NUL */
#define APP_LABEL_MAX 32
#define APP_NETWORKS_MAX 255
#define APP_DIGEST 32
#define APP_KEY 32

struct app_password {
	char name[USER_NAME_MAX + 1]; /* canonical */
	char label[APP_LABEL_MAX + 1];
	char networks[APP_NETWORKS_MAX + 1]; /* that it is good from; "": any */
	uint64_t created, expires;           /* seconds of 1970; expires 0: never */
	bool no_delete;                      /* sessions with it delete nothing */
	unsigned char digest[APP_DIGEST];
};

/* 1 to APP_LABEL_MAX letters, digits or ".", "_", "+", "@", "-", beginning with a letter or digit.
 */
bool app_label_valid(pop3_span label);
/* Writes a new one as it is shown. -1: no random octets. */
int app_password_make(char shown[APP_SHOWN_MAX]);
/* Whether password has the form of an app password: its letters, in any case, with "-" or blanks
 * anywhere between. letters: APP_LETTERS, no NUL; wiped where false is returned. */
bool app_password_form(pop3_span password, char letters[APP_LETTERS]);
/* The digest under key of the letters as a password of name. */
void app_password_digest(const unsigned char key[APP_KEY], pop3_span name,
			 const char letters[APP_LETTERS], unsigned char ret[APP_DIGEST]);

enum app_line {
	APP_LINE_ENTRY,
	APP_LINE_KEY,   /* "key " and 64 hex digits */
	APP_LINE_EMPTY, /* a comment, too */
	APP_LINE_BAD,   /* err says why */
};

/* Reads a line: ret_key is filled in for a key, ret for an entry; untouched otherwise. A field that
 * is not known makes a line bad: it may be one that restricts. */
enum app_line app_line_parse(pop3_span line, unsigned char ret_key[APP_KEY],
			     struct app_password *ret, struct err *err);
/* Room for the longest line, its end and a NUL. */
#define APP_LINE_MAX 1024
/* Writes a line with its end. Returns its size. */
size_t app_line_print(const struct app_password *app, char buf[APP_LINE_MAX]);
size_t app_key_print(const unsigned char key[APP_KEY], char buf[APP_LINE_MAX]);

#endif
