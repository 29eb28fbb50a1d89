/* Entry of the driver (driver.h): small messages by value. For mbox.c. */
#ifndef MAILDROP_MBOX_VALUES_H
#define MAILDROP_MBOX_VALUES_H

#include "maildrop/maildrop.h"

enum maildrop_status mbox_values(struct maildrop *maildrop, const struct maildrop_values *values,
				 struct err *err);

#endif
