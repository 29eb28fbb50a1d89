/*
 * A keeper that an attacker owns (threat 61). This program plays the monitor for a real auth, a
 * real POP3 front, a real LMTP front and a real keeper, and is itself a second keeper, to which
 * auth sends half of the users. It answers what nobody asked, about sessions and recipients of the
 * other keeper, with fields out of their range. A lie about what is its own costs it its channels;
 * the other's sessions go on, and other users' mail never comes here.
 *
 * hostile_keeper VALIJAD CONF PASSWORD USER…: CONF is an office made by `valija init` with one
 * message for each USER. Exits with 0 if everything held.
 */
#include "base/table.h"
#include "config/config.h"
#include "play.h"
#include "sys/arena.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define LARGE (8u << 20)
#define FLOOD 20000

static struct {
	struct real auth, keeper, front, lmtp;
	int to_auth, to_front, to_lmtp; /* the hostile keeper's channels */
	int lmtp_listener, bystander;
	uint16_t lmtp_port;
	const char *password, *ours, *theirs[2];
	uint64_t session, ticket;              /* of the last OPEN that came */
	uint64_t pop3_sessions, lmtp_sessions; /* how many the fronts have had */
	uint32_t count;                        /* of the last FETCH */
	uint64_t offset, size;                 /* of the last READ_SLICE */
	unsigned tried;
} all;

/* -- the cast -- */

static void wire_real_keeper(const struct real *to)
{
	int pair[2];

	need(chan_pair(pair, NULL) == 0, "chan_pair");
	play_keeper(to, all.keeper.instance, pair[0], 0, 2);
	play_peer(&all.keeper, to->role, to->instance, pair[1]);
	close(pair[0]);
	close(pair[1]);
}

static void give_listener(const struct real *to, enum config_service service, int fd)
{
	struct ipc_listener listener = {.service = service};

	send_message(to->fd, IPC_LISTENER, &listener, sizeof(listener), NULL, 0, &fd, 1);
}

static void start_all(void)
{
	play_spawn(&all.auth, ROLE_AUTH);
	play_spawn(&all.keeper, ROLE_KEEPER);
	play_spawn(&all.front, ROLE_FRONT);
	play_spawn(&all.lmtp, ROLE_LMTP);
	play_directory(&all.auth, DIRECTORY_USERS, play.users_fd, "users");
	play_directory(&all.auth, DIRECTORY_MAIL, play.mail_fd, "");
	play_directory(&all.keeper, DIRECTORY_MAIL, play.mail_fd, "");
	give_listener(&all.front, SERVICE_POP3, play.listener);
	give_listener(&all.lmtp, SERVICE_LMTP, all.lmtp_listener);
	play_wire(&all.front, &all.auth);
	play_wire(&all.lmtp, &all.auth);
	wire_real_keeper(&all.auth);
	wire_real_keeper(&all.front);
	wire_real_keeper(&all.lmtp);
	play_start(&all.auth);
	play_start(&all.keeper);
	play_start(&all.front);
	play_start(&all.lmtp);
}

static void renew_channel(const struct real *to, uint64_t instance, int *channel)
{
	int pair[2];

	if (*channel >= 0)
		close(*channel);
	need(chan_pair(pair, NULL) == 0, "chan_pair");
	play_keeper(to, instance, pair[1], 1, 2);
	close(pair[1]);
	*channel = pair[0];
}

/* New channels, as the monitor would give to a keeper started anew. */
static void become_keeper(void)
{
	uint64_t instance = ++play.instances;

	renew_channel(&all.auth, instance, &all.to_auth);
	renew_channel(&all.front, instance, &all.to_front);
	renew_channel(&all.lmtp, instance, &all.to_lmtp);
}

/* -- POP3 clients -- */

static int dial_and_pass(const char *user)
{
	char command[600];
	int fd = play_dial();

	all.pop3_sessions++;
	play_line(fd, NULL, "+OK");
	snprintf(command, sizeof(command), "USER %s\r\n", user);
	play_line(fd, command, "+OK");
	snprintf(command, sizeof(command), "PASS %s\r\n", all.password);
	play_say(fd, command);
	return fd;
}

