/* A Maildir without an index is shown to whoever knows which one it was (maildrop/guard.h). For
 * adopt/enter.c and update/update.c. */
#ifndef MAILDROP_MAILDIR_FILES_PROVE_H
#define MAILDROP_MAILDIR_FILES_PROVE_H

#include "maildrop/maildir/files/place.h"

/* Once for each opening; a Maildir without new or cur is not asked about. has: of guard.h. rule: by
 * which unique ids would be brought; "": by none. OK, GUARDED or UNPROVEN with err. */
enum maildrop_status maildir_prove(struct maildir_place *place, unsigned has, const char *rule,
				   struct err *err);
/* Unique ids that are data are in the Maildir, by that rule (NULL: nobody knows which); for
 * whoever reports the maildrop. -1: no memory. */
int maildir_note_ids(struct maildir_place *place, const char *rule);

#endif
