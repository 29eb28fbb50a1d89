/*
 * Threat 48 for mboxes: every system call and every allocation fails once, at each place it is
 * made, and from each place on. What was answered OK holds and was flushed, what failed left
 * everything as it was, and the next session without failures finds all mail, with the same ids.
 * The mailbox is not touched before its journal is on the disk, and the journal and the list of
 * deletions do not go before the mailbox is.
 */
#include "mbox_test.h"

#include "faulty.h"

#include "maildrop/mail_origin.h"

#define MESSAGES 4
#define ALL ((1u << MESSAGES) - 1)
#define TWO_DELETED (1u << 1 | 1u << 3) /* what is left then */

static const char *const stored[MESSAGES] = {
	FROM "Status: RO\nSubject: zero\n\nbody\n",
	FROM "Subject: twin\n\nbody\n",
	FROM "Subject: two\nX-Status: A\n\n>From here\n",
	FROM "Subject: twin\n\nbody\n",
};
static const char *const shown[MESSAGES] = {
	"Subject: zero\n\nbody\n",
	"Subject: twin\n\nbody\n",
	"Subject: two\n\n>From here\n",
	"Subject: twin\n\nbody\n",
};
#define DELIVERED "Return-Path: <b@c>\nA: b\n\nx\n"

static struct scratch *here;
static struct listed known[MESSAGES]; /* as they were listed first */
static bool is_known[MESSAGES];

static void text_of(unsigned which, char *ret, size_t size)
{
	ret[0] = '\0';
	for (unsigned i = 0; i < MESSAGES; i++)
		if (which & 1u << i)
			snprintf(ret + strlen(ret), size - strlen(ret), "%s\n", stored[i]);
}

static void set_up(struct scratch *s)
{
	char text[1000];

	text_of(ALL, text, sizeof(text));
	put(s, text, O_TRUNC);
	memset(is_known, 0, sizeof(is_known));
	ledger_clear();
}

