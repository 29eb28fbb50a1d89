/* Entries of the driver (driver.h): QUIT's deletions, and the sweep. For mbox.c. */
#ifndef MAILDROP_MBOX_COMMIT_H
#define MAILDROP_MBOX_COMMIT_H

#include "maildrop/maildrop.h"

enum maildrop_status mbox_commit(struct maildrop *maildrop, const uint32_t *numbers, uint32_t count,
				 struct err *err);
bool mbox_sweep(struct maildrop *maildrop, const atomic_bool *hurry);

#endif
