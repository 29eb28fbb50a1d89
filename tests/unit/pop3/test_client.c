/*
 * The client machine where transcripts do not reach: the window, pipelining, what is rendered, the
 * stamps of greetings.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pop3/client.h>

static const pop3_span none = {NULL, 0};

static enum pop3_client_event_type next(struct pop3_client *client, pop3_span *in,
					struct pop3_client_event *event)
{
	static char scratch[256];

	return pop3_client_next(client, in, scratch, sizeof(scratch), event);
}

static void hear(struct pop3_client *client, const char *text, enum pop3_client_event_type type,
		 enum pop3_command command)
{
	pop3_span in = {text, strlen(text)};
	struct pop3_client_event event;

	assert_int_equal(next(client, &in, &event), type);
	assert_int_equal(event.command, command);
	assert_int_equal(in.size, 0);
}

static void greeted(struct pop3_client *client)
{
	pop3_client_init(client, POP3_KEEP_CRLF, 1000);
	assert_int_equal(pop3_client_unanswered(client), 1);
	hear(client, "+OK\r\n", POP3_CLIENT_REPLY, POP3_GREETING);
	assert_int_equal(pop3_client_unanswered(client), 0);
}

static int command(struct pop3_client *client, enum pop3_command what, uint32_t number, char *out,
		   size_t cap)
{
	return pop3_client_command(client, what, number, 0, none, out, cap);
}

static void test_rendering(void **state)
{
	static const struct {
		enum pop3_command command;
		uint32_t number;
		uint64_t lines;
		const char *text, *line;
	} cases[] = {
		{POP3_CAPA, 0, 0, "", "CAPA\r\n"},
		{POP3_USER, 0, 0, "bob", "USER bob\r\n"},
		{POP3_PASS, 0, 0, " a b ", "PASS  a b \r\n"},
		{POP3_APOP, 0, 0, "bob 00", "APOP bob 00\r\n"},
		{POP3_STAT, 0, 0, "", "STAT\r\n"},
		{POP3_LIST, 0, 0, "", "LIST\r\n"},
		{POP3_LIST, 7, 0, "", "LIST 7\r\n"},
		{POP3_UIDL, 0, 0, "", "UIDL\r\n"},
		{POP3_UIDL, 4294967295, 0, "", "UIDL 4294967295\r\n"},
		{POP3_RETR, 12, 0, "", "RETR 12\r\n"},
		{POP3_TOP, 12, 0, "", "TOP 12 0\r\n"},
		{POP3_TOP, 4294967295, 18446744073709551615u, "",
		 "TOP 4294967295 18446744073709551615\r\n"},
		{POP3_DELE, 3, 0, "", "DELE 3\r\n"},
		{POP3_RSET, 0, 0, "", "RSET\r\n"},
		{POP3_NOOP, 0, 0, "", "NOOP\r\n"},
		{POP3_QUIT, 0, 0, "", "QUIT\r\n"},
		{POP3_UTF8, 0, 0, "", "UTF8\r\n"},
		{POP3_LANG, 0, 0, "", "LANG\r\n"},
		{POP3_LANG, 0, 0, "es-MX", "LANG es-MX\r\n"},
		{POP3_LANG, 0, 0, "*", "LANG *\r\n"},
		{POP3_AUTH, 0, 0, "PLAIN AA==", "AUTH PLAIN AA==\r\n"},
	};
	static struct pop3_client client;
	char out[64];

	greeted(&client);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		pop3_span text = {cases[i].text, strlen(cases[i].text)};
		size_t size = strlen(cases[i].line);

		assert_int_equal(pop3_client_command(&client, cases[i].command, cases[i].number,
						     cases[i].lines, text, out, size - 1),
				 -1);
		assert_int_equal(pop3_client_command(&client, cases[i].command, cases[i].number,
						     cases[i].lines, text, out, size),
				 size);
		assert_memory_equal(out, cases[i].line, size);
		assert_int_equal(pop3_client_unanswered(&client), i + 1);
	}
	assert_int_equal(command(&client, POP3_GREETING, 0, out, sizeof(out)), -2);
}

static void test_long_responses(void **state)
{
	static struct pop3_client client;
	static char text[20000], out[20000];

	greeted(&client);
	memset(text, 'A', sizeof(text));
	assert_int_equal(pop3_client_command(&client, POP3_SASL, 0, 0, (pop3_span){text, 16383},
					     out, sizeof(out)),
			 -3);
	assert_int_equal(pop3_client_command(&client, POP3_SASL, 0, 0, (pop3_span){text, 16382},
					     out, sizeof(out)),
			 16384);
	assert_int_equal(command(&client, POP3_GREETING, 0, out, sizeof(out)), -2);
	hear(&client, "+OK\r\n", POP3_CLIENT_REPLY, POP3_SASL);
	assert_int_equal(command(&client, POP3_GREETING, 0, out, sizeof(out)), -3);
}

/* A full window, answered in order, round its end more than once. */
static void test_window(void **state)
{
	static struct pop3_client client;
	struct pop3_client_event event;
	uint32_t asked = 0, seen = 0;
	char out[64];

	greeted(&client);
	for (int round = 0; round < 3; round++) {
		while (pop3_client_unanswered(&client) < POP3_CLIENT_WINDOW)
			assert_true(command(&client, POP3_DELE, ++asked, out, sizeof(out)) > 0);
		assert_int_equal(command(&client, POP3_DELE, 1, out, sizeof(out)), -2);
		for (int i = 0; i < 700; i++) {
			const char *text = seen % 3 == 0 ? "-ERR no\r\n" : "+OK\r\n";
			pop3_span in = {text, strlen(text)};

			assert_int_equal(next(&client, &in, &event), POP3_CLIENT_REPLY);
			assert_int_equal(event.command, POP3_DELE);
			assert_int_equal(event.number, ++seen);
			assert_int_equal(event.ok, text[0] == '+');
		}
		assert_int_equal(pop3_client_unanswered(&client), POP3_CLIENT_WINDOW - 700);
	}
}

