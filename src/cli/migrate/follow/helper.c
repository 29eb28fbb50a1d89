/* See helper.h. */
#include "cli/migrate/follow/helper.h"

#include "base/descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

enum { OUT_FD = 3, PACKETS_MAX = 64 /* of a turn */ };

/* ---- in the process ---- */

static void be_quiet(void)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	if (null >= 0)
		dup2(null, STDERR_FILENO);
	close_fd(&null);
}

/* Does not return. The loop, and what other processes send, are not for this one. */
static void become(pid_t parent, int out, bool quiet, const sigset_t *before,
		   void (*work)(const void *argument, int out), const void *argument)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(EX_OSERR);
	signal(SIGTERM, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	signal(SIGHUP, SIG_IGN); /* a service manager may send it to all */
	sigprocmask(SIG_SETMASK, before, NULL);
	if (out != OUT_FD && dup2(out, OUT_FD) < 0)
		_exit(EX_OSERR);
	fcntl(OUT_FD, F_SETFD, FD_CLOEXEC);
	close_range(OUT_FD + 1, ~0U, 0);
	if (quiet)
		be_quiet();
	work(argument, OUT_FD);
	_exit(EX_OK);
}

void helper_send(int out, char kind, pop3_span text)
{
	struct iovec parts[2] = {{&kind, 1}, {(void *)(uintptr_t)text.data, text.size}};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
	ssize_t n;

	do
		n = sendmsg(out, &message, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		_exit(EX_OSERR);
}

/* ---- in the service ---- */

static void reap(struct helper *helper)
{
	loop_watch_finish(&helper->watch);
	close_fd(&helper->fd);
	while (waitpid(helper->pid, NULL, 0) < 0 && errno == EINTR)
		;
	helper->pid = 0;
}

/* Its end of the socket is closed when it ends: nobody else has it. */
static void ready(struct loop_watch *watch, int what)
{
	struct helper *helper = watch->context;
	char packet[HELPER_PACKET_MAX];

	(void)what;
	for (unsigned i = 0; i < PACKETS_MAX; i++) {
		ssize_t n = recv(helper->fd, packet, sizeof(packet), MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			kill(helper->pid, SIGKILL);
			reap(helper);
			helper->ended(helper);
			return;
		}
		helper->packet(helper, packet[0], (pop3_span){packet + 1, (size_t)n - 1});
	}
}

int helper_start(struct helper *helper, struct loop *loop, bool quiet,
		 void (*work)(const void *argument, int out), const void *argument, struct err *err)
{
	pid_t parent = getpid(), pid;
	sigset_t all, before;
	int ends[2], errnum;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return err_sys(err, EX_OSERR, errno, "a pair of sockets");
	fflush(NULL);
	sigfillset(&all); /* none may reach the service's handlers in the process */
	sigprocmask(SIG_SETMASK, &all, &before);
	pid = fork();
	errnum = errno;
	if (pid == 0)
		become(parent, ends[1], quiet, &before, work, argument);
	sigprocmask(SIG_SETMASK, &before, NULL);
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		return err_sys(err, EX_OSERR, errnum, "cannot start a process");
	}
	helper->pid = pid;
	helper->fd = ends[0];
	loop_watch_init(&helper->watch, loop, helper->fd, ready, helper);
	if (loop_watch_want(&helper->watch, LOOP_READ) == 0)
		return 0;
	helper_kill(helper);
	return err_set(err, EX_OSERR, "out of memory");
}

void helper_kill(struct helper *helper)
{
	if (!helper->pid)
		return;
	kill(helper->pid, SIGKILL);
	reap(helper);
}
