/* See process.h. Between fork and exec the child makes system calls only, so it does not matter
 * what the parent's other threads (the monitor's writer of the log) were doing. */
#include "sys/process.h"

#include "base/descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

enum { FIRST_FD = 3, FDS_MAX = 64 };

int process_self(struct err *err)
{
	int fd = open("/proc/self/exe", O_PATH | O_CLOEXEC);

	return fd < 0 ? err_sys(err, EX_OSERR, errno, "cannot open /proc/self/exe") : fd;
}

/* The environment of a child: of the parent's only the variables of sanitizers and of the
 * journal. */
static void make_environment(char *environment[8])
{
	static const char *const passed[] = {"ASAN_OPTIONS=", "UBSAN_OPTIONS=", "LSAN_OPTIONS=",
					     "TSAN_OPTIONS=", "JOURNAL_STREAM="};
	static char lang[] = "LANG=C";
	unsigned count = 0;

	environment[count++] = lang;
	for (unsigned i = 0; i < sizeof(passed) / sizeof(*passed); i++)
		for (char **entry = environ; entry && *entry; entry++)
			if (strncmp(*entry, passed[i], strlen(passed[i])) == 0) {
				environment[count++] = *entry;
				break;
			}
	environment[count] = NULL;
}

static void reset_signals(void)
{
	sigset_t none;

	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL); /* SIGKILL and SIGSTOP fail: they are the default always */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* fds[i] → 3 + i, then the program, then the pipe, then nothing more; error_fd → 2. First all are
 * moved above that, so that none overwrites another. Returns the pipe. */
static int place_fds(const int *fds, unsigned fd_count, int *exe_fd, int pipe_fd, int error_fd)
{
	int above = FIRST_FD + (int)fd_count + 2, moved[FDS_MAX + 2];
	unsigned count = 0;

	if (error_fd >= 0) {
		error_fd = fcntl(error_fd, F_DUPFD_CLOEXEC, above);
		if (error_fd < 0)
			return -1;
	}

	for (; count < fd_count; count++)
		moved[count] = fcntl(fds[count], F_DUPFD_CLOEXEC, above);
	moved[count++] = fcntl(*exe_fd, F_DUPFD_CLOEXEC, above);
	moved[count++] = fcntl(pipe_fd, F_DUPFD_CLOEXEC, above);
	for (unsigned i = 0; i < count; i++)
		if (moved[i] < 0 ||
		    dup3(moved[i], FIRST_FD + (int)i, i < fd_count ? 0 : O_CLOEXEC) < 0)
			return -1;
	*exe_fd = FIRST_FD + (int)fd_count;
	if (error_fd >= 0 && dup2(error_fd, STDERR_FILENO) < 0)
		return -1;
	if (close_range((unsigned)above, ~0U, 0) < 0)
		return -1;
	return *exe_fd + 1;
}

static int place_standard(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0)
		return -1;
	if (fcntl(2, F_GETFD) < 0 && dup2(null, 2) < 0)
		return -1;
	return null > 2 ? close(null) : 0;
}

static void run_child(int exe_fd, int network_fd, char *const argv[], const int *fds,
		      unsigned fd_count, char *environment[], pid_t parent, int pipe_fd,
		      int error_fd)
{
	int errnum, report = pipe_fd;

	/* a parent that died before the prctl would never send the signal */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		goto fail;
	reset_signals();
	if (network_fd >= 0 && setns(network_fd, CLONE_NEWNET) < 0)
		goto fail;
	report = place_fds(fds, fd_count, &exe_fd, pipe_fd, error_fd);
	if (report < 0) {
		report = pipe_fd;
		goto fail;
	}
	if (place_standard() < 0)
		goto fail;
	execveat(exe_fd, "", argv, environment, AT_EMPTY_PATH);
fail:
	errnum = errno;
	(void)!write(report, &errnum, sizeof(errnum));
	_exit(EX_OSERR);
}

