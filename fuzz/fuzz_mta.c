/*
 * Octets of an MTA: a line of the auth protocol, a netstring. Checked: spans lie in the line; an
 * escaped text holds neither tab nor line end; a netstring that is whole needs all of its octets.
 */
#include "server/mta/fields.h"
#include "server/mta/netstring.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void lies_in(pop3_span part, pop3_span line)
{
	if (part.size)
		assert(part.data >= line.data && part.data + part.size <= line.data + line.size);
}

static void read_netstring(pop3_span octets)
{
	pop3_span content;
	size_t taken = 0;

	if (netstring_parse(octets, &content, &taken) != NETSTRING_WHOLE)
		return;
	lies_in(content, octets);
	assert(taken <= octets.size && content.size <= NETSTRING_MAX);
	assert(netstring_parse((pop3_span){octets.data, taken - 1}, &content, &taken) ==
	       NETSTRING_MORE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = malloc(size + 1), *escaped = malloc(2 * size + 2);
	pop3_span line = {copy, size};
	struct fields fields;
	size_t n;

	assert(copy && escaped);
	memcpy(copy, data, size);
	read_netstring(line);
	fields_parse(line, &fields);
	lies_in(fields.mechanism, line);
	lies_in(fields.response, line);
	assert(!fields.bad_address || fields_is_local(fields.address));
	n = fields_escape(line, escaped, 2 * size + 2);
	assert(n >= size && !memchr(escaped, '\t', n) && !memchr(escaped, '\n', n));
	free(escaped);
	free(copy);
	return 0;
}
