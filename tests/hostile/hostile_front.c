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
#include "ipc/messages.h"
#include "sys/arena.h"
#include "sys/process.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_MS 20000 /* until a real process must have answered */
#define SILENCE_MS 300    /* for how long an answer that must not come is waited for */

struct real {
	enum ipc_role role;
	uint64_t instance;
	pid_t pid;
	int fd; /* its channel to the monitor: this program */
};

static struct {
	struct config config;
	int exe, config_fd, mail_fd, users_fd, listener;
	uint16_t port;
	uint64_t instances;
	struct real auth, keeper, front;
	int to_auth, to_keeper; /* the hostile front's channels */
	int arena;              /* what the keeper shares with it */
	const char *user, *password;
	unsigned tried;
} all;

static void die(const char *what)
{
	fprintf(stderr, "hostile_front: FAILED: %s\n", what);
	exit(1);
}

static void need(bool good, const char *what)
{
	if (!good)
		die(what);
}

/* -- packets by hand: what ipc_send would refuse must be sendable here -- */

static ssize_t send_raw(int fd, const void *data, size_t size, const int *fds, unsigned fd_count,
			int flags)
{
	char control[CMSG_SPACE(CHAN_FDS_MAX * sizeof(int))] = {0};
	struct iovec part = {.iov_len = size};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	struct cmsghdr *head;

	memcpy(&part.iov_base, &data, sizeof(data));
	if (fd_count) {
		message.msg_control = control;
		message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
		head = CMSG_FIRSTHDR(&message);
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(head), fds, fd_count * sizeof(int));
	}
	return sendmsg(fd, &message, MSG_NOSIGNAL | flags);
}

/* type and tail are the message's own; fixed: its struct. Blocks until there is room. */
static void send_message(int fd, enum ipc_type type, void *fixed, size_t size, const void *tail,
			 size_t tail_size, const int *fds, unsigned fd_count)
{
	char packet[CHAN_PACKET_MAX];
	struct ipc_head *head = fixed;
	struct pollfd wait = {.fd = fd, .events = POLLOUT};

	head->type = type;
	head->tail = (uint32_t)tail_size;
	memcpy(packet, fixed, size);
	if (tail_size)
		memcpy(packet + size, tail, tail_size);
	while (send_raw(fd, packet, size + tail_size, fds, fd_count, 0) < 0 && errno == EAGAIN)
		if (poll(&wait, 1, PATIENCE_MS) != 1)
			die("a channel is stuck");
}

#define SEND(fd, type, fixed, tail, tail_size) \
	send_message(fd, type, fixed, sizeof(*(fixed)), tail, tail_size, NULL, 0)

/* The next packet's type; IPC_NONE: cut, or nothing within ms. Descriptors are closed, but for an
 * arena's, which is kept in all. */
static enum ipc_type receive(int fd, void *buf, size_t size, int ms)
{
	union {
		char octets[CMSG_SPACE(CHAN_FDS_MAX * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec part = {buf, size};
	struct msghdr message = {.msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = control.octets,
				 .msg_controllen = sizeof(control)};
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	ssize_t n;

	if (poll(&wait, 1, ms) != 1)
		return IPC_NONE;
	n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	for (struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&message) : NULL; c;
	     c = CMSG_NXTHDR(&message, c))
		for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
			int got;

			memcpy(&got, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (((struct ipc_head *)buf)->type == IPC_ARENA) {
				close(all.arena);
				all.arena = got;
			} else {
				close(got);
			}
		}
	return n >= (ssize_t)sizeof(struct ipc_head) ? (enum ipc_type)((struct ipc_head *)buf)->type
						     : IPC_NONE;
}

static enum ipc_type wait_for(int fd, void *buf, size_t size, enum ipc_type wanted)
{
	enum ipc_type type;

