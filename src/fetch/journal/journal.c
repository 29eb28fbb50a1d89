/*
 * The journal at work: entries, commits, compaction; for collect and run.c, which own the struct
 * journal from open to close. In the fetch process; the file is the user's own, and its tail may be
 * torn.
 *
 * File: batches of lines, each closed by "C GROUP LINES CRC"; the checksum covers the batch from
 * its first octet to the blank before it. Batches flushed together share a group; groups count up.
 * So a bad batch that is followed by a good one of a later group but one was not torn by a power
 * cut: nothing is written before the group before it is on disk.
 */
#include "fetch/journal/journal_private.h"

#include "base/crc32c.h"
#include "base/digest.h"
#include "base/table.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

enum { BATCH_LINES = 256 };

uint32_t journal_count(const struct journal *journal)
{
	return journal->count;
}

struct seen *journal_at(struct journal *journal, uint32_t index)
{
	return &journal->entries[index];
}

pop3_span journal_identity(const struct journal *journal, const struct seen *seen)
{
	return span_of(journal->names + seen->identity);
}

bool journal_is_unlisted_kind(const struct journal *journal, const struct seen *seen)
{
	return journal->names[seen->identity] == 'c' || journal->names[seen->identity] == 'n';
}

size_t journal_identity_of_id(pop3_span id, char ret[JOURNAL_IDENTITY_MAX])
{
	struct digest digest;
	bool plain = id.size < JOURNAL_IDENTITY_MAX;

	for (size_t i = 0; plain && i < id.size; i++)
		plain = id.data[i] >= 0x21 && id.data[i] <= 0x7e;
	ret[0] = plain ? 'u' : 'h';
	if (plain) {
		memcpy(ret + 1, id.data, id.size);
		return 1 + id.size;
	}
	digest_init(&digest, DIGEST_SHA_256);
	digest_add(&digest, id.data, id.size);
	digest_finish_name(&digest, ret + 1);
	return 33;
}

/* Unique ids are the server's choice: the hash has a key. */
static uint32_t hash(pop3_span text)
{
	return (uint32_t)hash_octets(text.data, text.size);
}

/* The slot that holds the identity, or the empty one where it belongs. */
static uint32_t slot_of(const struct journal *journal, pop3_span identity, uint32_t h)
{
	uint32_t at = h & journal->slot_mask;

	for (; journal->slots[at].entry; at = (at + 1) & journal->slot_mask) {
		const char *name;

		if (journal->slots[at].hash != h)
			continue;
		name = journal->names + journal->entries[journal->slots[at].entry - 1].identity;
		if (strncmp(name, identity.data, identity.size) == 0 && !name[identity.size])
			break;
	}
	return at;
}

uint32_t journal_find(const struct journal *journal, pop3_span identity)
{
	if (!journal->slots)
		return JOURNAL_NONE;
	/* 0 − 1 is JOURNAL_NONE */
	return journal->slots[slot_of(journal, identity, hash(identity))].entry - 1;
}

static int grow_slots(struct journal *journal)
{
	uint32_t size = journal->slots ? (journal->slot_mask + 1) * 2 : 1024;
	struct journal_slot *old = journal->slots, *slots = calloc(size, sizeof(*slots));

	if (!slots)
		return -1;
	for (uint32_t i = 0; old && i <= journal->slot_mask; i++) {
		uint32_t at = old[i].hash & (size - 1);

		if (!old[i].entry)
			continue;
		while (slots[at].entry)
			at = (at + 1) & (size - 1);
		slots[at] = old[i];
	}
	free(old);
	journal->slots = slots;
	journal->slot_mask = size - 1;
	return 0;
}

static int make_room(struct journal *journal, size_t name_size)
{
	if (journal->count == journal->capacity) {
		uint32_t capacity =
			journal->capacity ? journal->capacity + journal->capacity / 2 : 256;
		struct seen *entries =
			capacity > INT32_MAX
				? NULL
				: reallocarray(journal->entries, capacity, sizeof(*entries));

		if (!entries)
			return -1;
		journal->entries = entries;
		journal->capacity = capacity;
	}
	if (journal->names_size + name_size + 1 > journal->names_capacity) {
		size_t capacity = journal->names_capacity ? journal->names_capacity * 3 / 2 : 8192;
		char *names = capacity > INT32_MAX ? NULL : realloc(journal->names, capacity);

		if (!names)
			return -1;
		journal->names = names;
		journal->names_capacity = capacity;
	}
	if (!journal->slots || journal->count * 4 >= (journal->slot_mask + 1) * 3)
		return grow_slots(journal);
	return 0;
}

uint32_t journal_intern(struct journal *journal, pop3_span identity)
{
	uint32_t h = hash(identity), slot;
	struct seen *seen;

	if (identity.size > JOURNAL_IDENTITY_MAX || make_room(journal, identity.size) < 0)
		return JOURNAL_NONE;
	slot = slot_of(journal, identity, h);
	if (journal->slots[slot].entry)
		return journal->slots[slot].entry - 1;
	seen = &journal->entries[journal->count];
	*seen = (struct seen){.identity = (uint32_t)journal->names_size};
	memcpy(journal->names + journal->names_size, identity.data, identity.size);
	journal->names[journal->names_size + identity.size] = '\0';
	journal->names_size += identity.size + 1;
	journal->slots[slot] = (struct journal_slot){h, ++journal->count};
	return journal->count - 1;
}

