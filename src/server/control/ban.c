/* See ban.h. */
#include "server/control/ban.h"

#include "base/text.h"
#include "server/control/words.h"
#include "server/lines.h"
#include "users/networks.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	FIXED_MAX = 160, /* octets of a line besides the words */
	BITS_MAPPED = 96,
	BITS_OF_ONE = 64, /* an IPv6 address alone stands for its /64, as in the limits */
};

static const char usage[] = "ban needs: add NETWORK SECONDS [WHY], del NETWORK, or list";

static bool is_four(const uint8_t address[16])
{
	return IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)(const void *)address);
}

static bool take_network(pop3_span text, struct ipc_ban *ret)
{
	struct network network;

	if (!network_parse(text, &network))
		return false;
	if (!is_four(network.address) && !memchr(text.data, '/', text.size))
		network.bits = BITS_OF_ONE;
	network_trim(&network);
	memcpy(ret->address, network.address, sizeof(ret->address));
	ret->bits = network.bits;
	return true;
}

const char *ban_parse(pop3_span line, struct ipc_ban *ret, pop3_span *ret_why)
{
	pop3_span verb = words_next(&line), network = words_next(&line);
	uint64_t seconds = 0;

	*ret = (struct ipc_ban){.act = BAN_LIST, .flags = BAN_BEGINS};
	*ret_why = (pop3_span){"", 0};
	if (span_equal(verb, SPAN_LITERAL("list")))
		return network.size ? usage : NULL;
	ret->flags = span_equal(verb, SPAN_LITERAL("force")) ? BAN_FORCE : 0;
	if (ret->flags || span_equal(verb, SPAN_LITERAL("add")))
		ret->act = BAN_ADD;
	else if (span_equal(verb, SPAN_LITERAL("del")))
		ret->act = BAN_REMOVE;
	else
		return usage;
	if (!take_network(network, ret))
		return "that is no address or network";
	if (ret->act == BAN_REMOVE)
		return line.size ? usage : NULL;
	if (span_number(words_next(&line), IPC_BAN_SECONDS_MAX, &seconds) < 0 || seconds == 0)
		return "a ban lasts from a second to ten years";
	if (line.size > IPC_BAN_WHY_MAX)
		return "the reason is too long";
	ret->seconds = (uint32_t)seconds;
	*ret_why = line;
	return NULL;
}

static size_t put_network(char *buf, const char *kind, const uint8_t octets[16], uint32_t bits)
{
	bool four = bits >= BITS_MAPPED && is_four(octets);
	char address[INET6_ADDRSTRLEN];
	size_t used;

	inet_ntop(four ? AF_INET : AF_INET6, octets + (four ? 12 : 0), address, sizeof(address));
	used = (size_t)sprintf(buf, "%s\t%s", kind, address);
	if (bits < 128)
		used += (size_t)sprintf(buf + used, "/%u", bits - (four ? BITS_MAPPED : 0));
	return used;
}

char *penalties_render(const struct ipc_penalty_page *page, size_t *ret_size)
{
	const struct ipc_penalty *rows = (const struct ipc_penalty *)(const void *)ipc_tail(page);
	char *buf = malloc(page->count * (size_t)FIXED_MAX + 1);

	*ret_size = 0;
	for (uint32_t i = 0; buf && i < page->count; i++) {
		const struct ipc_penalty *row = &rows[i];

		*ret_size += put_network(buf + *ret_size, "penalty", row->address,
					 is_four(row->address) ? 128 : BITS_OF_ONE);
		*ret_size += (size_t)sprintf(
			buf + *ret_size, "\t%" PRIu32 "\t%" PRIu64 "\t%" PRIu32 "\n",
			row->failures + row->given_up, row->last / 1000, row->delay);
	}
	return buf;
}

static size_t put_row(char *buf, const struct ipc_ban_row *row)
{
	size_t used = put_network(buf, "ban", row->address, row->bits);

	used += (size_t)sprintf(buf + used, "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu32 "\t", row->until,
				row->since, row->by_uid);
	used += lines_escape_words(buf + used, (pop3_span){(const char *)(row + 1), row->why_size});
	buf[used++] = '\n';
	return used;
}

char *ban_render(const struct ipc_ban_page *page, struct ipc_ban *ask, size_t *ret_size)
{
	const char *at = ipc_tail(page);
	char *buf = malloc(page->head.tail * (size_t)LINES_ESCAPED +
			   page->count * (size_t)FIXED_MAX + 1);

	*ret_size = 0;
	for (uint32_t i = 0; buf && i < page->count; i++) {
		const struct ipc_ban_row *row = (const struct ipc_ban_row *)(const void *)at;

		*ret_size += put_row(buf + *ret_size, row);
		memcpy(ask->address, row->address, sizeof(ask->address));
		ask->bits = row->bits;
		at += sizeof(*row) + ipc_who_name_room(row->why_size);
	}
	ask->flags &= ~(uint32_t)BAN_BEGINS;
	return buf;
}

const char *ban_refusal(const struct ipc_ban_page *page)
{
	switch ((enum ipc_ban_status)page->status) {
	case BAN_REFUSED:
		return "that is for root and the members of control.group, see valija.conf(5)";
	case BAN_NOT_THERE:
		return "that network is not banned: `valija ban list` has those that are";
	case BAN_FAILED:
		return page->words;
	case BAN_OK:
	case BAN_MORE:
	case BAN_STATUSES:
		break;
	}
	return NULL;
}
