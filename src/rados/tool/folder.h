/* Maildirs below a folder, for export and import. */
#ifndef RADOS_TOOL_FOLDER_H
#define RADOS_TOOL_FOLDER_H

#include "base/err.h"

#include <stdbool.h>

/* A path below a folder that leads nowhere else. */
bool folder_path_is_safe(const char *path);
/* Opens the folder; root then becomes its owner for good: mail is not written as root. -1: err. */
int folder_open(const char *path, struct err *err);
/* Opens a folder below one, made if need be, no link followed. -1: err. */
int folder_make(int root, const char *path, struct err *err);
/* Calls each for every Maildir below root, in no order. -1: err. */
int folder_scan(int root, int (*each)(void *context, const char *path, struct err *err),
		void *context, struct err *err);

#endif
