/*
 * Grants in a folder, a file a user: for the lookup that spends them, in several threads, and for
 * the command that puts one in. One lock a user from reading to writing, a file of its own that is
 * never removed. The folder is of the system user who spends them, and nobody else may enter it.
 */
#ifndef OAUTH_GRANT_FOLDER_H
#define OAUTH_GRANT_FOLDER_H

#include "base/err.h"
#include "oauth/grant.h"

#include <sys/types.h>

enum { GRANT_NAME_MAX = 240 };

/* The folder's descriptor, close-on-exec. -1 with err: it is missing, or not owner's alone. */
int grant_folder_open(const char *path, uid_t owner, struct err *err);

struct grant_file {
	int dir, lock;
	uid_t owner;
	char name[GRANT_NAME_MAX + 16];
};

/*
 * Waits for the lock of the user's grant until deadline (milliseconds of CLOCK_MONOTONIC). dir
 * stays the caller's. user: canonical, without "/" and no "." in front. owner: of files that are
 * made by root; else that of this process. -1: nothing is held.
 */
int grant_file_open(int dir, const char *user, uid_t owner, int64_t deadline,
		    struct grant_file *ret, struct err *err);
void grant_file_close(struct grant_file *file);
/* 1: read; 0: there is none. The caller finishes ret in any case. */
int grant_file_load(const struct grant_file *file, struct grant *ret, struct err *err);
/* Durable when it returns 0: whatever happens then, the old one or this one is there, whole. */
int grant_file_save(const struct grant_file *file, const struct grant *grant, struct err *err);
/* 0: it is gone, or was not there. */
int grant_file_remove(const struct grant_file *file, struct err *err);

#endif
