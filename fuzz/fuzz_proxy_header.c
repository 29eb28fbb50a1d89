/* A header of the PROXY protocol, whole and in pieces whose sizes the first octet chooses. Checked:
 * both ways of reading agree, no octet beyond the header is taken, a version of TLS is text that
 * ends. */
#include "server/proxy_header.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum proxy_status take(struct proxy_header *header, const uint8_t *data, size_t size,
			      size_t piece, size_t *ret_used)
{
	enum proxy_status status = PROXY_MORE;

	*ret_used = 0;
	memset(header, 0, sizeof(*header));
	while (*ret_used < size && status == PROXY_MORE) {
		size_t n = size - *ret_used < piece ? size - *ret_used : piece, used;
		uint8_t *copy = malloc(n); /* the sanitizer sees what lies behind it */

		assert(copy);
		memcpy(copy, data + *ret_used, n);
		status = proxy_header_take(header, copy, n, &used);
		assert(used <= n);
		free(copy);
		*ret_used += used;
	}
	return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proxy_header whole, pieces;
	enum proxy_status status;
	size_t used, again;

	if (!size)
		return 0;
	status = take(&whole, data + 1, size - 1, size, &used);
	assert(take(&pieces, data + 1, size - 1, data[0] % 32 + 1u, &again) == status);
	if (status == PROXY_BAD)
		return 0;
	assert(used == again && memcmp(&whole, &pieces, sizeof(whole)) == 0);
	assert(memchr(whole.tls_version, 0, sizeof(whole.tls_version)));
	return 0;
}
