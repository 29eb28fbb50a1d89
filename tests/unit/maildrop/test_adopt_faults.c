/*
 * Threat 48 for a Maildir of another server, whose ids are brought by its first session: every
 * system call and every allocation fails once, at each place it is made, and from each place on. No
 * session sees other ids, and those that it sees are on the disk.
 */
#include "faulty.h"

#include "maildrop/mail_origin.h"
#include "maildrop/maildir/adopt/receive.h"
#include "maildrop/maildir/adopt/undo.h"

static const struct mail_origin dovecot = {.server = ORIGIN_DOVECOT,
					   .format = ORIGIN_DOVECOT_FORMAT};

/* The index follows the ids: their file and its name are on the disk before it has a name. */
static void before_rename(int dir, const char *from, const char *to)
{
	(void)from;
	if (fault.on && strcmp(to, "valija-base") == 0 && faccessat(dir, to, F_OK, 0) < 0)
		assert_int_equal(ledger_open_fd(dir) & LEDGER_NAMES, 0);
}

static void assert_brought(struct maildrop *m)
{
	assert_int_equal(session_count(m), 4);
	assert_entry(m, 1, "0000000300000010", 3);
	assert_entry(m, 2, "0000000100000010", 3);
	assert_entry(m, 3, "0000000200000010", 3);
	assert_entry(m, 4, "500.unknown", strlen("of nobody\r\n"));
}

