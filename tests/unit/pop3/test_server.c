/*
 * The server machine where transcripts do not reach: 64-bit sums, huge maildrops, lent storage,
 * output through the smallest buffer, sizes of what an idle session costs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pop3/server.h>

static char name[POP3_NAME_MAX]; /* of USER; each test has one machine at a time */

static const struct pop3_server_settings settings = {
	.mechanisms = "PLAIN",
	.mechanisms_tls = "PLAIN",
	.plain_login = true,
	.plain_login_tls = true,
	.stls = true,
	.expire_days = -2,
	.login_delay = -1,
};

/* Everything pending, as a string that lives until the next call. */
static const char *pulled(struct pop3_server *server, size_t cap)
{
	static char text[2048];
	size_t size = 0;

	while (pop3_server_want(server) == POP3_WANT_OUTPUT) {
		assert_true(size + cap < sizeof(text));
		size += pop3_server_pull(server, text + size, cap);
	}
	text[size] = '\0';
	return text;
}

static enum pop3_event_type say(struct pop3_server *server, const char *text,
				struct pop3_event *event)
{
	pop3_span in = {text, strlen(text)};
	enum pop3_event_type type = pop3_server_next(server, &in, event);

	assert_int_equal(in.size, 0);
	return type;
}

/* A command that the machine answers alone. */
static const char *told(struct pop3_server *server, const char *text)
{
	struct pop3_event event;

	assert_int_equal(say(server, text, &event), POP3_EVENT_NONE);
	return pulled(server, 64);
}

static void log_in(struct pop3_server *server, uint32_t count, uint64_t octets)
{
	struct pop3_event event;

	pop3_server_init(server, &settings, false, (pop3_span){NULL, 0}, (pop3_span){NULL, 0});
	pop3_server_lend_name(server, name);
	assert_string_equal(pulled(server, 64), "+OK POP3 server ready\r\n");
	assert_string_equal(told(server, "USER bob\r\n"), "+OK now PASS\r\n");
	assert_int_equal(say(server, "PASS x\r\n", &event), POP3_EVENT_PASS);
	assert_int_equal(pop3_server_want(server), POP3_WANT_REPLY);
	pop3_server_reply_logged_in(server, count, octets);
	pulled(server, 64);
	assert_int_equal(pop3_server_state(server), POP3_TRANSACTION);
}

/* Threat 45, and a live mistake of others: totals of 32 bits. */
static void test_threat_45_totals(void **state)
{
	const uint64_t big = (uint64_t)3 << 31; /* 6 GiB */
	struct pop3_server server;
	struct pop3_event event;
	uint8_t marks[1] = {0};

	log_in(&server, 4, 4 * big);
	assert_string_equal(told(&server, "STAT\r\n"), "+OK 4 25769803776\r\n");
	assert_int_equal(say(&server, "DELE 3\r\n", &event), POP3_EVENT_DELE);
	pop3_server_lend_marks(&server, marks);
	pop3_server_mark(&server, 3, big);
	pulled(&server, 64);
	assert_string_equal(told(&server, "STAT\r\n"), "+OK 3 19327352832\r\n");
	assert_int_equal(say(&server, "RETR 4\r\n", &event), POP3_EVENT_RETR);
	pop3_server_reply_message(&server, big);
	assert_string_equal(pulled(&server, 64), "+OK 6442450944 octets\r\n");
	pop3_server_body_failed(&server);
	assert_int_equal(pop3_server_want(&server), POP3_WANT_CLOSE);
}

static void test_threat_45_highest_number(void **state)
{
	struct pop3_server server;
	struct pop3_event event;

	log_in(&server, UINT32_MAX, UINT64_MAX);
	assert_string_equal(told(&server, "STAT\r\n"), "+OK 4294967295 18446744073709551615\r\n");
	assert_int_equal(say(&server, "RETR 4294967295\r\n", &event), POP3_EVENT_RETR);
	assert_int_equal(event.number, UINT32_MAX);
	pop3_server_reply_err(&server, POP3_CODE_SYS_PERM, "x");
	assert_string_equal(pulled(&server, 64), "-ERR [SYS/PERM] x\r\n");
	assert_string_equal(told(&server, "RETR 4294967296\r\n"), "-ERR no such message\r\n");
}

