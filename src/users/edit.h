/*
 * Changes to a passwd-file, for `valija user`: the file is rewritten beside itself and renamed into
 * place (both flushed), under a lock, so that no reader sees half a file and two writers lose
 * nothing of each other's. Owner, group and mode stay; so does every other line, octet for octet.
 */
#ifndef USERS_EDIT_H
#define USERS_EDIT_H

#include "base/err.h"

#include <pop3/span.h>

enum edit { EDIT_ADD, EDIT_CHANGE, EDIT_DELETE };

/* EX_DATAERR for a name that there cannot be, and for one to be added that could get no mail. */
int edit_check_name(enum edit edit, pop3_span name, struct err *err);
/* EX_CANTCREAT: name is to be added, but spelling is in the file. Returns -1. */
int edit_taken(pop3_span name, pop3_span spelling, struct err *err);

/*
 * path: of the file; a link at its end is followed. name: in any case of its letters; the file's
 * spelling stays. stored: the secret with its "{SCHEME}" (NULL for EDIT_DELETE). err->code is
 * EX_NOUSER when there is no such user to change or delete, EX_CANTCREAT when there is one to add.
 * EDIT_ADD makes a missing file (mode 0640).
 */
int edit_users(const char *path, enum edit edit, pop3_span name, const char *stored,
	       struct err *err);
/* Calls each with every user's name in the order of the file. */
int edit_list(const char *path, void (*each)(void *argument, pop3_span name), void *argument,
	      struct err *err);

#endif
