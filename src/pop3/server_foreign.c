/* See server_foreign_private.h. No state; the line is hostile, and none of it is repeated. */
#include "pop3/server_foreign_private.h"

#include "pop3/grammar_private.h"

#include <stddef.h>
#include <string.h>

static bool is_one_of(pop3_span word, const char *const *words)
{
	while (*words && !p3_equal_nocase(word, *words))
		words++;
	return *words != NULL;
}

/* "GET / HTTP/1.1" (RFC 9112 section 3). */
static bool is_http(pop3_span arg)
{
	static const char version[] = " HTTP/";
	size_t size = sizeof(version) - 1 + 3; /* and "1.1" */

	return arg.size > size &&
	       memcmp(arg.data + arg.size - size, version, sizeof(version) - 1) == 0;
}

/* A tag and a command (RFC 9051 section 2.2.1). */
static bool is_imap(pop3_span tag, pop3_span arg)
{
	static const char *const commands[] = {"LOGIN",    "CAPABILITY", "AUTHENTICATE",
					       "STARTTLS", "LOGOUT",     "NOOP",
					       "ID",       "SELECT",     NULL};
	const char *blank = arg.size ? memchr(arg.data, ' ', arg.size) : NULL;

	if (blank)
		arg.size = (size_t)(blank - arg.data);
	return tag.size && arg.size && is_one_of(arg, commands);
}

enum p3_word p3_foreign_word(pop3_span keyword, pop3_span arg)
{
	static const char *const smtp[] = {"EHLO", "LHLO", "MAIL", "RCPT", "DATA", NULL};

	/* POP2 (RFC 937) has a name and a password behind HELO, SMTP a domain */
	if (p3_equal_nocase(keyword, "HELO"))
		return arg.size && memchr(arg.data, ' ', arg.size) ? P3_NOT_POP2 : P3_NOT_SMTP;
	if (is_one_of(keyword, smtp))
		return P3_NOT_SMTP;
	if (is_http(arg))
		return P3_NOT_HTTP;
	if (is_imap(keyword, arg))
		return P3_NOT_IMAP;
	return P3_UNKNOWN;
}