static void test_listing_lines(void **state)
{
	static const struct {
		uint32_t number;
		uint64_t octets;
		const char *line;
	} cases[] = {
		{1, 0, "1 0\r\n"},
		{9, 10, "9 10\r\n"},
		{10, 99, "10 99\r\n"},
		{100, 12345, "100 12345\r\n"},
		{UINT32_MAX, UINT64_MAX, "4294967295 18446744073709551615\r\n"},
	};
	char out[96], id[71];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t n =
			pop3_server_line_list(out, sizeof(out), cases[i].number, cases[i].octets);

		assert_int_equal(n, strlen(cases[i].line));
		assert_memory_equal(out, cases[i].line, n);
	}
	memset(id, '~', 70);
	id[70] = '\0';
	size_t n = pop3_server_line_uidl(out, sizeof(out), UINT32_MAX, (pop3_span){id, 70});

	assert_int_equal(n, 83);
	assert_memory_equal(out, "4294967295 ~~~", 14);
	assert_memory_equal(out + 79, "~~\r\n", 4);
	/* too little room: nothing is written */
	memset(out, '!', sizeof(out));
	assert_int_equal(pop3_server_line_uidl(out, 82, UINT32_MAX, (pop3_span){id, 70}), 0);
	assert_int_equal(pop3_server_line_list(out, 20, 1, 1), 0);
	assert_int_equal(out[0], '!');
}

static void assert_number(uint64_t n)
{
	char out[96], want[96];
	size_t size = pop3_server_line_list(out, sizeof(out), (uint32_t)n, n);

	snprintf(want, sizeof(want), "%u %llu\r\n", (unsigned)(uint32_t)n, (unsigned long long)n);
	assert_int_equal(size, strlen(want));
	assert_memory_equal(out, want, size);
}

/* Every number of digits and its borders, against the library's formatting. */
static void test_numbers(void **state)
{
	for (uint64_t n = 1, step = 0; step < 64; step++, n = n * 3 + step)
		assert_number(n);
	for (uint64_t n = 1, digits = 1; digits <= 20; digits++, n *= 10) {
		assert_number(n);
		assert_number(n - 1);
		assert_number(n + 1);
	}
}

static void test_output_an_octet_at_a_time(void **state)
{
	struct pop3_server server;
	struct pop3_event event;
	char whole[2048];

	log_in(&server, 0, 0);
	assert_int_equal(say(&server, "CAPA\r\n", &event), POP3_EVENT_NONE);
	strcpy(whole, pulled(&server, 1024));
	assert_non_null(strstr(whole, "SASL PLAIN\r\n"));
	assert_int_equal(say(&server, "CAPA\r\n", &event), POP3_EVENT_NONE);
	assert_string_equal(pulled(&server, 1), whole);
	assert_int_equal(pop3_server_pull(&server, whole, sizeof(whole)), 0);
}

/* While a reply is owed or going out, no input is taken: a client that does not read is not read
 * from (threat 36). */
static void test_threat_36_no_input_while_busy(void **state)
{
	struct pop3_server server;
	struct pop3_event event;
	pop3_span in = {"NOOP\r\nLIST\r\nNOOP\r\n", 18};
	char out[64];

	log_in(&server, 0, 0);
	assert_int_equal(pop3_server_next(&server, &in, &event), POP3_EVENT_NONE);
	assert_int_equal(in.size, 12);
	assert_int_equal(pop3_server_next(&server, &in, &event), POP3_EVENT_NONE);
	assert_int_equal(in.size, 12);
	assert_string_equal(pulled(&server, 64), "+OK\r\n");
	assert_int_equal(pop3_server_next(&server, &in, &event), POP3_EVENT_LIST);
	assert_int_equal(in.size, 6);
	assert_int_equal(pop3_server_next(&server, &in, &event), POP3_EVENT_NONE);
	assert_int_equal(pop3_server_pull(&server, out, sizeof(out)), 0);
	pop3_server_reply_listing(&server);
	pulled(&server, 64);
	assert_int_equal(pop3_server_want(&server), POP3_WANT_LINES);
	assert_int_equal(pop3_server_next(&server, &in, &event), POP3_EVENT_NONE);
	assert_int_equal(in.size, 6);
	pop3_server_lines_end(&server);
	assert_string_equal(pulled(&server, 64), ".\r\n");
	assert_int_equal(pop3_server_next(&server, &in, &event), POP3_EVENT_NONE);
	assert_int_equal(in.size, 0);
}

