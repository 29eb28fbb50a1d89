/* See with.h. */
#include "cli/with.h"

#include "base/descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

enum { TEXT_MAX = 64 * 1024 };

/* Starts a program with one end of a pipe in the place of a standard descriptor of its own; the
 * other end is *ret_end. Returns its process, or -1 with err. */
static pid_t start(const char *const *argv, int descriptor, int *ret_end, struct err *err)
{
	int ends[2], theirs = descriptor == STDIN_FILENO ? 0 : 1;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(err, EX_OSERR, errno, "pipe");
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		dup2(ends[theirs], descriptor);
		setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin", 1);
		execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	close(ends[theirs]);
	*ret_end = ends[1 - theirs];
	if (pid < 0) {
		err_sys(err, EX_OSERR, errno, "fork");
		close(*ret_end);
	}
	return pid;
}

static int finish(pid_t pid, const char *const *argv, const char *package, struct err *err)
{
	int status = -1;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (status == 0)
		return 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return err_set(err, EX_UNAVAILABLE, "%s is not there: is %s installed?", argv[0],
			       package);
	return err_set(err, EX_UNAVAILABLE, "%s%s%s failed", argv[0], argv[1] ? " " : "",
		       argv[1] ? argv[1] : "");
}

int with_run(const char *const *argv, const char *package, char *buf, size_t size, struct err *err)
{
	int end;
	pid_t pid = start(argv, STDOUT_FILENO, &end, err);
	ssize_t got;

	if (pid < 0)
		return -1;
	got = read_all(end, buf, size - 1);
	close(end);
	buf[got > 0 ? got : 0] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	return finish(pid, argv, package, err);
}

int with_give(const char *const *argv, const char *package, const char *input, struct err *err)
{
	void (*before)(int) = signal(SIGPIPE, SIG_IGN);
	int end, given;
	pid_t pid = start(argv, STDIN_FILENO, &end, err);

	if (pid < 0) {
		signal(SIGPIPE, before);
		return -1;
	}
	given = write_all(end, input, strlen(input));
	close(end);
	signal(SIGPIPE, before);
	if (finish(pid, argv, package, err) < 0)
		return -1;
	return given < 0 ? err_set(err, EX_UNAVAILABLE, "%s did not read its input", argv[0]) : 0;
}

const struct config_listener *with_listener(const struct config *config,
					    enum config_service service)
{
	for (uint32_t i = 0; i < config->listener_count; i++)
		if (config->listeners[i].service == service)
			return &config->listeners[i];
	return NULL;
}

int with_save(const struct with *with, const char *text, size_t size, struct err *err)
{
	int fd = open(with->saved, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	int rc = 0;

	if (fd < 0 && errno == EEXIST)
		return err_set(err, EX_CANTCREAT,
			       "%s is there: changes were made before; take them back first "
			       "(--undo)",
			       with->saved);
	if (fd < 0)
		return err_sys(err, EX_CANTCREAT, errno, "%s", with->saved);
	if (write_all(fd, text, size) < 0 || fsync(fd) < 0) {
		rc = err_sys(err, EX_IOERR, errno, "%s", with->saved);
		unlink(with->saved);
	}
	close(fd);
	return rc;
}

char *with_saved(const struct with *with, struct err *err)
{
	int fd = open(with->saved, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	char *text = malloc(TEXT_MAX + 1);
	ssize_t n = fd < 0 || !text ? -1 : read_all(fd, text, TEXT_MAX);

	if (n >= 0)
		text[n] = '\0';
	else if (errno == ENOENT)
		err_set(err, EX_NOINPUT,
			"%s is not there: no changes were made, or they were taken back",
			with->saved);
	else
		err_sys(err, EX_NOINPUT, errno, "%s", with->saved);
	if (fd >= 0)
		close(fd);
	if (n >= 0)
		return text;
	free(text);
	return NULL;
}

int with_forget(const struct with *with, struct err *err)
{
	if (unlink(with->saved) < 0)
		return err_sys(err, EX_IOERR, errno, "%s", with->saved);
	return 0;
}
