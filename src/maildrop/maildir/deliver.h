/*
 * Delivery: a message becomes a file of new/, flushed and named, before OK is answered.
 */
#ifndef MAILDROP_MAILDIR_DELIVER_H
#define MAILDROP_MAILDIR_DELIVER_H

#include "maildrop/driver.h"

enum maildrop_status maildir_deliver(const struct maildrop_settings *settings, int root_fd,
				     const char *home, const struct maildrop_delivery *delivery,
				     struct err *err);

#endif
