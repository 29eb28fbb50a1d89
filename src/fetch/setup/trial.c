/* See trial.h. The child reads what the server sends, and answers by a pipe. */
#include "fetch/setup/trial.h"

#include "base/descriptor.h"
#include "fetch/confine.h"
#include "fetch/session/dialog.h"
#include "fetch/session/login.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

enum { LISTING_LINES = 1000 };

struct outcome {
	int rc;
	struct err err;
	struct trial trial;
};

static int ask_stat(struct dialog *dialog, struct trial *ret, struct err *err)
{
	struct pop3_client_event event;
	char words[160];

	if (dialog_ask(dialog, POP3_STAT, (pop3_span){0}, &event, err) < 0)
		return -1;
	if (!event.ok || event.malformed)
		return err_set(err, EX_UNAVAILABLE, "logged in, but STAT failed (its answer: %s)",
			       dialog_words(&event, words, sizeof(words)));
	ret->messages = event.count;
	ret->octets = event.octets;
	return 0;
}

static int session(const struct fetch_account *account, const struct secret *secret,
		   struct dialog *dialog, struct trial *ret, struct err *err)
{
	struct fetch_profile profile = {0};
	struct pop3_client_event event;
	int rc = wire_connect(&dialog->wire, account, err);

	if (rc == 0 && !secret)
		return fetch_greet(dialog, account, err);
	if (rc == 0)
		rc = fetch_login(dialog, account, secret, &profile, err);
	if (rc == 0)
		rc = ask_stat(dialog, ret, err);
	if (rc == 0) {
		snprintf(ret->mechanism, sizeof(ret->mechanism), "%s", profile.login);
		dialog_ask(dialog, POP3_QUIT, (pop3_span){0}, &event, NULL);
	}
	return rc;
}

static void child(const struct fetch_account *account, int state_dir, const struct secret *secret,
		  int out)
{
	struct dialog *dialog = malloc(sizeof(*dialog));
	struct outcome *outcome = calloc(1, sizeof(*outcome));

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (!dialog || !outcome)
		_exit(EX_OSERR);
	dialog_init(dialog, POP3_TO_LF, LISTING_LINES,
		    (int64_t)account->limits.reply_seconds * 1000);
	outcome->rc = fetch_confine(account, state_dir, NULL, &outcome->err);
	if (outcome->rc == 0)
		outcome->rc = session(account, secret, dialog, &outcome->trial, &outcome->err);
	dialog_finish(dialog);
	_exit(write(out, outcome, sizeof(*outcome)) == sizeof(*outcome) ? EX_OK : EX_IOERR);
}

int trial_run(const struct fetch_account *account, int state_dir, const struct secret *secret,
	      struct trial *ret, struct err *err)
{
	struct outcome outcome = {.rc = -1};
	int pipe[2] = {-1, -1}, rc = -1;
	pid_t pid = -1;

	if (pipe2(pipe, O_CLOEXEC) == 0) {
		fflush(NULL);
		pid = fork();
	}
	if (pid == 0)
		child(account, state_dir, secret, pipe[1]);
	close_fd(&pipe[1]);
	if (pid < 0) {
		err_sys(err, EX_OSERR, errno, "cannot start a process");
	} else if (read(pipe[0], &outcome, sizeof(outcome)) != sizeof(outcome)) {
		err_set(err, EX_SOFTWARE, "the login for trial ended without a result");
	} else if (outcome.rc < 0) {
		if (err)
			*err = outcome.err;
	} else {
		if (ret)
			*ret = outcome.trial;
		rc = 0;
	}
	close_fd(&pipe[0]);
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return rc;
}
