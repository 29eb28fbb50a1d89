/* See networks.h. */
#include "users/networks.h"

#include "config/network.h"

#include <string.h>

bool network_parse(pop3_span text, struct network *ret)
{
	struct config_network network;

	if (config_network_parse(text, &network) < 0)
		return false;
	memcpy(ret->address, network.address, sizeof(ret->address));
	ret->bits = (uint8_t)network.bits;
	return true;
}

void network_trim(struct network *network)
{
	for (unsigned i = 0; i < sizeof(network->address); i++) {
		unsigned first = i * 8; /* bit of the octet */

		if (network->bits <= first)
			network->address[i] = 0;
		else if (network->bits < first + 8)
			network->address[i] &= (uint8_t)(0xff00u >> (network->bits - first));
	}
}

bool network_has(const struct network *network, const uint8_t address[16])
{
	unsigned whole = network->bits / 8, rest = network->bits % 8;

	if (memcmp(network->address, address, whole) != 0)
		return false;
	return !rest || (network->address[whole] ^ address[whole]) >> (8 - rest) == 0;
}

bool network_has_family(const struct network *network, const uint8_t address[16])
{
	static const struct network four = {.address = {[10] = 0xff, [11] = 0xff}, .bits = 96};

	return network_has(network, address) &&
	       (network->bits >= four.bits || !network_has(&four, address));
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
		if (!network_parse(one, &network))
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
		if (network_parse(one, &network) && network_has(&network, address))
			return true;
	return false;
}
