/*
 * A proxy's replies: the first octet of the input chooses which. A reply that is whole is so with
 * anything behind it, and needs no octet less; what refuses says why.
 */
#include "base/text.h"
#include "fetch/session/proxy.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int parse(unsigned kind, pop3_span in, struct err *err)
{
	int method = -1, rc;

	if (kind == 3)
		return proxy_parse_http(in, err);
	rc = proxy_parse_socks((enum proxy_step)kind, in, &method, err);
	if (rc > 0 && kind == PROXY_METHOD)
		assert(method == 0 || method == 2);
	return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	pop3_span in = {(const char *)data + 1, size - 1};
	unsigned kind = size ? data[0] % 4 : 0;
	struct err err = {0};
	int whole;

	if (size == 0)
		return 0;
	whole = parse(kind, in, &err);
	assert(whole >= -1 && whole <= (int)in.size);
	assert(whole != -1 || (err.code && err.text[0]));
	for (size_t n = 0; n <= in.size && n <= 600; n++) { /* octet by octet, as it is read */
		struct err why = {0};
		int rc = parse(kind, (pop3_span){in.data, n}, &why);

		if (rc == 0)
			continue;
		assert(rc == -1 || (rc == (int)n && rc == whole));
		break;
	}
	return 0;
}
