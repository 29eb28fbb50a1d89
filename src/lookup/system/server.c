/* See server.h. Root, one thread. What comes from the lookup process is hostile; what children say
 * is an exit code, and what else they do ends with them. */
#include "lookup/system/server.h"

#include "base/descriptor.h"
#include "base/log.h"
#include "base/secret.h"
#include "sys/sandbox.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum {
	/* children that were killed and do not end: state D, such as a dead NFS. When there are so
	 * many, no more are started until one ends */
	LOST_MAX = 32,
};

struct lane {
	int fd;    /* -1: closed */
	pid_t pid; /* of the child at work; 0: none */
	struct frame_head head;
};

struct server {
	struct server_settings settings;
	struct lane lanes[SERVER_LANES_MAX];
	pid_t lost[LOST_MAX]; /* 0: none */
	sigset_t unblocked;
};

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

static void close_lane(struct lane *lane, const char *why)
{
	if (why)
		log_error("the PAM server closes a lane of the lookup process: %s", why);
	close_fd(&lane->fd);
}

/* ---- the child ---- */

/* Modules start programs, which may outlive the child: a process group would not hold them. They
 * become the server's children then, and it ends them (end_strays). */
static void enter_child(struct server *server, const struct lane *lane, pid_t parent)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(frame_exit_code(VERDICT_DOWN, DETAIL_QUESTION));
	for (int fd = 0; fd < 3; fd++) /* standard error is our log: modules do not write there */
		if (null < 0 || dup2(null, fd) < 0)
			_exit(frame_exit_code(VERDICT_DOWN, DETAIL_QUESTION));
	for (unsigned i = 0; i < server->settings.lanes; i++)
		if (&server->lanes[i] != lane)
			close_fd(&server->lanes[i].fd);
	for (int number = 1; number < NSIG; number++)
		if (number != SIGKILL && number != SIGSTOP)
			signal(number, SIG_DFL);
	sigprocmask(SIG_SETMASK, &server->unblocked, NULL);
}

static bool is_address(const char *text)
{
	unsigned char octets[16];

	return !*text || inet_pton(AF_INET, text, octets) == 1 ||
	       inet_pton(AF_INET6, text, octets) == 1;
}

/* The lookup process may ask about users of the database only, or it could try passwords of root;
 * and modules get no address that is none. */
static bool may_ask(const struct server *server, const struct frame_question *question)
{
	struct entry entry;
	int errnum;

	return is_address(question->address) &&
	       entry_find(question->user, &server->settings.range, &entry, &errnum) ==
		       ENTRY_FOUND &&
	       strcmp(entry.name, question->user) == 0;
}

static void run_child(struct server *server, struct lane *lane, pid_t parent)
{
	char packet[FRAME_QUESTION_MAX + 1];
	struct frame_question question;
	uint32_t detail = DETAIL_QUESTION;
	enum verdict verdict = VERDICT_DOWN;
	ssize_t n;

	enter_child(server, lane, parent);
	n = recv(lane->fd, packet, sizeof(packet), MSG_DONTWAIT);
	close_fd(&lane->fd);
	if (n > 0 && frame_take_question((pop3_span){packet, (size_t)n}, &question) == 0 &&
	    may_ask(server, &question)) {
		wipe(packet, sizeof(packet));
		verdict = server->settings.ask(server->settings.service, question.user,
					       question.address, question.secret, &detail);
	}
	_exit(frame_exit_code(verdict, detail));
}

/* ---- the server ---- */

static void send_verdict(struct lane *lane, const struct frame_verdict *verdict)
{
	char packet[FRAME_VERDICT_SIZE];

	frame_put_verdict(verdict, packet);
	if (lane->fd >= 0 && send(lane->fd, packet, sizeof(packet), MSG_DONTWAIT | MSG_NOSIGNAL) !=
				     (ssize_t)sizeof(packet))
		close_lane(lane, errno == EPIPE ? NULL : "it does not read verdicts");
}

/* A question that its child did not read. */
static void drop_unread(struct lane *lane)
{
	struct frame_head head;

	if (lane->fd >= 0 &&
	    recv(lane->fd, &head, sizeof(head), MSG_PEEK | MSG_DONTWAIT) == sizeof(head) &&
	    head.id == lane->head.id)
		(void)!recv(lane->fd, &head, sizeof(head), MSG_DONTWAIT);
	/* the kernel drops the part of a packet that has no room */
}

