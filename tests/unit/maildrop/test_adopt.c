/* Maildirs of another server: its rule of unique ids, its list, and what is made of them. */
#include "maildrop_test.h"

#include "maildrop/uidl_format.h"
#include "maildrop/maildir/adopt/keywords.h"
#include "maildrop/maildir/adopt/uidlist.h"
#include "maildrop/maildir/bring.h"

#include "base/text.h"

static unsigned flushes, flush_that_fails; /* from 1; 0: none */
static ino_t flushed_last;

/* The linker's --wrap. */
int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	errno = EIO;
	if (++flushes == flush_that_fails)
		return -1;
	flushed_last = st.st_ino;
	return 0;
}

#define FILE_NAME "1700000009.Mx.host,S=20,W=22"

/* As Dovecot 2.3.19 gives them, but for the last ones, which are of 2.4. */
static const struct {
	const char *format, *id;
} formats[] = {
	{"%08Xu%08Xv", "000000056b0be84e"},
	{"%v.%u", "1795942478.5"},
	{"%Xu-%Xv", "5-6b0be84e"},
	{"%-5u", "5"},
	{"%05u", "00005"},
	{"%3.5f", "00000"},
	{"%1.5f", "70000"},
	{"%f", FILE_NAME},
	{"%g", "guid"},
	{"%Mf", "0e73e0f2e4ed10537cf1e848bb4b1181"},
	{"%2Mf", "0e"},
	{"%Uf", "1700000009.MX.HOST,S=20,W=22"},
	{"%04Lf", "1700000009.mx.host,s=20,w=22"},
	{"%Rf", "22=W,02=S,tsoh.xM.9000000071"},
	{"%1Xv", "6"},
	{"%-3v", "179"},
	{"%-3.2v", "47"},
	{"%.3v", "179"},
	{"%2.v", "95942478"},
	{"%02.3v", "959"},
	{"%u%%x", "5%x"},
	{"%{uid | hex(8)}%{uidvalidity | hex(8)}", "000000056b0be84e"},
	{"%{uid|hex}-%{ uidvalidity }", "5-1795942478"},
	{"%{guid | upper}", "GUID"},
};

static void formats_give_what_dovecot_gives(void **state)
{
	const struct uidl_values values = {.uidvalidity = 1795942478,
					   .uid = 5,
					   .file = {FILE_NAME, strlen(FILE_NAME)},
					   .guid = {"guid", 4}};
	char id[UIDL_TEXT_MAX];
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof(formats) / sizeof(*formats); i++) {
		assert_int_equal(uidl_format_check(formats[i].format, false, &err), 0);
		assert_int_equal(uidl_format_expand(formats[i].format, &values, id),
				 strlen(formats[i].id));
		assert_string_equal(id, formats[i].id);
	}
}

static void formats_that_are_not_known_are_refused(void **state)
{
	static const char *const bad[] = {"%m",      "%x",    "%",        "%08",  "%999u",
					  "%Hf",     "%{uid", "%{uid |}", "%{x}", "%{uid | hex(a)}",
					  "%{uid x}"};
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_int_equal(uidl_format_check(bad[i], false, &err), -1);
		assert_non_null(strstr(err.text, "pop3_uidl_format"));
	}
}

static void too_long_an_id_is_none(void **state)
{
	char format[UIDL_TEXT_MAX + 1], id[UIDL_TEXT_MAX];
	const struct uidl_values values = {.uid = 1};

	(void)state;
	memset(format, 'x', UIDL_TEXT_MAX);
	format[UIDL_TEXT_MAX] = '\0';
	assert_int_equal(uidl_format_expand(format, &values, id), 0);
	format[UIDL_TEXT_MAX - 1] = '\0';
	assert_int_equal(uidl_format_expand(format, &values, id), UIDL_TEXT_MAX - 1);
}

static void assert_text(pop3_span is, const char *text)
{
	assert_int_equal(is.size, strlen(text));
	assert_memory_equal(is.data, text, is.size);
}

