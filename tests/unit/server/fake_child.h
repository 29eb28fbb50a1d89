/*
 * A child of the monitor that does what a test wants, in place of each role: the test program
 * itself, started with --child. It logs what it is sent, and at START obeys the file
 * "child-ROLE-INDEX" of the working folder ("ready" if there is none), at SIGUSR1 the file
 * "again-ROLE-INDEX". Header only.
 *
 * Orders, one a line: ready; fail CODE WORDS; exit STATUS; kill; wanted UID HOME; lost ROLE INDEX;
 * dead; spool; look HOME; leave; say LINE; silent (no answer to pings); deaf (nor to DRAIN); drains
 * (what a process says that accepts no more); take NUMBER HOME; taken ASKER NUMBER; stays (also
 * when its channel is closed); bad (a message that this role may not send).
 */
#ifndef TESTS_FAKE_CHILD_H
#define TESTS_FAKE_CHILD_H

#include "ipc/messages.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FAKE_FD = 3, FAKE_PEERS = 16 };

static struct {
	char title[64];
	struct ipc_config config;
	struct {
		uint32_t role, index;
		uint64_t instance;
	} peers[FAKE_PEERS];
	unsigned peer_count;
	bool silent, deaf, stays;
} fake;

static volatile sig_atomic_t fake_again;

static void fake_note(int number)
{
	(void)number;
	fake_again = 1;
}

static inline void fake_log(const char *format, ...) __attribute__((format(printf, 1, 2)));

static inline void fake_log(const char *format, ...)
{
	char line[1000] = "<2>";
	va_list ap;

	va_start(ap, format);
	vsnprintf(line + 3, sizeof(line) - 4, format, ap);
	va_end(ap);
	strcat(line, "\n");
	(void)!write(STDERR_FILENO, line, strlen(line));
}

static inline void fake_send(enum ipc_type type, void *message, size_t size, const char *text)
{
	char packet[2048];
	struct ipc_head *head = message;

	head->type = type;
	head->tail = (uint32_t)strlen(text);
	head->texts[0] = (uint16_t)strlen(text);
	memcpy(packet, message, size);
	memcpy(packet + size, text, strlen(text));
	(void)!send(FAKE_FD, packet, size + strlen(text), MSG_NOSIGNAL);
}

static inline void fake_send_empty(enum ipc_type type)
{
	struct ipc_empty message;

	memset(&message, 0, sizeof(message));
	fake_send(type, &message, sizeof(message), "");
}

static inline void fake_lose(const char *name, unsigned index)
{
	struct ipc_instance message = {.instance = 12345678};

	for (unsigned i = 0; i < fake.peer_count; i++)
		if (strcmp(ipc_role_name((enum ipc_role)fake.peers[i].role), name) == 0 &&
		    fake.peers[i].index == index)
			message.instance = fake.peers[i].instance;
	fake_send(IPC_PEER_LOST, &message, sizeof(message), "");
}

/* Of a maildrop that keepers of two generations want. */
static inline void fake_takeover(const char *line)
{
	struct ipc_taken taken = {.taken = 1};
	struct ipc_take take = {.take = 1};
	unsigned long long asker, number;
	char home[200];

	if (sscanf(line, "take %llu %199s", &number, home) == 2) {
		take.number = number;
		fake_send(IPC_TAKE, &take, sizeof(take), home);
	} else if (sscanf(line, "taken %llu %llu", &asker, &number) == 2) {
		taken.asker = asker;
		taken.number = number;
		fake_send(IPC_TAKEN, &taken, sizeof(taken), "");
	}
}

