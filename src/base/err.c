/* See err.h. Any process and thread. */
#include "base/err.h"

#include <stdio.h>
#include <string.h>

static void add_text(struct err *err, size_t used, const char *format, va_list ap)
{
	if (used < sizeof(err->text))
		vsnprintf(err->text + used, sizeof(err->text) - used, format, ap);
}

int err_set(struct err *err, int code, const char *format, ...)
{
	va_list ap;

	if (!err)
		return -1;
	err->code = code;
	err->errnum = 0;
	va_start(ap, format);
	add_text(err, 0, format, ap);
	va_end(ap);
	return -1;
}

int err_sys(struct err *err, int code, int errnum, const char *format, ...)
{
	va_list ap;
	size_t used;

	if (!err)
		return -1;
	err->code = code;
	err->errnum = errnum;
	va_start(ap, format);
	add_text(err, 0, format, ap);
	va_end(ap);
	used = strlen(err->text);
	snprintf(err->text + used, sizeof(err->text) - used, ": %s", strerror(errnum));
	return -1;
}

int err_prefix(struct err *err, const char *format, ...)
{
	char old[sizeof(err->text)];
	va_list ap;
	size_t used;

	if (!err)
		return -1;
	memcpy(old, err->text, sizeof(old));
	va_start(ap, format);
	add_text(err, 0, format, ap);
	va_end(ap);
	used = strlen(err->text);
	snprintf(err->text + used, sizeof(err->text) - used, ": %s", old);
	return -1;
}
