/* Connections against a small line protocol: pull, back-pressure, splits, ends of every kind, STLS,
 * slices of files. The peer's end is stepped by hand between turns of the loop. */
#include "sys/conn.h"

#include "tls_material.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static struct material material;

/*
 * The session under test. Lines: Etext: echo; Gn: n octets of a pattern; W: the reply waits for
 * release(); Q: bye and close; A: abort; S: TLS; Fn: n octets of file.
 */
struct subject {
	struct conn conn;
	struct loop *loop;
	struct tls_server *server;
	struct tls_keys *keys;
	bool late; /* the signature is given by hand */
	int signs;
	char line[64], reply[8192];
	size_t line_size, reply_size;
	uint64_t pattern_at, pattern_end;
	int file;
	int exchanges, secured, files_done, files_failed, closed;
	enum conn_end why;
	char tls_error[128];
	bool waiting, quit, in_call, in_file, tls_after;
};

static char pattern(uint64_t at)
{
	return (char)(at * 7 + at / 253);
}

static void reply(struct subject *subject, const char *text, size_t size)
{
	assert_true(subject->reply_size + size + 2 <= sizeof(subject->reply));
	memcpy(subject->reply + subject->reply_size, text, size);
	memcpy(subject->reply + subject->reply_size + size, "\r\n", 2);
	subject->reply_size += size + 2;
}

static void command(struct subject *subject)
{
	char *line = subject->line;

	line[subject->line_size] = '\0';
	switch (line[0]) {
	case 'E':
		reply(subject, line + 1, subject->line_size - 1);
		break;
	case 'G':
		subject->pattern_end += strtoull(line + 1, NULL, 10);
		break;
	case 'W':
		subject->waiting = true;
		break;
	case 'Q':
		reply(subject, "bye", 3);
		subject->quit = true;
		break;
	case 'A':
		conn_abort(&subject->conn);
		break;
	case 'S':
		reply(subject, "begin", 5);
		subject->tls_after = true;
		break;
	case 'F':
		subject->in_file = true;
		conn_send_file(&subject->conn, subject->file, 0, strtoull(line + 1, NULL, 10));
		break;
	default:
		reply(subject, "?", 1);
	}
	subject->line_size = 0;
}

static size_t render(struct subject *subject, char *out, size_t cap)
{
	size_t size = subject->reply_size < cap ? subject->reply_size : cap;

	memcpy(out, subject->reply, size);
	memmove(subject->reply, subject->reply + size, subject->reply_size - size);
	subject->reply_size -= size;
	for (; size < cap && subject->pattern_at < subject->pattern_end; subject->pattern_at++)
		out[size++] = pattern(subject->pattern_at);
	if (!subject->reply_size && subject->tls_after) {
		subject->tls_after = false;
		conn_start_tls(&subject->conn, subject->server);
	}
	if (!subject->reply_size && subject->quit)
		conn_close(&subject->conn);
	return size;
}

static size_t exchange(struct conn *conn, pop3_span *in, char *out, size_t cap)
{
	struct subject *subject = (struct subject *)conn;
	int closed = subject->closed;

	assert_true(in->size <= CONN_INPUT_MAX && cap > 0);
	subject->exchanges++;
	/* one command at a time, as libpop3 does */
	while (in->size && !subject->waiting && !subject->reply_size && !subject->quit &&
	       !subject->tls_after && !subject->in_file &&
	       subject->pattern_at == subject->pattern_end) {
		char octet = *in->data;

		in->data++;
		in->size--;
		assert_true(subject->line_size < sizeof(subject->line));
		if (octet == '\n')
			command(subject);
		else if (octet != '\r')
			subject->line[subject->line_size++] = octet;
	}
	assert_int_equal(subject->closed, closed); /* never from inside */
	return render(subject, out, cap);
}

static void secured(struct conn *conn)
{
	((struct subject *)conn)->secured++;
}

/* Signs, as the process keys would, unless it is to come late. */
static void sign(struct conn *conn)
{
	struct subject *subject = (struct subject *)conn;
	const struct tls_to_sign *wanted = tls_session_to_sign(conn_tls(conn));
	unsigned char signature[TLS_SIGNATURE_MAX];
	unsigned size;

	subject->signs++;
	assert_non_null(wanted);
	if (subject->late)
		return;
	assert_int_equal(tls_keys_sign(subject->keys, wanted, signature, &size), TLS_KEYS_SIGNED);
	conn_signed(conn, (const char *)signature, size);
}

