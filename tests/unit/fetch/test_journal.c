/* The fetch journal: what is written is read; torn tails, damage, failing disks; lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/crc32c.h"
#include "base/text.h"
#include "fetch/journal/journal_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

struct place {
	char path[64];
	int dir;
};

static int make_place(void **state)
{
	struct place *place = calloc(1, sizeof(*place));

	strcpy(place->path, "/tmp/valija-journal-XXXXXX");
	assert_non_null(mkdtemp(place->path));
	place->dir = open(place->path, O_RDONLY | O_DIRECTORY);
	*state = place;
	return 0;
}

static int remove_place(void **state)
{
	static const char *const names[] = {"j", "j.lock", "j.new"};
	struct place *place = *state;

	for (unsigned i = 0; i < 3; i++)
		unlinkat(place->dir, names[i], 0);
	close(place->dir);
	rmdir(place->path);
	free(place);
	return 0;
}

static struct journal *open_one(struct place *place)
{
	struct journal *journal = NULL;
	struct err err = {0};

	if (journal_open(&fetch_files_real, place->dir, "j", "a test", &journal, &err) < 0)
		fail_msg("%s", err.text);
	return journal;
}

static void add(struct journal *journal, const char *identity, enum seen_state state)
{
	uint32_t at = journal_intern(journal, span_of(identity));
	struct seen *seen = journal_at(journal, at);

	seen->state = (uint8_t)state;
	seen->announced = 100;
	seen->octets = 101;
	seen->head_hash = 0xfedcba9876543210;
	seen->time = 1700000000;
	assert_int_equal(journal_write_seen(journal, at, NULL), 0);
}

static enum seen_state state_of(struct journal *journal, const char *identity)
{
	uint32_t at = journal_find(journal, span_of(identity));

	return at == JOURNAL_NONE ? SEEN_UNKNOWN : (enum seen_state)journal_at(journal, at)->state;
}

static void written_is_read(void **state)
{
	struct journal *journal = open_one(*state);
	const struct seen *seen;
	uint32_t at;

	add(journal, "uone", SEEN_WHOLE);
	add(journal, "utwo", SEEN_PARTIAL);
	add(journal, "uthree", SEEN_MARKED);
	add(journal, "ufour", SEEN_WHOLE);
	at = journal_find(journal, SPAN_LITERAL("uone"));
	journal_at(journal, at)->absent = 5;
	assert_int_equal(journal_write_absent(journal, at, NULL), 0);
	at = journal_find(journal, SPAN_LITERAL("utwo"));
	assert_int_equal(journal_write_remove(journal, at, NULL), 0);
	at = journal_find(journal, SPAN_LITERAL("ufour"));
	assert_int_equal(journal_write_gone(journal, at, NULL), 0);
	assert_int_equal(journal_remember(journal, "key", "a value of words", NULL), 0);
	assert_int_equal(journal_commit(journal, NULL), 0);
	journal_close(journal);

	journal = open_one(*state);
	assert_int_equal(state_of(journal, "uone"), SEEN_WHOLE);
	assert_int_equal(state_of(journal, "utwo"), SEEN_PARTIAL);
	assert_int_equal(state_of(journal, "uthree"), SEEN_MARKED);
	assert_int_equal(state_of(journal, "ufour"), SEEN_UNKNOWN);
	assert_int_equal(state_of(journal, "unever"), SEEN_UNKNOWN);
	seen = journal_at(journal, journal_find(journal, SPAN_LITERAL("uone")));
	assert_int_equal(seen->absent, 5);
	assert_int_equal(seen->announced, 100);
	assert_int_equal(seen->octets, 101);
	assert_true(seen->head_hash == 0xfedcba9876543210);
	assert_true(journal_at(journal, journal_find(journal, SPAN_LITERAL("utwo")))->remove);
	assert_string_equal(journal_recall(journal, "key"), "a value of words");
	journal_close(journal);
}

static bool is_sending(struct journal *journal, const char *identity)
{
	uint32_t at = journal_find(journal, span_of(identity));

	return at != JOURNAL_NONE && journal_at(journal, at)->sending;
}

/* *sending* lasts until the message is collected, refused or forgotten; also through a new file. */
static void what_was_on_its_way_is_known(void **state)
{
	static const char *const names[] = {"uone", "utwo", "uthree", "ufour"};
	struct journal *journal = open_one(*state);

	for (int i = 0; i < 4; i++) {
		uint32_t at = journal_intern(journal, span_of(names[i]));

		assert_int_equal(journal_write_sending(journal, at, 1700000000, NULL), 0);
	}
	assert_int_equal(journal_commit(journal, NULL), 0);
	add(journal, "utwo", SEEN_WHOLE);
	add(journal, "uthree", SEEN_REFUSED);
	assert_int_equal(journal_write_gone(journal, 3, NULL), 0);
	assert_int_equal(journal_commit(journal, NULL), 0);
	journal_close(journal);
	for (int i = 0; i < 2; i++) {
		journal = open_one(*state);
		assert_true(is_sending(journal, "uone"));
		assert_int_equal(state_of(journal, "uone"), SEEN_UNKNOWN);
		assert_false(is_sending(journal, "utwo"));
		assert_int_equal(state_of(journal, "uthree"), SEEN_REFUSED);
		assert_false(is_sending(journal, "uthree"));
		assert_false(is_sending(journal, "ufour"));
		for (int n = 0; n < 300; n++)
			assert_int_equal(journal_remember(journal, "key", n % 2 ? "a" : "b", NULL),
					 0);
		assert_int_equal(journal_commit(journal, NULL), 0);
		assert_int_equal(journal_tidy(journal, 0, NULL), 0);
		journal_close(journal);
	}
	journal = open_one(*state); /* after 90 days nobody will ask any more */
	for (int n = 0; n < 300; n++)
		assert_int_equal(journal_remember(journal, "key", n % 2 ? "a" : "b", NULL), 0);
	assert_int_equal(journal_tidy(journal, 1700000001, NULL), 0);
	journal_close(journal);
	journal = open_one(*state);
	assert_false(is_sending(journal, "uone"));
	journal_close(journal);
}

