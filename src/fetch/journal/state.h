/* The state folder of accounts: the user's own, with one journal an account in it. */
#ifndef FETCH_JOURNAL_STATE_H
#define FETCH_JOURNAL_STATE_H

#include "fetch/account/account.h"
#include "fetch/syscalls.h"

enum {
	STATE_KEY_MAX = FETCH_COMMAND_MAX + 4 * FETCH_TEXT_MAX,
	STATE_NAME_MAX = 160,
};

/* Opens it, makes it and its parents if they are missing, durably. dir: NULL:
 * $XDG_STATE_HOME/valija or ~/.local/state/valija. Returns a descriptor. */
int state_open(const struct fetch_files *files, const char *dir, struct err *err);

/*
 * The lasting key of an account: server and user; the section's name, or, for a URL, the place the
 * mail goes to (the same account may be collected into several places). Another port of the same
 * server is the same mailbox, but in a URL with a port of this host, which may be a tunnel's. dir:
 * the state folder.
 */
int state_key(const struct fetch_account *account, int dir, char key[STATE_KEY_MAX],
	      struct err *err);
/* The journal's file name. */
void state_journal_name(const struct fetch_account *account, const char *key,
			char name[STATE_NAME_MAX]);

#endif
