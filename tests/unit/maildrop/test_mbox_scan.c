/* The scanner of mboxes: where messages begin and end, what they are on the wire, and what is not
 * shown of them. How reads are cut is fuzz_mbox's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/text.h"
#include "maildrop/mbox/from.h"
#include "maildrop/mbox/reader.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FROM "From a@example.org Sat Jan  1 12:34:56 2022\n"
#define MAX 16

static struct mbox_message messages[MAX];
static unsigned count;

static void found(void *context, const struct mbox_message *message)
{
	(void)context;
	assert_true(count < MAX);
	messages[count++] = *message;
}

static int file_of(const char *text, size_t size)
{
	int fd = memfd_create("mbox", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, text, size, 0), size);
	return fd;
}

/* 0, or errno. */
static int scan(const char *text)
{
	int fd = file_of(text, strlen(text)), error = 0;

	count = 0;
	if (mbox_read_messages(&maildrop_kernel, fd, 0, strlen(text), found, NULL) < 0)
		error = errno;
	close(fd);
	return error;
}

/* The message as it is stored, behind its "From " line. */
static void assert_stored(const char *text, unsigned which, const char *expected)
{
	const struct mbox_message *m = &messages[which];

	assert_true(which < count);
	assert_int_equal(m->stored, strlen(expected));
	assert_memory_equal(text + m->start + m->from_size, expected, strlen(expected));
}

static void from_lines(void **state)
{
	static const char *const good[] = {FROM,
					   "From - Fri Dec 31 23:59:60 2021\n",
					   "From  Fri Dec 31 23:59:00 2021\n",
					   "From a b  Wed Mar 1 1:02:03 MET DST 1998\n",
					   "From x Fri Dec 31 23:59 +0100 2021\r\n",
					   "From x Fri Dec 31 23:59 2021 remote from y\n",
					   "From x Fri Dec 31 23:59:01 2021",
					   "From MAILER-DAEMON Thu Jan  1 00:00:00 1970\n",
					   "From x Fri Dec x Fri Dec 31 23:59:01 2021\n"};
	static const char *const bad[] = {"",
					  "From",
					  "From \n",
					  "From here to there\n",
					  "from a Sat Jan  1 12:34:56 2022\n",
					  ">From a Sat Jan  1 12:34:56 2022\n",
					  "From a Sat Jan 32 12:34:56 2022\n",
					  "From a Sat Jan 0 12:34:56 2022\n",
					  "From a Sat Jan  1 24:34:56 2022\n",
					  "From a Sat Jan  1 12:60:56 2022\n",
					  "From a Sat Jan  1 12:34:61 2022\n",
					  "From a Sat Jan  1 12:34:56\n",
					  "From a Sat Jan  1 12:34:56 22\n",
					  "From a Sat Jan  1 12:34:56 20222\n",
					  "From a Sab Jan  1 12:34:56 2022\n",
					  "From a Sat Ene  1 12:34:56 2022\n",
					  "From a\nSat Jan  1 12:34:56 2022\n",
					  "From aSat Jan  1 12:34:56 2022\n",
					  "From a Sat Jan  1 12:34:56 1969\n"};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		if (mbox_from_line((pop3_span){good[i], strlen(good[i])}) != strlen(good[i]))
			fail_msg("no message begins with %s", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (mbox_from_line((pop3_span){bad[i], strlen(bad[i])}) != 0)
			fail_msg("a message begins with %s", bad[i]);
}

/* Anybody can send with a long sender; Postfix writes it into the mailbox. */
static void long_from_lines(void **state)
{
	static const char date[] = " Sat Jan  1 12:34:56 2022\n";
	static const unsigned sizes[] = {1000, 1024, 2048, 4096, MBOX_LOOK};
	static char line[MBOX_LOOK + 2], text[4 * MBOX_LOOK];

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		memset(line, i % 2 ? ' ' : 'a', sizeof(line));
		memcpy(line, "From ", 5);
		memcpy(line + sizes[i] - strlen(date), date, sizeof(date));
		assert_int_equal(mbox_from_line(span_of(line)), sizes[i]);
		snprintf(text, sizeof(text), "%sSubject: one\n\nbody\n\n%sSubject: two\n\nbody\n",
			 line, line);
		assert_int_equal(scan(text), 0);
		assert_int_equal(count, 2);
		assert_stored(text, 0, "Subject: one\n\nbody\n");
		assert_stored(text, 1, "Subject: two\n\nbody\n");
		assert_int_equal(messages[1].from_size, sizes[i]);
	}
	/* a longer one begins none */
	memset(line, 'a', sizeof(line));
	memcpy(line, "From ", 5);
	memcpy(line + MBOX_LOOK + 1 - strlen(date), date, sizeof(date));
	assert_int_equal(mbox_from_line(span_of(line)), 0);
}