/* Appends a line to what the next commit writes; closes the batch when it is long enough. */
static int add_line(struct journal *journal, struct err *err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void close_batch(struct journal *journal)
{
	size_t used = journal->out_size;
	size_t covered;

	if (journal->batch_lines == 0)
		return;
	used += (size_t)snprintf(journal->out + used, journal->out_capacity - used,
				 "C %" PRIu64 " %u ", journal->group, journal->batch_lines);
	covered = used - journal->batch_start;
	used += (size_t)snprintf(journal->out + used, journal->out_capacity - used, "%08x\n",
				 crc32c(0, journal->out + journal->batch_start, covered));
	journal->out_size = journal->batch_start = used;
	journal->batch_lines = 0;
}

static int add_line(struct journal *journal, struct err *err, const char *format, ...)
{
	va_list ap;

	if (journal->out_capacity - journal->out_size < 1024) {
		size_t capacity = journal->out_capacity ? journal->out_capacity * 2 : 8192;
		char *out = realloc(journal->out, capacity);

		if (!out)
			return err_sys(err, EX_OSERR, errno, "memory");
		journal->out = out;
		journal->out_capacity = capacity;
	}
	va_start(ap, format);
	journal->out_size += (size_t)vsnprintf(journal->out + journal->out_size, 800, format, ap);
	va_end(ap);
	journal->lines++;
	if (++journal->batch_lines == BATCH_LINES)
		close_batch(journal);
	return 0;
}

int journal_write_seen(struct journal *journal, uint32_t index, struct err *err)
{
	const struct seen *s = &journal->entries[index];

	return add_line(journal, err,
			"S %" PRId64 " %c%s%s %" PRIu64 " %" PRIu64 " %016" PRIx64 " %s\n", s->time,
			"?wpmx"[s->state], s -> remove ? "d" : "", s->renamed ? "r" : "",
			s->announced, s->octets, s->head_hash, journal->names + s->identity);
}

static int write_short(struct journal *journal, char kind, int64_t time, uint32_t index,
		       struct err *err)
{
	return add_line(journal, err, "%c %" PRId64 " %s\n", kind, time,
			journal->names + journal->entries[index].identity);
}

int journal_write_absent(struct journal *journal, uint32_t index, struct err *err)
{
	return write_short(journal, 'A', journal->entries[index].absent, index, err);
}

int journal_write_remove(struct journal *journal, uint32_t index, struct err *err)
{
	journal->entries[index].remove = true;
	return write_short(journal, 'X', journal->entries[index].time, index, err);
}

static int write_death(struct journal *journal, uint32_t index, int64_t time, struct err *err)
{
	const struct seen *seen = &journal->entries[index];

	return add_line(journal, err, "T %" PRId64 " %u %s\n", time, seen->deaths,
			journal->names + seen->identity);
}

int journal_write_death(struct journal *journal, uint32_t index, int64_t now, struct err *err)
{
	struct seen *seen = &journal->entries[index];

	if (seen->deaths < JOURNAL_DEATHS_MAX)
		seen->deaths++;
	if (seen->state == SEEN_UNKNOWN)
		seen->time = now;
	return write_death(journal, index, now, err);
}

int journal_write_gone(struct journal *journal, uint32_t index, struct err *err)
{
	struct seen *seen = &journal->entries[index];
	int rc = write_short(journal, 'D', seen->time, index, err);

	seen->state = SEEN_UNKNOWN;
	seen->absent = 0;
	seen->remove = seen->renamed = seen->sending = false;
	seen->deaths = 0;
	return rc;
}

int journal_write_sending(struct journal *journal, uint32_t index, int64_t now, struct err *err)
{
	struct seen *seen = &journal->entries[index];

	seen->sending = true;
	if (seen->state == SEEN_UNKNOWN)
		seen->time = now;
	return write_short(journal, 'W', now, index, err);
}

const char *journal_recall(const struct journal *journal, const char *key)
{
	for (unsigned i = 0; i < journal->memory_count; i++)
		if (strcmp(journal->memories[i].key, key) == 0)
			return journal->memories[i].value;
	return NULL;
}

int journal_keep_memory(struct journal *journal, pop3_span key, pop3_span value)
{
	unsigned i;

	for (i = 0; i < journal->memory_count; i++)
		if (span_equal(span_of(journal->memories[i].key), key))
			break;
	if (i == JOURNAL_MEMORIES)
		return -1;
	if (span_copy(key, journal->memories[i].key, sizeof(journal->memories[i].key)) < 0 ||
	    span_copy(value, journal->memories[i].value, sizeof(journal->memories[i].value)) < 0)
		return -1;
	if (i == journal->memory_count)
		journal->memory_count++;
	return 0;
}

int journal_remember(struct journal *journal, const char *key, const char *value, struct err *err)
{
	const char *old = journal_recall(journal, key);

	if (old && strcmp(old, value) == 0)
		return 0;
	if (journal_keep_memory(journal, span_of(key), span_of(value)) < 0)
		return err_set(err, EX_SOFTWARE, "the state has no room for %s", key);
	return add_line(journal, err, "M %s %s\n", key, value);
}

/* After a failed write the file's end is unknown: cut back to what is known to be whole. */
int journal_commit(struct journal *journal, struct err *err)
{
	int saved;

	close_batch(journal);
	if (journal->out_size == 0)
		return 0;
	if (fetch_write_all(journal->files, journal->fd, journal->out, journal->out_size) == 0 &&
	    journal->files->fsync(journal->fd) == 0) {
		journal->size += (off_t)journal->out_size;
		journal->out_size = journal->batch_start = 0;
		journal->group++;
		return 0;
	}
	saved = errno;
	if (journal->files->ftruncate(journal->fd, journal->size) < 0)
		err_sys(err, EX_IOERR, saved, "the state file %s is broken", journal->name);
	return err_sys(err, EX_IOERR, saved, "cannot write the state file %s", journal->name);
}

/* Entries that are worth a line: collected ones, those at which sessions broke, and those on their
 * way, until they have been gone or quiet for long. */
static bool lives(const struct seen *seen, int64_t before)
{
	if (seen->state == SEEN_UNKNOWN)
		return (seen->deaths || seen->sending) && seen->time >= before;
	return !seen->absent || seen->absent >= before;
}

static int rewrite_entry(struct journal *journal, uint32_t i, struct err *err)
{
	const struct seen *seen = &journal->entries[i];

	if (seen->state != SEEN_UNKNOWN && journal_write_seen(journal, i, err) < 0)
		return -1;
	if (seen->absent && journal_write_absent(journal, i, err) < 0)
		return -1;
	if (seen->sending && journal_write_sending(journal, i, seen->time, err) < 0)
		return -1;
	return seen->deaths ? write_death(journal, i, seen->time, err) : 0;
}

static int rewrite(struct journal *journal, int64_t before, struct err *err)
{
	journal->out_size = journal->batch_start = 0;
	journal->batch_lines = 0;
	journal->lines = 0;
	if (add_line(journal, err, "H 1 %s\n", journal->title) < 0)
		return -1;
	for (unsigned i = 0; i < journal->memory_count; i++)
		if (add_line(journal, err, "M %s %s\n", journal->memories[i].key,
			     journal->memories[i].value) < 0)
			return -1;
	for (uint32_t i = 0; i < journal->count; i++) {
		if (!lives(&journal->entries[i], before))
			continue;
		if (rewrite_entry(journal, i, err) < 0)
			return -1;
		if (journal->batch_lines == 0) /* groups count up, see above */
			journal->group++;
	}
	close_batch(journal);
	journal->group++;
	return 0;
}

int journal_rewrite_file(struct journal *journal, int64_t before, struct err *err)
{
	const struct fetch_files *files = journal->files;
	char fresh[JOURNAL_NAME_MAX + 8];
	int fd;

	snprintf(fresh, sizeof(fresh), "%s.new", journal->name);
	if (rewrite(journal, before, err) < 0)
		return -1;
	fd = files->openat(journal->dir, fresh,
			   O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_sys(err, EX_CANTCREAT, errno, "cannot make the state file %s", fresh);
	if (fetch_write_all(files, fd, journal->out, journal->out_size) < 0 ||
	    files->fsync(fd) < 0 ||
	    files->rename(journal->dir, fresh, journal->dir, journal->name) < 0 ||
	    files->fsync(journal->dir) < 0) {
		err_sys(err, EX_IOERR, errno, "cannot write the state file %s", fresh);
		files->close(fd);
		return -1;
	}
	if (journal->fd >= 0)
		files->close(journal->fd);
	journal->fd = fd;
	journal->size = (off_t)journal->out_size;
	free(journal->out);
	journal->out = NULL;
	journal->out_size = journal->out_capacity = journal->batch_start = 0;
	return 0;
}

int journal_tidy(struct journal *journal, int64_t before, struct err *err)
{
	uint64_t live = journal->memory_count + 1;

	for (uint32_t i = 0; i < journal->count; i++) {
		if (lives(&journal->entries[i], before))
			live += journal->entries[i].absent ? 2 : 1;
	}
	if (journal->lines < 2 * live + 200)
		return 0;
	return journal_rewrite_file(journal, before, err);
}

void journal_close(struct journal *journal)
{
	if (!journal)
		return;
	if (journal->fd >= 0)
		journal->files->close(journal->fd);
	if (journal->lock >= 0)
		journal->files->close(journal->lock);
	if (journal->dir >= 0)
		journal->files->close(journal->dir);
	free(journal->entries);
	free(journal->names);
	free(journal->slots);
	free(journal->out);
	free(journal);
}
