/*
 * A role of valijad with its real handlers, for a test that plays the monitor, its peers and its
 * clients. The role runs in a process of its own, without a sandbox, and its time is the test's.
 * Header only; a test program includes it once, and links with role_wraps of
 * tests/unit/meson.build.
 *
 * role_begin, role_peer …, role_go; then role_send and role_expect; role_end or role_over last.
 */
#ifndef TESTS_ROLE_TEST_H
#define TESTS_ROLE_TEST_H

#include "base/log.h"
#include "config/config.h"
#include "server/child.h"
#include "server/counters.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROLE_MARK "0123456789abcdef0123456789abcdef" /* of the mail folder */

enum {
	ROLE_PEERS_MAX = 8,
	ROLE_PATIENCE_MS = 30000,
	/* where the clock stands still, timers of a second and more go by it: it is looked at so
	 * often whether one is due */
	ROLE_LONG_MS = 1000,
	ROLE_EARLY_MS = 5,
	ROLE_TIMERS_MAX = 1024,
};

/* Of the test and the role's process. */
struct role_shared {
	atomic_uint speed;  /* the role's timers go so many times faster, not its clock */
	atomic_ulong clock; /* the role's time, if it is not 0: it moves by role_advance alone */
	atomic_bool closed; /* workers stop at role_gate until it is opened */
	sem_t gate;
	atomic_long failing; /* the allocation that fails, counted down; 0: none */
	/* for wraps of a test: numbers that a front has in its table already */
	atomic_uint sessions, recipients;
	/* for wraps of a front's test: no random octets; accepted in this turn, and at most so far
	 */
	atomic_bool no_random;
	atomic_uint accepted, accepted_most;
	/* of a keeper's test: flushes so far, and whether they fail */
	atomic_uint fsyncs, fdatasyncs;
	atomic_bool fsync_fails, fdatasync_fails;
	atomic_bool no_sandbox;  /* entering it fails */
	atomic_int accept_error; /* errno of the next accept4(); 0: it is the kernel's business */
};

/* The test's end of a channel. */
struct role_peer {
	int fd;
	uint64_t instance;
	char packet[CHAN_PACKET_MAX] __attribute__((aligned(8)));
	size_t at, size; /* what is not taken yet of the packet */
	int fds[CHAN_FDS_MAX];
};

static struct {
	struct role_shared *shared;
	const struct child_role *role;
	pid_t pid;
	char folder[64];
	int folder_fd, mail_fd, log_fd; /* log_fd 0: standard error is the test's */
	uint64_t instances;
	struct role_peer monitor, peers[ROLE_PEERS_MAX];
	unsigned peer_count;
	struct counters_page *counted;
} role;

/* ---- in the role's process ---- */

int __wrap_sandbox_enter(const struct sandbox *sandbox, struct err *err);
uint64_t __real_loop_now(const struct loop *loop);
uint64_t __wrap_loop_now(const struct loop *loop);
void __real_loop_timer_set(struct loop_timer *timer, uint64_t ms);
void __wrap_loop_timer_set(struct loop_timer *timer, uint64_t ms);

int __wrap_sandbox_enter(const struct sandbox *sandbox, struct err *err)
{
	(void)sandbox;
	if (role.shared->no_sandbox)
		return err_set(err, 71, "no sandbox");
	return 0;
}

uint64_t __wrap_loop_now(const struct loop *loop)
{
	if (role.shared->clock)
		return role.shared->clock;
	return __real_loop_now(loop);
}

/* Timers that go by the role's clock. */
static struct role_timer {
	struct loop_timer *timer; /* NULL: the place is free */
	void (*fired)(struct loop_timer *timer);
	uint64_t due; /* 0: it goes by the kernel's clock */
} role_timers[ROLE_TIMERS_MAX];

static inline struct role_timer *role_timer_of(struct loop_timer *timer)
{
	for (unsigned i = 0; i < ROLE_TIMERS_MAX; i++)
		if (!role_timers[i].timer || role_timers[i].timer == timer)
			return &role_timers[i];
	abort();
}

static inline void role_timer_fired(struct loop_timer *timer)
{
	struct role_timer *by_clock = role_timer_of(timer);

	if (role.shared->clock < by_clock->due)
		__real_loop_timer_set(timer, ROLE_EARLY_MS);
	else
		by_clock->fired(timer);
}

