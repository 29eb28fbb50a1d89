/* Messages that are too old are deleted (struct maildrop_retention). */
#ifndef MAILDROP_MAILDIR_SESSION_EXPIRE_H
#define MAILDROP_MAILDIR_SESSION_EXPIRE_H

#include "maildrop/maildir/session/session.h"

/* See maildrop_expire. */
enum maildrop_status maildir_expire(struct maildrop *maildrop, bool dry_run, maildrop_expired *each,
				    void *context, struct err *err);

#endif