static void lists_of_both_versions(void **state)
{
	static const char three[] = "3 V7 N9 Gabc\n"
				    "1 W30 :a.b\n"
				    "2 O9 Pold-id Gguid :c,S=1:2,S\n"
				    "no line\n"
				    "0 :zero\n"
				    "5 P :d"; /* cut off */
	static const char one[] = "1 7 9\n3 a.b:2,S\n";
	struct uidlist list;
	struct err err;

	(void)state;
	assert_int_equal(uidlist_parse(span_of(three), &list, &err), 0);
	assert_int_equal(list.uidvalidity, 7);
	assert_int_equal(list.count, 3);
	assert_int_equal(list.bad, 2);
	assert_null(list.entries[0].saved.data);
	assert_text(list.entries[0].file, "a.b");
	assert_int_equal(list.entries[1].order, 9);
	assert_text(list.entries[1].saved, "old-id");
	assert_text(list.entries[1].guid, "guid");
	assert_text(list.entries[1].file, "c,S=1");
	assert_non_null(list.entries[2].saved.data);
	assert_int_equal(list.entries[2].saved.size, 0);
	uidlist_finish(&list);
	assert_int_equal(uidlist_parse(span_of(one), &list, &err), 0);
	assert_int_equal(list.count, 1);
	assert_int_equal(list.entries[0].uid, 3);
	assert_text(list.entries[0].file, "a.b");
	uidlist_finish(&list);
	assert_int_equal(uidlist_parse(span_of("2 V7\n"), &list, &err), -1);
	assert_int_equal(uidlist_parse(span_of("3 N7\n"), &list, &err), -1);
	assert_int_equal(uidlist_parse(span_of(""), &list, &err), -1);
}

static const struct mail_origin dovecot = {.server = ORIGIN_DOVECOT,
					   .format = ORIGIN_DOVECOT_FORMAT};

static void origins_are_read_as_they_were_written(void **state)
{
	struct scratch *s = *state;
	struct mail_origin origin = dovecot, is;
	struct err err;

	assert_int_equal(mail_origin_read(&maildrop_kernel, s->root, &is, &err), 0);
	for (int i = 0; i < 8; i++) {
		origin.rename_duplicates = i & 1;
		origin.reuse_xuidl = i & 2;
		snprintf(origin.hidden, sizeof(origin.hidden), "%s", i & 4 ? "$POP3Deleted" : "");
		assert_int_equal(mail_origin_write(s->root, &origin, &err), 0);
		assert_int_equal(mail_origin_read(&maildrop_kernel, s->root, &is, &err), 1);
		assert_int_equal(is.server, ORIGIN_DOVECOT);
		assert_int_equal(is.rename_duplicates, origin.rename_duplicates);
		assert_int_equal(is.reuse_xuidl, origin.reuse_xuidl);
		assert_string_equal(is.format, origin.format);
		assert_string_equal(is.hidden, origin.hidden);
	}
	assert_int_equal(mail_origin_remove(s->root, &err), 0);
	assert_int_equal(mail_origin_remove(s->root, &err), 0);
	assert_int_equal(mail_origin_read(&maildrop_kernel, s->root, &is, &err), 0);
	assert_int_equal(mail_origin_parse(span_of("none"), &is), 0);
	assert_int_equal(is.server, ORIGIN_NONE);
	assert_int_equal(mail_origin_parse(span_of("cyrus"), &is), -1);
	assert_int_equal(
		mail_origin_parse(span_of("dovecot duplicates=allow xuidl=no format="), &is), -1);
}

static void keywords_of_dovecot_have_letters(void **state)
{
	static const char text[] = "0 NonJunk\n1 $POP3Deleted\r\n25 last\n26 none\n x\n3";
	const pop3_span whole = span_of(text);

	(void)state;
	assert_int_equal(keywords_letter(whole, "$POP3Deleted"), 'b');
	assert_int_equal(keywords_letter(whole, "$pop3deleted"), 'b'); /* RFC 9051 section 2.3.2 */
	assert_int_equal(keywords_letter(whole, "NonJunk"), 'a');
	assert_int_equal(keywords_letter(whole, "last"), 'z');
	assert_int_equal(keywords_letter(whole, "none"), 0);
	assert_int_equal(keywords_letter(whole, "$POP3"), 0);
	assert_int_equal(keywords_letter(whole, ""), 0);
	assert_int_equal(keywords_letter((pop3_span){0}, "last"), 0);
	assert_true(keywords_has(span_of("1.a,S=5:2,FSb"), 'b'));
	assert_false(keywords_has(span_of("1.b,S=5:2,FS"), 'b'));
	assert_false(keywords_has(span_of("1.b"), 'b'));
	assert_false(keywords_has(span_of("1.a:2,"), 'b'));
	assert_false(keywords_has(span_of("1.a:1,b"), 'b'));
}

