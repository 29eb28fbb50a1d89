/*
 * A look through a mail root for Maildirs that another server filled and nobody imported: their
 * users cannot log in, or, where nothing tells whose ids their clients know, get ids of our own.
 * For `valijad -t` and `valija doctor`; may hang with the filesystem.
 */
#ifndef MAILDROP_MAILDIR_FOREIGN_H
#define MAILDROP_MAILDIR_FOREIGN_H

#include "maildrop/mail_origin.h"

#include <stdbool.h>
#include <stddef.h>

#define MAILDIR_FOREIGN_PATH 512

struct maildir_foreign {
	char refused[MAILDIR_FOREIGN_PATH]; /* below the root; "": none was found */
	unsigned lists;                     /* of it: servers that filled it, a set of ORIGIN_HAS */
	/* one with mail, without a list, that was never opened here, where no Maildir ever was; "":
	 * none was found, or one that is ours */
	char unopened[MAILDIR_FOREIGN_PATH];
};

/*
 * Nothing is found in a root with a record by which such Maildirs are adopted. Looks at a few
 * thousand folders, four levels deep, up to the first one that is refused; symbolic links are not
 * followed. Folders that this process may not read are passed over.
 */
void maildir_foreign_find(int root_fd, struct maildir_foreign *ret);

#endif