static void first_session(struct scratch *s)
{
	enum maildrop_status status;
	struct maildrop *m = NULL;
	struct err err = {0};
	char path[200];

	make_maildir(s);
	put_file(s, "cur/1000.a:2,S", "a\n");
	put_file(s, "cur/2000.b:2,", "b\n");
	put_file(s, "new/3000.c,S=2,W=3", "c\n");
	put_file(s, "cur/500.unknown:2,", "of nobody\n");
	put_file(s, "dovecot-uidlist",
		 "3 V16 N9\n1 :3000.c,S=2,W=3\n2 :1000.a\n3 O1 :2000.b\n4 :gone\n");
	ledger_clear();
	fault.on = true;
	status = maildrop_open(&s->settings, s->root, HOME, &m, &err);
	fault.on = false;
	if (status == MAILDROP_OK) {
		assert_int_equal(ledger_open(s->root, HOME "/valija-uidl"), 0);
		assert_brought(m);
		maildrop_close(m);
	} else {
		assert_true(err.text[0] && !fault.interrupts && !m);
	}
	m = open_session(s);
	assert_brought(m);
	maildrop_close(m);
	snprintf(path, sizeof(path), "%s/" HOME, s->path);
	nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static void test_threat_48_first_session(void **state)
{
	struct scratch *s = *state;

	assert_int_equal(mail_origin_write(s->root, &dovecot, NULL), 0);
	before.rename = before_rename;
	run_few(s, "ids of another server", first_session);
}

/* Dovecot's list of a Maildir that goes back. */
static const char given[] = "3 V16 N10\n1 P0000000100000010 :3000.c,S=2,W=3\n"
			    "2 P0000000200000010 :1000.a\n9 P500.unknown :500.unknown\n";
static const char listed[] = "3 V16 N9\n1 P0000000100000010 :3000.c,S=2,W=3\n"
			     "2 P0000000200000010 :1000.a\n";

static void read_list(struct scratch *s, char *ret, size_t size)
{
	int fd = openat(s->root, HOME "/dovecot-uidlist", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, ret, size - 1);

	close(fd);
	assert_true(n >= 0);
	ret[n] = '\0';
}

/* Nothing of ours goes before the list is on the disk, under its name. */
static void before_removal(int dir, const char *name)
{
	if (!fault.on || strncmp(name, "valija-", 7) != 0 || strstr(name, ".new"))
		return;
	assert_int_equal(ledger_open_fd(dir) & LEDGER_NAMES, 0);
}

static enum maildrop_status take_back(struct scratch *s, int folder, struct err *err)
{
	struct undo_report report;
	struct maildir_place place;
	enum maildrop_status status;

	if (maildir_place_init(&place, &s->settings, HOME) < 0) {
		err->text[0] = 'm';
		return MAILDROP_TEMP;
	}
	place.dir = fcntl(folder, F_DUPFD_CLOEXEC, 0);
	assert_true(place.dir >= 0);
	status = maildir_adopt_undo(&place, folder, ORIGIN_DOVECOT, false, &report, err);
	maildir_place_close(&place);
	return status;
}

static void last_undo(struct scratch *s)
{
	struct err err = {0};
	char text[200], path[200];
	enum maildrop_status status;
	int folder;

	make_maildir(s);
	put_file(s, "cur/1000.a:2,S", "a\n");
	put_file(s, "new/3000.c,S=2,W=3", "c\n");
	put_file(s, "dovecot-uidlist", listed);
	maildrop_close(open_session(s));
	put_file(s, "cur/500.unknown:2,", "of nobody\n");
	maildrop_close(open_session(s));
	folder = openat(s->root, HOME, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ledger_clear();
	fault.on = true;
	status = take_back(s, folder, &err);
	fault.on = false;
	read_list(s, text, sizeof(text));
	if (status == MAILDROP_OK)
		assert_string_equal(text, given);
	else
		assert_true(err.text[0] && !fault.interrupts &&
			    (strcmp(text, given) == 0 || strcmp(text, listed) == 0));
	/* the lock of a process that was killed is that of this one here */
	if (status != MAILDROP_OK && has_file(s, "dovecot-uidlist.lock"))
		remove_file(s, "dovecot-uidlist.lock");
	assert_int_equal(take_back(s, folder, &err), MAILDROP_OK);
	read_list(s, text, sizeof(text));
	assert_string_equal(text, given);
	assert_false(has_file(s, "valija-lock") || has_file(s, "valija-base") ||
		     has_file(s, "valija-delta") || has_file(s, "valija-uidl"));
	assert_false(has_file(s, "dovecot-uidlist.lock"));
	close(folder);
	snprintf(path, sizeof(path), "%s/" HOME, s->path);
	nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static void test_threat_48_undo(void **state)
{
	struct scratch *s = *state;

	assert_int_equal(mail_origin_write(s->root, &dovecot, NULL), 0);
	before.rename = NULL;
	before.removal = before_removal;
	run_few(s, "ids for another server", last_undo);
	before.removal = NULL;
}

/* ---- messages of Cyrus ---- */

static const struct mail_origin cyrus = {.server = ORIGIN_CYRUS, .format = "cyrus"};
static const struct maildir_incoming_message letters[] = {
	{.id = "16.1", .unique = "1000.V16U1.cyrus", .flags = "S", .seconds = 1000},
	{.id = "16.4", .unique = "1001.V16U4.cyrus", .seconds = 1001},
};

static int open_letter(void *context, uint32_t number, struct err *err)
{
	const struct scratch *s = context;
	int fd = openat(s->root, number ? "second" : "first", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	(void)err;
	return fd;
}

static void put_letter(const struct scratch *s, const char *name, const char *text)
{
	int fd = openat(s->root, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static int begin_place(struct scratch *s, struct maildir_place *ret, struct err *err)
{
	if (maildir_place_init(ret, &s->settings, HOME) < 0) {
		err->text[0] = 'm';
		return -1;
	}
	ret->dir = openat(s->root, HOME, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(ret->dir >= 0);
	return 0;
}

static enum maildrop_status receive(struct scratch *s, struct err *err)
{
	const struct maildir_incoming incoming = {letters, 2, open_letter, s};
	struct adopt_report report = {.is = ADOPT_FOREIGN};
	struct maildir_place place;
	enum maildrop_status status;

	if (begin_place(s, &place, err) < 0)
		return MAILDROP_TEMP;
	status = maildir_receive_all(&place, &cyrus, &incoming, false, &report, err);
	maildir_place_close(&place);
	return status;
}

static enum maildrop_status unreceive(struct scratch *s, struct err *err)
{
	struct maildir_place place;
	struct undo_report report;
	enum maildrop_status status;

	if (begin_place(s, &place, err) < 0)
		return MAILDROP_TEMP;
	status = maildir_receive_undo(&place, ORIGIN_CYRUS, false, &report, err);
	maildir_place_close(&place);
	return status;
}

static bool has_id(const struct maildrop *m, uint32_t number, const char *id)
{
	struct listed e = session_entry(m, number);

	return e.unique_id_size == strlen(id) && memcmp(e.unique_id, id, strlen(id)) == 0;
}

/* How many messages there are, none of them with an id that clients do not know. */
static uint32_t count_known(struct scratch *s)
{
	static const char *const known[] = {"16.1", "16.4", "500.own"};
	struct maildrop *m = open_session(s);
	uint32_t count = session_count(m);

	for (uint32_t number = 1; number <= count; number++) {
		bool is_known = false;

		for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
			is_known = is_known || has_id(m, number, known[i]);
		assert_true(is_known);
	}
	maildrop_close(m);
	return count;
}

static void put_letters(struct scratch *s)
{
	put_letter(s, "first", "one\r\n");
	put_letter(s, "second", "two\r\n.\r\n");
	make_maildir(s);
	put_file(s, "cur/500.own:2,", "here\n");
}

static void remove_maildir(const struct scratch *s)
{
	char path[200];

	snprintf(path, sizeof(path), "%s/" HOME, s->path);
	nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static void copying(struct scratch *s)
{
	struct err err = {0};
	enum maildrop_status status;

	put_letters(s);
	fault.on = true;
	status = receive(s, &err);
	fault.on = false;
	assert_true(status == MAILDROP_OK || (err.text[0] && !fault.interrupts));
	assert_true(count_known(s) == 3 || status != MAILDROP_OK);
	assert_int_equal(receive(s, &err), MAILDROP_OK);
	assert_int_equal(count_known(s), 3);
	assert_false(has_file(s, "valija-import"));
	remove_maildir(s);
}

static void taking_copies_back(struct scratch *s)
{
	struct err err = {0};
	enum maildrop_status status;
	char name[256];

	put_letters(s);
	put_file(s, "valija-uidl", "500.own 500.own\n");
	assert_int_equal(receive(s, &err), MAILDROP_OK);
	assert_int_equal(count_files(s, "cur", name), 3);
	fault.on = true;
	status = unreceive(s, &err);
	fault.on = false;
	assert_true(status == MAILDROP_OK || (err.text[0] && !fault.interrupts));
	assert_int_equal(unreceive(s, &err), MAILDROP_OK);
	assert_int_equal(count_files(s, "cur", name), 1);
	assert_true(has_file(s, "valija-uidl"));
	assert_int_equal(receive(s, &err), MAILDROP_OK);
	assert_int_equal(count_known(s), 3);
	remove_maildir(s);
}

static void test_threat_48_copies(void **state)
{
	before.rename = NULL;
	run_few(*state, "messages of Cyrus", copying);
}

static void test_threat_48_copies_taken_back(void **state)
{
	before.rename = NULL;
	run_few(*state, "messages of Cyrus taken back", taking_copies_back);
}

/* ---- files' names ---- */

static const struct mail_origin qmail = {.server = ORIGIN_QMAIL};

static void first_session_by_names(struct scratch *s)
{
	enum maildrop_status status;
	struct maildrop *m = NULL;
	struct err err = {0};

	make_maildir(s);
	put_file(s, "cur/1000.a,S=2:2,S", "a\n");
	put_file(s, "new/2000.b", "b\n");
	fault.on = true;
	status = maildrop_open(&s->settings, s->root, HOME, &m, &err);
	fault.on = false;
	if (status == MAILDROP_OK)
		maildrop_close(m);
	else
		assert_true(err.text[0] && !fault.interrupts && !m);
	m = open_session(s);
	assert_int_equal(session_count(m), 2);
	assert_true(has_id(m, 1, "1000.a,S=2") || has_id(m, 2, "1000.a,S=2"));
	maildrop_close(m);
	remove_maildir(s);
}

static void test_threat_48_names(void **state)
{
	struct scratch *s = *state;

	assert_int_equal(mail_origin_write(s->root, &qmail, NULL), 0);
	before.rename = before_rename;
	run_few(s, "ids of files' names", first_session_by_names);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_threat_48_first_session, quick_begin,
						scratch_end),
		cmocka_unit_test_setup_teardown(test_threat_48_undo, quick_begin, scratch_end),
		cmocka_unit_test_setup_teardown(test_threat_48_copies, quick_begin, scratch_end),
		cmocka_unit_test_setup_teardown(test_threat_48_copies_taken_back, quick_begin,
						scratch_end),
		cmocka_unit_test_setup_teardown(test_threat_48_names, quick_begin, scratch_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
