/*
 * Cyrus's spool can be read by Cyrus's user alone, and mail here is written by its owner alone. So
 * a process of its own, with the rights of the spool's owner, opens what is in the spool, and lends
 * the descriptors to the others. For the files of this folder.
 */
#ifndef CLI_IMPORT_CYRUS_LENDER_H
#define CLI_IMPORT_CYRUS_LENDER_H

#include "base/err.h"

#include <sys/types.h>

struct lender {
	int channel; /* -1: it is not there */
	pid_t pid;
};

enum { LENDER_PATH_MAX = 4096 };

/* Starts it, with the rights of the owner of folder. Started by another user than root it has
 * those of this user. -1 with err. */
int lender_start(struct lender *lender, const char *folder, struct err *err);
void lender_stop(struct lender *lender);
/* Opens a file or folder for reading; links in its last place are not followed. The caller's. -1
 * with err. One process at a time. */
int lender_open(const struct lender *lender, const char *path, struct err *err);

#endif
