/*
 * The system calls of this folder, and the one by which octets go into a mailbox, so that a program
 * with a table of calls of its own (src/fetch) can put it in their place. For the files of this
 * folder and their callers.
 */
#ifndef MAILDROP_MBOX_CALLS_H
#define MAILDROP_MBOX_CALLS_H

#include "maildrop/syscalls.h"

struct mbox_calls {
	const struct maildrop_syscalls *sys;
	/* Writes all of it at that place: 0, or -1. NULL: by sys. */
	int (*write)(const void *context, int fd, const void *data, size_t size, off_t at);
	const void *context;
};

static inline int mbox_put(const struct mbox_calls *calls, int fd, const void *data, size_t size,
			   off_t at)
{
	return calls->write ? calls->write(calls->context, fd, data, size, at)
			    : maildrop_pwrite(calls->sys, fd, data, size, at);
}

#endif
