/*
 * The fetch journal: lines, closing lines, whole files. A file of any octets is loaded, or refused
 * with words; what was loaded can be written again and reads the same.
 */
#include "fetch/journal/journal_private.h"

#include <assert.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void one_line(pop3_span line)
{
	struct journal_record record;
	uint64_t group, lines;
	uint32_t crc;
	size_t covered;

	if (journal_parse(line, &record) == 0 && record.identity.size)
		assert(record.identity.size <= JOURNAL_IDENTITY_MAX);
	if (journal_parse_close(line, &group, &lines, &crc, &covered) == 0)
		assert(covered < line.size);
}

static void same(struct journal *a, struct journal *b)
{
	for (uint32_t i = 0; i < journal_count(a); i++) {
		const struct seen *one = journal_at(a, i), *other;
		uint32_t at = journal_find(b, journal_identity(a, one));

		if (one->state == SEEN_UNKNOWN && !one->deaths)
			continue;
		assert(at != JOURNAL_NONE);
		other = journal_at(b, at);
		assert(one->deaths == other->deaths);
		assert(one->state == other->state && one->octets == other->octets &&
		       one->announced == other->announced && one->absent == other->absent &&
		       one->remove == other->remove && one->renamed == other->renamed &&
		       one->head_hash == other->head_hash && one->time == other->time);
	}
}

/* Lines as one batch, whose checksum is right: what is behind the checksum is hostile, too. */
static void as_batch(pop3_span text)
{
	struct journal *journal = calloc(1, sizeof(*journal));

	assert(journal);
	journal->fd = journal->lock = journal->dir = -1;
	journal->files = &fetch_files_real;
	journal_apply(journal, text);
	journal_close(journal);
}

static void as_file(const uint8_t *data, size_t size)
{
	char folder[] = "/tmp/fuzz-journal-XXXXXX";
	struct journal *journal = NULL, *again = NULL;
	struct err err = {0};
	int dir, fd;

	assert(mkdtemp(folder));
	dir = open(folder, O_RDONLY | O_DIRECTORY);
	fd = openat(dir, "j", O_WRONLY | O_CREAT, 0600);
	assert(dir >= 0 && fd >= 0 && write(fd, data, size) == (ssize_t)size);
	close(fd);
	if (journal_open(&fetch_files_real, dir, "j", "fuzz", &journal, &err) == 0) {
		assert(journal_rewrite_file(journal, 0, &err) == 0);
		close(journal->lock);
		journal->lock = -1;
		assert(journal_open(&fetch_files_real, dir, "j", "fuzz", &again, &err) == 0);
		same(journal, again);
		journal_close(again);
		journal_close(journal);
	} else {
		assert(err.code && err.text[0]);
	}
	unlinkat(dir, "j", 0);
	unlinkat(dir, "j.new", 0);
	unlinkat(dir, "j.lock", 0);
	close(dir);
	rmdir(folder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	pop3_span text = {(const char *)data, size};

	one_line(text);
	as_batch(text);
	as_file(data, size);
	return 0;
}