static void plain_messages(void **state)
{
	const char *text = FROM "Subject: one\n\nbody\n\n" FROM "Subject: two\n\n.dot\nmore\n\n";

	(void)state;
	assert_int_equal(scan(text), 0);
	assert_int_equal(count, 2);
	assert_stored(text, 0, "Subject: one\n\nbody\n");
	assert_int_equal(messages[0].octets, strlen("Subject: one\r\n\r\nbody\r\n"));
	assert_int_equal(messages[0].head, strlen("Subject: one\n\n"));
	assert_stored(text, 1, "Subject: two\n\n.dot\nmore\n");
	assert_int_equal(messages[1].octets, strlen("Subject: two\r\n\r\n.dot\r\nmore\r\n"));
	assert_false(messages[0].hides || messages[1].hides);
	assert_int_equal(scan(""), 0);
	assert_int_equal(count, 0);
}

static void line_ends(void **state)
{
	const char *crlf = "From x Sat Jan  1 12:34:56 2022\r\nSubject: one\r\n\r\nbody\r\n\r\n"
			   "From x Sat Jan  1 12:34:56 2022\r\nSubject: two\r\n\r\nbody";
	const char *open = FROM "a: b\n\nbody\n\n" FROM "a: b\n\nno end";

	(void)state;
	assert_int_equal(scan(crlf), 0);
	assert_int_equal(count, 2);
	assert_stored(crlf, 0, "Subject: one\r\n\r\nbody\r\n");
	assert_int_equal(messages[0].octets, messages[0].stored);
	assert_stored(crlf, 1, "Subject: two\r\n\r\nbody");
	assert_int_equal(messages[1].octets, messages[1].stored + 2);
	assert_int_equal(scan(open), 0);
	assert_stored(open, 1, "a: b\n\nno end");
	assert_int_equal(messages[1].octets, strlen("a: b\r\n\r\nno end\r\n"));
}

static void quoted_lines_stay(void **state)
{
	const char *text = FROM "\n>From me\nFrom a Sat Jan  1 12:34:56 2022 is a line\n\n"
				"From here to there\n\n>From a Sat Jan  1 12:34:56 2022\n";

	(void)state;
	assert_int_equal(scan(text), 0);
	assert_int_equal(count, 1);
	assert_stored(text, 0, text + strlen(FROM));
}

static void messages_without_body(void **state)
{
	const char *text = FROM "a: b\n\n" FROM "\n" FROM "a: b\n\n\n" FROM "a: b\n" FROM "c: d\n";

	(void)state;
	assert_int_equal(scan(text), 0);
	assert_int_equal(count, 4);
	assert_stored(text, 0, "a: b\n\n");
	assert_stored(text, 1, "\n");
	assert_stored(text, 2, "a: b\n\n");
	/* without an empty line nothing begins */
	assert_stored(text, 3, "a: b\n" FROM "c: d\n");
	assert_int_equal(messages[3].head, messages[3].stored);
}

static void hidden_headers(void **state)
{
	const char *text =
		FROM "Status: RO\nA: b\nx-keywords: a\n b\n\tc\nX-UID: 5\nX-IMAPbase: 1 2\n"
		     "X-Status: A\nC: d\n\nStatus: body\n\n" FROM "A: b\nC: d\n\nother\n";

	(void)state;
	assert_int_equal(scan(text), 0);
	assert_int_equal(count, 2);
	assert_true(messages[0].hides);
	assert_int_equal(messages[0].octets, strlen("A: b\r\nC: d\r\n\r\nStatus: body\r\n"));
	assert_false(messages[1].hides);
	assert_memory_equal(messages[0].digest, messages[1].digest, MBOX_DIGEST);
	/* what mutt counts anew is shown, but makes no other message */
	assert_int_equal(scan(FROM "Lines: 5\nA: b\nContent-Length: 6\nC: d\n\nother\n"), 0);
	assert_memory_equal(messages[0].digest, messages[1].digest, MBOX_DIGEST);
	assert_int_equal(messages[0].octets,
			 strlen("Lines: 5\r\nA: b\r\nContent-Length: 6\r\nC: d\r\n\r\nother\r\n"));
	assert_int_equal(scan(FROM "A: b\nC: e\n\nother\n"), 0);
	assert_memory_not_equal(messages[0].digest, messages[1].digest, MBOX_DIGEST);
}