static void without_commit_nothing_is_there(void **state)
{
	struct journal *journal = open_one(*state);

	add(journal, "uone", SEEN_WHOLE);
	journal_close(journal);
	journal = open_one(*state);
	assert_int_equal(state_of(journal, "uone"), SEEN_UNKNOWN);
	journal_close(journal);
}

static void held_by_one(void **state)
{
	struct place *place = *state;
	struct journal *journal = open_one(place), *other = NULL;
	struct err err = {0};

	assert_int_equal(journal_open(&fetch_files_real, place->dir, "j", "x", &other, &err), -1);
	assert_int_equal(err.code, EX_TEMPFAIL);
	journal_close(journal);
	journal_close(open_one(place));
}

static off_t size_of(struct place *place)
{
	struct stat status;

	assert_int_equal(fstatat(place->dir, "j", &status, 0), 0);
	return status.st_size;
}

static int open_refused(struct place *place, const char *text)
{
	struct journal *journal = NULL;
	struct err err = {0};

	if (journal_open(&fetch_files_real, place->dir, "j", "x", &journal, &err) == 0) {
		journal_close(journal);
		return 0;
	}
	if (!strstr(err.text, text))
		fail_msg("%s", err.text);
	return err.code;
}

/* Three commits; the file is cut at every length: what was committed before the cut is there. A
 * file that is shorter than the batch it was made with was not torn by a power cut. */
static void every_torn_tail(void **state)
{
	struct place *place = *state;
	struct journal *journal = open_one(place);
	char octets[4096];
	off_t made = size_of(place), ends[3];
	int fd;

	for (int i = 0; i < 3; i++) {
		char identity[8];

		snprintf(identity, sizeof(identity), "uid%d", i);
		add(journal, identity, SEEN_WHOLE);
		assert_int_equal(journal_commit(journal, NULL), 0);
		ends[i] = size_of(place);
	}
	journal_close(journal);
	fd = openat(place->dir, "j", O_RDWR);
	assert_int_equal(read(fd, octets, sizeof(octets)), ends[2]);
	for (off_t cut = 0; cut <= ends[2]; cut++) {
		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(pwrite(fd, octets, (size_t)cut, 0), cut);
		if (cut < made) {
			assert_int_equal(open_refused(place, "damaged"), EX_DATAERR);
			continue;
		}
		journal = open_one(place);
		for (int i = 0; i < 3; i++) {
			char identity[8];

			snprintf(identity, sizeof(identity), "uid%d", i);
			assert_int_equal(state_of(journal, identity),
					 cut >= ends[i] ? SEEN_WHOLE : SEEN_UNKNOWN);
		}
		/* and it can be gone on with */
		add(journal, "ulater", SEEN_WHOLE);
		assert_int_equal(journal_commit(journal, NULL), 0);
		journal_close(journal);
		journal = open_one(place);
		assert_int_equal(state_of(journal, "ulater"), SEEN_WHOLE);
		journal_close(journal);
	}
	close(fd);
}

