/* A line of the control protocol. Checked: a target lies in the line, has no control character, and
 * a command that needs one has one. */
#include "server/control/command.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = malloc(size + 1);
	struct command command;

	assert(copy);
	memcpy(copy, data, size);
	if (!command_parse((pop3_span){copy, size}, &command)) {
		assert(command.target.size <= IPC_TEXT_MAX);
		assert(command.target.data >= copy &&
		       command.target.data + command.target.size <= copy + size);
		assert(command.row->target != TARGET_MUST || command.target.size);
		for (size_t i = 0; i < command.target.size; i++)
			assert((unsigned char)command.target.data[i] >= ' ');
	}
	free(copy);
	return 0;
}
