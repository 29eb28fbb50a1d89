/* See found.h. Pure. */
#include "fetch/setup/found.h"

#include <string.h>

bool found_host_valid(const char *text, size_t size)
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";

	if (size == 0 || size >= FETCH_TEXT_MAX || text[0] == '-' || text[0] == '.')
		return false;
	for (size_t i = 0; i < size; i++)
		if (!memchr(letters, text[i], sizeof(letters) - 1))
			return false;
	return true;
}
