/* A state that a monitor hands to its next program; the first input is written by
 * tests/unit/server/test_handover.c. Checked: what is accepted can be read to its
 * end, each text has its room, and the numbers that are used as counts are in their ranges. */
#include "server/monitor/handover.h"

#include <assert.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look(enum handover_kind kind, const void *record, pop3_span text)
{
	const struct handover_generation *generation = record;
	const struct handover_slot *slot = record;

	assert(text.size <= HANDOVER_TEXT_MAX && !memchr(text.data, '\0', text.size));
	if (kind == HANDOVER_GENERATION)
		assert(generation->wanted <= CONFIG_LISTENERS_MAX &&
		       generation->roots <= CONFIG_ROOTS_MAX &&
		       generation->lookups <= CONFIG_DATABASES_MAX &&
		       generation->uid_count <= IPC_UIDS_MAX &&
		       generation->control_uid_count <= IPC_UIDS_MAX);
	if (kind == HANDOVER_SLOT)
		assert(slot->role < ROLE_COUNT && slot->pid != 1 && slot->pid >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct handover_reader reader;
	uint64_t whole = size;
	pop3_span text;
	int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert(fd >= 0);
	assert(write(fd, data, size) == (ssize_t)size);
	if (size >= 16) /* the head is easy to make right */
		assert(pwrite(fd, handover_magic, 8, 0) == 8 && pwrite(fd, &whole, 8, 8) == 8);
	fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	if (handover_open(fd, &reader, NULL) == 0) {
		while (handover_kind(&reader) != HANDOVER_END) {
			enum handover_kind kind = handover_kind(&reader);
			const void *record = handover_next(&reader, &text);

			look(kind, record, text);
		}
		handover_close(&reader);
	}
	close(fd);
	return 0;
}
