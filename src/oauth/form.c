/* See form.h. */
#include "oauth/form.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

void form_put(struct form *form, const char *text)
{
	size_t n = strlen(text);

	if (n >= sizeof(form->text) - form->used) {
		form->full = true;
		return;
	}
	memcpy(form->text + form->used, text, n + 1);
	form->used += n;
}

void form_init(struct form *form, const char *start)
{
	form->used = 0;
	form->full = false;
	form->text[0] = '\0';
	form_put(form, start);
}

/* The characters that need no escape (RFC 3986 section 2.3). */
static bool unreserved(unsigned char c)
{
	return isascii(c) && (isalnum(c) || strchr("-._~", c));
}

void form_add(struct form *form, const char *name, const char *value)
{
	char last = form->used ? form->text[form->used - 1] : '\0';

	if (last && last != '?' && last != '&')
		form_put(form, "&");
	form_put(form, name);
	form_put(form, "=");
	for (; *value; value++) {
		char one[4] = {*value, '\0'};

		if (!unreserved((unsigned char)*value))
			snprintf(one, sizeof(one), "%%%02X", (unsigned char)*value);
		form_put(form, one);
	}
}
