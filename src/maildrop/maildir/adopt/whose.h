/* The owner of a Maildir's unique ids before it is opened here: another server, we, or nobody. For
 * the files of this folder and bring.c. */
#ifndef MAILDROP_MAILDIR_ADOPT_WHOSE_H
#define MAILDROP_MAILDIR_ADOPT_WHOSE_H

#include "maildrop/maildir/bring.h"
#include "maildrop/maildir/files/place.h"

/* Is there an entry of that name? 1, 0; -1 with errno. */
int maildir_has(const struct maildir_place *place, int folder, const char *name);
/* 1: there is a message in new or cur; 0; -1 with errno. */
int maildir_has_message(struct maildir_place *place);
/* Looks what the folder of place is; only its dir is used. control: the folder of other servers'
 * lists. *ret_lists: ADOPT_FOREIGN: whose there are (ORIGIN_HAS), otherwise 0. -1 with errno. */
int maildir_whose(struct maildir_place *place, int control, enum adopt_is *ret,
		  unsigned *ret_lists);

#endif
