/* See netstring.h. */
#include "server/mta/netstring.h"

enum netstring_status netstring_parse(pop3_span octets, pop3_span *ret, size_t *ret_size)
{
	size_t size = 0, at = 0;

	while (at < octets.size && octets.data[at] >= '0' && octets.data[at] <= '9') {
		if (at > 0 && size == 0)
			return NETSTRING_BAD; /* "05:" */
		size = size * 10 + (size_t)(octets.data[at++] - '0');
		if (size > NETSTRING_MAX)
			return NETSTRING_BAD;
	}
	if (at == octets.size)
		return NETSTRING_MORE;
	if (at == 0 || octets.data[at++] != ':')
		return NETSTRING_BAD;
	if (octets.size - at <= size)
		return NETSTRING_MORE;
	if (octets.data[at + size] != ',')
		return NETSTRING_BAD;
	*ret = (pop3_span){octets.data + at, size};
	*ret_size = at + size + 1;
	return NETSTRING_WHOLE;
}
