/* The pure parts of valija-upload: replies of IMAP, names of folders, dates and Message-IDs of
 * headers, answers of Gmail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/text.h"
#include "fetch/upload/folder.h"
#include "fetch/upload/head.h"
#include "fetch/upload/reply.h"
#include "fetch/upload/verdict.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The lines of text, fed in pieces, with "|" between them; "!" where it is refused. */
static void read_all(const char *text, size_t piece, char *ret, size_t size)
{
	struct reply_reader *reader = calloc(1, sizeof(*reader));
	size_t at = 0, n = strlen(text);

	ret[0] = '\0';
	while (at < n) {
		pop3_span in = {text + at, n - at < piece ? n - at : piece}, line;
		enum reply_take took;

		at += in.size;
		while ((took = reply_take(reader, &in, &line)) == REPLY_LINE)
			snprintf(ret + strlen(ret), size - strlen(ret), "%.*s|", (int)line.size,
				 line.data);
		if (took == REPLY_BAD) {
			snprintf(ret + strlen(ret), size - strlen(ret), "!");
			break;
		}
		assert_int_equal(in.size, 0);
	}
	free(reader);
}

static void lines_however_they_are_split(void **state)
{
	static const char text[] =
		"* OK hi\r\n+ \r\n* LIST () \"/\" {7}\r\nIN\r\nBOX x\nV1 OK {z}\r\n"
		"* X {0}\r\n y\r\n";
	char whole[200], pieces[200];

	(void)state;
	read_all(text, sizeof(text), whole, sizeof(whole));
	assert_string_equal(whole, "* OK hi|+ |* LIST () \"/\" {7} x|V1 OK {z}|* X {0} y|");
	for (size_t piece = 1; piece < sizeof(text); piece++) {
		read_all(text, piece, pieces, sizeof(pieces));
		assert_string_equal(pieces, whole);
	}
	read_all("* X {65536}\r\n", 3, whole, sizeof(whole));
	assert_string_equal(whole, "");
	read_all("* X {65537}\r\nabc\r\n", 3, whole, sizeof(whole));
	assert_string_equal(whole, "!");
}

static void a_line_without_end(void **state)
{
	struct reply_reader *reader = calloc(1, sizeof(*reader));
	char octets[REPLY_LINE_MAX + 1];
	pop3_span in = {octets, REPLY_LINE_MAX}, line;

	(void)state;
	memset(octets, 'x', sizeof(octets));
	assert_int_equal(reply_take(reader, &in, &line), REPLY_MORE);
	in = (pop3_span){octets, 1};
	assert_int_equal(reply_take(reader, &in, &line), REPLY_BAD);
	in = SPAN_LITERAL("\r\n* OK\r\n");
	assert_int_equal(reply_take(reader, &in, &line), REPLY_BAD);
	free(reader);
}

static void what_a_line_says(void **state)
{
	static const struct {
		const char *line;
		enum reply_kind kind;
		enum reply_status status;
		const char *code, *text;
	} cases[] = {{"V2 OK [APPENDUID 1 2] done", REPLY_TAGGED, REPLY_OK, "APPENDUID 1 2",
		      "[APPENDUID 1 2] done"},
		     {"V2 no [trycreate] x", REPLY_TAGGED, REPLY_NO, "trycreate", "[trycreate] x"},
		     {"V2 BAD", REPLY_TAGGED, REPLY_NOT_UNDERSTOOD, "", ""},
		     {"V2 NO [open", REPLY_TAGGED, REPLY_NO, "", "[open"},
		     {"V2 MAYBE x", REPLY_NONSENSE, REPLY_OTHER, "", "MAYBE x"},
		     {"V1 OK late", REPLY_NONSENSE, REPLY_OTHER, "", NULL},
		     {"* BYE now", REPLY_UNTAGGED, REPLY_BYE, "", "now"},
		     {"* SEARCH 1 2", REPLY_UNTAGGED, REPLY_OTHER, "", "SEARCH 1 2"},
		     {"* 3 EXISTS", REPLY_UNTAGGED, REPLY_OTHER, "", "3 EXISTS"},
		     {"+", REPLY_CONTINUE, REPLY_OTHER, "", ""},
		     {"+ go", REPLY_CONTINUE, REPLY_OTHER, "", "go"},
		     {"", REPLY_NONSENSE, REPLY_OTHER, "", NULL}};
	struct reply reply;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		reply_parse(span_of(cases[i].line), "V2", &reply);
		assert_int_equal(reply.kind, cases[i].kind);
		assert_int_equal(reply.status, cases[i].status);
		assert_true(span_equal(reply.code, span_of(cases[i].code)));
		if (cases[i].text)
			assert_true(span_equal(reply.text, span_of(cases[i].text)));
	}
	reply_parse(SPAN_LITERAL("V2 NO [TRYCREATED] x"), "V2", &reply);
	assert_false(reply_code_is(&reply, "TRYCREATE"));
	reply_parse(SPAN_LITERAL("V2 NO [TryCreate] x"), "V2", &reply);
	assert_true(reply_code_is(&reply, "TRYCREATE"));
}

