/* See handlers.h. The role's thread is the only one that runs its code; the target's thread waits
 * for it at the end of each step. */
#include "handlers.h"

#include "base/log.h"
#include "maildrop/mail_mark.h"
#include "maildrop/maildir/maildir.h"
#include "maildrop/maildrop.h"
#include "server/certificates.h"
#include "sys/sandbox.h"
#include "tests/unit/sys/tls_material.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/rand.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef __has_feature
#define __has_feature(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#include <sanitizer/lsan_interface.h>
#define leaks_ignored(ignored) ((ignored) ? __lsan_disable() : __lsan_enable())
#else
#define leaks_ignored(ignored) ((void)(ignored))
#endif

enum { CLIENTS = 4, TURNS = 3, FIRST_INSTANCE = 10, WAIT_MS = 1, WAITS = 8 };

/* How the monitor answers a question about a location. */
enum { ANSWER_YES, ANSWER_NO, ANSWER_OTHER, ANSWER_NEVER };

static struct {
	const struct handlers_plan *plan;
	struct child_role role; /* the plan's, with start and peer_gone watched */
	const struct child_role *roles[ROLE_COUNT];
	char folder[64];
	int monitor, barrier, listener, mail_fd, folder_fd, config_fd;
	struct config config;
	struct sockaddr_in address;
	int peers[HANDLERS_PEERS_MAX], clients[CLIENTS];
	uint64_t seen[4]; /* of the last message that the role sent */
	unsigned answer;  /* ANSWER_… */
	struct loop_watch watch;
	struct loop_later later;
	struct loop *loop;
	int turns;
	sem_t done;
	_Atomic unsigned gone;
	unsigned peers_made;
	struct maildrop *maildrop; /* anna's, for a front: it lends */
	struct maildrop_snapshot index;
} h;

static const struct {
	size_t size;
	unsigned fds, texts;
} rows[IPC_END] = {
#define X(name, number, struct_, from, to, min, max, tail, texts, ...) \
	[number] = {sizeof(struct struct_), min, texts},
	IPC_MESSAGES(X)
#undef X
};

static void need(bool good, const char *what)
{
	if (good)
		return;
	perror(what);
	abort();
}

/* In place of the sandbox: the target needs its files and the sanitizer. */
int sandbox_enter(const struct sandbox *sandbox, struct err *err)
{
	(void)sandbox;
	(void)err;
	return 0;
}

void sandbox_add_path(struct sandbox *sandbox, const char *path, int access)
{
	(void)sandbox;
	(void)path;
	(void)access;
}

/* ---- the role's thread ---- */

static void turn_over(struct loop_later *later)
{
	if (--h.turns > 0)
		loop_later_add_last(h.loop, later);
	else
		sem_post(&h.done);
}

static void barrier_ready(struct loop_watch *watch, int what)
{
	uint64_t count;

	(void)what;
	if (read(watch->fd, &count, sizeof(count)) < 0)
		return;
	h.turns = TURNS;
	loop_later_add_last(h.loop, &h.later);
}

static int watched_start(struct child *child, struct err *err)
{
	int rc = h.plan->role->start(child, err);

	need(rc == 0, "the role does not start");
	h.loop = child->loop;
	h.later.run = turn_over;
	loop_watch_init(&h.watch, child->loop, h.barrier, barrier_ready, NULL);
	loop_watch_want(&h.watch, LOOP_READ);
	return rc;
}

static void watched_gone(struct peer *peer)
{
	h.plan->role->peer_gone(peer);
	h.gone++;
}

/* libcrypto keeps random generators for each thread, and forgets those of a thread that still runs
 * at the end of the process: no leak of the role's. */
static void make_generators(void)
{
	unsigned char octet;

	leaks_ignored(true);
	RAND_bytes(&octet, 1);
	RAND_priv_bytes(&octet, 1);
	leaks_ignored(false);
}

static void *run_role(void *argument)
{
	int fd = *(int *)argument;

	free(argument);
	make_generators();
	child_main(fd, h.roles);
	abort(); /* it never ends while the target lives */
}

