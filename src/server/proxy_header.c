/* See proxy_header.h. One octet at a time: a header that comes in pieces is read like one that
 * comes whole. */
#include "server/proxy_header.h"

#include "base/crc32c.h"
#include "base/text.h"

#include <arpa/inet.h>
#include <string.h>

enum {
	FIXED_SIZE = 16, /* of version 2: signature, version and command, family, length */
	SIGNATURE_SIZE = 12,
	ADDRESSES_FOUR = 12,
	ADDRESSES_SIX = 36,
	ADDRESSES_UNIX = 216,
	TLS_FIXED = 5, /* of PP2_TYPE_SSL: client, verify */
	PART_HEAD = 3, /* type, length */
};
enum { TLV_CRC32C = 0x03, TLV_TLS = 0x20, PART_VERSION = 0x21 };
enum { CLIENT_TLS = 0x01 };
enum { OVER_TCP4 = 0x11, OVER_TCP6 = 0x21, OVER_UNIX = 0x31 };

enum state {
	START,
	LINE,  /* version 1, up to CR */
	FIXED, /* version 2 */
	ADDRESSES,
	SKIPPED, /* octets that mean nothing */
	TLV_TYPE,
	TLV_SIZE_HIGH,
	TLV_SIZE_LOW,
	TLV_VALUE,
};

static const uint8_t signature[SIGNATURE_SIZE + 1] = "\r\n\r\n\0\r\nQUIT\n";
static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

/* ---- version 1 ---- */

/* The next word of a line, ended by one blank or by the line's end. */
static pop3_span word_of(pop3_span *line)
{
	const char *blank = memchr(line->data, ' ', line->size);
	pop3_span word = {line->data, blank ? (size_t)(blank - line->data) : line->size};
	size_t taken = word.size + (blank != NULL);

	*line = (pop3_span){line->data + taken, line->size - taken};
	return word;
}

static bool address_of(pop3_span word, bool six, uint8_t ret[16])
{
	char text[INET6_ADDRSTRLEN];

	if (span_copy(word, text, sizeof(text)) < 0)
		return false;
	if (six)
		return inet_pton(AF_INET6, text, ret) == 1;
	memcpy(ret, mapped, sizeof(mapped));
	return inet_pton(AF_INET, text, ret + sizeof(mapped)) == 1;
}

static bool port_of(pop3_span word, uint16_t *ret)
{
	uint64_t port;

	if (span_number(word, 65535, &port) < 0 || (word.size > 1 && word.data[0] == '0'))
		return false;
	*ret = (uint16_t)port;
	return true;
}

/* "PROXY TCP4 192.0.2.1 198.51.100.1 56324 110"; the blank in front of TCP4 is taken already. */
static enum proxy_status read_line(struct proxy_header *header)
{
	pop3_span line = {(const char *)header->text, header->at};
	uint8_t here[16];
	uint16_t port;
	pop3_span family;
	bool six;

	word_of(&line);
	family = word_of(&line);
	if (span_equal(family, SPAN_LITERAL("UNKNOWN"))) { /* what follows is to be ignored */
		header->local = true;
		return PROXY_DONE;
	}
	six = span_equal(family, SPAN_LITERAL("TCP6"));
	if (!six && !span_equal(family, SPAN_LITERAL("TCP4")))
		return PROXY_BAD;
	if (!address_of(word_of(&line), six, header->address) ||
	    !address_of(word_of(&line), six, here) || !port_of(word_of(&line), &header->port))
		return PROXY_BAD;
	/* the last word: no blank may follow it, which would leave an empty one */
	return !memchr(line.data, ' ', line.size) && port_of(line, &port) ? PROXY_DONE : PROXY_BAD;
}

static enum proxy_status take_line(struct proxy_header *header, uint8_t octet)
{
	static const char begin[] = "PROXY ";

	if (header->at < sizeof(begin) - 1 && octet != (uint8_t)begin[header->at])
		return PROXY_BAD;
	if (header->at && header->text[header->at - 1] == '\r') {
		header->at--;
		return octet == '\n' ? read_line(header) : PROXY_BAD;
	}
	if (header->at == PROXY_LINE_MAX - 1 || octet == '\n' || !octet)
		return PROXY_BAD;
	header->text[header->at++] = octet;
	return PROXY_MORE;
}

/* ---- version 2 ---- */

static enum proxy_status finish(struct proxy_header *header)
{
	return header->has_crc && header->crc != header->crc_sent ? PROXY_BAD : PROXY_DONE;
}

/* Goes on behind the fixed octets, or behind the addresses. */
static enum proxy_status go_on(struct proxy_header *header, enum state next)
{
	header->state = (uint8_t)next;
	header->at = 0;
	return header->left ? PROXY_MORE : finish(header);
}

/* Returns -1: no connection of a stream has such addresses. */
static int size_of_family(uint8_t family)
{
	switch (family) {
	case 0:
		return 0;
	case OVER_TCP4:
		return ADDRESSES_FOUR;
	case OVER_TCP6:
		return ADDRESSES_SIX;
	case OVER_UNIX:
		return ADDRESSES_UNIX;
	default:
		return -1;
	}
}

static enum proxy_status read_fixed(struct proxy_header *header)
{
	const uint8_t *fixed = header->text + SIGNATURE_SIZE;
	int size = size_of_family(fixed[1]);

