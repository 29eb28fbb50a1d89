/*
 * A file of lines that each have a checksum in front, of any octets: in a folder of its own, which
 * goes at the end of the process. Header only.
 */
#ifndef FUZZ_CHECKED_FILE_H
#define FUZZ_CHECKED_FILE_H

#include "base/crc32c.h"

#include <pop3/span.h>

#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
	char folder[32];
	const char *name;
	int folder_fd;
} checked = {.folder = "/tmp/fuzz-checked-XXXXXX", .folder_fd = -1};

static void check(bool good)
{
	if (!good)
		abort();
}

/* With a right checksum, so that what is behind it is tried, too. */
static void checked_line(int fd, pop3_span line)
{
	char sum[16];

	snprintf(sum, sizeof(sum), "%08" PRIx32 " ", crc32c(0, line.data, line.size));
	check(write(fd, sum, 9) == 9 && write(fd, line.data, line.size) == (ssize_t)line.size &&
	      write(fd, "\n", 1) == 1);
}

static void checked_remove(void)
{
	unlinkat(checked.folder_fd, checked.name, 0);
	rmdir(checked.folder);
}

/* Puts the lines of data into the file of that name, each behind a right checksum, then all of data
 * as it is; try gets each line. Returns the folder. */
static int checked_file(const char *name, const uint8_t *data, size_t size,
			void (*try)(pop3_span line))
{
	pop3_span rest = {(const char *)data, size};
	int fd;

	checked.name = name;
	if (checked.folder_fd < 0) {
		check(mkdtemp(checked.folder) != NULL);
		checked.folder_fd = open(checked.folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		atexit(checked_remove);
	}
	fd = openat(checked.folder_fd, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	check(fd >= 0);
	while (rest.size) {
		const char *end = memchr(rest.data, '\n', rest.size);
		pop3_span line = {rest.data, end ? (size_t)(end - rest.data) : rest.size};

		try(line);
		checked_line(fd, line);
		rest.data += line.size + (end != NULL);
		rest.size -= line.size + (end != NULL);
	}
	check(write(fd, data, size) == (ssize_t)size);
	close(fd);
	return checked.folder_fd;
}

#endif
