/* Values as the configuration file has them: for what writes sections into it. */
#ifndef FETCH_ACCOUNT_CONFIG_TEXT_H
#define FETCH_ACCOUNT_CONFIG_TEXT_H

#include "fetch/account/account.h"

/* Room for any value of an account in quotes, and a NUL. */
enum { CONFIG_QUOTED_MAX = 2 * FETCH_COMMAND_MAX + 64 };

/* Puts a value into quotes, as libconfuse reads it back. Returns buf; NULL: it has no room. */
const char *config_quoted(const char *value, char buf[CONFIG_QUOTED_MAX]);

#endif
