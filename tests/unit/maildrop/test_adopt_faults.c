/*
 * Threat 48 for a Maildir of another server, whose ids are brought by its first session: every
 * system call and every allocation fails once, at each place it is made, and from each place on. No
 * session sees other ids, and those that it sees are on the disk.
 */
#include "faulty.h"

#include "maildrop/mail_origin.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_threat_48_first_session, quick_begin,
						scratch_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
