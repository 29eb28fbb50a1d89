/* Paths in the configuration file: relative ones are meant from the file's own folder; and the
 * folders that they name. */
#ifndef CONFIG_PATH_H
#define CONFIG_PATH_H

#include "base/err.h"

#include <stddef.h>

/* Writes path to buf, behind directory if path is relative. directory NULL or "": path stays as it
 * is, and so does an empty path. Returns 0, or -1 with err: the result does not fit into size
 * octets. */
int config_resolve(const char *directory, const char *path, char *buf, size_t size,
		   struct err *err);

/* Opens a folder, close-on-exec: how is O_RDONLY or O_PATH. *ret is the caller's. Returns 0, or -1
 * with err (EX_NOINPUT). */
int config_open_directory(const char *path, int how, int *ret, struct err *err);
/* Opens the folder that path is in, with O_PATH. */
int config_open_parent(const char *path, int *ret, struct err *err);
/* The last part of path; points into it. */
const char *config_file_name(const char *path);

#endif