static int login(const char *user)
{
	int fd = dial_and_pass(user);

	play_line(fd, NULL, "+OK");
	play_line(fd, "STAT\r\n", "+OK 1 ");
	return fd;
}

/* Everybody is the same process, who is logged in stays so, who comes is served. */
static void still_well(const char *after)
{
	const struct real *reals[] = {&all.auth, &all.keeper, &all.front, &all.lmtp};
	int fd;

	for (size_t i = 0; i < sizeof(reals) / sizeof(reals[0]); i++)
		if (waitpid(reals[i]->pid, NULL, WNOHANG) != 0)
			die(after);
	play_line(all.bystander, "LIST 1\r\n", "+OK 1 ");
	fd = login(all.theirs[1]);
	play_line(fd, "QUIT\r\n", "+OK");
	close(fd);
	all.tried++;
	printf("held: %s\n", after);
	fflush(stdout);
}

/* -- the hostile keeper's own sessions, brought to where a lie is possible -- */

enum stage { OPENING, OPEN, FETCHING, SLICING, COMMITTING };

static void *wanted(int fd, enum ipc_type type, const char *what)
{
	static uint64_t buf[CHAN_PACKET_MAX / sizeof(uint64_t)];

	need(wait_for(fd, buf, sizeof(buf), type) == type, what);
	return buf;
}

static void send_opened(uint64_t session, uint64_t ticket, uint32_t count, int base, int delta,
			uint64_t delta_size, uint64_t octets)
{
	struct ipc_opened message = {.session = session,
				     .ticket = ticket,
				     .delta_size = delta_size,
				     .octets = octets,
				     .count = count};
	int fds[] = {base, delta};

	send_message(all.to_front, IPC_OPENED, &message, sizeof(message), NULL, 0, fds, 2);
}

/* A true index, from the real keeper: this program is once more auth and a front there. */
static struct ipc_opened true_index(void)
{
	struct ipc_open open = {.session = 1};
	struct ipc_opened opened;
	int front[2], auth[2];

	need(chan_pair(front, NULL) == 0 && chan_pair(auth, NULL) == 0, "chan_pair");
	open.front = ++play.instances;
	play_peer(&all.keeper, ROLE_FRONT, open.front, front[1]);
	play_peer(&all.keeper, ROLE_AUTH, ++play.instances, auth[1]);
	close(front[1]);
	close(auth[1]);
	SEND_TEXTS(auth[0], IPC_OPEN, &open, all.ours, all.ours, "");
	memcpy(&opened, wanted(front[0], IPC_OPENED, "no index"), sizeof(opened));
	close(front[0]);
	close(auth[0]);
	return opened;
}

static void lend_large(int client)
{
	struct ipc_body_lent lent = {.session = all.session,
				     .stored = LARGE,
				     .octets = LARGE,
				     .number = 1,
				     .wire_form = 1};
	const struct ipc_slice *slice;
	int fd = memfd_create("large", MFD_CLOEXEC);

	need(ftruncate(fd, LARGE) == 0, "ftruncate");
	send_message(all.to_front, IPC_BODY_LENT, &lent, sizeof(lent), NULL, 0, &fd, 1);
	close(fd);
	play_line(client, NULL, "+OK");
	slice = wanted(all.to_front, IPC_READ_SLICE, "no slice is wanted");
	all.offset = slice->offset;
	all.size = slice->size;
}

