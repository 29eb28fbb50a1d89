/* The way into a Maildir: opened, and adopted if another server filled it. For the files of this
 * folder. */
#ifndef MAILDROP_MAILDIR_ADOPT_ENTER_H
#define MAILDROP_MAILDIR_ADOPT_ENTER_H

#include "maildrop/maildir/files/place.h"

/*
 * maildir_place_open for a maildrop that may never have been ours. One that another server filled
 * gets that server's ids first, as `valija import` has recorded them for the root; where nothing is
 * recorded it is MAILDROP_PERM with the command to run: never new ids in silence.
 */
enum maildrop_status maildir_enter(struct maildir_place *place,
				   const struct maildrop_settings *settings, int root_fd,
				   const char *home, enum maildir_want want, struct err *err);

#endif