/* In storage that is cut: nothing behind it is touched, which the sanitizers see. */
static void test_small_windows(void **state)
{
	static const uint32_t windows[] = {1, 3, POP3_CLIENT_WINDOW};
	struct pop3_client_event event;
	char out[64];

	(void)state;
	for (size_t i = 0; i < sizeof(windows) / sizeof(windows[0]); i++) {
		struct pop3_client *client = malloc(pop3_client_size(windows[i]));
		pop3_span in = {"+OK\r\n", 5};

		assert_non_null(client);
		pop3_client_init_window(client, POP3_KEEP_CRLF, 10, windows[i]);
		assert_int_equal(next(client, &in, &event), POP3_CLIENT_REPLY);
		assert_int_equal(event.command, POP3_GREETING);
		for (uint32_t round = 0; round < 3 * windows[i]; round++) {
			while (pop3_client_unanswered(client) < windows[i])
				assert_true(command(client, POP3_DELE, 1, out, sizeof(out)) > 0);
			assert_int_equal(command(client, POP3_DELE, 1, out, sizeof(out)),
					 POP3_CLIENT_MUST_WAIT);
			in = (pop3_span){"+OK\r\n", 5};
			assert_int_equal(next(client, &in, &event), POP3_CLIENT_REPLY);
			assert_int_equal(event.command, POP3_DELE);
		}
		free(client);
	}
	assert_true(pop3_client_size(POP3_CLIENT_WINDOW) <= sizeof(struct pop3_client));
}

/* Pipelined replies of different shape in one piece of input. */
static void test_pipelined_replies(void **state)
{
	static const char text[] = "+OK 2 9\r\n"
				   "-ERR gone\r\n"
				   "+OK\r\n1 a\r\n.\r\n"
				   "+OK 3 octets\r\na\r\n.\r\n"
				   "+OK\r\n";
	static const enum pop3_client_event_type want[] = {
		POP3_CLIENT_REPLY, POP3_CLIENT_REPLY, POP3_CLIENT_REPLY, POP3_CLIENT_LINE,
		POP3_CLIENT_END,   POP3_CLIENT_REPLY, POP3_CLIENT_BODY,  POP3_CLIENT_END,
		POP3_CLIENT_REPLY, POP3_CLIENT_MORE};
	static struct pop3_client client;
	struct pop3_client_event event;
	pop3_span in = {text, sizeof(text) - 1};
	char out[64];

	greeted(&client);
	command(&client, POP3_STAT, 0, out, sizeof(out));
	command(&client, POP3_RETR, 1, out, sizeof(out));
	command(&client, POP3_UIDL, 0, out, sizeof(out));
	command(&client, POP3_RETR, 2, out, sizeof(out));
	command(&client, POP3_QUIT, 0, out, sizeof(out));
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
		assert_int_equal(next(&client, &in, &event), want[i]);
	assert_int_equal(in.size, 0);
	assert_int_equal(pop3_client_unanswered(&client), 0);
}

