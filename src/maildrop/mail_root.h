/*
 * Facts about the mail root for maildrops that are not there: were there any before, and is it
 * still the same folder? Its mark shows it (mail_mark.h); of a root that an older version
 * remembered, inode and time of birth. A filesystem that is not mounted looks like a site without
 * mail, and an empty maildrop must not be made for it. The monitor looks and remembers (in a small
 * file of the state folder, so that it is known after a restart), keepers and `valija deliver` ask
 * when a maildrop is not there.
 */
#ifndef MAILDROP_MAIL_ROOT_H
#define MAILDROP_MAIL_ROOT_H

#include "base/err.h"
#include "maildrop/mail_mark.h"
#include "maildrop/mail_store.h"
#include "maildrop/syscalls.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define MAIL_ROOT_MEMORY_MAX 512 /* octets of the name of the file that remembers */

enum mail_root_state {
	MAIL_ROOT_NEW,   /* marked, never had a maildrop: maildrops are made in it */
	MAIL_ROOT_KNOWN, /* marked, has or had some: they are made as long as there is another one
			  */
	MAIL_ROOT_OTHER, /* some were in the folder of this path, but it is another one by now */
	MAIL_ROOT_UNMARKED, /* no mark, and none is remembered: nothing is made before there is one
			     */
};

struct mail_root {
	_Atomic enum mail_root_state state;
	char memory[MAIL_ROOT_MEMORY_MAX]; /* "": of a keeper, or no place for it */
	char mark[MAIL_MARK_SIZE];         /* that it has to have; "": UNMARKED, OTHER */
	const char *path;                  /* as configured, for the log */
};

/* Facts about a mail root, from its filesystem. */
struct mail_root_facts {
	/* The identity of a folder, also after a restart of the machine; devices get other numbers
	 * then. born: 0 where the filesystem does not know it. */
	uint64_t inode; /* 0: it cannot be looked at */
	int64_t born;
	uint32_t born_ns;
	char mark[MAIL_MARK_SIZE]; /* "": it has none */
	bool in_use;               /* mail_root_in_use */
	int store;                 /* enum store_kind, as written there; -1: nothing is */
	bool earned;               /* it has no mark, and this software made a maildrop in it */
};

/* Reads the facts; may hang with the filesystem. The functions below do not, unless their comments
 * say so. System calls only. */
void mail_root_gather(int root_fd, struct mail_root_facts *ret);

/*
 * Fills ret for the folder of these facts, which the configuration calls path. The state folder is
 * $STATE_DIRECTORY, else /var/lib/valija for root, else $XDG_STATE_HOME/valija or
 * ~/.local/state/valija; a user other than root looks into /var/lib/valija, too. Only reads.
 * path must live as long as ret.
 */
void mail_root_judge(const struct mail_root_facts *facts, const char *path, struct mail_root *ret);
/* The same, for who may hang with root_fd. */
void mail_root_look(int root_fd, const char *path, struct mail_root *ret);
/* Remembers a root that is not MAIL_ROOT_OTHER and has maildrops: it is MAIL_ROOT_KNOWN then. One
 * without a mark gets it here if this software made a maildrop in it (an upgrade): only then
 * root_fd is used, and may hang. Else nothing is done. Makes the state folder. -1: has maildrops,
 * but that cannot be written down. */
int mail_root_remember(struct mail_root *root, const struct mail_root_facts *facts, int root_fd,
		       struct err *err);
/* A person says that this is the folder of the mail: it gets a mark, unless it has one, and what
 * the state folder remembers of another one is removed. */
int mail_root_accept(const struct mail_root *root, int root_fd, char ret_mark[MAIL_MARK_SIZE],
		     struct err *err);
/* The name of the file of the root's register (register.h), beside what remembers the root. -1:
 * there is no state folder. */
int mail_root_register(const struct mail_root *root, char ret[MAIL_ROOT_MEMORY_MAX]);
/* Is that file there? Yes, too, if there is no state folder. Changes nothing. */
bool mail_root_has_register(const struct mail_root *root);
/* The name of the folder of last logins (users/last_logins.h), beside it. make: the folder that it
 * is in is made. -1: there is no state folder. */
int mail_root_last_logins(const struct mail_root *root, bool make, char ret[MAIL_ROOT_MEMORY_MAX]);
/* The name of the file of bans (server/monitor/bans.h), beside it; the folder that it is in is
 * made. -1: there is no state folder. */
int mail_root_bans(const struct mail_root *root, char ret[MAIL_ROOT_MEMORY_MAX]);
/*
 * The folder that an owner of mboxes of the root has for what is kept beside them (the index, the
 * session lock, the journal): 0700, in the state folder. make: it is made, as far as it is not
 * there, and, by root, given to that owner. Returns a descriptor, the caller's; -1 with err.
 */
int mail_root_owner_state(const struct mail_root *root, uid_t uid, gid_t gid, bool make,
			  struct err *err);
/* Has any owner of mboxes of the root such a folder? Yes, too, if that cannot be told. */
bool mail_root_has_owner_states(const struct mail_root *root);
/* Can the state folder of the root be written to, or made? Changes nothing. */
int mail_root_check_state(const struct mail_root *root, struct err *err);
/* Is there anything that may be a maildrop, or a folder of some? Yes, too, if that cannot be told.
 */
bool mail_root_in_use(const struct maildrop_syscalls *sys, int root_fd);
/* May a maildrop that is not there be made? If not, err says what to do (without saying which
 * maildrop). root may be NULL: nothing is known. */
bool mail_root_may_make(const struct mail_root *root, const struct maildrop_syscalls *sys,
			int root_fd, struct err *err);

#endif
