/* Mailboxes of other servers: what their headers say of unique ids, and how these become ours. Ids
 * are those that Dovecot 2.3.19, pop3d of GNU Mailutils 3.15 and popa3d 1.0.3 gave to these
 * messages. */
#include "mbox_test.h"

#include "maildrop/mail_origin.h"
#include "maildrop/mbox/adopt/notes.h"
#include "maildrop/mbox/bring.h"
#include "maildrop/uidl_format.h"

#include "base/text.h"

#define UIDL HOME "/.box.valija-uidl"
#define BASE HOME "/.box.valija-base"
#define DELTA HOME "/.box.valija-delta"
#define OWN_FORM "0123456789abcdef0123456789abcdef"

static const struct mail_origin dovecot = {.server = ORIGIN_MBOX_DOVECOT,
					   .format = ORIGIN_DOVECOT_FORMAT},
				mailutils = {.server = ORIGIN_MBOX_MAILUTILS},
				qpopper = {.server = ORIGIN_MBOX_QPOPPER},
				popa3d = {.server = ORIGIN_MBOX_POPA3D};

/* ---- headers ---- */

static const struct {
	const char *head, *dovecot_md5, *popa3d_id;
} digests[] = {
	{"From: a@example.org\nSubject: m0\nMessage-ID: <m0@x>\n"
	 "Date: Mon, 23 Nov 2026 10:00:00 +0000\n\n",
	 "9690bf8bbb5e3ad4c35d97ce2fb4bc64", "8b8be1cd85b6a35b"},
	{"Return-Path: <a@x>\nDelivered-To: demo@x\nReceived: from a by b\n\t(more) of it;\n"
	 " Mon, 23 Nov 2026 10:00:00 +0000\nReceived: from c by d; Mon, 23 Nov 2026 10:00:00 "
	 "+0000\n"
	 "From: a@example.org\nSubject: m7\nMessage-ID:   <m7@x>  \n"
	 "Date:Mon, 23 Nov 2026 10:00:00 +0000\nX-Delivery-ID: 77\n\n",
	 "4ff31fd17b5e94d311c87a27a5430a2f", "ae2fea0d25277211"},
	{"From: a@example.org\ndate: Mon, 23 Nov 2026\nmessage-id: <m8\n @x>\n"
	 "Received: from c by d; Mon, 23 Nov 2026 10:00:00 +0000\nDelivered-To: x\n"
	 "delivered-to: y\nX-Delivery-ID: 77\n\n",
	 "b0e62dea6d38725023d8d7ea8bd723af", "9866f85a389941a1"},
	{"From: a@example.org\n\n", "d41d8cd98f00b204e9800998ecf8427e", "d98c1dd404b2008f"},
	{"Date : x\nMessage-ID :y\nX-Delivery-ID:  5 \nreceived:\n foo\n\n",
	 "77c3edf758e0195b08314278230f388f", "26c67867157cdd59"},
	{"Received : x\nDate: x\n\n", "9dd4e461268c8034f5c8564e155c67a6", "705418d22efbeb67"},
	{"Junk without colon\nDate: x\nX-Delivery-ID: 5\n\n", "f4fe292eb01627a0219872d44a305ec5",
	 "6c73ae934baaf823"},
};

static void digests_of_headers(void **state)
{
	struct mbox_notes notes;

	(void)state;
	for (size_t i = 0; i < sizeof(digests) / sizeof(*digests); i++) {
		mbox_notes_read(span_of(digests[i].head), false, &notes);
		assert_string_equal(notes.dovecot_md5, digests[i].dovecot_md5);
		assert_string_equal(notes.popa3d_id, digests[i].popa3d_id);
	}
	mbox_notes_read(SPAN_LITERAL("Received: from a by b\r\n\tz\r\nX-Delivery-ID: 5\r\n\r\n"),
			false, &notes);
	assert_string_equal(notes.dovecot_md5, "d32fe8ee952a358c5bdb9188dd2bf5bb");
}

