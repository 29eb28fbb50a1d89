/* See companion.h. */
#include "fetch/companion.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

int companion_start(struct companion *ret, void (*serve)(int socket, const void *context),
		    const void *context, const char *purpose, struct err *err)
{
	int pair[2], saved;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(err, EX_OSERR, errno, "cannot prepare to %s", purpose);
	fflush(NULL);
	ret->pid = fork();
	if (ret->pid == 0) {
		close(pair[0]);
		serve(pair[1], context);
		_exit(EX_SOFTWARE);
	}
	saved = errno;
	close(pair[1]);
	ret->socket = pair[0];
	if (ret->pid > 0)
		return 0;
	close(pair[0]);
	return err_sys(err, EX_OSERR, saved, "cannot prepare to %s", purpose);
}

void companion_stop(struct companion *companion)
{
	shutdown(companion->socket, SHUT_WR);
	close(companion->socket);
	while (waitpid(companion->pid, NULL, 0) < 0 && errno == EINTR)
		;
}

ssize_t companion_answer(const struct companion *companion, void *buf, size_t size)
{
	ssize_t n;

	do
		n = recv(companion->socket, buf, size, 0);
	while (n < 0 && errno == EINTR);
	return n > 0 ? n : -1;
}
