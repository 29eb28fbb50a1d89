/* Paths in the configuration file; for config_file.c and config_oauth.c. */
#ifndef FETCH_ACCOUNT_CONFIG_PATH_H
#define FETCH_ACCOUNT_CONFIG_PATH_H

#include "base/err.h"

#include <stddef.h>

/* Copies a path; "~/x" is the user's. */
int config_path(char *to, size_t size, const char *from, const char *field, struct err *err);

#endif
