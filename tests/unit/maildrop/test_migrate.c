/*
 * A Maildir that moves here from a server that lives: its journal, the copies, the switch. Every
 * system call and every allocation fails once, at each place it is made, and from each place on, as
 * if the process were killed there; then another call goes on. Lost 0, twice 0, resurrected 0.
 */
#include "faulty.h"

#include "base/text.h"
#include "maildrop/maildir/migrate/journal.h"
#include "maildrop/maildir/migrate/migrate.h"

#define SOURCE "old anna"

/* ---- the journal ---- */

struct taken {
	unsigned lines, copied, gone;
	char last[POP3_UNIQUE_ID_MAX + 1];
};

static int take(void *context, const struct journal_line *line)
{
	struct taken *taken = context;

	taken->lines++;
	taken->copied += line->word == JOURNAL_COPIED;
	taken->gone += line->word == JOURNAL_GONE;
	if (line->word != JOURNAL_SOURCE)
		assert_int_equal(span_copy(line->id, taken->last, sizeof(taken->last)), 0);
	return 0;
}

static size_t print_three(char *text, size_t ends[3])
{
	const struct journal_line lines[3] = {
		{.word = JOURNAL_SOURCE, .source = span_of(SOURCE)},
		{.word = JOURNAL_COPIED, .id = span_of("id-1"), .unique = span_of("17.M1R2.host")},
		{.word = JOURNAL_GONE, .id = span_of("id-1")}};
	size_t size = 0;

	for (unsigned i = 0; i < 3; i++)
		ends[i] = size += migrate_journal_print(&lines[i], text + size);
	return size;
}

static int parse(const char *text, size_t size, struct taken *taken, size_t *good, struct err *err)
{
	*taken = (struct taken){0};
	return migrate_journal_parse((pop3_span){text, size}, take, taken, good, err);
}

static void test_a_journal_that_was_cut_is_good_up_to_its_last_line(void **state)
{
	char text[3 * JOURNAL_LINE_MAX];
	size_t ends[3], size = print_three(text, ends), good;
	struct taken taken;
	struct err err;

	(void)state;
	for (size_t cut = 0; cut <= size; cut++) {
		unsigned whole = (cut >= ends[0]) + (cut >= ends[1]) + (cut >= ends[2]);

		assert_int_equal(parse(text, cut, &taken, &good, &err), 0);
		assert_int_equal(taken.lines, whole);
		assert_int_equal(good, whole ? ends[whole - 1] : 0);
	}
	assert_int_equal(taken.copied, 1);
	assert_int_equal(taken.gone, 1);
	assert_string_equal(taken.last, "id-1");
}

static void test_a_damaged_line_in_the_middle_is_no_cut(void **state)
{
	char text[3 * JOURNAL_LINE_MAX], whole[sizeof(text)];
	size_t ends[3], size = print_three(whole, ends), good;
	struct taken taken;
	struct err err;

	(void)state;
	for (size_t at = 0; at < size; at++) {
		/* without its end the second line is one with the third */
		bool last = at + 1 >= ends[1];

		memcpy(text, whole, size);
		text[at] ^= 1;
		assert_int_equal(parse(text, size, &taken, &good, &err), last ? 0 : -1);
		if (last)
			assert_int_equal(good, at >= ends[1] ? ends[1] : ends[0]);
	}
}

static void test_a_journal_begins_with_its_source(void **state)
{
	char text[3 * JOURNAL_LINE_MAX];
	size_t ends[3], size = print_three(text, ends), good;
	struct taken taken;
	struct err err;

	(void)state;
	assert_int_equal(parse(text + ends[0], size - ends[0], &taken, &good, &err), -1);
	memcpy(text + size, text, ends[0]);
	assert_int_equal(parse(text, size + ends[0], &taken, &good, &err), -1);
}

/* ---- moving ---- */

