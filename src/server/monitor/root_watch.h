/*
 * Compares the mail folder that a generation has open with the path that the configuration names,
 * several times a minute: another folder may have been put in its place, a filesystem mounted over
 * it or unmounted. Keepers go on with the one that is open, where nobody would find new mail, so
 * the generation learns of it. A look may hang, so it is made by a process of its own. Runs in the
 * monitor, as root when that is root.
 */
#ifndef SERVER_MONITOR_ROOT_WATCH_H
#define SERVER_MONITOR_ROOT_WATCH_H

#include "sys/loop.h"

#include <stdbool.h>
#include <sys/types.h>

struct root_watch {
	const char *path;
	int mail_fd;
	bool away;    /* the path leads elsewhere */
	bool retired; /* another generation may have the path's folder by now */
	/* away has changed */
	void (*changed)(void *context);
	void *context;
	struct loop *loop;
	struct loop_timer timer;  /* the next look, or the end of patience with one */
	struct loop_watch answer; /* of the look under way */
	int answer_fd;            /* -1: none is under way */
	pid_t pid;
	bool late;
};

/* path must live as long as watch; mail_fd stays the caller's. The first look comes after the first
 * pause. */
void root_watch_init(struct root_watch *watch, struct loop *loop, const char *path, int mail_fd,
		     void (*changed)(void *context), void *context);
/* A look under way is ended. */
void root_watch_finish(struct root_watch *watch);

#endif