static void answer_down(struct lane *lane, enum verdict_detail detail)
{
	struct frame_verdict verdict = {
		.id = lane->head.id, .verdict = VERDICT_DOWN, .detail = detail};

	drop_unread(lane);
	send_verdict(lane, &verdict);
}

/* A place in the list of lost children; pid 0: an empty one. */
static pid_t *place_of(struct server *server, pid_t pid)
{
	for (unsigned i = 0; i < LOST_MAX; i++)
		if (server->lost[i] == pid)
			return &server->lost[i];
	return NULL;
}

static void begin(struct server *server, struct lane *lane)
{
	ssize_t n = recv(lane->fd, &lane->head, sizeof(lane->head), MSG_PEEK | MSG_DONTWAIT);
	uint64_t latest = now() + server->settings.longest;
	pid_t parent = getpid(), pid;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n != sizeof(lane->head)) {
		close_lane(lane, n > 0 ? "what it sent is no question" : NULL);
		return;
	}
	if (lane->head.deadline > latest)
		lane->head.deadline = latest;
	pid = place_of(server, 0) ? fork() : -1;
	if (pid == 0)
		run_child(server, lane, parent);
	if (pid < 0)
		answer_down(lane, DETAIL_FULL);
	else
		lane->pid = pid;
}

static struct lane *lane_of(struct server *server, pid_t pid)
{
	for (unsigned i = 0; i < server->settings.lanes; i++)
		if (server->lanes[i].pid == pid)
			return &server->lanes[i];
	return NULL;
}

static void ended(struct server *server, struct lane *lane, int status)
{
	struct frame_verdict verdict = {.id = lane->head.id};

	frame_take_exit_code(WIFEXITED(status) ? WEXITSTATUS(status) : 0, &verdict);
	lane->pid = 0;
	drop_unread(lane);
	send_verdict(lane, &verdict);
}

/* Programs that a module started and that its end left behind. */
static void end_strays(struct server *server)
{
	char path[64];
	FILE *file;
	int pid;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	file = fopen(path, "re");
	while (file && fscanf(file, "%d", &pid) == 1)
		if (!lane_of(server, pid))
			kill(pid, SIGKILL);
	if (file)
		fclose(file);
}

static void reap(struct server *server)
{
	int status;
	pid_t pid;
	bool any = false;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		struct lane *lane = lane_of(server, pid);
		pid_t *lost = place_of(server, pid);

		any = true;
		if (lane)
			ended(server, lane, status);
		if (lost)
			*lost = 0;
	}
	if (any)
		end_strays(server);
}

/* A child that does not even end when it is killed holds up no lane. */
static void end_child(struct server *server, struct lane *lane)
{
	pid_t *place = place_of(server, 0);

	kill(lane->pid, SIGKILL);
	if (place)
		*place = lane->pid;
	lane->pid = 0;
}

static void end_overdue(struct server *server)
{
	uint64_t time = now();

	for (unsigned i = 0; i < server->settings.lanes; i++) {
		struct lane *lane = &server->lanes[i];

		if (!lane->pid || lane->head.deadline > time)
			continue;
		end_child(server, lane);
		answer_down(lane, DETAIL_HUNG);
	}
}

/* Until the next deadline. */
static struct timespec time_left(const struct server *server)
{
	uint64_t time = now(), left = 60 * 1000;

	for (unsigned i = 0; i < server->settings.lanes; i++) {
		const struct lane *lane = &server->lanes[i];
		uint64_t own = lane->head.deadline > time ? lane->head.deadline - time : 0;

		if (lane->pid && own < left)
			left = own;
	}
	return (struct timespec){.tv_sec = (time_t)(left / 1000),
				 .tv_nsec = (long)(left % 1000) * 1000000};
}

static void look_at(struct server *server, struct lane *lane, short events)
{
	if (lane->fd < 0 || !events)
		return;
	if (!lane->pid && (events & POLLIN)) {
		begin(server, lane);
	} else if (events & (POLLHUP | POLLERR | POLLNVAL)) {
		if (lane->pid)
			end_child(server, lane);
		close_lane(lane, NULL);
	}
}