static int folder_of(struct scratch *s)
{
	int fd = openat(s->root, HOME, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

/* Of the message with that id; each has another size. */
static enum maildrop_status copy(struct migration *m, const char *id, struct err *err)
{
	enum maildrop_status status = migration_begin(m, span_of(id), err);
	char text[100];

	snprintf(text, sizeof(text), "Subject: %s\r\n\r\n.\r\n", id);
	if (status == MAILDROP_OK)
		status = migration_add(m, (pop3_span){text, 5}, err);
	if (status == MAILDROP_OK)
		status = migration_add(m, span_of(text + 5), err);
	return status == MAILDROP_OK ? migration_end(m, err) : status;
}

static size_t octets_of(const char *id)
{
	return strlen("Subject: \r\n\r\n..\r\n") - 1 + strlen(id);
}

static enum maildrop_status work(struct migration *m, const char *const *ids, uint32_t count,
				 struct err *err)
{
	enum maildrop_status status = MAILDROP_OK;
	struct migration_totals totals;
	pop3_span spans[8];

	for (uint32_t i = 0; i < count; i++) {
		spans[i] = span_of(ids[i]);
		if (status == MAILDROP_OK && migration_wants(m, spans[i]))
			status = copy(m, ids[i], err);
	}
	if (status == MAILDROP_OK)
		status = migration_flush(m, err);
	migration_totals(m, &totals);
	if (status != MAILDROP_OK)
		return status;
	return totals.has_switched ? migration_publish(m, err)
				   : migration_switch(m, spans, count, false, err);
}

/* A whole call, of a server that has these messages. */
static enum maildrop_status call(struct scratch *s, const char *const *ids, uint32_t count,
				 struct err *err)
{
	int folder = folder_of(s);
	struct migration *m;
	enum maildrop_status status =
		migration_open(&s->settings, folder, HOME, SOURCE, false, &m, err);

	if (status == MAILDROP_OK) {
		status = work(m, ids, count, err);
		migration_close(m);
	}
	close(folder);
	return status;
}

static bool has_record(struct scratch *s)
{
	return faccessat(s->root, HOME "/valija-migrated", F_OK, 0) == 0;
}

/* A message that was delivered here before. */
#define BESIDE "1700000000.M1P1.here"
#define BESIDE_TEXT "Subject: here\r\n\r\n"

static void make_with_mail(struct scratch *s)
{
	make_maildir(s);
	put_file(s, "new/" BESIDE, BESIDE_TEXT);
	maildrop_close(open_session(s));
}

static bool is_beside(const struct maildrop *m)
{
	const struct listed e = session_entry(m, 1);

	return e.unique_id_size == strlen(BESIDE) &&
	       memcmp(e.unique_id, BESIDE, strlen(BESIDE)) == 0;
}

static void assert_mail(struct scratch *s, const char *const *ids, uint32_t count)
{
	struct maildrop *m = open_session(s);
	uint32_t beside = session_count(m) && is_beside(m);

	assert_int_equal(session_count(m), beside + count);
	for (uint32_t i = 0; i < count; i++)
		assert_entry(m, beside + i + 1, ids[i], octets_of(ids[i]));
	maildrop_close(m);
}

/* As a keeper asks. A session that is served from there as well shows only what came here. */
static enum maildrop_status ask(struct scratch *s, bool *ret_partly, struct err *err)
{
	struct maildrop *m;
	enum maildrop_status status =
		maildrop_open_moving(&s->settings, s->root, HOME, &m, ret_partly, err);

	if (status != MAILDROP_OK)
		return status;
	if (*ret_partly)
		assert_true(session_count(m) == 1 && is_beside(m));
	maildrop_close(m);
	return MAILDROP_OK;
}

static enum maildrop_status asked(struct scratch *s, struct err *err)
{
	bool partly;
	enum maildrop_status status = ask(s, &partly, err);

	return status == MAILDROP_OK && partly ? MAILDROP_ELSEWHERE : status;
}

static void clear(struct scratch *s)
{
	char path[200];

	snprintf(path, sizeof(path), "%s/" HOME, s->path);
	nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static const char *const first[] = {"a", "bb", "ccc"};
static const char *const second[] = {"ccc", "bb", "dddd"}; /* a went, dddd came */
static const char *const late[] = {"a", "bb", "ccc", "dddd"};

/* What a call promised is on the disk. */
static void assert_flushed(struct scratch *s)
{
	assert_int_equal(ledger_open(s->root, HOME "/valija-uidl"), 0);
	assert_int_equal(ledger_open(s->root, HOME "/valija-migrate"), 0);
	assert_int_equal(ledger_open(s->root, HOME "/valija-migrated"), 0);
	assert_int_equal(ledger_open(s->root, HOME "/cur") & LEDGER_NAMES, 0);
}

/* The first call fails somewhere; the second finds another listing. */
static void interrupted_move(struct scratch *s)
{
	struct err err = {0};
	enum maildrop_status status;
	bool switched;

	make_with_mail(s);
	ledger_clear();
	fault.on = true;
	status = call(s, first, 3, &err);
	fault.on = false;
	switched = has_record(s);
	if (status == MAILDROP_OK)
		assert_flushed(s);
	else
		assert_true(err.text[0] && !fault.interrupts);
	assert_true(switched || status != MAILDROP_OK);
	assert_int_equal(asked(s, &err) == MAILDROP_OK, switched);
	assert_int_equal(call(s, second, 3, &err), MAILDROP_OK);
	assert_true(has_record(s));
	if (switched)
		assert_mail(s, late, 4);
	else
		assert_mail(s, second, 3);
	/* and nothing more comes */
	assert_int_equal(call(s, second, 3, &err), MAILDROP_OK);
	assert_int_equal(faccessat(s->root, HOME "/valija-migrating", F_OK, 0), -1);
	clear(s);
}

static void test_interrupted_anywhere_it_goes_on(void **state)
{
	run_few(*state, "moving", interrupted_move);
}

/* The first call is whole up to the switch, or beyond it: the second fails somewhere. */
static void interrupted_again(struct scratch *s)
{
	struct err err = {0};
	enum maildrop_status status;
	struct migration *m;
	int folder;

	make_with_mail(s);
	folder = folder_of(s);
	assert_int_equal(migration_open(&s->settings, folder, HOME, SOURCE, false, &m, &err),
			 MAILDROP_OK);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(copy(m, first[i], &err), MAILDROP_OK);
	assert_int_equal(migration_flush(m, &err), MAILDROP_OK);
	migration_close(m);
	close(folder);
	fault.on = true;
	status = call(s, second, 3, &err);
	fault.on = false;
	/* a is back there before the next call: it is shown again, unless the switch was made */
	if (has_record(s)) {
		assert_int_equal(call(s, late, 4, &err), MAILDROP_OK);
		assert_mail(s, second, 3);
	} else {
		assert_true(status != MAILDROP_OK);
		assert_int_equal(asked(s, &err), MAILDROP_ELSEWHERE);
		assert_int_equal(call(s, late, 4, &err), MAILDROP_OK);
		assert_mail(s, late, 4);
	}
	clear(s);
}

static void test_a_switch_interrupted_anywhere(void **state)
{
	run_few(*state, "switching", interrupted_again);
}

/* Mail that comes late, and a message that was deleted here. */
static void interrupted_late(struct scratch *s)
{
	static const char *const left[] = {"bb", "ccc", "dddd"};
	const uint32_t two = 2;
	struct err err = {0};
	struct maildrop *m;

	make_with_mail(s);
	assert_int_equal(call(s, first, 3, &err), MAILDROP_OK);
	m = open_session(s);
	assert_int_equal(maildrop_commit(m, &two, 1, &err), MAILDROP_OK);
	maildrop_sweep(m);
	maildrop_close(m);
	fault.on = true;
	(void)call(s, late, 4, &err);
	fault.on = false;
	assert_int_equal(call(s, late, 4, &err), MAILDROP_OK);
	assert_mail(s, left, 3);
	clear(s);
}

static void test_late_mail_interrupted_anywhere(void **state)
{
	run_few(*state, "late mail", interrupted_late);
}

/* ---- the question of keepers ---- */

static void test_a_keeper_is_told_and_tells(void **state)
{
	struct scratch *s = *state;
	struct migration *m, *other;
	struct err err = {0};
	int folder;

	assert_int_equal(asked(s, &err), MAILDROP_ABSENT);
	make_maildir(s);
	assert_int_equal(asked(s, &err), MAILDROP_ABSENT);
	folder = folder_of(s);
	assert_int_equal(migration_open(&s->settings, folder, HOME, SOURCE, false, &m, &err),
			 MAILDROP_OK);
	assert_int_equal(migration_open(&s->settings, folder, HOME, SOURCE, false, &other, &err),
			 MAILDROP_IN_USE);
	assert_false(migration_wanted(m));
	/* the clock of files ticks */
	do
		assert_int_equal(asked(s, &err), MAILDROP_IN_USE);
	while (!migration_wanted(m));
	migration_close(m);
	assert_int_equal(asked(s, &err), MAILDROP_ELSEWHERE);
	close(folder);
	assert_int_equal(call(s, first, 3, &err), MAILDROP_OK);
	assert_int_equal(asked(s, &err), MAILDROP_OK);
}

/* Mail that came here is shown from here while the rest is there, and no switch comes meanwhile. */
static void test_a_session_from_both(void **state)
{
	struct scratch *s = *state;
	struct maildrop *m;
	struct err err = {0};
	bool partly;

	make_with_mail(s);
	assert_int_equal(maildrop_open_moving(&s->settings, s->root, HOME, &m, &partly, &err),
			 MAILDROP_OK);
	assert_true(partly);
	assert_int_equal(call(s, first, 3, &err), MAILDROP_IN_USE);
	maildrop_close(m);
	assert_int_equal(call(s, first, 3, &err), MAILDROP_OK);
	assert_int_equal(ask(s, &partly, &err), MAILDROP_OK);
	assert_false(partly);
	assert_mail(s, first, 3);
}

/* Another program delivered to a Maildir that was never opened here. */
static void test_a_session_from_both_of_mail_that_others_delivered(void **state)
{
	struct scratch *s = *state;
	struct err err = {0};
	bool partly;

	make_maildir(s);
	put_file(s, "new/" BESIDE, BESIDE_TEXT);
	put_file(s, "dovecot-uidlist", "3 V1 N1\n");
	assert_int_equal(ask(s, &partly, &err), MAILDROP_ABSENT);
	remove_file(s, "dovecot-uidlist");
	assert_int_equal(ask(s, &partly, &err), MAILDROP_OK);
	assert_true(partly);
	assert_int_equal(call(s, first, 3, &err), MAILDROP_OK);
	assert_mail(s, first, 3);
}

/* Copies that a switch has shown are there as well: nothing from here until it is over. */
static void test_a_switch_that_was_cut_off_shows_nothing(void **state)
{
	struct scratch *s = *state;
	struct err err = {0};
	bool partly;

	make_with_mail(s);
	assert_int_equal(call(s, first, 3, &err), MAILDROP_OK);
	/* all of it but the record */
	assert_int_equal(unlinkat(s->root, HOME "/valija-migrated", 0), 0);
	assert_int_equal(mkdirat(s->root, HOME "/valija-migrating", 0700), 0);
	put_file(s, "valija-migrating/.switching", "");
	assert_int_equal(ask(s, &partly, &err), MAILDROP_ELSEWHERE);
	assert_int_equal(call(s, first, 3, &err), MAILDROP_OK);
	assert_int_equal(ask(s, &partly, &err), MAILDROP_OK);
	assert_false(partly || has_file(s, "valija-migrating"));
	assert_mail(s, first, 3);
}

/* The ids of valija-uidl are enough. */
static void test_a_journal_that_was_lost_brings_nothing_again(void **state)
{
	struct scratch *s = *state;
	struct err err = {0};

	make_maildir(s);
	assert_int_equal(call(s, first, 3, &err), MAILDROP_OK);
	assert_int_equal(unlinkat(s->root, HOME "/valija-migrate", 0), 0);
	assert_int_equal(call(s, late, 4, &err), MAILDROP_OK);
	assert_mail(s, late, 4);
}

static void test_a_look_writes_nothing(void **state)
{
	static const char *const names[] = {"valija-lock", "valija-migrate", "valija-migrating"};
	struct scratch *s = *state;
	struct migration *m;
	struct err err = {0};
	int folder;

	make_maildir(s);
	folder = folder_of(s);
	assert_int_equal(migration_open(&s->settings, folder, HOME, SOURCE, true, &m, &err),
			 MAILDROP_OK);
	assert_true(migration_wants(m, span_of("a")));
	migration_close(m);
	close(folder);
	for (unsigned i = 0; i < 3; i++) {
		char path[64];

		snprintf(path, sizeof(path), HOME "/%s", names[i]);
		assert_int_equal(faccessat(s->root, path, F_OK, 0), -1);
	}
}

static void test_what_is_here_stays(void **state)
{
	struct scratch *s = *state;
	struct err err = {0};
	struct maildrop *m;

	make_maildir(s);
	put_file(s, "new/1000.here", "here\n");
	m = open_session(s);
	maildrop_close(m);
	assert_int_equal(call(s, first, 3, &err), MAILDROP_OK);
	m = open_session(s);
	assert_int_equal(session_count(m), 4);
	assert_entry(m, 1, "1000.here", strlen("here\r\n"));
	assert_entry(m, 2, "a", octets_of("a"));
	assert_entry(m, 4, "ccc", octets_of("ccc"));
	maildrop_close(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_journal_that_was_cut_is_good_up_to_its_last_line),
		cmocka_unit_test(test_a_damaged_line_in_the_middle_is_no_cut),
		cmocka_unit_test(test_a_journal_begins_with_its_source),
		cmocka_unit_test_setup_teardown(test_interrupted_anywhere_it_goes_on, quick_begin,
						scratch_end),
		cmocka_unit_test_setup_teardown(test_a_switch_interrupted_anywhere, quick_begin,
						scratch_end),
		cmocka_unit_test_setup_teardown(test_late_mail_interrupted_anywhere, quick_begin,
						scratch_end),
		cmocka_unit_test_setup_teardown(test_a_keeper_is_told_and_tells, scratch_begin,
						scratch_end),
		cmocka_unit_test_setup_teardown(test_a_session_from_both, scratch_begin,
						scratch_end),
		cmocka_unit_test_setup_teardown(
			test_a_session_from_both_of_mail_that_others_delivered, scratch_begin,
			scratch_end),
		cmocka_unit_test_setup_teardown(test_a_switch_that_was_cut_off_shows_nothing,
						scratch_begin, scratch_end),
		cmocka_unit_test_setup_teardown(test_a_journal_that_was_lost_brings_nothing_again,
						scratch_begin, scratch_end),
		cmocka_unit_test_setup_teardown(test_a_look_writes_nothing, scratch_begin,
						scratch_end),
		cmocka_unit_test_setup_teardown(test_what_is_here_stays, scratch_begin,
						scratch_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
