/* The LMTP sink against a server that says what a test wants: the conversation, what each answer
 * means for the message and for those behind it, addresses, bounds of a reply. */
#include "sink_test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { REPLIES = 64 };

/* The server: the greeting, then one reply a line; behind DATA one for the whole message. "": it
 * closes the connection. One connection after another. */
static struct {
	int listener;
	pthread_t thread;
	const char *replies[REPLIES];
	unsigned next, connections;
	char heard[65536];
	size_t size;
} server;

static bool answer(int fd)
{
	const char *reply = server.next < REPLIES ? server.replies[server.next++] : "";

	if (!reply || !reply[0])
		return false;
	return send(fd, reply, strlen(reply), MSG_NOSIGNAL) == (ssize_t)strlen(reply);
}

static bool data_is_next(void)
{
	return server.next && server.replies[server.next - 1] &&
	       strncmp(server.replies[server.next - 1], "354", 3) == 0;
}

static void talk(int fd)
{
	size_t line = server.size;
	bool data = false;
	char c;

	if (!answer(fd))
		return;
	while (server.size < sizeof(server.heard) - 1 && recv(fd, &c, 1, 0) == 1) {
		server.heard[server.size++] = c;
		server.heard[server.size] = '\0';
		if (c != '\n')
			continue;
		if (!data || strcmp(server.heard + line, ".\r\n") == 0) {
			if (strcmp(server.heard + line, "QUIT\r\n") == 0 || !answer(fd))
				return;
			data = !data && data_is_next();
		}
		line = server.size;
	}
}

static void *serve(void *context)
{
	int fd;

	while ((fd = accept(server.listener, NULL, NULL)) >= 0) {
		server.connections++;
		talk(fd);
		close(fd);
	}
	return context;
}

static int begin(void **state)
{
	memset(&server, 0, sizeof(server));
	server.listener = -1;
	return place_begin(state);
}

static void stop(void)
{
	place_close(); /* its QUIT ends the connection */
	if (server.listener < 0)
		return;
	shutdown(server.listener, SHUT_RDWR);
	pthread_join(server.thread, NULL);
	close(server.listener);
	server.listener = -1;
}

static int end(void **state)
{
	stop();
	return place_end(state);
}

static void start(void)
{
	assert_int_equal(listen(server.listener, 4), 0);
	assert_int_equal(pthread_create(&server.thread, NULL, serve, NULL), 0);
	snprintf(place.account.recipient, sizeof(place.account.recipient), "me@example.org");
	place_open();
}

static void start_unix(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/s", place.path);
	server.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(server.listener, (struct sockaddr *)&address, sizeof(address)), 0);
	place_target(FETCH_LMTP, "%s/s", place.path);
	start();
}

static void start_tcp(const char *host)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);

	server.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(server.listener, (struct sockaddr *)&address, size), 0);
	assert_int_equal(getsockname(server.listener, (struct sockaddr *)&address, &size), 0);
	place_target(FETCH_LMTP, "%s:%u", host, ntohs(address.sin_port));
	start();
}

/* The replies up to this one, which is the text's; those before it are as they should be. */
static void say_up_to(unsigned which, const char *text, const char *next, const char *last)
{
	static const char *const good[] = {"220 x\r\n", "250 x\r\n", "250 x\r\n",
					   "250 x\r\n", "354 x\r\n", "250 x\r\n"};

	for (unsigned i = 0; i < 6; i++)
		server.replies[i] = good[i];
	server.replies[which] = text;
	server.replies[which + 1] = next;
	server.replies[which + 2] = last;
}

#define CONVERSATION(id, text)                                 \
	"MAIL FROM:<>\r\nRCPT TO:<me@example.org>\r\nDATA\r\n" \
	"X-Valija-Delivery-Id: 0123456789abcdef0123456789abcde" id "\r\n" text ".\r\n"

