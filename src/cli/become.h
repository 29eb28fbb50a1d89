/* Root becomes the owner of a mailbox, for good: mail is never read or written as root. For the
 * subcommands that work on a file that a person names. */
#ifndef CLI_BECOME_H
#define CLI_BECOME_H

#include "base/err.h"

/* Started by another user: nothing is done. -1 with err: file is not there, is no regular file, or
 * its owner cannot be become. */
int become_owner(const char *file, struct err *err);

#endif
