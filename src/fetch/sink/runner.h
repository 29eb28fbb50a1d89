/*
 * Starts commands for a process that may not: forked before the fetch process confines itself, it
 * takes open messages over a socket, runs the account's command on each and answers with its exit
 * status. It reads nothing that comes from a server but the message it hands on unread.
 */
#ifndef FETCH_SINK_RUNNER_H
#define FETCH_SINK_RUNNER_H

#include "base/err.h"
#include "fetch/account/account.h"
#include "fetch/journal/delivery_id.h"

struct runner;

/* output_apart: what commands print on standard output goes to standard error. */
int runner_start(const struct fetch_account *account, bool output_apart, struct runner **ret,
		 struct err *err);
void runner_stop(struct runner *runner);
/*
 * Runs the command with message_fd as standard input and VALIJA_DELIVERY_ID, VALIJA_ACCOUNT and
 * VALIJA_USER in its environment. Returns its exit status, 128 + n when signal n ended it,
 * RUNNER_TIMEOUT when it was ended because it took longer than the account's command_seconds; -1:
 * it could not be run.
 */
enum { RUNNER_TIMEOUT = 1000 };
int runner_run(struct runner *runner, int message_fd, const char id[DELIVERY_ID_SIZE],
	       struct err *err);

#endif