/* Threat 1, from the side of the program: whatever it still offers is taken away. */
static void test_threat_01_early_octets_are_taken_away(void **state)
{
	struct pop3_server server;
	struct pop3_event event;
	pop3_span in = {"STLS\r\nUSER eve\r\nPA", 18};

	pop3_server_init(&server, &settings, false, (pop3_span){NULL, 0}, (pop3_span){NULL, 0});
	pop3_server_lend_name(&server, name);
	pulled(&server, 64);
	assert_int_equal(pop3_server_next(&server, &in, &event), POP3_EVENT_NONE);
	assert_int_equal(in.size, 0);
	assert_int_equal(say(&server, "SS x\r\n", &event), POP3_EVENT_NONE);
	assert_string_equal(pulled(&server, 64), "+OK begin the TLS handshake\r\n");
	assert_int_equal(pop3_server_want(&server), POP3_WANT_TLS);
	assert_int_equal(say(&server, "USER eve\r\n", &event), POP3_EVENT_NONE);
	assert_int_equal(pop3_server_want(&server), POP3_WANT_TLS);
	pop3_server_tls_started(&server);
	assert_int_equal(pop3_server_want(&server), POP3_WANT_INPUT);
	assert_string_equal(told(&server, "PASS x\r\n"), "-ERR USER comes first\r\n");
}

/* Threat 16: a million exchanges cancelled; the machine holds nothing, so nothing can grow. */
static void test_threat_16_cancels(void **state)
{
	struct pop3_server server;
	struct pop3_event event;
	char room[256];

	pop3_server_init(&server, &settings, false, (pop3_span){NULL, 0}, (pop3_span){NULL, 0});
	pop3_server_lend_name(&server, name);
	pulled(&server, 64);
	for (int i = 0; i < 1000000; i++) {
		if (say(&server, "AUTH PLAIN\r\n", &event) != POP3_EVENT_SASL_START)
			fail();
		pop3_server_lend(&server, room, sizeof(room));
		pop3_server_reply_challenge(&server, (pop3_span){"", 0});
		if (strcmp(pulled(&server, 64), "+ \r\n") != 0)
			fail();
		if (say(&server, "*\r\n", &event) != POP3_EVENT_SASL_CANCEL)
			fail();
		if (pop3_server_take_back(&server) != room)
			fail();
		if (strcmp(pulled(&server, 64), "-ERR cancelled\r\n") != 0)
			fail();
	}
	assert_null(pop3_server_take_back(&server));
}

/* An exchange with a long initial response, in pieces: the event of its response, or of what came
 * instead. lent: NULL, or storage of that size. */
