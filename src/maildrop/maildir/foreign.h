/*
 * A look through a mail root for Maildirs that another server filled and nobody imported: their
 * users cannot log in. For `valijad -t` and `valija doctor`; may hang with the filesystem.
 */
#ifndef MAILDROP_MAILDIR_FOREIGN_H
#define MAILDROP_MAILDIR_FOREIGN_H

#include "maildrop/mail_origin.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Is there one, and no record of the root by which it would be adopted? Then its path below the
 * root is written to ret, and to *ret_lists which servers filled it (a set of ORIGIN_HAS). Looks
 * at a few thousand folders, four levels deep; symbolic links are not followed. Folders that this
 * process may not read are passed over.
 */
bool maildir_foreign_find(int root_fd, char *ret, size_t size, unsigned *ret_lists);

#endif
