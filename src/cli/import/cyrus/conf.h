/* imapd.conf of Cyrus: its options, those of included files as well. For the files of this folder.
 */
#ifndef CLI_IMPORT_CYRUS_CONF_H
#define CLI_IMPORT_CYRUS_CONF_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct cyrus_option {
	char *key, *value; /* key: in small letters */
};

struct cyrus_conf {
	struct cyrus_option *options; /* in the order of the files */
	size_t count, room;
};

/* file: "-" is standard input; NULL: where Cyrus has it. -1 with err; cyrus_conf_finish must be
 * called then, too. */
int cyrus_conf_read(const char *file, struct cyrus_conf *ret, struct err *err);
void cyrus_conf_finish(struct cyrus_conf *conf);
/* The last value; one of the service pop3 (pop3_KEY) comes first. NULL: it is not set. */
const char *cyrus_conf_get(const struct cyrus_conf *conf, const char *key);
bool cyrus_conf_is(const struct cyrus_conf *conf, const char *key, bool otherwise);

#endif
