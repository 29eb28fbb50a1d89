/* The lock file beside an mbox, FILE.lock, as mail programs of Debian take it. For mbox.c. */
#ifndef FETCH_SINK_DOTLOCK_H
#define FETCH_SINK_DOTLOCK_H

#include "fetch/syscalls.h"

/* Makes the lock, with our process and host in it; takes the place of one whose process is dead. 0,
 * or -1 and errno: EEXIST if another program holds it. */
int dotlock_take(const struct fetch_files *files, const char *path);

#endif