static void one_connection_for_all_messages(void **state)
{
	static const char *const replies[] = {"220-a\r\n220 b\r\n", "250-x\r\n250-y\r\n250 z\r\n",
					      "250 ok\r\n",         "250 ok\r\n",
					      "354 go\r\n",         "250 taken\r\n",
					      "299 ok\r\n",         "200\r\n",
					      "354 go\r\n",         "250-a\r\n250 b\r\n"};

	(void)state;
	memcpy(server.replies, replies, sizeof(replies));
	start_tcp("127.0.0.1");
	place_expect(place_deliver("A: 1\n\n.\n..x\nlast"), SINK_OK, 0, "");
	place_expect(place_deliver("A: 2\n\ntwo\n"), SINK_OK, 0, "");
	assert_int_equal(place.sink->batch, 1);
	assert_int_equal(place.sink->ops->settle(place.sink, NULL), SINK_OK);
	assert_int_equal(place.sink->ops->publish(place.sink, NULL), SINK_OK);
	assert_null(place.sink->ops->ask);
	stop();
	assert_int_equal(server.connections, 1);
	assert_string_equal(
		server.heard,
		"LHLO localhost\r\n" CONVERSATION("0", "A: 1\r\n\r\n..\r\n...x\r\nlast\r\n")
			CONVERSATION("1", "A: 2\r\n\r\ntwo\r\n") "QUIT\r\n");
}

/* Nothing of a message that was dropped goes out. */
static void a_message_that_is_dropped(void **state)
{
	(void)state;
	say_up_to(5, "250 x\r\n", NULL, NULL);
	start_unix();
	assert_int_equal(place.sink->ops->begin(place.sink, PLACE_ID, NULL), SINK_OK);
	assert_int_equal(place.sink->ops->write(place.sink, SPAN_LITERAL("secret"), NULL), SINK_OK);
	place.sink->ops->drop(place.sink);
	place_expect(place_deliver("A: 1\n\n"), SINK_OK, 0, "");
	stop();
	assert_null(strstr(server.heard, "secret"));
}

/* Longer than every buffer on the way. */
static void a_long_message(void **state)
{
	enum { LINES = 1000 };
	static char text[LINES * 30], wire[LINES * 32 + 400];
	size_t size = 0, used;

	(void)state;
	used = (size_t)snprintf(
		wire, sizeof(wire),
		"LHLO localhost\r\nMAIL FROM:<>\r\nRCPT TO:<me@example.org>\r\n"
		"DATA\r\nX-Valija-Delivery-Id: 0123456789abcdef0123456789abcde0\r\n");
	for (int i = 0; i < LINES; i++) {
		size += (size_t)snprintf(text + size, sizeof(text) - size, "line %d, of many\n", i);
		used += (size_t)snprintf(wire + used, sizeof(wire) - used, "line %d, of many\r\n",
					 i);
	}
	assert_true(size > 16384);
	snprintf(wire + used, sizeof(wire) - used, ".\r\nQUIT\r\n");
	say_up_to(5, "250 x\r\n", NULL, NULL);
	start_unix();
	place_expect(place_deliver(text), SINK_OK, 0, "");
	stop();
	assert_string_equal(server.heard, wire);
}

enum { GREETING, LHLO, MAIL, RCPT, DATA, DOT };

