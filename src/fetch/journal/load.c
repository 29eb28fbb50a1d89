/* Opening and loading a journal: lock, batches, the torn tail. For
 * journal_open, in the fetch process; the file is the user's own, and its tail may be torn. */
#include "fetch/journal/journal_private.h"

#include "base/crc32c.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

enum { LOAD_SIZE = 256 * 1024 }; /* > the longest batch */

struct load {
	struct journal *journal;
	off_t good;      /* up to here all is whole */
	bool torn;       /* a bad batch was met */
	bool damaged;    /* and it was not the last */
	uint64_t groups; /* the last good one */
	bool headed;     /* the first batch is good and begins with the head line */
};

static int apply_record(struct journal *journal, const struct journal_record *record)
{
	struct seen *seen;
	uint32_t index;

	if (record->kind == JOURNAL_HEAD)
		return 0;
	if (record->kind == JOURNAL_MEMORY)
		return journal_keep_memory(journal, record->key, record->value);
	index = journal_intern(journal, record->identity);
	if (index == JOURNAL_NONE)
		return -1;
	seen = journal_at(journal, index);
	if (record->kind == JOURNAL_SEEN) {
		uint32_t identity = seen->identity;

		*seen = record->seen;
		seen->identity = identity;
	} else if (record->kind == JOURNAL_ABSENT) {
		seen->absent = record->seen.time;
	} else if (record->kind == JOURNAL_DEATH) {
		seen->deaths = record->seen.deaths;
		if (seen->state == SEEN_UNKNOWN)
			seen->time = record->seen.time;
	} else if (record->kind == JOURNAL_REMOVE) {
		seen->remove = true;
	} else if (record->kind == JOURNAL_SENDING) {
		if (seen->state == SEEN_UNKNOWN)
			seen->time = record->seen.time;
		seen->sending = true;
	} else {
		*seen = (struct seen){.identity = seen->identity};
	}
	return 0;
}

int journal_apply(struct journal *journal, pop3_span batch)
{
	struct journal_record record;

	while (batch.size) {
		const char *end = memchr(batch.data, '\n', batch.size);
		size_t n = end ? (size_t)(end - batch.data) : batch.size;

		if (journal_parse((pop3_span){batch.data, n}, &record) < 0 ||
		    apply_record(journal, &record) < 0)
			return -1;
		journal->lines++;
		n += end ? 1 : 0;
		batch.data += n;
		batch.size -= n;
	}
	return 0;
}

/* The first line of a journal. */
static int parse_head(pop3_span batch)
{
	const char *end = memchr(batch.data, '\n', batch.size);
	struct journal_record record;

	if (!end || journal_parse((pop3_span){batch.data, (size_t)(end - batch.data)}, &record) < 0)
		return -1;
	return record.kind == JOURNAL_HEAD && span_equal(record.key, SPAN_LITERAL("1")) ? 0 : -1;
}

/* One batch with its closing line (close points into it). */
static int take_batch(struct load *load, pop3_span batch, size_t close_at)
{
	pop3_span close = {batch.data + close_at, batch.size - close_at - 1};
	uint64_t group, lines;
	size_t covered;
	uint32_t crc;

	if (journal_parse_close(close, &group, &lines, &crc, &covered) < 0 ||
	    crc32c(0, batch.data, close_at + covered) != crc) {
		load->torn = true;
		return 0;
	}
	if (!load->headed && (load->torn || parse_head(batch) < 0)) {
		load->torn = true;
		return 0;
	}
	load->headed = true;
	if (load->torn) {
		if (group > load->groups + 1)
			load->damaged = true;
		return 0;
	}
	if (journal_apply(load->journal, (pop3_span){batch.data, close_at}) < 0)
		return -1;
	load->groups = group;
	load->good += (off_t)batch.size;
	return 0;
}

/* Takes every batch that is complete in the span; returns octets taken, -1: it cannot be. */
static ssize_t take_batches(struct load *load, pop3_span in)
{
	size_t start = 0, line = 0;

	while (line < in.size) {
		const char *end = memchr(in.data + line, '\n', in.size - line);
		size_t next;

		if (!end)
			break;
		next = (size_t)(end - in.data) + 1;
		if (in.data[line] == 'C') {
			if (take_batch(load, (pop3_span){in.data + start, next - start},
				       line - start) < 0)
				return -1;
			start = next;
		}
		line = next;
	}
	return (ssize_t)start;
}