static void put(struct place *place, const char *octets, size_t size)
{
	int fd = openat(place->dir, "j", O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0 && write(fd, octets, size) == (ssize_t)size);
	close(fd);
}

/* A file that is no journal is never taken for a new one, and is left as it is. */
static void another_file(void **state)
{
	static const char *const texts[] = {"hello\n",          "",
					    "H 1 a test\n",     "\xef\xbb\xbfH 1 a test\n",
					    "C 0 1 00000000\n", "H 2 later\nC 0 1 00000000\n"};
	struct place *place = *state;
	struct journal *journal = open_one(place);
	char octets[1024], changed[2048];
	size_t size, n = 0;
	int fd;

	add(journal, "uone", SEEN_WHOLE);
	assert_int_equal(journal_commit(journal, NULL), 0);
	journal_close(journal);
	fd = openat(place->dir, "j", O_RDONLY);
	size = (size_t)read(fd, octets, sizeof(octets));
	close(fd);
	for (size_t i = 0; i < size; i++) { /* an editor's line ends */
		if (octets[i] == '\n')
			changed[n++] = '\r';
		changed[n++] = octets[i];
	}
	put(place, changed, n);
	assert_int_equal(open_refused(place, "damaged"), EX_DATAERR);
	memset(changed, 0, size); /* a crash of the file system */
	put(place, changed, size);
	assert_int_equal(open_refused(place, "damaged"), EX_DATAERR);
	memcpy(changed, "\n", 1); /* one line in front */
	memcpy(changed + 1, octets, size);
	put(place, changed, size + 1);
	assert_int_equal(open_refused(place, "damaged"), EX_DATAERR);
	/* the first batch is gone, a good one is left */
	n = (size_t)((char *)memchr(octets, 'C', size) - octets);
	n += (size_t)((char *)memchr(octets + n, '\n', size - n) - (octets + n)) + 1;
	put(place, octets + n, size - n);
	assert_int_equal(open_refused(place, "damaged"), EX_DATAERR);
	assert_int_equal(size_of(place), size - n);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		put(place, texts[i], strlen(texts[i]));
		assert_int_equal(open_refused(place, "damaged"), EX_DATAERR);
		assert_int_equal(size_of(place), strlen(texts[i]));
	}
}

/* One octet wrong anywhere: refused, or at most the last batch is missing; never another state. */
static void every_flipped_octet(void **state)
{
	struct place *place = *state;
	struct journal *journal = open_one(place);
	char octets[8192];
	off_t before = 0, end;
	unsigned refused = 0;
	int fd;

	for (int i = 0; i < 6; i++) {
		char identity[8];

		snprintf(identity, sizeof(identity), "uid%d", i);
		add(journal, identity, SEEN_WHOLE);
		before = size_of(place);
		assert_int_equal(journal_commit(journal, NULL), 0);
	}
	end = size_of(place);
	journal_close(journal);
	fd = openat(place->dir, "j", O_RDWR);
	assert_int_equal(read(fd, octets, sizeof(octets)), end);
	for (off_t at = 0; at < end; at++) {
		struct err err = {0};
		char wrong = (char)(octets[at] ^ 4);

		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(pwrite(fd, octets, (size_t)end, 0), end);
		assert_int_equal(pwrite(fd, &wrong, 1, at), 1);
		journal = NULL;
		if (journal_open(&fetch_files_real, place->dir, "j", "x", &journal, &err) < 0) {
			assert_int_equal(err.code, EX_DATAERR);
			refused++;
			continue;
		}
		/* the tail may have been torn: its batch and, if its first was hit, the one before
		 */
		for (int i = 0; i < 4; i++) {
			char identity[8];

			snprintf(identity, sizeof(identity), "uid%d", i);
			assert_int_equal(state_of(journal, identity), SEEN_WHOLE);
		}
		journal_close(journal);
	}
	assert_true(refused >= (unsigned)before / 2);
	close(fd);
}