static enum pop3_event_type long_auth(struct pop3_server *server, size_t octets, size_t piece,
				      char *lent, uint32_t size, struct pop3_event *event)
{
	static char line[20000];
	pop3_span in = {line, 0};
	enum pop3_event_type type = POP3_EVENT_NONE;
	bool started = false;
	size_t at = 0, all;

	all = (size_t)snprintf(line, sizeof(line), "auth plain ");
	memset(line + all, 'A', octets);
	memcpy(line + all + octets, "\r\n", 2);
	all += octets + 2;
	while (at < all && (type == POP3_EVENT_NONE || !started)) {
		in = (pop3_span){line + at, all - at < piece ? all - at : piece};
		type = pop3_server_next(server, &in, event);
		at = (size_t)(in.data - line);
		if (type == POP3_EVENT_SASL_START && !event->has_initial) {
			started = true;
			assert_int_equal(pop3_server_want(server), POP3_WANT_REPLY);
			assert_memory_equal(event->mechanism.data, "PLAIN", 5);
			if (lent)
				pop3_server_lend(server, lent, size);
			pop3_server_reply_challenge(server, (pop3_span){"", 0});
			assert_int_equal(pop3_server_want(server), POP3_WANT_INPUT);
			type = POP3_EVENT_NONE;
		} else if (type == POP3_EVENT_SASL_START) {
			break;
		}
		if (pop3_server_want(server) == POP3_WANT_OUTPUT)
			break;
	}
	return type;
}

/* Tokens are longer than a command line: they come as if the client had waited to be asked. */
static void test_long_initial_response(void **state)
{
	static char room[POP3_SASL_LINE_MAX];
	struct pop3_server server;
	struct pop3_event event;

	(void)state;
	for (size_t piece = 1; piece < 20000; piece = piece < 300 ? piece + 1 : piece * 3)
		for (size_t octets = 240; octets <= POP3_SASL_LINE_MAX; octets *= 4) {
			pop3_server_init(&server, &settings, false, (pop3_span){NULL, 0},
					 (pop3_span){NULL, 0});
			pop3_server_lend_name(&server, name);
			pulled(&server, 64);
			assert_int_equal(
				long_auth(&server, octets, piece, room, sizeof(room), &event),
				octets <= 242 ? POP3_EVENT_SASL_START : POP3_EVENT_SASL_RESPONSE);
			assert_int_equal(event.secret.size, octets);
			for (size_t i = 0; i < octets; i++)
				assert_int_equal(event.secret.data[i], 'A');
			pop3_server_reply_logged_in(&server, 0, 0);
			assert_string_equal(pulled(&server, 64), "+OK 0 messages (0 octets)\r\n");
			pop3_server_take_back(&server);
			assert_string_equal(told(&server, "NOOP\r\n"), "+OK\r\n");
		}
}

/* Its ends: too long for the storage that there is, for all storage, no base64, or refused. */
static void test_long_initial_response_bad(void **state)
{
	static char room[POP3_SASL_LINE_MAX];
	struct pop3_server server;
	struct pop3_event event;
	static const struct {
		size_t octets;
		uint32_t size; /* 0: nothing is lent */
	} cases[] = {{300, 0}, {300, 100}, {300, 242}, {300, 299}, {17000, sizeof(room)}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t piece = 1; piece < 20000; piece += 83) {
			pop3_server_init(&server, &settings, false, (pop3_span){NULL, 0},
					 (pop3_span){NULL, 0});
			pop3_server_lend_name(&server, name);
			pulled(&server, 64);
			assert_int_equal(long_auth(&server, cases[i].octets, piece,
						   cases[i].size ? room : NULL, cases[i].size,
						   &event),
					 POP3_EVENT_SASL_CANCEL);
			assert_string_equal(pulled(&server, 64), "-ERR line too long\r\n");
		}
}

/* AUTH PLAIN with 300 octets, some of them not sent yet. */
static void begin_long(struct pop3_server *server)
{
	struct pop3_event event;
	char line[400] = "AUTH PLAIN ";
	pop3_span in = {line, 311};

	memset(line + 11, 'A', 300);
	pop3_server_init(server, &settings, false, (pop3_span){NULL, 0}, (pop3_span){NULL, 0});
	pop3_server_lend_name(server, name);
	pulled(server, 64);
	assert_int_equal(pop3_server_next(server, &in, &event), POP3_EVENT_SASL_START);
	assert_true(in.size > 0 && !event.has_initial);
}

