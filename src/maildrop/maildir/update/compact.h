/*
 * Compaction: base and log become one new base with an empty log. In whatever process holds session
 * and log: a keeper's worker, or `valija deliver`.
 */
#ifndef MAILDROP_MAILDIR_UPDATE_COMPACT_H
#define MAILDROP_MAILDIR_UPDATE_COMPACT_H

#include "maildrop/maildir/update/log.h"

/* 0, or -1: base and log are as before. */
int maildir_compact(struct maildir_log *log);
/* The same for a log that is long. Failures leave it as it is. */
void maildir_compact_if_long(struct maildir_log *log);

#endif