static int reach(enum stage stage)
{
	int client = dial_and_pass(all.ours);
	const struct ipc_open *open = wanted(all.to_auth, IPC_OPEN, "auth sends nobody");
	struct ipc_opened index;

	all.session = open->session;
	all.ticket = open->ticket;
	if (stage == OPENING)
		return client;
	index = true_index();
	send_opened(all.session, all.ticket, stage == COMMITTING ? index.count : 100, play.index[0],
		    play.index[1], index.delta_size, index.octets);
	play_line(client, NULL, "+OK");
	if (stage == COMMITTING) {
		play_line(client, "DELE 1\r\n", "+OK");
		play_say(client, "QUIT\r\n");
		wanted(all.to_front, IPC_COMMIT, "no COMMIT");
	} else if (stage != OPEN) {
		play_say(client, "RETR 1\r\n");
		all.count =
			((struct ipc_fetch *)wanted(all.to_front, IPC_FETCH, "no FETCH"))->count;
	}
	if (stage == SLICING)
		lend_large(client);
	return client;
}

/* -- lies that a front must not take -- */

static void bodies(uint32_t first, uint32_t second, uint32_t count, uint32_t in_slot, size_t cut)
{
	struct ipc_bodies message = {.session = all.session, .count = count, .in_slot = in_slot};
	struct {
		struct ipc_body bodies[2];
		char octets[8];
	} tail = {{{.octets = 4, .number = first, .stored = 4},
		   {.octets = 4, .number = second, .stored = 4}},
		  "a\r\nb\r\n"};
	size_t size = sizeof(tail.bodies) + (in_slot ? 0 : 8);

	SEND(all.to_front, IPC_BODIES, &message, &tail, size - cut);
}

static void one_body(void)
{
	bodies(1, 2, 2, 0, 0);
}
static void other_numbers(void)
{
	bodies(2, 3, 2, 0, 0);
}
static void more_than_asked(void)
{
	bodies(1, all.count + 1, 2, 0, 0);
}
static void descending(void)
{
	bodies(1, 1, 2, 0, 0);
}
static void number_of_none(void)
{
	bodies(0, 1, 2, 0, 0);
}
static void no_slot(void)
{
	bodies(1, 2, 2, 1, 0);
}
static void cut_short(void)
{
	bodies(1, 2, 2, 0, 1);
}
static void huge_count(void)
{
	bodies(1, 2, UINT32_MAX, 0, 0);
}
static void no_bodies(void)
{
	bodies(1, 2, 0, 0, 0);
}
static void slot_and_octets(void)
{
	bodies(1, 2, 2, 2, 0);
}

static void committed_with(uint32_t reason)
{
	struct ipc_committed message = {.session = all.session, .reason = reason};

	SEND(all.to_front, IPC_COMMITTED, &message, NULL, 0);
}
static void committed(void)
{
	committed_with(REASON_OK);
}
static void committed_no_reason(void)
{
	committed_with(REASON_COUNT);
}

static void lent_with(uint32_t number, uint64_t stored, uint64_t window, uint64_t offset)
{
	struct ipc_body_lent message = {.session = all.session,
					.number = number,
					.stored = stored,
					.window = window,
					.offset = offset};

	send_message(all.to_front, IPC_BODY_LENT, &message, sizeof(message), NULL, 0, &play.mail_fd,
		     1);
}
static void lent(void)
{
	lent_with(1, 10, 10, 0);
}
static void lent_other(void)
{
	lent_with(2, 10, 10, 0);
}
static void lent_window(void)
{
	lent_with(1, 10, 11, 0);
}
static void lent_offset(void)
{
	lent_with(1, 10, 10, UINT64_MAX - 3);
}

static void failed_with(uint32_t number, uint32_t reason)
{
	struct ipc_body_failed message = {
		.session = all.session, .number = number, .reason = reason};

	SEND(all.to_front, IPC_BODY_FAILED, &message, NULL, 0);
}
static void failed(void)
{
	failed_with(1, REASON_MESSAGE_TEMP);
}
static void failed_other(void)
{
	failed_with(2, REASON_MESSAGE_TEMP);
}
static void failed_well(void)
{
	failed_with(1, REASON_OK);
}
static void failed_no_reason(void)
{
	failed_with(1, UINT32_MAX);
}

