/*
 * The keeper's end of the process that makes lock files in a folder of group mail
 * (server/locker/): the interface that the mbox store asks for them by (maildrop/mbox/lock.h), in
 * its worker threads, one question at a time. A locker that is gone is waited for as a lock that
 * another program holds: the monitor starts the next one.
 */
#ifndef SERVER_KEEPER_LOCKER_H
#define SERVER_KEEPER_LOCKER_H

#include "maildrop/mbox/lock.h"

#include <pthread.h>
#include <stdint.h>

struct keeper_locker {
	struct mbox_locker locker; /* for the store */
	pthread_mutex_t mutex;
	int fd; /* -1: there is none */
	uint64_t number;
};

void keeper_locker_init(struct keeper_locker *locker);
/* Takes a channel to a locker, in place of an earlier one. On the loop. */
void keeper_locker_take(struct keeper_locker *locker, int *fd);

#endif
