/*
 * QUIT: deletions become durable in the log.
 */
#ifndef MAILDROP_MAILDIR_SESSION_COMMIT_H
#define MAILDROP_MAILDIR_SESSION_COMMIT_H

#include "maildrop/maildir/session/session.h"

enum maildrop_status maildir_commit(struct maildrop *maildrop, const uint32_t *numbers,
				    uint32_t count, struct err *err);
void maildir_attribute(struct maildrop *maildrop, const struct deleted_by *by);

#endif