static void test_threat_57_stamps(void **state)
{
	static const struct {
		const char *text, *stamp;
	} cases[] = {
		{"POP3 server ready <1896.697170952@dbc.mtview.ca.us>",
		 "<1896.697170952@dbc.mtview.ca.us>"},
		{"<a@b> and more", "<a@b>"},
		{"x <a@[127.0.0.1]>", "<a@[127.0.0.1]>"},
		{"<2c5e.1.4f6b=3b8a/Kz+==@host-1>", "<2c5e.1.4f6b=3b8a/Kz+==@host-1>"},
		{"ready", ""},
		{"", ""},
		{"<", ""},
		{"<>", ""},
		{"<a>", ""},
		{"<@>", ""},
		{"<a@>", ""},
		{"<@b>", ""},
		{"<a@b", ""},
		{"<a@b@c>", ""},
		{"<pop.example.org> ready <a@b> <c@d>", "<a@b>"},
		{"<a b@c>", ""},
		{"<a<b@c>", "<b@c>"},
		{"<.a@b>", ""},
		{"<a..b@c>", ""},
		{"<a@b.>", ""},
		{"<a@[b>", ""},
		{"<a@[b]c>", ""},
		{"<a@[\x7f]>", ""},
		{"<\xe9@b>", ""},
		{"<a@b\x80>", ""},
		{"<a\1@b>", ""},
		{"<\"q\"@b>", ""},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		pop3_span stamp =
			pop3_greeting_stamp((pop3_span){cases[i].text, strlen(cases[i].text)});

		assert_int_equal(stamp.size, strlen(cases[i].stamp));
		if (stamp.size != 0)
			assert_memory_equal(stamp.data, cases[i].stamp, stamp.size);
	}
	assert_int_equal(pop3_greeting_stamp((pop3_span){"<a\0@b>", 6}).size, 0);
	assert_int_equal(pop3_greeting_stamp(none).size, 0);
}

/* Threat 50: what the program has received but not given counts too. */
static void test_threat_50_octets_not_given(void **state)
{
	static struct pop3_client client;
	char out[64];

	greeted(&client);
	assert_int_equal(command(&client, POP3_STLS, 0, out, sizeof(out)), 6);
	assert_false(pop3_client_tls_started(&client, none)); /* not accepted yet */
	hear(&client, "", POP3_CLIENT_BAD, POP3_GREETING);

	greeted(&client);
	assert_int_equal(command(&client, POP3_STLS, 0, out, sizeof(out)), 6);
	hear(&client, "+OK\r\n", POP3_CLIENT_REPLY, POP3_STLS);
	assert_false(pop3_client_tls_started(&client, (pop3_span){"+", 1}));
	assert_int_equal(command(&client, POP3_CAPA, 0, out, sizeof(out)), -2);
}

/* Threat 53: the message number of a listing's event is the listed one, that of END the asked one.
 */
static void test_listing_events(void **state)
{
	static struct pop3_client client;
	struct pop3_client_event event;
	pop3_span in = {"+OK\r\n3 7\r\n.\r\n", 13};
	char out[64];

	greeted(&client);
	command(&client, POP3_LIST, 0, out, sizeof(out));
	assert_int_equal(next(&client, &in, &event), POP3_CLIENT_REPLY);
	assert_true(event.ok && !event.malformed);
	assert_int_equal(next(&client, &in, &event), POP3_CLIENT_LINE);
	assert_int_equal(event.number, 3);
	assert_int_equal(event.octets, 7);
	assert_int_equal(next(&client, &in, &event), POP3_CLIENT_END);
	assert_int_equal(event.number, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rendering),
		cmocka_unit_test(test_long_responses),
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_small_windows),
		cmocka_unit_test(test_pipelined_replies),
		cmocka_unit_test(test_threat_57_stamps),
		cmocka_unit_test(test_threat_50_octets_not_given),
		cmocka_unit_test(test_listing_events),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
