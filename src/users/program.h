/*
 * Programs of this package that valijad starts besides itself: they lie beside it, as in a build,
 * or where they are installed. In the monitor and in commands.
 */
#ifndef USERS_PROGRAM_H
#define USERS_PROGRAM_H

/* The path of it, if it is nowhere: where it would be installed. */
enum { PROGRAM_PATH_MAX = 4096 };
/* Opens it by O_PATH, close-on-exec. -1: errno, and the path that was tried last. */
int program_open(const char *name, char ret_path[PROGRAM_PATH_MAX]);

#endif
