/*
 * Threat 48: every system call of the maildrop and every allocation fails once, at each place it is
 * made, and from each place on. Whatever was answered OK holds and was flushed, whatever failed
 * left everything as it was, and the next session without failures finds all mail. Reads and writes
 * that end early, and signals in the middle of calls, change nothing at all.
 */
#include "faulty.h"

#include "maildrop/index/write.h"

/* A log that carries deletions is on the disk before it takes the place of the one that had them.
 */
static void check_replaced(int dir, const char *from, const char *to)
{
	struct stat st;

	if (strcmp(to, "valija-delta") == 0 && fstatat(dir, from, &st, 0) == 0 &&
	    st.st_size > INDEX_DELTA_HEADER)
		assert_int_equal(ledger_open(dir, from), 0);
}

#define MESSAGES 6

static void set_up(struct scratch *s)
{
	char name[64], text[64];

	make_maildir(s);
	for (unsigned i = 0; i < MESSAGES; i++) {
		snprintf(name, sizeof(name), "%s/%u.m%s", i < 4 ? "cur" : "new", 1000 + i,
			 i < 4 ? ":2," : "");
		snprintf(text, sizeof(text), "message %u\n", i);
		put_file(s, name, text);
	}
	ledger_clear(); /* that was another program, long ago */
}

static void tear_down(struct scratch *s)
{
	char path[200];

	snprintf(path, sizeof(path), "%s/" HOME, s->path);
	nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	ledger_clear();
}

static unsigned open_bits(struct scratch *s, const char *name)
{
	char path[300];

	snprintf(path, sizeof(path), HOME "%s%s", *name ? "/" : "", name);
	return ledger_open(s->root, path);
}

/* Ids that were made up are in valija-uidl before anybody sees them. On a full disk the index of
 * the session is in memory, and nothing is written down. */
static void assert_ids_kept(struct scratch *s, const struct maildrop *m)
{
	struct maildrop_snapshot snapshot;

	maildrop_snapshot(m, &snapshot);
	if (fcntl(snapshot.base_fd, F_GET_SEALS) > F_SEAL_SEAL)
		return;
	assert_int_equal(open_bits(s, "valija-uidl"), 0);
	assert_int_equal(open_bits(s, "") & LEDGER_MADE, 0);
}

/* Behind a +OK to QUIT: the log with the deletions is on the disk, or the files are gone for good.
 */
static void assert_deleted(struct scratch *s)
{
	bool logged = !(open_bits(s, "valija-delta") & LEDGER_OCTETS) &&
		      !(open_bits(s, "") & LEDGER_NAMES);
	bool gone = !has_file(s, "cur/1001.m:2,") && !has_file(s, "new/1005.m") &&
		    !has_file(s, "cur/1005.m:2,") && !(open_bits(s, "cur") & LEDGER_REMOVED) &&
		    !(open_bits(s, "new") & LEDGER_REMOVED);

	assert_true(logged || gone);
}

/* Behind a 250: the message, its name, and every folder on the way to it. */
static void assert_delivered(struct scratch *s)
{
	char path[300], name[256];
	DIR *dir;

	assert_int_equal(ledger_open_fd(s->root) & LEDGER_FOLDER, 0);
	assert_int_equal(open_bits(s, "") & LEDGER_FOLDER, 0);
	assert_int_equal(open_bits(s, "new") & LEDGER_NAMES, 0);
	snprintf(path, sizeof(path), "%s/" HOME "/new", s->path);
	dir = opendir(path);
	assert_non_null(dir);
	for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
		snprintf(name, sizeof(name), "new/%.200s", e->d_name);
		if (e->d_name[0] != '.')
			assert_int_equal(open_bits(s, name), 0);
	}
	closedir(dir);
}

/* What the log says of itself is so: that its index is on the disk, that files which were deleted
 * are gone for good. swept: the last session swept, and its QUIT was answered OK. */
static void assert_marks(struct scratch *s, bool swept)
{
	int base = openat(s->root, HOME "/valija-base", O_RDONLY);
	int delta = openat(s->root, HOME "/valija-delta", O_RDONLY);
	struct index index;

	if (base >= 0 && delta >= 0 &&
	    index_open(&index, &maildrop_kernel, base, delta, UINT64_MAX, NULL) == 0) {
		if (index.delta.flushed) {
			assert_int_equal(ledger_open_fd(base), 0);
			assert_int_equal(ledger_open_fd(delta) & LEDGER_NEVER, 0);
			assert_int_equal(open_bits(s, "") & LEDGER_NAMES, 0);
		}
		if (swept && index.delta.pending_count == 0) {
			assert_int_equal(open_bits(s, "cur") & LEDGER_REMOVED, 0);
			assert_int_equal(open_bits(s, "new") & LEDGER_REMOVED, 0);
		}
		index_close(&index);
	}
	if (base >= 0)
		close(base);
	if (delta >= 0)
		close(delta);
}

