/*
 * Compares the mail folder that a generation has open with the path that the configuration names,
 * several times a minute: another folder may have been put in its place, a filesystem mounted over
 * it or unmounted. Keepers go on with the one that is open, where nobody would find new mail, so
 * the generation learns of it. It learns, too, of the first maildrop of a folder that had none. A
 * look may hang, so it is made by a process of its own. Runs in the monitor, as root when that is
 * root.
 */
#ifndef SERVER_MONITOR_ROOT_WATCH_H
#define SERVER_MONITOR_ROOT_WATCH_H

#include "maildrop/mail_root.h"
#include "sys/loop.h"

#include <stdbool.h>
#include <sys/types.h>

struct root_watch {
	const struct mail_root *root;
	int mail_fd;
	bool away;    /* the path leads elsewhere */
	bool retired; /* another generation may have the path's folder by now */
	/* away has changed */
	void (*changed)(void *context);
	/* what mail_fd is like by now: of a root without maildrops, and at the last look */
	void (*looked)(void *context, const struct mail_root_facts *facts);
	void *context;
	struct loop *loop;
	struct loop_timer timer;  /* the next look, or the end of patience with one */
	struct loop_watch answer; /* of the look under way */
	int answer_fd;            /* -1: none is under way */
	pid_t pid;
	bool late, last; /* last: the look that is begun is the last one */
};

/* root, which has the path, must live as long as watch; mail_fd stays the caller's. The first look
 * comes after the first pause. */
void root_watch_init(struct root_watch *watch, struct loop *loop, const struct mail_root *root,
		     int mail_fd, void (*changed)(void *context),
		     void (*looked)(void *context, const struct mail_root_facts *facts),
		     void *context);
/* Once, before the end: looked is called now, if the answer comes within a second. */
void root_watch_last(struct root_watch *watch);
/* A look under way is ended. */
void root_watch_finish(struct root_watch *watch);

#endif