static void numbers_of_dovecot(void **state)
{
	static const struct {
		const char *head;
		bool first;
		uint32_t uidvalidity, last, uid;
	} cases[] = {
		{"X-IMAPbase: 1795973215 0000000005\nX-UID: 1          \n\n", true, 1795973215, 5,
		 1},
		{"X-IMAPbase:           1795973481                    6\nX-UID: 1\n", true,
		 1795973481, 6, 1},
		{"x-imap: 0012345678 0000000009 keyword other\r\nX-UID : 12\r\n", true, 12345678, 9,
		 12},
		{"X-IMAPbase: 7\n 8\nX-UID: 9\n \n", true, 7, 8, 9},
		{"X-UID: 3\nX-IMAPbase: 7 8\n", true, 7, 8, 0},
		{"X-UID: 3\nX-IMAPbase: 7 8\nX-UID: 4\n", true, 7, 8, 4},
		{"X-UID: 3\nX-IMAPbase: 7 8\nX-UID: 4\n", false, 0, 0, 3},
		{"X-IMAPbase: 0 8\nX-UID: 4\n", true, 0, 0, 0},
		{"X-IMAPbase: 7\n", true, 0, 0, 0},
		{"X-IMAPbase: 7x 8\n", true, 0, 0, 0},
		{"X-IMAPbase: 7 8x\n", true, 0, 0, 0},
		{"X-IMAPbase: 4294967296 8\n", true, 0, 0, 0},
		{"X-UID: 5 x\nX-UID: 4294967296\nX-UID:\nX-UID: 6\n", false, 0, 0, 6},
		{"Subject: x\n\nX-UID: 3\n", false, 0, 0, 0},
		{"X-UID: 3", false, 0, 0, 3},
		{"", true, 0, 0, 0},
	};
	struct mbox_notes notes;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		mbox_notes_read(span_of(cases[i].head), cases[i].first, &notes);
		assert_int_equal(notes.uidvalidity, cases[i].uidvalidity);
		assert_int_equal(notes.last_uid, cases[i].last);
		assert_int_equal(notes.uid, cases[i].uid);
	}
}

static void first_x_uidl(void **state)
{
	struct mbox_notes notes;

	(void)state;
	mbox_notes_read(SPAN_LITERAL("Subject: x\nX-UIDL:  one \r\nX-UIDL: two\n\n"), false,
			&notes);
	assert_true(span_equal(notes.xuidl, SPAN_LITERAL("one")));
	mbox_notes_read(SPAN_LITERAL("Subject: x\n\nX-UIDL: two\n"), false, &notes);
	assert_null(notes.xuidl.data);
}

/* ---- mailboxes ---- */

static void bring(struct scratch *s, const struct mail_origin *origin, bool dry_run,
		  struct adopt_report *ret)
{
	struct err err = {0};

	if (mbox_bring(&s->settings, s->root, BOX, origin, dry_run, ret, &err) != MAILDROP_OK)
		fail_msg("%s", err.text);
}

static void assert_report(const struct adopt_report *is, uint64_t messages, uint64_t brought,
			  uint64_t fresh, uint64_t again)
{
	assert_int_equal(is->is, ADOPT_FOREIGN);
	assert_int_equal(is->messages, messages);
	assert_int_equal(is->brought, brought);
	assert_int_equal(is->fresh, fresh);
	assert_int_equal(is->again, again);
}

static void assert_id(const struct seen *seen, unsigned i, const char *id)
{
	char text[POP3_UNIQUE_ID_MAX + 1] = "";

	memcpy(text, seen->entries[i].unique_id, POP3_UNIQUE_ID_MAX);
	assert_true(i < seen->count);
	assert_string_equal(text, id);
}

