/*
 * What `valija fetch` reads of tokens: the first octet chooses the reader, the others are what came
 * over the network. Checked: results are bounded and printable, whatever came.
 */
#include "fetch/session/bearer.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void printable(const char *text, size_t cap)
{
	assert(strlen(text) < cap);
	for (; *text; text++)
		assert(*text >= 0x20 && *text < 0x7f);
}

static void read_status(pop3_span in)
{
	char status[BEARER_STATUS_MAX];

	bearer_status(in, status);
	assert(status[0]);
	printable(status, sizeof(status));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	pop3_span in;

	if (size == 0)
		return 0;
	in = (pop3_span){(const char *)data + 1, size - 1};
	switch (data[0]) {
	case 's': /* a server's status behind a refused token */
		read_status(in);
		break;
	}
	return 0;
}
