/*
 * What an MTA sends: a line of the auth protocol. Checked: spans lie in the line; an escaped text
 * holds neither tab nor line end; a name that is escaped and read as a field is one field.
 */
#include "server/mta/fields.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void lies_in(pop3_span part, pop3_span line)
{
	if (part.size)
		assert(part.data >= line.data && part.data + part.size <= line.data + line.size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = malloc(size + 1), *escaped = malloc(2 * size + 2);
	pop3_span line = {copy, size};
	struct fields fields;
	size_t n;

	assert(copy && escaped);
	memcpy(copy, data, size);
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