/* Which of the messages are there, by id and octets, each at most once, as bits. */
static unsigned present(struct scratch *s, unsigned *others)
{
	struct maildrop *m = open_session(s);
	unsigned bits = 0, more = 0;

	for (uint32_t n = 1; n <= session_count(m); n++) {
		struct listed e = session_entry(m, n);
		char text[200], id[POP3_UNIQUE_ID_MAX + 1];
		unsigned which;

		assert_int_equal(read_body(m, n, text, sizeof(text)), MAILDROP_OK);
		memcpy(id, e.unique_id, e.unique_id_size);
		id[e.unique_id_size] = '\0';
		if (sscanf(id, "%u.m", &which) != 1 || which < 1000 || which >= 1000 + MESSAGES ||
		    strlen(id) != 6) {
			more++;
			assert_string_equal(text, "Delivered-To: alice\nA: b\n\n");
			continue;
		}
		assert_int_equal(bits >> (which - 1000) & 1, 0);
		bits |= 1u << (which - 1000);
		assert_int_equal(e.octets, strlen("message 0\r\n"));
	}
	maildrop_sweep(m);
	maildrop_close(m);
	if (others)
		*others = more;
	return bits;
}

#define ALL ((1u << MESSAGES) - 1)

static enum maildrop_status faulty_open(struct scratch *s, struct maildrop **ret)
{
	enum maildrop_status status;
	struct err err = {0};

	fault.on = true;
	status = maildrop_open(&s->settings, s->root, HOME, ret, &err);
	fault.on = false;
	if (status < 0)
		assert_true(err.text[0] != '\0');
	else
		assert_ids_kept(s, *ret);
	if (fault.interrupts)
		assert_int_equal(status, MAILDROP_OK);
	return status;
}

/* Somebody else's changes are noted, or not; never is a message missed. */
static void login(struct scratch *s)
{
	struct maildrop *m = NULL;
	char text[100];

	if (faulty_open(s, &m) < 0) {
		assert_null(m);
		return;
	}
	assert_int_equal(session_count(m), MESSAGES);
	fault.on = true;
	for (uint32_t n = 1; n <= MESSAGES; n++) {
		struct maildrop_body body;

		if (maildrop_body(m, n, &body, NULL) == MAILDROP_OK) {
			assert_int_equal(pread(body.fd, text, sizeof(text), 0), 10);
			close(body.fd);
		}
	}
	maildrop_sweep(m);
	fault.on = false;
	maildrop_close(m);
	assert_marks(s, true);
}

static void login_cold(struct scratch *s)
{
	set_up(s);
	login(s);
	assert_int_equal(present(s, NULL), ALL);
	tear_down(s);
}

static void login_after_changes(struct scratch *s)
{
	set_up(s);
	remove_file(s, "new/1005.m");
	present(s, NULL);
	move_file(s, "cur/1000.m:2,", "cur/1000.m:2,S");
	put_file(s, "new/1005.m", "message 5\n");
	login(s);
	assert_int_equal(present(s, NULL), ALL);
	tear_down(s);
}

static void login_after_new_mail(struct scratch *s)
{
	set_up(s);
	remove_file(s, "new/1005.m");
	present(s, NULL);
	put_file(s, "new/1005.m", "message 5\n");
	login(s);
	assert_int_equal(present(s, NULL), ALL);
	tear_down(s);
}

/* fresh: the session makes the index itself. */
static void deletion_of(struct scratch *s, bool fresh)
{
	static const uint32_t numbers[] = {2, 6};
	enum maildrop_status status;
	struct maildrop *m = NULL;
	struct err err = {0};
	unsigned bits;

	set_up(s);
	if (!fresh) {
		present(s, NULL);
		/* one is in new/ again, as another program delivers it, and the index knows it */
		move_file(s, "cur/1005.m:2,", "new/1005.m");
		maildrop_close(open_session(s));
	}
	if (faulty_open(s, &m) == MAILDROP_OK) {
		fault.on = true;
		status = maildrop_commit(m, numbers, 2, &err);
		if (status == MAILDROP_OK) {
			assert_deleted(s);
			maildrop_sweep(m);
		}
		fault.on = false;
		maildrop_close(m);
		assert_marks(s, status == MAILDROP_OK);
		assert_true(status == MAILDROP_OK || !fault.interrupts);
		bits = present(s, NULL);
		if (status == MAILDROP_OK) {
			assert_int_equal(bits, ALL & ~(1u << 1 | 1u << 5));
			assert_int_equal(bits, present(s, NULL));
			assert_false(has_file(s, "cur/1001.m:2,"));
			assert_false(has_file(s, "cur/1005.m:2,"));
			assert_false(has_file(s, "new/1005.m"));
		} else {
			assert_true(err.text[0] != '\0');
			/* a deletion that failed may have been done in part only where everything
			 * fails from some point on */
			assert_int_equal(bits & ~(1u << 1 | 1u << 5), ALL & ~(1u << 1 | 1u << 5));
			if (!fault.stays)
				assert_int_equal(bits, ALL);
		}
	}
	assert_true((present(s, NULL) | 1u << 1 | 1u << 5) == ALL);
	tear_down(s);
}