static pid_t spawn(int exe_fd, int network_fd, char *const argv[], char *environment[],
		   const int *fds, unsigned fd_count, int error_fd, struct err *err)
{
	int pipe_fds[2], errnum = 0;
	pid_t parent = getpid(), pid;
	ssize_t got;

	if (fd_count > FDS_MAX)
		return err_set(err, EX_SOFTWARE, "too many descriptors for %s", argv[0]);
	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return err_sys(err, EX_OSERR, errno, "cannot start %s", argv[0]);
	pid = fork();
	if (pid == 0)
		run_child(exe_fd, network_fd, argv, fds, fd_count, environment, parent, pipe_fds[1],
			  error_fd);
	errnum = pid < 0 ? errno : 0;
	close(pipe_fds[1]);
	/* the pipe closes when the exec is done; a number means that it was not */
	while (pid > 0 && (got = read(pipe_fds[0], &errnum, sizeof(errnum))) < 0 && errno == EINTR)
		;
	close(pipe_fds[0]);
	if (!errnum)
		return pid;
	if (pid > 0)
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	return err_sys(err, EX_OSERR, errnum, "cannot start %s", argv[0]);
}

pid_t process_spawn(int exe_fd, int network_fd, char *const argv[], const int *fds,
		    unsigned fd_count, int error_fd, struct err *err)
{
	char *environment[8];

	make_environment(environment);
	return spawn(exe_fd, network_fd, argv, environment, fds, fd_count, error_fd, err);
}

pid_t process_try(int exe_fd, char *const argv[], const int *fds, unsigned fd_count, int error_fd,
		  struct err *err)
{
	return spawn(exe_fd, -1, argv, environ, fds, fd_count, error_fd, err);
}

static void keep_at_exec(const int *fds, size_t count, bool keep)
{
	for (size_t i = 0; i < count; i++)
		(void)fcntl(fds[i], F_SETFD, keep ? 0 : FD_CLOEXEC);
}

int process_become(int exe_fd, char *const argv[], const int *fds, size_t fd_count, struct err *err)
{
	int errnum;

	keep_at_exec(fds, fd_count, true);
	execveat(exe_fd, "", argv, environ, AT_EMPTY_PATH);
	errnum = errno;
	keep_at_exec(fds, fd_count, false);
	return err_sys(err, EX_OSERR, errnum, "cannot start %s", argv[0]);
}

void process_hold_signals(bool hold)
{
	sigset_t set;

	if (hold)
		sigfillset(&set);
	else
		sigemptyset(&set);
	sigprocmask(SIG_SETMASK, &set, NULL);
}

/* Links in it are not followed: the next program may be where they lead to then. NULL: no memory.
 */
static char *absolute(const char *name)
{
	char *folder, *whole = NULL;

	if (name[0] == '/')
		return strdup(name);
	folder = getcwd(NULL, 0);
	if (!folder || asprintf(&whole, "%s/%s", folder, name) < 0)
		whole = NULL;
	free(folder);
	return whole;
}

int process_path(const char *name, char *ret, size_t size, struct err *err)
{
	struct stat exe, named;
	char *whole = strchr(name, '/') ? absolute(name) : NULL;
	ssize_t n;

	if (whole && stat("/proc/self/exe", &exe) == 0 && stat(whole, &named) == 0 &&
	    exe.st_dev == named.st_dev && exe.st_ino == named.st_ino && strlen(whole) < size) {
		memcpy(ret, whole, strlen(whole) + 1);
		free(whole);
		return 0;
	}
	free(whole);
	n = readlink("/proc/self/exe", ret, size);
	if (n > 0 && (size_t)n < size) {
		ret[n] = '\0';
		return 0;
	}
	return err_sys(err, EX_OSERR, n < 0 ? errno : ENAMETOOLONG, "/proc/self/exe");
}

static void run_ask(void (*ask)(int, int, const void *), int fd, const void *context, int end,
		    pid_t parent)
{
	int out, null;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(EX_OSERR);
	reset_signals();
	out = place_fds(NULL, 0, &fd, end, -1);
	if (out < 0 || place_standard() < 0)
		_exit(EX_OSERR);
	null = dup2(0, STDERR_FILENO); /* nobody waits for the end of what this process cannot close
					*/
	if (null >= 0)
		ask(fd, out, context);
	_exit(null < 0 ? EX_OSERR : EX_OK);
}