/* A batch whose checksum is right, but not what is in it: the file is another version's. */
static void lines_that_cannot_be_taken(void **state)
{
	static const char *const batches[] = {
		"S 1 w 2 3 0123456789abcdef uone\nZ 1 uone\n",
		"M k0 v\nM k1 v\nM k2 v\nM k3 v\nM k4 v\nM k5 v\nM k6 v\nM k7 v\nM k8 v\nM k9 v\n"
		"M ka v\nM kb v\nM kc v\nM kd v\nM ke v\nM kf v\nM kg v\n",
	};
	struct place *place = *state;
	char octets[1024], wanted[300];

	for (size_t i = 0; i < 3; i++) {
		struct journal *journal = open_one(place);
		off_t size = size_of(place);
		size_t n, covered;
		int fd;

		/* as many memories as there is room for are no trouble */
		n = (size_t)snprintf(octets, sizeof(octets), "%s",
				     i < 2 ? batches[i] : batches[1] + strlen("M k0 v\n"));
		covered = n + (size_t)snprintf(octets + n, sizeof(octets) - n, "C 2 %d ", 2);
		n = covered + (size_t)snprintf(octets + covered, sizeof(octets) - covered, "%08x\n",
					       crc32c(0, octets, covered));
		journal_close(journal);
		fd = openat(place->dir, "j", O_WRONLY | O_APPEND);
		assert_int_equal(write(fd, octets, n), n);
		close(fd);
		if (i == 2) {
			journal_close(open_one(place));
			break;
		}
		snprintf(wanted, sizeof(wanted),
			 "the state file j is damaged at octet %lld: put it back from a backup, or "
			 "remove it (then what is kept on the server is collected again)",
			 (long long)size);
		assert_int_equal(open_refused(place, wanted), EX_DATAERR);
		assert_int_equal(unlinkat(place->dir, "j", 0), 0);
	}
}

/* Sessions that broke at a message are counted until it is collected, or long ago. */
static void deaths(void **state)
{
	struct journal *journal = open_one(*state);
	uint32_t never = journal_intern(journal, SPAN_LITERAL("unever")), old, whole;

	old = journal_intern(journal, SPAN_LITERAL("n4096"));
	add(journal, "uwhole", SEEN_WHOLE);
	whole = journal_find(journal, SPAN_LITERAL("uwhole"));
	for (int i = 0; i < 3; i++)
		assert_int_equal(journal_write_death(journal, never, 1000 + i, NULL), 0);
	assert_int_equal(journal_write_death(journal, old, 5, NULL), 0);
	assert_int_equal(journal_write_death(journal, whole, 1000, NULL), 0);
	assert_int_equal(journal_commit(journal, NULL), 0);
	for (int round = 0; round < 2; round++) {
		journal_close(journal);
		journal = open_one(*state);
		never = journal_find(journal, SPAN_LITERAL("unever"));
		assert_int_equal(journal_at(journal, never)->deaths, 3);
		assert_int_equal(journal_at(journal, never)->time, 1002);
		assert_int_equal(journal_at(journal, never)->state, SEEN_UNKNOWN);
		whole = journal_find(journal, SPAN_LITERAL("uwhole"));
		assert_int_equal(journal_at(journal, whole)->deaths, 1);
		assert_int_equal(journal_at(journal, whole)->time, 1700000000);
		old = journal_find(journal, SPAN_LITERAL("n4096"));
		assert_int_equal(old == JOURNAL_NONE, round);
		assert_int_equal(journal_rewrite_file(journal, 100, NULL), 0);
	}
	add(journal, "unever", SEEN_WHOLE);
	assert_int_equal(journal_commit(journal, NULL), 0);
	journal_close(journal);
	journal = open_one(*state);
	never = journal_find(journal, SPAN_LITERAL("unever"));
	assert_int_equal(journal_at(journal, never)->deaths, 0);
	journal_close(journal);
}

static void identities_of_ids(void **state)
{
	char one[JOURNAL_IDENTITY_MAX], other[JOURNAL_IDENTITY_MAX], long_id[255];

	(void)state;
	assert_int_equal(journal_identity_of_id(SPAN_LITERAL("abc"), one), 4);
	assert_memory_equal(one, "uabc", 4);
	memset(long_id, 'x', sizeof(long_id));
	assert_int_equal(journal_identity_of_id((pop3_span){long_id, 255}, one), 256);
	assert_int_equal(one[0], 'u');
	long_id[254] = ' ';
	assert_int_equal(journal_identity_of_id((pop3_span){long_id, 255}, one), 33);
	assert_int_equal(journal_identity_of_id(SPAN_LITERAL("a b"), other), 33);
	assert_true(one[0] == 'h' && other[0] == 'h' && memcmp(one, other, 33) != 0);
	assert_int_equal(journal_identity_of_id(SPAN_LITERAL("\xe9"), one), 33);
	/* what RFC 1939 lets a unique id have, at both bounds */
	assert_int_equal(journal_identity_of_id(SPAN_LITERAL("!~"), one), 3);
	assert_memory_equal(one, "u!~", 3);
	assert_int_equal(journal_identity_of_id(SPAN_LITERAL("\x7f"), one), 33);
	assert_int_equal(journal_identity_of_id(SPAN_LITERAL("\x1f"), one), 33);
}