static void test_long_initial_response_refused(void **state)
{
	struct pop3_server server;
	struct pop3_event event;

	(void)state;
	begin_long(&server); /* the program has no time for it: the rest is read away */
	pop3_server_reply_err(&server, POP3_CODE_SYS_TEMP, "later");
	assert_string_equal(pulled(&server, 64), "-ERR [SYS/TEMP] later\r\n");
	assert_string_equal(told(&server, "AAAA\r\nQUIT\r\n"), "+OK bye\r\n");
	begin_long(&server); /* the server begins: the response is nothing that was asked for */
	pop3_server_reply_challenge(&server, (pop3_span){"Zm9v", 4});
	assert_string_equal(pulled(&server, 64), "+ Zm9v\r\n");
	assert_int_equal(say(&server, "AAAA\r\n", &event), POP3_EVENT_NONE);
	assert_int_equal(say(&server, "QUJD\r\n", &event), POP3_EVENT_SASL_RESPONSE);
	assert_int_equal(event.secret.size, 4);
	pop3_server_reply_err(&server, POP3_CODE_AUTH, "no");
	pulled(&server, 64);
	/* the next exchange has a challenge again */
	assert_int_equal(say(&server, "AUTH PLAIN\r\n", &event), POP3_EVENT_SASL_START);
	pop3_server_reply_challenge(&server, (pop3_span){"", 0});
	assert_string_equal(pulled(&server, 64), "+ \r\n");
}

static void expect_too_long(struct pop3_server *server, const char *line)
{
	struct pop3_event event;
	pop3_span in = {line, strlen(line)};

	assert_int_equal(pop3_server_next(server, &in, &event), POP3_EVENT_NONE);
	assert_string_equal(pulled(server, 64), "-ERR line too long\r\n");
	assert_int_equal(pop3_server_next(server, &in, &event), POP3_EVENT_NONE);
	assert_int_equal(in.size, 0);
}

/* Other long lines are what they were. */
static void test_long_lines(void **state)
{
	static const char *const heads[] = {"AUTH GUESS ", "AUTH  PLAIN ", "AUTH ",
					    "AUTHPLAIN ",  " AUTH PLAIN ", "USER ",
					    "PASS ",       "AUTH PLAIN\t", "\rAUTH PLAIN "};
	struct pop3_server server;
	char line[600];

	(void)state;
	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		pop3_server_init(&server, &settings, false, (pop3_span){NULL, 0},
				 (pop3_span){NULL, 0});
		pop3_server_lend_name(&server, name);
		pulled(&server, 64);
		snprintf(line, sizeof(line), "%s%0500d\r\n", heads[i], 0);
		expect_too_long(&server, line);
	}
	log_in(&server, 1, 1);
	snprintf(line, sizeof(line), "AUTH PLAIN %0500d\r\n", 0);
	expect_too_long(&server, line);
}

/* Marks for a maildrop of any size: one bit each, in the caller's storage, undone by RSET. */
static void test_marks(void **state)
{
	struct pop3_server server;
	struct pop3_event event;
	uint8_t marks[3] = {0};
	char command[32];

	log_in(&server, 17, 17);
	assert_false(pop3_server_has_marks(&server));
	assert_false(pop3_server_marked(&server, 1));
	for (unsigned i = 1; i <= 17; i++) {
		snprintf(command, sizeof(command), "DELE %u\r\n", i);
		assert_int_equal(say(&server, command, &event), POP3_EVENT_DELE);
		if (!pop3_server_has_marks(&server))
			pop3_server_lend_marks(&server, marks);
		pop3_server_mark(&server, i, 1);
		pulled(&server, 64);
		assert_true(pop3_server_marked(&server, i));
		assert_false(pop3_server_marked(&server, i + 1));
	}
	assert_int_equal(marks[0], 0xff);
	assert_int_equal(marks[2], 1);
	assert_int_equal(pop3_server_marked_count(&server), 17);
	assert_false(pop3_server_marked(&server, 0));
	assert_string_equal(told(&server, "RSET\r\n"), "+OK 17 messages (17 octets)\r\n");
	assert_int_equal(marks[0] | marks[1] | marks[2], 0);
	assert_int_equal(pop3_server_marked_count(&server), 0);
}

