/* See tls_error.h. Fronts and `valija fetch`. */
#include "sys/tls_error.h"

#include <openssl/err.h>

const char *tls_error_text(void)
{
	unsigned long code = ERR_peek_last_error();
	const char *reason = code ? ERR_reason_error_string(code) : NULL;

	return reason ? reason : "unknown error";
}
