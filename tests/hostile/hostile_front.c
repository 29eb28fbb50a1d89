/*
 * A front that an attacker owns (threat 29). This program plays the monitor for a real auth, a real
 * keeper and one real front, and is itself a second front that lies: made-up sessions, another
 * front's session numbers, messages that are not a front's, sizes that do not add up, slots that
 * are none, writing where it may read, floods, silence. After each lie the others must still be the
 * same processes and the real front must serve its client; what the client gets is checked.
 *
 * hostile_front VALIJAD CONF USER PASSWORD: CONF is an office made by `valija init` with one
 * message for USER. Prints what it tried; exits with 0 if everything held.
 */
#include "config/config.h"
#include "play.h"
#include "sys/arena.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static struct {
	struct real auth, keeper, front;
	int to_auth, to_keeper; /* the hostile front's channels */
	const char *user, *password;
	unsigned tried;
} all;

enum { FILES = 3000 }; /* that a front may have open; auth has the same limit */

static void start_all(void)
{
	struct ipc_listener listener = {.service = SERVICE_POP3};

	play_spawn(&all.auth, ROLE_AUTH);
	play_spawn(&all.keeper, ROLE_KEEPER);
	play_spawn(&all.front, ROLE_FRONT);
	need(prlimit(all.auth.pid, RLIMIT_NOFILE, &(struct rlimit){FILES, FILES}, NULL) == 0,
	     "prlimit");
	play_directory(&all.auth, DIRECTORY_USERS, play.users_fd, "users");
	play_directory(&all.auth, DIRECTORY_MAIL, play.mail_fd, "");
	play_directory(&all.keeper, DIRECTORY_MAIL, play.mail_fd, "");
	send_message(all.front.fd, IPC_LISTENER, &listener, sizeof(listener), NULL, 0,
		     &play.listener, 1);
	play_wire(&all.front, &all.auth);
	play_wire(&all.front, &all.keeper);
	play_wire(&all.auth, &all.keeper);
	play_start(&all.auth);
	play_start(&all.keeper);
	play_start(&all.front);
}

/* New channels for the hostile front, as the monitor would give to a front started anew. */
static void become_front(void)
{
	uint64_t instance = ++play.instances;
	char buf[CHAN_PACKET_MAX];
	int a[2], k[2];

	if (all.to_auth >= 0)
		close(all.to_auth);
	if (all.to_keeper >= 0)
		close(all.to_keeper);
	need(chan_pair(a, NULL) == 0 && chan_pair(k, NULL) == 0, "chan_pair");
	play_peer(&all.auth, ROLE_FRONT, instance, a[1]);
	play_peer(&all.keeper, ROLE_FRONT, instance, k[1]);
	close(a[1]);
	close(k[1]);
	all.to_auth = a[0];
	all.to_keeper = k[0];
	need(wait_for(all.to_keeper, buf, sizeof(buf), IPC_ARENA) == IPC_ARENA,
	     "the keeper shares no memory");
}

/* -- the real front's client -- */

static int login(void)
{
	char command[600];
	int fd = play_dial();

	play_line(fd, NULL, "+OK");
	snprintf(command, sizeof(command), "USER %s\r\n", all.user);
	play_line(fd, command, "+OK");
	snprintf(command, sizeof(command), "PASS %s\r\n", all.password);
	play_line(fd, command, "+OK");
	play_line(fd, "STAT\r\n", "+OK 1 ");
	return fd;
}

/* Everybody is alive, the maildrop is whole, the lock is free. */
static void still_well(const char *after)
{
	const struct real *reals[] = {&all.auth, &all.keeper, &all.front};
	int fd;

	for (size_t i = 0; i < 3; i++)
		if (waitpid(reals[i]->pid, NULL, WNOHANG) != 0)
			die(after);
	fd = login();
	play_line(fd, "LIST 1\r\n", "+OK 1 ");
	play_line(fd, "QUIT\r\n", "+OK");
	close(fd);
	all.tried++;
	printf("held: %s\n", after);
}

/* -- the lies -- */

