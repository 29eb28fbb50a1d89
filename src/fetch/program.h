/* Paths of the programs that `valija fetch` starts. Found before the process confines itself. */
#ifndef FETCH_PROGRAM_H
#define FETCH_PROGRAM_H

#include <limits.h>

/* Beside this program, as in a build directory, or where it is installed. */
void fetch_program(const char *name, char ret[PATH_MAX]);

#endif
