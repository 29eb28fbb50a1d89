/*
 * Threat 48 for a Maildir of another server, whose ids are brought by its first session: every
 * system call and every allocation fails once, at each place it is made, and from each place on. No
 * session sees other ids, and those that it sees are on the disk.
 */
#include "faulty.h"

#include "maildrop/mail_origin.h"
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_threat_48_first_session, quick_begin,
						scratch_end),
		cmocka_unit_test_setup_teardown(test_threat_48_undo, quick_begin, scratch_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
