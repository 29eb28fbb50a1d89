/* Paths in the configuration file: relative ones are meant from the file's own folder; and the
 * folders that they name. */
#ifndef CONFIG_PATH_H
#define CONFIG_PATH_H

#include "base/err.h"

#include <pop3/span.h>

#include <stdbool.h>
#include <stddef.h>

/* Writes path to buf, behind directory if path is relative. directory NULL or "": path stays as it
 * is, and so does an empty path. Returns 0, or -1 with err: the result does not fit into size
 * octets. */
int config_resolve(const char *directory, const char *path, char *buf, size_t size,
		   struct err *err);

/* "credential:NAME": a file that the service manager gives to this process alone (LoadCredential=,
 * $CREDENTIALS_DIRECTORY). */
bool config_is_credential(const char *value);
/* Its path. -1 with err: this process has no such credential. */
int config_credential_path(const char *value, char *buf, size_t size, struct err *err);
/* As config_resolve; of a credential its path, or, in a process that has no credentials, value as
 * it is. */
int config_resolve_file(const char *directory, const char *value, char *buf, size_t size,
			struct err *err);

/* A path below a folder of mail: no part that is empty or begins with a dot, so no ".." and no
 * slash at either end, no control character. */
bool config_below_valid(pop3_span path);

/* Opens a folder, close-on-exec: how is O_RDONLY or O_PATH. *ret is the caller's. Returns 0, or -1
 * with err (EX_NOINPUT). */
int config_open_directory(const char *path, int how, int *ret, struct err *err);
/* Opens the folder that path is in, with O_PATH. */
int config_open_parent(const char *path, int *ret, struct err *err);
/* The last part of path; points into it. */
const char *config_file_name(const char *path);

#endif
