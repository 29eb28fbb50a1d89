/* See oauth.h. The helper is forked before the fetch process confines itself, and answers one
 * question: it never reads what a mail server sent. */
#include "fetch/oauth/oauth.h"

#include "fetch/companion.h"
#include "fetch/interrupt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

struct oauth_helper {
	struct companion process;
};

/* The tokens that it refreshes. */
struct grants {
	int state_dir;
	const struct fetch_account *account;
};

struct reply {
	int rc;
	struct err err;
	struct secret token;
};

static void serve(int socket, const void *context)
{
	const struct grants *grants = context;
	struct reply *reply = calloc(1, sizeof(*reply));
	struct secret refused;

	fetch_interrupt_ignore(); /* a terminal sends them to all */
	if (reply && recv(socket, &refused, sizeof(refused), 0) == (ssize_t)sizeof(refused)) {
		if (refused.size > SECRET_MAX) /* the process behind the wall may be another's */
			_exit(EX_DATAERR);
		refused.bytes[refused.size] = '\0';
		secret_init(&reply->token);
		reply->rc = oauth_token(&fetch_files_real, grants->state_dir, grants->account,
					&refused, &reply->token, &reply->err);
		if (send(socket, reply, sizeof(*reply), MSG_NOSIGNAL) < 0)
			_exit(EX_OSERR);
	}
	_exit(EX_OK); /* its memory goes with it */
}

int oauth_helper_start(int state_dir, const struct fetch_account *account,
		       struct oauth_helper **ret, struct err *err)
{
	const struct grants grants = {state_dir, account};
	struct oauth_helper *helper = calloc(1, sizeof(*helper));

	if (!helper)
		return err_sys(err, EX_OSERR, errno, "cannot prepare to refresh the token");
	if (companion_start(&helper->process, serve, &grants, "refresh the token", err) < 0) {
		free(helper);
		return -1;
	}
	*ret = helper;
	return 0;
}

void oauth_helper_stop(struct oauth_helper *helper)
{
	if (helper)
		companion_stop(&helper->process);
	free(helper);
}

int oauth_helper_ask(struct oauth_helper *helper, struct secret *token, struct err *err)
{
	struct reply *reply = calloc(1, sizeof(*reply));
	ssize_t n = -1;
	int rc = -1;

	if (reply && send(helper->process.socket, token, sizeof(*token), MSG_NOSIGNAL) > 0)
		n = companion_answer(&helper->process, reply, sizeof(*reply));
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