static inline void fake_order(char *line)
{
	char word[32] = "", text[200] = "";
	unsigned number = 0;

	if (sscanf(line, "%31s", word) != 1)
		return;
	if (strcmp(word, "ready") == 0) {
		fake_send_empty(IPC_READY);
	} else if (strcmp(word, "fail") == 0) {
		struct ipc_failed message = {.code = (uint32_t)atoi(line + 5)};

		fake_send(IPC_FAILED, &message, sizeof(message), strchr(line + 5, ' ') + 1);
	} else if (strcmp(word, "exit") == 0) {
		_exit(atoi(line + 5));
	} else if (strcmp(word, "kill") == 0) {
		raise(SIGKILL);
	} else if (sscanf(line, "wanted %u %199s", &number, text) == 2) {
		struct ipc_owner message = {.uid = number};

		fake_send(IPC_KEEPER_WANTED, &message, sizeof(message), text);
	} else if (sscanf(line, "lost %199s %u", text, &number) == 2) {
		fake_lose(text, number);
	} else if (strcmp(word, "dead") == 0) {
		fake_send_empty(IPC_LISTENER_DEAD);
	} else if (strcmp(word, "spool") == 0) {
		fake_send_empty(IPC_SPOOL_WANTED);
	} else if (sscanf(line, "look %199s", text) == 1) {
		struct ipc_location message = {.number = 77, .ask = LOCATION_LOOK};

		fake_send(IPC_LOCATION, &message, sizeof(message), text);
	} else if (strcmp(word, "leave") == 0) {
		struct ipc_leave message = {.passed = 0};

		fake_send(IPC_LEAVE, &message, sizeof(message), "");
	} else if (strcmp(word, "say") == 0) {
		fake_log("%s", line + 4);
	} else if (strcmp(word, "silent") == 0) {
		fake.silent = true;
	} else if (strcmp(word, "drains") == 0) {
		struct ipc_empty drains = {0};

		fake_send(IPC_DRAINS, &drains, sizeof(drains), "");
	} else if (strcmp(word, "take") == 0 || strcmp(word, "taken") == 0) {
		fake_takeover(line);
	} else if (strcmp(word, "deaf") == 0) {
		fake.deaf = true;
	} else if (strcmp(word, "stays") == 0) {
		fake.stays = true;
	} else if (strcmp(word, "bad") == 0) {
		fake_send_empty(IPC_START);
	}
}

/* The file of that kind: "child" at START, "again" at a signal. */
static inline void fake_obey(const char *kind)
{
	char path[64], text[2000], *rest = text, *line;
	FILE *file;
	size_t n;

	snprintf(path, sizeof(path), "%s-%s-%u", kind,
		 ipc_role_name((enum ipc_role)fake.config.role), fake.config.index);
	file = fopen(path, "re");
	n = file ? fread(text, 1, sizeof(text) - 1, file) : 0;
	if (file)
		fclose(file);
	else
		n = (size_t)snprintf(text, sizeof(text), "ready\n");
	text[n] = '\0';
	while ((line = strtok_r(rest, "\n", &rest)))
		fake_order(line);
}

static inline const char *fake_kind(int fd)
{
	struct stat status;

	if (fstat(fd, &status) < 0)
		return "none";
	return S_ISSOCK(status.st_mode) ? "socket" : S_ISDIR(status.st_mode) ? "folder" : "file";
}

