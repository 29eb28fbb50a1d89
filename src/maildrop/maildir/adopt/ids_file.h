/* valija-uidl as adoptions write it: whole or not at all, for half of the ids would be new ids for
 * the other half. For the files of this folder. */
#ifndef MAILDROP_MAILDIR_ADOPT_IDS_FILE_H
#define MAILDROP_MAILDIR_ADOPT_IDS_FILE_H

#include "maildrop/maildir/files/place.h"

/* The file gets this text, on the disk when 0 is returned; without text it is removed. -1 with
 * errno: it is as before. */
int maildir_ids_replace(const struct maildir_place *place, const char *text, size_t size);

#endif
