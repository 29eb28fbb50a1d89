/*
 * fetch_kill_at [-l] N COMMAND…: runs the command and kills it with SIGKILL when its N-th system
 * call begins, counted from its first mkdirat, with -l from its first flock (what comes before is
 * the start of the program). N = 0: lets it run. Says on standard output "CALLS n" and "killed" or
 * "exit CODE". Exit status 0, 2 if tracing is not possible here. For the crash tests.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

static int give_up(const char *what)
{
	perror(what);
	return 2;
}

static long call_number(pid_t pid)
{
	struct __ptrace_syscall_info info;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info) < 0)
		return -1;
	return info.op == PTRACE_SYSCALL_INFO_ENTRY ? (long)info.entry.nr : -1;
}

static int watch(pid_t pid, long first, unsigned long fatal)
{
	unsigned long calls = 0;
	bool counting = false;
	int status, signal = 0;

	for (;;) {
		if (ptrace(PTRACE_SYSCALL, pid, 0, signal) < 0)
			return give_up("ptrace");
		if (waitpid(pid, &status, 0) < 0)
			return give_up("waitpid");
		if (WIFEXITED(status) || WIFSIGNALED(status)) {
			printf("CALLS %lu\n", calls);
			if (WIFEXITED(status))
				printf("exit %d\n", WEXITSTATUS(status));
			else
				printf("signal %d\n", WTERMSIG(status));
			return 0;
		}
		signal = WSTOPSIG(status);
		if (signal == (SIGTRAP | 0x80)) {
			long call = call_number(pid);

			signal = 0;
			counting |= call == first;
			if (!counting || call < 0 || ++calls != fatal)
				continue;
			kill(pid, SIGKILL); /* before the call is carried out */
			waitpid(pid, &status, 0);
			printf("CALLS %lu\nkilled\n", calls);
			return 0;
		}
		if (signal == SIGTRAP)
			signal = 0;
	}
}

int main(int argc, char **argv)
{
	long first = SYS_mkdirat;
	int status;
	pid_t pid;

	if (argc > 1 && strcmp(argv[1], "-l") == 0) {
		first = SYS_flock;
		argc--;
		argv++;
	}
	if (argc < 3)
		return 2;
	pid = fork();
	if (pid < 0)
		return give_up("fork");
	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, 0, 0) < 0)
			_exit(2);
		raise(SIGSTOP);
		execv(argv[2], argv + 2);
		_exit(127);
	}
	if (waitpid(pid, &status, 0) < 0 || !WIFSTOPPED(status))
		return give_up("tracing");
	if (ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL) < 0)
		return give_up("tracing");
	return watch(pid, first, strtoul(argv[1], NULL, 10));
}
