/* Sections oauth "NAME" of the configuration file; for config_file.c alone. */
#ifndef FETCH_ACCOUNT_CONFIG_OAUTH_H
#define FETCH_ACCOUNT_CONFIG_OAUTH_H

#include "fetch/account/config_file.h"

#include <confuse.h>

/* Reads all of them, and leaves room for providers of the table that accounts name without one. */
int config_oauth_read(cfg_t *cfg, struct fetch_config *config, struct err *err);
/* The section of that name, or the table's row; NULL: there is neither. */
const struct fetch_oauth *config_oauth_named(struct fetch_config *config, const char *name,
					     struct err *err);
/* An account's oauth = "NAME": its section, or the table's row. */
int config_oauth_use(struct fetch_config *config, struct fetch_account *account, const char *name,
		     struct err *err);

#endif