static void rewriting_keeps_what_counts(void **state)
{
	struct place *place = *state;
	struct journal *journal = open_one(place);
	off_t before;

	for (int round = 0; round < 4; round++) {
		for (int i = 0; i < 700; i++) {
			char identity[24];

			snprintf(identity, sizeof(identity), "uid%d-%d", round, i);
			add(journal, identity, SEEN_WHOLE);
			if (round < 3)
				assert_int_equal(
					journal_write_gone(journal,
							   journal_find(journal, span_of(identity)),
							   NULL),
					0);
		}
		assert_int_equal(journal_commit(journal, NULL), 0);
	}
	add(journal, "uold", SEEN_WHOLE);
	journal_at(journal, journal_find(journal, SPAN_LITERAL("uold")))->absent = 10;
	assert_int_equal(
		journal_write_absent(journal, journal_find(journal, SPAN_LITERAL("uold")), NULL),
		0);
	assert_int_equal(journal_remember(journal, "k", "v", NULL), 0);
	assert_int_equal(journal_commit(journal, NULL), 0);
	before = size_of(place);
	assert_int_equal(journal_tidy(journal, 11, NULL), 0);
	assert_true(size_of(place) < before / 2);
	add(journal, "uafter", SEEN_WHOLE);
	assert_int_equal(journal_commit(journal, NULL), 0);
	journal_close(journal);
	journal = open_one(place);
	assert_int_equal(state_of(journal, "uid3-699"), SEEN_WHOLE);
	assert_int_equal(state_of(journal, "uid3-0"), SEEN_WHOLE);
	assert_int_equal(state_of(journal, "uid1-5"), SEEN_UNKNOWN);
	assert_int_equal(state_of(journal, "uold"), SEEN_UNKNOWN);
	assert_int_equal(state_of(journal, "uafter"), SEEN_WHOLE);
	assert_string_equal(journal_recall(journal, "k"), "v");
	journal_close(journal);
}

/* ---- memory that is short ---- */

static unsigned allocations_left; /* before one fails; 0: none does */

void *__real_realloc(void *p, size_t n);
void *__wrap_realloc(void *p, size_t n);

void *__wrap_realloc(void *p, size_t n)
{
	if (allocations_left && --allocations_left == 0) {
		errno = ENOMEM;
		return NULL;
	}
	return __real_realloc(p, n);
}

enum { LIVE = 200 };

static void identity_of(char text[300], unsigned length, int i)
{
	snprintf(text, 300, "u%0*d", (int)length, i);
}

/* A journal with more lines than it needs: what lives has three lines each. */
static void fill(struct place *place, unsigned length)
{
	struct journal *journal = open_one(place);
	char identity[300];

	for (int i = 0; i < 900; i++) {
		uint32_t at;

		identity_of(identity, length, i);
		add(journal, identity, SEEN_WHOLE);
		at = journal_find(journal, span_of(identity));
		if (i >= LIVE) {
			assert_int_equal(journal_write_gone(journal, at, NULL), 0);
			continue;
		}
		journal_at(journal, at)->absent = 1700000000;
		assert_int_equal(journal_write_absent(journal, at, NULL), 0);
		assert_int_equal(journal_write_sending(journal, at, 1700000000, NULL), 0);
	}
	assert_int_equal(journal_remember(journal, "k", "v", NULL), 0);
	assert_int_equal(journal_commit(journal, NULL), 0);
	journal_close(journal);
}

/* A rewrite that has no memory for a line is none: the old file stays, whichever line it is. */
static void a_rewrite_without_memory(void **state)
{
	struct place *place = *state;
	char identity[300];
	unsigned failures = 0;

	for (unsigned length = 5; length < 240; length += 21) {
		bool failed = true;

		fill(place, length);
		for (unsigned at = 1; failed; at++) {
			struct journal *journal = open_one(place);
			struct err err = {0};
			int rc;

			allocations_left = at;
			rc = journal_tidy(journal, 11, &err);
			failed = allocations_left == 0;
			allocations_left = 0;
			journal_close(journal);
			assert_int_equal(rc, failed ? -1 : 0);
			failures += failed;
			journal = open_one(place);
			for (int i = 0; i < LIVE; i++) {
				uint32_t one;

				identity_of(identity, length, i);
				one = journal_find(journal, span_of(identity));
				assert_int_not_equal(one, JOURNAL_NONE);
				assert_int_equal(journal_at(journal, one)->state, SEEN_WHOLE);
				assert_int_equal(journal_at(journal, one)->absent, 1700000000);
			}
			assert_string_equal(journal_recall(journal, "k"), "v");
			journal_close(journal);
		}
		assert_int_equal(unlinkat(place->dir, "j", 0), 0);
	}
	assert_true(failures > 12);
}