static void deletion(struct scratch *s)
{
	deletion_of(s, false);
}

static void deletion_fresh(struct scratch *s)
{
	deletion_of(s, true);
}

static void delivery(struct scratch *s)
{
	enum maildrop_status status;
	struct err err = {0};
	unsigned others;

	set_up(s);
	present(s, NULL);
	fault.on = true;
	status =
		deliver_text(s, "A: b\r\n\r\n", (struct maildrop_quota){.max_messages = 100}, &err);
	fault.on = false;
	if (status == MAILDROP_OK)
		assert_delivered(s);
	assert_marks(s, false);
	assert_int_equal(present(s, &others), ALL);
	if (status == MAILDROP_OK) {
		assert_int_equal(others, 1);
	} else {
		assert_true(err.text[0] != '\0');
		assert_false(fault.interrupts);
		/* nobody may have to hear of it twice; where nothing can be undone any more, it
		 * may be there all the same */
		if (!fault.stays)
			assert_int_equal(others, 0);
		assert_true(others <= 1);
	}
	assert_int_equal(count_files(s, "new", NULL), 0);
	tear_down(s);
}

static void first_delivery(struct scratch *s)
{
	enum maildrop_status status;
	unsigned others;

	fault.on = true;
	status = deliver_text(s, "A: b\r\n\r\n", (struct maildrop_quota){0}, NULL);
	fault.on = false;
	assert_true(status == MAILDROP_OK || !fault.interrupts);
	if (status == MAILDROP_OK)
		assert_delivered(s);
	assert_int_equal(present(s, &others), 0);
	assert_true(status == MAILDROP_OK ? others == 1 : others <= (fault.stays ? 1 : 0));
	/* folders that were made before something failed: the next one flushes their names, too */
	assert_int_equal(deliver_text(s, "A: b\r\n\r\n", (struct maildrop_quota){0}, NULL),
			 MAILDROP_OK);
	assert_delivered(s);
	tear_down(s);
}

/* A log long enough for a new base, with words that change nothing. */
static void lengthen(struct scratch *s)
{
	int base = openat(s->root, HOME "/valija-base", O_RDONLY);
	int delta = openat(s->root, HOME "/valija-delta", O_RDWR);
	struct index_batch batch = {0};
	struct index index;

	assert_int_equal(index_open(&index, &maildrop_kernel, base, delta, UINT64_MAX, NULL), 0);
	for (int i = 0; i < 5000; i++)
		index_batch_add(&batch, &(struct index_change){.kind = CHANGE_VERIFIED});
	assert_true(index_batch_write(&batch, &maildrop_kernel, delta, index.header.id,
				      index.delta.size) > 64 * 1024);
	index_batch_finish(&batch);
	index_close(&index);
	close(base);
	close(delta);
}

static void compaction(struct scratch *s)
{
	static const uint32_t numbers[] = {2};
	struct maildrop *m;

	set_up(s);
	present(s, NULL);
	lengthen(s);
	/* a deletion whose file is not unlinked yet has to come along */
	m = open_session(s);
	assert_int_equal(maildrop_commit(m, numbers, 1, NULL), MAILDROP_OK);
	maildrop_close(m);
	if (faulty_open(s, &m) == MAILDROP_OK) {
		assert_int_equal(session_count(m), MESSAGES - 1);
		fault.on = true;
		maildrop_sweep(m);
		fault.on = false;
		maildrop_close(m);
		assert_marks(s, true);
	}
	assert_int_equal(present(s, NULL), ALL & ~(1u << 1));
	assert_int_equal(present(s, NULL), ALL & ~(1u << 1));
	assert_false(has_file(s, "cur/1001.m:2,"));
	tear_down(s);
}

/* A session that deleted, then a base that is lost: the new log carries the deletions. A log that
 * cannot be read is one that is lost. */
