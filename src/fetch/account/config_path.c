/* See config_path.h. */
#include "fetch/account/config_path.h"

#include "fetch/account/account.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

int config_path(char *to, size_t size, const char *from, const char *field, struct err *err)
{
	char whole[FETCH_COMMAND_MAX];
	const char *home = getenv("HOME");

	if (strncmp(from, "~/", 2) != 0 || !home)
		return fetch_text(to, size, from, field, err);
	if (snprintf(whole, sizeof(whole), "%s/%s", home, from + 2) >= (int)sizeof(whole))
		return err_set(err, EX_CONFIG, "%s is too long", field);
	return fetch_text(to, size, whole, field, err);
}