/* A journal gets its name when its first batch is on the disk (journal_rewrite_file): a file that
 * does not begin with one was never torn, it is another file, or damaged. Taking it for a new one
 * would collect everything again. */
static int load_file(struct load *load, struct err *err)
{
	struct journal *journal = load->journal;
	char *buf = malloc(LOAD_SIZE);
	size_t held = 0;
	off_t at = 0;
	ssize_t n = -1, taken = 0;

	while (buf && (n = pread(journal->fd, buf + held, LOAD_SIZE - held, at)) > 0) {
		at += n;
		held += (size_t)n;
		taken = take_batches(load, (pop3_span){buf, held});
		if (taken < 0)
			break;
		held -= (size_t)taken;
		memmove(buf, buf + taken, held);
		if (held == LOAD_SIZE) { /* no batch is that long */
			load->torn = true;
			held = 0;
		}
	}
	free(buf);
	if (n < 0)
		return err_sys(err, EX_IOERR, errno, "cannot read the state file %s",
			       journal->name);
	if (taken < 0 || load->damaged || !load->headed)
		return err_set(err, EX_DATAERR,
			       "the state file %s is damaged at octet %lld: put it back from a "
			       "backup, or remove it (then what is kept on the server is collected "
			       "again)",
			       journal->name, (long long)load->good);
	journal->size = load->good;
	journal->group = load->groups + 1;
	return 0;
}

static int cut_torn_tail(struct journal *journal, struct err *err)
{
	struct stat status;

	if (fstat(journal->fd, &status) < 0)
		return err_sys(err, EX_IOERR, errno, "cannot read the state file %s",
			       journal->name);
	if (status.st_size == journal->size)
		return 0;
	if (journal->files->ftruncate(journal->fd, journal->size) < 0)
		return err_sys(err, EX_IOERR, errno, "cannot mend the state file %s",
			       journal->name);
	return 0;
}

/* The run before this one may have been killed at any point: what was read of its journal is made
 * durable before anything is done because of it. */
static int settle(struct journal *journal, struct err *err)
{
	if (journal->files->fsync(journal->fd) < 0 || journal->files->fsync(journal->dir) < 0)
		return err_sys(err, EX_IOERR, errno, "cannot flush the state file %s",
			       journal->name);
	return 0;
}

static int take_lock(struct journal *journal, struct err *err)
{
	char name[JOURNAL_NAME_MAX + 8];

	snprintf(name, sizeof(name), "%s.lock", journal->name);
	journal->lock =
		journal->files->openat(journal->dir, name, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
	if (journal->lock < 0)
		return err_sys(err, EX_CANTCREAT, errno, "cannot make the lock %s", name);
	if (flock(journal->lock, LOCK_EX | LOCK_NB) < 0) {
		if (errno == EWOULDBLOCK)
			return err_set(err, EX_TEMPFAIL,
				       "another run is collecting this account now");
		return err_sys(err, EX_IOERR, errno, "cannot lock %s", name);
	}
	return 0;
}

int journal_open(const struct fetch_files *files, int dir, const char *name, const char *title,
		 struct journal **ret, struct err *err)
{
	struct journal *journal = calloc(1, sizeof(*journal));
	struct load load = {.journal = journal};

	if (!journal)
		return err_sys(err, EX_OSERR, errno, "memory");
	journal->files = files;
	journal->fd = journal->lock = -1;
	snprintf(journal->name, sizeof(journal->name), "%s", name);
	snprintf(journal->title, sizeof(journal->title), "%s", title);
	journal->dir = fcntl(dir, F_DUPFD_CLOEXEC, 3);
	if (journal->dir < 0) {
		err_sys(err, EX_OSERR, errno, "state folder");
		goto failed;
	}
	if (take_lock(journal, err) < 0)
		goto failed;
	journal->fd = files->openat(dir, name, O_RDWR | O_APPEND | O_NOFOLLOW, 0);
	if (journal->fd < 0 && errno != ENOENT) {
		err_sys(err, EX_IOERR, errno, "cannot open the state file %s", name);
		goto failed;
	}
	if (journal->fd < 0) {
		if (journal_rewrite_file(journal, 0, err) < 0)
			goto failed;
	} else if (load_file(&load, err) < 0 || cut_torn_tail(journal, err) < 0 ||
		   settle(journal, err) < 0) {
		goto failed;
	}
	*ret = journal;
	return 0;
failed:
	journal_close(journal);
	return -1;
}