	while ((type = receive(fd, buf, size, PATIENCE_MS)) != wanted)
		if (type == IPC_NONE)
			return IPC_NONE;
	return type;
}

static void expect_silence(int fd, const char *what)
{
	char buf[CHAN_PACKET_MAX];
	enum ipc_type type = receive(fd, buf, sizeof(buf), SILENCE_MS);

	if (type != IPC_NONE && type != IPC_OFFER && type != IPC_CONNECTED && type != IPC_DENIED)
		die(what);
}

static void expect_cut(int fd, const char *what)
{
	struct pollfd wait = {.fd = fd, .events = 0};

	if (poll(&wait, 1, PATIENCE_MS) != 1 || !(wait.revents & (POLLHUP | POLLERR)))
		die(what);
}

/* -- the monitor's part -- */

static void send_peer(const struct real *to, enum ipc_role role, uint64_t instance, int fd)
{
	struct ipc_peer message = {
		.instance = instance, .role = role, .uid = geteuid(), .group_size = 1};

	send_message(to->fd, IPC_PEER, &message, sizeof(message), NULL, 0, &fd, 1);
}

static void wire(struct real *a, struct real *b)
{
	int pair[2];

	need(chan_pair(pair, NULL) == 0, "chan_pair");
	send_peer(a, b->role, b->instance, pair[0]);
	send_peer(b, a->role, a->instance, pair[1]);
	close(pair[0]);
	close(pair[1]);
}

static void spawn(struct real *real, enum ipc_role role)
{
	char name[] = "valijad: under test", child[] = "--child";
	char *argv[] = {name, child, NULL};
	struct ipc_config message = {.role = role, .uid = geteuid(), .gid = getegid()};
	struct err err;
	int pair[2];

	need(chan_pair(pair, &err) == 0, "chan_pair");
	real->role = role;
	real->fd = pair[0];
	real->pid = process_spawn(all.exe, argv, &pair[1], 1, &err);
	close(pair[1]);
	need(real->pid > 0, "process_spawn");
	message.instance = real->instance = ++all.instances;
	send_message(real->fd, IPC_CONFIG, &message, sizeof(message), NULL, 0, &all.config_fd, 1);
}

static void send_directory(struct real *real, enum ipc_directory_kind kind, int fd,
			   const char *name)
{
	struct ipc_directory message = {.kind = kind};

	send_message(real->fd, IPC_DIRECTORY, &message, sizeof(message), name, strlen(name), &fd,
		     1);
}

static void start(struct real *real)
{
	struct ipc_simple message = {.value = 0};
	char buf[CHAN_PACKET_MAX];

	SEND(real->fd, IPC_START, &message, NULL, 0);
	need(wait_for(real->fd, buf, sizeof(buf), IPC_READY) == IPC_READY,
	     "a real process did not start");
}

static void start_all(void)
{
	struct ipc_listener listener = {.service = SERVICE_POP3};

	spawn(&all.auth, ROLE_AUTH);
	spawn(&all.keeper, ROLE_KEEPER);
	spawn(&all.front, ROLE_FRONT);
	send_directory(&all.auth, DIRECTORY_USERS, all.users_fd, "users");
	send_directory(&all.auth, DIRECTORY_MAIL, all.mail_fd, "");
	send_directory(&all.keeper, DIRECTORY_MAIL, all.mail_fd, "");
	send_message(all.front.fd, IPC_LISTENER, &listener, sizeof(listener), NULL, 0,
		     &all.listener, 1);
	wire(&all.front, &all.auth);
	wire(&all.front, &all.keeper);
	wire(&all.auth, &all.keeper);
	start(&all.auth);
	start(&all.keeper);
	start(&all.front);
}

/* New channels for the hostile front, as the monitor would give to a front started anew. */
static void become_front(void)
{
	uint64_t instance = ++all.instances;
	char buf[CHAN_PACKET_MAX];
	int a[2], k[2];

	if (all.to_auth >= 0)
		close(all.to_auth);
	if (all.to_keeper >= 0)
		close(all.to_keeper);
	need(chan_pair(a, NULL) == 0 && chan_pair(k, NULL) == 0, "chan_pair");
	send_peer(&all.auth, ROLE_FRONT, instance, a[1]);
	send_peer(&all.keeper, ROLE_FRONT, instance, k[1]);
	close(a[1]);
	close(k[1]);
	all.to_auth = a[0];
	all.to_keeper = k[0];
	need(wait_for(all.to_keeper, buf, sizeof(buf), IPC_ARENA) == IPC_ARENA,
	     "the keeper shares no memory");
}

/* -- the real front's client -- */

static int dial(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(all.port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	need(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0,
	     "connect to the real front");
	return fd;
}

static void line(int fd, const char *command, const char *wanted)
{
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	char buf[1024];
	size_t used = 0;

	if (command)
		need(send(fd, command, strlen(command), MSG_NOSIGNAL) == (ssize_t)strlen(command),
		     "send");
	while (used < sizeof(buf) - 1 && (used == 0 || buf[used - 1] != '\n')) {
		need(poll(&wait, 1, PATIENCE_MS) == 1, "the real front does not answer");
		if (recv(fd, buf + used, 1, 0) != 1)
			break;
		used++;
	}
	buf[used] = '\0';
	if (strncmp(buf, wanted, strlen(wanted)) != 0) {
		fprintf(stderr, "hostile_front: %s→ %s", command ? command : "", buf);
		die("the real front's client got another answer");
	}
}

static int login(void)
{
	char command[600];
	int fd = dial();

	line(fd, NULL, "+OK");
	snprintf(command, sizeof(command), "USER %s\r\n", all.user);
	line(fd, command, "+OK");
	snprintf(command, sizeof(command), "PASS %s\r\n", all.password);
	line(fd, command, "+OK");
	line(fd, "STAT\r\n", "+OK 1 ");
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
	line(fd, "LIST 1\r\n", "+OK 1 ");
	line(fd, "QUIT\r\n", "+OK");
	close(fd);
	all.tried++;
	printf("held: %s\n", after);
}

/* -- the lies -- */

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
	expect_silence(all.to_keeper, what);
}

static void sessions_of_another(void)
{
	int fd = login();

	/* the real front counts from 1: every session that it can have now */
	for (uint64_t session = 0; session < 64; session++)
		made_up_sessions(session, "the keeper served another front's session");
	line(fd, "STAT\r\n", "+OK 1 ");
	line(fd, "QUIT\r\n", "+OK");
	close(fd);
}

static void not_a_fronts_message(void)
{
	struct ipc_open open = {
		.front = all.instances, .session = 1, .user_size = (uint32_t)strlen(all.user)};
	char tail[600];

	open.home_size = open.user_size;
	snprintf(tail, sizeof(tail), "%s%s", all.user, all.user);
	SEND(all.to_keeper, IPC_OPEN, &open, tail, open.user_size * 2);
	expect_cut(all.to_keeper, "a front could tell a keeper to open a maildrop");
	become_front();
}

static void packets_that_do_not_fit(void)
{
	static const size_t sizes[] = {1, 4, 7, 8, 12, 24, 25, 5000, 90000};
	char junk[CHAN_PACKET_MAX];

	for (uint32_t type = 0; type < IPC_COUNT + 2; type += 3) {
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
	int fds[CHAN_FDS_MAX] = {all.mail_fd, all.mail_fd, all.mail_fd, all.mail_fd};

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
	struct ipc_credentials message = {
		.session = 9, .user_size = 0xfffffff0u, .secret_size = 0x20};
	char tail[16] = {0};

	connect_session(9);
	SEND(all.to_auth, IPC_PASS, &message, tail, sizeof(tail));
	expect_cut(all.to_auth, "sizes that wrap were accepted");
	become_front();
}

static void guess(void)
{
	struct ipc_credentials message = {
		.session = 5, .user_size = (uint32_t)strlen(all.user), .secret_size = 5};
	char tail[600], buf[CHAN_PACKET_MAX];

	connect_session(5);
	snprintf(tail, sizeof(tail), "%swrong", all.user);
	SEND(all.to_auth, IPC_PASS, &message, tail, strlen(tail));
	need(wait_for(all.to_auth, buf, sizeof(buf), IPC_DENIED) == IPC_DENIED,
	     "a wrong password was not denied");
	expect_silence(all.to_keeper, "a wrong password opened a maildrop");
}

static void honest_login(uint64_t session)
{
	struct ipc_credentials message = {.session = session,
					  .user_size = (uint32_t)strlen(all.user),
					  .secret_size = (uint32_t)strlen(all.password)};
	char tail[600], buf[CHAN_PACKET_MAX];

	connect_session(session);
	snprintf(tail, sizeof(tail), "%s%s", all.user, all.password);
	SEND(all.to_auth, IPC_PASS, &message, tail, strlen(tail));
	need(wait_for(all.to_keeper, buf, sizeof(buf), IPC_OPENED) == IPC_OPENED,
	     "an honest login failed");
}

/* What a keeper shares can be read, and nothing else. */
static void shared_memory_is_read_only(void)
{
	char octet = 'x';

	need(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, all.arena, 0) == MAP_FAILED,
	     "a front could map a keeper's memory for writing");
	need(write(all.arena, &octet, 1) < 0, "a front could write to a keeper's memory");
	need(ftruncate(all.arena, 0) < 0, "a front could take a keeper's memory away");
	need(fcntl(all.arena, F_ADD_SEALS, F_SEAL_WRITE) < 0, "a front could seal its keeper out");
}

/* Slots that are none: the message comes in the packet, and nothing is written anywhere. */
static void slots_that_are_none(void)
{
	static const uint32_t slots[] = {0, ARENA_SLOTS, ARENA_SLOTS + 1, 0x80000000u, IPC_NO_SLOT};
	char buf[CHAN_PACKET_MAX];

	honest_login(7);
	for (size_t i = 0; i < sizeof(slots) / sizeof(slots[0]); i++) {
		struct ipc_fetch fetch = {.session = 7, .number = 1, .count = 1, .slot = slots[i]};
		const struct ipc_bodies *bodies = (const struct ipc_bodies *)(const void *)buf;
		bool in_slot = slots[i] < ARENA_SLOTS;

		SEND(all.to_keeper, IPC_FETCH, &fetch, NULL, 0);
		need(wait_for(all.to_keeper, buf, sizeof(buf), IPC_BODIES) == IPC_BODIES,
		     "a message was not lent");
		need(bodies->in_slot == in_slot, "a slot that is none was used");
		need((bodies->head.tail == sizeof(struct ipc_body)) == in_slot,
		     "octets came where they were not asked for");
	}
	become_front();
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

static void silence(void)
{
	for (uint64_t session = 1000; session < 3000; session++)
		connect_session(session); /* and never reads what auth says to it */
	become_front();
}

static void prepare(const char *program, const char *file)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t size = sizeof(address);
	struct err err;

	if (config_load(file, &all.config, &err) < 0)
		die(err.text);
	all.config.plain_on_loopback = true;
	all.config.certificate_count = 0;
	all.config.failure_delay_ms = 0;
	all.config.max_connections_per_address = 0;
	all.config_fd = config_seal(&all.config, &err);
	all.exe = open(program, O_RDONLY | O_CLOEXEC);
	all.mail_fd = open(all.config.mail, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	all.users_fd = open(all.config.directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	all.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	all.to_auth = all.to_keeper = all.arena = -1;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	need(all.exe >= 0 && all.mail_fd >= 0 && all.users_fd >= 0, "open");
	need(bind(all.listener, (struct sockaddr *)&address, sizeof(address)) == 0 &&
		     listen(all.listener, 64) == 0 &&
		     getsockname(all.listener, (struct sockaddr *)&address, &size) == 0,
	     "listen");
	all.port = ntohs(address.sin_port);
}

int main(int argc, char **argv)
{
	if (argc != 5) {
		fputs("usage: hostile_front VALIJAD CONF USER PASSWORD\n", stderr);
		return 64;
	}
	all.user = argv[3];
	all.password = argv[4];
	prepare(argv[1], argv[2]);
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
	guess();
	still_well("a wrong password");
	shared_memory_is_read_only();
	still_well("shared memory is only to be read");
	slots_that_are_none();
	still_well("slots that are none");
	flood();
	still_well("more requests than credits, read by nobody");
	silence();
	still_well("a front that never reads");
	kill(all.front.pid, SIGKILL);
	kill(all.auth.pid, SIGKILL);
	kill(all.keeper.pid, SIGKILL);
	printf("%u lies, everything held\n", all.tried - 1);
	return 0;
}
