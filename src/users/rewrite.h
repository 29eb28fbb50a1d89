/*
 * A file in use is changed: a new one is written beside it and renamed into its place, both
 * flushed, so that no reader sees half a file; under a lock, so that two writers lose nothing of
 * each other's. On the command line, with the rights of its caller. Used within users only.
 */
#ifndef USERS_REWRITE_H
#define USERS_REWRITE_H

#include "base/err.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>

/* The path without links at its end, so that a symbolic link stays one. The file need not be there,
 * its folder must. */
int rewrite_real_path(const char *path, char real[PATH_MAX], struct err *err);
/* Opens the file (a real path; make: with mode 0640 if it is not there) and locks it until its
 * descriptor is closed. Returns the descriptor, or -1. */
int rewrite_lock(const char *path, bool make, struct stat *ret_st, struct err *err);

typedef int rewrite_write(FILE *out, void *argument, struct err *err);
/* Puts a new file in the place of path (a real path, which the caller has locked), with the owner,
 * group and mode of like. -1 of write: the old file stays. */
int rewrite_replace(const char *path, const struct stat *like, rewrite_write *write, void *argument,
		    struct err *err);

#endif
