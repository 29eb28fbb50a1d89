/* See root_watch.h. */
#include "server/monitor/root_watch.h"

#include "base/log.h"
#include "sys/process.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	PAUSE = 15000,    /* ms between two looks */
	PATIENCE = 10000, /* ms for a look */
};

enum found {
	FOUND_SAME,
	FOUND_OTHER,
	FOUND_NOTHING, /* the path cannot be looked at, for a reason that is not the machine's */
	FOUND_UNKNOWN,
};

struct look {
	enum found found;
	int errnum; /* of FOUND_NOTHING */
};

/* In a process of its own. */
static void look(int fd, int out, const void *context)
{
	const char *path = context;
	struct look result = {FOUND_NOTHING, 0};
	struct stat named, open_one;

	if (stat(path, &named) < 0 || fstat(fd, &open_one) < 0) {
		result.errnum = errno;
		if (errno == ENOMEM)
			result.found = FOUND_UNKNOWN;
	} else {
		result.found = named.st_dev == open_one.st_dev && named.st_ino == open_one.st_ino
				       ? FOUND_SAME
				       : FOUND_OTHER;
	}
	(void)!write(out, &result, sizeof(result));
}

static void log_away(const struct root_watch *watch, const struct look *result)
{
	const char *why = result->found == FOUND_NOTHING ? strerror(result->errnum)
							 : "another folder has its path";

	if (watch->retired)
		log_info("sessions from before the last reload have the folder that was %s then "
			 "(%s): their deliveries are put off",
			 watch->path, why);
	else
		log_error("%s is not the folder any more that valijad has open (%s): was it moved, "
			  "or a filesystem mounted over it or unmounted? Nobody can log in, and "
			  "mail is put off; put it back, and all goes on by itself; if the mail is "
			  "meant to be where the path leads now: reload valijad",
			  watch->path, why);
}

static void take(struct root_watch *watch, const struct look *result)
{
	bool away = result->found == FOUND_OTHER || result->found == FOUND_NOTHING;

	if (watch->late)
		log_info("%s answers again", watch->path);
	watch->late = false;
	if (result->found == FOUND_UNKNOWN || away == watch->away)
		return;
	watch->away = away;
	watch->changed(watch->context);
	if (away)
		log_away(watch, result);
	else
		log_info("%s is the folder again that valijad has open: logins and deliveries go "
			 "on",
			 watch->path);
}

/* The process has ended, or is given up. */
static void end_look(struct root_watch *watch)
{
	if (watch->answer_fd < 0)
		return;
	loop_watch_finish(&watch->answer);
	close(watch->answer_fd);
	watch->answer_fd = -1;
	watch->pid = 0;
}

static void answered(struct loop_watch *answer, int what)
{
	struct root_watch *watch = answer->context;
	struct look result;
	ssize_t n = read(watch->answer_fd, &result, sizeof(result));

	(void)what;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	end_look(watch);
	loop_timer_set(&watch->timer, PAUSE);
	if (n == (ssize_t)sizeof(result))
		take(watch, &result);
}

/* Its end of the pipe is open as long as it lives: no other process has its pid. */
static void kill_look(const struct root_watch *watch)
{
	struct pollfd answer = {.fd = watch->answer_fd, .events = POLLIN};

	if (watch->answer_fd >= 0 && poll(&answer, 1, 0) == 0)
		kill(watch->pid, SIGKILL);
}

/* A process that hangs in the kernel ends when the filesystem answers, or never: the pipe shows
 * when, and until then there is no second one. */
static void lose_patience(struct root_watch *watch)
{
	kill_look(watch);
	if (!watch->late)
		log_warning("%s has not answered for %d seconds: it is not known whether a "
			    "filesystem was mounted there or unmounted; look for one that hangs",
			    watch->path, PATIENCE / 1000);
	watch->late = true;
}

static void fired(struct loop_timer *timer)
{
	struct root_watch *watch = timer->context;
	struct err err;

	if (watch->answer_fd >= 0) {
		lose_patience(watch);
		return;
	}
	watch->pid = process_ask(look, watch->mail_fd, watch->path, &watch->answer_fd, &err);
	if (watch->pid < 0) {
		log_warning("%s cannot be looked at: %s", watch->path, err.text);
		loop_timer_set(timer, PAUSE);
		return;
	}
	loop_watch_init(&watch->answer, watch->loop, watch->answer_fd, answered, watch);
	loop_watch_want(&watch->answer, LOOP_READ);
	loop_timer_set(timer, PATIENCE);
}

void root_watch_init(struct root_watch *watch, struct loop *loop, const char *path, int mail_fd,
		     void (*changed)(void *context), void *context)
{
	*watch = (struct root_watch){.path = path,
				     .mail_fd = mail_fd,
				     .changed = changed,
				     .context = context,
				     .loop = loop,
				     .answer_fd = -1};
	loop_timer_init(&watch->timer, loop, fired, watch);
	loop_timer_set(&watch->timer, PAUSE);
}

void root_watch_finish(struct root_watch *watch)
{
	if (!watch->loop)
		return;
	loop_timer_cancel(&watch->timer);
	kill_look(watch);
	end_look(watch);
}