static void slice_with(uint32_t number, uint64_t offset, uint64_t size)
{
	struct ipc_slice message = {
		.session = all.session, .number = number, .offset = offset, .size = size};

	SEND(all.to_front, IPC_SLICE_READY, &message, NULL, 0);
}
static void slice(void)
{
	slice_with(1, 0, 100);
}
static void slice_larger(void)
{
	slice_with(1, all.offset, all.size + 1);
}
static void slice_empty(void)
{
	slice_with(1, all.offset, 0);
}
static void slice_elsewhere(void)
{
	slice_with(1, all.offset + 1, all.size);
}
static void slice_other(void)
{
	slice_with(2, all.offset, all.size);
}

static void slice_value(uint32_t number, uint64_t offset, uint64_t size, uint32_t tail)
{
	static const char octets[IPC_BATCH_MAX];
	struct ipc_slice message = {.session = all.session,
				    .number = number,
				    .offset = offset,
				    .size = size,
				    .by_value = 1};

	SEND(all.to_front, IPC_SLICE, &message, octets, tail);
}
static void slice_value_unasked(void)
{
	slice_value(1, 0, 100, 100);
}
static void slice_value_for_window(void)
{
	slice_value(1, all.offset, 100, 100);
}
static void slice_value_half(void)
{
	slice_value(1, all.offset, 100, 99);
}

static void sliced_with(uint32_t number, uint64_t window)
{
	struct ipc_body_lent message = {
		.session = all.session, .number = number, .stored = 100, .window = window};

	SEND(all.to_front, IPC_BODY_SLICED, &message, NULL, 0);
}
static void sliced(void)
{
	sliced_with(1, 0);
}
static void sliced_other(void)
{
	sliced_with(2, 0);
}
static void sliced_window(void)
{
	sliced_with(1, 1);
}

static void opened_huge(void)
{
	send_opened(all.session, all.ticket, UINT32_MAX, play.mail_fd, play.mail_fd, 0, 0);
}
static void opened_negative(void)
{
	send_opened(all.session, all.ticket, 1, play.mail_fd, play.mail_fd, UINT64_MAX, 0);
}
static void opened_octets(void)
{
	send_opened(all.session, all.ticket, 1, play.mail_fd, play.mail_fd, 0, UINT64_MAX);
}
static void opened_half(void)
{
	struct ipc_opened message = {.session = all.session, .ticket = all.ticket};

	send_message(all.to_front, IPC_OPENED, &message, sizeof(message), NULL, 0, &play.mail_fd,
		     1);
}
static void open_failed_with(uint32_t reason)
{
	struct ipc_open_failed message = {
		.session = all.session, .ticket = all.ticket, .reason = reason};

	SEND(all.to_front, IPC_OPEN_FAILED, &message, NULL, 0);
}
static void open_failed_well(void)
{
	open_failed_with(REASON_OK);
}
static void open_failed_no_reason(void)
{
	open_failed_with(REASON_COUNT);
}
static void a_fronts_message(void)
{
	struct ipc_session message = {.session = all.session};

	SEND(all.to_front, IPC_CLOSE, &message, NULL, 0);
}

