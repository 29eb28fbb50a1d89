/*
 * `valija import`: the unique ids of another server's Maildirs are brought into ours, or taken
 * back. With the rights of the mail's owner; may block on the disk.
 */
#ifndef MAILDROP_MAILDIR_BRING_H
#define MAILDROP_MAILDIR_BRING_H

#include "maildrop/maildir/origin.h"
#include "maildrop/maildrop.h"

enum adopt_is {
	ADOPT_FOREIGN, /* another server's: it has messages and ids, and was never ours */
	ADOPT_OURS,    /* has files of ours: its ids stay */
	ADOPT_PLAIN, /* no other server's ids are there, or no message: ids are made by our rule */
};

struct adopt_report {
	enum adopt_is is;
	unsigned lists; /* ADOPT_FOREIGN: servers whose lists are there, ORIGIN_HAS */
	uint64_t messages;
	uint64_t brought; /* of them: with the id that the other server gave */
	uint64_t fresh;   /* the other server never showed them */
	uint64_t again;   /* the id cannot be brought: clients load them again */
	uint32_t bad;     /* lines of the other server's list that make no sense */
	char why[256];    /* of the first of `again` */
};

/*
 * Brings the ids of the maildrop in folder. control: the folder of the other server's list; usually
 * folder. Both stay the caller's. home names it. dry_run: nothing is written. A maildrop that is
 * not ADOPT_FOREIGN is left alone; one that has another server's list only is MAILDROP_PERM. *ret
 * is filled in either case.
 */
enum maildrop_status maildir_bring(int folder, int control, const char *home,
				   const struct maildir_origin *origin, bool dry_run,
				   struct adopt_report *ret, struct err *err);
/* Servers that filled the maildrop in folder, which stays the caller's, where it is ADOPT_FOREIGN:
 * a set of ORIGIN_HAS. 0: it is not, or that cannot be found out. Its messages are not counted. */
unsigned maildir_foreign_lists(int folder, const char *home);
/* Takes back what was brought. *ret: there was something; *ret_used: but a session or a delivery of
 * ours was there since, so it stays. */
enum maildrop_status maildir_take_back(int folder, const char *home, bool dry_run, bool *ret,
				       bool *ret_used, struct err *err);

#endif
