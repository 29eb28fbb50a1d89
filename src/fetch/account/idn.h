/* Host names beyond ASCII, for account.c. Pure. */
#ifndef FETCH_ACCOUNT_IDN_H
#define FETCH_ACCOUNT_IDN_H

#include "base/err.h"

#include <stddef.h>

/* The form of DNS and certificates ("xn--…") of a host name in UTF-8 (RFC 5891); ASCII stays as it
 * is. */
int fetch_host_to_ascii(const char *host, char *buf, size_t size, struct err *err);

#endif
