/*
 * The aliases file: lines "name: target[, target…]", "#" comments, a line that begins with a blank
 * continues the one before it. Names and targets are user names, other aliases or whole addresses,
 * compared without regard to ASCII case; there are no pipes, files or includes. Read at open and
 * again when it changed: a changed file that is bad or half-written leaves the old one in force and
 * is logged once. Called by recipients.c (in auth and in `valija deliver`); not thread-safe.
 */
#ifndef USERS_ALIASES_H
#define USERS_ALIASES_H

#include "base/err.h"

#include <pop3/span.h>

#include <stddef.h>
#include <stdint.h>

#define ALIASES_FILE_MAX (16u << 20)

struct aliases;

struct alias {
	const char *name;    /* small letters, NUL-terminated */
	const char *targets; /* one behind the other, each with its NUL */
	uint32_t count, line;
};

/* A file named file_name in the directory dir_fd (borrowed; must stay open). Errors name file and
 * line. */
int aliases_open(int dir_fd, const char *file_name, struct aliases **ret, struct err *err);
void aliases_close(struct aliases *aliases);
/* Reads the file again if it changed. Results of aliases_find from before are invalid then. */
void aliases_refresh(struct aliases *aliases);
/* NULL: there is none. Lives until aliases_refresh. */
const struct alias *aliases_find(const struct aliases *aliases, pop3_span name);
/* Alias number n, from 0, in order of names. NULL: there are no more. Lives until aliases_refresh.
 */
const struct alias *aliases_nth(const struct aliases *aliases, size_t n);
const char *aliases_file_name(const struct aliases *aliases);

#endif
