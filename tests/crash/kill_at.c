/*
 * kill_at PID N: stops the process with all its threads at every system call it begins, and kills
 * it with SIGKILL when the N-th begins (0: never). Says "ready" when it watches, at the end "killed
 * at CALL" (its number) or, when standard input ends first, "COUNT calls" and lets the process go.
 * For the crash tests; needs to be root, as the processes of valijad let nobody else look.
 */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define OPTIONS (PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE)

static pid_t victim;

static void die(const char *what)
{
	perror(what);
	exit(2);
}

/* Each thread of the process, again and again until no new one is found. Returns how many. */
static int seize_threads(void)
{
	char path[64];
	struct dirent *entry;
	int count = 0;
	DIR *directory;

	snprintf(path, sizeof(path), "/proc/%d/task", victim);
	directory = opendir(path);
	if (!directory)
		die(path);
	while ((entry = readdir(directory)) != NULL) {
		pid_t thread = (pid_t)atoi(entry->d_name);

		if (thread <= 0 || ptrace(PTRACE_SEIZE, thread, 0, OPTIONS) < 0)
			continue; /* EPERM: it is ours already */
		ptrace(PTRACE_INTERRUPT, thread, 0, 0);
		count++;
	}
	closedir(directory);
	return count;
}

/* A stop of one thread. Returns true when a system call begins there. */
static bool handle_stop(pid_t thread, int status)
{
	int signal = WSTOPSIG(status), deliver = 0;
	bool begins = false;

	if (signal == (SIGTRAP | 0x80)) {
		struct __ptrace_syscall_info info;

		begins = ptrace(PTRACE_GET_SYSCALL_INFO, thread, sizeof(info), &info) > 0 &&
			 info.op == PTRACE_SYSCALL_INFO_ENTRY;
	} else if (status >> 16 == 0 && signal != SIGTRAP) {
		deliver = signal;
	}
	if (!begins)
		ptrace(PTRACE_SYSCALL, thread, 0, deliver);
	return begins;
}

static long call_of(pid_t thread)
{
	struct __ptrace_syscall_info info;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, thread, sizeof(info), &info) <= 0)
		return -1;
	return (long)info.entry.nr;
}

/* Takes what waits. Returns false when the process is gone or was killed. */
static bool take_stops(unsigned long *count, unsigned long limit)
{
	int status;
	pid_t thread;

	while ((thread = waitpid(-1, &status, __WALL | WNOHANG)) > 0) {
		if (!WIFSTOPPED(status)) {
			if (thread == victim)
				return false;
			continue;
		}
		if (!handle_stop(thread, status))
			continue;
		if (++*count == limit) {
			printf("killed at %ld\n", call_of(thread));
			kill(victim, SIGKILL);
			return false;
		}
		ptrace(PTRACE_SYSCALL, thread, 0, 0);
	}
	return thread == 0;
}

int main(int argc, char **argv)
{
	unsigned long count = 0, limit;
	struct pollfd fds[2];
	sigset_t set;

	if (argc != 3) {
		fputs("usage: kill_at PID N\n", stderr);
		return 2;
	}
	victim = (pid_t)atoi(argv[1]);
	limit = strtoul(argv[2], NULL, 10);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fds[0] = (struct pollfd){.fd = signalfd(-1, &set, SFD_NONBLOCK), .events = POLLIN};
	fds[1] = (struct pollfd){.fd = STDIN_FILENO, .events = POLLIN};
	if (seize_threads() == 0)
		die("PTRACE_SEIZE");
	while (seize_threads() > 0)
		;
	puts("ready");
	fflush(stdout);
	while (take_stops(&count, limit)) {
		struct signalfd_siginfo info;

		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			die("poll");
		if (fds[1].revents)
			break;
		while (read(fds[0].fd, &info, sizeof(info)) > 0)
			;
	}
	/* what is not killed goes on when we end: the kernel detaches it */
	if (count < limit || limit == 0)
		printf("%lu calls\n", count);
	return 0;
}
