/* See networks.h. */
#include "users/networks.h"

#include "base/text.h"

#include <arpa/inet.h>
#include <string.h>

struct network {
	uint8_t address[16]; /* IPv4 mapped */
	unsigned bits;       /* of address */
};

static bool parse(pop3_span text, struct network *ret)
{
	const char *slash = memchr(text.data, '/', text.size);
	pop3_span host = {text.data, slash ? (size_t)(slash - text.data) : text.size};
	char buf[64];
	uint64_t bits;
	unsigned most = 128;

	if (span_copy(host, buf, sizeof(buf)) < 0)
		return false;
	if (inet_pton(AF_INET6, buf, ret->address) != 1) {
		static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

		most = 32;
		memcpy(ret->address, mapped, sizeof(mapped));
		if (inet_pton(AF_INET, buf, ret->address + 12) != 1)
			return false;
	}
	bits = most;
	if (slash &&
	    span_number((pop3_span){slash + 1, text.size - host.size - 1}, most, &bits) < 0)
		return false;
	ret->bits = 128 - most + (unsigned)bits;
	return true;
}

static bool has(const struct network *network, const uint8_t address[16])
{
	unsigned whole = network->bits / 8, rest = network->bits % 8;

	if (memcmp(network->address, address, whole) != 0)
		return false;
	return !rest || (network->address[whole] ^ address[whole]) >> (8 - rest) == 0;
}

/* Takes the next network from the front of *list. False: there is none left. */
static bool next(pop3_span *list, pop3_span *ret)
{
	size_t start = 0, end;

	while (start < list->size && (list->data[start] == ',' || list->data[start] == ' '))
		start++;
	end = start;
	while (end < list->size && list->data[end] != ',' && list->data[end] != ' ')
		end++;
	*ret = (pop3_span){list->data + start, end - start};
	list->data += end;
	list->size -= end;
	return ret->size > 0;
}

bool networks_valid(pop3_span list)
{
	struct network network;
	pop3_span one;
	bool any = false;

	while (next(&list, &one)) {
		if (!parse(one, &network))
			return false;
		any = true;
	}
	return any;
}

bool networks_have(pop3_span list, const uint8_t address[16])
{
	struct network network;
	pop3_span one;

	while (next(&list, &one))
		if (parse(one, &network) && has(&network, address))
			return true;
	return false;
}