/* The keeper says that it has no such session, and nothing else. */
static void expect_gone(uint64_t session, const char *what)
{
	union {
		struct ipc_gone gone;
		char octets[CHAN_PACKET_MAX];
	} answer;

	if (receive(all.to_keeper, &answer, sizeof(answer), PATIENCE_MS) != IPC_GONE ||
	    play.received != sizeof(answer.gone) || answer.gone.session != session)
		die(what);
}

static void made_up_sessions(uint64_t session, const char *what)
{
	struct ipc_fetch fetch = {.session = session, .number = 1, .count = 1};
	struct ipc_slice slice = {.session = session, .number = 1, .size = 100};
	struct ipc_delete delete = {.session = session, .count = 1};
	struct ipc_commit commit = {.session = session, .total = 1};
	uint32_t one = 1;

	SEND(all.to_keeper, IPC_FETCH, &fetch, NULL, 0);
	SEND(all.to_keeper, IPC_READ_SLICE, &slice, NULL, 0);
	SEND(all.to_keeper, IPC_DELETE, &delete, &one, sizeof(one));
	SEND(all.to_keeper, IPC_COMMIT, &commit, NULL, 0);
	for (unsigned i = 0; i < 3; i++) /* FETCH, READ_SLICE, COMMIT */
		expect_gone(session, what);
	expect_silence(all.to_keeper, what);
}

static void sessions_of_another(void)
{
	int fd = login();

	/* the real front counts from 1: every session that it can have now */
	for (uint64_t session = 0; session < 64; session++)
		made_up_sessions(session, "the keeper served another front's session");
	play_line(fd, "STAT\r\n", "+OK 1 ");
	play_line(fd, "QUIT\r\n", "+OK");
	close(fd);
}

static void not_a_fronts_message(void)
{
	struct ipc_open open = {.front = play.instances, .session = 1};

	SEND_TEXTS(all.to_keeper, IPC_OPEN, &open, all.user, all.user, "");
	expect_cut(all.to_keeper, "a front could tell a keeper to open a maildrop");
	become_front();
}

static void packets_that_do_not_fit(void)
{
	static const size_t sizes[] = {1, 4, 7, 8, 12, 24, 25, 5000, 90000};
	char junk[CHAN_PACKET_MAX];

	for (uint32_t type = 0; type < IPC_END + 2; type += 3) {
		size_t size = sizes[type % (sizeof(sizes) / sizeof(sizes[0]))];
		int *to = type % 2 ? &all.to_auth : &all.to_keeper;

		memset(junk, 0xff, sizeof(junk));
		memcpy(junk, &type, sizeof(type));
		send_raw(*to, junk, size, NULL, 0, 0);
		expect_cut(*to, "a packet that fits nothing was accepted");
		become_front();
	}
}

static void descriptors_uncalled_for(void)
{
	struct ipc_fetch fetch = {.session = 1, .number = 1, .count = 1};
	int fds[CHAN_FDS_MAX] = {play.mail_fd, play.mail_fd, play.mail_fd, play.mail_fd};

	send_message(all.to_keeper, IPC_FETCH, &fetch, sizeof(fetch), NULL, 0, fds, CHAN_FDS_MAX);
	expect_cut(all.to_keeper, "descriptors that no message has were accepted");
	become_front();
}

static void connect_session(uint64_t session)
{
	struct ipc_connect message = {.session = session, .loopback = 1};

	message.address[10] = message.address[11] = 0xff;
	message.address[12] = 127;
	SEND(all.to_auth, IPC_CONNECT, &message, NULL, 0);
}

static void credentials_that_do_not_add_up(void)
{
	struct ipc_credentials message = {.head.texts = {0xfff0, 0x20}, .session = 9};
	char tail[16] = {0};

	connect_session(9);
	SEND(all.to_auth, IPC_PASS, &message, tail, sizeof(tail));
	expect_cut(all.to_auth, "sizes that wrap were accepted");
	become_front();
}

