/* See sasl_prepare.h. The text is hostile: it may come from a client. */
#include "users/sasl_prepare.h"

#include "base/text.h"

#include <gsasl.h>
#include <string.h>

static bool is_printable_ascii(const struct secret *secret)
{
	for (size_t i = 0; i < secret->size; i++)
		if (secret->bytes[i] < 0x20 || secret->bytes[i] > 0x7e)
			return false;
	return true;
}

void sasl_prepare(const struct secret *password, struct secret *ret)
{
	char *prepared = NULL;

	secret_init(ret);
	if (!is_printable_ascii(password) && !memchr(password->bytes, 0, password->size) &&
	    gsasl_saslprep(password->bytes, GSASL_ALLOW_UNASSIGNED, &prepared, NULL) == GSASL_OK &&
	    prepared && secret_set(ret, span_of(prepared)) == 0 && ret->size > 0)
		goto out;
	memcpy(ret->bytes, password->bytes, password->size + 1);
	ret->size = password->size;
out:
	if (prepared) {
		wipe(prepared, strlen(prepared));
		gsasl_free(prepared);
	}
}
