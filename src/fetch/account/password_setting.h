/* The settings that say where a password or token is: one table for the configuration file, its
 * destinations and `setup`. */
#ifndef FETCH_ACCOUNT_PASSWORD_SETTING_H
#define FETCH_ACCOUNT_PASSWORD_SETTING_H

#include "fetch/account/account.h"

/* As the file and (with "--") the command line name it; a destination's begins with "to-". */
struct fetch_password_setting {
	const char *name;
	enum fetch_password_source source;
	bool path; /* its value is one */
};
/* Number i, from 0; NULL behind the last. */
const struct fetch_password_setting *fetch_password_setting(unsigned i);
/* NULL: it is another setting. */
const struct fetch_password_setting *fetch_password_setting_named(const char *name);

#endif
