/*
 * An LMTP front that an attacker owns (threats 29, 61). This program plays the monitor for a real
 * auth, a real keeper and a real LMTP front, and is itself a second LMTP front: deliveries that do
 * not add up, files that can still change, recipients of the other front, floods. After each the
 * others are the same processes and the real front delivers.
 *
 * hostile_lmtp VALIJAD CONF USER: CONF is an office made by `valija init`. Exits with 0 if
 * everything held.
 */
#include "config/config.h"
#include "play.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define FLOOD 20000
#define ADDRESS_MAX 511 /* what auth takes */

static struct {
	struct real auth, keeper, lmtp;
	int to_auth, to_keeper; /* the hostile front's channels */
	const char *user;
	uint64_t session;
	unsigned tried, mails;
} all;

static void start_all(void)
{
	struct ipc_listener listener = {.service = SERVICE_LMTP};

	play_spawn(&all.auth, ROLE_AUTH);
	play_spawn(&all.keeper, ROLE_KEEPER);
	play_spawn(&all.lmtp, ROLE_LMTP);
	play_directory(&all.auth, DIRECTORY_USERS, play.users_fd, "users");
	play_directory(&all.auth, DIRECTORY_MAIL, play.mail_fd, "");
	play_directory(&all.keeper, DIRECTORY_MAIL, play.mail_fd, "");
	send_message(all.lmtp.fd, IPC_LISTENER, &listener, sizeof(listener), NULL, 0,
		     &play.listener, 1);
	play_wire(&all.lmtp, &all.auth);
	play_wire(&all.lmtp, &all.keeper);
	play_wire(&all.auth, &all.keeper);
	play_start(&all.auth);
	play_start(&all.keeper);
	play_start(&all.lmtp);
}

static void renew_channel(const struct real *to, uint64_t instance, int *channel)
{
	int pair[2];

	if (*channel >= 0)
		close(*channel);
	need(chan_pair(pair, NULL) == 0, "chan_pair");
	play_peer(to, ROLE_LMTP, instance, pair[1]);
	close(pair[1]);
	*channel = pair[0];
}

static void become_front(void)
{
	uint64_t instance = ++play.instances;

	renew_channel(&all.keeper, instance, &all.to_keeper);
	renew_channel(&all.auth, instance, &all.to_auth);
}

/* -- the real front's client -- */

