/* See https.h. The child is the program; its standard input and output are pipes. */
#include "fetch/https/https.h"

#include "base/descriptor.h"
#include "base/secret.h"
#include "base/text.h"
#include "fetch/interrupt.h"
#include "fetch/program.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

enum { RAW_MAX = HTTPS_ANSWER_MAX + 16 };

struct child {
	pid_t pid;
	int in, out; /* -1: closed */
};

/* A form may spend a refresh token that rotates: once it is on its way, the answer is waited for,
 * whatever signal ends the run. */
static void execute(const char *path, bool form, int in, int out)
{
	if (form)
		fetch_interrupt_ignore();
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (dup2(in, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0)
		execl(path, "valija-https", (char *)NULL);
	dprintf(STDOUT_FILENO, "cannot start %s: %s\n", path, strerror(errno));
	_exit(EX_UNAVAILABLE);
}

static int start(struct child *child, bool form, struct err *err)
{
	int in[2] = {-1, -1}, out[2] = {-1, -1};
	char path[PATH_MAX];

	fetch_program("valija-https", path);
	if (pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0) {
		fflush(NULL);
		child->pid = fork();
	}
	if (child->pid == 0)
		execute(path, form, in[0], out[1]);
	close_fd(&in[0]);
	close_fd(&out[1]);
	child->in = in[1];
	child->out = out[0];
	if (child->pid > 0)
		return 0;
	err_sys(err, EX_OSERR, errno, "cannot start %s", path);
	close_fd(&child->in);
	close_fd(&child->out);
	return -1;
}

/* The child reads all before it writes: no deadlock. One that has ended is no failure here: its
 * words are read. */
static void put(int fd, const char *text)
{
	(void)write_all(fd, text, strlen(text));
}

static int finish(struct child *child)
{
	int status = -1;

	close_fd(&child->in);
	close_fd(&child->out);
	while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : EX_TEMPFAIL;
}

/* "200\n" and the body. */
static int take(pop3_span raw, struct https_answer **ret)
{
	const char *end = memchr(raw.data, '\n', raw.size);
	struct https_answer *answer;
	uint64_t status;

	if (!end ||
	    span_number((pop3_span){raw.data, (size_t)(end - raw.data)}, 599, &status) < 0 ||
	    status < 100 || raw.size - (size_t)(end + 1 - raw.data) > HTTPS_ANSWER_MAX)
		return -1;
	answer = calloc(1, sizeof(*answer));
	if (!answer)
		return -1;
	answer->status = (int)status;
	answer->size = raw.size - (size_t)(end + 1 - raw.data);
	memcpy(answer->body, end + 1, answer->size);
	*ret = answer;
	return 0;
}

/* Host and path of a URL, for a person: what is behind "?" may be a secret. */
static int complain(const char *url, int code, pop3_span words, struct err *err)
{
	const char *end = words.size ? memchr(words.data, '\n', words.size) : NULL;
	char text[200];

	text_escape(text, sizeof(text) - 1,
		    (pop3_span){words.data, end ? (size_t)(end - words.data) : words.size});
	return err_set(err, code, "%.*s: %s", (int)strcspn(url, "?"), url,
		       text[0] ? text : "no answer");
}

static int talk(const char *url, const char *form, char *raw, struct https_answer **ret,
		struct err *err)
{
	struct child child = {.pid = -1, .in = -1, .out = -1};
	pop3_span answer;
	ssize_t size;
	int code;

	if (start(&child, form != NULL, err) < 0)
		return -1;
	put(child.in, form ? "POST " : "GET ");
	put(child.in, url);
	put(child.in, "\n");
	if (form)
		put(child.in, form);
	close_fd(&child.in);
	size = read_all(child.out, raw, RAW_MAX);
	code = finish(&child);
	answer = (pop3_span){raw, size < 0 ? 0 : (size_t)size};
	if (code != EX_OK)
		return complain(url, code, answer, err);
	if (take(answer, ret) < 0)
		return err_set(err, EX_SOFTWARE, "valija-https is another version");
	return 0;
}

int https_exchange(const char *url, const char *form, struct https_answer **ret, struct err *err)
{
	char *raw = malloc(RAW_MAX);
	int rc;

	if (!raw)
		return err_sys(err, EX_OSERR, errno, "memory");
	if (strncmp(url, "https://", 8) != 0 || strpbrk(url, " \r\n")) {
		free(raw);
		return err_set(err, EX_CONFIG, "\"%.200s\" is no address that begins with https://",
			       url);
	}
	rc = talk(url, form, raw, ret, err);
	wipe(raw, RAW_MAX);
	free(raw);
	return rc;
}

void https_answer_free(struct https_answer *answer)
{
	if (!answer)
		return;
	wipe(answer, sizeof(*answer));
	free(answer);
}