static void content_length(void **state)
{
	char text[1000];
	const char *inside = "x\n\n" FROM "\ny\n";

	(void)state;
	/* it lands on a message, on the end, on nothing */
	snprintf(text, sizeof(text), FROM "Content-Length: %zu\n\n%s\n" FROM "\nz\n",
		 strlen(inside), inside);
	assert_int_equal(scan(text), 0);
	assert_int_equal(count, 2);
	assert_int_equal(messages[0].stored - messages[0].head, strlen(inside));
	snprintf(text, sizeof(text), FROM "content-length:%zu\n\n%s", strlen(inside), inside);
	assert_int_equal(scan(text), 0);
	assert_int_equal(count, 1);
	for (size_t wrong = 0; wrong + 1 < strlen(inside); wrong++) {
		snprintf(text, sizeof(text), FROM "Content-Length: %zu\n\n%s", wrong, inside);
		assert_int_equal(scan(text), 0);
		assert_int_equal(count, 2);
	}
	snprintf(text, sizeof(text), FROM "Content-Length: 18446744073709551000\n\n%s", inside);
	assert_int_equal(scan(text), 0);
	assert_int_equal(count, 2);
	/* a last line without its end, which the delivering program gave it */
	snprintf(text, sizeof(text), FROM "Content-Length: %zu\n\n%s", strlen(inside) - 1, inside);
	assert_int_equal(scan(text), 0);
	assert_int_equal(count, 1);
	/* two of them are one too many */
	snprintf(text, sizeof(text), FROM "Content-Length: %zu\nContent-Length: 5\n\n%s",
		 strlen(inside), inside);
	assert_int_equal(scan(text), 0);
	assert_int_equal(count, 2);
}

static void pseudo_message(void **state)
{
#define PSEUDO \
	FROM "Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\nX-IMAP: 1 2\n\nText\n\n"
	const char *text = PSEUDO PSEUDO FROM "\nz\n";

	(void)state;
	assert_int_equal(scan(text), 0);
	assert_int_equal(count, 3);
	assert_true(messages[0].pseudo);
	/* only the first one can be it */
	assert_false(messages[1].pseudo || messages[2].pseudo);
	assert_int_equal(
		scan(FROM "Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\n\nText\n"),
		0);
	assert_false(messages[0].pseudo);
}

static void files_that_are_no_mbox(void **state)
{
	static const char *const texts[] = {"Subject: x\n\n" FROM, "From here to there\n\nx\n",
					    "\n \n" FROM, "MIME-Version",
					    "\x7f"
					    "ELF"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		assert_int_equal(scan(texts[i]), EBADMSG);
		assert_int_equal(count, 0);
	}
	assert_int_equal(scan("\n\r\n" FROM "\nx\n"), 0);
	assert_int_equal(count, 1);
}

/* A sparse file: the second message is behind 5 GB. */
static void beyond_four_gigabytes(void **state)
{
	const char *first = FROM "Content-Length: 5368709120\n\n",
		   *second = "\n" FROM "A: b\n\nz\n";
	uint64_t at = strlen(first) + 5368709120u;
	int fd = file_of(first, strlen(first));

	(void)state;
	assert_int_equal(pwrite(fd, second, strlen(second), (off_t)at), strlen(second));
	count = 0;
	assert_int_equal(
		mbox_read_messages(&maildrop_kernel, fd, at + 1, at + strlen(second), found, NULL),
		0);
	assert_int_equal(count, 1);
	assert_int_equal(messages[0].start, at + 1);
	assert_int_equal(messages[0].octets, strlen("A: b\r\n\r\nz\r\n"));
	close(fd);
}

