/*
 * See deliver_mbox.h. Started as root, it becomes the owner of the mailbox for good before it reads
 * the message or opens the mailbox. Signals: while it waits they end it; once the message is being
 * written they wait until it is on the disk and the locks are gone.
 */
#include "cli/deliver_mbox.h"

#include "base/text.h"
#include "cli/become.h"
#include "cli/deliver_input.h"
#include "maildrop/mbox/append.h"
#include "maildrop/mbox/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t signal_came;

static void note_signal(int number)
{
	signal_came = number;
}

static void catch_signals(void)
{
	struct sigaction action = {.sa_handler = note_signal};

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	action.sa_handler = SIG_IGN; /* a file-size limit is an error of the write */
	sigaction(SIGXFSZ, &action, NULL);
}

static int interrupted(struct err *err)
{
	if (!signal_came)
		return 0;
	return err_set(err, EX_TEMPFAIL, "ended by a signal; nothing was delivered");
}

static int open_mailbox(const char *file, bool *ret_made, struct err *err)
{
	int flags = O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
	int fd = open(file, flags);
	struct stat st;

	*ret_made = fd < 0 && errno == ENOENT;
	if (*ret_made)
		fd = open(file, flags | O_CREAT, 0600);
	if (fd < 0 || fstat(fd, &st) < 0) {
		err_sys(err, EX_CANTCREAT, errno, "cannot open the mailbox %s", file);
	} else if (!S_ISREG(st.st_mode)) {
		err_set(err, EX_CANTCREAT, "the mailbox %s is not a file", file);
	} else if (st.st_uid != geteuid()) {
		err_set(err, EX_CANTCREAT, "the mailbox %s belongs to another user", file);
	} else {
		return fd;
	}
	if (fd >= 0)
		close(fd);
	return -1;
}

/* A mailbox that was just made may lose its name to a power cut. */
static int flush_folder(const char *file)
{
	char copy[4096];
	int fd, rc = -1;

	if ((size_t)snprintf(copy, sizeof(copy), "%s", file) >= sizeof(copy))
		return -1;
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == EACCES ? 0 : -1; /* it may not be read, so not flushed either */
	rc = fsync(fd);
	close(fd);
	return rc;
}

static int write_failed(const char *file, int errnum, bool torn, struct err *err)
{
	if (errnum == EBADMSG)
		err_set(err, EX_CANTCREAT,
			"the file %s is no mbox (it does not begin with a line \"From SENDER "
			"DATE\"): nothing was appended to it",
			file);
	else
		err_sys(err, EX_TEMPFAIL, errnum, "cannot write to the mailbox %s%s", file,
			torn ? " (a part of the message is at its end)" : "");
	return -1;
}

static int append(const char *file, int fd, bool made, const struct deliver_input *input,
		  const char *sender, struct err *err)
{
	static const struct mbox_calls calls = {.sys = &maildrop_kernel};
	struct mbox_lock lock = {.calls = &calls,
				 .fd = fd,
				 .dir = AT_FDCWD,
				 .name = file,
				 .wait_ms = MBOX_LOCK_MS,
				 .interrupted = interrupted};
	char headers[LMTP_ADDRESS_MAX + 32];
	int n = snprintf(headers, sizeof(headers), "Return-Path: <%s>\r\n", sender);
	struct mbox_append message = {.calls = &calls,
				      .fd = fd,
				      .sender = span_of(sender),
				      .time = time(NULL),
				      .headers = {headers, (size_t)n},
				      .message_fd = input->fd,
				      .from_crlf = true};
	bool torn;
	int rc = 0;

	if (mbox_lock_take(&lock, err) < 0)
		return -1;
	if (mbox_append(&message, &torn) < 0 || fsync(fd) < 0 || (made && flush_folder(file) < 0))
		rc = write_failed(file, errno, torn, err);
	mbox_lock_release(&lock);
	return rc;
}

int deliver_mbox(const char *file, const char *option, struct err *err)
{
	struct deliver_input input = {.fd = -1};
	const char *environment = getenv("SENDER");
	char sender[LMTP_ADDRESS_MAX + 1] = "";
	bool made;
	int fd, rc;

	catch_signals();
	if (become_owner(file, err) < 0)
		return err->code == EX_NOINPUT ? EX_CANTCREAT : err->code;
	if (deliver_input_read(STDIN_FILENO, 0, &input, err) < 0)
		return err->code;
	if (option)
		(void)deliver_sender(option, strlen(option), sender);
	else if (input.has_sender)
		memcpy(sender, input.sender, sizeof(sender));
	else if (environment)
		(void)deliver_sender(environment, strlen(environment), sender);
	fd = open_mailbox(file, &made, err);
	rc = fd < 0 ? -1 : append(file, fd, made, &input, sender, err);
	if (fd >= 0)
		close(fd);
	deliver_input_finish(&input);
	return rc < 0 ? err->code : EX_OK;
}
