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
/* Takes back what was brought from server. Where a session or a delivery of ours was since, Dovecot
 * is given our ids, and it is UNDO_USED for other servers. folder, control, home and dry_run: as
 * above. */
enum maildrop_status maildir_take_back(int folder, int control, const char *home,
				       enum origin_server server, bool dry_run,
				       struct undo_report *ret, struct err *err);

#endif