static bool is_open(const struct server *server)
{
	for (unsigned i = 0; i < server->settings.lanes; i++)
		if (server->lanes[i].fd >= 0)
			return true;
	return false;
}

static void serve(struct server *server)
{
	struct pollfd polled[SERVER_LANES_MAX] = {0};
	unsigned count = server->settings.lanes;

	while (is_open(server)) {
		struct timespec left = time_left(server);
		int n;

		for (unsigned i = 0; i < count; i++)
			polled[i] = (struct pollfd){.fd = server->lanes[i].fd,
						    .events = server->lanes[i].pid ? 0 : POLLIN};
		n = ppoll(polled, count, &left, &server->unblocked);
		reap(server);
		end_overdue(server);
		for (unsigned i = 0; i < count && n > 0; i++)
			look_at(server, &server->lanes[i], polled[i].revents);
	}
}

static void on_child(int number)
{
	(void)number; /* it interrupts ppoll */
}

static void watch_children(struct server *server)
{
	struct sigaction action = {.sa_handler = on_child};
	sigset_t child;

	sigaction(SIGCHLD, &action, NULL);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	sigemptyset(&server->unblocked);
}

/* Whether passwords can be looked at is not to be seen from pam_unix: below Debian's common-auth
 * it says "wrong". */
static void check_shadow(void)
{
	int fd = open("/etc/shadow", O_RDONLY | O_CLOEXEC);

	if (fd < 0 && errno != ENOENT)
		log_warning("/etc/shadow cannot be read (%s): pam_unix will call every password "
			    "wrong; see PAM in valija.conf(5)",
			    strerror(errno));
	close_fd(&fd);
}

/* Keeps standard error, the pipe to the log, and the lanes; all else belongs to the lookup process:
 * its channels above all. */
static void keep_lanes(struct server *server, const int *fds)
{
	unsigned count = server->settings.lanes;
	int above = 3 + (int)count;

	for (unsigned i = 0; i < count; i++) {
		server->lanes[i].fd = fcntl(fds[i], F_DUPFD_CLOEXEC, above);
		if (server->lanes[i].fd < 0)
			_exit(EX_OSERR);
	}
	for (unsigned i = 0; i < count; i++) {
		if (dup3(server->lanes[i].fd, 3 + (int)i, O_CLOEXEC) < 0)
			_exit(EX_OSERR);
		server->lanes[i].fd = 3 + (int)i;
	}
	if (close_range((unsigned)above, ~0U, 0) < 0)
		_exit(EX_OSERR);
}

static void run_server(const struct server_settings *settings, const int *fds, pid_t parent)
{
	struct server server = {.settings = *settings};
	struct err err;

	keep_lanes(&server, fds);
	prctl(PR_SET_NAME, "pam");
	if (sandbox_enter_modules(&err) < 0) {
		log_error("the PAM server cannot start: %s", err.text);
		_exit(EX_OSERR);
	}
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(EX_OSERR);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	watch_children(&server);
	check_shadow();
	serve(&server);
	_exit(EX_OK);
}

static int make_pairs(unsigned count, int *ours, int *theirs)
{
	for (unsigned i = 0; i < count; i++) {
		int pair[2];

		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
			return -1;
		ours[i] = pair[0];
		theirs[i] = pair[1];
	}
	return 0;
}

int server_start(const struct server_settings *settings, int *fds, struct err *err)
{
	int theirs[SERVER_LANES_MAX], rc = 0;
	pid_t parent = getpid(), pid = -1;

	for (unsigned i = 0; i < settings->lanes; i++)
		fds[i] = theirs[i] = -1;
	if (make_pairs(settings->lanes, fds, theirs) == 0)
		pid = fork();
	if (pid == 0)
		run_server(settings, theirs, parent);
	if (pid < 0)
		rc = err_sys(err, EX_OSERR, errno, "cannot start the PAM server");
	for (unsigned i = 0; i < settings->lanes; i++) {
		close_fd(&theirs[i]);
		if (rc < 0)
			close_fd(&fds[i]);
	}
	return rc;
}