static const struct lie {
	const char *name;
	enum stage stage;
	void (*tell)(void);
} lies[] = {
	{"OPENED with more messages than there can be", OPENING, opened_huge},
	{"OPENED with a negative size", OPENING, opened_negative},
	{"OPENED with negative octets", OPENING, opened_octets},
	{"OPENED with one descriptor", OPENING, opened_half},
	{"OPEN_FAILED because all is well", OPENING, open_failed_well},
	{"OPEN_FAILED for no reason", OPENING, open_failed_no_reason},
	{"a message of fronts", OPEN, a_fronts_message},
	{"COMMITTED unasked", OPEN, committed},
	{"BODIES unasked", OPEN, one_body},
	{"BODY_LENT unasked", OPEN, lent},
	{"BODY_FAILED unasked", OPEN, failed},
	{"SLICE_READY unasked", OPEN, slice},
	{"BODY_SLICED unasked", OPEN, sliced},
	{"SLICE unasked", OPEN, slice_value_unasked},
	{"SLICE for FETCH", FETCHING, slice_value_unasked},
	{"BODY_SLICED with another number", FETCHING, sliced_other},
	{"BODY_SLICED with a window", FETCHING, sliced_window},
	{"BODY_SLICED for READ_SLICE", SLICING, sliced},
	{"SLICE for a window", SLICING, slice_value_for_window},
	{"SLICE with half its octets", SLICING, slice_value_half},
	{"COMMITTED for FETCH", FETCHING, committed},
	{"SLICE_READY for FETCH", FETCHING, slice},
	{"BODIES with other numbers", FETCHING, other_numbers},
	{"BODIES more than asked", FETCHING, more_than_asked},
	{"BODIES that do not ascend", FETCHING, descending},
	{"BODIES with number 0", FETCHING, number_of_none},
	{"BODIES in a slot that was not lent", FETCHING, no_slot},
	{"BODIES cut short", FETCHING, cut_short},
	{"BODIES of a huge count", FETCHING, huge_count},
	{"BODIES that are none", FETCHING, no_bodies},
	{"BODIES in a slot and behind it", FETCHING, slot_and_octets},
	{"BODY_LENT with another number", FETCHING, lent_other},
	{"BODY_LENT with a window beyond its end", FETCHING, lent_window},
	{"BODY_LENT with an offset that wraps", FETCHING, lent_offset},
	{"BODY_FAILED for another number", FETCHING, failed_other},
	{"BODY_FAILED because all is well", FETCHING, failed_well},
	{"BODY_FAILED for no reason", FETCHING, failed_no_reason},
	{"SLICE_READY larger than asked", SLICING, slice_larger},
	{"SLICE_READY of nothing", SLICING, slice_empty},
	{"SLICE_READY elsewhere", SLICING, slice_elsewhere},
	{"SLICE_READY of another message", SLICING, slice_other},
	{"COMMITTED for READ_SLICE", SLICING, committed},
	{"BODIES for READ_SLICE", SLICING, one_body},
	{"BODIES for COMMIT", COMMITTING, one_body},
	{"BODY_LENT for COMMIT", COMMITTING, lent},
	{"BODY_FAILED for COMMIT", COMMITTING, failed},
	{"COMMITTED for no reason", COMMITTING, committed_no_reason},
};

static void lies_to_the_front(void)
{
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		int client = reach(lies[i].stage);

		lies[i].tell();
		expect_cut(all.to_front, lies[i].name);
		close(client);
		become_keeper();
		still_well(lies[i].name);
	}
}

/* -- answers about sessions that are another's, or over: nothing happens -- */

static void everything_about(uint64_t session)
{
	all.session = session;
	one_body();
	lent();
	failed();
	slice();
	committed();
	open_failed_with(REASON_IN_USE);
	send_opened(session, all.ticket, 100, play.mail_fd, play.mail_fd, 0, 0);
}

static void sessions_of_others(void)
{
	int waiting = reach(OPENING);
	uint64_t own = all.session, ticket = all.ticket;

	all.ticket++; /* of the login that waits, all but one bit is right */
	for (uint64_t session = 0; session <= all.pop3_sessions + 1; session++)
		everything_about(session);
	wait_taken(all.to_front);
	still_well("answers about sessions of others");
	all.session = own;
	all.ticket = ticket;
	open_failed_with(REASON_IN_USE);
	play_line(waiting, NULL, "-ERR [IN-USE]");
	everything_about(own); /* answered once already */
	wait_taken(all.to_front);
	play_line(waiting, "NOOP\r\n", "-ERR");
	close(waiting);
	still_well("answers to a login that was answered");
}

