/* A packet of any octets, from any role to any other: ipc_check lets through only whole messages of
 * its table. */
#include "ipc/messages.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *why = NULL;
	enum ipc_type type;
	unsigned from, to, fds;
	void *packet; /* of its exact size, so that a look beyond is seen; aligned as a channel's
			 buffer is */

	if (size < 3)
		return 0;
	from = data[0] % ROLE_COUNT;
	to = data[1] % ROLE_COUNT;
	fds = data[2] % (CHAN_FDS_MAX + 1);
	data += 3;
	size -= 3;
	packet = malloc(size ? size : 1);
	if (!packet)
		return 0;
	memcpy(packet, data, size);
	type = ipc_check(packet, size, fds, (enum ipc_role)from, (enum ipc_role)to, &why);
	if (type == IPC_NONE ? why == NULL : type >= IPC_END)
		abort();
	if (type != IPC_NONE) {
		const struct ipc_head *head = packet;

		if (ipc_tail(packet) + head->tail != (const char *)packet + size)
			abort();
		ipc_wipe(packet);
	}
	/* cut into messages: every part is there, none begins out of line */
	for (size_t at = 0, first; at < size; at += first) {
		first = ipc_first((char *)packet + at, size - at);
		if (!first || first > size - at || (at + first < size && first % 8))
			abort();
	}
	free(packet);
	return 0;
}