/* A reply to one step, what comes behind it, and what is made of it. */
static void each_refusal(void **state)
{
	static const struct {
		unsigned step;
		const char *reply, *next;
		enum sink_result result;
		int code;
		const char *text; /* of all, but for SINK_BROKEN and SINK_LATER: behind a prefix */
		bool reused;      /* the next message goes over the same connection */
	} cases[] = {
		{GREETING, "421 busy\r\n", NULL, SINK_BROKEN, EX_TEMPFAIL, "refused: 421 busy",
		 false},
		{GREETING, "199 odd\r\n", NULL, SINK_BROKEN, EX_TEMPFAIL, "refused: 199 odd",
		 false},
		{GREETING, "554 no\r\n", NULL, SINK_BROKEN, EX_UNAVAILABLE, "refused: 554 no",
		 false},
		{GREETING, "", NULL, SINK_BROKEN, EX_TEMPFAIL, "it closed the connection", false},
		{GREETING, "SSH-2.0\r\n", NULL, SINK_BROKEN, EX_PROTOCOL,
		 "the server is no LMTP server", false},
		{GREETING, "22\r\n", NULL, SINK_BROKEN, EX_PROTOCOL, "the server is no LMTP server",
		 false},
		{LHLO, "500 what\r\n", NULL, SINK_BROKEN, EX_UNAVAILABLE, "refused: 500 what",
		 false},
		{LHLO, "", NULL, SINK_BROKEN, EX_TEMPFAIL, "it closed the connection", false},
		{MAIL, "451 4.3.2 not now\r\n", NULL, SINK_LATER, EX_TEMPFAIL,
		 "refused: 451 4.3.2 not now", true},
		{MAIL, "550 5.7.1 no\r\n", NULL, SINK_FAILED, EX_UNAVAILABLE,
		 "refused: 550 5.7.1 no", true},
		{MAIL, "", NULL, SINK_BROKEN, EX_TEMPFAIL, "it closed the connection", false},
		{RCPT, "452 4.2.2 full\r\n", "250 reset\r\n", SINK_LATER, EX_TEMPFAIL,
		 "refused: 452 4.2.2 full", true},
		{RCPT, "550 5.1.1 who\r\n", "250 reset\r\n", SINK_FAILED, EX_UNAVAILABLE,
		 "refused: 550 5.1.1 who", true},
		{RCPT, "550 5.1.1 who\r\n", "500 no\r\n", SINK_BROKEN, EX_UNAVAILABLE,
		 "refused: 550 5.1.1 who", true},
		{RCPT, "", NULL, SINK_BROKEN, EX_TEMPFAIL, "it closed the connection", false},
		{DATA, "451 later\r\n", "250 reset\r\n", SINK_LATER, EX_TEMPFAIL,
		 "refused: 451 later", true},
		{DATA, "554 none\r\n", "250 reset\r\n", SINK_FAILED, EX_UNAVAILABLE,
		 "refused: 554 none", true},
		{DOT, "452 4.2.2 full\r\n", NULL, SINK_FAILED, EX_TEMPFAIL,
		 "refused: 452 4.2.2 full", true},
		{DOT, "552 5.2.2 full\r\n", NULL, SINK_FAILED, EX_UNAVAILABLE,
		 "refused: 552 5.2.2 full", true},
		{DOT, "552 5.2.2\r\n", NULL, SINK_FAILED, EX_UNAVAILABLE, "refused: 552 5.2.2",
		 true},
		{DOT, "000 odd\r\n", NULL, SINK_FAILED, EX_TEMPFAIL, "refused: 000 odd", true},
		{MAIL, "000 odd\r\n", NULL, SINK_FAILED, EX_TEMPFAIL, "refused: 000 odd", true},
		{DOT, "", NULL, SINK_BROKEN, EX_TEMPFAIL, "it closed the connection", false},
	};
	char text[3000];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		bool prefix = cases[i].result == SINK_BROKEN || cases[i].result == SINK_LATER;

		say_up_to(cases[i].step, cases[i].reply, cases[i].next, NULL);
		start_unix();
		snprintf(text, sizeof(text), "%s%s%s%s", prefix ? "LMTP server " : "",
			 prefix ? place.account.target : "", prefix ? ": " : "", cases[i].text);
		place_expect(place_deliver("A: b\n\n"), cases[i].result, cases[i].code, text);
		assert_false(place_has("state/refused"));
		stop();
		if (strstr(server.heard, "QUIT\r\n") ? !cases[i].reused : cases[i].reused)
			fail_msg("case %zu: %s", i, server.heard);
		end(state);
		begin(state);
	}
}

/* For good: it is kept, and the words with it; the next message goes on. */
static void a_refused_message_is_kept(void **state)
{
	static const char *const replies[] = {"250 x\r\n", "250 x\r\n", "354 x\r\n", "250 x\r\n"};
	char text[300];

	(void)state;
	say_up_to(DOT, "550-5.7.1 no\r\n550 5.2.20 \x1b[2J\r\n", NULL, NULL);
	memcpy(server.replies + DOT + 1, replies, sizeof(replies));
	start_unix();
	assert_int_equal(place_deliver("A: b\n\n"), SINK_REFUSED);
	assert_int_equal(place.err.code, EX_UNAVAILABLE);
	snprintf(text, sizeof(text), "refused: 550 5.2.20 \\x1b[2J (it is kept in %s/%s)",
		 place.path, place_refused(""));
	text[strlen(text) - 2] = '\0'; /* the "/" behind the folder */
	assert_memory_equal(place.err.text, text, strlen(text));
	assert_string_equal(place_read(place_refused("new/" PLACE_ID ".valija")),
			    "(there is none)");
	assert_string_equal(
		place_read(place_refused("new/0123456789abcdef0123456789abcde0.valija")),
		"A: b\n\n");
	assert_string_equal(
		place_read(place_refused("valija-refused/0123456789abcdef0123456789abcde0.txt")),
		"account: anna\ncollected: 2023-11-14T22:13:20Z\n"
		"delivery id: 0123456789abcdef0123456789abcde0\n"
		"answer: refused: 550 5.2.20 \\x1b[2J\n");
	place_expect(place_deliver("A: c\n\n"), SINK_OK, 0, "");
	stop();
	assert_int_equal(server.connections, 1);
}