void __wrap_loop_timer_set(struct loop_timer *timer, uint64_t ms)
{
	uint64_t speed = role.shared->speed;
	bool by_clock = role.shared->clock && ms >= ROLE_LONG_MS;

	if (by_clock || timer->fired == role_timer_fired) {
		struct role_timer *entry = role_timer_of(timer);

		if (timer->fired != role_timer_fired)
			*entry = (struct role_timer){.timer = timer, .fired = timer->fired};
		timer->fired = role_timer_fired;
		entry->due = by_clock ? role.shared->clock + ms : 0;
	}
	__real_loop_timer_set(timer, by_clock ? ROLE_EARLY_MS : (ms + speed - 1) / speed);
}

static inline void role_gate(void)
{
	if (role.shared->closed)
		sem_wait(&role.shared->gate);
}

static bool role_is_child; /* this is the role's process */
static bool role_captures; /* of the next role_begin: what it logs is kept, for role_expect_log */

extern void __gcov_dump(void) __attribute__((weak));

static inline void role_run(int fd)
{
	const struct child_role *roles[ROLE_COUNT] = {[ROLE_MONITOR] = NULL};
	int status;

	role_is_child = true;
	if (role.log_fd)
		dup2(role.log_fd, STDERR_FILENO);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	roles[role.role->role] = role.role;
	status = child_main(fd, roles);
	if (__gcov_dump)
		__gcov_dump();
	_exit(status);
}

/* ---- the test's side ---- */

