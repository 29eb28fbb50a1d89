/* Texts of the user and parts of a URL, for the whole room; account.h brings it along. */
#ifndef FETCH_ACCOUNT_URL_H
#define FETCH_ACCOUNT_URL_H

#include "base/err.h"

#include <stddef.h>

struct fetch_account;

/* Copies bounded text without control characters; field names it in the error. */
int fetch_text(char *to, size_t size, const char *from, const char *field, struct err *err);
/* "USER@HOST[:PORT]", user percent-encoded where it must be: into account's user, host and port. */
int fetch_url_authority(struct fetch_account *account, const char *text, struct err *err);
/* Percent-decodes in place; -1 for a broken escape or a NUL. */
int fetch_url_decode(char *text);

#endif
