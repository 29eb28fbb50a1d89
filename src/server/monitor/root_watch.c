/* See root_watch.h. */
#include "server/monitor/root_watch.h"

#include "base/descriptor.h"
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
	LAST = 1000,      /* ms for the last one */
};

enum found {
	FOUND_SAME,
	FOUND_OTHER,
	FOUND_NOTHING, /* the path cannot be looked at, for a reason that is not the machine's */
	FOUND_UNKNOWN,
};

struct look {
	enum found found;
	int errnum;    /* of FOUND_NOTHING */
	bool gathered; /* facts */
	struct mail_root_facts facts;
};

static bool gathers(const struct root_watch *watch)
{
	enum mail_root_state state = atomic_load(&watch->root->state);

	return state == MAIL_ROOT_NEW || (watch->last && state != MAIL_ROOT_OTHER);
}

/* In a process of its own. */
static void look(int fd, int out, const void *context)
{
	const struct root_watch *watch = context;
	struct look result = {.found = FOUND_NOTHING};
	struct stat named, open_one;

	if (stat(watch->root->path, &named) < 0 || fstat(fd, &open_one) < 0) {
		result.errnum = errno;
		if (errno == ENOMEM)
			result.found = FOUND_UNKNOWN;
	} else {
		result.found = named.st_dev == open_one.st_dev && named.st_ino == open_one.st_ino
				       ? FOUND_SAME
				       : FOUND_OTHER;
	}
	result.gathered = gathers(watch);
	if (result.gathered)
		mail_root_gather(fd, &result.facts);
	process_answer(out, &result, sizeof(result), NULL, 0);
}

static void log_away(const struct root_watch *watch, const struct look *result)
{
	const char *why = result->found == FOUND_NOTHING ? strerror(result->errnum)
							 : "another folder has its path";

	if (watch->retired)
		log_info("sessions from before the last reload have the folder that was %s then "
			 "(%s): their deliveries are put off",
			 watch->root->path, why);
	else
		log_error("%s is not the folder any more that valijad has open (%s): was it moved, "
			  "or a filesystem mounted over it or unmounted? Nobody can log in, and "
			  "mail is put off; put it back, and all goes on by itself; if the mail is "
			  "meant to be where the path leads now: reload valijad",
			  watch->root->path, why);
}

static void take(struct root_watch *watch, const struct look *result)
{
	bool away = result->found == FOUND_OTHER || result->found == FOUND_NOTHING;

	if (watch->late)
		log_info("%s answers again", watch->root->path);
	watch->late = false;
	if (result->gathered)
		watch->looked(watch->context, &result->facts);
	if (result->found == FOUND_UNKNOWN || away == watch->away)
		return;
	watch->away = away;
	watch->changed(watch->context);
	if (away)
		log_away(watch, result);
	else
		log_info("%s is the folder again that valijad has open: logins and deliveries go "
			 "on",
			 watch->root->path);
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
	int came = process_answer_take(watch->answer_fd, &result, sizeof(result), NULL, NULL);

	(void)what;
	if (came == 0)
		return;
	end_look(watch);
	loop_timer_set(&watch->timer, PAUSE);
	if (came > 0)
		take(watch, &result);
}

/* A process that hangs in the kernel ends when the filesystem answers, or never: the pipe shows
 * when, and until then there is no second one. */
static void lose_patience(struct root_watch *watch)
{
	process_ask_kill(watch->pid, watch->answer_fd);
	if (!watch->late)
		log_warning("%s has not answered for %d seconds: it is not known whether a "
			    "filesystem was mounted there or unmounted; look for one that hangs",
			    watch->root->path, PATIENCE / 1000);
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
	watch->pid = process_ask(look, watch->mail_fd, watch, &watch->answer_fd, &err);
	if (watch->pid < 0) {
		log_warning("%s cannot be looked at: %s", watch->root->path, err.text);
		loop_timer_set(timer, PAUSE);
		return;
	}
	loop_watch_init(&watch->answer, watch->loop, watch->answer_fd, answered, watch);
	loop_watch_want(&watch->answer, LOOP_READ);
	loop_timer_set(timer, PATIENCE);
}

void root_watch_init(struct root_watch *watch, struct loop *loop, const struct mail_root *root,
		     int mail_fd, void (*changed)(void *),
		     void (*looked)(void *, const struct mail_root_facts *), void *context)
{
	*watch = (struct root_watch){.root = root,
				     .mail_fd = mail_fd,
				     .changed = changed,
				     .looked = looked,
				     .context = context,
				     .loop = loop,
				     .answer_fd = -1};
	loop_timer_init(&watch->timer, loop, fired, watch);
	loop_timer_set(&watch->timer, PAUSE);
}

void root_watch_last(struct root_watch *watch)
{
	struct look result;
	int answer;
	pid_t pid;

	if (!watch->loop || watch->late)
		return;
	watch->last = true;
	pid = gathers(watch) ? process_ask(look, watch->mail_fd, watch, &answer, NULL) : -1;
	watch->last = false;
	if (pid < 0)
		return;
	if (wait_fd(answer, POLLIN, LAST) == 0)
		kill(pid, SIGKILL);
	else if (process_answer_take(answer, &result, sizeof(result), NULL, NULL) > 0)
		watch->looked(watch->context, &result.facts);
	close(answer);
}

void root_watch_finish(struct root_watch *watch)
{
	if (!watch->loop)
		return;
	loop_timer_cancel(&watch->timer);
	process_ask_kill(watch->pid, watch->answer_fd);
	end_look(watch);
}