static void rebuild_with_deletions(struct scratch *s)
{
	static const uint32_t numbers[] = {2};
	struct maildrop *m;

	set_up(s);
	present(s, NULL);
	m = open_session(s);
	assert_int_equal(maildrop_commit(m, numbers, 1, NULL), MAILDROP_OK);
	maildrop_close(m);
	remove_file(s, "valija-base");
	if (faulty_open(s, &m) == MAILDROP_OK) {
		if (!fault.read)
			assert_int_equal(session_count(m), MESSAGES - 1);
		maildrop_close(m);
	}
	assert_marks(s, false);
	if (!fault.read) {
		assert_int_equal(present(s, NULL), ALL & ~(1u << 1));
		assert_false(has_file(s, "cur/1001.m:2,"));
	}
	tear_down(s);
}

#define ODD 3

static void ids_of(struct scratch *s, char ids[ODD][POP3_UNIQUE_ID_MAX + 1])
{
	struct maildrop *m = open_session(s);

	assert_int_equal(session_count(m), ODD);
	for (uint32_t n = 1; n <= ODD; n++) {
		struct listed e = session_entry(m, n);

		memcpy(ids[n - 1], e.unique_id, e.unique_id_size);
		ids[n - 1][e.unique_id_size] = '\0';
	}
	assert_ids_kept(s, m);
	maildrop_close(m);
}

/* Names that are no unique ids, and an id that another message has: what was made up is written
 * down, and the same when the index has to be made again. */
static void login_odd_of(struct scratch *s, bool brought)
{
	char first[ODD][POP3_UNIQUE_ID_MAX + 1], again[ODD][POP3_UNIQUE_ID_MAX + 1];
	struct maildrop *m = NULL;

	make_maildir(s);
	put_file(s, "cur/1000 odd:2,", "one\n");
	put_file(s, "cur/1001 odd:2,S", "two\n");
	put_file(s, "new/1002.m", "three\n");
	if (brought)
		put_file(s, "valija-uidl", "1002.m 1000\\x20odd\ncut of");
	ledger_clear();
	if (faulty_open(s, &m) == MAILDROP_OK)
		maildrop_close(m);
	assert_marks(s, false);
	ids_of(s, first);
	if (brought)
		assert_string_equal(first[0], "1002.m");
	assert_int_equal(strlen(first[0]), brought ? 6 : 32);
	assert_int_equal(strlen(first[1]), 32);
	assert_int_equal(strlen(first[2]), brought ? 32 : 6);
	remove_file(s, "valija-base");
	remove_file(s, "valija-delta");
	ids_of(s, again);
	for (int i = 0; i < ODD; i++)
		assert_string_equal(first[i], again[i]);
	tear_down(s);
}

static void login_odd(struct scratch *s)
{
	login_odd_of(s, true);
}

static void login_odd_first(struct scratch *s)
{
	login_odd_of(s, false);
}

static void test_threat_48_login_cold(void **state)
{
	run_kinds(*state, "login without an index", login_cold);
}

static void test_threat_48_login_after_changes(void **state)
{
	run_kinds(*state, "login after changes", login_after_changes);
}

static void test_threat_48_login_after_new_mail(void **state)
{
	run_kinds(*state, "login after new mail", login_after_new_mail);
}

static void test_threat_48_login_odd(void **state)
{
	run_kinds(*state, "login with ids made up", login_odd);
	run_kinds(*state, "the first ids made up", login_odd_first);
}

static void test_threat_48_deletion(void **state)
{
	run_kinds(*state, "deletion", deletion);
	run_kinds(*state, "deletion from a new index", deletion_fresh);
}

static void test_threat_48_rebuild(void **state)
{
	run_kinds(*state, "rebuild with deletions", rebuild_with_deletions);
}

static void test_threat_48_compaction(void **state)
{
	run_kinds(*state, "compaction", compaction);
}

static void test_threat_48_delivery(void **state)
{
	run_kinds(*state, "delivery", delivery);
}

static void test_threat_48_first_delivery(void **state)
{
	run_kinds(*state, "first delivery", first_delivery);
}

static int begin(void **state)
{
	before.rename = check_replaced;
	return quick_begin(state);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, scratch_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_threat_48_login_cold),
		TEST(test_threat_48_login_after_changes),
		TEST(test_threat_48_login_after_new_mail),
		TEST(test_threat_48_login_odd),
		TEST(test_threat_48_deletion),
		TEST(test_threat_48_delivery),
		TEST(test_threat_48_first_delivery),
		TEST(test_threat_48_compaction),
		TEST(test_threat_48_rebuild),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
