/*
 * Opens a program that this process is to become, or to run with its rights, by a path that nobody
 * but root and this user can change: each folder on the way, each symbolic link and the file itself
 * belongs to one of the two and cannot be written by others. In the monitor, as root when that is
 * root. System calls only; nothing is kept.
 */
#ifndef SYS_TRUSTED_PATH_H
#define SYS_TRUSTED_PATH_H

#include "base/err.h"

/* path is absolute. Returns a descriptor for process_exec and its sisters (O_PATH, close-on-exec),
 * or -1 with err, which names the folder or file that is not to be trusted. A folder that all may
 * write is accepted if it is sticky; one that its group may write, if that is this process's. */
int trusted_path_open(const char *path, struct err *err);

#endif