/* ---- the target's thread ---- */

static void turn(void)
{
	uint64_t one = 1;

	need(write(h.barrier, &one, sizeof(one)) == sizeof(one), "barrier");
	while (sem_wait(&h.done) < 0)
		;
}

static void send_packet(int fd, const void *data, size_t size, const int *fds, unsigned fd_count)
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
	(void)!sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT); /* it may be cut by now */
}

static void to_monitor_end(enum ipc_type type, void *message, size_t size, const char *text, int fd)
{
	char packet[1024];
	struct ipc_head *head = message;

	head->type = type;
	head->tail = text ? (uint32_t)strlen(text) : 0;
	head->texts[0] = (uint16_t)head->tail;
	memcpy(packet, message, size);
	if (text)
		memcpy(packet + size, text, head->tail);
	send_packet(h.monitor, packet, size + head->tail, &fd, fd >= 0);
}

static void give_peer(unsigned i)
{
	struct ipc_peer message = {
		.instance = FIRST_INSTANCE + i, .role = h.plan->peers[i], .group_size = 1};
	int ends[2];

	if (h.plan->role->role == ROLE_LOCKER)
		message.uid = geteuid() + i; /* the first one has the mailboxes */
	for (unsigned j = 0; j < i; j++)
		message.index += h.plan->peers[j] == h.plan->peers[i];
	for (unsigned j = 0; j < h.plan->peer_count; j++)
		message.group_size += j != i && h.plan->peers[j] == h.plan->peers[i];
	need(chan_pair(ends, NULL) == 0, "channel");
	to_monitor_end(IPC_PEER, &message, sizeof(message), NULL, ends[1]);
	close(ends[1]);
	h.peers[i] = ends[0];
	h.peers_made++;
}

static void answer_location(const struct ipc_location *question)
{
	struct ipc_location_answer answer = {.number = question->number,
					     .allowed = h.answer == ANSWER_YES};

	if (question->ask == LOCATION_SEEN || h.answer == ANSWER_NEVER)
		return;
	if (h.answer == ANSWER_OTHER)
		answer.number++;
	to_monitor_end(IPC_LOCATION_ANSWER, &answer, sizeof(answer),
		       answer.allowed ? NULL : "the register says no", -1);
}

static void answer_guard(const struct ipc_guard *question)
{
	struct ipc_location_answer answer = {.number = question->number,
					     .allowed = h.answer == ANSWER_YES};

	if (question->ask != GUARD_JUDGE || h.answer == ANSWER_NEVER)
		return;
	if (h.answer == ANSWER_OTHER)
		answer.number++;
	to_monitor_end(IPC_LOCATION_ANSWER, &answer, sizeof(answer),
		       answer.allowed ? NULL : "the register says no", -1);
}

static void answer_monitor_end(const char *at, size_t size)
{
	while (size) {
		size_t first = ipc_first(at, size);

		if (((const struct ipc_head *)(const void *)at)->type == IPC_LOCATION)
			answer_location((const struct ipc_location *)(const void *)at);
		else if (((const struct ipc_head *)(const void *)at)->type == IPC_GUARD)
			answer_guard((const struct ipc_guard *)(const void *)at);
		at += first;
		size -= first;
	}
}

