/* Kept messages are brought back (maildrop/undelete.h). */
#ifndef MAILDROP_MAILDIR_SESSION_UNDELETE_H
#define MAILDROP_MAILDIR_SESSION_UNDELETE_H

#include "maildrop/maildir/session/session.h"
#include "maildrop/undelete.h"

enum maildrop_status maildir_undelete(struct maildrop *maildrop, struct undelete *undelete,
				      struct err *err);

#endif
