/* See finding.h. */
#include "cli/doctor/finding.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

void find(const struct doctor *doctor, enum severity severity, const char *check, const char *mend,
	  const char *format, ...)
{
	struct finding finding = {.severity = severity};
	va_list ap;

	snprintf(finding.check, sizeof(finding.check), "%s", check);
	snprintf(finding.mend, sizeof(finding.mend), "%s", mend ? mend : "");
	va_start(ap, format);
	vsnprintf(finding.text, sizeof(finding.text), format, ap);
	va_end(ap);
	/* less than PIPE_BUF: it is written whole */
	if (write(doctor->out, &finding, sizeof(finding)) != (ssize_t)sizeof(finding))
		_exit(1);
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Reads one finding. 0: the end; -1: the deadline is over. */
static int next_finding(int fd, int64_t deadline, struct finding *ret)
{
	size_t got = 0;

	while (got < sizeof(*ret)) {
		struct pollfd look = {.fd = fd, .events = POLLIN};
		int64_t left = deadline - now_ms();
		ssize_t n;

		if (left <= 0 || poll(&look, 1, (int)left) == 0)
			return -1;
		n = read(fd, (char *)ret + got, sizeof(*ret) - got);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return 0;
		got += (size_t)n;
	}
	return 1;
}

static void no_answer(const struct check *check, const char *what,
		      void (*take)(const struct finding *finding, void *context), void *context)
{
	struct finding finding = {.severity = SEVERITY_ERROR};

	snprintf(finding.check, sizeof(finding.check), "%s", check->name);
	snprintf(finding.text, sizeof(finding.text), "this check %s", what);
	snprintf(finding.mend, sizeof(finding.mend),
		 "look for what hangs: a mount, a name server, a database");
	take(&finding, context);
}

static pid_t begin(const struct check *check, const struct config *config, int pair[2])
{
	struct doctor doctor = {.config = config, .out = pair[1]};
	pid_t pid = fork();

	if (pid)
		return pid;
	setpgid(0, 0); /* what it starts ends with it */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(pair[0]);
	check->run(&doctor);
	_exit(0);
}

void check_run(const struct check *check, const struct config *config,
	       void (*take)(const struct finding *finding, void *context), void *context)
{
	int64_t deadline = now_ms() + (int64_t)check->seconds * 1000;
	struct finding finding;
	int pair[2], got, status;
	pid_t pid;

	if (pipe(pair) < 0)
		return no_answer(check, "could not be begun", take, context);
	pid = begin(check, config, pair);
	close(pair[1]);
	while (pid > 0 && (got = next_finding(pair[0], deadline, &finding)) > 0)
		take(&finding, context);
	close(pair[0]);
	if (pid < 0)
		return no_answer(check, "could not be begun", take, context);
	if (got < 0) {
		char words[64];

		snprintf(words, sizeof(words), "did not end within %u seconds", check->seconds);
		no_answer(check, words, take, context);
	}
	setpgid(pid, pid);
	if (got < 0)
		kill(-pid, SIGKILL);
	/* one that hangs in the kernel is not waited for */
	if (waitpid(pid, &status, got < 0 ? WNOHANG : 0) == pid && got == 0 &&
	    (!WIFEXITED(status) || WEXITSTATUS(status)))
		no_answer(check, "ended before it was done", take, context);
}

int check_program(char *const argv[], char *out, size_t size)
{
	int pair[2], status = 0;
	size_t got = 0;
	ssize_t n;
	pid_t pid;

	out[0] = '\0';
	if (pipe(pair) < 0)
		return 126;
	pid = fork();
	if (pid == 0) {
		dup2(pair[1], STDOUT_FILENO);
		dup2(pair[1], STDERR_FILENO);
		close(pair[0]);
		close(pair[1]);
		execv(argv[0], argv);
		_exit(126);
	}
	close(pair[1]);
	while (pid > 0 && got < size - 1 && (n = read(pair[0], out + got, size - 1 - got)) != 0) {
		if (n < 0 && errno != EINTR)
			break;
		got += n > 0 ? (size_t)n : 0;
	}
	out[got] = '\0';
	close(pair[0]);
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return 126;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 126;
}
