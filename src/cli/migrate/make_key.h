/* valija migrate --make-key FILE: the pair of keys for `learn`. With the rights of the caller. */
#ifndef CLI_MIGRATE_MAKE_KEY_H
#define CLI_MIGRATE_MAKE_KEY_H

#include "base/err.h"

/* Makes FILE, which opens, and FILE.learn, which seals. A file that is there stays. -1 with err. */
int make_key(const char *file, struct err *err);

#endif
