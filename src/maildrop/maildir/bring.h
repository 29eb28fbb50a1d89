/*
 * `valija import`: the unique ids of another server's Maildirs are brought into ours, or taken
 * back. With the rights of the mail's owner; may block on the disk.
 */
#ifndef MAILDROP_MAILDIR_BRING_H
#define MAILDROP_MAILDIR_BRING_H

#include "maildrop/adopt_report.h"
#include "maildrop/mail_origin.h"
#include "maildrop/maildrop.h"

/*
 * Brings the ids of the maildrop in folder. control: the folder of the other server's list; usually
 * folder. Both stay the caller's. home names it. dry_run: nothing is written. A maildrop that is
 * not ADOPT_FOREIGN is left alone; one that has another server's list only is MAILDROP_PERM. *ret
 * is filled in either case.
 */
enum maildrop_status maildir_bring(int folder, int control, const char *home,
				   const struct mail_origin *origin, bool dry_run,
				   struct adopt_report *ret, struct err *err);
/* Servers that filled the maildrop in folder, which stays the caller's, where it is ADOPT_FOREIGN:
 * a set of ORIGIN_HAS. 0: it is not, or that cannot be found out. Its messages are not counted. */
unsigned maildir_foreign_lists(int folder, const char *home);
/* Takes back what was brought. *ret: there was something; *ret_used: but a session or a delivery of
 * ours was there since, so it stays. */
enum maildrop_status maildir_take_back(int folder, const char *home, bool dry_run, bool *ret,
				       bool *ret_used, struct err *err);

#endif
