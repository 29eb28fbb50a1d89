/* See xuidl.h. */
#include "maildrop/maildir/adopt/xuidl.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define HEADERS_MAX (256 * 1024) /* octets of a message that are looked at */
#define FIELD "X-UIDL:"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* The value behind the field's name, up to the end of its line. */
static size_t take_value(const char *at, const char *end, char *ret, size_t size)
{
	while (at < end && is_blank(*at))
		at++;
	while (end > at && is_blank(end[-1]))
		end--;
	if ((size_t)(end - at) >= size || memchr(at, 0, (size_t)(end - at)))
		return 0;
	memcpy(ret, at, (size_t)(end - at));
	ret[end - at] = '\0';
	return (size_t)(end - at);
}

static size_t find_field(const char *text, size_t size, char *ret, size_t room)
{
	const char *end = text + size, *line_end;

	for (const char *at = text; at < end; at = line_end + 1) {
		line_end = memchr(at, '\n', (size_t)(end - at));
		if (!line_end || line_end == at || (line_end == at + 1 && *at == '\r'))
			return 0; /* the end of the headers */
		if ((size_t)(line_end - at) > strlen(FIELD) &&
		    strncasecmp(at, FIELD, strlen(FIELD)) == 0)
			return take_value(at + strlen(FIELD), line_end, ret, room);
	}
	return 0;
}

size_t xuidl_read(struct maildir_place *place, enum index_directory directory, const char *name,
		  char *ret, size_t size)
{
	int folder = maildir_directory(place, directory), fd;
	char *text = malloc(HEADERS_MAX);
	size_t found = 0;
	ssize_t n;

	fd = text && folder >= 0
		     ? place->sys->openat(folder, name,
					  O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
					  0)
		     : -1;
	n = fd >= 0 ? maildrop_pread(place->sys, fd, text, HEADERS_MAX, 0) : -1;
	if (n > 0)
		found = find_field(text, (size_t)n, ret, size);
	if (fd >= 0)
		close(fd);
	free(text);
	return found;
}
