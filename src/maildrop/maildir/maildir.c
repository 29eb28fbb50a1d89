/* See maildir.h. */
#include "maildrop/maildir/maildir.h"

#include "maildrop/maildir/deliver.h"
#include "maildrop/maildir/session/body.h"
#include "maildrop/maildir/session/commit.h"
#include "maildrop/maildir/session/expire.h"
#include "maildrop/maildir/session/open.h"
#include "maildrop/maildir/session/sweep.h"
#include "maildrop/maildir/session/undelete.h"

const struct maildrop_driver maildir_driver = {
	.retains = true,
	.open = maildir_open,
	.open_empty = maildir_open_empty,
	.make = maildir_make,
	.open_now = maildir_open_now,
	.close = maildir_close,
	.body = maildir_body,
	.body_now = maildir_body_now,
	.body_wrong = maildir_body_wrong,
	.attribute = maildir_attribute,
	.undelete = maildir_undelete,
	.expire = maildir_expire,
	.commit = maildir_commit,
	.sweep = maildir_sweep,
	.at_rest = maildir_at_rest,
	.index_wrong = maildir_index_wrong,
	.usage = maildir_usage,
	.deliver = maildir_deliver,
	.open_moving = maildir_open_moving,
};
