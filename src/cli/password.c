/* See password.h. In `valija`, with the rights of its caller. */
#include "cli/password.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sysexits.h>
#include <termios.h>
#include <unistd.h>

static void say(const char *text)
{
	(void)!write(STDERR_FILENO, text, strlen(text));
}

/* Octet by octet: nothing of a secret stays in a buffer of stdio, nothing behind the line is taken.
 */
static int read_line(struct secret *ret, bool terminal, struct err *err)
{
	bool ended = false;
	ssize_t n;
	char c;

	secret_init(ret);
	while (!ended && (n = read(STDIN_FILENO, &c, 1)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, EX_NOINPUT, errno, "reading the password");
		if (terminal && (c == 3 || c == 28)) /* ^C, ^\: signals are off meanwhile */
			return err_set(err, EX_NOINPUT, "interrupted; nothing was changed");
		ended = c == '\n';
		if (!ended && ret->size == SECRET_MAX)
			return err_set(err, EX_DATAERR, "the password is longer than %d octets",
				       SECRET_MAX);
		if (!ended)
			ret->bytes[ret->size++] = c;
	}
	ret->bytes[ret->size] = '\0';
	if (ret->size && ret->bytes[ret->size - 1] == '\r')
		ret->bytes[--ret->size] = '\0';
	if (ret->size == 0)
		return err_set(err, EX_DATAERR, "no password: %s",
			       terminal ? "nothing was changed"
					: "standard input has to begin with a line that holds it");
	return 0;
}

static int ask_twice(struct secret *ret, struct err *err)
{
	struct secret again;
	int status;

	say("New password: ");
	status = read_line(ret, true, err);
	say("\n");
	if (status < 0)
		return -1;
	say("Once more: ");
	status = read_line(&again, true, err);
	say("\n");
	if (status == 0 &&
	    !secret_equal((pop3_span){ret->bytes, ret->size}, (pop3_span){again.bytes, again.size}))
		status = err_set(err, EX_DATAERR, "the two are not the same; nothing was changed");
	secret_finish(&again);
	return status;
}

static int ask_once(struct secret *ret, struct err *err)
{
	int status;

	say("Password: ");
	status = read_line(ret, true, err);
	say("\n");
	return status;
}

static int from_terminal(int (*ask)(struct secret *ret, struct err *err), struct secret *ret,
			 struct err *err)
{
	struct termios old, silent;
	sigset_t ending, before;
	int status;

	if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &old) < 0)
		return read_line(ret, false, err);
	sigemptyset(&ending);
	sigaddset(&ending, SIGTERM);
	sigaddset(&ending, SIGHUP);
	sigaddset(&ending, SIGTSTP);
	sigprocmask(SIG_BLOCK, &ending, &before); /* the terminal is not left without echo */
	silent = old;
	silent.c_lflag &= ~(tcflag_t)(ECHO | ISIG);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
	status = ask(ret, err);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &old);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return status;
}

int password_read(struct secret *ret, struct err *err)
{
	return from_terminal(ask_twice, ret, err);
}

int password_ask(struct secret *ret, struct err *err)
{
	return from_terminal(ask_once, ret, err);
}