static void guess(void)
{
	struct ipc_credentials message = {.session = 5, .ticket = 0x1234567890};
	char buf[CHAN_PACKET_MAX];

	connect_session(5);
	SEND_TEXTS(all.to_auth, IPC_PASS, &message, all.user, "wrong");
	need(wait_for(all.to_auth, buf, sizeof(buf), IPC_DENIED) == IPC_DENIED,
	     "a wrong password was not denied");
	need(((struct ipc_denied *)(void *)buf)->ticket == message.ticket,
	     "a denial did not name its login");
	expect_silence(all.to_keeper, "a wrong password opened a maildrop");
}

/* What auth says to an attempt, past all that the front should have refused itself. */
static void attempt(uint64_t session, enum ipc_type type, const char *user, const char *secret,
		    enum ipc_type expected, const char *what)
{
	struct ipc_credentials message = {
		.session = session, .ticket = session, .has_secret = *secret != '\0'};
	char buf[CHAN_PACKET_MAX];

	SEND_TEXTS(all.to_auth, type, &message, user, secret);
	need(wait_for(all.to_auth, buf, sizeof(buf), expected) == expected, what);
	if (expected == IPC_DENIED)
		need(((struct ipc_denied *)(void *)buf)->reason == REASON_CLEAR_TEXT, what);
}

/* The office allows passwords in clear text on loopback only: auth checks that, not the front. */
static void clear_text(void)
{
	struct ipc_connect far = {.session = 60};

	far.address[10] = far.address[11] = 0xff;
	far.address[12] = 192;
	SEND(all.to_auth, IPC_CONNECT, &far, NULL, 0);
	attempt(60, IPC_PASS, all.user, all.password, IPC_DENIED, "PASS in clear text was taken");
	attempt(60, IPC_SASL_START, "PLAIN", "AGRlbW8AeA==", IPC_DENIED, "PLAIN was taken");
	attempt(60, IPC_SASL_START, "LOGIN", "", IPC_DENIED, "LOGIN was taken");
	expect_silence(all.to_keeper, "a login in clear text opened a maildrop");
	attempt(60, IPC_SASL_START, "SCRAM-SHA-256", "", IPC_CHALLENGE, "SCRAM was refused");
	connect_session(61);
	attempt(61, IPC_SASL_START, "LOGIN", "", IPC_CHALLENGE, "LOGIN was refused on loopback");
}

static void honest_login(uint64_t session)
{
	struct ipc_credentials message = {.session = session};
	char buf[CHAN_PACKET_MAX];

	connect_session(session);
	SEND_TEXTS(all.to_auth, IPC_PASS, &message, all.user, all.password);
	need(wait_for(all.to_keeper, buf, sizeof(buf), IPC_OPENED) == IPC_OPENED,
	     "an honest login failed");
}

/* Several messages may share a packet, but not so many that others would have to wait, and each
 * is looked at like one that comes alone. */
static void packets_full_of_messages(void)
{
	static const uint64_t session = 77;
	struct ipc_connect connect = {
		.head = {.type = IPC_CONNECT}, .session = session, .loopback = 1};
	struct ipc_session bye = {.head = {.type = IPC_DISCONNECT}, .session = session};
	char packet[CHAN_PACKET_MAX], answer[CHAN_PACKET_MAX];
	size_t size = 0;

	memcpy(packet, &connect, sizeof(connect));
	memcpy(packet + sizeof(connect), &bye, sizeof(bye));
	memcpy(packet + sizeof(connect) + sizeof(bye), &connect, sizeof(connect));
	size = 2 * sizeof(connect) + sizeof(bye);
	send_raw(all.to_auth, packet, size, NULL, 0, 0);
	for (int i = 0; i < 2;) { /* the answers may share one as well */
		need(wait_for(all.to_auth, answer, sizeof(answer), IPC_CONNECTED) == IPC_CONNECTED,
		     "messages in one packet were not all answered");
		for (size_t at = 0; at < play.received; i++)
			at += ipc_first(answer + at, play.received - at);
	}
	bye.head.type = IPC_OPEN; /* behind one that is allowed, one that is not */
	memcpy(packet + sizeof(connect), &bye, sizeof(bye));
	send_raw(all.to_auth, packet, sizeof(connect) + sizeof(bye), NULL, 0, 0);
	expect_cut(all.to_auth, "a forbidden message behind another was accepted");
	become_front();
	send_raw(all.to_auth, packet, sizeof(connect) + 3, NULL, 0, 0);
	expect_cut(all.to_auth, "half a message behind another was accepted");
	become_front();
	bye.head.type = IPC_DISCONNECT;
	for (size = 0; size + sizeof(bye) <= sizeof(packet); size += sizeof(bye))
		memcpy(packet + size, &bye, sizeof(bye));
	send_raw(all.to_auth, packet, size, NULL, 0, 0);
	expect_cut(all.to_auth, "a packet of thousands of messages was accepted");
	become_front();
}