pid_t process_ask(void (*ask)(int fd, int out, const void *context), int fd, const void *context,
		  int *ret_answer, struct err *err)
{
	pid_t parent = getpid(), pid;
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
		return err_sys(err, EX_OSERR, errno, "cannot start a process");
	pid = fork();
	if (pid == 0)
		run_ask(ask, fd, context, ends[1], parent);
	if (pid < 0) {
		err_sys(err, EX_OSERR, errno, "cannot start a process");
		close(ends[0]);
	} else {
		*ret_answer = ends[0];
	}
	close(ends[1]);
	return pid;
}

void process_answer(int out, const void *answer, size_t size, const int *fds, unsigned fd_count)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(PROCESS_ANSWER_FDS * sizeof(int))] = {0};
	struct iovec part = {(void *)(uintptr_t)answer, size}; /* the kernel only reads it */
	struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};

	if (fd_count) {
		struct cmsghdr *head;

		header.msg_control = control;
		header.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
		head = CMSG_FIRSTHDR(&header);
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(head), fds, fd_count * sizeof(int));
	}
	(void)!sendmsg(out, &header, MSG_NOSIGNAL);
}

int process_answer_take(int answer_fd, void *ret, size_t size,
			unsigned (*fds_of)(const void *answer), int *ret_fds)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(PROCESS_ANSWER_FDS * sizeof(int))];
	struct iovec part = {ret, size};
	struct msghdr header = {.msg_iov = &part,
				.msg_iovlen = 1,
				.msg_control = fds_of ? control : NULL,
				/* not CMSG_SPACE: a fourth would fit into its padding */
				.msg_controllen =
					fds_of ? CMSG_LEN(PROCESS_ANSWER_FDS * sizeof(int)) : 0};
	ssize_t n = recvmsg(answer_fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	const struct cmsghdr *head = n < 0 ? NULL : CMSG_FIRSTHDR(&header);
	bool has_fds = head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS;
	size_t octets = has_fds ? head->cmsg_len - CMSG_LEN(0) : 0, count = octets / sizeof(int);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (has_fds)
		memcpy(ret_fds, CMSG_DATA(head), octets);
	if (n == (ssize_t)size && count == (fds_of ? fds_of(ret) : 0))
		return 1;
	while (count)
		close(ret_fds[--count]);
	return -1;
}

void process_ask_kill(pid_t pid, int answer_fd)
{
	if (answer_fd >= 0 && wait_fd(answer_fd, POLLIN, 0) == 0)
		kill(pid, SIGKILL);
}

/* A process that has a new namespace until it is killed. */
static void hold_network(int ready)
{
	char octet = 0;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || unshare(CLONE_NEWNET) < 0 ||
	    write(ready, &octet, 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

int process_empty_network(void)
{
	int pipe_fds[2], fd = -1;
	char octet, path[64];
	ssize_t got;
	pid_t pid;

	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return -1;
	pid = fork();
	if (pid == 0)
		hold_network(pipe_fds[1]);
	close(pipe_fds[1]);
	while (pid > 0 && (got = read(pipe_fds[0], &octet, 1)) < 0 && errno == EINTR)
		;
	if (pid > 0 && got == 1) {
		snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
		fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	close(pipe_fds[0]);
	if (pid > 0) {
		kill(pid, SIGKILL);
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	return fd;
}

static rlim_t most_files(void)
{
	FILE *file = fopen("/proc/sys/fs/nr_open", "re");
	unsigned long most = 0;

	if (file) {
		if (fscanf(file, "%lu", &most) != 1)
			most = 0;
		fclose(file);
	}
	return most ? most : 1024 * 1024;
}

unsigned long process_raise_nofile(unsigned long want)
{
	struct rlimit limit, raised;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 1024;
	if (limit.rlim_max < want) {
		rlim_t most = most_files();

		raised.rlim_cur = raised.rlim_max = want < most ? want : most;
		if (raised.rlim_max > limit.rlim_max && setrlimit(RLIMIT_NOFILE, &raised) == 0)
			return raised.rlim_cur;
	}
	raised = limit;
	raised.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
		return raised.rlim_cur;
	return limit.rlim_cur;
}
