/*
 * A file in the folder of the users file that is read whole, and again when it changed: its text,
 * and whether it is still the one that was read. In auth (any thread) and on the command line. Used
 * within users only.
 */
#ifndef USERS_TEXT_FILE_H
#define USERS_TEXT_FILE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

/* The whole file, with a NUL behind it; the caller wipes and frees it. most: octets; above that, a
 * file that is none, and a change while it is read are errors. EX_NOINPUT with ENOENT: there is no
 * such file. */
int text_file_read(int dir_fd, const char *name, size_t most, char **ret_text, size_t *ret_size,
		   struct stat *ret_st, struct err *err);
bool text_file_same(const struct stat *a, const struct stat *b);
/* A file that changed a moment before it was read may change again within the same tick of the
 * clock of the filesystem: false, it is read once more. */
bool text_file_settled(const struct stat *st);

#endif