/* What a keeper shares can be read, and nothing else. */
static void shared_memory_is_read_only(void)
{
	char octet = 'x';

	need(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, play.arena, 0) == MAP_FAILED,
	     "a front could map a keeper's memory for writing");
	need(write(play.arena, &octet, 1) < 0, "a front could write to a keeper's memory");
	need(ftruncate(play.arena, 0) < 0, "a front could take a keeper's memory away");
	need(fcntl(play.arena, F_ADD_SEALS, F_SEAL_WRITE) < 0, "a front could seal its keeper out");
}

/* A slot that is one is used, without one the message comes in the packet; a slot that is none
 * breaks the channel, and nothing is written anywhere. */
static void slots_that_are_none(void)
{
	static const uint32_t good[] = {0, ARENA_SLOTS - 1, IPC_NO_SLOT};
	static const uint32_t bad[] = {ARENA_SLOTS, ARENA_SLOTS + 1, 0x80000000u};
	const size_t goods = sizeof(good) / sizeof(good[0]), bads = sizeof(bad) / sizeof(bad[0]);
	char buf[CHAN_PACKET_MAX];

	honest_login(7);
	for (size_t i = 0; i < goods; i++) {
		struct ipc_fetch fetch = {.session = 7, .number = 1, .count = 1, .slot = good[i]};
		const struct ipc_bodies *bodies = (const struct ipc_bodies *)(const void *)buf;

		SEND(all.to_keeper, IPC_FETCH, &fetch, NULL, 0);
		need(wait_for(all.to_keeper, buf, sizeof(buf), IPC_BODIES) == IPC_BODIES,
		     "a message was not lent");
		/* a worker, which had to wait for the disk, uses none at all */
		need(!bodies->in_slot || good[i] != IPC_NO_SLOT, "a slot that is none was used");
		need((bodies->head.tail == sizeof(struct ipc_body)) == bodies->in_slot,
		     "octets came where they were not announced");
	}
	become_front();
	for (size_t i = 0; i < bads; i++) {
		struct ipc_fetch fetch = {.session = 7, .number = 1, .count = 1, .slot = bad[i]};

		honest_login(7);
		SEND(all.to_keeper, IPC_FETCH, &fetch, NULL, 0);
		expect_cut(all.to_keeper, "a slot that is none was accepted");
		become_front();
	}
}

/* -- a session of its own, asked for what is not in it: the maildrop has one message -- */

static void delete (uint32_t count, uint32_t first, uint32_t second, size_t in_tail)
{
	struct ipc_delete message = {.session = 8, .count = count};
	uint32_t numbers[] = {first, second};

	SEND(all.to_keeper, IPC_DELETE, &message, numbers, in_tail);
}

static void delete_beyond(void)
{
	delete (1, 2, 0, 4);
}
static void delete_none(void)
{
	delete (1, 0, 0, 4);
}
static void delete_twice(void)
{
	delete (2, 1, 1, 8);
}
static void delete_twice_apart(void)
{
	delete (1, 1, 0, 4);
	delete (1, 1, 0, 4);
}
static void delete_descending(void)
{
	delete (2, 1, 0, 8);
}
static void delete_more_than_announced(void)
{
	delete (1, 1, 2, 8);
}
static void delete_half(void)
{
	delete (2, 1, 2, 7);
}
static void delete_wrapping(void)
{
	delete (0x40000001u, 1, 0, 4);
}

