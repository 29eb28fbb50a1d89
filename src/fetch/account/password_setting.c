/* See password_setting.h. Pure; in each process of the fetcher. */
#include "fetch/account/password_setting.h"

#include <stddef.h>
#include <string.h>

const struct fetch_password_setting *fetch_password_setting(unsigned i)
{
	static const struct fetch_password_setting settings[] = {
		{"password-file", FETCH_PASSWORD_FILE, true},
		{"password-command", FETCH_PASSWORD_COMMAND, false},
		{"password-env", FETCH_PASSWORD_ENVIRONMENT, false},
		{"password-credential", FETCH_PASSWORD_CREDENTIAL, false},
		{"netrc", FETCH_PASSWORD_NETRC, true},
		{"token-command", FETCH_TOKEN_COMMAND, false},
	};

	return i < sizeof(settings) / sizeof(settings[0]) ? &settings[i] : NULL;
}

const struct fetch_password_setting *fetch_password_setting_named(const char *name)
{
	const struct fetch_password_setting *setting;

	for (unsigned i = 0; (setting = fetch_password_setting(i)) != NULL; i++)
		if (strcmp(setting->name, name) == 0)
			return setting;
	return NULL;
}
