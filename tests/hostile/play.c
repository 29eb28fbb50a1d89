/* See play.h. */
#include "play.h"

#include "config/config.h"
#include "sys/process.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

struct play play;

void die(const char *what)
{
	fprintf(stderr, "FAILED: %s\n", what);
	exit(1);
}

void need(bool good, const char *what)
{
	if (!good)
		die(what);
}

ssize_t send_raw(int fd, const void *data, size_t size, const int *fds, unsigned fd_count,
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

void send_texts(int fd, enum ipc_type type, void *fixed, size_t size, const char *const *texts,
		unsigned count)
{
	struct ipc_head *head = fixed;
	char tail[CHAN_PACKET_MAX];
	size_t used = 0;

	for (unsigned i = 0; i < count; i++) {
		size_t n = strlen(texts[i]);

		memcpy(tail + used, texts[i], n);
		head->texts[i] = (uint16_t)n;
		used += n;
	}
	send_message(fd, type, fixed, size, tail, used, NULL, 0);
}

void send_message(int fd, enum ipc_type type, void *fixed, size_t size, const void *tail,
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

static void keep(uint32_t type, size_t i, int got)
{
	int *to = type == IPC_ARENA             ? &play.arena
		  : type == IPC_OPENED && i < 2 ? &play.index[i]
						: &got;

	if (to == &got) {
		close(got);
		return;
	}
	close(*to);
	*to = got;
}

enum ipc_type receive(int fd, void *buf, size_t size, int ms)
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
			keep(((struct ipc_head *)buf)->type, i, got);
		}
	play.received = n > 0 ? (size_t)n : 0;
	return n >= (ssize_t)sizeof(struct ipc_head) ? (enum ipc_type)((struct ipc_head *)buf)->type
						     : IPC_NONE;
}

enum ipc_type wait_for(int fd, void *buf, size_t size, enum ipc_type wanted)
{
	char *packet = buf;

	while (receive(fd, buf, size, PATIENCE_MS) != IPC_NONE)
		for (size_t at = 0; at < play.received;
		     at += ipc_first(packet + at, play.received - at)) {
			if (((struct ipc_head *)(void *)(packet + at))->type != wanted)
				continue;
			play.received -= at;
			memmove(packet, packet + at, play.received);
			return wanted;
		}
	return IPC_NONE;
}

void expect_silence(int fd, const char *what)
{
	char buf[CHAN_PACKET_MAX];
	enum ipc_type type = receive(fd, buf, sizeof(buf), SILENCE_MS);

	if (type != IPC_NONE && type != IPC_OFFER && type != IPC_CONNECTED && type != IPC_DENIED)
		die(what);
}

void expect_cut(int fd, const char *what)
{
	struct pollfd wait = {.fd = fd, .events = 0};

	if (poll(&wait, 1, PATIENCE_MS) != 1 || !(wait.revents & (POLLHUP | POLLERR)))
		die(what);
}

void wait_taken(int fd)
{
	int left = 1;

	for (int ms = 0; ms < PATIENCE_MS; ms++) {
		if (ioctl(fd, SIOCOUTQ, &left) < 0 || !left)
			return;
		poll(NULL, 0, 1);
	}
	die("a real process does not read");
}

void play_keeper(const struct real *to, uint64_t instance, int fd, uint32_t index, uint32_t size)
{
	struct ipc_peer message = {.instance = instance,
				   .role = ROLE_KEEPER,
				   .index = index,
				   .uid = geteuid(),
				   .group_size = size};

	send_message(to->fd, IPC_PEER, &message, sizeof(message), NULL, 0, &fd, 1);
}

void play_peer(const struct real *to, enum ipc_role role, uint64_t instance, int fd)
{
	struct ipc_peer message = {
		.instance = instance, .role = role, .uid = geteuid(), .group_size = 1};

	send_message(to->fd, IPC_PEER, &message, sizeof(message), NULL, 0, &fd, 1);
}

void play_wire(struct real *a, struct real *b)
{
	int pair[2];

	need(chan_pair(pair, NULL) == 0, "chan_pair");
	play_peer(a, b->role, b->instance, pair[0]);
	play_peer(b, a->role, a->instance, pair[1]);
	close(pair[0]);
	close(pair[1]);
}