static void commit(uint32_t total)
{
	struct ipc_commit message = {.session = 8, .total = total};

	SEND(all.to_keeper, IPC_COMMIT, &message, NULL, 0);
}
static void commit_too_much(void)
{
	delete (1, 1, 0, 4);
	commit(2);
}
static void commit_too_little(void)
{
	delete (1, 1, 0, 4);
	commit(0);
}

static void fetch(uint32_t number, uint32_t count)
{
	struct ipc_fetch message = {
		.session = 8, .number = number, .count = count, .slot = IPC_NO_SLOT};

	SEND(all.to_keeper, IPC_FETCH, &message, NULL, 0);
}
static void fetch_beyond(void)
{
	fetch(2, 1);
}
static void fetch_last(void)
{
	fetch(UINT32_MAX, UINT32_MAX);
}
static void fetch_none(void)
{
	fetch(1, 0);
}

static void slice(uint32_t number, uint64_t offset, uint64_t size)
{
	struct ipc_slice message = {.session = 8, .number = number, .offset = offset, .size = size};

	SEND(all.to_keeper, IPC_READ_SLICE, &message, NULL, 0);
}
static void slice_of_none(void)
{
	slice(2, 0, 1);
}
static void slice_of_number_0(void)
{
	slice(0, 0, 1);
}
static void slice_of_nothing(void)
{
	slice(1, 0, 0);
}
static void slice_at_2_63(void)
{
	slice(1, 1ull << 63, 1);
}
static void slice_too_large(void)
{
	slice(1, 0, IPC_WINDOW_MAX + 1);
}
static void slice_negative(void)
{
	slice(1, UINT64_MAX, 1);
}

static void slice_value_of(uint32_t number, uint64_t offset, uint64_t size, uint32_t by_value)
{
	struct ipc_slice message = {.session = 8,
				    .number = number,
				    .offset = offset,
				    .size = size,
				    .by_value = by_value};

	SEND(all.to_keeper, IPC_READ_SLICE, &message, NULL, 0);
}
static void slice_value_too_large(void)
{
	slice_value_of(1, 0, IPC_BATCH_MAX + 1, 1);
}
static void slice_value_of_none(void)
{
	slice_value_of(2, 0, 1, 1);
}
static void slice_value_odd(void)
{
	slice_value_of(1, 0, 1, 2);
}

static void wrong(uint32_t number)
{
	struct ipc_body_wrong message = {.session = 8, .number = number};

	SEND(all.to_keeper, IPC_BODY_WRONG, &message, NULL, 0);
}
static void wrong_none(void)
{
	wrong(0);
}
static void wrong_beyond(void)
{
	wrong(2);
}

static void bad_values(void)
{
	static const struct {
		const char *name;
		void (*tell)(void);
	} lies[] = {
		{"DELETE beyond the end", delete_beyond},
		{"DELETE of number 0", delete_none},
		{"DELETE of one twice", delete_twice},
		{"DELETE of one twice, apart", delete_twice_apart},
		{"DELETE descending", delete_descending},
		{"DELETE of more than announced", delete_more_than_announced},
		{"DELETE with half a number", delete_half},
		{"DELETE whose size wraps", delete_wrapping},
		{"COMMIT of more than was deleted", commit_too_much},
		{"COMMIT of less than was deleted", commit_too_little},
		{"FETCH beyond the end", fetch_beyond},
		{"FETCH of the last number there is", fetch_last},
		{"FETCH of nothing", fetch_none},
		{"READ_SLICE of no message", slice_of_none},
		{"READ_SLICE of number 0", slice_of_number_0},
		{"READ_SLICE of no octets", slice_of_nothing},
		{"READ_SLICE at 2^63", slice_at_2_63},
		{"READ_SLICE by value of no message", slice_value_of_none},
		{"READ_SLICE by value of more than a packet", slice_value_too_large},
		{"READ_SLICE by neither way", slice_value_odd},
		{"BODY_WRONG of number 0", wrong_none},
		{"BODY_WRONG beyond the end", wrong_beyond},
		{"READ_SLICE that is too large", slice_too_large},
		{"READ_SLICE at a negative offset", slice_negative},
	};

	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		honest_login(8);
		lies[i].tell();
		expect_cut(all.to_keeper, lies[i].name);
		become_front();
		still_well(lies[i].name); /* nothing was deleted */
	}
}

