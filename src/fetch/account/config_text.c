/* See config_text.h. Pure. */
#include "fetch/account/config_text.h"

#include <stdbool.h>
#include <string.h>

const char *config_quoted(const char *value, char buf[CONFIG_QUOTED_MAX])
{
	/* in double quotes libconfuse would put variables of the environment in */
	bool special = strpbrk(value, "$\\\"") != NULL;
	char quote = special ? '\'' : '"', *at = buf, *end = buf + CONFIG_QUOTED_MAX - 3;

	*at++ = quote;
	for (; *value; value++) {
		if (at >= end)
			return NULL;
		if (special && (*value == '\'' || *value == '\\'))
			*at++ = '\\';
		*at++ = *value;
	}
	*at++ = quote;
	*at = '\0';
	return buf;
}
