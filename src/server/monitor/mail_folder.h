/*
 * A mail folder of a configuration, opened and looked at. Its filesystem may hang: a generation
 * gets it from a process of its own, which may wait (mail_opening_start), and the monitor's loop
 * goes on. Runs in the monitor, as root when that is root.
 */
#ifndef SERVER_MONITOR_MAIL_FOLDER_H
#define SERVER_MONITOR_MAIL_FOLDER_H

#include "base/err.h"
#include "config/config.h"
#include "maildrop/mail_root.h"
#include "sys/loop.h"

#include <stdbool.h>
#include <sys/types.h>

struct mail_folder {
	int fd; /* -1: err says why it is not open */
	uid_t uid;
	gid_t gid;
	mode_t mode;
	dev_t device;
	bool only_of_root; /* it and the folders in it belong to root */
	struct mail_root_facts facts;
	struct err err;
};

/* May hang. root: this process is root. The descriptor is the caller's. */
void mail_folder_open(const char *path, bool root, struct mail_folder *ret);

struct mail_opening {
	char path[CONFIG_PATH_MAX];
	bool root;
	/* mail NULL: it does not answer, err says so. The descriptor is the callee's. */
	void (*done)(void *context, const struct mail_folder *mail, const struct err *err);
	void *context;
	struct loop *loop; /* NULL: never started */
	struct loop_timer patience;
	struct loop_watch answer;
	int answer_fd; /* -1: none is under way */
	pid_t pid;
	bool late;
};

void mail_opening_init(struct mail_opening *opening, struct loop *loop,
		       void (*done)(void *context, const struct mail_folder *mail,
				    const struct err *err),
		       void *context);
/* done is called once, from the loop. any_fd: a descriptor that is open. -1 with err, too, if the
 * process of the last opening of this path hangs still. */
int mail_opening_start(struct mail_opening *opening, const char *path, bool root, int any_fd,
		       struct err *err);
/* Waits for done still. */
bool mail_opening_waits(const struct mail_opening *opening);
/* done is not called any more. */
void mail_opening_finish(struct mail_opening *opening);

#endif