static void file_sent(struct conn *conn, bool failed)
{
	struct subject *subject = (struct subject *)conn;

	subject->in_file = false;
	if (failed) {
		subject->files_failed++;
		conn_abort(conn);
	} else {
		subject->files_done++;
	}
}

static void closed(struct conn *conn, enum conn_end why)
{
	struct subject *subject = (struct subject *)conn;

	assert_false(subject->in_call);
	subject->closed++;
	subject->why = why;
	snprintf(subject->tls_error, sizeof(subject->tls_error), "%s", conn_tls_error(conn));
	memset(conn, 0xAA, sizeof(*conn)); /* as if freed */
}

static bool busy(struct conn *conn)
{
	return ((struct subject *)conn)->waiting;
}

static const struct conn_handler handler = {.exchange = exchange,
					    .secured = secured,
					    .sign = sign,
					    .file_sent = file_sent,
					    .closed = closed,
					    .busy = busy};

/* ---- turns ---- */

struct turns {
	struct loop_later later;
	struct loop *loop;
	int left;
};

static void next_turn(struct loop_later *later)
{
	struct turns *turns = later->context;

	if (--turns->left > 0)
		loop_later_add(turns->loop, later);
	else
		loop_stop(turns->loop);
}

static void turn(struct subject *subject, int count)
{
	struct turns turns = {{.run = next_turn, .context = &turns}, subject->loop, count + 1};

	loop_later_add(subject->loop, &turns.later);
	loop_run(subject->loop);
}

static void start(struct subject *subject, int *fd, const struct conn_handler *with, bool tls)
{
	memset(subject, 0, sizeof(*subject));
	subject->file = -1;
	subject->loop = loop_create(NULL);
	assert_non_null(subject->loop);
	assert_int_equal(tls_server_create(&material.pem, 1, "pop3", &subject->server, NULL), 0);
	assert_int_equal(tls_keys_create(&material.pem, 1, &subject->keys, NULL), 0);
	fcntl(*fd, F_SETFL, O_NONBLOCK);
	subject->in_call = true;
	conn_init(&subject->conn, subject->loop, fd, with, tls ? subject->server : NULL);
	subject->in_call = false;
	assert_int_equal(*fd, -1);
}

/* A pair of type SOCK_STREAM; SOCK_SEQPACKET shows how many sends there were. */
static int start_pair(struct subject *subject, int type, const struct conn_handler *with, bool tls)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, type, 0, fds), 0);
	fcntl(fds[1], F_SETFL, O_NONBLOCK);
	start(subject, &fds[0], with, tls);
	return fds[1];
}

static int start_tcp(struct subject *subject, const struct conn_handler *with)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0), client, server;

	assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
	client = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(client, (struct sockaddr *)&address, size), 0);
	server = accept(listener, NULL, NULL);
	close(listener);
	start(subject, &server, with, false);
	return client;
}

static void stop(struct subject *subject, int client)
{
	if (!subject->closed) {
		conn_abort(&subject->conn);
		assert_int_equal(subject->closed, 0);
		turn(subject, 2);
	}
	assert_int_equal(subject->closed, 1);
	if (client >= 0)
		close(client);
	tls_server_destroy(subject->server);
	tls_keys_destroy(subject->keys);
	loop_destroy(subject->loop);
}