static inline void fake_take(const void *message, const int *fds, unsigned fd_count)
{
	const struct ipc_head *head = message;
	struct ipc_pong pong = {.idle = 0};
	const char *fd = fd_count ? fake_kind(fds[0]) : "-";
	pop3_span text;

	memcpy(&text, &(pop3_span){"", 0}, sizeof(text));
	switch ((enum ipc_type)head->type) {
	case IPC_CONFIG: {
		const struct ipc_config *m = message;

		fake.config = *m;
		fake_log("config %s %u uid %u gid %u change %u generation %u %s as \"%s\"",
			 ipc_role_name((enum ipc_role)m->role), m->index, m->uid, m->gid,
			 m->change_ids, m->generation, fd, fake.title);
		break;
	}
	case IPC_PEER: {
		const struct ipc_peer *m = message;

		if (fake.peer_count == FAKE_PEERS)
			fake.peer_count = 0;
		fake.peers[fake.peer_count].role = m->role;
		fake.peers[fake.peer_count].index = m->index;
		fake.peers[fake.peer_count++].instance = m->instance;
		fake_log("peer %s %u uid %u group %u %s", ipc_role_name((enum ipc_role)m->role),
			 m->index, m->uid, m->group_size, fd);
		break;
	}
	case IPC_DIRECTORY: {
		const struct ipc_directory *m = message;

		text = ipc_text(m, 0);
		fake_log("directory %u state %u mark %d %s", m->kind, m->state, (int)text.size, fd);
		break;
	}
	case IPC_LISTENER:
		fake_log("listener %u %s", ((const struct ipc_listener *)message)->service, fd);
		break;
	case IPC_CERTIFICATES:
	case IPC_KEYS:
	case IPC_COUNTERS:
	case IPC_PAGE:
	case IPC_SAMPLES:
		fake_log("%s %s", ipc_name(head->type), fd);
		break;
	case IPC_TICKET_KEYS:
		fake_log("tickets %02x", ((const struct ipc_ticket_keys *)message)->keys[0][0]);
		break;
	case IPC_OWNER:
		text = ipc_text(message, 0);
		fake_log("owner %u of %.*s", ((const struct ipc_owner *)message)->uid,
			 (int)text.size, text.data);
		break;
	case IPC_KEEPER_REFUSED:
		fake_log("refused %u", ((const struct ipc_owner *)message)->uid);
		break;
	case IPC_ROOT_AWAY:
		fake_log("away %u", ((const struct ipc_root *)message)->away);
		break;
	case IPC_PEER_UIDS:
		fake_log("uids %u", ((const struct ipc_uids *)message)->count);
		break;
	case IPC_PEER_DEAD:
		fake_log("dead");
		break;
	case IPC_LOCATION_ANSWER: {
		const struct ipc_location_answer *m = message;

		fake_log("location %u allowed %u", (unsigned)m->number, m->allowed);
		break;
	}
	case IPC_TAKE: {
		const struct ipc_take *m = message;

		text = ipc_text(m, 0);
		fake_log("take %llu of %llu: %.*s", (unsigned long long)m->number,
			 (unsigned long long)m->asker, (int)text.size, text.data);
		break;
	}
	case IPC_TAKEN:
		fake_log("taken %llu",
			 (unsigned long long)((const struct ipc_taken *)message)->number);
		break;
	case IPC_SPOOL_FILE:
		fake_log("spool %s", fd);
		break;
	case IPC_SPOOL_NONE:
		fake_log("spool none");
		break;
	case IPC_LEAVE:
		fake_log("leave");
		fake_order((char[]){"leave"});
		_exit(0);
	case IPC_PING:
		if (!fake.silent)
			fake_send(IPC_PONG, &pong, sizeof(pong), "");
		break;
	case IPC_START:
		fake_log("start");
		fake_obey("child");
		break;
	case IPC_DRAIN: {
		const struct ipc_drain *m = message;

		fake_log("drain %u stop %u", (unsigned)m->ms, m->stop);
		if (!fake.deaf)
			_exit(0);
		break;
	}
	default:
		fake_log("%s", ipc_name(head->type));
	}
}

static inline bool fake_packet(void)
{
	static char packet[CHAN_PACKET_MAX] __attribute__((aligned(8)));
	char control[CMSG_SPACE(CHAN_FDS_MAX * sizeof(int))];
	struct iovec part = {packet, sizeof(packet)};
	struct msghdr header = {.msg_iov = &part,
				.msg_iovlen = 1,
				.msg_control = control,
				.msg_controllen = sizeof(control)};
	ssize_t size = recvmsg(FAKE_FD, &header, 0);
	int fds[CHAN_FDS_MAX];
	unsigned fd_count = 0;
	size_t at = 0;

	if (size < 0)
		return errno == EINTR || errno == EAGAIN;
	if (CMSG_FIRSTHDR(&header)) {
		fd_count =
			(unsigned)((CMSG_FIRSTHDR(&header)->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(fds, CMSG_DATA(CMSG_FIRSTHDR(&header)), fd_count * sizeof(int));
	}
	while (at < (size_t)size) {
		size_t one = fd_count ? (size_t)size : ipc_first(packet + at, (size_t)size - at);

		fake_take(packet + at, fds, fd_count);
		at += one;
	}
	for (unsigned i = 0; i < fd_count; i++)
		close(fds[i]);
	return size > 0;
}

static inline int fake_main(const char *title)
{
	struct pollfd wait = {.fd = FAKE_FD, .events = POLLIN};
	struct sigaction again = {.sa_handler = fake_note};

	snprintf(fake.title, sizeof(fake.title), "%s", title);
	sigaction(SIGUSR1, &again, NULL);
	do {
		if (fake_again) {
			fake_again = 0;
			fake_obey("again");
		}
		(void)poll(&wait, 1, 1000);
	} while (!wait.revents || fake_packet());
	while (fake.stays)
		pause();
	return 0;
}

#endif