static void sessions_that_ended(void)
{
	int client = reach(OPEN);

	send_opened(all.session, all.ticket, 7, play.mail_fd, play.mail_fd, 0, 0);
	wait_taken(all.to_front);
	play_line(client, "STAT\r\n", "+OK 100 ");
	still_well("OPENED twice");
	play_line(client, "QUIT\r\n", "+OK");
	close(client);
	for (int i = 0; i < FLOOD; i++)
		committed(); /* what comes back is not read */
	everything_about(all.session);
	wait_taken(all.to_front);
	still_well("answers about a session that ended");
	become_keeper();
}

/* An index that is none, memory that could be taken away. */
static void descriptors_that_are_bad(void)
{
	struct ipc_arena arena = {.head = {0}};
	int fd = memfd_create("arena", MFD_CLOEXEC), client, pair[2];

	need(ftruncate(fd, (off_t)ARENA_SLOTS * ARENA_SLOT_SIZE) == 0, "ftruncate");
	send_message(all.to_front, IPC_ARENA, &arena, sizeof(arena), NULL, 0, &fd, 1);
	need(pipe(pair) == 0, "pipe");
	client = dial_and_pass(all.ours);
	memcpy(&all.session, &((struct ipc_open *)wanted(all.to_auth, IPC_OPEN, "OPEN"))->session,
	       8);
	become_keeper(); /* its client is refused */
	play_line(client, NULL, "-ERR");
	close(client);
	send_message(all.to_front, IPC_ARENA, &arena, sizeof(arena), NULL, 0, &fd, 1);
	client = reach(OPENING);
	send_opened(all.session, all.ticket, 9, fd, pair[0], 1 << 20, 9);
	play_line(client, NULL, "+OK");
	play_line(client, "LIST 1\r\n", "-ERR");
	play_say(client, "RETR 1\r\n");
	need(((struct ipc_fetch *)wanted(all.to_front, IPC_FETCH, "no FETCH"))->slot == IPC_NO_SLOT,
	     "a front uses memory that could be cut off under it");
	close(client);
	close(fd);
	close(pair[0]);
	close(pair[1]);
	become_keeper();
	still_well("descriptors that are no index and no arena");
}

/* -- LMTP -- */

static int lmtp_dial(void)
{
	int fd = play_dial_port(all.lmtp_port);

	all.lmtp_sessions++;
	play_line(fd, NULL, "220");
	play_line(fd, "LHLO client.example\r\n", "250");
	play_line(fd, "MAIL FROM:<>\r\n", "250");
	return fd;
}

static void say_rcpt(int fd, const char *user)
{
	char command[600];

	snprintf(command, sizeof(command), "RCPT TO:<%s>\r\n", user);
	play_say(fd, command);
}

static void answer(enum ipc_type type, uint32_t index, uint32_t reason)
{
	struct ipc_recipient_answer message = {
		.session = all.lmtp_sessions, .transaction = 1, .index = index, .reason = reason};

	SEND(all.to_lmtp, type, &message, NULL, 0);
}

static void rcpt_theirs(int fd)
{
	say_rcpt(fd, all.theirs[1]);
	play_line(fd, NULL, "250");
}

static uint32_t rcpt_ours(int fd)
{
	const struct ipc_recipient_open *open;

	say_rcpt(fd, all.ours);
	open = wanted(all.to_auth, IPC_RCPT_OPEN, "auth names nobody");
	return open->index;
}

static void say_data(int fd)
{
	play_line(fd, "DATA\r\n", "354");
	play_say(fd, "Subject: secret\r\n\r\nof another user\r\n.\r\n");
}

/* No DELIVER came, whatever else did. */
static void expect_no_mail(const char *what)
{
	char buf[CHAN_PACKET_MAX];
	enum ipc_type type;

	while ((type = receive(all.to_lmtp, buf, sizeof(buf), 0)) != IPC_NONE)
		if (type == IPC_DELIVER)
			die(what);
}

/* The maildrop of theirs[1] holds one message more: as its owner would see it. */
static void look_and_delete(void)
{
	int fd = dial_and_pass(all.theirs[1]);

	play_line(fd, NULL, "+OK");
	play_line(fd, "STAT\r\n", "+OK 2 ");
	play_line(fd, "DELE 2\r\n", "+OK");
	play_line(fd, "QUIT\r\n", "+OK");
	close(fd);
}

