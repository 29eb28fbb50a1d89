/*
 * Processes of the service, each for what may take its time: a round of a user, the list of all
 * users, the connection to the server. Each is forked, keeps root, tells what it has by packets,
 * and ends with the service. For the files of this folder.
 */
#ifndef CLI_MIGRATE_FOLLOW_HELPER_H
#define CLI_MIGRATE_FOLLOW_HELPER_H

#include "base/err.h"
#include "sys/loop.h"

#include <pop3/span.h>

#include <sys/types.h>

enum { HELPER_PACKET_MAX = 4096 };

struct helper {
	struct loop_watch watch;
	pid_t pid; /* 0: it does not run */
	int fd;
	/* A packet of kind, with what is in it, until it returns. */
	void (*packet)(struct helper *helper, char kind, pop3_span text);
	void (*ended)(struct helper *helper); /* it may be started again */
	void *context;
};

/* quiet: what it writes to standard error goes nowhere. work runs in the process, and sends by
 * out. -1 with err. */
int helper_start(struct helper *helper, struct loop *loop, bool quiet,
		 void (*work)(const void *argument, int out), const void *argument,
		 struct err *err);
/* Ends it at once; ended is not called. */
void helper_kill(struct helper *helper);
/* In the process. Where nobody takes it, the process ends. */
void helper_send(int out, char kind, pop3_span text);

#endif
