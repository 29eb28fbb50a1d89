/* Forms (application/x-www-form-urlencoded) and addresses with queries, put together in a buffer of
 * the caller's. Pure. */
#ifndef OAUTH_FORM_H
#define OAUTH_FORM_H

#include <stdbool.h>
#include <stddef.h>

enum { FORM_MAX = 16384 };

struct form {
	size_t used;
	bool full; /* something did not fit */
	char text[FORM_MAX];
};

void form_init(struct form *form, const char *start);
/* "NAME=VALUE", the value percent-encoded, behind "&" unless it is the first. */
void form_add(struct form *form, const char *name, const char *value);
/* As it is. */
void form_put(struct form *form, const char *text);

#endif