static void delivers_theirs(int fd)
{
	say_data(fd);
	play_line(fd, NULL, "250");
	play_line(fd, "QUIT\r\n", "221");
	close(fd);
	look_and_delete();
}

/* An answer for a recipient that another keeper has answered already: nothing, above all no mail.
 */
static void answers_late_for_theirs(void)
{
	int fd = lmtp_dial();

	rcpt_theirs(fd);
	answer(IPC_RCPT_READY, 1, REASON_OK);
	answer(IPC_RCPT_REFUSED, 1, REASON_OVER_QUOTA);
	answer(IPC_DELIVERED, 1, REASON_OK);
	wait_taken(all.to_lmtp);
	delivers_theirs(fd);
	expect_no_mail("mail for another keeper's user came to one that claimed it");
	still_well("RCPT_READY for a recipient of another keeper");
}

static void refuses_its_own(void)
{
	int fd = lmtp_dial();

	answer(IPC_RCPT_REFUSED, rcpt_ours(fd), REASON_OVER_QUOTA);
	play_line(fd, NULL, "452");
	rcpt_theirs(fd);
	delivers_theirs(fd);
	expect_no_mail("mail for another came to a keeper that refused its own recipient");
	still_well("RCPT_REFUSED for its own recipient, then mail of another");
}

/* It ends, having claimed sessions that it has no part in: they go on. */
static void claims_and_ends(void)
{
	int fd = lmtp_dial();

	rcpt_theirs(fd);
	answer(IPC_RCPT_READY, 1, REASON_OK);
	wait_taken(all.to_lmtp);
	become_keeper();
	play_line(fd, "NOOP\r\n", "250");
	delivers_theirs(fd);
	still_well("a keeper that claimed a recipient and ended");
}

/* Before auth has named anybody: auth is stopped meanwhile. */
static void answers_first(enum ipc_type type, uint32_t reason, unsigned times, const char *what)
{
	int fd = lmtp_dial();

	need(kill(all.auth.pid, SIGSTOP) == 0, "SIGSTOP");
	say_rcpt(fd, all.theirs[1]);
	poll(NULL, 0, SILENCE_MS); /* if it is not enough the answers are too early: cut as well */
	for (unsigned i = 0; i < times; i++)
		answer(type, 1, reason);
	need(kill(all.auth.pid, SIGCONT) == 0, "SIGCONT");
	expect_cut(all.to_lmtp, what);
	if (times <= IPC_PARTS_MAX) {
		play_line(fd, NULL, "250");
	} else { /* cut before auth named anybody: it might have been this keeper's, so 451 */
		play_line(fd, NULL, "");
		play_line(fd, "RSET\r\n", "250");
		play_line(fd, "MAIL FROM:<>\r\n", "250");
		rcpt_theirs(fd);
	}
	delivers_theirs(fd);
	become_keeper();
	still_well(what);
}

static void lie_about_recipient(enum ipc_type type, uint32_t index, uint32_t reason,
				const char *what)
{
	int fd = lmtp_dial();

	(void)rcpt_ours(fd);
	answer(type, index, reason);
	expect_cut(all.to_lmtp, what);
	play_line(fd, NULL, "451");
	rcpt_theirs(fd);
	become_keeper();
	delivers_theirs(fd);
	still_well(what);
}

/* Both keepers have a recipient of one message; ours is answered what it deserves. */
static void lie_about_delivery(uint32_t index, uint32_t reason, const char *what)
{
	int fd = lmtp_dial();

	answer(IPC_RCPT_READY, rcpt_ours(fd), REASON_OK);
	play_line(fd, NULL, "250");
	rcpt_theirs(fd);
	say_data(fd);
	wanted(all.to_lmtp, IPC_DELIVER, "no DELIVER");
	answer(IPC_DELIVERED, index, reason);
	expect_cut(all.to_lmtp, what);
	play_line(fd, NULL, "451");
	play_line(fd, NULL, "250");
	close(fd);
	look_and_delete();
	become_keeper();
	still_well(what);
}

