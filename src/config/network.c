/* See network.h. */
#include "config/network.h"

#include "base/text.h"

#include <arpa/inet.h>
#include <string.h>

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

int config_network_parse(pop3_span text, struct config_network *ret)
{
	const char *slash = memchr(text.data, '/', text.size);
	pop3_span host = {text.data, slash ? (size_t)(slash - text.data) : text.size};
	struct config_network network;
	char buf[64];
	uint64_t bits;
	unsigned most = 128;

	if (span_copy(host, buf, sizeof(buf)) < 0)
		return -1;
	if (inet_pton(AF_INET6, buf, network.address) != 1) {
		most = 32;
		memcpy(network.address, mapped, sizeof(mapped));
		if (inet_pton(AF_INET, buf, network.address + sizeof(mapped)) != 1)
			return -1;
	}
	bits = most;
	if (slash &&
	    span_number((pop3_span){slash + 1, text.size - host.size - 1}, most, &bits) < 0)
		return -1;
	network.bits = 128 - most + (unsigned)bits;
	*ret = network;
	return 0;
}

bool config_network_has(const struct config_network *network, const uint8_t address[16])
{
	unsigned whole = network->bits / 8, rest = network->bits % 8;

	if (memcmp(network->address, address, whole) != 0)
		return false;
	return !rest || (network->address[whole] ^ address[whole]) >> (8 - rest) == 0;
}

bool config_network_is_loopback(const uint8_t address[16])
{
	static const uint8_t six[16] = {[15] = 1};

	if (memcmp(address, mapped, sizeof(mapped)) == 0)
		return address[12] == 127;
	return memcmp(address, six, sizeof(six)) == 0;
}
