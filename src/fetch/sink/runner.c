/* Both ends of the runner: the process that starts commands, and requests to it from command.c. It
 * runs as the user, unconfined; requests come from the confined process. */
#include "fetch/sink/runner.h"

#include "fetch/companion.h"
#include "fetch/interrupt.h"
#include "fetch/syscalls.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum { GRACE_SECONDS = 2 }; /* between SIGTERM and SIGKILL */

struct runner {
	struct companion process;
};

/* Of each command. */
struct order {
	const struct fetch_account *account;
	bool output_apart;
};

/* The child: the shell runs the user's command, in a process group of its own: a signal of the
 * terminal does not cut a delivery, and a command that hangs is ended with all that it started. */
static void execute(const struct order *order, int message_fd, const char *id)
{
	const struct fetch_account *account = order->account;
	sigset_t none;

	setpgid(0, 0);
	if (dup2(message_fd, STDIN_FILENO) < 0 ||
	    (order->output_apart && dup2(STDERR_FILENO, STDOUT_FILENO) < 0))
		_exit(EX_OSERR);
	setenv("VALIJA_DELIVERY_ID", id, 1);
	setenv("VALIJA_ACCOUNT", account->name, 1);
	setenv("VALIJA_USER", account->user, 1);
	fetch_interrupt_default();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execl("/bin/sh", "sh", "-c", account->target, (char *)NULL);
	_exit(EX_OSERR);
}

/* SIGCHLD is blocked, so that it can be waited for. 1: the child has ended; 0: the time is over. */
static int wait_for(pid_t pid, uint32_t seconds, int *ret_status)
{
	int64_t deadline = fetch_now() + (int64_t)seconds * 1000;
	sigset_t ended;

	sigemptyset(&ended);
	sigaddset(&ended, SIGCHLD);
	for (;;) {
		int64_t left = deadline - fetch_now();
		struct timespec wait = {.tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000};
		pid_t got = waitpid(pid, ret_status, WNOHANG);

		if (got != 0)
			return got == pid ? 1 : -1;
		if (left <= 0)
			return 0;
		sigtimedwait(&ended, NULL, &wait);
	}
}

static int32_t run_one(const struct order *order, int message_fd, const char *id)
{
	int status = 0, rc;
	pid_t pid = fork();

	if (pid < 0)
		return -1;
	if (pid == 0)
		execute(order, message_fd, id);
	setpgid(pid, pid); /* whoever is first */
	rc = wait_for(pid, order->account->limits.command_seconds, &status);
	if (rc == 0) {
		kill(-pid, SIGTERM);
		if (wait_for(pid, GRACE_SECONDS, &status) == 0) {
			kill(-pid, SIGKILL);
			waitpid(pid, &status, 0);
		}
		kill(-pid, SIGKILL); /* what the shell left */
		return RUNNER_TIMEOUT;
	}
	if (rc < 0)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* One id and one descriptor. */
static ssize_t take_order(int socket, char id[DELIVERY_ID_SIZE], int *ret_fd)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec vec = {id, DELIVERY_ID_SIZE};
	struct msghdr message = {.msg_iov = &vec,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
	struct cmsghdr *head = n == DELIVERY_ID_SIZE ? CMSG_FIRSTHDR(&message) : NULL;

	if (!head || head->cmsg_type != SCM_RIGHTS || head->cmsg_len != CMSG_LEN(sizeof(int)))
		return -1;
	memcpy(ret_fd, CMSG_DATA(head), sizeof(int));
	id[DELIVERY_ID_SIZE - 1] = '\0';
	return strspn(id, "0123456789abcdef") == DELIVERY_ID_SIZE - 1 ? n : -1;
}

/* It ends with its parent, whose end of the socket closes; a delivery that is under way is not cut.
 */
static void serve(int socket, const void *context)
{
	const struct order *order = context;
	char id[DELIVERY_ID_SIZE];
	sigset_t ended;
	int fd = -1;

	fetch_interrupt_ignore();
	sigemptyset(&ended);
	sigaddset(&ended, SIGCHLD);
	sigprocmask(SIG_BLOCK, &ended, NULL);
	while (take_order(socket, id, &fd) > 0) {
		int32_t status = run_one(order, fd, id);

		close(fd);
		if (send(socket, &status, sizeof(status), MSG_NOSIGNAL) != sizeof(status))
			break;
	}
	_exit(0);
}

int runner_start(const struct fetch_account *account, bool output_apart, struct runner **ret,
		 struct err *err)
{
	const struct order order = {account, output_apart};
	struct runner *runner = calloc(1, sizeof(*runner));

	if (!runner)
		return err_sys(err, EX_OSERR, errno, "cannot prepare to run the command");
	if (companion_start(&runner->process, serve, &order, "run the command", err) < 0) {
		free(runner);
		return -1;
	}
	*ret = runner;
	return 0;
}

void runner_stop(struct runner *runner)
{
	if (runner)
		companion_stop(&runner->process);
	free(runner);
}

int runner_run(struct runner *runner, int message_fd, const char id[DELIVERY_ID_SIZE],
	       struct err *err)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {0};
	char copy[DELIVERY_ID_SIZE];
	struct iovec vec = {copy, sizeof(copy)};
	struct msghdr message = {.msg_iov = &vec,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control)};
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);
	int32_t status = -1;
	ssize_t n;

	memcpy(copy, id, sizeof(copy));
	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(head), &message_fd, sizeof(int));
	if (sendmsg(runner->process.socket, &message, MSG_NOSIGNAL) != (ssize_t)sizeof(copy))
		return err_sys(err, EX_OSERR, errno, "cannot run the command");
	n = companion_answer(&runner->process, &status, sizeof(status));
	if (n != sizeof(status) || status < 0)
		return err_set(err, EX_OSERR, "the command could not be run");
	return status;
}
