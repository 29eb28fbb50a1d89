/*
 * dovecot-uidlist.lock, the lock file under which Dovecot changes its list of a Maildir. For
 * give_back.c. With the rights of the mail's owner; waits for its holder.
 */
#ifndef MAILDROP_MAILDIR_ADOPT_UIDLIST_LOCK_H
#define MAILDROP_MAILDIR_ADOPT_UIDLIST_LOCK_H

#include "maildrop/maildir/files/place.h"

/* control: the folder of the list. Takes the place of a lock whose holder, of this machine, is
 * gone. 0; -1 with err, which names the file: it has a holder, or cannot be made. */
int uidlist_lock(const struct maildir_place *place, int control, struct err *err);
/* 0; -1 with errno: it is left behind. */
int uidlist_unlock(const struct maildir_place *place, int control);

#endif