static void say(int client, const char *text)
{
	assert_int_equal(send(client, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void assert_hears(int client, const char *text)
{
	char buf[512] = "";
	ssize_t got = recv(client, buf, sizeof(buf) - 1, MSG_DONTWAIT);

	if (!*text) {
		assert_int_equal(got, -1);
		assert_int_equal(errno, EAGAIN);
		return;
	}
	assert_true(got > 0);
	assert_string_equal(buf, text);
}

static void release(struct subject *subject)
{
	subject->waiting = false;
	reply(subject, "done", 4);
	conn_wake(&subject->conn);
	conn_wake(&subject->conn);
}

/* ---- pull ---- */

static void test_pipelined_replies_leave_in_one_send(void **state)
{
	struct subject subject;
	int client = start_pair(&subject, SOCK_SEQPACKET, &handler, false);

	(void)state;
	turn(&subject, 2);
	assert_true(subject.exchanges > 0); /* asked for a greeting */
	say(client, "Ea\r\nEb\r\nG10\r\nEc\r\n");
	turn(&subject, 2);
	{
		char buf[64];

		assert_int_equal(recv(client, buf, sizeof(buf), MSG_DONTWAIT), 19);
		assert_memory_equal(buf, "a\r\nb\r\n", 6);
		assert_memory_equal(buf + 16, "c\r\n", 3);
	}
	assert_int_equal(subject.conn.octets_in, 17);
	assert_int_equal(subject.conn.octets_out, 19);
	stop(&subject, client);
}

static void test_any_split_of_input(void **state)
{
	static const char script[] = "Ehello\r\nEyou\r\nG3\r\nEthere\r\nQ\r\n";
	char expected[256], got[256];
	ssize_t size;
	size_t length = 0;

	(void)state;
	for (size_t split = 0; split < sizeof(script); split++) {
		struct subject subject;
		int client = start_pair(&subject, SOCK_STREAM, &handler, false);

		assert_int_equal(send(client, script, split, 0), split);
		turn(&subject, 3);
		if (split < sizeof(script) - 1) {
			assert_int_equal(
				send(client, script + split, sizeof(script) - 1 - split, 0),
				sizeof(script) - 1 - split);
			turn(&subject, 3);
		}
		size = recv(client, split ? got : expected, sizeof(got), MSG_DONTWAIT);
		assert_int_equal(size, 27);
		assert_memory_equal(split ? got : expected, expected, size);
		assert_int_equal(recv(client, got, 1, MSG_DONTWAIT), 0);
		assert_int_equal(subject.closed, 1);
		assert_int_equal(subject.why, CONN_CLOSED_BY_US);
		stop(&subject, client);
		length = (size_t)size;
	}
	assert_memory_equal(expected, "hello\r\nyou\r\n", 12);
	assert_memory_equal(expected + length - 12, "there\r\nbye\r\n", 12);
}

/* What the peer has not read is rendered only as far as the socket's buffer and one piece. */
static void slow_reader(struct subject *subject, int client, SSL *tls)
{
	enum { TOTAL = 2000000, BUFFER = 4096 };
	uint64_t got = 0;
	int blocked = 0, idle = 0;
	static char buf[16384];

	setsockopt(subject->conn.fd, SOL_SOCKET, SO_SNDBUF, &(int){BUFFER}, sizeof(int));
	while (got < TOTAL && idle < 100) {
		ssize_t n = tls ? SSL_read(tls, buf, sizeof(buf))
				: recv(client, buf, sizeof(buf), MSG_DONTWAIT);

		idle++;
		for (ssize_t i = 0; i < n; i++, got++, idle = 0)
			if (buf[i] != pattern(got))
				fail_msg("octet %llu is wrong", (unsigned long long)got);
		turn(subject, 1);
		blocked += conn_blocked(&subject->conn);
		/* TLS keeps a record or two, and the other end's buffer */
		assert_true(subject->pattern_at - got <= 2 * CONN_SCRATCH + 4 * BUFFER + 32768);
	}
	assert_int_equal(got, TOTAL);
	assert_true(blocked > 5);
	turn(subject, 2);
	assert_false(conn_blocked(&subject->conn));
}

static void threat_36_a_peer_that_reads_slowly(void **state)
{
	struct subject subject;
	int client = start_pair(&subject, SOCK_STREAM, &handler, false);

	(void)state;
	say(client, "G2000000\r\n");
	slow_reader(&subject, client, NULL);
	say(client, "Eafter\r\n");
	turn(&subject, 2);
	assert_hears(client, "after\r\n");
	stop(&subject, client);
}

static void test_nobody_has_the_loop_for_long(void **state)
{
	struct subject subject;
	int client = start_pair(&subject, SOCK_STREAM, &handler, false);

	(void)state;
	/* root gets the large buffer, others what the system allows */
	setsockopt(subject.conn.fd, SOL_SOCKET, SO_SNDBUFFORCE, &(int){1 << 26}, sizeof(int));
	say(client, "G20000000\r\n");
	turn(&subject, 1);
	assert_true(subject.pattern_at > 0);
	assert_true(subject.pattern_at <= 4 * (256 * 1024 + CONN_SCRATCH));
	stop(&subject, client);
}

/* ---- waiting ---- */

static void test_input_waits_while_the_session_does(void **state)
{
	struct subject subject;
	int client = start_pair(&subject, SOCK_STREAM, &handler, false), before;

	(void)state;
	say(client, "W\r\nE1\r\nE2\r\n");
	turn(&subject, 3);
	assert_hears(client, "");
	say(client, "E3\r\n");
	turn(&subject, 3);
	before = subject.exchanges;
	turn(&subject, 20); /* neither asked nor woken */
	assert_int_equal(subject.exchanges, before);
	assert_hears(client, "");
	release(&subject);
	turn(&subject, 4);
	assert_hears(client, "done\r\n1\r\n2\r\n3\r\n");
	stop(&subject, client);
}

static void test_untaken_input_stops_reading(void **state)
{
	struct subject subject;
	int client = start_pair(&subject, SOCK_STREAM, &handler, false);

	(void)state;
	say(client, "W\r\nEa\r\n");
	turn(&subject, 3);
	say(client, "Eb\r\n");
	turn(&subject, 5);
	assert_int_equal(subject.conn.octets_in, 7);
	release(&subject);
	turn(&subject, 5);
	assert_int_equal(subject.conn.octets_in, 11);
	assert_hears(client, "done\r\na\r\nb\r\n");
	stop(&subject, client);
}

static void test_reset_behind_untaken_input(void **state)
{
	const struct linger at_once = {1, 0};
	struct subject subject;
	int client = start_tcp(&subject, &handler);

	(void)state;
	say(client, "W\r\nEuntaken\r\n");
	turn(&subject, 3);
	say(client, "Eunread\r\n");
	turn(&subject, 5);
	assert_int_equal(subject.closed, 0);
	setsockopt(client, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(client);
	while (!subject.closed)
		turn(&subject, 1);
	assert_int_equal(subject.why, CONN_CUT);
	stop(&subject, -1);
}

/* ---- ends ---- */

static void threat_37_half_close_is_answered_first(void **state)
{
	struct subject subject;
	int client = start_pair(&subject, SOCK_STREAM, &handler, false);

	(void)state;
	say(client, "Ea\r\nG5\r\nEb\r\nEwithout an end");
	shutdown(client, SHUT_WR);
	turn(&subject, 5);
	assert_int_equal(subject.closed, 1);
	assert_int_equal(subject.why, CONN_EOF);
	{
		char buf[64];

		assert_int_equal(recv(client, buf, sizeof(buf), MSG_DONTWAIT), 11);
		assert_memory_equal(buf + 8, "b\r\n", 3);
	}
	stop(&subject, client);
}

static void half_close_while_waiting(const char *text)
{
	struct subject subject;
	int client = start_pair(&subject, SOCK_STREAM, &handler, false);

	say(client, text);
	turn(&subject, 3);
	shutdown(client, SHUT_WR);
	turn(&subject, 10);
	assert_int_equal(subject.closed, 0);
	release(&subject);
	turn(&subject, 5);
	assert_hears(client, strlen(text) > 3 ? "done\r\nx\r\n" : "done\r\n");
	assert_int_equal(subject.closed, 1);
	assert_int_equal(subject.why, CONN_EOF);
	stop(&subject, client);
}

static void threat_37_half_close_while_a_reply_is_owed(void **state)
{
	(void)state;
	half_close_while_waiting("W\r\n");
	half_close_while_waiting("W\r\nEx\r\n"); /* input is left */
}

static void test_abort_from_inside(void **state)
{
	struct subject subject;
	int client = start_pair(&subject, SOCK_STREAM, &handler, false);

	(void)state;
	say(client, "Ea\r\nA\r\nEb\r\n");
	turn(&subject, 3);
	assert_int_equal(subject.closed, 1);
	assert_int_equal(subject.why, CONN_CLOSED_BY_US);
	{
		char octet;

		/* nothing after it; "a" may have gone before */
		while (recv(client, &octet, 1, MSG_DONTWAIT) > 0)
			assert_int_not_equal(octet, 'b');
	}
	stop(&subject, client);
}

static void test_abort_of_a_peer_that_never_reads(void **state)
{
	struct subject subject;
	int client = start_tcp(&subject, &handler);
	char buf[4096];
	ssize_t got;

	(void)state;
	say(client, "G100000000\r\n");
	while (!conn_blocked(&subject.conn))
		turn(&subject, 1);
	conn_abort(&subject.conn);
	conn_abort(&subject.conn);
	conn_wake(&subject.conn);
	turn(&subject, 2);
	assert_int_equal(subject.closed, 1);
	/* a reset: the kernel does not go on sending on behalf of nobody */
	while ((got = recv(client, buf, sizeof(buf), 0)) > 0)
		;
	assert_int_equal(got, -1);
	assert_int_equal(errno, ECONNRESET);
	stop(&subject, client);
}

/* Octets sent behind QUIT must not turn our last reply into a reset. */
static void test_close_with_octets_unread(void **state)
{
	struct subject subject;
	int client = start_tcp(&subject, &handler);
	static char rubbish[20000];
	char buf[64];

	(void)state;
	turn(&subject, 2);
	say(client, "Q\r\n");
	assert_int_equal(send(client, rubbish, sizeof(rubbish), 0), sizeof(rubbish));
	while (!subject.conn.linger)
		turn(&subject, 1);
	assert_int_equal(recv(client, buf, 5, MSG_WAITALL), 5);
	assert_memory_equal(buf, "bye\r\n", 5);
	assert_int_equal(recv(client, buf, sizeof(buf), 0), 0);
	close(client);
	while (!subject.closed)
		turn(&subject, 1);
	assert_int_equal(subject.why, CONN_CLOSED_BY_US);
	stop(&subject, -1);
}

static void test_descriptor_that_cannot_be_watched(void **state)
{
	FILE *file = tmpfile();
	struct subject subject;
	int fd = dup(fileno(file));

	(void)state;
	start(&subject, &fd, &handler, false);
	turn(&subject, 2);
	assert_int_equal(subject.closed, 1);
	assert_int_equal(subject.why, CONN_CUT);
	fclose(file);
	stop(&subject, -1);
}

/* ---- files ---- */

static void test_slices_of_files(void **state)
{
	enum { SIZE = 1000000 };
	struct subject subject;
	int client = start_pair(&subject, SOCK_STREAM, &handler, false);
	char *data = malloc(SIZE), *back = malloc(SIZE + 100);
	size_t got = 0;
	ssize_t n;

	(void)state;
	for (size_t i = 0; i < SIZE; i++)
		data[i] = pattern(i);
	subject.file = memfd_create("slice", MFD_CLOEXEC);
	assert_int_equal(write(subject.file, data, SIZE), SIZE);
	setsockopt(subject.conn.fd, SOL_SOCKET, SO_SNDBUF, &(int){8192}, sizeof(int));
	assert_true(conn_can_send_file(&subject.conn));
	say(client, "Ebefore\r\nF1000000\r\nEafter\r\nF0\r\nEend\r\n");
	while (got < SIZE + 20) {
		turn(&subject, 1);
		n = recv(client, back + got, SIZE + 100 - got, MSG_DONTWAIT);
		got += n > 0 ? (size_t)n : 0;
	}
	assert_int_equal(got, SIZE + 20);
	assert_memory_equal(back, "before\r\n", 8);
	assert_memory_equal(back + 8, data, SIZE);
	assert_memory_equal(back + 8 + SIZE, "after\r\nend\r\n", 12);
	assert_int_equal(subject.files_done, 2);
	/* the file is shorter than was said */
	say(client, "F1000001\r\n");
	while (!subject.closed) {
		turn(&subject, 1);
		recv(client, back, SIZE, MSG_DONTWAIT);
	}
	assert_int_equal(subject.files_failed, 1);
	close(subject.file);
	free(data);
	free(back);
	stop(&subject, client);
}

/* ---- TLS ---- */

static SSL_CTX *client_context;

static SSL *secure(struct subject *subject, int client)
{
	SSL *tls = material_client(client_context, client, NULL);

	for (int i = 0; i < 50 && SSL_do_handshake(tls) != 1; i++)
		turn(subject, 1);
	assert_int_equal(SSL_is_init_finished(tls), 1);
	turn(subject, 2);
	assert_int_equal(subject->secured, 1);
	return tls;
}

static void assert_hears_secretly(struct subject *subject, SSL *tls, const char *text)
{
	char buf[256] = "";
	int got = SSL_read(tls, buf, sizeof(buf) - 1);

	(void)subject;
	assert_int_equal(got, strlen(text));
	assert_string_equal(buf, text);
}

static void test_tls_from_the_start(void **state)
{
	struct subject subject;
	int client = start_pair(&subject, SOCK_STREAM, &handler, true);
	SSL *tls;
	char octet;

	(void)state;
	turn(&subject, 3);
	assert_int_equal(subject.exchanges, 0); /* nothing before the handshake */
	conn_wake(&subject.conn);
	reply(&subject, "greeting", 8);
	tls = secure(&subject, client);
	assert_hears_secretly(&subject, tls, "greeting\r\n");
	assert_false(conn_can_send_file(&subject.conn));
	SSL_write(tls, "Ea\r\nE", 5);
	SSL_write(tls, "b\r\nQ\r\n", 6);
	turn(&subject, 4);
	assert_hears_secretly(&subject, tls, "a\r\n");
	assert_hears_secretly(&subject, tls, "b\r\nbye\r\n");
	assert_int_equal(SSL_read(tls, &octet, 1), 0);
	assert_int_equal(SSL_get_error(tls, 0), SSL_ERROR_ZERO_RETURN);
	assert_int_equal(subject.closed, 1);
	SSL_free(tls);
	stop(&subject, client);
}

/* While a signature is waited for, nothing is read and nothing turns in vain; a peer that goes
 * away is noticed; what it sent meanwhile is read afterwards. */
static void test_tls_signature_that_comes_late(void **state)
{
	struct subject subject;
	struct pollfd poller = {.events = POLLIN};
	SSL *tls;
	int client;

	(void)state;
	for (int cut = 0; cut < 3; cut++) {
		client = start_pair(&subject, SOCK_STREAM, &handler, true);
		poller.fd = client;
		subject.late = true;
		tls = material_client(client_context, client, NULL);
		SSL_do_handshake(tls);
		turn(&subject, 5);
		assert_int_equal(subject.signs, 1);
		assert_int_equal(poll(&poller, 1, 0), 0);
		if (cut == 2) {
			conn_signed(&subject.conn, "", 0);
			turn(&subject, 2);
			assert_int_equal(subject.closed, 1);
			assert_int_equal(subject.why, CONN_TLS_FAILED);
		} else if (cut == 1) {
			close(client);
			client = -1;
			turn(&subject, 2);
			assert_int_equal(subject.closed, 1);
			assert_int_equal(subject.why, CONN_CUT);
		} else {
			subject.late = false;
			reply(&subject, "greeting", 8);
			sign(&subject.conn);
			for (int i = 0; i < 10 && SSL_do_handshake(tls) != 1; i++)
				turn(&subject, 1);
			turn(&subject, 2);
			assert_int_equal(subject.secured, 1);
			assert_hears_secretly(&subject, tls, "greeting\r\n");
		}
		SSL_free(tls);
		stop(&subject, client);
	}
}

/* Several records at once, more than a call reads: what waits inside the library is not forgotten
 * although the socket has nothing more to say. */
static void test_tls_records_that_wait_inside(void **state)
{
	struct subject subject;
	int client = start_pair(&subject, SOCK_STREAM, &handler, true);
	SSL *tls = secure(&subject, client);
	char lines[12000], *at = lines;
	int got = 0;

	(void)state;
	for (int i = 0; i < 1000; i++)
		at += sprintf(at, "E%06d\r\n", i);
	assert_int_equal(SSL_write(tls, lines, (int)(at - lines)), at - lines);
	SSL_write(tls, "W\r\nElast\r\n", 10);
	turn(&subject, 5);
	for (int n; (n = SSL_read(tls, lines, sizeof(lines))) > 0;)
		got += n;
	assert_int_equal(got, 8000);
	release(&subject);
	turn(&subject, 2);
	assert_hears_secretly(&subject, tls, "done\r\nlast\r\n");
	SSL_free(tls);
	stop(&subject, client);
}

static void threat_36_a_tls_peer_that_reads_slowly(void **state)
{
	struct subject subject;
	int client = start_pair(&subject, SOCK_STREAM, &handler, true);
	SSL *tls = secure(&subject, client);

	(void)state;
	SSL_write(tls, "G2000000\r\n", 10);
	slow_reader(&subject, client, tls);
	SSL_write(tls, "Eafter\r\n", 8);
	turn(&subject, 3);
	assert_hears_secretly(&subject, tls, "after\r\n");
	SSL_free(tls);
	stop(&subject, client);
}

/* Commands in the clear behind STLS, in the same segment or kept as input, never run. */
static void threat_01_commands_behind_starttls(void **state)
{
	(void)state;
	for (int together = 0; together < 2; together++) {
		struct subject subject;
		int client = start_pair(&subject, SOCK_STREAM, &handler, false);
		SSL *tls;

		say(client, together ? "S\r\nEevil\r\nQ\r\n" : "W\r\nS\r\nEevil\r\nQ\r\n");
		turn(&subject, 3);
		if (!together) {
			release(&subject);
			turn(&subject, 3);
		}
		assert_hears(client, together ? "begin\r\n" : "done\r\nbegin\r\n");
		tls = secure(&subject, client);
		SSL_write(tls, "Egood\r\n", 7);
		turn(&subject, 3);
		assert_hears_secretly(&subject, tls, "good\r\n");
		assert_int_equal(subject.closed, 0);
		SSL_free(tls);
		stop(&subject, client);
	}
}

static void threat_04_garbage_instead_of_client_hello(void **state)
{
	struct subject subject;
	int client = start_pair(&subject, SOCK_STREAM, &handler, false);

	(void)state;
	say(client, "S\r\n");
	turn(&subject, 3);
	say(client, "USER joe\r\nPASS secret\r\n");
	turn(&subject, 3);
	assert_int_equal(subject.closed, 1);
	assert_int_equal(subject.why, CONN_TLS_FAILED);
	assert_true(strlen(subject.tls_error) > 0);
	assert_int_equal(subject.secured, 0);
	stop(&subject, client);
}

static void threat_37_tls_cut(void **state)
{
	struct subject subject;
	int client;
	SSL *tls;

	(void)state;
	for (int polite = 0; polite < 2; polite++) {
		client = start_pair(&subject, SOCK_STREAM, &handler, true);
		tls = secure(&subject, client);
		SSL_write(tls, "Ea\r\nEwithout an end", 19);
		if (polite)
			SSL_shutdown(tls);
		shutdown(client, SHUT_WR);
		turn(&subject, 5);
		assert_hears_secretly(&subject, tls, "a\r\n");
		assert_int_equal(subject.closed, 1);
		assert_int_equal(subject.why, polite ? CONN_EOF : CONN_CUT);
		SSL_free(tls);
		stop(&subject, client);
	}
	/* in the middle of the handshake */
	client = start_pair(&subject, SOCK_STREAM, &handler, true);
	shutdown(client, SHUT_WR);
	turn(&subject, 3);
	assert_int_equal(subject.why, CONN_CUT);
	stop(&subject, client);
	/* and our own end of it: a deadline, a close */
	client = start_pair(&subject, SOCK_STREAM, &handler, true);
	turn(&subject, 1);
	conn_close(&subject.conn);
	turn(&subject, 2);
	assert_int_equal(subject.why, CONN_CLOSED_BY_US);
	stop(&subject, client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pipelined_replies_leave_in_one_send),
		cmocka_unit_test(test_any_split_of_input),
		cmocka_unit_test(threat_36_a_peer_that_reads_slowly),
		cmocka_unit_test(test_nobody_has_the_loop_for_long),
		cmocka_unit_test(test_input_waits_while_the_session_does),
		cmocka_unit_test(test_untaken_input_stops_reading),
		cmocka_unit_test(test_reset_behind_untaken_input),
		cmocka_unit_test(threat_37_half_close_is_answered_first),
		cmocka_unit_test(threat_37_half_close_while_a_reply_is_owed),
		cmocka_unit_test(test_abort_from_inside),
		cmocka_unit_test(test_abort_of_a_peer_that_never_reads),
		cmocka_unit_test(test_close_with_octets_unread),
		cmocka_unit_test(test_descriptor_that_cannot_be_watched),
		cmocka_unit_test(test_slices_of_files),
		cmocka_unit_test(test_tls_from_the_start),
		cmocka_unit_test(test_tls_signature_that_comes_late),
		cmocka_unit_test(test_tls_records_that_wait_inside),
		cmocka_unit_test(threat_36_a_tls_peer_that_reads_slowly),
		cmocka_unit_test(threat_01_commands_behind_starttls),
		cmocka_unit_test(threat_04_garbage_instead_of_client_hello),
		cmocka_unit_test(threat_37_tls_cut),
	};
	int failed;

	alarm(60);
	client_context = SSL_CTX_new(TLS_client_method());
	material_make(&material, "EC", "DNS:mail.example", "SHA256");
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	SSL_CTX_free(client_context);
	return failed;
}
