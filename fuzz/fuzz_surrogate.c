/*
 * Surrogates of headers: what is written is ASCII and UTF-8 was not, of the size that was said, and
 * of as many octets on the wire as the header; the empty line stands where it stood, at the end.
 */
#include "maildrop/header_octets.h"
#include "maildrop/surrogate.h"

#include <assert.h>
#include <pop3/message.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t on_wire(pop3_span text)
{
	struct pop3_counter counter;

	pop3_counter_init(&counter);
	pop3_counter_feed(&counter, text);
	pop3_counter_finish(&counter);
	return counter.octets;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = malloc(size ? size : 1), *out; /* of its exact size */
	struct header_octets octets;
	pop3_span message = {copy, size}, header, surrogate;

	memcpy(copy, data, size);
	header = (pop3_span){copy, surrogate_header(message)};
	assert(header.size <= size);
	surrogate.size = surrogate_size(header);
	out = malloc(surrogate.size ? surrogate.size : 1);
	surrogate.data = out;
	assert(surrogate_write(header, out) == 0);
	assert(on_wire(surrogate) == on_wire(header));
	for (size_t i = 0; i < surrogate.size; i++)
		assert(!(out[i] & 0x80));
	/* there is one header, and its end is where it was */
	assert(surrogate_header(surrogate) == surrogate.size);
	header_octets_init(&octets);
	header_octets_feed(&octets, surrogate);
	assert(header_octets_kind(&octets) == HEADER_ASCII);
	free(out);
	free(copy);
	return 0;
}
