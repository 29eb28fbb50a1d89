/* Paths in the configuration file: relative ones are meant from the file's own folder. */
#ifndef CONFIG_PATH_H
#define CONFIG_PATH_H

#include "base/err.h"

#include <stddef.h>

/* Writes path to buf, behind directory if path is relative. directory NULL or "": path stays as it
 * is, and so does an empty path. Returns 0, or -1 with err: the result does not fit into size
 * octets. */
int config_resolve(const char *directory, const char *path, char *buf, size_t size,
		   struct err *err);

#endif