void play_spawn(struct real *real, enum ipc_role role)
{
	char name[] = "valijad: under test", child[] = "--child";
	char *argv[] = {name, child, NULL};
	struct ipc_config message = {.role = role, .uid = geteuid(), .gid = getegid()};
	struct err err;
	int pair[2];

	need(chan_pair(pair, &err) == 0, "chan_pair");
	real->role = role;
	real->fd = pair[0];
	real->pid = process_spawn(play.exe, -1, argv, &pair[1], 1, -1, &err);
	close(pair[1]);
	need(real->pid > 0, "process_spawn");
	message.instance = real->instance = ++play.instances;
	send_message(real->fd, IPC_CONFIG, &message, sizeof(message), NULL, 0, &play.config_fd, 1);
}

void play_directory(struct real *real, enum ipc_directory_kind kind, int fd, const char *name)
{
	struct ipc_directory message = {.kind = kind, .head.texts = {(uint16_t)strlen(name)}};

	send_message(real->fd, IPC_DIRECTORY, &message, sizeof(message), name, strlen(name), &fd,
		     1);
}

/* A keeper's questions about the identity of maildrops are answered as by a monitor that knows
 * nothing against them. Nobody else reads the channel once the keeper has started. */
static void *answer_guard(void *context)
{
	const struct real *real = context;
	struct pollfd wait = {.fd = real->fd, .events = POLLIN};
	static char buf[CHAN_PACKET_MAX];
	ssize_t n;

	while (poll(&wait, 1, -1) > 0 && (n = recv(real->fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0)
		for (size_t at = 0; at < (size_t)n;) {
			const struct ipc_guard *question = (const void *)(buf + at);
			struct ipc_location_answer answer = {.allowed = 1};

			if (question->head.type == IPC_GUARD && question->ask == GUARD_JUDGE) {
				answer.number = question->number;
				SEND(real->fd, IPC_LOCATION_ANSWER, &answer, NULL, 0);
			}
			at += ipc_first(question, (size_t)n - at);
		}
	return NULL;
}

void play_start(struct real *real)
{
	pthread_t thread;
	struct ipc_empty message = {.head = {0}};
	char buf[CHAN_PACKET_MAX];

	SEND(real->fd, IPC_START, &message, NULL, 0);
	need(wait_for(real->fd, buf, sizeof(buf), IPC_READY) == IPC_READY,
	     "a real process did not start");
	if (real->role == ROLE_KEEPER)
		need(pthread_create(&thread, NULL, answer_guard, real) == 0, "pthread_create");
}

int play_listen(uint16_t *ret_port)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	need(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(fd, 64) == 0 &&
		     getsockname(fd, (struct sockaddr *)&address, &size) == 0,
	     "listen");
	*ret_port = ntohs(address.sin_port);
	return fd;
}

void play_prepare(const char *program, const char *file)
{
	struct config config;
	struct err err;

	if (config_load(file, &config, &err) < 0)
		die(err.text);
	config.plain_on_loopback = true;
	if (!play.tls)
		config.certificate_count = 0;
	config.failure_delay_ms = 0;
	config.max_connections_per_address = 0;
	play.config_fd = config_seal(&config, &err);
	play.exe = open(program, O_RDONLY | O_CLOEXEC);
	play.mail_fd = open(config.roots[0].path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	play.users_fd = open(config.directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	play.listener = play_listen(&play.port);
	play.arena = play.index[0] = play.index[1] = -1;
	need(play.exe >= 0 && play.mail_fd >= 0 && play.users_fd >= 0, "open");
}

int play_dial(void)
{
	return play_dial_port(play.port);
}

int play_dial_port(uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	need(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0,
	     "connect to the real front");
	return fd;
}

void play_say(int fd, const char *command)
{
	need(send(fd, command, strlen(command), MSG_NOSIGNAL) == (ssize_t)strlen(command), "send");
}

static size_t read_line(int fd, char *buf, size_t size, const char *wanted)
{
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	size_t used = 0;

	while (used < size - 1 && (used == 0 || buf[used - 1] != '\n')) {
		if (poll(&wait, 1, PATIENCE_MS) != 1) {
			fprintf(stderr, "wanted: %s\n", wanted);
			die("the real front does not answer");
		}
		if (recv(fd, buf + used, 1, 0) != 1)
			break;
		used++;
	}
	buf[used] = '\0';
	return used;
}

void play_line(int fd, const char *command, const char *wanted)
{
	char buf[1024];

	if (command)
		play_say(fd, command);
	while (read_line(fd, buf, sizeof(buf), wanted) > 3 && buf[3] == '-')
		;
	if (strncmp(buf, wanted, strlen(wanted)) != 0) {
		fprintf(stderr, "%s→ %s", command ? command : "", buf);
		die("the real front's client got another answer");
	}
}