/* Each word is one that is known, else it is an origin of a later version. */
static void origins_of_a_later_version_are_none(void **state)
{
	static const char *const texts[] = {
		"dovecot",
		"dovecot duplicates=",
		"dovecot duplicates=some xuidl=no format=%u",
		"dovecot duplicates=allow xuidl=no hidden= format=%u",
		"dovecot duplicates=allow xuidl=no hidden=$POP3Deleted",
		"dovecot duplicates=allow format=%u",
		"dovecot duplicates=allow xuidl=maybe format=%u",
		"dovecot duplicates=rename xuidl=yes",
		"dovecot duplicates=rename xuidl=yes formats=%u",
		"dovecotx duplicates=rename xuidl=yes format=%u",
	};
	struct mail_origin is = {.server = ORIGIN_SERVERS};
	char text[ORIGIN_TEXT_MAX + 20];
	int n;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		if (mail_origin_parse(span_of(texts[i]), &is) != -1)
			fail_msg("%s", texts[i]);
	n = snprintf(text, sizeof(text), "dovecot duplicates=allow xuidl=no format=%*d",
		     ORIGIN_FORMAT_MAX + 1, 7);
	assert_int_equal(mail_origin_parse((pop3_span){text, (size_t)n}, &is), -1);
	assert_int_equal(is.server, ORIGIN_SERVERS);
	assert_int_equal(mail_origin_parse((pop3_span){text, (size_t)n - 1}, &is), 0);
	assert_false(is.rename_duplicates || is.reuse_xuidl);
	assert_int_equal(
		mail_origin_parse(span_of("dovecot duplicates=rename xuidl=yes format=%u"), &is),
		0);
	assert_true(is.rename_duplicates && is.reuse_xuidl);
	assert_string_equal(is.format, "%u");
}

static void put_dovecot(struct scratch *s)
{
	make_maildir(s);
	put_file(s, "cur/1000.a:2,S", "a\n");
	put_file(s, "cur/2000.b:2,", "b\n");
	put_file(s, "new/3000.c,S=2,W=3", "c\n");
	put_file(s, "cur/500.unknown:2,", "of nobody\n");
	put_file(s, "dovecot-uidlist",
		 "3 V16 N9\n1 :3000.c,S=2,W=3\n2 :1000.a\n3 O1 :2000.b\n4 :gone\n");
}

static void assert_brought(struct scratch *s)
{
	struct maildrop *m = open_session(s);

	assert_int_equal(session_count(m), 4);
	assert_entry(m, 1, "0000000300000010", 3);
	assert_entry(m, 2, "0000000100000010", 3);
	assert_entry(m, 3, "0000000200000010", 3);
	assert_entry(m, 4, "500.unknown", strlen("of nobody\r\n"));
	maildrop_sweep(m);
	maildrop_close(m);
}

static void ids_and_order_are_brought(void **state)
{
	struct scratch *s = *state;
	struct adopt_report report;
	struct err err;
	int folder;

	put_dovecot(s);
	folder = openat(s->root, HOME, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(
			maildir_bring(folder, folder, HOME, &dovecot, i == 0, &report, &err), 0);
		assert_int_equal(report.is, i == 2 ? ADOPT_OURS : ADOPT_FOREIGN);
		assert_int_equal(report.messages, i == 2 ? 0 : 4);
		assert_int_equal(report.brought, i == 2 ? 0 : 3);
		assert_int_equal(report.fresh, i == 2 ? 0 : 1);
		assert_int_equal(report.again, 0);
		assert_int_equal(has_file(s, "valija-uidl"), i > 0);
	}
	close(folder);
	assert_brought(s);
	remove_file(s, "valija-base");
	remove_file(s, "valija-delta");
	remove_file(s, "valija-lock");
	move_file(s, "cur/1000.a:2,S", "cur/1000.a:2,RS");
	assert_brought(s);
}