/* After a lost connection the next message makes another. */
static void a_connection_that_was_lost(void **state)
{
	static const char *const replies[] = {"220 x\r\n", "250 x\r\n", "250 x\r\n", "",
					      "220 y\r\n", "250 y\r\n", "250 y\r\n", "250 y\r\n",
					      "354 y\r\n", "250 y\r\n"};

	(void)state;
	memcpy(server.replies, replies, sizeof(replies));
	start_tcp("localhost");
	assert_int_equal(place_deliver("A: 1\n\n"), SINK_BROKEN);
	place_expect(place_deliver("A: 2\n\n"), SINK_OK, 0, "");
	stop();
	assert_int_equal(server.connections, 2);
}

/* A line has room for 599 octets, a reply for 100 lines. */
static void bounds_of_a_reply(void **state)
{
	static char text[2000];

	for (int extra = 0; extra < 2; extra++) {
		memset(text, 'x', sizeof(text));
		memcpy(text, "220 ", 4);
		strcpy(text + 598 + extra, "\r\n");
		say_up_to(GREETING, text, "250 x\r\n", "250 x\r\n");
		start_unix();
		assert_int_equal(place_deliver("A: b\n\n"), extra ? SINK_BROKEN : SINK_OK);
		assert_int_equal(place.err.code, extra ? EX_PROTOCOL : 0);
		if (extra)
			assert_non_null(strstr(place.err.text, ": a line of it is too long"));
		end(state);
		begin(state);
		text[0] = '\0';
		for (int line = 0; line < 99 + extra; line++)
			strcat(text, "220-x\r\n");
		strcat(text, "220 x\r\n");
		say_up_to(GREETING, text, "250 x\r\n", "250 x\r\n");
		start_unix();
		assert_int_equal(place_deliver("A: b\n\n"), extra ? SINK_BROKEN : SINK_OK);
		assert_int_equal(place.err.code, extra ? EX_PROTOCOL : 0);
		end(state);
		begin(state);
	}
}

static void addresses_that_are_none(void **state)
{
	static const struct {
		const char *target, *text;
		int code;
	} cases[] = {
		{"host", "it is named as HOST:PORT or /SOCKET", EX_CONFIG},
		{":25", "it is named as HOST:PORT or /SOCKET", EX_CONFIG},
		{"[]:25", "it is named as HOST:PORT or /SOCKET", EX_CONFIG},
		{"/nonexistent/socket", "cannot connect: No such file or directory", EX_TEMPFAIL},
		{"[127.0.0.1]:1", "cannot connect: Connection refused", EX_TEMPFAIL},
		{"127.0.0.1:1", "cannot connect: Connection refused", EX_TEMPFAIL},
	};
	char text[3000];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		place_target(FETCH_LMTP, "%s", cases[i].target);
		place_open();
		snprintf(text, sizeof(text), "LMTP server %s: %s", cases[i].target, cases[i].text);
		place_expect(place_deliver("A: b\n\n"), SINK_BROKEN, cases[i].code, text);
		place_close();
	}
}

/* A host has room for 255 octets, a socket's path for 107. */
static void addresses_that_are_long(void **state)
{
	static const struct {
		size_t size;
		const char *end;
		int code;
		const char *text;
	} cases[] = {
		{256, ":25", EX_CONFIG, "it is named as HOST:PORT or /SOCKET"},
		{255, ":25", EX_TEMPFAIL, "cannot find it: "},
		{108, "", EX_CONFIG, "the socket's name is too long"},
		{107, "", EX_TEMPFAIL, "cannot connect: No such file or directory"},
	};
	char target[300];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		memset(target, 'x', sizeof(target));
		if (!cases[i].end[0])
			target[0] = '/';
		strcpy(target + cases[i].size, cases[i].end);
		place_target(FETCH_LMTP, "%s", target);
		place_open();
		assert_int_equal(place_deliver("A: b\n\n"), SINK_BROKEN);
		assert_int_equal(place.err.code, cases[i].code);
		assert_non_null(strstr(place.err.text, cases[i].text));
		place_close();
	}
}

#define IN_PLACE(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_PLACE(one_connection_for_all_messages),
		IN_PLACE(a_message_that_is_dropped),
		IN_PLACE(a_long_message),
		IN_PLACE(each_refusal),
		IN_PLACE(a_refused_message_is_kept),
		IN_PLACE(a_connection_that_was_lost),
		IN_PLACE(bounds_of_a_reply),
		IN_PLACE(addresses_that_are_none),
		IN_PLACE(addresses_that_are_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