/* Takes what the role sent; remembers the beginning of the last message. */
static bool drain(int fd)
{
	static char packet[CHAN_PACKET_MAX] __attribute__((aligned(8)));
	char control[CMSG_SPACE(CHAN_FDS_MAX * sizeof(int))];
	bool some = false;

	for (;;) {
		struct iovec part = {packet, sizeof(packet)};
		struct msghdr message = {.msg_iov = &part,
					 .msg_iovlen = 1,
					 .msg_control = control,
					 .msg_controllen = sizeof(control)};
		ssize_t size = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		struct cmsghdr *head = size > 0 ? CMSG_FIRSTHDR(&message) : NULL;

		if (size <= 0)
			return some;
		some = true;
		for (size_t i = 0; head && i < (head->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
			int got;

			memcpy(&got, CMSG_DATA(head) + i * sizeof(int), sizeof(got));
			close(got);
		}
		memset(packet + size, 0,
		       sizeof(packet) - (size_t)size < 64 ? sizeof(packet) - (size_t)size : 64);
		if (fd == h.monitor)
			answer_monitor_end(packet, (size_t)size);
		else if ((size_t)size > sizeof(struct ipc_head))
			memcpy(h.seen, packet + sizeof(struct ipc_head), sizeof(h.seen));
	}
}

/* Each connection that the role dialled takes the first place that is free. */
static void accept_all(void)
{
	int fd;

	while ((fd = accept4(h.listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		unsigned i = 0;

		while (i < CLIENTS && h.clients[i] >= 0)
			i++;
		if (i < CLIENTS)
			h.clients[i] = fd;
		else
			close(fd);
	}
}

static void take_all(void)
{
	static char octets[65536];
	bool some = false;

	if (h.plan->dials)
		accept_all();
	for (unsigned i = 0; i < h.plan->peer_count; i++)
		some |= drain(h.peers[i]);
	drain(h.monitor);
	for (unsigned i = 0; i < CLIENTS; i++)
		while (h.clients[i] >= 0 &&
		       recv(h.clients[i], octets, sizeof(octets), MSG_DONTWAIT) > 0)
			some = true;
	(void)some;
}

/* Jobs of workers take longer than a turn. */
static void wait_for_workers(void)
{
	struct pollfd wait[HANDLERS_PEERS_MAX + 1];
	unsigned count = h.plan->peer_count;

	for (int n = 0; n < WAITS; n++) {
		for (unsigned i = 0; i < count; i++)
			wait[i] = (struct pollfd){.fd = h.peers[i], .events = POLLIN};
		wait[count] = (struct pollfd){.fd = h.monitor, .events = POLLIN};
		if (poll(wait, count + 1, WAIT_MS) <= 0)
			return;
		take_all();
		turn();
	}
}

static void settle(void)
{
	turn();
	take_all();
	if (h.plan->has_workers)
		wait_for_workers();
}

/* ---- what it stands on ---- */

static void write_file(const char *name, const char *text, size_t size)
{
	int fd = openat(h.folder_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	need(fd >= 0 && write(fd, text, size) == (ssize_t)size, name);
	close(fd);
}

static void remove_folder(void)
{
	char command[96];

	snprintf(command, sizeof(command), "rm -rf '%s'", h.folder);
	(void)!system(command);
}

/* Sections of servers that a connector dials: all are the target. */
static void make_remotes(char *text, size_t size)
{
	int put = 0;

	text[0] = '\0';
	for (char name = 'a'; h.plan->dials && name < 'a' + CLIENTS; name++)
		put += snprintf(text + put, size - (size_t)put,
				"remote \"%c\" { server = \"127.0.0.1:%u\"\n tls = no\n"
				" lmtp = \"127.0.0.1:%u\"\n"
				" credentials = same\n timeout = 1s }\n",
				name, ntohs(h.address.sin_port), ntohs(h.address.sin_port));
}

static void make_config(void)
{
	char text[2048], remotes[1024], file[96];
	struct err err;
	int size;

	make_remotes(remotes, sizeof(remotes));
	size = snprintf(text, sizeof(text),
			"hostname = office.test\nmail = mail\nusers = users\n"
			"log_level = error\n"
			"quota { messages = 1000 }\n"
			"login { plain_without_tls = yes\n failure_delay = 1ms\n"
			" failure_delay_max = 1ms\n apop = yes }\n"
			"pop3 { listen = {\"127.0.0.1:1\"} login_delay_max = 1d }\n"
			"lmtp { listen = {\"127.0.0.1:2\"} }\n%s%s",
			remotes,
			h.plan->role->role == ROLE_KEYS ? "tls \"ec\" { certificate = EC.pem\n"
							  " key = EC.key }\n"
							  "tls \"ed\" { certificate = ED25519.pem\n"
							  " key = ED25519.key }\n"
							: "");

	snprintf(file, sizeof(file), "%s/valija.conf", h.folder);
	if (config_parse((pop3_span){text, (size_t)size}, file, &h.config, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		abort();
	}
	h.config_fd = config_seal(&h.config, &err);
	need(h.config_fd >= 0, "configuration");
}

static void make_office(void)
{
	static const char users[] = "anna:{PLAIN}secret\nberta:{PLAIN}secret\n"
				    "slow:{PLAIN}secret::::::login_delay=600\n";

	snprintf(h.folder, sizeof(h.folder), "/tmp/valija-fuzz-XXXXXX");
	need(mkdtemp(h.folder) != NULL, "folder");
	atexit(remove_folder);
	h.folder_fd = open(h.folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	need(mkdirat(h.folder_fd, "mail", 0700) == 0, "mail");
	need(mkdirat(h.folder_fd, "trash", 0700) == 0, "trash");
	write_file("users", users, sizeof(users) - 1);
	h.mail_fd = openat(h.folder_fd, "mail", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	need(h.mail_fd >= 0, "mail");
	make_config();
}

static void make_listener(void)
{
	socklen_t size = sizeof(h.address);

	h.address = (struct sockaddr_in){.sin_family = AF_INET,
					 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	h.listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	need(h.listener >= 0 && bind(h.listener, (struct sockaddr *)&h.address, size) == 0 &&
		     listen(h.listener, CLIENTS) == 0 &&
		     getsockname(h.listener, (struct sockaddr *)&h.address, &size) == 0,
	     "listening socket");
}

static void give_folders(void)
{
	struct ipc_directory users = {.kind = DIRECTORY_USERS}, mail = {.kind = DIRECTORY_MAIL},
			     logins = {.kind = DIRECTORY_LOGINS};
	char mark[MAIL_MARK_SIZE];
	struct err err;

	need(mail_mark_write(h.mail_fd, mark, &err) == 0, "mark of the mail root");
	if (h.plan->role->role == ROLE_AUTH)
		to_monitor_end(IPC_DIRECTORY, &users, sizeof(users), NULL, h.folder_fd);
	if (h.plan->role->role == ROLE_LOGINS)
		to_monitor_end(IPC_DIRECTORY, &logins, sizeof(logins), NULL, h.folder_fd);
	if (h.plan->role->role == ROLE_AUTH || h.plan->role->role == ROLE_KEEPER ||
	    h.plan->role->role == ROLE_LOCKER)
		to_monitor_end(IPC_DIRECTORY, &mail, sizeof(mail), mark, h.mail_fd);
}

static void make_certificate(const char *kind)
{
	struct material material;
	char name[32];

	material_make(&material, kind, "DNS:office.test",
		      strcmp(kind, "EC") == 0 ? "SHA256" : NULL);
	snprintf(name, sizeof(name), "%s.pem", kind);
	write_file(name, material.pem.certificate.data, material.pem.certificate.size);
	snprintf(name, sizeof(name), "%s.key", kind);
	write_file(name, material.pem.key.data, material.pem.key.size);
}

static void give_keys(void)
{
	static const enum ipc_type types[PACKED_COUNT] = {
		[PACKED_CERTIFICATES] = IPC_CERTIFICATES, [PACKED_KEYS] = IPC_KEYS};

	make_certificate("EC");
	make_certificate("ED25519");
	for (unsigned kind = 0; kind < PACKED_COUNT; kind++) {
		struct ipc_certificates message = {0};
		struct err err;
		int fd = certificates_pack(&h.config, (enum packed_kind)kind, &message.size, &err);

		if (fd < 0) {
			fprintf(stderr, "%s\n", err.text);
			abort();
		}
		to_monitor_end(types[kind], &message, sizeof(message), NULL, fd);
		close(fd);
	}
}

static void renew_mail(void);

/* A maildrop that stays open: an honest OPENED lends its index. */
static void make_index(void)
{
	struct maildrop_settings settings = {.driver = &maildir_driver, .host_name = "fuzz"};
	struct err err;

	renew_mail();
	if (maildrop_open(&settings, h.mail_fd, "anna", &h.maildrop, &err) != MAILDROP_OK) {
		fprintf(stderr, "%s\n", err.text);
		abort();
	}
	maildrop_snapshot(h.maildrop, &h.index);
}

static void start(const struct handlers_plan *plan)
{
	struct ipc_config config = {.instance = 1, .role = plan->role->role, .generation = 1};
	struct ipc_listener listener = {.service = plan->service};
	struct ipc_empty empty = {.head.type = IPC_START};
	int ends[2], *end = malloc(sizeof(*end));
	pthread_t thread;

	h.plan = plan;
	h.role = *plan->role;
	h.role.start = watched_start;
	h.role.peer_gone = watched_gone;
	h.roles[plan->role->role] = &h.role;
	h.barrier = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	sem_init(&h.done, 0, 0);
	for (unsigned i = 0; i < CLIENTS; i++)
		h.clients[i] = -1;
	if (plan->dials)
		make_listener();
	make_office();
	need(end && chan_pair(ends, NULL) == 0, "channel");
	h.monitor = ends[0];
	*end = ends[1];
	to_monitor_end(IPC_CONFIG, &config, sizeof(config), NULL, h.config_fd);
	give_folders();
	if (plan->role->role == ROLE_KEYS)
		give_keys();
	if (plan->has_clients) {
		make_index();
		make_listener();
		to_monitor_end(IPC_LISTENER, &listener, sizeof(listener), NULL, h.listener);
	}
	to_monitor_end(IPC_START, &empty, sizeof(empty), NULL, -1);
	need(pthread_create(&thread, NULL, run_role, end) == 0, "thread");
	turn();
}

/* Moves all mail away: a worker may still be busy in it, so nothing can be removed in place. */
static void clear_mail(void)
{
	static unsigned moved;
	int fd = openat(h.folder_fd, "mail", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *mail = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	char to[64], command[96];

	need(mail != NULL, "mail");
	while ((entry = readdir(mail)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(to, sizeof(to), "trash/%u", moved++);
		need(renameat(fd, entry->d_name, h.folder_fd, to) == 0, to);
	}
	closedir(mail);
	if (moved % 256 == 255) {
		snprintf(command, sizeof(command), "rm -rf '%s'/trash/*", h.folder);
		(void)!system(command);
		moved++;
	}
}

/* Three messages, no index: what one input did to the mail is not there for the next. A worker that
 * is still busy for the last one may make the folder at the same moment. */
static void renew_mail(void)
{
	static char large[100000];

	for (const char *const *folder =
		     (const char *const[]){"fresh", "fresh/new", "fresh/cur", "fresh/tmp", NULL};
	     *folder; folder++)
		need(mkdirat(h.folder_fd, *folder, 0700) == 0, *folder);
	memset(large, '\n', sizeof(large));
	write_file("fresh/new/1", "Subject: one\n\n.dot\n", 19);
	write_file("fresh/new/2", "Subject: two\n\nx", 15);
	write_file("fresh/cur/3:2,S", large, sizeof(large));
	do
		clear_mail();
	while (renameat(h.folder_fd, "fresh", h.folder_fd, "mail/anna") < 0);
}

/* Two mailboxes, and what is none. */
static void renew_mailboxes(void)
{
	clear_mail();
	write_file("mail/box", "From ", 5);
	write_file("mail/other", "From ", 5);
	need(mkdirat(h.mail_fd, "folder", 0700) == 0, "folder");
	need(symlinkat("box", h.mail_fd, "link") == 0, "link");
}

/* The locker makes and removes lock files: all else is as it was, and no lock file outlives its
 * keeper but one that says that there is a journal. */
static void look_at_mailboxes(void)
{
	static const char *const names[] = {"box", "other", "folder", "link"};
	char name[32], text[256];
	struct stat st;

	for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++) {
		need(fstatat(h.mail_fd, names[i], &st, AT_SYMLINK_NOFOLLOW) == 0, names[i]);
		need(i > 1 || st.st_size == 5, names[i]);
		snprintf(name, sizeof(name), "%s.lock", names[i]);
		int fd = openat(h.mail_fd, name, O_RDONLY | O_CLOEXEC);
		ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

		text[n < 0 ? 0 : n] = '\0';
		need(fd < 0 || (i < 2 && strstr(text, "\njournal\n")), name);
		if (fd >= 0)
			close(fd);
	}
}

/* ---- the steps ---- */

struct input {
	const uint8_t *data;
	size_t size;
};

static uint8_t octet(struct input *in)
{
	if (!in->size)
		return 0;
	in->size--;
	return *in->data++;
}

static size_t octets(struct input *in, const uint8_t **ret, size_t wanted)
{
	size_t size = wanted < in->size ? wanted : in->size;

	*ret = in->data;
	in->data += size;
	in->size -= size;
	return size;
}

/* The fuzzer's timer may interrupt it; it goes on all the same. */
static int dial(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), rc;
	struct pollfd wait = {.fd = fd, .events = POLLOUT};

	need(fd >= 0, "socket");
	rc = connect(fd, (struct sockaddr *)&h.address, sizeof(h.address));
	while (rc < 0 && errno == EINTR)
		rc = poll(&wait, 1, -1) == 1 ? 0 : -1;
	need(rc == 0, "connection");
	return fd;
}

static void client_says(unsigned i, struct input *in)
{
	const uint8_t *text;
	size_t size = octets(in, &text, octet(in));

	if (!h.plan->has_clients && (!h.plan->dials || h.clients[i] < 0))
		return;
	if (h.clients[i] < 0) {
		h.clients[i] = dial();
		settle();
	}
	(void)!send(h.clients[i], text, size, MSG_NOSIGNAL | MSG_DONTWAIT);
	settle();
}

static void hang_up(unsigned i)
{
	if (h.clients[i] < 0)
		return;
	close(h.clients[i]);
	h.clients[i] = -1;
	settle();
}

/* A descriptor that may go with a message: a sealed memory file, one that is empty and open to
 * change, a folder, a pipe. */
static int lend(unsigned kind)
{
	static const char text[] = "Subject: lent\n\nbody\n";
	int fd = -1, ends[2];

	switch (kind & 3) {
	case 0:
		fd = memfd_create("lent", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		need(fd >= 0 && write(fd, text, sizeof(text) - 1) > 0, "memory file");
		fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
		break;
	case 1:
		fd = memfd_create("empty", MFD_CLOEXEC);
		break;
	case 2:
		fd = fcntl(h.folder_fd, F_DUPFD_CLOEXEC, 0);
		break;
	default:
		if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0) {
			close(ends[1]);
			fd = ends[0];
		}
	}
	need(fd >= 0, "descriptor");
	return fd;
}

/* Puts the tail behind the struct, its texts cut at line feeds. */
static size_t put_tail(char *packet, size_t size, unsigned texts, const uint8_t *tail, size_t n)
{
	struct ipc_head *head = (struct ipc_head *)packet;
	unsigned text = 0;
	size_t put = 0;

	for (size_t i = 0; i < n; i++) {
		if (texts && tail[i] == '\n' && text + 1 < texts) {
			text++;
			continue;
		}
		packet[size + put++] = (char)tail[i];
		if (texts)
			head->texts[text]++;
	}
	head->tail = (uint32_t)put;
	return size + put;
}

/* Descriptors for a message; an OPENED may lend an index that is one. */
static void lend_all(unsigned type, uint8_t flags, char *packet, int *fds)
{
	struct ipc_opened *opened = (struct ipc_opened *)packet;

	for (unsigned j = 0; j < rows[type].fds; j++)
		fds[j] = lend((flags >> 4) + j);
	if (type != IPC_OPENED || !(flags & 0x40) || !h.plan->has_clients)
		return;
	need(dup2(h.index.base_fd, fds[0]) >= 0 && dup2(h.index.delta_fd, fds[1]) >= 0, "index");
	opened->delta_size = h.index.delta_size;
	opened->count = h.index.count;
	opened->octets = h.index.octets;
}

/* Numbers of rows fit seven bits, but for those from 256 on, 0x80 and more, and those from 400 on,
 * 0xc0 and more. */
static unsigned row_number(uint8_t octet)
{
	unsigned number = octet < 0x80 ? octet : octet < 0xc0 ? octet + 0x80u : octet + 0xd0u;

	return number < IPC_END ? number : IPC_NONE;
}

static void peer_sends(unsigned i, struct input *in)
{
	static char packet[4096] __attribute__((aligned(8)));
	unsigned type = row_number(octet(in));
	uint8_t flags = octet(in), fixed_size = octet(in), tail_size = octet(in);
	const uint8_t *fixed, *tail;
	size_t size = rows[type].size, given = octets(in, &fixed, fixed_size),
	       tail_given = octets(in, &tail, tail_size), head = sizeof(struct ipc_head);
	int fds[CHAN_FDS_MAX];

	if (size < head || i >= h.plan->peer_count)
		return;
	memset(packet, 0, size);
	memcpy(packet + head, fixed, given < size - head ? given : size - head);
	for (unsigned j = 0; j < 3; j++)
		if (flags & 1 << j && head + 8 * j + 8 <= size)
			memcpy(packet + head + 8 * j, &h.seen[j + (flags & 8 ? 1 : 0)], 8);
	((struct ipc_head *)packet)->type = type;
	size = put_tail(packet, size, rows[type].texts, tail, tail_given);
	lend_all(type, flags, packet, fds);
	send_packet(h.peers[i], packet, size, fds, rows[type].fds);
	for (unsigned j = 0; j < rows[type].fds; j++)
		close(fds[j]);
	settle();
}

static void peer_sends_anything(unsigned i, struct input *in)
{
	const uint8_t *data;
	size_t size = octets(in, &data, octet(in));

	if (i < h.plan->peer_count && size)
		send_packet(h.peers[i], data, size, NULL, 0);
	settle();
}

static void peer_dies(unsigned i)
{
	if (i >= h.plan->peer_count)
		return;
	close(h.peers[i]);
	settle();
	give_peer(i);
	settle();
}

static void step(struct input *in)
{
	uint8_t what = octet(in);
	unsigned i = what & 3;

	switch (what >> 4) {
	case 0:
		client_says(i, in);
		break;
	case 1:
		hang_up(i);
		break;
	case 2:
		peer_sends(i, in);
		break;
	case 3:
		peer_sends_anything(i, in);
		break;
	case 4:
		peer_dies(i);
		break;
	case 5:
		h.answer = i;
		break;
	default:
		settle();
	}
}

/* What a front of LMTP asked the monitor for; it refuses more. */
static void give_spool(void)
{
	struct ipc_empty file = {.head.type = IPC_SPOOL_FILE};
	char path[64];
	int fds[2];

	for (int i = 0; i < 4; i++) {
		fds[0] = openat(h.folder_fd, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fds[0]);
		fds[1] = open(path, O_RDONLY | O_CLOEXEC);
		need(fds[1] >= 0, "a file of the spool");
		send_packet(h.monitor, &file, sizeof(file), fds, 2);
		close(fds[0]);
		close(fds[1]);
	}
}

void handlers_run(const struct handlers_plan *plan, const uint8_t *data, size_t size)
{
	struct input in = {data, size};

	if (!h.plan)
		start(plan);
	if (plan->role->role == ROLE_KEEPER)
		renew_mail();
	if (plan->role->role == ROLE_LOCKER)
		renew_mailboxes();
	if (plan->role->role == ROLE_LMTP)
		give_spool();
	memset(h.seen, 0, sizeof(h.seen));
	h.answer = ANSWER_YES;
	for (unsigned i = 0; i < plan->peer_count; i++)
		give_peer(i);
	settle();
	for (int steps = 0; in.size && steps < 200; steps++)
		step(&in);
	for (unsigned i = 0; i < CLIENTS; i++)
		hang_up(i);
	for (unsigned i = 0; i < plan->peer_count; i++)
		close(h.peers[i]);
	while (h.gone < h.peers_made) /* no session outlives the input that made it */
		turn();
	if (plan->role->role == ROLE_LOCKER)
		look_at_mailboxes();
}
