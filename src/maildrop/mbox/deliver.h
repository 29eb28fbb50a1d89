/* Entries of the driver (driver.h): usage and delivery. For mbox.c. */
#ifndef MAILDROP_MBOX_DELIVER_H
#define MAILDROP_MBOX_DELIVER_H

#include "maildrop/maildrop.h"

enum maildrop_status mbox_usage(const struct maildrop_settings *settings, int root_fd,
				const char *home, struct maildrop_usage *ret, struct err *err);
enum maildrop_status mbox_deliver(const struct maildrop_settings *settings, int root_fd,
				  const char *home, const struct maildrop_delivery *delivery,
				  struct err *err);

#endif