/* Through the reader's buffer many times, at boundaries that fall everywhere. */
static unsigned many;
static uint64_t next_start;

static void found_many(void *context, const struct mbox_message *m)
{
	(void)context;
	assert_int_equal(m->start, next_start);
	assert_int_equal(m->stored, strlen("A: b\n\n") + many % 1500 + 1);
	assert_int_equal(m->octets, m->stored + 3);
	next_start = mbox_message_end(m) + 1;
	many++;
}

static void many_messages(void **state)
{
	int fd = memfd_create("mbox", MFD_CLOEXEC);
	char text[1700], letters[1501];
	off_t size = 0;

	(void)state;
	memset(letters, 'x', sizeof(letters) - 1);
	letters[sizeof(letters) - 1] = '\0';
	for (unsigned i = 0; i < 3000; i++) {
		int n = snprintf(text, sizeof(text), FROM "A: b\n\n%.*s\n\n", (int)(i % 1500),
				 letters);

		assert_int_equal(pwrite(fd, text, (size_t)n, size), n);
		size += n;
	}
	many = 0;
	next_start = 0;
	assert_int_equal(
		mbox_read_messages(&maildrop_kernel, fd, 0, (uint64_t)size, found_many, NULL), 0);
	assert_int_equal(many, 3000);
	many = 0;
	next_start = 0;
	/* it became shorter since its size was asked for */
	assert_int_equal(
		mbox_read_messages(&maildrop_kernel, fd, 0, (uint64_t)size + 1, found_many, NULL),
		-1);
	assert_int_equal(errno, ESTALE);
	close(fd);
}

static void empty_lines(void **state)
{
	static const struct {
		const char *text;
		uint32_t octets;
	} cases[] = {{"", 0},    {"\n", 1},  {"\nx", 1}, {"\r\n", 2},  {"\r\nx", 2},  {"\r", 0},
		     {"\rx", 0}, {" \n", 0}, {"x\n", 0}, {"x\r\n", 0}, {"\r\r\n", 0}, {"\n\n", 1}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_int_equal(mbox_empty_line((pop3_span){cases[i].text, strlen(cases[i].text)}),
				 cases[i].octets);
	/* what stands behind the span does not count */
	assert_int_equal(mbox_empty_line((pop3_span){"\r\n", 1}), 0);
	assert_int_equal(mbox_empty_line((pop3_span){"\n", 0}), 0);
}

static void header_values(void **state)
{
	static const struct {
		const char *text, *value; /* NULL: it is another line */
	} cases[] = {{"X-UID: 12\nmore", "12"}, {"x-uid:12", "12"},   {"X-UID:\t 1 2 \r\n", "1 2"},
		     {"X-UID:\n", ""},          {"X-UID:   ", ""},    {"X-UID", NULL},
		     {"X-UIDs: 1\n", NULL},     {"Y-UID: 1\n", NULL}, {"X-UID : 1\n", NULL}};
	pop3_span value;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		pop3_span text = {cases[i].text, strlen(cases[i].text)};
		bool is = mbox_header_value(text, (pop3_span){"X-UID:", 6}, &value);

		assert_int_equal(is, cases[i].value != NULL);
		if (!is)
			continue;
		assert_int_equal(value.size, strlen(cases[i].value));
		assert_memory_equal(value.data, cases[i].value, value.size);
	}
}