	header->left = (uint16_t)(fixed[2] << 8 | fixed[3]);
	if (fixed[0] != 0x20 && fixed[0] != 0x21) /* version 2, LOCAL or PROXY */
		return PROXY_BAD;
	header->by_proxy = fixed[0] == 0x21;
	header->local = !header->by_proxy || fixed[1] == 0 || fixed[1] == OVER_UNIX;
	if (!header->by_proxy)
		return go_on(header, SKIPPED);
	if (size < 0 || header->left < size)
		return PROXY_BAD;
	header->addresses = (uint16_t)size;
	return go_on(header, size ? ADDRESSES : TLV_TYPE);
}

static enum proxy_status take_fixed(struct proxy_header *header, uint8_t octet)
{
	if (header->at < SIGNATURE_SIZE && octet != signature[header->at])
		return PROXY_BAD;
	header->text[header->at++] = octet;
	return header->at == FIXED_SIZE ? read_fixed(header) : PROXY_MORE;
}

static void read_addresses(struct proxy_header *header)
{
	size_t size = header->addresses == ADDRESSES_FOUR ? 4 : 16;
	const uint8_t *port = header->text + 2 * size;

	if (header->local)
		return;
	memcpy(header->address, mapped, sizeof(mapped));
	memcpy(header->address + 16 - size, header->text, size);
	header->port = (uint16_t)(port[0] << 8 | port[1]);
}

static enum proxy_status take_address(struct proxy_header *header, uint8_t octet)
{
	if (header->at < ADDRESSES_SIX)
		header->text[header->at] = octet;
	if (++header->at < header->addresses)
		return PROXY_MORE;
	read_addresses(header);
	return go_on(header, TLV_TYPE);
}

/* The parts of PP2_TYPE_SSL. False: one of them is cut. */
static bool take_part(struct proxy_header *header, uint8_t octet)
{
	if (header->part_at < PART_HEAD) {
		if (header->part_at == 0)
			header->part = octet;
		else
			header->part_left = (uint16_t)(header->part_left << 8 | octet);
		header->part_at++;
	} else {
		size_t n = strlen(header->tls_version);

		if (header->part == PART_VERSION && n < PROXY_TLS_MAX && octet)
			header->tls_version[n] = (char)octet;
		header->part_left--;
	}
	if (header->part_at == PART_HEAD && !header->part_left)
		header->part_at = 0;
	return header->tlv_at + 1 < header->tlv_size || !header->part_at;
}

static bool take_value(struct proxy_header *header, uint8_t octet)
{
	if (header->tlv == TLV_CRC32C)
		header->crc_sent = header->crc_sent << 8 | octet;
	if (header->tlv != TLV_TLS)
		return true;
	if (header->tlv_at == 0)
		header->tls = octet & CLIENT_TLS;
	return header->tlv_at < TLS_FIXED || take_part(header, octet);
}

/* A TLV's head is complete. One that counts may come once. */
static enum proxy_status begin_value(struct proxy_header *header)
{
	bool *once = header->tlv == TLV_CRC32C ? &header->has_crc
		     : header->tlv == TLV_TLS  ? &header->has_tls
					       : NULL;

	if (header->tlv_size > header->left || (once && *once) ||
	    (header->tlv == TLV_CRC32C && header->tlv_size != 4) ||
	    (header->tlv == TLV_TLS && header->tlv_size < TLS_FIXED))
		return PROXY_BAD;
	if (once)
		*once = true;
	header->tlv_at = 0;
	return go_on(header, header->tlv_size ? TLV_VALUE : TLV_TYPE);
}

static enum proxy_status take_tlv(struct proxy_header *header, uint8_t octet)
{
	switch ((enum state)header->state) {
	case TLV_TYPE:
		header->tlv = octet;
		header->state = TLV_SIZE_HIGH;
		break;
	case TLV_SIZE_HIGH:
		header->tlv_size = (uint16_t)(octet << 8);
		header->state = TLV_SIZE_LOW;
		break;
	case TLV_SIZE_LOW:
		header->tlv_size |= octet;
		return begin_value(header);
	case TLV_VALUE:
		if (!take_value(header, octet))
			return PROXY_BAD;
		if (++header->tlv_at == header->tlv_size)
			return go_on(header, TLV_TYPE);
		break;
	case START:
	case LINE:
	case FIXED:
	case ADDRESSES:
	case SKIPPED:
		break;
	}
	return header->left ? PROXY_MORE : PROXY_BAD; /* it ends within a TLV */
}

/* The checksum is over all octets, its own taken as zeros. */
static void sum(struct proxy_header *header, uint8_t octet)
{
	if (header->state == TLV_VALUE && header->tlv == TLV_CRC32C)
		octet = 0;
	header->crc = crc32c(header->crc, &octet, 1);
}

static enum proxy_status take(struct proxy_header *header, uint8_t octet)
{
	if (header->state == START)
		header->state = octet == signature[0] ? FIXED : LINE;
	if (header->state == LINE)
		return take_line(header, octet);
	sum(header, octet);
	if (header->state == FIXED)
		return take_fixed(header, octet);
	header->left--;
	if (header->state == ADDRESSES)
		return take_address(header, octet);
	if (header->state == SKIPPED)
		return header->left ? PROXY_MORE : PROXY_DONE;
	return take_tlv(header, octet);
}

enum proxy_status proxy_header_take(struct proxy_header *header, const uint8_t *data, size_t size,
				    size_t *ret_used)
{
	enum proxy_status status = PROXY_MORE;
	size_t used = 0;

	while (used < size && status == PROXY_MORE)
		status = take(header, data[used++]);
	*ret_used = used;
	return status;
}