static unsigned count_files(const char *folder)
{
	char path[600];
	struct dirent *entry;
	unsigned count = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/%s", all.user, folder);
	dir = fdopendir(openat(play.mail_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	while (dir && (entry = readdir(dir)))
		count += entry->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return count;
}

static unsigned count_mail(void)
{
	return count_files("new");
}

static int accepted(void)
{
	char command[600];
	int fd = play_dial();

	play_line(fd, NULL, "220");
	play_line(fd, "LHLO client.example\r\n", "250");
	play_line(fd, "MAIL FROM:<>\r\n", "250");
	snprintf(command, sizeof(command), "RCPT TO:<%s>\r\n", all.user);
	play_line(fd, command, "250");
	return fd;
}

static void deliver_well(int fd)
{
	play_line(fd, "DATA\r\n", "354");
	play_line(fd, "Subject: well\r\n\r\nwell\r\n.\r\n", "250");
	play_line(fd, "QUIT\r\n", "221");
	close(fd);
	all.mails++;
}

static void still_well(const char *after)
{
	const struct real *reals[] = {&all.auth, &all.keeper, &all.lmtp};

	for (size_t i = 0; i < sizeof(reals) / sizeof(reals[0]); i++)
		if (waitpid(reals[i]->pid, NULL, WNOHANG) != 0)
			die(after);
	deliver_well(accepted());
	if (count_mail() != all.mails)
		die(after);
	all.tried++;
	printf("held: %s\n", after);
	fflush(stdout);
}

/* -- deliveries -- */

static void say_rcpt(const char *address)
{
	struct ipc_recipient message = {.session = all.session, .transaction = 1, .index = 1};

	SEND_TEXTS(all.to_auth, IPC_RCPT, &message, address);
}

/* A recipient that auth and the keeper allow. */
static void rcpt(const char *address)
{
	char buf[CHAN_PACKET_MAX];

	all.session++;
	say_rcpt(address);
	need(wait_for(all.to_auth, buf, sizeof(buf), IPC_RESOLVED) == IPC_RESOLVED,
	     "auth does not know the recipient");
	need(wait_for(all.to_keeper, buf, sizeof(buf), IPC_RCPT_READY) == IPC_RCPT_READY,
	     "the keeper is not ready");
}

static int letter(size_t size, int seals)
{
	int fd = memfd_create("letter", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	need(fd >= 0 && ftruncate(fd, (off_t)size) == 0, "memfd");
	need(size < 5 || pwrite(fd, "x\r\n\r\n", 5, 0) == 5, "write");
	need(!seals || fcntl(fd, F_ADD_SEALS, seals) == 0, "seal");
	return fd;
}

struct delivery {
	const char *name;
	uint64_t size; /* as announced */
	size_t file;
	int seals;
	uint32_t count; /* as announced */
	uint32_t transaction;
	size_t indexes, headers; /* octets in the tail */
};

#define SEALS (F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK)

static void deliver_to(const struct delivery *d, uint32_t index, int fd)
{
	struct ipc_deliver message = {.session = all.session,
				      .size = d->size,
				      .transaction = d->transaction,
				      .count = d->count};
	char tail[4 * IPC_RECIPIENTS_MAX + 2 * IPC_HEADERS_MAX];

	memset(tail, 'h', sizeof(tail));
	for (size_t i = 0; i < d->indexes; i += sizeof(index))
		memcpy(tail + i, &index, sizeof(index));
	send_message(all.to_keeper, IPC_DELIVER, &message, sizeof(message), tail,
		     d->indexes + d->headers, &fd, fd >= 0);
}

static void deliver(const struct delivery *d)
{
	int fd = letter(d->file, d->seals);

	deliver_to(d, 1, fd);
	close(fd);
}

static const struct delivery cut[] = {
	{"headers that are too long", 5, 5, SEALS, 1, 1, 4, IPC_HEADERS_MAX + 1},
	{"no recipient", 5, 5, SEALS, 0, 1, 0, 10},
	{"too many recipients", 5, 5, SEALS, IPC_RECIPIENTS_MAX + 1, 1,
	 4 * (IPC_RECIPIENTS_MAX + 1), 0},
	{"a number of recipients that wraps", 5, 5, SEALS, UINT32_MAX, 1, 4, 0},
	{"half a recipient", 5, 5, SEALS, 2, 1, 4, 3},
	{"a file that is not sealed", 5, 5, 0, 1, 1, 4, 0},
	{"a file that may be written to", 5, 5, F_SEAL_SHRINK, 1, 1, 4, 0},
	{"a file that may be cut", 5, 5, F_SEAL_WRITE, 1, 1, 4, 0},
	{"a size larger than the file", 6, 5, SEALS, 1, 1, 4, 0},
	{"a size that is negative", UINT64_MAX, 5, SEALS, 1, 1, 4, 0},
	{"a size that is huge", INT64_MAX, 5, SEALS, 1, 1, 4, 0},
};

static void deliveries_that_do_not_add_up(void)
{
	for (size_t i = 0; i < sizeof(cut) / sizeof(cut[0]); i++) {
		rcpt(all.user);
		deliver(&cut[i]);
		expect_cut(all.to_keeper, cut[i].name);
		become_front();
		still_well(cut[i].name);
	}
}

static void files_that_are_none(void)
{
	static const struct delivery plain = {"", 5, 5, SEALS, 1, 1, 4, 0};
	int pair[2];

	need(pipe(pair) == 0, "pipe");
	for (int i = 0; i < 3; i++) {
		int fd = i == 0 ? pair[0] : i == 1 ? play.users_fd : -1;

		rcpt(all.user);
		deliver_to(&plain, 1, fd);
		expect_cut(all.to_keeper, "a file that is none was taken");
		become_front();
	}
	close(pair[0]);
	close(pair[1]);
	still_well("files that are none");
}

static const struct delivery nothing[] = {
	{"a transaction that nobody began", 5, 5, SEALS, 1, 2, 4, 0},
	{"a transaction that nobody can begin", 5, 5, SEALS, 1, UINT32_MAX, 4, 0},
};

static void what_is_not_its_own(void)
{
	static const struct delivery plain = {"", 5, 5, SEALS, 1, 1, 4, 0};
	struct ipc_transaction forget = {.transaction = 1};
	int fd = letter(5, SEALS), client;

	for (size_t i = 0; i < sizeof(nothing) / sizeof(nothing[0]); i++) {
		rcpt(all.user);
		deliver(&nothing[i]);
		expect_silence(all.to_keeper, nothing[i].name);
		still_well(nothing[i].name);
	}
	deliver_to(&plain, 2, fd);
	expect_silence(all.to_keeper, "a recipient that nobody resolved was delivered to");
	still_well("a recipient that nobody resolved");
	client = accepted();
	become_front(); /* all that was its own is gone: every recipient is the other's */
	for (all.session = 0; all.session < 2 * (uint64_t)all.tried + 8; all.session++) {
		forget.session = all.session;
		deliver_to(&plain, 1, fd);
		SEND(all.to_keeper, IPC_FORGET, &forget, NULL, 0);
	}
	expect_silence(all.to_keeper, "another front's recipient was delivered to");
	deliver_well(client);
	close(fd);
	still_well("recipients of another front");
}

static void delivered_once(const char *address, const struct delivery *d)
{
	char buf[CHAN_PACKET_MAX];

	rcpt(address);
	deliver(d);
	need(wait_for(all.to_keeper, buf, sizeof(buf), IPC_DELIVERED) == IPC_DELIVERED &&
		     ((struct ipc_recipient_answer *)(void *)buf)->reason == REASON_OK,
	     d->name);
	all.mails++;
	deliver(d);
	expect_silence(all.to_keeper, "a recipient was delivered to twice");
	still_well(d->name);
}

static void deliveries_at_their_limits(void)
{
	static const struct delivery odd[] = {
		{"the longest headers and address", 5, 5, SEALS, 1, 1, 4, IPC_HEADERS_MAX},
		{"one recipient, as often as it fits", 5, 5, SEALS, IPC_RECIPIENTS_MAX, 1,
		 4 * IPC_RECIPIENTS_MAX, 0},
		{"an empty message", 0, 0, SEALS, 1, 1, 4, 0},
		{"less than is in the file", 5, 5000, SEALS, 1, 1, 4, 1},
	};
	char longest[ADDRESS_MAX + 1];

	memset(longest, 'x', sizeof(longest));
	memcpy(longest, all.user, strlen(all.user));
	longest[strlen(all.user)] = '+';
	longest[ADDRESS_MAX] = '\0';
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
		delivered_once(longest, &odd[i]);
}

/* -- files of the spool, which nothing seals -- */

enum { LARGE = 16 << 20 };

/* The descriptor to write by, and another one as a keeper gets it. */
static int spool_file(size_t size, int how, int *ret_other)
{
	char path[64];
	int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	need(fd >= 0 && ftruncate(fd, (off_t)size) == 0, "a file without a name");
	need(size < 5 || pwrite(fd, "x\r\n\r\n", 5, 0) == 5, "write");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	*ret_other = open(path, how | O_CLOEXEC);
	need(*ret_other >= 0, path);
	return fd;
}

/* What is announced about a stored message is what is in its file. */
static void sizes_are_right(const char *after)
{
	char path[600];
	struct dirent *entry;
	struct stat st;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/new", all.user);
	dir = fdopendir(openat(play.mail_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	while (dir && (entry = readdir(dir))) {
		const char *size = strstr(entry->d_name, ",S=");

		if (size && (fstatat(dirfd(dir), entry->d_name, &st, 0) < 0 ||
			     strtoll(size + 3, NULL, 10) != st.st_size))
			die(after);
	}
	if (dir)
		closedir(dir);
}

/* Its last keeper's answer; OK: the message is there. */
static void await_delivery(const char *what)
{
	char buf[CHAN_PACKET_MAX];

	need(wait_for(all.to_keeper, buf, sizeof(buf), IPC_DELIVERED) == IPC_DELIVERED, what);
	if (((struct ipc_recipient_answer *)(void *)buf)->reason == REASON_OK)
		all.mails++;
	sizes_are_right(what);
	still_well(what);
}

static void spool_files_that_may_be_written_to(void)
{
	static const struct delivery plain = {"", 5, 5, 0, 1, 1, 4, 0};
	static const int how[] = {O_RDWR, O_WRONLY, O_PATH};

	for (size_t i = 0; i < sizeof(how) / sizeof(how[0]); i++) {
		int other, fd = spool_file(5, how[i], &other);

		rcpt(all.user);
		deliver_to(&plain, 1, other);
		expect_cut(all.to_keeper, "a file was taken that the next keeper could write to");
		become_front();
		close(other);
		close(fd);
	}
	still_well("files of the spool that may be written to");
}

/* The keeper writes the message: it has accepted the file. */
static void await_copy(void)
{
	for (int ms = 0; ms < 5000 && !count_files("tmp"); ms++)
		poll(NULL, 0, 1);
}

static void spool_files_that_change(void)
{
	static const struct delivery large = {"", LARGE, LARGE, 0, 1, 1, 4, 0};
	int other, fd = spool_file(LARGE, O_RDONLY, &other);
	static char piece[2][1 << 16];

	memset(piece[0], 'x', sizeof(piece[0]));
	for (size_t i = 0; i < sizeof(piece[1]); i++)
		piece[1][i] = i % 2 ? '\n' : '\r';
	rcpt(all.user);
	deliver_to(&large, 1, other);
	for (unsigned round = 0; round < 8; round++)
		for (off_t at = LARGE - (off_t)sizeof(piece[0]); at >= 0;
		     at -= (off_t)sizeof(piece[0]))
			need(pwrite(fd, piece[round % 2], sizeof(piece[0]), at) > 0, "write");
	await_delivery("a file that changes while it is copied");
	rcpt(all.user);
	deliver_to(&large, 1, other);
	await_copy();
	need(ftruncate(fd, 5) == 0, "truncate");
	await_delivery("a file that is cut while it is copied");
	rcpt(all.user);
	deliver_to(&large, 1, other);
	expect_cut(all.to_keeper, "a file was taken that is shorter than announced");
	become_front();
	close(other);
	close(fd);
	still_well("a file that is shorter than announced");
}

/* -- floods -- */

static void forgets(void)
{
	struct ipc_transaction message = {.session = all.session, .transaction = 1};

	rcpt(all.user);
	for (int i = 0; i < FLOOD; i++) {
		message.session = i % 2 ? all.session : (uint64_t)i;
		SEND(all.to_keeper, IPC_FORGET, &message, NULL, 0);
	}
	wait_taken(all.to_keeper);
	still_well("a flood of FORGET");
}

static void recipients(void)
{
	static const char *const odd[] = {"", "@", "+", "..", "a@", "../../etc", "a\r\nb", "\xff"};

	all.session++;
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
		say_rcpt(odd[i]);
	for (int i = 0; i < FLOOD / 10; i++)
		say_rcpt(all.user); /* more than a session may have; nobody reads the answers */
	wait_taken(all.to_auth);
	become_front();
	still_well("a flood of RCPT");
}

/* Each transaction is answered well, and never ended. */
static void transactions_without_end(void)
{
	char buf[CHAN_PACKET_MAX];
	int count = 0;

	do {
		all.session++;
		say_rcpt(all.user);
		need(wait_for(all.to_auth, buf, sizeof(buf), IPC_RESOLVED) == IPC_RESOLVED,
		     "auth does not know the recipient");
	} while (++count <= 8192 &&
		 wait_for(all.to_keeper, buf, sizeof(buf), IPC_RCPT_READY) == IPC_RCPT_READY);
	need(count > 4000, "an honest front could not have that many");
	expect_cut(all.to_keeper, "a keeper keeps transactions without end");
	become_front();
	still_well("transactions that never end");
}

static void not_an_lmtp_fronts(void)
{
	struct ipc_session close_it = {.session = 1};
	struct ipc_connect connect = {.session = 1};

	SEND(all.to_keeper, IPC_CLOSE, &close_it, NULL, 0);
	expect_cut(all.to_keeper, "an LMTP front could close a POP3 session");
	SEND(all.to_auth, IPC_CONNECT, &connect, NULL, 0);
	expect_cut(all.to_auth, "an LMTP front could log in");
	become_front();
	still_well("messages of POP3 fronts");
}

int main(int argc, char **argv)
{
	if (argc != 4) {
		fputs("usage: hostile_lmtp VALIJAD CONF USER\n", stderr);
		return 64;
	}
	all.user = argv[3];
	all.to_auth = all.to_keeper = -1;
	play_prepare(argv[1], argv[2]);
	start_all();
	become_front();
	still_well("nothing yet");
	deliveries_that_do_not_add_up();
	files_that_are_none();
	deliveries_at_their_limits();
	spool_files_that_may_be_written_to();
	spool_files_that_change();
	what_is_not_its_own();
	forgets();
	recipients();
	transactions_without_end();
	not_an_lmtp_fronts();
	kill(all.lmtp.pid, SIGKILL);
	kill(all.auth.pid, SIGKILL);
	kill(all.keeper.pid, SIGKILL);
	printf("%u lies, everything held\n", all.tried - 1);
	return 0;
}