static void delivers_twice(void)
{
	int fd = lmtp_dial();

	answer(IPC_RCPT_READY, rcpt_ours(fd), REASON_OK);
	play_line(fd, NULL, "250");
	say_data(fd);
	wanted(all.to_lmtp, IPC_DELIVER, "no DELIVER");
	answer(IPC_DELIVERED, 1, REASON_OK);
	play_line(fd, NULL, "250");
	for (int i = 0; i < FLOOD; i++) {
		answer(IPC_DELIVERED, 1, REASON_OVER_QUOTA);
		answer(IPC_RCPT_READY, 1, REASON_OK);
	}
	wait_taken(all.to_lmtp);
	play_line(fd, "MAIL FROM:<>\r\n", "250");
	rcpt_theirs(fd);
	delivers_theirs(fd);
	become_keeper();
	still_well("DELIVERED twice, and after the transaction");
}

static void lies_to_lmtp(void)
{
	answers_late_for_theirs();
	refuses_its_own();
	claims_and_ends();
	answers_first(IPC_RCPT_READY, REASON_OK, 1, "RCPT_READY before auth named another");
	answers_first(IPC_RCPT_REFUSED, REASON_OVER_QUOTA, 1,
		      "RCPT_REFUSED before auth named another");
	answers_first(IPC_RCPT_READY, REASON_OK, IPC_PARTS_MAX + 1,
		      "more answers than a recipient has maildrops");
	lie_about_recipient(IPC_RCPT_READY, 1, REASON_OVER_QUOTA, "RCPT_READY with a reason");
	lie_about_recipient(IPC_RCPT_REFUSED, 1, REASON_OK, "RCPT_REFUSED because all is well");
	lie_about_recipient(IPC_RCPT_REFUSED, 1, REASON_WRONG, "a reason that LMTP does not give");
	lie_about_recipient(IPC_RCPT_REFUSED, 1, UINT32_MAX, "a reason that is none");
	lie_about_recipient(IPC_RCPT_READY, 2, REASON_OK, "a recipient that nobody asked about");
	lie_about_delivery(2, REASON_OK, "DELIVERED for another's recipient");
	lie_about_delivery(3, REASON_OK, "DELIVERED for no recipient");
	lie_about_delivery(1, REASON_COUNT, "DELIVERED with a reason that is none");
	delivers_twice();
}

/* Who of the users is ours: see find_keeper of auth. */
static void cast_users(char **users, int count)
{
	int theirs = 0;

	for (int i = 0; i < count; i++)
		if (hash_everywhere(users[i], strlen(users[i])) % 2)
			all.ours = users[i];
		else if (theirs < 2)
			all.theirs[theirs++] = users[i];
	need(all.ours && theirs == 2, "more users are needed");
}

int main(int argc, char **argv)
{
	if (argc < 5) {
		fputs("usage: hostile_keeper VALIJAD CONF PASSWORD USER…\n", stderr);
		return 64;
	}
	all.password = argv[3];
	cast_users(argv + 4, argc - 4);
	all.to_auth = all.to_front = all.to_lmtp = -1;
	play_prepare(argv[1], argv[2]);
	all.lmtp_listener = play_listen(&all.lmtp_port);
	start_all();
	become_keeper();
	all.bystander = login(all.theirs[0]);
	still_well("nothing yet");
	lies_to_the_front();
	sessions_of_others();
	sessions_that_ended();
	descriptors_that_are_bad();
	lies_to_lmtp();
	kill(all.front.pid, SIGKILL);
	kill(all.lmtp.pid, SIGKILL);
	kill(all.auth.pid, SIGKILL);
	kill(all.keeper.pid, SIGKILL);
	printf("%u lies, everything held\n", all.tried - 1);
	return 0;
}
