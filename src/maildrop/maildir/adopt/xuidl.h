/* The header X-UIDL of a message, which a server before Dovecot may have written
 * (pop3_reuse_xuidl). */
#ifndef MAILDROP_MAILDIR_ADOPT_XUIDL_H
#define MAILDROP_MAILDIR_ADOPT_XUIDL_H

#include "maildrop/maildir/files/place.h"

/* Copies the value of the first such header, without white space around it, and a NUL. Returns its
 * size; 0: there is none, it is longer than size, or the file cannot be read. */
size_t xuidl_read(struct maildir_place *place, enum index_directory directory, const char *name,
		  char *ret, size_t size);

#endif