/* A password must not stay in the machine. */
static void test_no_password_stays(void **state)
{
	struct pop3_server server;
	struct pop3_event event;
	static const char secret[] = "correct horse battery staple";

	pop3_server_init(&server, &settings, false, (pop3_span){NULL, 0}, (pop3_span){NULL, 0});
	pop3_server_lend_name(&server, name);
	pulled(&server, 64);
	told(&server, "USER bob\r\n");
	assert_int_equal(say(&server, "PASS correct horse battery staple\r\n", &event),
			 POP3_EVENT_PASS);
	assert_int_equal(event.secret.size, sizeof(secret) - 1);
	assert_memory_equal(event.secret.data, secret, sizeof(secret) - 1);
	pop3_server_reply_logged_in(&server, 0, 0);
	for (size_t i = 0; i + 8 <= sizeof(server.line); i++)
		assert_memory_not_equal(server.line + i, "battery ", 8);
}

/* What grows behind the announced size is cut before it is sent. */
static void test_message_longer_than_announced(void **state)
{
	struct pop3_server server;
	struct pop3_event event;
	pop3_span in = {"12345\n", 6};
	char out[64];

	log_in(&server, 1, 3);
	assert_int_equal(say(&server, "RETR 1\r\n", &event), POP3_EVENT_RETR);
	pop3_server_reply_message(&server, 3);
	pulled(&server, 64);
	assert_int_equal(pop3_server_body(&server, &in, false, out, sizeof(out)), 0);
	assert_int_equal(pop3_server_want(&server), POP3_WANT_CLOSE);
}

/* An empty message, and one whose end comes as an empty last slice. */
static void test_body_ends(void **state)
{
	struct pop3_server server;
	struct pop3_event event;
	pop3_span none = {NULL, 0}, in = {"a", 1};
	char out[64];

	log_in(&server, 1, 0);
	assert_int_equal(say(&server, "RETR 1\r\n", &event), POP3_EVENT_RETR);
	pop3_server_reply_message(&server, 0);
	pulled(&server, 64);
	assert_int_equal(pop3_server_body(&server, &none, true, out, sizeof(out)), 0);
	assert_string_equal(pulled(&server, 64), ".\r\n");
	assert_int_equal(say(&server, "RETR 1\r\n", &event), POP3_EVENT_RETR);
	pop3_server_reply_message(&server, 3);
	pulled(&server, 64);
	assert_int_equal(pop3_server_body(&server, &in, false, out, sizeof(out)), 1);
	assert_int_equal(pop3_server_want(&server), POP3_WANT_BODY);
	assert_int_equal(pop3_server_body(&server, &none, true, out, sizeof(out)), 0);
	assert_string_equal(pulled(&server, 64), "\r\n.\r\n");
}

/* The size of a message of another server is known at its end. */
static void test_body_of_unknown_size(void **state)
{
	struct pop3_server server;
	struct pop3_event event;
	pop3_span in = {".a\n", 3}, none = {NULL, 0};
	char out[64];

	(void)state;
	log_in(&server, 1, 999);
	assert_int_equal(say(&server, "RETR 1\r\n", &event), POP3_EVENT_RETR);
	pop3_server_reply_message(&server, POP3_OCTETS_UNKNOWN);
	assert_string_equal(pulled(&server, 64), "+OK the message follows\r\n");
	assert_int_equal(pop3_server_body(&server, &in, false, out, sizeof(out)), 5);
	assert_memory_equal(out, "..a\r\n", 5);
	assert_int_equal(pop3_server_want(&server), POP3_WANT_BODY);
	assert_int_equal(pop3_server_body(&server, &none, true, out, sizeof(out)), 0);
	assert_string_equal(pulled(&server, 64), ".\r\n");
	assert_int_equal(say(&server, "TOP 1 0\r\n", &event), POP3_EVENT_TOP);
	pop3_server_reply_message(&server, POP3_OCTETS_UNKNOWN);
	assert_string_equal(pulled(&server, 64), "+OK the top follows\r\n");
}

