/*
 * Threat 48 for deleted messages that are kept, brought back or too old: every system call and
 * every allocation fails once, at each place it is made, and from each place on. A message is in
 * the maildrop or kept, never in both or in none (but where there is no room to keep it), and what
 * was answered OK was flushed.
 */
#include "faulty.h"

#include "maildrop/kept.h"
#include "maildrop/undelete.h"
#include "maildrop/upkeep.h"

#include <time.h>

enum { MESSAGES = 3, ALL = 7, WEEK = 7 * 24 * 3600 };

static const char *const texts[MESSAGES] = {"one\n", "two, too\n", "three\n"};

static void set_up(struct scratch *s)
{
	make_maildir(s);
	put_file(s, "cur/1.m:2,S", texts[0]);
	put_file(s, "cur/2.m:2,", texts[1]);
	put_file(s, "new/3.m", texts[2]);
	maildrop_close(open_session(s));
	s->settings.retention = (struct maildrop_retention){.keep_seconds = WEEK};
	ledger_clear();
}

static void tear_down(struct scratch *s)
{
	char path[200];

	snprintf(path, sizeof(path), "%s/" HOME, s->path);
	nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	s->settings.retention = (struct maildrop_retention){0};
	ledger_clear();
}

static unsigned open_bits(struct scratch *s, const char *name)
{
	char path[300];

	snprintf(path, sizeof(path), HOME "%s%s", *name ? "/" : "", name);
	return ledger_open(s->root, path);
}

static int take_kept(void *context, const struct kept *kept)
{
	unsigned *bits = context, bit = 1u << (kept->name.data[0] - '1');

	assert_int_equal(*bits & bit, 0);
	assert_int_equal(kept->stored, strlen(texts[kept->name.data[0] - '1']));
	*bits |= bit;
	return 0;
}

static unsigned kept_ones(struct scratch *s)
{
	int fd = openat(s->root, HOME, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	unsigned bits = 0;

	assert_int_equal(kept_each(&maildrop_kernel, fd, take_kept, &bits), 0);
	close(fd);
	return bits;
}

/* A session without failures, which sweeps. */
static unsigned listed_ones(struct scratch *s)
{
	struct maildrop *m = open_session(s);
	unsigned bits = 0;

	for (uint32_t n = 1; n <= session_count(m); n++) {
		struct listed e = session_entry(m, n);
		unsigned which = (unsigned)(e.unique_id[0] - '1');
		char text[100];

		assert_int_equal(e.unique_id_size, 3);
		assert_true(which < MESSAGES);
		assert_int_equal(bits & 1u << which, 0);
		bits |= 1u << which;
		assert_int_equal(read_body(m, n, text, sizeof(text)), MAILDROP_OK);
		assert_string_equal(text, texts[which]);
	}
	maildrop_sweep(m);
	maildrop_close(m);
	return bits;
}

static enum maildrop_status faulty_open(struct scratch *s, struct maildrop **ret)
{
	enum maildrop_status status;
	struct err err = {0};

	fault.on = true;
	status = maildrop_open(&s->settings, s->root, HOME, ret, &err);
	fault.on = false;
	if (status < 0)
		assert_true(err.text[0] != '\0' && !fault.interrupts);
	return status;
}

/* Where the message that was deleted is, after the session that did it. */
static void assert_moved(struct scratch *s, bool deleted)
{
	unsigned there = listed_ones(s), kept = kept_ones(s);

	if (deleted)
		assert_int_equal(there, ALL & ~1u);
	else if (!fault.stays)
		assert_int_equal(there, ALL);
	assert_int_equal(there & kept, 0);
	if (fault.errnum != ENOSPC)
		assert_int_equal(there | kept, ALL);
	assert_int_equal((there | kept) & ~1u, ALL & ~1u);
}

/* A message that was removed stays removed: the log does not name its file any more. */
static void sweep(struct scratch *s, struct maildrop *m)
{
	maildrop_sweep(m);
	if (!maildrop_at_rest(m) || !has_file(s, KEPT_FOLDER))
		return;
	assert_int_equal(open_bits(s, KEPT_FOLDER), 0);
	assert_int_equal(open_bits(s, "") & LEDGER_FOLDER, 0);
}

static void deletion(struct scratch *s)
{
	enum maildrop_status status = MAILDROP_TEMP;
	struct maildrop *m = NULL;
	struct err err = {0};

	set_up(s);
	if (faulty_open(s, &m) == MAILDROP_OK) {
		fault.on = true;
		status = maildrop_commit(m, (uint32_t[]){1}, 1, &err);
		if (status == MAILDROP_OK)
			sweep(s, m);
		fault.on = false;
		maildrop_close(m);
		assert_true(status == MAILDROP_OK || (err.text[0] && !fault.interrupts));
	}
	assert_moved(s, status == MAILDROP_OK);
	tear_down(s);
}

static void count_one(void *context, const char *id, uint64_t stored, uint64_t arrived)
{
	(void)id, (void)stored, (void)arrived;
	++*(unsigned *)context;
}

/* cold: the session makes the index itself, and nobody has flushed its name. */
static void expiry_of(struct scratch *s, bool cold)
{
	const struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = time(NULL) - 2 * WEEK}};
	enum maildrop_status status = MAILDROP_TEMP;
	struct maildrop *m = NULL;
	struct err err = {0};
	unsigned deleted = 0;

	set_up(s);
	assert_int_equal(utimensat(s->root, HOME "/cur/1.m:2,S", times, 0), 0);
	if (cold) {
		remove_file(s, "valija-base");
		remove_file(s, "valija-delta");
	}
	s->settings.retention.delete_seconds = WEEK;
	if (faulty_open(s, &m) == MAILDROP_OK) {
		fault.on = true;
		status = maildrop_expire(m, false, count_one, &deleted, &err);
		if (status == MAILDROP_OK && deleted) {
			assert_int_equal(open_bits(s, "valija-delta"), 0);
			assert_int_equal(open_bits(s, "") & LEDGER_NAMES, 0);
			sweep(s, m);
		}
		fault.on = false;
		maildrop_close(m);
		assert_true(status == MAILDROP_OK || (err.text[0] && !fault.interrupts));
	}
	s->settings.retention.delete_seconds = 0;
	/* where the session lost its lock or its index is in memory, nothing is done */
	assert_true(deleted == 1 || (!fault.interrupts && fault.count >= fault.at));
	assert_moved(s, status == MAILDROP_OK && deleted);
	tear_down(s);
}