static bool is_there(struct scratch *s, const char *path)
{
	return faccessat(s->root, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void assert_own(const struct seen *seen, unsigned i)
{
	assert_int_equal(strspn(seen->entries[i].unique_id, "0123456789abcdef"), 32);
}

static void lose_index(struct scratch *s)
{
	assert_int_equal(unlinkat(s->root, BASE, 0), 0);
	assert_int_equal(unlinkat(s->root, DELTA, 0), 0);
}

/* Dovecot's numbers: in order, each lower than what it gave last; those at the end, which it had no
 * time to write, follow. One in the middle has none: its id cannot be told. */
static void mailbox_of_dovecot(void **state)
{
	struct scratch *s = *state;
	struct adopt_report report;
	struct seen seen;

	put(s,
	    FROM "X-IMAPbase: 16 0000000009\nX-UID: 2\nSubject: a\n\na\n\n" FROM
		 "Subject: no number\n\nb\n\n" FROM "X-UID: 2\nSubject: not again\n\nc\n\n" FROM
		 "X-UID: 11\nSubject: never given\n\nd\n\n" FROM
		 "X-UID: 5\nSubject: e\n\ne\n\n" FROM "X-UID: 5\nSubject: f\n\nf\n\n" FROM
		 "Subject: g\n\ng\n",
	    O_TRUNC);
	bring(s, &dovecot, true, &report);
	assert_report(&report, 7, 4, 0, 3);
	assert_non_null(strstr(report.why, "message 2: "));
	assert_false(is_there(s, UIDL));
	bring(s, &dovecot, false, &report);
	assert_report(&report, 7, 4, 0, 3);
	for (int turn = 0; turn < 2; turn++) {
		look(s, &seen);
		assert_int_equal(seen.count, 7);
		assert_id(&seen, 0, "0000000200000010");
		assert_own(&seen, 1);
		assert_own(&seen, 2);
		assert_own(&seen, 3);
		assert_id(&seen, 4, "0000000500000010");
		assert_id(&seen, 5, "0000000a00000010");
		assert_id(&seen, 6, "0000000b00000010");
		lose_index(s);
	}
}

static void mailbox_that_dovecot_never_numbered(void **state)
{
	struct scratch *s = *state;
	struct adopt_report report;

	put(s, FROM "Subject: a\n\na\n\n" FROM "X-UID: 3\nSubject: b\n\nb\n", O_TRUNC);
	bring(s, &dovecot, false, &report);
	assert_report(&report, 2, 0, 1, 1);
}

/* c-client's own message is the first one in the file, and has the base. */
static void mailbox_with_a_message_of_c_client(void **state)
{
	struct scratch *s = *state;
	struct adopt_report report;
	struct seen seen;

	put(s,
	    "From MAILER-DAEMON Mon Nov 23 10:00:00 2026\n"
	    "Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\n"
	    "X-IMAP: 0012345678 0000000009\n\nThis text is internal\n\n" FROM
	    "X-UID: 3\nSubject: a\n\na\n",
	    O_TRUNC);
	bring(s, &dovecot, false, &report);
	look(s, &seen);
	assert_int_equal(seen.count, 1);
	assert_id(&seen, 0, "0000000300bc614e");
}

static void other_rules_of_dovecot(void **state)
{
	struct mail_origin rule = {.server = ORIGIN_MBOX_DOVECOT,
				   .format = "%m",
				   .rename_duplicates = true,
				   .reuse_xuidl = true};
	struct scratch *s = *state;
	struct adopt_report report;
	struct err err;
	struct seen seen;

	put(s,
	    FROM "X-IMAPbase: 16 0000000009\nX-UID: 2\nSubject: a\n\na\n\n" FROM
		 "X-UID: 3\nSubject: b\n\nb\n\n" FROM "X-UID: 4\nX-UIDL: mine\n\nc\n\n" FROM
		 "X-UID: 5\nX-UIDL: " OWN_FORM "\n\nd\n",
	    O_TRUNC);
	assert_int_equal(mail_origin_check(&rule, &err), 0);
	bring(s, &rule, false, &report);
	assert_report(&report, 4, 3, 0, 1);
	look(s, &seen);
	assert_id(&seen, 0, "d41d8cd98f00b204e9800998ecf8427e");
	assert_id(&seen, 1, "d41d8cd98f00b204e9800998ecf8427e-2");
	assert_id(&seen, 2, "mine");
	assert_own(&seen, 3);
	snprintf(rule.format, sizeof(rule.format), "%%f");
	assert_int_equal(mail_origin_check(&rule, &err), -1);
	assert_non_null(strstr(err.text, "%f, which Dovecot has for Maildirs only"));
	assert_int_equal(uidl_format_check("%{md5}", true, &err), 0);
	assert_int_equal(uidl_format_check("%{md5}", false, &err), -1);
}

/* X-UIDL may be of the sender: twice the same, one with octets that POP3 has not, one that looks
 * like ours. */
static void mailbox_of_mailutils(void **state)
{
	struct scratch *s = *state;
	struct adopt_report report;
	struct seen seen;

	put(s,
	    FROM "X-UIDL: e850842eec08c4a69d2992a31618cacd.1795973481.1\n\na\n\n" FROM
		 "X-UIDL: e850842eec08c4a69d2992a31618cacd.1795973481.1\n\nb\n\n" FROM
		 "X-UIDL: a b\n\nc\n\n" FROM "X-UIDL: " OWN_FORM "\n\nd\n\n" FROM
		 "X-UIDL:\n\ne\n\n" FROM "Subject: f\n\nf\n",
	    O_TRUNC);
	bring(s, &mailutils, false, &report);
	assert_report(&report, 6, 1, 1, 4);
	assert_non_null(strstr(report.why, "message 2: its id e850842eec08c4a69d2992a31618cacd."));
	look(s, &seen);
	assert_int_equal(seen.count, 6);
	assert_id(&seen, 0, "e850842eec08c4a69d2992a31618cacd.1795973481.1");
	assert_false(same_id(&seen, 1, &seen, 0));
	for (unsigned i = 1; i < 6; i++)
		assert_own(&seen, i);
}

/* It writes X-UIDL as the first header, and removes others. */
static void mailbox_of_qpopper(void **state)
{
	struct scratch *s = *state;
	struct adopt_report report;
	struct seen seen;

	put(s, FROM "X-UIDL: !~@!!+8<!!O8Y\"!X3K!!\nSubject: a\nStatus: RO\n\na\n", O_TRUNC);
	bring(s, &qpopper, false, &report);
	assert_report(&report, 1, 1, 0, 0);
	look(s, &seen);
	assert_id(&seen, 0, "!~@!!+8<!!O8Y\"!X3K!!");
}

/* The rule of the folder counts for who comes later, and only for the first session. */
static void rule_of_the_folder(void **state)
{
	struct scratch *s = *state;
	struct adopt_report report;
	struct seen seen, grown;
	struct err err = {0};
	struct maildrop *m;

	assert_int_equal(mail_origin_write(s->root, &popa3d, NULL), 0);
	put(s, FROM "Date: x\n\na\n\n" FROM "Date: x\nX-Delivery-ID: 5\n\nb\n", O_TRUNC);
	look(s, &seen);
	assert_id(&seen, 0, "705418d22efbeb67");
	assert_id(&seen, 1, "6c73ae934baaf823");
	put(s, "\n" FROM "Date: y\n\nc\n", O_APPEND);
	look(s, &grown);
	assert_int_equal(grown.count, 3);
	assert_true(same_id(&grown, 0, &seen, 0) && same_id(&grown, 1, &seen, 1));
	assert_own(&grown, 2);
	bring(s, &popa3d, false, &report);
	assert_int_equal(report.is, ADOPT_OURS);

	/* deleted, cut out of the file, delivered again: what is left keeps its id */
	delete (s, 1, 0, true);
	look(s, &seen);
	assert_int_equal(seen.count, 2);
	assert_id(&seen, 0, "6c73ae934baaf823");
	assert_true(same_id(&seen, 1, &grown, 2));
	put(s, "\n" FROM "Date: x\n\na\n", O_APPEND);
	look(s, &seen);
	assert_id(&seen, 2, "705418d22efbeb67");
	lose_index(s);
	look(s, &seen);
	assert_id(&seen, 2, "705418d22efbeb67");

	/* a rule of Maildirs, or none that is understood: never new ids in silence, but a mailbox
	 * that is ours has its ids already */
	assert_int_equal(
		mail_origin_write(s->root, &(struct mail_origin){.server = ORIGIN_COURIER}, NULL),
		0);
	look(s, &seen);
	assert_id(&seen, 0, "6c73ae934baaf823");
	lose_index(s);
	assert_int_equal(unlinkat(s->root, UIDL, 0), 0);
	assert_int_equal(try_open(s, &m, &err), MAILDROP_PERM);
	assert_non_null(strstr(err.text, "a rule for Maildirs"));
	assert_int_equal(unlinkat(s->root, ORIGIN_FILE, 0), 0);
	look(s, &seen);
	assert_own(&seen, 0);
}

static void undo(void **state)
{
	struct scratch *s = *state;
	struct adopt_report report;
	struct err err;
	bool any, used;

	put(s, FROM "X-UIDL: one\n\na\n", O_TRUNC);
	assert_int_equal(mbox_take_back(&s->settings, s->root, BOX, false, &any, &used, &err),
			 MAILDROP_OK);
	assert_false(any || used);
	bring(s, &mailutils, false, &report);
	assert_int_equal(mbox_take_back(&s->settings, s->root, BOX, true, &any, &used, &err),
			 MAILDROP_OK);
	assert_true(any && !used && is_there(s, UIDL));
	assert_int_equal(mbox_take_back(&s->settings, s->root, BOX, false, &any, &used, &err),
			 MAILDROP_OK);
	assert_true(any && !used && !is_there(s, UIDL));
	bring(s, &mailutils, false, &report);
	maildrop_close(opened(s));
	assert_int_equal(mbox_take_back(&s->settings, s->root, BOX, false, &any, &used, &err),
			 MAILDROP_OK);
	assert_true(any && used && is_there(s, UIDL));
}

/* A file of ids that a person spoilt: lines that make no sense are skipped, and no two messages get
 * one id. */
static void spoilt_file_of_ids(void **state)
{
	struct scratch *s = *state;
	struct adopt_report report;
	struct seen own, seen;
	char text[1000];
	int fd;

	put(s, FROM "Subject: a\n\na\n\n" FROM "Subject: b\n\nb\n\n" FROM "Subject: c\n\nc\n",
	    O_TRUNC);
	look(s, &own);
	lose_index(s);
	snprintf(text, sizeof(text),
		 " origin 3 mbox-mailutils\n\nx\nno-own-id \none %.32s\none %.32s\na b %.32s\n"
		 "two %.32s",
		 own.entries[0].unique_id, own.entries[1].unique_id, own.entries[1].unique_id,
		 own.entries[2].unique_id);
	fd = openat(s->root, UIDL, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	look(s, &seen);
	assert_id(&seen, 0, "one");
	assert_true(same_id(&seen, 1, &own, 1));
	assert_id(&seen, 2, "two");
	bring(s, &mailutils, false, &report);
	assert_int_equal(report.is, ADOPT_OURS);
}

/* A person's recovery of a mailbox that was never opened here gives no ids. */
static void recovery_of_a_mailbox_of_another_server(void **state)
{
	struct scratch *s = *state;
	struct mbox_report report;
	struct err err = {0};
	struct seen seen;

	put(s, FROM "X-UIDL: one\n\na\n", O_TRUNC);
	assert_int_equal(mbox_recover(&s->settings, s->root, BOX, &report, &err), MAILDROP_OK);
	assert_int_equal(report.messages, 1);
	assert_int_equal(mail_origin_write(s->root, &mailutils, NULL), 0);
	look(s, &seen);
	assert_id(&seen, 0, "one");
}

static void mailbox_without_messages(void **state)
{
	struct scratch *s = *state;
	struct adopt_report report;

	bring(s, &mailutils, false, &report);
	assert_int_equal(report.is, ADOPT_PLAIN);
	put(s, "", O_TRUNC);
	bring(s, &mailutils, false, &report);
	assert_int_equal(report.is, ADOPT_PLAIN);
	assert_false(is_there(s, UIDL));
}

static void origins_as_text(void **state)
{
	static const char *const texts[] = {"mbox-dovecot duplicates=rename xuidl=yes format=%m",
					    "mbox-mailutils", "mbox-popa3d", "mbox-qpopper"};
	char text[ORIGIN_TEXT_MAX];
	struct mail_origin origin;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		assert_int_equal(mail_origin_parse(span_of(texts[i]), &origin), 0);
		assert_true(mail_origin_is_of_mboxes(origin.server));
		mail_origin_print(&origin, text);
		assert_string_equal(text, texts[i]);
	}
	assert_int_equal(mail_origin_parse(SPAN_LITERAL("mbox"), &origin), -1);
	assert_int_equal(mail_origin_parse(SPAN_LITERAL("mbox-popa3d x"), &origin), -1);
	assert_int_equal(mail_origin_parse(SPAN_LITERAL("mbox-dovecot"), &origin), -1);
}

#define MAILBOX_TEST(name) cmocka_unit_test_setup_teardown(name, begin, scratch_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(digests_of_headers),
		cmocka_unit_test(numbers_of_dovecot),
		cmocka_unit_test(first_x_uidl),
		cmocka_unit_test(origins_as_text),
		MAILBOX_TEST(mailbox_of_dovecot),
		MAILBOX_TEST(mailbox_that_dovecot_never_numbered),
		MAILBOX_TEST(mailbox_with_a_message_of_c_client),
		MAILBOX_TEST(other_rules_of_dovecot),
		MAILBOX_TEST(mailbox_of_mailutils),
		MAILBOX_TEST(mailbox_of_qpopper),
		MAILBOX_TEST(rule_of_the_folder),
		MAILBOX_TEST(undo),
		MAILBOX_TEST(spoilt_file_of_ids),
		MAILBOX_TEST(recovery_of_a_mailbox_of_another_server),
		MAILBOX_TEST(mailbox_without_messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
