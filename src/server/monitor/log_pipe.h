/*
 * The pipe that a child has as its standard error, read by the monitor, on its loop. Everything
 * in it is hostile: see logbook.h. Pipes are read in bulk, some milliseconds after something came.
 */
#ifndef SERVER_MONITOR_LOG_PIPE_H
#define SERVER_MONITOR_LOG_PIPE_H

#include "base/err.h"
#include "base/log.h"
#include "sys/loop.h"

#include <stdbool.h>
#include <sys/types.h>

/* Embedded in the slot of the child. */
struct log_pipe {
	struct loop *loop;
	struct loop_watch watch;
	struct loop_timer timer;
	int fd;                       /* -1: none */
	char who[64];                 /* "front0[123]" */
	char line[LOG_EVENT_MAX + 4]; /* the beginning of a line whose end did not come yet */
	size_t used;
	bool cut; /* more of the line came than is kept */
};

void log_pipe_init(struct log_pipe *pipe, struct loop *loop);
/* Makes the pipe. *ret_child_fd is the child's end, non-blocking: the caller gives it to the child
 * and closes it. */
int log_pipe_open(struct log_pipe *pipe, int *ret_child_fd, struct err *err);
/* The child that writes into it is name, pid: its lines are read from now on. */
void log_pipe_start(struct log_pipe *pipe, const char *name, unsigned index, pid_t pid);
/* Goes on with the pipe of a process that another program started; fd is taken. log_pipe_start
 * follows. */
void log_pipe_adopt(struct log_pipe *pipe, int *fd);
/* Takes what is in the pipe, which stays open, for a program that goes on with it. Returns its
 * descriptor; -1: there is none. */
int log_pipe_empty(struct log_pipe *pipe);
/* Takes what is in the pipe, then closes it. */
void log_pipe_finish(struct log_pipe *pipe);

#endif