static void tear_down(struct scratch *s)
{
	char path[200];

	snprintf(path, sizeof(path), "%s/state", s->path);
	nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	snprintf(path, sizeof(path), "%s/" HOME, s->path);
	nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	assert_int_equal(mkdirat(s->root, HOME, 0700), 0);
	close(s->settings.state_fd);
	assert_int_equal(mkdirat(s->root, "state", 0700), 0);
	s->settings.state_fd = openat(s->root, "state", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ledger_clear();
}

/* ---- what is on the disk ---- */

static bool ends_in(const char *name, const char *end)
{
	size_t n = strlen(name), size = strlen(end);

	return n >= size && strcmp(name + n - size, end) == 0;
}

/* A file of the state folder by the end of its name. */
static bool find(const char *end, char name[256])
{
	DIR *folder = fdopendir(openat(here->root, "state", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	bool found = false;

	assert_non_null(folder);
	for (struct dirent *e = readdir(folder); e && !found; e = readdir(folder)) {
		found = ends_in(e->d_name, end);
		if (found)
			snprintf(name, 256, "%s", e->d_name);
	}
	closedir(folder);
	return found;
}

static unsigned open_bits(const char *end)
{
	char name[256];

	return find(end, name) ? ledger_open(here->settings.state_fd, name) : 0;
}

static bool is_mailbox(int fd)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 && fstatat(here->root, BOX, &b, AT_SYMLINK_NOFOLLOW) == 0 &&
	       a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

/* Whatever is cut off now can be put in order by the journal. */
static void journal_is_kept(int fd)
{
	char name[256];

	if (!fault.on || !is_mailbox(fd) || !find(".valija-journal", name))
		return;
	assert_int_equal(open_bits(".valija-journal"), 0);
	assert_int_equal(ledger_open_fd(here->settings.state_fd) & (LEDGER_MADE | LEDGER_NAMES), 0);
}

/* The list of deletions is dropped, or the journal: the mailbox has to be without them for good. */
static void mailbox_is_kept(void)
{
	if (fault.on)
		assert_int_equal(ledger_open(here->root, BOX), 0);
}

static void before_removal(int dir, const char *name)
{
	(void)dir;
	if (ends_in(name, ".valija-journal"))
		mailbox_is_kept();
}

static void before_rename(int dir, const char *from, const char *to)
{
	if (!ends_in(to, ".valija-base") && !ends_in(to, ".valija-delta"))
		return;
	assert_int_equal(ledger_open(dir, from), 0);
	mailbox_is_kept();
}

static void assert_deleted(void)
{
	assert_int_equal(open_bits(".valija-delta"), 0);
	assert_int_equal(ledger_open_fd(here->settings.state_fd) & LEDGER_NAMES, 0);
}

static void assert_content(const char *expected, size_t size)
{
	static char text[4000];
	int fd = openat(here->root, BOX, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, sizeof(text) - 1);

	close(fd);
	assert_true(n >= (ssize_t)size);
	text[n] = '\0';
	assert_memory_equal(text, expected, size);
	if ((size_t)n == size)
		return;
	/* a delivery, whose date is today's */
	assert_memory_equal(text + size, "From b@c ", 9);
	assert_string_equal(strchr(text + size, '\n'), "\n" DELIVERED "\n");
}

/* The mailbox has these messages and nothing else, or the one that was delivered behind them. */
static void assert_mailbox(unsigned which, bool delivered)
{
	char text[1000];
	struct stat st;

	text_of(which, text, sizeof(text));
	assert_content(text, strlen(text));
	assert_int_equal(fstatat(here->root, BOX, &st, 0), 0);
	assert_int_equal((size_t)st.st_size > strlen(text), delivered);
}

/* ---- what a session sees ---- */

static bool in_memory(const struct maildrop *m)
{
	struct maildrop_snapshot snapshot;

	maildrop_snapshot(m, &snapshot);
	return fcntl(snapshot.base_fd, F_GET_SEALS) >= 0;
}

/* keep: the ids are on the disk, so later sessions show them, too. */
static unsigned listed_of(struct maildrop *m, bool keep, unsigned *others)
{
	unsigned bits = 0, which = 0;
	char text[200];
	struct seen seen;

	*others = 0;
	list(m, &seen);
	for (uint32_t i = 0; i < seen.count; i++) {
		const struct listed *e = &seen.entries[i];

		assert_int_equal(read_body(m, i + 1, text, sizeof(text)), MAILDROP_OK);
		while (which < MESSAGES && strcmp(text, shown[which]) != 0)
			which++;
		if (which == MESSAGES) {
			++*others;
			assert_string_equal(text, DELIVERED);
			continue;
		}
		bits |= 1u << which;
		if (is_known[which]) {
			assert_int_equal(e->octets, known[which].octets);
			assert_int_equal(e->unique_id_size, known[which].unique_id_size);
			assert_memory_equal(e->unique_id, known[which].unique_id,
					    e->unique_id_size);
		}
		if (keep) {
			known[which] = *e;
			is_known[which] = true;
		}
		which++;
	}
	return bits;
}

static unsigned present(struct scratch *s, unsigned *others)
{
	unsigned bits, more;
	struct maildrop *m;

	/* of a delivery whose last step failed: the lock of a process that lives */
	if (fault.removal && !find(".valija-journal", (char[256]){0}))
		(void)unlinkat(s->root, BOX ".lock", 0);
	m = opened(s);
	bits = listed_of(m, true, &more);
	maildrop_sweep(m);
	maildrop_close(m);
	assert_int_equal(others || more == 0, true);
	if (others)
		*others = more;
	return bits;
}

static enum maildrop_status faulty_open(struct scratch *s, struct maildrop **ret)
{
	enum maildrop_status status;
	struct err err = {0};

	fault.on = true;
	status = try_open(s, ret, &err);
	fault.on = false;
	if (status != MAILDROP_OK) {
		assert_true(err.text[0] != '\0');
		assert_false(fault.interrupts);
		assert_null(*ret);
		return status;
	}
	if (!in_memory(*ret)) {
		assert_int_equal(open_bits(".valija-base"), 0);
		assert_int_equal(open_bits(".valija-delta") & LEDGER_NEVER, 0);
		assert_int_equal(ledger_open_fd(s->settings.state_fd) & LEDGER_NAMES, 0);
	}
	return status;
}

/* ---- the scenarios ---- */

static void login(struct scratch *s, unsigned expected)
{
	struct maildrop *m = NULL;
	unsigned others;

	if (faulty_open(s, &m) == MAILDROP_OK) {
		assert_int_equal(listed_of(m, !in_memory(m), &others), expected);
		assert_int_equal(others, 0);
		fault.on = true;
		for (uint32_t n = 1; n <= session_count(m); n++) {
			char text[200];
			struct maildrop_body body;
			struct err err = {0};
			ssize_t size;

			if (maildrop_body(m, n, &body, &err) != MAILDROP_OK) {
				assert_true(err.text[0] != '\0');
				assert_false(fault.interrupts);
				continue;
			}
			size = pread(body.fd, text, sizeof(text) - 1, 0);
			close(body.fd);
			assert_true(size > 0);
			text[size] = '\0';
			if (expected == ALL)
				assert_string_equal(text, shown[n - 1]);
		}
		maildrop_sweep(m);
		fault.on = false;
		maildrop_close(m);
	}
	assert_int_equal(present(s, NULL), expected);
	assert_int_equal(present(s, NULL), expected);
	assert_mailbox(expected, false);
	tear_down(s);
}

static void login_cold(struct scratch *s)
{
	set_up(s);
	login(s, ALL);
}

static void login_after_growth(struct scratch *s)
{
	char text[1000];

	text_of(ALL & ~(1u << 3), text, sizeof(text));
	put(s, text, O_TRUNC);
	memset(is_known, 0, sizeof(is_known));
	present(s, NULL);
	put(s, stored[3], O_APPEND);
	put(s, "\n", O_APPEND);
	ledger_clear();
	login(s, ALL);
}

/* Another program removed a message. */
static void login_after_changes(struct scratch *s)
{
	char text[1000];

	set_up(s);
	present(s, NULL);
	text_of(ALL & ~1u, text, sizeof(text));
	put(s, text, O_TRUNC);
	ledger_clear();
	login(s, ALL & ~1u);
}

/* numbers: deleted, which leaves left. */
static void deletion_of(struct scratch *s, const uint32_t *numbers, uint32_t count, unsigned left,
			bool cold)
{
	enum maildrop_status status = MAILDROP_TEMP;
	struct maildrop *m = NULL;
	struct err err = {0};
	unsigned bits;

	set_up(s);
	if (!cold)
		present(s, NULL);
	ledger_clear();
	if (faulty_open(s, &m) == MAILDROP_OK) {
		fault.on = true;
		status = maildrop_commit(m, numbers, count, &err);
		if (status == MAILDROP_OK) {
			assert_deleted();
			maildrop_sweep(m);
		}
		fault.on = false;
		maildrop_close(m);
		if (status != MAILDROP_OK) {
			assert_true(err.text[0] != '\0');
			assert_false(fault.interrupts);
			assert_mailbox(ALL, false);
		}
	}
	bits = present(s, NULL);
	if (status == MAILDROP_OK)
		assert_int_equal(bits, left);
	else if (!fault.stays)
		assert_int_equal(bits, ALL);
	assert_true(bits == ALL || bits == left);
	assert_int_equal(present(s, NULL), bits);
	assert_mailbox(bits, false);
	assert_false(find(".valija-journal", (char[256]){0}));
	assert_int_not_equal(faccessat(s->root, BOX ".lock", F_OK, 0), 0);
	tear_down(s);
}

static void deletion(struct scratch *s)
{
	deletion_of(s, (const uint32_t[]){1, 3}, 2, TWO_DELETED, false);
}

static void deletion_cold(struct scratch *s)
{
	deletion_of(s, (const uint32_t[]){1, 3}, 2, TWO_DELETED, true);
}

static void deletion_of_the_last(struct scratch *s)
{
	deletion_of(s, (const uint32_t[]){3, 4}, 2, 1u | 1u << 1, false);
}

/* A rewrite that was cut off, and whose journal nobody may have flushed. */
static void half_rewritten(struct scratch *s)
{
	char name[256];
	int fd;

	set_up(s);
	present(s, NULL);
	delete_in_part(s);
	assert_true(find(".valija-journal", name));
	ledger_clear();
	fd = openat(s->settings.state_fd, name, O_RDONLY | O_CLOEXEC);
	ledger_note(fd, LEDGER_OCTETS);
	ledger_note(s->settings.state_fd, LEDGER_MADE);
	close(fd);
}

static void login_behind_a_journal(struct scratch *s)
{
	half_rewritten(s);
	login(s, ALL & ~1u);
}

static void recovery(struct scratch *s)
{
	struct mbox_report report = {0};
	enum maildrop_status status;
	struct err err = {0};

	half_rewritten(s);
	fault.on = true;
	status = mbox_recover(&s->settings, s->root, BOX, &report, &err);
	fault.on = false;
	if (status == MAILDROP_OK) {
		assert_true(report.journal && report.carried_out && !report.aside);
		assert_int_equal(report.messages, MESSAGES - 1);
		assert_mailbox(ALL & ~1u, false);
	} else {
		assert_true(err.text[0] != '\0');
		assert_false(fault.interrupts);
	}
	assert_int_equal(present(s, NULL), ALL & ~1u);
	assert_mailbox(ALL & ~1u, false);
	tear_down(s);
}

static void delivery_of(struct scratch *s, unsigned before_it)
{
	struct maildrop_quota quota = {.max_messages = 100, .max_octets = 1 << 20};
	enum maildrop_status status;
	struct err err = {0};
	unsigned others;

	fault.on = true;
	status = deliver_by(s, "A: b\r\n\r\nx\r\n", quota, &err);
	fault.on = false;
	if (status == MAILDROP_OK) {
		assert_int_equal(ledger_open(s->root, BOX), 0);
		assert_mailbox(before_it, true);
	} else {
		assert_true(err.text[0] != '\0');
		assert_false(fault.interrupts);
	}
	if (status != MAILDROP_OK && fault.stays) { /* part of it may stay: nothing can be undone */
		tear_down(s);
		return;
	}
	assert_int_equal(present(s, &others), before_it);
	assert_int_equal(others, status == MAILDROP_OK);
	assert_int_equal(present(s, &others), before_it);
	tear_down(s);
}

static void delivery(struct scratch *s)
{
	set_up(s);
	present(s, NULL);
	ledger_clear();
	delivery_of(s, ALL);
}

static void delivery_behind_a_journal(struct scratch *s)
{
	half_rewritten(s);
	delivery_of(s, ALL & ~1u);
}

/* Reports that change nothing: the right figures, or none. */
static void figures(struct scratch *s)
{
	struct maildrop_usage usage = {0};
	struct mbox_report report = {0};
	enum maildrop_status status;
	struct err err = {0};
	char text[1000];

	set_up(s);
	present(s, NULL);
	put(s, FROM "Subject: more\n\nbody\n\n", O_APPEND);
	fault.on = true;
	status = maildrop_usage(&s->settings, s->root, BOX, &usage, &err);
	fault.on = false;
	if (status == MAILDROP_OK)
		assert_int_equal(usage.messages, MESSAGES + 1);
	else
		assert_true(err.text[0] != '\0' && usage.messages == 0 && !fault.interrupts);
	err.text[0] = '\0';
	fault.on = true;
	status = mbox_check(&s->settings, s->root, BOX, &report, &err);
	fault.on = false;
	if (status == MAILDROP_OK)
		assert_int_equal(report.messages, MESSAGES + 1);
	else
		assert_true(err.text[0] != '\0' && report.messages == 0 && !fault.interrupts);
	text_of(ALL, text, sizeof(text));
	strcat(text, FROM "Subject: more\n\nbody\n\n");
	assert_file(s, text);
	tear_down(s);
}

static void assert_brought(struct maildrop *m)
{
	assert_int_equal(session_count(m), 2);
	assert_entry(m, 1, "one", strlen("X-UIDL: one\r\n\r\na\r\n"));
	assert_entry(m, 2, "two", strlen("X-UIDL: two\r\n\r\nb\r\n"));
}

/* The ids that another server gave are on the disk before a session sees them. */
static void login_adopts(struct scratch *s)
{
	static const struct mail_origin origin = {.server = ORIGIN_MBOX_MAILUTILS};
	struct maildrop *m = NULL;

	assert_int_equal(mail_origin_write(s->root, &origin, NULL), 0);
	put(s, FROM "X-UIDL: one\n\na\n\n" FROM "X-UIDL: two\n\nb\n", O_TRUNC);
	ledger_clear();
	if (faulty_open(s, &m) == MAILDROP_OK) {
		assert_int_equal(open_bits(".valija-uidl"), 0);
		assert_brought(m);
		maildrop_close(m);
	}
	m = opened(s);
	assert_brought(m);
	maildrop_close(m);
	assert_int_equal(unlinkat(s->root, ORIGIN_FILE, 0), 0);
	tear_down(s);
}

static void test_threat_48_login(void **state)
{
	run_few(*state, "login without an index", login_cold);
	run_few(*state, "login after growth", login_after_growth);
	run_few(*state, "login after changes", login_after_changes);
	run_few(*state, "login to mail of another server", login_adopts);
}

static void test_threat_48_deletion(void **state)
{
	run_few(*state, "deletion", deletion);
	run_few(*state, "deletion from a new index", deletion_cold);
	run_few(*state, "deletion of the last ones", deletion_of_the_last);
}

static void test_threat_48_journal(void **state)
{
	run_few(*state, "login behind a journal", login_behind_a_journal);
	run_few(*state, "recovery", recovery);
}

static void test_threat_48_delivery(void **state)
{
	run_few(*state, "delivery", delivery);
	run_few(*state, "delivery behind a journal", delivery_behind_a_journal);
}

static void test_threat_48_figures(void **state)
{
	run_few(*state, "usage and check", figures);
}

static int begin_faulty(void **state)
{
	int result = quick_begin(state);
	struct scratch *s = *state;

	s->settings.driver = &mbox_driver;
	s->settings.lock_ms = 1;
	if (result < 0 || mkdirat(s->root, HOME, 0700) < 0 || mkdirat(s->root, "state", 0700) < 0)
		return -1;
	s->settings.state_fd = openat(s->root, "state", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	here = s;
	before.rename = before_rename;
	before.change = journal_is_kept;
	before.removal = before_removal;
	return 0;
}

static int end_faulty(void **state)
{
	struct scratch *s = *state;

	close(s->settings.state_fd);
	return scratch_end(state);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin_faulty, end_faulty)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_threat_48_login),   TEST(test_threat_48_deletion),
		TEST(test_threat_48_journal), TEST(test_threat_48_delivery),
		TEST(test_threat_48_figures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
