/* See mbox.h. */
#include "maildrop/mbox/mbox.h"

#include "maildrop/mbox/commit.h"
#include "maildrop/mbox/deliver.h"
#include "maildrop/mbox/session.h"
#include "maildrop/mbox/values.h"

const struct maildrop_driver mbox_driver = {
	.open = mbox_open,
	.open_empty = mbox_open_empty,
	.make = mbox_make,
	.open_now = mbox_open_now,
	.close = mbox_close,
	.body = mbox_body,
	.body_now = mbox_body_now,
	.values = mbox_values,
	.body_wrong = mbox_body_wrong,
	.commit = mbox_commit,
	.sweep = mbox_sweep,
	.at_rest = mbox_at_rest,
	.index_wrong = mbox_index_wrong,
	.usage = mbox_usage,
	.deliver = mbox_deliver,
};
