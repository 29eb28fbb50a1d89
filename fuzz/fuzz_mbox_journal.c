/*
 * The rest of a rewrite that a crash cut: any octets as a journal, or a journal of the right form
 * with any place and any octets to be moved. The mailbox is as it was, or what is before that place
 * and those octets; nothing else. Input: a mode, the place, the size of the mailbox (two octets
 * each), the mailbox, then the journal or its octets.
 */
#include "base/crc32c.h"
#include "base/digest.h"
#include "maildrop/mbox/mbox.h"

#include <assert.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEADER = 128, BEFORE = 4096 };

static void put(uint8_t *p, uint64_t value, int octets)
{
	for (int i = 0; i < octets; i++)
		p[i] = (uint8_t)(value >> 8 * i);
}

static void write_file(int dir, const char *name, const uint8_t *data, size_t size,
		       const uint8_t *more, size_t more_size)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	assert(more_size == 0 || write(fd, more, more_size) == (ssize_t)more_size);
	close(fd);
}

/* Of that mailbox, as the sweep writes it. */
static void seal(int dir, const uint8_t *box, size_t size, size_t from, const uint8_t *moved,
		 size_t moved_size, uint8_t header[HEADER])
{
	size_t before = from < BEFORE ? from : BEFORE;
	struct stat st;

	assert(fstatat(dir, "box", &st, 0) == 0);
	memset(header, 0, HEADER);
	memcpy(header, "VALIJA-J", 8);
	put(header + 8, 1, 4);
	put(header + 16, st.st_ino, 8);
	put(header + 24, size, 8);
	put(header + 32, from, 8);
	put(header + 40, moved_size, 8);
	digest_of(DIGEST_SHA_256, box + from - before, before, header + 48);
	put(header + 112, crc32c(0, moved, moved_size), 4);
	put(header + 116, crc32c(0, header, 116), 4);
}

static bool is_now(int dir, const uint8_t *first, size_t first_size, const uint8_t *then,
		   size_t then_size)
{
	uint8_t octets[8192];
	int fd = openat(dir, "box", O_RDONLY);
	ssize_t n = read(fd, octets, sizeof(octets));

	close(fd);
	return n == (ssize_t)(first_size + then_size) && memcmp(octets, first, first_size) == 0 &&
	       (then_size == 0 || memcmp(octets + first_size, then, then_size) == 0);
}

static void remove_all(int dir, const char *folder)
{
	char command[100];

	close(dir);
	assert(strncmp(folder, "/tmp/fuzz-mbox-", 15) == 0);
	strcpy(command, "rm -rf ");
	strncat(command, folder, 60);
	assert(system(command) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct maildrop_settings settings = {.driver = &mbox_driver, .lock_ms = 1};
	char folder[] = "/tmp/fuzz-mbox-XXXXXX";
	struct mbox_report report;
	const uint8_t *box, *rest;
	size_t box_size, from;
	uint8_t header[HEADER];
	bool sealed;
	int dir;

	if (size < 5 || size > 4000)
		return 0;
	sealed = data[0] & 1;
	from = data[1] | (size_t)data[2] << 8;
	box_size = data[3] | (size_t)data[4] << 8;
	box = data + 5;
	size -= 5;
	box_size = box_size < size ? box_size : size;
	rest = box + box_size;
	size -= box_size;
	from = from < box_size ? from : box_size;
	assert(mkdtemp(folder));
	dir = open(folder, O_RDONLY | O_DIRECTORY);
	write_file(dir, "box", box, box_size, NULL, 0);
	if (sealed)
		seal(dir, box, box_size, from, rest, size, header);
	write_file(dir, ".box.valija-journal", header, sealed ? HEADER : 0, rest, size);
	if (mbox_recover(&settings, dir, "box", &report, NULL) == MAILDROP_OK)
		assert(faccessat(dir, ".box.valija-journal", F_OK, 0) < 0);
	assert(is_now(dir, box, box_size, NULL, 0) ||
	       (sealed && is_now(dir, box, from, rest, size)));
	remove_all(dir, folder);
	return 0;
}
