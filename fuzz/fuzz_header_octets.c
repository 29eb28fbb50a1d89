/*
 * The kind of a message's header: the first octet says in what pieces the others come. Checked: the
 * kind does not depend on the pieces; a header in ASCII has no octet beyond it, any other has one;
 * what is behind the empty line changes nothing.
 */
#include "maildrop/header_octets.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum header_kind kind_of(pop3_span text, size_t step)
{
	struct header_octets octets;
	bool more = true;

	header_octets_init(&octets);
	while (text.size && more) {
		size_t n = text.size < step ? text.size : step;

		more = header_octets_feed(&octets, (pop3_span){text.data, n});
		text.data += n;
		text.size -= n;
	}
	return header_octets_kind(&octets);
}

/* Octets of the header, with the empty line behind it. */
static size_t header_size(pop3_span text)
{
	size_t begin = 0;

	for (size_t i = 0; i < text.size; i++) {
		if (text.data[i] != '\n')
			continue;
		if (i == begin || (i == begin + 1 && text.data[begin] == '\r'))
			return i + 1;
		begin = i + 1;
	}
	return text.size;
}

static bool has_beyond(pop3_span text)
{
	for (size_t i = 0; i < text.size; i++)
		if (text.data[i] & 0x80)
			return true;
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	pop3_span text;
	enum header_kind kind;
	char *copy;

	if (size == 0)
		return 0;
	copy = malloc(size - 1 ? size - 1 : 1); /* of its exact size: reading beyond it is seen */
	memcpy(copy, data + 1, size - 1);
	text = (pop3_span){copy, size - 1};
	kind = kind_of(text, text.size + 1);
	assert(kind_of(text, (size_t)data[0] % 7 + 1) == kind);
	text.size = header_size(text);
	assert(has_beyond(text) == (kind != HEADER_ASCII));
	assert(kind_of(text, 1) == kind);
	free(copy);
	return 0;
}
