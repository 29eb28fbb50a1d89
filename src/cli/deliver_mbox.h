/* `valija deliver -m FILE`: the message goes to the end of one mbox. For deliver.c, which has read
 * the options. */
#ifndef CLI_DELIVER_MBOX_H
#define CLI_DELIVER_MBOX_H

#include "base/err.h"

/* sender: of the option -f, or NULL. Returns a code of sysexits.h; not EX_OK: err says why. */
int deliver_mbox(const char *file, const char *sender, struct err *err);

#endif