/* The disk fails at one call: the commit says so, and the file is as before or as after. */
static struct fetch_files failing;
static int calls_left;

static ssize_t failing_write(int fd, const void *data, size_t size)
{
	if (calls_left-- == 0) {
		(void)!write(fd, data, size / 2);
		errno = ENOSPC;
		return -1;
	}
	return write(fd, data, size);
}

static int failing_fsync(int fd)
{
	if (calls_left-- == 0) {
		errno = EIO;
		return -1;
	}
	return fsync(fd);
}

static void a_disk_that_fails(void **state)
{
	struct place *place = *state;
	struct journal *journal = open_one(place);

	journal_close(journal);
	for (int at = 0; at < 2; at++) {
		struct err err = {0};

		failing = fetch_files_real;
		failing.write = failing_write;
		failing.fsync = failing_fsync;
		calls_left = 100;
		assert_int_equal(journal_open(&failing, place->dir, "j", "x", &journal, &err), 0);
		add(journal, at ? "utwo" : "uone", SEEN_WHOLE);
		calls_left = at;
		assert_int_equal(journal_commit(journal, &err), -1);
		assert_int_equal(err.errnum, at ? EIO : ENOSPC);
		journal_close(journal);
		journal = open_one(place);
		assert_int_equal(state_of(journal, at ? "utwo" : "uone"), SEEN_UNKNOWN);
		journal_close(journal);
	}
}

static void lines(void **state)
{
	static const char *const good[] = {"S 1 w 2 3 0123456789abcdef ux",
					   "S 1 pd 2 3 0123456789abcdef ux",
					   "S 1 wdr 2 3 0123456789abcdef c12.1",
					   "A 0 ux",
					   "D 9 ux",
					   "X 9 ux",
					   "T 5 1 ux",
					   "T 5 250 n4096",
					   "S 1 w 2 3 0123456789abcdef h0123",
					   "M key and value",
					   "M key ",
					   "H 1 me@there"};
	static const char *const bad[] = {"",
					  "S",
					  "S ",
					  "S 1 w 2 3 0123456789abcdef x",
					  "S 1 w 2 3 0123456789abcdef u",
					  "S 1 q 2 3 0123456789abcdef ux",
					  "S 1 wdd 2 3 0123456789abcdef ux",
					  "S 1 wx 2 3 0123456789abcdef ux",
					  "S -1 w 2 3 0123456789abcdef ux",
					  "S 1 w 2 3 0123456789abcde ux",
					  "S 1 w 2 3 0123456789ABCDEF ux",
					  "S 1 w 2 99999999999999999999 0123456789abcdef ux",
					  "S 1 w 2 3 0123456789abcdef ux y",
					  "S 1 w 2 3 0123456789abcdef u\x7f",
					  "S 9223372036854775808 w 2 3 0123456789abcdef ux",
					  "T 5 0 ux",
					  "T 5 251 ux",
					  "T 5 ux",
					  "A ux",
					  "A 1",
					  "Z 1 ux",
					  "M  v",
					  "C 1 2 00000000"};
	struct journal_record record;
	char longest[JOURNAL_IDENTITY_MAX + 8];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_int_equal(journal_parse(span_of(good[i]), &record), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(journal_parse(span_of(bad[i]), &record), -1);
	memset(longest, 'u', sizeof(longest));
	memcpy(longest, "A 1 ", 4);
	assert_int_equal(journal_parse((pop3_span){longest, 4 + JOURNAL_IDENTITY_MAX}, &record), 0);
	assert_int_equal(journal_parse((pop3_span){longest, 5 + JOURNAL_IDENTITY_MAX}, &record),
			 -1);
}

static struct journal_record parsed(const char *line)
{
	struct journal_record record;

	assert_int_equal(journal_parse(span_of(line), &record), 0);
	return record;
}

static void what_each_line_says(void **state)
{
	static const struct {
		const char *line;
		enum journal_kind kind;
	} kinds[] = {{"A 7 ux", JOURNAL_ABSENT},  {"D 7 ux", JOURNAL_GONE},
		     {"X 7 ux", JOURNAL_REMOVE},  {"T 7 3 ux", JOURNAL_DEATH},
		     {"W 7 ux", JOURNAL_SENDING}, {"S 7 w 0 0 0000000000000000 ux", JOURNAL_SEEN}};
	static const char letters[] = "wpmx";
	struct journal_record record;
	char line[80];

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		record = parsed(kinds[i].line);
		assert_int_equal(record.kind, kinds[i].kind);
		assert_int_equal(record.seen.time, 7);
		assert_true(span_equal(record.identity, SPAN_LITERAL("ux")));
		assert_int_equal(record.seen.deaths, kinds[i].kind == JOURNAL_DEATH ? 3 : 0);
	}
	for (int i = 0; i < 4; i++) {
		snprintf(line, sizeof(line),
			 "S 9223372036854775807 %cdr 18446744073709551615 9 "
			 "fedcba9876543210 c12",
			 letters[i]);
		record = parsed(line);
		assert_int_equal(record.seen.state, SEEN_WHOLE + i);
		assert_true(record.seen.remove && record.seen.renamed);
		assert_true(record.seen.time == INT64_MAX && record.seen.announced == UINT64_MAX);
		assert_int_equal(record.seen.octets, 9);
		assert_true(record.seen.head_hash == 0xfedcba9876543210);
	}
	record = parsed("S 1 wr 2 3 0123456789abcdef ux");
	assert_true(record.seen.renamed && !record.seen.remove);
	record = parsed("M key and value");
	assert_int_equal(record.kind, JOURNAL_MEMORY);
	assert_true(span_equal(record.key, SPAN_LITERAL("key")));
	assert_true(span_equal(record.value, SPAN_LITERAL("and value")));
	record = parsed("H 1 me@there");
	assert_int_equal(record.kind, JOURNAL_HEAD);
	assert_true(span_equal(record.value, SPAN_LITERAL("me@there")));
	/* the longest key and value */
	memset(line, 'k', sizeof(line));
	memcpy(line, "M ", 2);
	memcpy(line + 34, " v", 2);
	assert_int_equal(journal_parse((pop3_span){line, 36}, &record), 0);
	memcpy(line + 34, "k v", 3);
	assert_int_equal(journal_parse((pop3_span){line, 37}, &record), -1);
	assert_int_equal(journal_parse((pop3_span){"M k a\0b", 7}, &record), -1);
}