/* A message that goes out beside the machine, cut where it hurts: inside a line in front of a dot,
 * between CR and LF. */
static void test_body_sent_by_other_means(void **state)
{
	static const char stored[] = "a.b\r\nc\r\n";
	struct pop3_server server;
	struct pop3_event event;
	char out[64];

	log_in(&server, 1, 8);
	for (uint64_t sent = 1; sent <= 8; sent++) {
		pop3_span rest = {stored + sent, 8 - sent};
		size_t n = 0;

		assert_int_equal(say(&server, "RETR 1\r\n", &event), POP3_EVENT_RETR);
		pop3_server_reply_message(&server, 8);
		pulled(&server, 64);
		pop3_server_body_sent(&server, sent);
		while (pop3_server_want(&server) == POP3_WANT_BODY)
			n += pop3_server_body(&server, &rest, true, out + n, 4);
		assert_int_equal(n, 8 - sent);
		assert_memory_equal(out, stored + sent, n);
		assert_string_equal(pulled(&server, 64), ".\r\n");
	}
	assert_int_equal(say(&server, "RETR 1\r\n", &event), POP3_EVENT_RETR);
	pop3_server_reply_message(&server, 8);
	pulled(&server, 64);
	pop3_server_body_sent(&server, 7);
	pop3_span none = {NULL, 0};

	pop3_server_body(&server, &none, true, out, sizeof(out));
	assert_int_equal(pop3_server_want(&server), POP3_WANT_CLOSE);
}

static void test_close_after(void **state)
{
	struct pop3_server server;
	struct pop3_event event;

	pop3_server_init(&server, &settings, false, (pop3_span){NULL, 0}, (pop3_span){NULL, 0});
	pop3_server_lend_name(&server, name);
	pulled(&server, 64);
	told(&server, "USER bob\r\n");
	assert_int_equal(say(&server, "PASS x\r\n", &event), POP3_EVENT_PASS);
	pop3_server_reply_err(&server, POP3_CODE_AUTH, "no more");
	pop3_server_close_after(&server);
	assert_string_equal(pulled(&server, 64), "-ERR [AUTH] no more\r\n");
	assert_int_equal(pop3_server_want(&server), POP3_WANT_CLOSE);
}

/* RFC 6856 section 3: texts are ASCII until the client asks for another language. A reply that is
 * too long ends between two characters of UTF-8. */
static void test_texts_in_utf8(void **state)
{
	struct pop3_server_settings with_lang = settings;
	static char text[400];
	struct pop3_server server;
	struct pop3_event event;
	const char *reply;

	(void)state;
	with_lang.lang = true;
	log_in(&server, 1, 5);
	server.settings = &with_lang;
	assert_int_equal(pop3_server_language(&server), POP3_ENGLISH);
	assert_int_equal(say(&server, "RETR 1\r\n", &event), POP3_EVENT_RETR);
	pop3_server_reply_err(&server, POP3_CODE_NONE, "\303\261\177");
	assert_string_equal(pulled(&server, 64), "-ERR ???\r\n");
	told(&server, "LANG es\r\n");
	assert_int_equal(pop3_server_language(&server), POP3_SPANISH);
	assert_int_equal(say(&server, "RETR 1\r\n", &event), POP3_EVENT_RETR);
	pop3_server_reply_err(&server, POP3_CODE_NONE, "\303\261\177\377\n");
	assert_string_equal(pulled(&server, 64), "-ERR \303\261???\r\n");
	for (size_t shift = 0; shift < 2; shift++) {
		memset(text, 'x', shift);
		for (size_t at = shift; at + 2 < sizeof(text); at += 2)
			memcpy(text + at, "\303\261", 2);
		text[sizeof(text) - 2] = '\0';
		say(&server, "RETR 1\r\n", &event);
		pop3_server_reply_err(&server, POP3_CODE_NONE, text);
		reply = pulled(&server, 64);
		assert_memory_equal(reply + strlen(reply) - 4, "\303\261\r\n", 4);
		assert_in_range(strlen(reply), 250, 256);
	}
	assert_int_equal(say(&server, "QUIT\r\n", &event), POP3_EVENT_QUIT);
	pop3_server_reply_ok(&server, "adi\303\263s");
	assert_string_equal(pulled(&server, 64), "+OK adi\303\263s\r\n");
}