static void header_kinds(void **state)
{
	static const struct {
		const char *text;
		enum mbox_header kind;
	} cases[] = {{"Status: RO\n", MBOX_HEADER_HIDDEN},
		     {"STATUS:\n", MBOX_HEADER_HIDDEN},
		     {"X-Status: A\n", MBOX_HEADER_HIDDEN},
		     {"X-Keywords: a\n", MBOX_HEADER_HIDDEN},
		     {"x-keywords:", MBOX_HEADER_HIDDEN},
		     {"X-UID: 1\n", MBOX_HEADER_HIDDEN},
		     {"X-IMAP: 1 2\n", MBOX_HEADER_HIDDEN},
		     {"X-IMAPbase: 1 2\n", MBOX_HEADER_HIDDEN},
		     {"Content-Length: 1\n", MBOX_HEADER_VARIES},
		     {"content-length: 1\n", MBOX_HEADER_VARIES},
		     {"Lines: 1\n", MBOX_HEADER_VARIES},
		     {"lines:1\n", MBOX_HEADER_VARIES},
		     {"Subject: x\n", MBOX_HEADER},
		     {"Status\n", MBOX_HEADER},
		     {"Status-X: x\n", MBOX_HEADER},
		     {"X-Mailer: x\n", MBOX_HEADER},
		     {"Content-Type: x\n", MBOX_HEADER},
		     {" Status: RO\n", MBOX_HEADER},
		     {"\n", MBOX_HEADER},
		     {"", MBOX_HEADER}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_int_equal(
			mbox_header_kind((pop3_span){cases[i].text, strlen(cases[i].text)}),
			cases[i].kind);
}

/* Each number of a date at both of its bounds. */
static void dates_at_their_bounds(void **state)
{
	static const struct {
		const char *date;
		bool is;
	} cases[] = {{"Sat Jan 1 0:00:00 1970", true},
		     {"Sun Dec 31 23:59:60 2999", true},
		     {"Sat Jan 0 12:00:00 2022", false},
		     {"Sat Jan 32 12:00:00 2022", false},
		     {"Sat Jan 1 24:00:00 2022", false},
		     {"Sat Jan 1 12:60:00 2022", false},
		     {"Sat Jan 1 12:00:61 2022", false},
		     {"Sat Jan 1 12:00 2022", true},
		     {"Sat Jan 1 12:0:00 2022", false},
		     {"Sat Jan 1 12:00:0 2022", false},
		     {"Sat Jan 1 12:00:00 1969", false},
		     {"Sat Jan 1 12:00:00 3000", false},
		     {"Sat Jan 1 12:00:00 202", false},
		     {"Sat Jan 1 12:00:00 20222", false},
		     {"Sat Jan 001 12:00:00 2022", false},
		     {"Sat Jan 1 12:00:00 CET 2022", true},
		     {"Sat Jan 1 12:00:00 +0100 2022", true},
		     {"Sat Jan 1 12:00:00 +9999 2022", true},
		     {"Sat Jan 1 12:00:00 +100 2022", false},
		     {"Sat Jan 1 12:00:00 -0100 2022", true},
		     {"Sat Jan 1 12:00:00 MET DST 2022", true},
		     {"Sat Jan 1 12:00:00 A B C 2022", false},
		     {"Sat Jan 1 12:00:00 ABCDEF 2022", true},
		     {"Sat Jan 1 12:00:00 ABCDEFG 2022", false},
		     {"Sat Jan 1 12:00:00 AZaz 2022", true},
		     {"Sat Jan 1 12:00:00 @ 2022", false},
		     {"Sat Jan 1 12:00:00 [ 2022", false},
		     {"Sat Jan 1 12:00:00 ` 2022", false},
		     {"Sat Jan 1 12:00:00 { 2022", false},
		     {"Sat Jan 1 12:00:00", false},
		     {"Sat Jan 1 12:00:00 2022 +0100", true},
		     {"Say Jan 1 12:00:00 2022", false},
		     {"Sat Jab 1 12:00:00 2022", false},
		     {"SatJan 1 12:00:00 2022", false},
		     {"Sat Jan1 12:00:00 2022", false},
		     {"Sat Jan 1 12.00:00 2022", false}};
	char line[100];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int n = snprintf(line, sizeof(line), "From a %s\nx", cases[i].date);

		if (mbox_from_line((pop3_span){line, (size_t)n}) !=
		    (cases[i].is ? (uint32_t)n - 1 : 0))
			fail_msg("%s", cases[i].date);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(from_lines),
		cmocka_unit_test(long_from_lines),
		cmocka_unit_test(plain_messages),
		cmocka_unit_test(line_ends),
		cmocka_unit_test(quoted_lines_stay),
		cmocka_unit_test(messages_without_body),
		cmocka_unit_test(hidden_headers),
		cmocka_unit_test(content_length),
		cmocka_unit_test(pseudo_message),
		cmocka_unit_test(files_that_are_no_mbox),
		cmocka_unit_test(beyond_four_gigabytes),
		cmocka_unit_test(many_messages),
		cmocka_unit_test(empty_lines),
		cmocka_unit_test(header_values),
		cmocka_unit_test(header_kinds),
		cmocka_unit_test(dates_at_their_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
