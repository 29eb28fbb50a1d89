/*
 * A step of maildir_sweep: counting a portion of the messages whose octets only their names claim.
 */
#ifndef MAILDROP_MAILDIR_SESSION_SWEEP_CLAIMS_H
#define MAILDROP_MAILDIR_SESSION_SWEEP_CLAIMS_H

#include "maildrop/maildir/session/session.h"

void maildir_sweep_claims(struct maildir *m);

#endif