static void capabilities(void **state)
{
	pop3_span words = SPAN_LITERAL("CAPABILITY IMAP4rev1 literal+ APPENDLIMIT=123 X"), value;

	(void)state;
	assert_true(reply_has_word(words, "LITERAL+", NULL));
	assert_false(reply_has_word(words, "LITERAL-", NULL));
	assert_false(reply_has_word(words, "APPENDLIMIT", NULL));
	assert_true(reply_has_word(words, "APPENDLIMIT", &value));
	assert_true(span_equal(value, SPAN_LITERAL("123")));
	assert_true(reply_has_word(words, "X", &value));
	assert_int_equal(value.size, 0);
}

static void folders(void **state)
{
	static const struct {
		const char *name, *wire;
	} cases[] = {{"INBOX", "\"INBOX\""},
		     {"a \"b\\c&d", "\"a \\\"b\\\\c&-d\""},
		     {"Entwürfe", "\"Entw&APw-rfe\""},
		     {"~peter/mail/台北/日本語", "\"~peter/mail/&U,BTFw-/&ZeVnLIqe-\""},
		     {"\xf0\x9f\x93\xac", "\"&2D3c7A-\""},
		     {"", "\"\""}};
	static const char *const wrong[] = {
		"a\rb", "\x7f", "\xff", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82"};
	char wire[FOLDER_WIRE_MAX], *longest = calloc(1, FOLDER_WIRE_MAX + 1);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(folder_wire(span_of(cases[i].name), wire), 0);
		assert_string_equal(wire, cases[i].wire);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(folder_wire(span_of(wrong[i]), wire), -1);
	memset(longest, 'x', FOLDER_WIRE_MAX);
	assert_int_equal(folder_wire((pop3_span){longest, FOLDER_WIRE_MAX - 3}, wire), 0);
	assert_int_equal(folder_wire((pop3_span){longest, FOLDER_WIRE_MAX - 2}, wire), -1);
	free(longest);
}

static void dates(void **state)
{
	static const struct {
		const char *text;
		int64_t seconds;
	} cases[] = {{"Sat, 28 Nov 2026 15:04:05 +0000", 1795878245},
		     {" Sat,28 Nov 2026 16:04:05 +0100 (CET)", 1795878245},
		     {"28 Nov 2026 (a (b) 15:04 GMT", 1795878240},
		     {"(x) 28 (y) Nov 26 15:04:05", 1795878245},
		     {"1 Jan 70 00:00:00 +0000", 0},
		     {"31 Foo 2026 00:00:00", 0},
		     {"28 Nov 2026 24:00:00", 0},
		     {"28 Nov 2026 15:60:00", 0},
		     {"28 Nov 2026", 0},
		     {"0 Nov 2026 15:04:05", 0},
		     {"yesterday", 0},
		     {"(", 0},
		     {"", 0}};
	char when[40];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(head_parse_date(cases[i].text), cases[i].seconds);
	head_imap_date(1795878245, when);
	assert_string_equal(when, "28-Nov-2026 15:04:05 +0000");
}

static void headers(void **state)
{
	static const char head[] = "Received: from a\r\n\tby b;\r\n 28 Nov 2026 15:04:05 +0000\r\n"
				   "Received: by c; 27 Nov 2026 00:00:00 +0000\r\n"
				   "message-id:\r\n <a.b@c>\r\nDate: 1 Jan 2020 00:00:00 +0000\r\n"
				   "\r\nSubject: body\r\n";
	char field[HEAD_FIELD_MAX + 1], *longest = malloc(5000);
	size_t n;

	(void)state;
	assert_int_equal(head_field(SPAN_LITERAL(head), "Subject", field), 0);
	assert_true(head_field(SPAN_LITERAL(head), "received", field) > 0);
	assert_string_equal(field, " from a\tby b; 28 Nov 2026 15:04:05 +0000");
	assert_int_equal(head_date(SPAN_LITERAL(head), INT64_MAX), 1795878245);
	assert_int_equal(head_date(SPAN_LITERAL(head), 1795878244), 0); /* not from the future */
	assert_int_equal(head_message_id(SPAN_LITERAL(head), field), 5);
	assert_string_equal(field, "a.b@c");
	assert_int_equal(head_message_id(SPAN_LITERAL("Message-ID: <a b>\n\n"), field), 0);
	assert_int_equal(head_message_id(SPAN_LITERAL("Message-ID: <a\"b>\n\n"), field), 0);
	assert_int_equal(head_message_id(SPAN_LITERAL("Message-ID: <a\n\n"), field), 0);
	assert_int_equal(head_message_id(SPAN_LITERAL("Message-ID: <a<b@c>\n\n"), field), 0);
	assert_int_equal(head_message_id(SPAN_LITERAL("Message-ID: <<a@c>\n\n"), field), 0);
	assert_int_equal(head_message_id(SPAN_LITERAL("Message-ID: <a\0b>\n\n"), field), 0);
	assert_int_equal(head_message_id(SPAN_LITERAL("\nMessage-ID: <a>\n"), field), 0);
	/* the end of a long field counts: there is the date */
	n = (size_t)snprintf(longest, 5000, "Received: %4000d; 28 Nov 2026 15:04:05 +0000\n\n", 1);
	assert_int_equal(head_date((pop3_span){longest, n}, INT64_MAX), 1795878245);
	assert_int_equal(head_field((pop3_span){longest, n}, "Received", field), HEAD_FIELD_MAX);
	free(longest);
}

static void verdicts(void **state)
{
	static const struct {
		long status;
		const char *body;
		uint32_t wait;
		enum upload_result result;
		uint32_t ret_wait;
	} cases[] = {{200, "", 0, UPLOAD_DONE, 0},
		     {401, "", 0, UPLOAD_LOGIN, 0},
		     {400, "{\"error\":{\"errors\":[{\"reason\":\"invalidArgument\"}]}}", 0,
		      UPLOAD_REFUSED, 0},
		     {400, "<html>", 0, UPLOAD_REFUSED, 0},
		     {400, "{\"error\":{\"message\":\"Invalid label: x\"}}", 0, UPLOAD_BROKEN, 0},
		     {400, "{\"error\":{\"status\":\"FAILED_PRECONDITION\"}}", 0, UPLOAD_BROKEN, 0},
		     {413, "", 0, UPLOAD_REFUSED, 0},
		     {403, "{\"error\":{\"errors\":[{\"reason\":\"rateLimitExceeded\"}]}}", 0,
		      UPLOAD_LATER, 60},
		     {403, "{\"error\":{\"errors\":[{\"reason\":\"domainPolicy\"}]}}", 0,
		      UPLOAD_BROKEN, 0},
		     {403, "{\"error\":[1,{}]}", 0, UPLOAD_BROKEN, 0},
		     {429, "", 17, UPLOAD_LATER, 17},
		     {503, "[[[", 0, UPLOAD_LATER, 60},
		     {302, "", 0, UPLOAD_BROKEN, 0}};
	struct upload_answer answer;
	char id[LABEL_ID_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		answer = (struct upload_answer){0};
		assert_int_equal(verdict_import(cases[i].status, span_of(cases[i].body),
						cases[i].wait, &answer),
				 cases[i].result);
		assert_int_equal(answer.wait, cases[i].ret_wait);
	}
	assert_int_equal(
		verdict_list(200, SPAN_LITERAL("{\"messages\":[{\"id\":\"1\"}]}"), 0, &answer),
		UPLOAD_DONE);
	assert_int_equal(verdict_list(200, SPAN_LITERAL("{\"resultSizeEstimate\":0}"), 0, &answer),
			 UPLOAD_ABSENT);
	assert_int_equal(verdict_list(200, SPAN_LITERAL("x"), 0, &answer), UPLOAD_UNKNOWN);
	assert_int_equal(verdict_list(403, SPAN_LITERAL("{}"), 0, &answer), UPLOAD_UNKNOWN);
	assert_int_equal(verdict_list(500, SPAN_LITERAL("{}"), 0, &answer), UPLOAD_LATER);
	assert_int_equal(
		verdict_label(SPAN_LITERAL("{\"labels\":[{\"id\":\"L1\",\"name\":\"ANNA\"},"
					   "{\"id\":\"L2\",\"name\":\"Anna\"}]}"),
			      "Anna", id),
		0);
	assert_string_equal(id, "L2");
	assert_int_equal(verdict_label(SPAN_LITERAL("{}"), "Anna", id), 1);
	assert_int_equal(verdict_label(SPAN_LITERAL("[]"), "Anna", id), -1);
	assert_int_equal(verdict_label(SPAN_LITERAL("{\"labels\":[{\"name\":\"a\"}]}"), "a", id),
			 -1);
	assert_int_equal(verdict_label_made(SPAN_LITERAL("{\"id\":\"L9\"}"), id), 0);
	assert_int_equal(verdict_label_made(SPAN_LITERAL("{\"id\":9}"), id), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_however_they_are_split),
		cmocka_unit_test(a_line_without_end),
		cmocka_unit_test(what_a_line_says),
		cmocka_unit_test(capabilities),
		cmocka_unit_test(folders),
		cmocka_unit_test(dates),
		cmocka_unit_test(headers),
		cmocka_unit_test(verdicts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