static void closing_lines(void **state)
{
	static const char *const bad[] = {"",
					  "C",
					  "C ",
					  "D 1 2 00000000",
					  "C1 2 00000000",
					  "C 18446744073709551615 2 00000000",
					  "C 1 100001 00000000",
					  "C 1 2 0000000",
					  "C 1 2 000000000",
					  "C 1 2 0000000G",
					  "C x 2 00000000",
					  "C 1 x 00000000"};
	uint64_t group, count;
	size_t covered;
	uint32_t crc;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(
			journal_parse_close(span_of(bad[i]), &group, &count, &crc, &covered), -1);
	assert_int_equal(journal_parse_close(SPAN_LITERAL("C 18446744073709551614 100000 fedcba98"),
					     &group, &count, &crc, &covered),
			 0);
	assert_true(group == UINT64_MAX - 1);
	assert_int_equal(count, 100000);
	assert_true(crc == 0xfedcba98);
	assert_int_equal(covered, strlen("C 18446744073709551614 100000 "));
}

static void bounds_of_what_is_kept(void **state)
{
	struct journal *journal = open_one(*state);
	char longest[JOURNAL_IDENTITY_MAX + 1], value[JOURNAL_VALUE_MAX + 2], key[40];
	struct err err;
	uint32_t at;

	memset(longest, 'u', sizeof(longest));
	assert_int_equal(journal_intern(journal, (pop3_span){longest, JOURNAL_IDENTITY_MAX}), 0);
	assert_true(journal_intern(journal, (pop3_span){longest, JOURNAL_IDENTITY_MAX + 1}) ==
		    JOURNAL_NONE);
	/* the beginning of an identity is another one */
	at = journal_intern(journal, (pop3_span){longest, JOURNAL_IDENTITY_MAX - 1});
	assert_int_equal(at, 1);
	assert_int_equal(journal_intern(journal, (pop3_span){longest, JOURNAL_IDENTITY_MAX}), 0);
	assert_int_equal(journal_count(journal), 2);
	assert_true(journal_is_unlisted_kind(
		journal, journal_at(journal, journal_intern(journal, SPAN_LITERAL("c1")))));
	assert_true(journal_is_unlisted_kind(
		journal, journal_at(journal, journal_intern(journal, SPAN_LITERAL("n1")))));
	assert_false(journal_is_unlisted_kind(journal, journal_at(journal, 0)));
	/* deaths are counted up to their bound */
	for (int i = 0; i < JOURNAL_DEATHS_MAX + 2; i++)
		assert_int_equal(journal_write_death(journal, at, 5, NULL), 0);
	assert_int_equal(journal_at(journal, at)->deaths, JOURNAL_DEATHS_MAX);
	/* sixteen things are remembered, each of 320 octets at most */
	memset(value, 'v', sizeof(value));
	value[JOURNAL_VALUE_MAX] = '\0';
	for (int i = 0; i < 16; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		assert_int_equal(journal_remember(journal, key, value, &err), 0);
	}
	assert_int_equal(journal_remember(journal, "k16", "v", &err), -1);
	assert_string_equal(err.text, "the state has no room for k16");
	assert_int_equal(err.code, EX_SOFTWARE);
	assert_int_equal(journal_remember(journal, "k15", "w", &err), 0);
	value[JOURNAL_VALUE_MAX] = 'v';
	value[JOURNAL_VALUE_MAX + 1] = '\0';
	assert_int_equal(journal_remember(journal, "k15", value, &err), -1);
	assert_string_equal(journal_recall(journal, "k15"), "w");
	assert_null(journal_recall(journal, "k16"));
	assert_int_equal(journal_commit(journal, NULL), 0);
	journal_close(journal);
	journal = open_one(*state);
	value[JOURNAL_VALUE_MAX] = '\0';
	assert_string_equal(journal_recall(journal, "k14"), value);
	assert_string_equal(journal_recall(journal, "k15"), "w");
	at = journal_find(journal, (pop3_span){longest, JOURNAL_IDENTITY_MAX - 1});
	assert_int_equal(journal_at(journal, at)->deaths, JOURNAL_DEATHS_MAX);
	journal_close(journal);
}

