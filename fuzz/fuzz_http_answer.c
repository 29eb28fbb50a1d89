/*
 * An answer of a site's own program to the driver http. Checked: a status has what belongs to it,
 * and fields are pairs of texts.
 */
#include "lookup/http/message.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct message_names names = {.count = 2, .places = {0, 3}};
	struct lookup_answer *answer = calloc(1, sizeof(*answer));
	unsigned texts = 0;

	assert(answer);
	message_read((pop3_span){(const char *)data, size}, &names, answer);
	assert(answer->status < LOOKUP_STATUSES);
	assert((answer->why[0] != '\0') ==
	       (answer->status == LOOKUP_DOWN || answer->status == LOOKUP_BAD_ENTRY));
	assert(answer->matched == 0 || answer->matched == 3);
	assert(answer->size <= sizeof(answer->fields));
	assert(answer->size == 0 || answer->status == LOOKUP_FOUND);
	for (size_t i = 0; i < answer->size; i++)
		texts += answer->fields[i] == '\0';
	assert(texts % 2 == 0 && (!answer->size || !answer->fields[answer->size - 1]));
	free(answer);
	return 0;
}