static void nothing_is_opened_before_its_ids_are_known(void **state)
{
	struct scratch *s = *state;
	struct maildrop *m = NULL;
	struct maildrop_usage usage;
	struct err err;

	put_dovecot(s);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(maildrop_open(&s->settings, s->root, HOME, &m, &err),
				 MAILDROP_PERM);
		assert_non_null(strstr(err.text, "valija import dovecot"));
		assert_int_equal(maildrop_usage(&s->settings, s->root, HOME, &usage, &err),
				 MAILDROP_PERM);
		assert_false(has_file(s, "valija-lock"));
		assert_false(has_file(s, "valija-uidl"));
	}
	assert_int_equal(mail_origin_write(s->root, &dovecot, &err), 0);
	assert_brought(s);
}

static void one_without_a_message_has_no_ids_to_lose(void **state)
{
	struct scratch *s = *state;
	struct maildrop *m;

	make_maildir(s);
	put_file(s, "dovecot-uidlist", "3 V16 N9\n");
	m = open_session(s);
	assert_int_equal(session_count(m), 0);
	maildrop_close(m);
	/* now it is ours, whatever Dovecot writes beside it */
	put_file(s, "cur/1000.a:2,S", "a\n");
	m = open_session(s);
	assert_entry(m, 1, "1000.a", 3);
	maildrop_close(m);
}

static void a_list_that_is_none_refuses(void **state)
{
	struct scratch *s = *state;
	struct maildrop *m = NULL;
	struct err err;

	put_dovecot(s);
	assert_int_equal(mail_origin_write(s->root, &dovecot, &err), 0);
	put_file(s, "dovecot-uidlist", "4 V16\n");
	assert_int_equal(maildrop_open(&s->settings, s->root, HOME, &m, &err), MAILDROP_PERM);
	assert_non_null(strstr(err.text, "dovecot-uidlist"));
	assert_false(has_file(s, "valija-uidl"));
}

static enum maildrop_status take_back(int folder, enum origin_server server, bool dry_run,
				      struct undo_report *ret)
{
	struct err err = {0};
	enum maildrop_status status =
		maildir_take_back(folder, folder, HOME, server, false, dry_run, ret, &err);

	assert_true(status == MAILDROP_OK || err.text[0]);
	return status;
}