/* No lie, but beyond the end: the answers fit. */
static void odd_values(void)
{
	char buf[CHAN_PACKET_MAX];

	honest_login(8);
	fetch(1, UINT32_MAX);
	need(wait_for(all.to_keeper, buf, sizeof(buf), IPC_BODIES) == IPC_BODIES &&
		     ((struct ipc_bodies *)(void *)buf)->count == 1,
	     "one message was not one");
	slice(1, INT64_MAX / 2, IPC_WINDOW_MAX);
	need(wait_for(all.to_keeper, buf, sizeof(buf), IPC_BODY_FAILED) == IPC_BODY_FAILED,
	     "octets beyond the end of a message were read");
	become_front();
	still_well("more than is there");
}

/* Logs in honestly, then asks for more than its credits and reads nothing. */
static void flood(void)
{
	struct ipc_fetch fetch = {.session = 6, .number = 1, .count = 32, .slot = IPC_NO_SLOT};
	struct pollfd wait = {.fd = all.to_keeper, .events = POLLOUT};

	honest_login(6);
	fetch.head.type = IPC_FETCH;
	for (int i = 0; i < 20000; i++) {
		ssize_t n = send_raw(all.to_keeper, &fetch, sizeof(fetch), NULL, 0, MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN && poll(&wait, 1, SILENCE_MS) != 1)
			break; /* it is simply not read any more: fine too */
		if (n < 0 && errno != EAGAIN)
			break; /* cut */
	}
	expect_cut(all.to_keeper, "a front that asks and never reads was never cut");
	become_front(); /* with its channels go its sessions: the lock is free again */
}

static void more_connections_than_descriptors(void)
{
	for (uint64_t session = 5000; session < 5000 + FILES; session++)
		connect_session(session);
	connect_session(1); /* one that cannot be there */
	expect_cut(all.to_auth, "a front could have more connections than descriptors");
	become_front();
}

static void resumed_connection(void)
{
	struct ipc_connect message = {.session = 1, .loopback = 1, .resumed = 1};

	SEND(all.to_auth, IPC_CONNECT, &message, NULL, 0);
	expect_cut(all.to_auth, "a new front could resume a connection");
	become_front();
}

static void silence(void)
{
	for (uint64_t session = 1000; session < 3000; session++)
		connect_session(session); /* and never reads what auth says to it */
	become_front();
}

int main(int argc, char **argv)
{
	if (argc != 5) {
		fputs("usage: hostile_front VALIJAD CONF USER PASSWORD\n", stderr);
		return 64;
	}
	all.user = argv[3];
	all.password = argv[4];
	all.to_auth = all.to_keeper = -1;
	play_prepare(argv[1], argv[2]);
	start_all();
	still_well("nothing yet");
	become_front();
	made_up_sessions(1, "a session that nobody opened was served");
	still_well("sessions that nobody opened");
	sessions_of_another();
	still_well("sessions of another front");
	not_a_fronts_message();
	still_well("telling a keeper to open a maildrop");
	packets_that_do_not_fit();
	still_well("packets that fit no message");
	descriptors_uncalled_for();
	still_well("descriptors that no message has");
	credentials_that_do_not_add_up();
	still_well("sizes that wrap");
	packets_full_of_messages();
	still_well("packets full of messages");
	guess();
	still_well("a wrong password");
	clear_text();
	still_well("passwords in clear text past the front");
	shared_memory_is_read_only();
	still_well("shared memory is only to be read");
	slots_that_are_none();
	still_well("slots that are none");
	bad_values();
	odd_values();
	flood();
	still_well("more requests than credits, read by nobody");
	silence();
	still_well("a front that never reads");
	more_connections_than_descriptors();
	still_well("more connections than descriptors");
	resumed_connection();
	still_well("a connection from before the front was started");
	kill(all.front.pid, SIGKILL);
	kill(all.auth.pid, SIGKILL);
	kill(all.keeper.pid, SIGKILL);
	printf("%u lies, everything held\n", all.tried - 1);
	return 0;
}
