/*
 * A step of maildir_sweep: counting a portion of the messages whose octets are only claimed, by
 * their names or by the sizes of their files.
 */
#ifndef MAILDROP_MAILDIR_SESSION_SWEEP_CLAIMS_H
#define MAILDROP_MAILDIR_SESSION_SWEEP_CLAIMS_H

#include "maildrop/maildir/session/session.h"

/* Returns whether this portion is recorded and there are more. */
bool maildir_sweep_claims(struct maildir *m);

#endif
