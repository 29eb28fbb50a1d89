/* Writing down what a comparison found. The last step of maildir_update. */
#ifndef MAILDROP_MAILDIR_UPDATE_RECORD_H
#define MAILDROP_MAILDIR_UPDATE_RECORD_H

#include "maildrop/maildir/update/compare.h"

/* Into the index that the log has, or instead of it. */
enum maildrop_status maildir_record(struct maildir_comparison *c, struct maildir_log *log,
				    enum maildir_target target, struct err *err);

#endif
