/* The password of an account, for run.c before the process confines itself; the caller owns and
 * wipes the secret. Files, commands and variables are the user's own; sizes are bounded. */
#include "fetch/account/password.h"

#include "base/descriptor.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <termios.h>
#include <unistd.h>

enum { NETRC_MAX = 65536 };

/* The first line without its end. */
static int take_line(char *text, size_t size, struct secret *ret, struct err *err)
{
	const char *end = memchr(text, '\n', size);
	size_t n = end ? (size_t)(end - text) : size;
	int rc;

	if (n && text[n - 1] == '\r')
		n--;
	rc = n ? secret_set(ret, (pop3_span){text, n}) : -1;
	wipe(text, size);
	return rc < 0 ? err_set(err, EX_CONFIG, "there is no password in it, or one too long") : 0;
}

int fetch_open_secret(const char *path, const char *what, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	struct stat st;

	if (fd < 0)
		return err_sys(err, EX_NOINPUT, errno, "cannot open the %s %s", what, path);
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & (S_IROTH | S_IWOTH))) {
		close(fd);
		return err_set(err, EX_NOPERM,
			       "everybody on this machine may %s the %s %s: chmod go= %s",
			       st.st_mode & S_IROTH ? "read" : "change", what, path, path);
	}
	return fd;
}

int fetch_check_key(const struct fetch_account *account, struct err *err)
{
	const char *key = account->key_file[0] ? account->key_file : account->cert_file;
	int fd = key[0] ? fetch_open_secret(key, "key file", err) : -1;

	if (fd >= 0)
		close(fd);
	return key[0] && fd < 0 ? -1 : 0;
}

static int from_file(const char *path, struct secret *ret, struct err *err)
{
	int fd = fetch_open_secret(path, "password file", err);
	char text[SECRET_MAX + 2];
	ssize_t size;

	if (fd < 0)
		return -1;
	size = read_all(fd, text, sizeof(text));
	if (size < 0)
		err_sys(err, EX_IOERR, errno, "cannot read the password file %s", path);
	close(fd);
	if (size < 0)
		return -1;
	if (take_line(text, (size_t)size, ret, err) < 0)
		return err_prefix(err, "password file %s", path);
	return 0;
}

/* The manager of services decrypts it into a folder that only the service sees. */
static int from_credential(const char *name, struct secret *ret, struct err *err)
{
	const char *folder = getenv("CREDENTIALS_DIRECTORY");
	char path[FETCH_PATH_MAX];

	if (!folder)
		return err_set(
			err, EX_NOINPUT,
			"there is no credential \"%.80s\": $CREDENTIALS_DIRECTORY is not set "
			"(LoadCredential= in the unit, systemd.exec(5))",
			name);
	if (snprintf(path, sizeof(path), "%s/%s", folder, name) >= (int)sizeof(path))
		return err_set(err, EX_CONFIG, "the credential's path is too long");
	return from_file(path, ret, err);
}

