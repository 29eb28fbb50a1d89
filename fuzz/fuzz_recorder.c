/* A ring of the recorder, as an owned process may leave it. The first octet says of which role, and
 * whether the numbers of the events are made to fit; the rest is laid over the events. Checked: the
 * story is printable lines, each with its kind, and it has an advice. */
#include "server/control/explain.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_lines(const char *lines, size_t size)
{
	const char *end = lines + size;
	bool advice = false;

	while (lines < end) {
		const char *lf = memchr(lines, '\n', (size_t)(end - lines));

		assert(lf);
		for (const char *at = lines; at < lf; at++)
			assert((*at >= ' ' && *at <= '~') || *at == '\t');
		assert(strncmp(lines, "event\t", 6) == 0 || strncmp(lines, "note\t", 5) == 0 ||
		       strncmp(lines, "oldest\t", 7) == 0 || strncmp(lines, "advice\t", 7) == 0);
		advice |= lines[0] == 'a';
		lines = lf + 1;
	}
	assert(advice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct explain_clock clock = {.loop_ms = 5000, .real_ms = 1000000};
	static const uint8_t wanted[] = "anna";
	static struct rings rings;
	struct ipc_ring message = {.id = 1, .writers = {1, 2}};
	struct recorder recorder;
	unsigned told;
	size_t lines_size;
	char *lines;
	int fd;

	if (size < 1)
		return 0;
	message.role = (data[0] & 15) % ROLE_COUNT;
	fd = recorder_make(RECORDER_PAGE);
	assert(fd >= 0 && recorder_open(fd, true, &recorder));
	size = size - 1 < RECORDER_PAGE - RECORDER_EVENT ? size - 1
							 : RECORDER_PAGE - RECORDER_EVENT;
	memcpy(recorder.head + 1, data + 1, size);
	for (unsigned lane = 0; data[0] & 16 && lane < LANES; lane++)
		for (uint32_t i = 0; i < recorder.events[lane]; i++)
			recorder.lanes[lane][i].number = recorder.events[lane] + i;
	rings.count = 0;
	rings_add(&rings, &message, fd);
	close(fd);
	lines = explain(&rings, (pop3_span){(const char *)wanted, 4}, &clock, &lines_size, &told);
	assert(lines);
	check_lines(lines, lines_size);
	free(lines);
	recorder_close(&rings.list[0].recorder);
	recorder_close(&recorder);
	return 0;
}