/* RFC 2449 section 6.5: the user's own delay takes the place of the site's; -1 announces none. */
static void test_delay_of_a_user(void **state)
{
	struct pop3_server_settings with_delay = settings;
	struct pop3_server server;

	(void)state;
	with_delay.login_delay = 60;
	log_in(&server, 0, 0);
	server.settings = &with_delay;
	assert_null(strstr(told(&server, "CAPA\r\n"), "LOGIN-DELAY"));
	pop3_server_user_delay(&server, INT32_MAX);
	assert_non_null(strstr(told(&server, "CAPA\r\n"), "\r\nLOGIN-DELAY 2147483647\r\n"));
	pop3_server_user_delay(&server, 0);
	assert_non_null(strstr(told(&server, "CAPA\r\n"), "\r\nLOGIN-DELAY 0\r\n"));
	pop3_server_user_delay(&server, -1);
	assert_null(strstr(told(&server, "CAPA\r\n"), "LOGIN-DELAY"));
}

/* Budget: an idle session costs a few hundred octets of the front. */
static void test_size(void **state)
{
	assert_in_range(sizeof(struct pop3_server), 1, 768);
}

/* A site without memory for a name says so; other commands and a later USER go on. */
static void a_name_needs_storage(void **state)
{
	struct pop3_server server;
	struct pop3_event event;
	char room[POP3_NAME_MAX];

	(void)state;
	pop3_server_init(&server, &settings, false, (pop3_span){NULL, 0}, (pop3_span){NULL, 0});
	pulled(&server, 64);
	assert_true(pop3_server_wants_name(&server));
	assert_string_equal(told(&server, "USER bob\r\n"),
			    "-ERR [SYS/TEMP] out of memory, try again later\r\n");
	assert_string_equal(told(&server, "PASS x\r\n"), "-ERR USER comes first\r\n");
	pop3_server_lend_name(&server, room);
	assert_false(pop3_server_wants_name(&server));
	assert_string_equal(told(&server, "USER bob\r\n"), "+OK now PASS\r\n");
	assert_int_equal(say(&server, "PASS x\r\n", &event), POP3_EVENT_PASS);
	assert_int_equal(event.user.size, 3);
	pop3_server_reply_logged_in(&server, 0, 0);
	assert_false(pop3_server_wants_name(&server));
	assert_ptr_equal(pop3_server_take_back_name(&server), room);
	assert_null(pop3_server_take_back_name(&server));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_needs_storage),
		cmocka_unit_test(test_threat_45_totals),
		cmocka_unit_test(test_threat_45_highest_number),
		cmocka_unit_test(test_listing_lines),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_output_an_octet_at_a_time),
		cmocka_unit_test(test_threat_36_no_input_while_busy),
		cmocka_unit_test(test_threat_01_early_octets_are_taken_away),
		cmocka_unit_test(test_threat_16_cancels),
		cmocka_unit_test(test_long_initial_response),
		cmocka_unit_test(test_long_initial_response_bad),
		cmocka_unit_test(test_long_initial_response_refused),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_marks),
		cmocka_unit_test(test_no_password_stays),
		cmocka_unit_test(test_message_longer_than_announced),
		cmocka_unit_test(test_body_ends),
		cmocka_unit_test(test_body_of_unknown_size),
		cmocka_unit_test(test_body_sent_by_other_means),
		cmocka_unit_test(test_close_after),
		cmocka_unit_test(test_texts_in_utf8),
		cmocka_unit_test(test_delay_of_a_user),
		cmocka_unit_test(test_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