/* The shell runs a command of the user, from the user's configuration. */
static int from_command(const char *command, const char *what, struct secret *ret, struct err *err)
{
	char text[SECRET_MAX + 2];
	ssize_t size;
	FILE *pipe;
	int status;

	fflush(NULL);
	pipe = popen(command, "re");
	if (!pipe)
		return err_sys(err, EX_OSERR, errno, "cannot run the %s", what);
	size = read_all(fileno(pipe), text, sizeof(text));
	status = pclose(pipe);
	if (size < 0 || status != 0) {
		wipe(text, sizeof(text));
		return err_set(err, EX_CONFIG, "the %s failed (%s %d)", what,
			       WIFSIGNALED(status) ? "signal" : "exit status",
			       WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	}
	if (take_line(text, (size_t)size, ret, err) < 0)
		return err_prefix(err, "%s", what);
	return 0;
}

/* A word in quotes, with them, as curl and fetchmail have it: blanks are part of it, a backslash
 * takes the next octet as it is. Size 0: it is none; a quote that does not end on its line is a
 * plain octet. */
static pop3_span quoted(pop3_span *rest)
{
	size_t n = 1;

	if (!rest->size || *rest->data != '"')
		return (pop3_span){rest->data, 0};
	while (n < rest->size && rest->data[n] != '"' && rest->data[n] != '\n')
		n += rest->data[n] == '\\' && n + 1 < rest->size ? 2 : 1;
	if (n >= rest->size || rest->data[n] != '"')
		return (pop3_span){rest->data, 0};
	rest->data += n + 1;
	rest->size -= n + 1;
	return (pop3_span){rest->data - n - 1, n + 1};
}

/* The text of a word, without its quotes; buf has room for it. */
static pop3_span plain(pop3_span word, char *buf)
{
	size_t used = 0;

	if (word.size < 2 || word.data[0] != '"' || word.data[word.size - 1] != '"')
		return word;
	for (size_t i = 1; i + 1 < word.size; i++) {
		char c = word.data[i];

		if (c == '\\' && i + 2 < word.size) {
			c = word.data[++i];
			c = c == 'n' ? '\n' : c == 'r' ? '\r' : c == 't' ? '\t' : c;
		}
		buf[used++] = c;
	}
	return (pop3_span){buf, used};
}

static int keep_password(pop3_span word, struct secret *ret)
{
	char buf[SECRET_MAX + 2];
	int rc;

	if (word.size > sizeof(buf))
		return -1;
	rc = secret_set(ret, plain(word, buf)) < 0 ? -1 : 1;
	wipe(buf, sizeof(buf));
	return rc;
}

/* The next word is this text, in quotes or not. */
static bool names(pop3_span word, pop3_span text, bool nocase)
{
	char buf[FETCH_TEXT_MAX];

	if (word.size > sizeof(buf))
		return false;
	word = plain(word, buf);
	return nocase ? span_equal_nocase(word, text) : span_equal(word, text);
}

static pop3_span token(pop3_span *rest)
{
	static const char blanks[] = " \t\r\n";
	pop3_span word;

	while (rest->size && memchr(blanks, *rest->data, 4))
		rest->data++, rest->size--;
	word = quoted(rest);
	if (word.size)
		return word;
	word = (pop3_span){rest->data, 0};
	while (rest->size && !memchr(blanks, *rest->data, 4))
		rest->data++, rest->size--, word.size++;
	return word;
}

/* A macro definition goes to the next blank line. */
static void skip_macro(pop3_span *rest)
{
	const char *end = memmem(rest->data, rest->size, "\n\n", 2);
	size_t n = end ? (size_t)(end - rest->data) : rest->size;

	rest->data += n;
	rest->size -= n;
}

int fetch_netrc(pop3_span text, pop3_span host, pop3_span user, struct secret *ret)
{
	bool here = false, login_known = false, login_ok = false;
	pop3_span word, password = {0};

	for (;;) {
		bool start;

		word = token(&text);
		start = word.size == 0 || span_equal(word, SPAN_LITERAL("machine")) ||
			span_equal(word, SPAN_LITERAL("default"));
		if (start && here && password.data && (login_ok || !login_known))
			return keep_password(password, ret);
		if (word.size == 0)
			return 0;
		if (start) {
			here = span_equal(word, SPAN_LITERAL("default")) ||
			       names(token(&text), host, true);
			login_known = login_ok = false;
			password = (pop3_span){0};
		} else if (span_equal(word, SPAN_LITERAL("login"))) {
			login_known = true;
			login_ok = names(token(&text), user, false);
		} else if (span_equal(word, SPAN_LITERAL("password"))) {
			password = token(&text);
		} else if (span_equal(word, SPAN_LITERAL("account"))) {
			token(&text);
		} else if (span_equal(word, SPAN_LITERAL("macdef"))) {
			skip_macro(&text);
		}
	}
}

/* 1: found, 0: not there. */
static int from_netrc(const struct fetch_account *account, const char *path, bool must,
		      struct secret *ret, struct err *err)
{
	int fd, rc = -1;
	ssize_t size;
	char *text;

	if (!must && access(path, F_OK) < 0)
		return 0;
	fd = fetch_open_secret(path, "netrc file", err);
	if (fd < 0)
		return -1;
	text = malloc(NETRC_MAX);
	size = text ? read_all(fd, text, NETRC_MAX) : -1;
	if (size < 0)
		err_sys(err, EX_IOERR, errno, "cannot read %s", path);
	else
		rc = fetch_netrc((pop3_span){text, (size_t)size}, span_of(account->host),
				 span_of(account->user), ret);
	close(fd);
	if (text)
		wipe(text, NETRC_MAX);
	free(text);
	return rc;
}

static int from_terminal(const struct fetch_account *account, const struct fetch_asking *asking,
			 struct secret *ret, struct err *err)
{
	int fd = open("/dev/tty", O_RDWR | O_CLOEXEC), rc;
	struct termios before, quiet;
	char text[SECRET_MAX + 2];
	ssize_t n;

	if (fd < 0)
		return err_set(
			err, EX_NOINPUT,
			"no password: there is no terminal to ask; give --password-file FILE, "
			"or put it into ~/.netrc");
	if (asking && asking->before(asking->context, err) < 0) {
		close(fd);
		return -1;
	}
	rc = tcgetattr(fd, &before);
	if (rc == 0) {
		quiet = before;
		quiet.c_lflag &= ~(tcflag_t)ECHO;
		tcsetattr(fd, TCSAFLUSH, &quiet);
	}
	dprintf(fd, "Password of %s at %s: ", account->user, account->host);
	n = read(fd, text, sizeof(text));
	dprintf(fd, "\n");
	if (rc == 0)
		tcsetattr(fd, TCSAFLUSH, &before);
	close(fd);
	if (n <= 0)
		return err_set(err, EX_NOINPUT, "no password was given");
	return take_line(text, (size_t)n, ret, err);
}

static int from_environment(const char *name, struct secret *ret, struct err *err)
{
	char *value = getenv(name);
	int rc;

	if (!value || !*value)
		return err_set(err, EX_NOINPUT, "the environment has no %s", name);
	rc = secret_set(ret, span_of(value));
	wipe(value, strlen(value)); /* unsetenv() leaves the octets where they are */
	unsetenv(name);             /* not for programs that we start */
	return rc < 0 ? err_set(err, EX_CONFIG, "the password in %s is too long", name) : 0;
}

static int default_netrc(const struct fetch_account *account, struct secret *ret, struct err *err)
{
	const char *named = getenv("NETRC"), *home = getenv("HOME");
	char path[FETCH_PATH_MAX];

	if (named)
		snprintf(path, sizeof(path), "%s", named);
	else if (home)
		snprintf(path, sizeof(path), "%s/.netrc", home);
	else
		return 0;
	return from_netrc(account, path, false, ret, err);
}

int fetch_password(const struct fetch_account *account, const struct fetch_asking *asking,
		   struct secret *ret, struct err *err)
{
	const char *from = account->password_from;
	int rc;

	if (fetch_account_external(account))
		return 0;
	switch (account->password_source) {
	case FETCH_PASSWORD_FILE:
		return from_file(from, ret, err);
	case FETCH_PASSWORD_COMMAND:
		return from_command(from, "password command", ret, err);
	case FETCH_TOKEN_COMMAND:
		return from_command(from, "token command", ret, err);
	case FETCH_PASSWORD_CREDENTIAL:
		return from_credential(from, ret, err);
	case FETCH_PASSWORD_ENVIRONMENT:
		return from_environment(from, ret, err);
	case FETCH_PASSWORD_NETRC:
		rc = from_netrc(account, from, true, ret, err);
		if (rc == 0)
			return err_set(err, EX_NOINPUT, "%s has no password for %s at %s", from,
				       account->user, account->host);
		return rc < 0 ? -1 : 0;
	case FETCH_TOKEN_OAUTH: /* oauth_token()'s */
	case FETCH_PASSWORD_ASK:
		break;
	}
	rc = default_netrc(account, ret, err);
	if (rc)
		return rc < 0 ? -1 : 0;
	return from_terminal(account, asking, ret, err);
}
