/* See oauth.h. The helper is forked before the fetch process confines itself, and answers one
 * question: it never reads what a mail server sent. */
#include "fetch/oauth/oauth.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

struct oauth_helper {
	pid_t pid;
	int socket;
};

struct reply {
	int rc;
	struct err err;
	struct secret token;
};

static void serve(int socket, int state_dir, const struct fetch_account *account)
{
	struct reply *reply = calloc(1, sizeof(*reply));
	struct secret refused;

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (reply && recv(socket, &refused, sizeof(refused), 0) == (ssize_t)sizeof(refused)) {
		refused.bytes[SECRET_MAX] = '\0';
		secret_init(&reply->token);
		reply->rc = oauth_token(&fetch_files_real, state_dir, account, &refused,
					&reply->token, &reply->err);
		if (send(socket, reply, sizeof(*reply), MSG_NOSIGNAL) < 0)
			_exit(EX_OSERR);
	}
	_exit(EX_OK); /* its memory goes with it */
}

int oauth_helper_start(int state_dir, const struct fetch_account *account,
		       struct oauth_helper **ret, struct err *err)
{
	struct oauth_helper *helper = calloc(1, sizeof(*helper));
	int pair[2];

	if (!helper || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		free(helper);
		return err_sys(err, EX_OSERR, errno, "cannot prepare to refresh the token");
	}
	fflush(NULL);
	helper->pid = fork();
	if (helper->pid == 0) {
		close(pair[0]);
		serve(pair[1], state_dir, account);
	}
	close(pair[1]);
	helper->socket = pair[0];
	if (helper->pid < 0) {
		err_sys(err, EX_OSERR, errno, "cannot prepare to refresh the token");
		close(pair[0]);
		free(helper);
		return -1;
	}
	*ret = helper;
	return 0;
}

void oauth_helper_stop(struct oauth_helper *helper)
{
	if (!helper)
		return;
	close(helper->socket); /* its recv ends */
	while (waitpid(helper->pid, NULL, 0) < 0 && errno == EINTR)
		;
	free(helper);
}

int oauth_helper_ask(struct oauth_helper *helper, struct secret *token, struct err *err)
{
	struct reply *reply = calloc(1, sizeof(*reply));
	ssize_t n = -1;
	int rc = -1;

	if (reply && send(helper->socket, token, sizeof(*token), MSG_NOSIGNAL) > 0)
		do {
			n = recv(helper->socket, reply, sizeof(*reply), 0);
		} while (n < 0 && errno == EINTR);
	if (n != (ssize_t)sizeof(*reply)) {
		err_set(err, EX_OSERR, "the helper that refreshes tokens has ended");
	} else if (reply->rc < 0) {
		if (err)
			*err = reply->err;
	} else {
		*token = reply->token;
		rc = 0;
	}
	if (reply)
		wipe(reply, sizeof(*reply));
	free(reply);
	return rc;
}