/* A server can choose unique ids of one value in any hash without a key; here FNV-1a, whose low
 * bits choose the slot. */
static void chosen_ids_do_not_share_a_slot(void **state)
{
	struct journal *journal = open_one(*state);
	uint32_t run = 0, longest = 0;
	char name[32];

	for (unsigned n = 0, found = 0; found < 500; n++) {
		uint32_t h = 2166136261u;

		snprintf(name, sizeof(name), "u%x", n);
		for (const char *at = name; *at; at++)
			h = (h ^ (unsigned char)*at) * 16777619u;
		if ((h ^ h >> 15) & 1023)
			continue;
		journal_intern(journal, span_of(name));
		found++;
	}
	for (uint32_t i = 0; i <= journal->slot_mask; i++) {
		run = journal->slots[i].entry ? run + 1 : 0;
		longest = run > longest ? run : longest;
	}
	assert_true(journal->slot_mask >= 1023);
	assert_true(longest < 250);
	journal_close(journal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(written_is_read, make_place, remove_place),
		cmocka_unit_test_setup_teardown(what_was_on_its_way_is_known, make_place,
						remove_place),
		cmocka_unit_test_setup_teardown(without_commit_nothing_is_there, make_place,
						remove_place),
		cmocka_unit_test_setup_teardown(held_by_one, make_place, remove_place),
		cmocka_unit_test_setup_teardown(every_torn_tail, make_place, remove_place),
		cmocka_unit_test_setup_teardown(another_file, make_place, remove_place),
		cmocka_unit_test_setup_teardown(every_flipped_octet, make_place, remove_place),
		cmocka_unit_test_setup_teardown(rewriting_keeps_what_counts, make_place,
						remove_place),
		cmocka_unit_test_setup_teardown(a_rewrite_without_memory, make_place, remove_place),
		cmocka_unit_test_setup_teardown(a_disk_that_fails, make_place, remove_place),
		cmocka_unit_test_setup_teardown(deaths, make_place, remove_place),
		cmocka_unit_test_setup_teardown(lines_that_cannot_be_taken, make_place,
						remove_place),
		cmocka_unit_test_setup_teardown(bounds_of_what_is_kept, make_place, remove_place),
		cmocka_unit_test(what_each_line_says),
		cmocka_unit_test(closing_lines),
		cmocka_unit_test(identities_of_ids),
		cmocka_unit_test(lines),
		cmocka_unit_test_setup_teardown(chosen_ids_do_not_share_a_slot, make_place,
						remove_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