static void what_was_brought_is_taken_back(void **state)
{
	struct scratch *s = *state;
	struct adopt_report report;
	struct undo_report undone;
	struct err err;
	int folder;

	put_dovecot(s);
	folder = openat(s->root, HOME, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(maildir_bring(folder, folder, HOME, &dovecot, false, &report, &err), 0);
	assert_int_equal(take_back(folder, ORIGIN_DOVECOT, true, &undone), 0);
	assert_true(undone.is == UNDO_DONE && has_file(s, "valija-uidl"));
	assert_int_equal(take_back(folder, ORIGIN_DOVECOT, false, &undone), 0);
	assert_true(undone.is == UNDO_DONE && !has_file(s, "valija-uidl"));
	assert_int_equal(maildir_bring(folder, folder, HOME, &dovecot, false, &report, &err), 0);
	assert_brought(s);
	assert_int_equal(take_back(folder, ORIGIN_COURIER, false, &undone), 0);
	assert_true(undone.is == UNDO_USED && has_file(s, "valija-uidl"));
	close(folder);
	assert_brought(s);
}

static void duplicates_and_headers(void **state)
{
	struct scratch *s = *state;
	struct mail_origin origin = {.server = ORIGIN_DOVECOT,
				     .rename_duplicates = true,
				     .reuse_xuidl = true,
				     .format = "same"};
	struct adopt_report report;
	struct maildrop *m;
	struct err err;
	int folder;

	make_maildir(s);
	put_file(s, "cur/1.a:2,S", "Subject: x\nx-uidl: \tone \r\nX-UIDL: two\n\nX-UIDL: three\n");
	put_file(s, "cur/2.b:2,", "Subject: x\n\nX-UIDL: four\n");
	put_file(s, "cur/3.c:2,", "Subject: x\n\n");
	put_file(s, "dovecot-uidlist", "3 V16 N9\n1 :1.a\n2 :2.b\n3 :3.c\n");
	folder = openat(s->root, HOME, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(maildir_bring(folder, folder, HOME, &origin, false, &report, &err), 0);
	assert_int_equal(report.again, 0);
	m = open_session(s);
	assert_int_equal(session_entry(m, 1).unique_id_size, 3);
	assert_memory_equal(session_entry(m, 1).unique_id, "one", 3);
	assert_memory_equal(session_entry(m, 2).unique_id, "same", 4);
	assert_memory_equal(session_entry(m, 3).unique_id, "same-2", 6);
	maildrop_close(m);
	/* where Dovecot lets them be the same, one of them is another message for us */
	remove_file(s, "valija-base");
	remove_file(s, "valija-delta");
	remove_file(s, "valija-lock");
	remove_file(s, "valija-uidl");
	origin.rename_duplicates = false;
	assert_int_equal(maildir_bring(folder, folder, HOME, &origin, false, &report, &err), 0);
	close(folder);
	assert_int_equal(report.again, 1);
	assert_non_null(strstr(report.why, "is another message's, too"));
}

/* Ids that are written down or taken back are on the disk before that is answered: the last flush
 * is the folder's, and each that fails is an error. */
static void what_is_written_down_is_flushed(void **state)
{
	struct scratch *s = *state;
	struct adopt_report report;
	struct err err = {0};
	struct undo_report undone;
	struct stat st;
	int folder;

	assert_int_equal(fstat(s->root, &st), 0);
	assert_int_equal(mail_origin_write(s->root, &dovecot, &err), 0);
	assert_true(flushed_last == st.st_ino);
	for (int i = 0; i < 2; i++) { /* one that is not there may not have gone for good */
		flushes = 0;
		flush_that_fails = 1;
		assert_int_equal(mail_origin_remove(s->root, &err), -1);
		assert_true(err.text[0] != '\0');
		flushed_last = 0;
		assert_int_equal(mail_origin_remove(s->root, &err), 0);
		assert_true(flushed_last == st.st_ino);
	}
	put_dovecot(s);
	folder = openat(s->root, HOME, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(fstat(folder, &st), 0);
	for (flush_that_fails = 1; flush_that_fails <= 2; flush_that_fails++) {
		flushes = 0;
		assert_int_not_equal(
			maildir_bring(folder, folder, HOME, &dovecot, false, &report, &err), 0);
		if (has_file(s, "valija-uidl"))
			remove_file(s, "valija-uidl");
	}
	flush_that_fails = 0;
	flushed_last = 0;
	assert_int_equal(maildir_bring(folder, folder, HOME, &dovecot, false, &report, &err), 0);
	assert_true(flushed_last == st.st_ino);
	/* a folder that cannot be opened is no folder without ids */
	err.text[0] = '\0';
	assert_int_not_equal(maildir_bring(-1, -1, HOME, &dovecot, false, &report, &err), 0);
	assert_true(err.text[0] != '\0');
	assert_int_not_equal(take_back(-1, ORIGIN_DOVECOT, false, &undone), 0);
	flushed_last = 0;
	flushes = 0;
	flush_that_fails = 1;
	assert_int_not_equal(take_back(folder, ORIGIN_DOVECOT, false, &undone), 0);
	flush_that_fails = 0;
	assert_int_equal(maildir_bring(folder, folder, HOME, &dovecot, false, &report, &err), 0);
	flushed_last = 0;
	assert_int_equal(take_back(folder, ORIGIN_DOVECOT, false, &undone), 0);
	assert_true(undone.is == UNDO_DONE && flushed_last == st.st_ino);
	close(folder);
}

static void assert_uidl(struct scratch *s, const char *expected)
{
	int fd = openat(s->root, HOME "/valija-uidl", O_RDONLY | O_CLOEXEC);
	char text[200];
	ssize_t n = read(fd, text, sizeof(text) - 1);

	close(fd);
	assert_true(n >= 0);
	text[n] = '\0';
	assert_string_equal(text, expected);
}

/* A person wants no ids of the other server: that is written down, too, and asked once. */
static void new_ids_where_they_were_asked_for(void **state)
{
	static const struct mail_origin no_server = {.server = ORIGIN_NONE};
	struct scratch *s = *state;
	struct adopt_report report;
	struct maildrop *m;
	struct err err;
	int folder;

	put_dovecot(s);
	folder = openat(s->root, HOME, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(
			maildir_bring(folder, folder, HOME, &no_server, i == 0, &report, &err), 0);
		assert_int_equal(report.is, ADOPT_FOREIGN);
		assert_int_equal(report.lists, ORIGIN_HAS(ORIGIN_DOVECOT));
		assert_int_equal(report.messages, 4);
		assert_int_equal(report.again, 4);
		assert_int_equal(report.brought + report.fresh, 0);
		assert_non_null(strstr(report.why, "new ids"));
		assert_int_equal(has_file(s, "valija-uidl"), i > 0);
	}
	assert_uidl(s, " origin 0 none\n");
	assert_int_equal(maildir_bring(folder, folder, HOME, &no_server, false, &report, &err), 0);
	assert_int_equal(report.is, ADOPT_OURS);
	close(folder);
	assert_uidl(s, " origin 0 none\n");
	m = open_session(s);
	assert_int_equal(session_count(m), 4);
	assert_entry(m, 1, "500.unknown", strlen("of nobody\r\n"));
	assert_entry(m, 2, "1000.a", 3);
	maildrop_close(m);
}

/* Where it cannot be written down, nothing is decided. */
static void new_ids_that_cannot_be_written_down(void **state)
{
	static const struct mail_origin no_server = {.server = ORIGIN_NONE};
	struct scratch *s = *state;
	struct adopt_report report;
	struct err err;
	int folder;

	put_dovecot(s);
	folder = openat(s->root, HOME, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	flushes = 0;
	flush_that_fails = 1;
	err.text[0] = '\0';
	assert_int_equal(maildir_bring(folder, folder, HOME, &no_server, false, &report, &err),
			 MAILDROP_TEMP);
	flush_that_fails = 0;
	assert_non_null(strstr(err.text, "valija-uidl: cannot be written"));
	assert_false(has_file(s, "valija-uidl"));
	/* messages of a folder that cannot be read are not counted as none */
	assert_int_equal(renameat(folder, "cur", folder, "cur.away"), 0);
	put_file(s, "cur", "no folder\n");
	err.text[0] = '\0';
	assert_int_equal(maildir_bring(folder, folder, HOME, &no_server, false, &report, &err),
			 MAILDROP_PERM);
	assert_non_null(strstr(err.text, "cannot be read"));
	assert_false(has_file(s, "valija-uidl"));
	close(folder);
}

/* Whose ids a Maildir has is a person's decision, not that of the first origin that is tried. */
static void a_list_of_another_server_refuses(void **state)
{
	static const struct mail_origin courier = {.server = ORIGIN_COURIER};
	struct scratch *s = *state;
	struct adopt_report report;
	struct err err;
	int folder;

	put_dovecot(s);
	folder = openat(s->root, HOME, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	err.text[0] = '\0';
	assert_int_equal(maildir_bring(folder, folder, HOME, &courier, false, &report, &err),
			 MAILDROP_PERM);
	assert_int_equal(report.is, ADOPT_FOREIGN);
	assert_non_null(strstr(err.text, "valija import dovecot"));
	assert_non_null(strstr(err.text, "courierpop3dsizelist"));
	assert_false(has_file(s, "valija-uidl"));
	close(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keywords_of_dovecot_have_letters),
		cmocka_unit_test(formats_give_what_dovecot_gives),
		cmocka_unit_test(formats_that_are_not_known_are_refused),
		cmocka_unit_test(too_long_an_id_is_none),
		cmocka_unit_test(lists_of_both_versions),
		cmocka_unit_test(origins_of_a_later_version_are_none),
		cmocka_unit_test_setup_teardown(origins_are_read_as_they_were_written,
						scratch_begin, scratch_end),
		cmocka_unit_test_setup_teardown(ids_and_order_are_brought, scratch_begin,
						scratch_end),
		cmocka_unit_test_setup_teardown(nothing_is_opened_before_its_ids_are_known,
						scratch_begin, scratch_end),
		cmocka_unit_test_setup_teardown(one_without_a_message_has_no_ids_to_lose,
						scratch_begin, scratch_end),
		cmocka_unit_test_setup_teardown(a_list_that_is_none_refuses, scratch_begin,
						scratch_end),
		cmocka_unit_test_setup_teardown(new_ids_where_they_were_asked_for, scratch_begin,
						scratch_end),
		cmocka_unit_test_setup_teardown(new_ids_that_cannot_be_written_down, scratch_begin,
						scratch_end),
		cmocka_unit_test_setup_teardown(a_list_of_another_server_refuses, scratch_begin,
						scratch_end),
		cmocka_unit_test_setup_teardown(what_was_brought_is_taken_back, scratch_begin,
						scratch_end),
		cmocka_unit_test_setup_teardown(duplicates_and_headers, scratch_begin, scratch_end),
		cmocka_unit_test_setup_teardown(what_is_written_down_is_flushed, scratch_begin,
						scratch_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
