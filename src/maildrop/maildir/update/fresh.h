/* Sizes and unique ids of fresh messages. A step of maildir_update. */
#ifndef MAILDROP_MAILDIR_UPDATE_FRESH_H
#define MAILDROP_MAILDIR_UPDATE_FRESH_H

#include "maildrop/maildir/update/compare.h"

/* Takes out those that another server hid from POP3 (`valija import`): their files are IMAP's. */
enum maildrop_status maildir_fresh_hide(struct maildir_comparison *c, struct err *err);
/* Counts the octets of fresh messages. */
enum maildrop_status maildir_fresh_measure(struct maildir_comparison *c, struct err *err);
/* Gives them unique ids, in their order. save: ids that had to be made up are written down. */
enum maildrop_status maildir_fresh_name_ids(struct maildir_comparison *c, bool save,
					    struct err *err);

#endif