static void expiry(struct scratch *s)
{
	expiry_of(s, false);
}

static void expiry_cold(struct scratch *s)
{
	expiry_of(s, true);
}

static enum maildrop_status undelete(struct maildrop *m, struct err *err)
{
	struct undelete_item items[] = {{.id = "1.m"}, {.id = "2.m"}, {.id = "nobody"}};
	struct undelete u = {.items = items, .count = 3, .by = {.label = "uid=0"}};
	enum maildrop_status status = maildrop_undelete(m, &u, err);

	for (size_t i = 0; i < 3 && status == MAILDROP_OK; i++) {
		bool nobody = strcmp(items[i].id, "nobody") == 0;

		assert_true(nobody ? items[i].outcome == UNDELETE_NOT_KEPT
				   : items[i].outcome == UNDELETE_BACK ||
					     items[i].outcome == UNDELETE_THERE);
	}
	return status;
}

static void return_of_two(struct scratch *s)
{
	enum maildrop_status status = MAILDROP_TEMP;
	struct maildrop *m = NULL;
	struct err err = {0};
	unsigned there, kept;

	set_up(s);
	delete_messages(s, (uint32_t[]){1, 2}, 2);
	assert_int_equal(kept_ones(s), 3);
	ledger_clear();
	if (faulty_open(s, &m) == MAILDROP_OK) {
		fault.on = true;
		status = undelete(m, &err);
		fault.on = false;
		maildrop_close(m);
		if (status == MAILDROP_OK) {
			assert_int_equal(open_bits(s, "cur") & LEDGER_NAMES, 0);
			assert_int_equal(open_bits(s, KEPT_FOLDER) & LEDGER_NAMES, 0);
		} else {
			assert_true(err.text[0] && !fault.interrupts);
		}
	}
	there = listed_ones(s);
	kept = kept_ones(s);
	assert_int_equal(there & kept, 0);
	assert_int_equal(there | kept, ALL);
	if (status == MAILDROP_OK)
		assert_int_equal(there, ALL);
	m = open_session(s);
	assert_int_equal(undelete(m, &err), MAILDROP_OK);
	maildrop_close(m);
	assert_int_equal(listed_ones(s), ALL);
	assert_int_equal(kept_ones(s), 0);
	tear_down(s);
}

static void test_threat_48_deletion(void **state)
{
	run_few(*state, "deletion of what is kept", deletion);
}

static void test_threat_48_expiry(void **state)
{
	run_few(*state, "deletion of what is old", expiry);
	run_few(*state, "deletion of what is old, from a new index", expiry_cold);
}

static void test_threat_48_return(void **state)
{
	run_few(*state, "what is brought back", return_of_two);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, quick_begin, scratch_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_threat_48_deletion),
		TEST(test_threat_48_expiry),
		TEST(test_threat_48_return),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
