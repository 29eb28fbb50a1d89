/*
 * The sweep after a session: files of deleted messages, new/, a long log. It may be killed at any
 * instant; failures are left to a later session.
 */
#ifndef MAILDROP_MAILDIR_SESSION_SWEEP_H
#define MAILDROP_MAILDIR_SESSION_SWEEP_H

#include "maildrop/maildir/session/session.h"

/* Does a slice of it; returns whether more is left, which the next call goes on with. */
bool maildir_sweep(struct maildrop *maildrop, const atomic_bool *hurry);

/* Whether there is nothing to sweep. */
bool maildir_at_rest(const struct maildrop *maildrop);

#endif
