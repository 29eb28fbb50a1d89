/* The order of fresh messages. A step of maildir_update. */
#ifndef MAILDROP_MAILDIR_UPDATE_ORDER_H
#define MAILDROP_MAILDIR_UPDATE_ORDER_H

#include "maildrop/maildir/update/compare.h"

/* Sets order and order_count. */
enum maildrop_status maildir_order(struct maildir_comparison *c, struct err *err);

#endif