static inline void role_write(const char *name, const char *text)
{
	int fd = openat(role.folder_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

/* Sends a message by hand: tail behind the struct; count texts of these sizes; a descriptor or -1.
 */
static inline void role_send_raw(const struct role_peer *to, enum ipc_type type, void *message,
				 size_t size, const void *tail, size_t tail_size, int fd)
{
	char packet[CHAN_PACKET_MAX], control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec part = {packet, size + tail_size};
	struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
	struct pollfd wait = {.fd = to->fd, .events = POLLOUT};
	struct ipc_head *head = message;

	head->type = type;
	head->tail = (uint32_t)tail_size;
	memcpy(packet, message, size);
	if (tail_size)
		memcpy(packet + size, tail, tail_size);
	if (fd >= 0) {
		struct cmsghdr *cmsg;

		header.msg_control = control;
		header.msg_controllen = sizeof(control);
		cmsg = CMSG_FIRSTHDR(&header);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &fd, sizeof(int));
	}
	while (sendmsg(to->fd, &header, MSG_NOSIGNAL) < 0) {
		if (errno != EAGAIN)
			return; /* it is cut: what is expected next says so */
		assert_int_equal(poll(&wait, 1, ROLE_PATIENCE_MS), 1);
	}
}

#define role_send(to, type, message) \
	role_send_raw(to, type, message, sizeof(*(message)), NULL, 0, -1)

/* Texts: up to four, NULL behind the last. */
static inline void role_send_texts(const struct role_peer *to, enum ipc_type type, void *message,
				   size_t size, const char *const *texts)
{
	struct ipc_head *head = message;
	char tail[CHAN_PACKET_MAX];
	size_t used = 0;

	for (unsigned i = 0; i < IPC_TEXTS_MAX && texts[i]; i++) {
		head->texts[i] = (uint16_t)strlen(texts[i]);
		memcpy(tail + used, texts[i], head->texts[i]);
		used += head->texts[i];
	}
	role_send_raw(to, type, message, size, tail, used, -1);
}
#define ROLE_SEND_TEXTS(to, type, message, ...)                \
	role_send_texts(to, type, message, sizeof(*(message)), \
			(const char *const[IPC_TEXTS_MAX + 1]){__VA_ARGS__})

static inline void role_drop_fds(struct role_peer *from)
{
	for (unsigned i = 0; i < CHAN_FDS_MAX; i++) {
		if (from->fds[i] > 0)
			close(from->fds[i]);
		from->fds[i] = 0;
	}
}

/* Whether there is a packet, or the end of the channel, within ms. */
static inline bool role_speaks(const struct role_peer *from, int ms)
{
	struct pollfd wait = {.fd = from->fd, .events = POLLIN};

	return from->at < from->size || poll(&wait, 1, ms) == 1;
}

static inline bool role_read(struct role_peer *from)
{
	char control[CMSG_SPACE(CHAN_FDS_MAX * sizeof(int))];
	struct iovec part = {from->packet, sizeof(from->packet)};
	struct msghdr header = {.msg_iov = &part,
				.msg_iovlen = 1,
				.msg_control = control,
				.msg_controllen = sizeof(control)};
	ssize_t size;
	struct cmsghdr *cmsg;

	role_drop_fds(from);
	size = recvmsg(from->fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (size <= 0)
		return false;
	cmsg = CMSG_FIRSTHDR(&header);
	if (cmsg)
		memcpy(from->fds, CMSG_DATA(cmsg), cmsg->cmsg_len - CMSG_LEN(0));
	from->at = 0;
	from->size = (size_t)size;
	return true;
}

/* A test that has the guard's questions itself; else what is asked is right. */
static bool role_has_guard;

static inline void role_answer_guard(const struct ipc_guard *question)
{
	struct ipc_location_answer answer = {.number = question->number, .allowed = 1};

	if (question->ask == GUARD_JUDGE)
		role_send_raw(&role.monitor, IPC_LOCATION_ANSWER, &answer, sizeof(answer), NULL, 0,
			      -1);
}

/* The monitor answers the guard while another peer is waited for. Returns whether that one may have
 * something. */
static inline bool role_wait(const struct role_peer *from)
{
	struct pollfd wait[2] = {{.fd = from->fd, .events = POLLIN},
				 {.fd = role.monitor.fd, .events = POLLIN}};
	union {
		struct ipc_guard guard;
		char octets[4096];
	} peeked;

	if (from == &role.monitor || role_has_guard)
		return role_speaks(from, ROLE_PATIENCE_MS);
	while (poll(wait, 2, ROLE_PATIENCE_MS) > 0) {
		if (wait[0].revents)
			return true;
		if (recv(role.monitor.fd, &peeked, sizeof(peeked), MSG_PEEK | MSG_DONTWAIT) <
			    (ssize_t)sizeof(peeked.guard) ||
		    peeked.guard.head.type != IPC_GUARD)
			return role_speaks(from, ROLE_PATIENCE_MS);
		(void)!recv(role.monitor.fd, &peeked, sizeof(peeked), MSG_DONTWAIT);
		role_answer_guard(&peeked.guard);
	}
	return false;
}

/* The next message; IPC_NONE: the channel is cut. */
static inline enum ipc_type role_next(struct role_peer *from, const void **ret)
{
	const struct ipc_head *head;
	size_t first;

	do {
		if (from->at >= from->size) {
			if (!role_wait(from))
				fail_msg("%s is silent", ipc_role_name(role.role->role));
			if (!role_read(from))
				return IPC_NONE;
		}
		*ret = head = (const void *)(from->packet + from->at);
		first = from->fds[0] > 0 ? from->size : ipc_first(*ret, from->size - from->at);
		from->at += first;
		if (head->type == IPC_GUARD && !role_has_guard)
			role_answer_guard((const struct ipc_guard *)(const void *)head);
	} while (head->type == IPC_GUARD && !role_has_guard);
	return (enum ipc_type)head->type;
}

/* The next message, which must be of this type; what a role sends unasked is left out. */
static inline const void *role_expect(struct role_peer *from, enum ipc_type wanted)
{
	const void *message = NULL;
	enum ipc_type type;

	do
		type = role_next(from, &message);
	while (type != wanted &&
	       (type == IPC_OFFER || type == IPC_ARENA || type == IPC_SPOOL_WANTED ||
		type == IPC_FORGET || type == IPC_DISCONNECT ||
		(type == IPC_SLOW && wanted != IPC_SLOW)));
	assert_int_equal(type, wanted);
	return message;
}

/* The channel is cut, whatever came before. */
static inline void role_expect_cut(struct role_peer *from)
{
	const void *message;

	while (role_next(from, &message) != IPC_NONE)
		;
}

/* The role has read all that this peer sent. */
static inline void role_wait_taken(const struct role_peer *peer)
{
	int octets = 0;

	for (int ms = 0; ioctl(peer->fd, SIOCOUTQ, &octets) == 0 && octets > 0; ms++) {
		assert_true(ms < ROLE_PATIENCE_MS);
		usleep(1000);
	}
}

/* The role lives, and has done what peers sent it before, but for its workers. */
static inline void role_ping(void)
{
	struct ipc_empty ping;
	const void *message;
	enum ipc_type type;

	for (unsigned i = 0; i < role.peer_count; i++)
		if (role.peers[i].fd >= 0)
			role_wait_taken(&role.peers[i]);
	memset(&ping, 0, sizeof(ping));
	role_send(&role.monitor, IPC_PING, &ping);
	while ((type = role_next(&role.monitor, &message)) != IPC_PONG)
		assert_true(type != IPC_NONE);
}

/* What the role has counted in that slot, when it has done what it was sent. */
static inline uint64_t role_counted(size_t slot)
{
	role_ping();
	return role.counted->slots[slot];
}

/* How many values are in the histogram that begins at that slot. */
static inline uint64_t role_entered(size_t slot)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
		sum += role_counted(slot + i);
	return sum;
}

static inline void role_send_counters(enum ipc_role which)
{
	struct ipc_empty message;
	int fd = counters_page_make(which, &role.counted);

	assert_true(fd >= 0);
	memset(&message, 0, sizeof(message));
	role_send_raw(&role.monitor, IPC_COUNTERS, &message, sizeof(message), NULL, 0, fd);
	close(fd);
}

static inline void role_directory(enum ipc_directory_kind kind, uint32_t root, int fd)
{
	struct ipc_directory message = {.kind = kind, .root = root};
	size_t size = kind == DIRECTORY_MAIL ? strlen(ROLE_MARK) : 0;

	message.head.texts[0] = (uint16_t)size;
	role_send_raw(&role.monitor, IPC_DIRECTORY, &message, sizeof(message), ROLE_MARK, size, fd);
}

/* The next role_begin has a second mail folder, "old". */
static bool role_two_roots;
/* Adds to the configuration of the next role_begin; NULL: nothing. */
static void (*role_configure)(struct config *config);

static inline int role_config(void)
{
	static struct config config;
	char text[1024], file[96];
	struct err err;
	int size = snprintf(text, sizeof(text),
			    "hostname = office.test\nmail = {%s}\nusers = users\n"
			    "log_level = error\nlogin { plain_without_tls = yes\n"
			    " failure_delay = 1ms\n failure_delay_max = 1ms }\n"
			    "pop3 { listen = {\"127.0.0.1:1\"} }\n"
			    "lmtp { listen = {\"127.0.0.1:2\"} }\n",
			    role_two_roots ? "mail, old" : "mail");

	snprintf(file, sizeof(file), "%s/valija.conf", role.folder);
	if (config_parse((pop3_span){text, (size_t)size}, file, &config, &err) < 0)
		fail_msg("%s", err.text);
	if (role_captures)
		config.log_level = LOG_LEVEL_INFO;
	if (role_configure)
		role_configure(&config);
	return config_seal(&config, &err);
}

static inline void role_make_folder(void)
{
	snprintf(role.folder, sizeof(role.folder), "/tmp/valija-role-XXXXXX");
	assert_non_null(mkdtemp(role.folder));
	role.folder_fd = open(role.folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(mkdirat(role.folder_fd, "mail", 0700), 0);
	role.mail_fd = openat(role.folder_fd, "mail", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(role.mail_fd >= 0);
	role_write("mail/.valija-root", ROLE_MARK "\n");
	if (role_two_roots) {
		assert_int_equal(mkdirat(role.folder_fd, "old", 0700), 0);
		role_write("old/.valija-root", ROLE_MARK "\n");
	}
	role_write("users", "anna:{PLAIN}secret\nberta:{PLAIN}secret\n");
}

/* A new process; it knows its configuration and its folders, and waits for its peers. owners: the
 * homes may have an owner each, as where the monitor is root. */
static inline void role_begin(const struct child_role *which, bool owners)
{
	struct ipc_config config = {.instance = 1, .role = which->role, .generation = 1};
	int ends[2], config_fd;

	memset(&role, 0, sizeof(role));
	role_has_guard = false;
	role.role = which;
	role.instances = 1;
	role.shared = mmap(NULL, sizeof(*role.shared), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(role.shared, MAP_FAILED);
	role.shared->speed = 1;
	sem_init(&role.shared->gate, 1, 0);
	role_make_folder();
	if (role_captures) {
		role.log_fd = memfd_create("log", MFD_CLOEXEC);
		assert_int_equal(fcntl(role.log_fd, F_SETFL, O_APPEND), 0);
	}
	assert_int_equal(chan_pair(ends, NULL), 0);
	role.pid = fork();
	if (role.pid == 0) {
		close(ends[0]);
		role_run(ends[1]);
	}
	assert_true(role.pid > 0);
	close(ends[1]);
	role.monitor.fd = ends[0];
	config.change_ids = owners;
	config_fd = role_config();
	role_send_raw(&role.monitor, IPC_CONFIG, &config, sizeof(config), NULL, 0, config_fd);
	close(config_fd);
	role_send_counters(which->role);
	if (which->role == ROLE_AUTH)
		role_directory(DIRECTORY_USERS, 0, role.folder_fd);
	if (which->role == ROLE_AUTH || which->role == ROLE_KEEPER)
		role_directory(DIRECTORY_MAIL, 0, role.mail_fd);
	if (role_two_roots) {
		int fd = openat(role.folder_fd, "old", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		assert_true(fd >= 0);
		role_directory(DIRECTORY_MAIL, 1, fd);
		close(fd);
	}
}

static inline struct role_peer *role_peer_at(enum ipc_role which, uint32_t uid, uint32_t index)
{
	struct role_peer *peer = &role.peers[role.peer_count];
	struct ipc_peer message = {
		.instance = ++role.instances, .role = which, .uid = uid, .index = index};
	int ends[2];

	assert_true(role.peer_count < ROLE_PEERS_MAX);
	message.group_size = which == ROLE_KEEPER || which == ROLE_CONNECTOR;
	assert_int_equal(chan_pair(ends, NULL), 0);
	role_send_raw(&role.monitor, IPC_PEER, &message, sizeof(message), NULL, 0, ends[1]);
	close(ends[1]);
	role.peer_count++;
	peer->instance = message.instance;
	peer->fd = ends[0];
	return peer;
}

static inline struct role_peer *role_peer(enum ipc_role which, uint32_t uid)
{
	return role_peer_at(which, uid, 0);
}

static inline void role_peer_dies(struct role_peer *peer)
{
	role_drop_fds(peer);
	close(peer->fd);
	peer->fd = -1;
}

/* Its standard input is where it was: no descriptor of a message was closed by that number. */
static inline void role_expect_input(void)
{
	char path[64], own[256], its[256];
	ssize_t own_size = readlink("/proc/self/fd/0", own, sizeof(own)), its_size;

	snprintf(path, sizeof(path), "/proc/%d/fd/0", (int)role.pid);
	its_size = readlink(path, its, sizeof(its));
	assert_int_equal(its_size, own_size);
	if (own_size > 0)
		assert_memory_equal(its, own, (size_t)own_size);
}

static inline void role_go(void)
{
	struct ipc_empty start;

	memset(&start, 0, sizeof(start));
	role_send(&role.monitor, IPC_START, &start);
	role_expect(&role.monitor, IPC_READY);
	role_expect_input();
}

/* Instead of role_go: where no sandbox can be entered, nothing is served. */
static inline void role_expect_no_start(void)
{
	static const char words[] = "no sandbox";
	const struct ipc_failed *failed;
	struct ipc_empty start;

	role.shared->no_sandbox = true;
	memset(&start, 0, sizeof(start));
	role_send(&role.monitor, IPC_START, &start);
	failed = role_expect(&role.monitor, IPC_FAILED);
	assert_int_equal(failed->code, 71);
	assert_int_equal(failed->head.tail, sizeof(words) - 1);
	assert_memory_equal(ipc_tail(failed), words, sizeof(words) - 1);
}

static inline void role_drain(uint64_t ms)
{
	struct ipc_drain message = {.ms = ms, .stop = 1};

	role_send(&role.monitor, IPC_DRAIN, &message);
}

static inline bool role_runs(void)
{
	return waitpid(role.pid, NULL, WNOHANG) == 0;
}

/* Waits for the end of the process; its wait status. */
static inline int role_ends(void)
{
	int status = -1;

	for (int ms = 0; waitpid(role.pid, &status, WNOHANG) == 0; ms++) {
		if (ms > ROLE_PATIENCE_MS)
			fail_msg("%s does not end", ipc_role_name(role.role->role));
		usleep(1000);
	}
	role.pid = 0;
	return status;
}

/* From before role_go on: the role's clock stands still. */
static inline void role_stop_clock(void)
{
	role.shared->clock = 1000000;
}

/* Moves it, behind what was sent before, and waits until timers must have seen that. */
static inline void role_advance(unsigned long ms)
{
	role_ping();
	role.shared->clock += ms;
	for (int i = 0; i < 5; i++) {
		usleep(ROLE_EARLY_MS * 1000);
		role_ping();
	}
}

/* What the role has logged; role_captures was set. */
static inline const char *role_log(void)
{
	static char text[65536];
	ssize_t n = pread(role.log_fd, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

static inline void role_expect_log(const char *wanted)
{
	for (int ms = 0; !strstr(role_log(), wanted); ms++) {
		if (ms > ROLE_PATIENCE_MS)
			fail_msg("no \"%s\" in\n%s", wanted, role_log());
		usleep(1000);
	}
}

/* Lets go on what stands at the gate, n times; n < 0: for good. */
static inline void role_open_gate(int n)
{
	if (n < 0) {
		role.shared->closed = false;
		n = 64;
	}
	while (n-- > 0)
		sem_post(&role.shared->gate);
}

/* Teardown: the process is killed, if it is still there. */
static inline int role_over(void **state)
{
	char command[96];

	(void)state;
	if (!role.shared)
		return 0;
	if (role.pid > 0) {
		kill(role.pid, SIGKILL);
		waitpid(role.pid, NULL, 0);
	}
	for (unsigned i = 0; i < role.peer_count; i++)
		if (role.peers[i].fd >= 0)
			role_peer_dies(&role.peers[i]);
	if (role.log_fd)
		close(role.log_fd);
	role_captures = false;
	close(role.monitor.fd);
	close(role.mail_fd);
	close(role.folder_fd);
	munmap(role.shared, sizeof(*role.shared));
	munmap(role.counted, sizeof(*role.counted));
	role.shared = NULL;
	role.peer_count = 0;
	snprintf(command, sizeof(command), "rm -rf '%s'", role.folder);
	return system(command);
}

/* Where the front listens that role_listen was called for. */
static struct sockaddr_in role_address;

static inline void role_listen(enum config_service service)
{
	struct ipc_listener message = {.service = service};
	socklen_t size = sizeof(role_address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	role_address = (struct sockaddr_in){.sin_family = AF_INET,
					    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	assert_int_equal(bind(fd, (struct sockaddr *)&role_address, size), 0);
	assert_int_equal(listen(fd, 256), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&role_address, &size), 0);
	role_send_raw(&role.monitor, IPC_LISTENER, &message, sizeof(message), NULL, 0, fd);
	close(fd);
}

static inline int role_dial(void)
{
	int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(client, (struct sockaddr *)&role_address, sizeof(role_address)),
			 0);
	return client;
}

/* No new connection is taken: nobody else has the socket, so that it is gone. */
static inline void role_stop_accepting(void)
{
	struct ipc_empty message;
	int late = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memset(&message, 0, sizeof(message));
	role_send(&role.monitor, IPC_STOP_ACCEPTING, &message);
	role_ping();
	assert_int_equal(connect(late, (struct sockaddr *)&role_address, sizeof(role_address)), -1);
	assert_int_equal(errno, ECONNREFUSED);
	close(late);
}

static struct sockaddr_un role_unix;
static socklen_t role_unix_size;

/* The same at a Unix socket without a file. */
static inline void role_listen_unix(enum config_service service)
{
	struct ipc_listener message = {.service = service};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	role_unix = (struct sockaddr_un){.sun_family = AF_UNIX};
	role_unix_size = sizeof(role_unix.sun_family);
	assert_int_equal(bind(fd, (struct sockaddr *)&role_unix, role_unix_size), 0);
	assert_int_equal(listen(fd, 256), 0);
	role_unix_size = sizeof(role_unix);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&role_unix, &role_unix_size), 0);
	role_send_raw(&role.monitor, IPC_LISTENER, &message, sizeof(message), NULL, 0, fd);
	close(fd);
}

static inline int role_dial_unix(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&role_unix, role_unix_size), 0);
	return fd;
}

/* All of the connection's octets were read, and what they brought about was done. */
static inline void role_settle(int fd)
{
	int octets = 1;

	for (int ms = 0; ioctl(fd, SIOCOUTQ, &octets) == 0 && octets > 0; ms++) {
		assert_true(ms < ROLE_PATIENCE_MS);
		usleep(1000);
	}
	role_ping();
	role_ping();
}

#endif
