/* See upgrade.h. The path of the program is judged anew at each upgrade (sys/trusted_path.h): who
 * may write there decides what runs with the monitor's rights. */
#include "server/monitor/upgrade.h"

#include "base/log.h"
#include "server/monitor/logbook.h"
#include "server/monitor/root.h"
#include "server/monitor/state.h"
#include "sys/notify.h"
#include "sys/process.h"
#include "sys/trusted_path.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

enum {
	TRIAL_MS = 60 * 1000,
	LOOK_MS = 2,
	LOOKS_MAX = 5000, /* ten seconds */
};

bool upgrade_waits(const struct monitor *m)
{
	return m->upgrade.phase != UPGRADE_NONE;
}

/* ---- the end of one that did not come about ---- */

static void close_all(struct upgrade *upgrade)
{
	if (upgrade->output_fd >= 0) {
		loop_watch_finish(&upgrade->output);
		close(upgrade->output_fd);
	}
	if (upgrade->program_fd >= 0)
		close(upgrade->program_fd);
	upgrade->output_fd = upgrade->program_fd = -1;
	loop_timer_cancel(&upgrade->timer);
}

/* Signals that came before the quiet are dispatched in it: the first look is a turn later. */
static void begin_quiet(struct monitor *m)
{
	m->upgrade.phase = UPGRADE_QUIET;
	m->upgrade.looks = 0;
	process_hold_signals(true);
	state_hold(m, true);
	loop_timer_set(&m->upgrade.timer, LOOK_MS);
}

static void end_quiet(struct monitor *m)
{
	if (m->upgrade.phase == UPGRADE_QUIET) {
		state_hold(m, false);
		process_hold_signals(false);
	}
	m->upgrade.phase = UPGRADE_NONE;
}

static void refuse(struct monitor *m, const char *why)
{
	close_all(&m->upgrade);
	end_quiet(m);
	m->upgrade.events->refused(m, why);
}

void upgrade_finish(struct monitor *m)
{
	if (m->upgrade.pid > 0)
		kill(m->upgrade.pid, SIGKILL);
	close_all(&m->upgrade);
	end_quiet(m);
	m->upgrade.wanted = false;
}

/* ---- the last step ---- */

static void open_log_again(struct monitor *m)
{
	const struct config *config = generation_config(m->current);
	struct err err;

	if (logbook_open("valijad", &err) < 0 || log_sink_open(&m->log, config, &err) < 0)
		log_error("%s", err.text);
	else
		logbook_use(&m->log);
	if (log_sink_open_events(&m->events, config, &err) == 0)
		logbook_use_events(&m->events);
}

/* Returns only if it fails. */
static int become(struct monitor *m, struct handover *state, struct err *err)
{
	char resume[32], config_option[] = "-c", *file = strdup(m->file);
	char *argv[] = {m->upgrade.program, config_option, file, resume, NULL};
	int fd;

	if (!file)
		return err_set(err, EX_OSERR, "out of memory");
	fd = handover_seal(state, err);
	if (fd < 0) {
		free(file);
		return -1;
	}
	handover_fd(state, fd);
	snprintf(resume, sizeof(resume), "--resume=%d", fd);
	log_info("it can take over, so this process becomes %s now; its sessions go on",
		 m->upgrade.program);
	if (bans_would_be_lost(&m->owner.bans))
		log_warning("bans that are not written down end with this upgrade");
	logbook_close(); /* what was logged is written */
	if (!state->why)
		process_become(m->upgrade.program_fd, argv, state->fds, state->fd_count, err);
	else
		err_set(err, EX_OSERR, "%s", state->why);
	open_log_again(m);
	close(fd);
	free(file);
	return -1;
}

static void leave(struct monitor *m)
{
	struct handover state;
	struct err err;

	state_write(m, true, &state);
	become(m, &state, &err);
	handover_finish(&state);
	refuse(m, err.text);
}

static void look_again(struct loop_timer *timer)
{
	struct monitor *m = timer->context;

	if (m->upgrade.phase == UPGRADE_TRIAL) {
		m->upgrade.late = true;
		kill(m->upgrade.pid, SIGKILL); /* upgrade_reaped follows */
	} else if (state_is_whole(m)) {
		leave(m);
	} else if (m->upgrade.looks++ < LOOKS_MAX) {
		loop_timer_set(timer, LOOK_MS);
	} else {
		refuse(m, "its processes were not quiet for a moment within ten seconds");
	}
}

/* ---- the trial ---- */

/* Keeps the end of what it says. Returns false when there is nothing more. */
static bool read_some(struct upgrade *upgrade)
{
	char *said = upgrade->said;
	size_t half = sizeof(upgrade->said) / 2;
	ssize_t n;

	if (upgrade->said_size > half) {
		memmove(said, said + upgrade->said_size - half, half);
		upgrade->said_size = half;
	}
	n = read(upgrade->output_fd, said + upgrade->said_size,
		 sizeof(upgrade->said) - upgrade->said_size - 1);
	if (n > 0)
		upgrade->said_size += (size_t)n;
	return n > 0;
}

static void output_ready(struct loop_watch *watch, int what)
{
	struct monitor *m = watch->context;

	(void)what;
	if (!read_some(&m->upgrade))
		loop_watch_want(watch, 0);
}

/* The last line, which says what is wrong, without what no line of the log has. */
static const char *last_line(struct upgrade *upgrade)
{
	static const char head[] = "valijad: ";
	char *line = upgrade->said, *lf;

	while (upgrade->said_size && strchr("\n ", upgrade->said[upgrade->said_size - 1]))
		upgrade->said_size--;
	upgrade->said[upgrade->said_size] = '\0';
	while ((lf = strchr(line, '\n')) != NULL)
		line = lf + 1;
	for (char *c = line; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	return strncmp(line, head, sizeof(head) - 1) == 0 ? line + sizeof(head) - 1 : line;
}

static void trial_failed(struct monitor *m, int status, const char *said)
{
	struct err err;

	if (WIFSIGNALED(status) && m->upgrade.late)
		err_set(&err, EX_SOFTWARE, "%s did not end its check within %d seconds",
			m->upgrade.program, TRIAL_MS / 1000);
	else if (WIFSIGNALED(status))
		err_set(&err, EX_SOFTWARE, "%s was ended by signal %d (%s) while it was tried",
			m->upgrade.program, WTERMSIG(status), strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status) == EX_USAGE)
		err_set(&err, EX_SOFTWARE,
			"%s does not know how to take over: stop valijad and start it again",
			m->upgrade.program);
	else
		err_set(&err, EX_SOFTWARE, "%s cannot take over (exit code %d): %s",
			m->upgrade.program, WEXITSTATUS(status),
			*said ? said : "it gave no reason; it may be no valijad");
	refuse(m, err.text);
}

bool upgrade_reaped(struct monitor *m, pid_t pid, int status)
{
	struct upgrade *upgrade = &m->upgrade;
	const char *said;

	if (!upgrade->pid || pid != upgrade->pid)
		return false;
	upgrade->pid = 0;
	if (upgrade->phase != UPGRADE_TRIAL)
		return true;
	while (read_some(upgrade))
		;
	said = last_line(upgrade);
	if (status || strcmp(said, UPGRADE_YES) != 0) {
		trial_failed(m, status, said);
		return true;
	}
	begin_quiet(m);
	return true;
}

static int start_trial(struct monitor *m, int state_fd, struct err *err)
{
	struct upgrade *upgrade = &m->upgrade;
	char check[] = "-t", config_option[] = "-c", state_option[] = "--state=3";
	char *file = strdup(m->file);
	char *argv[] = {upgrade->program, check, config_option, file, state_option, NULL};
	int ends[2];

	if (!file || pipe2(ends, O_CLOEXEC) < 0) {
		free(file);
		return err_sys(err, EX_OSERR, errno, "cannot try %s", upgrade->program);
	}
	upgrade->pid = process_try(upgrade->program_fd, argv, &state_fd, 1, ends[1], err);
	close(ends[1]);
	free(file);
	if (upgrade->pid < 0) {
		upgrade->pid = 0;
		close(ends[0]);
		return -1;
	}
	(void)fcntl(ends[0], F_SETFL, O_NONBLOCK);
	upgrade->output_fd = ends[0];
	upgrade->said_size = 0;
	loop_watch_init(&upgrade->output, m->owner.loop, ends[0], output_ready, m);
	loop_watch_want(&upgrade->output, LOOP_READ);
	return 0;
}

static int try_program(struct monitor *m, struct err *err)
{
	struct handover state;
	int fd, rc;

	m->upgrade.program_fd = trusted_path_open(m->upgrade.program, err);
	if (m->upgrade.program_fd < 0)
		return -1;
	state_write(m, false, &state);
	fd = handover_seal(&state, err);
	handover_finish(&state);
	if (fd < 0)
		return -1;
	rc = start_trial(m, fd, err);
	close(fd);
	return rc;
}

void upgrade_begin(struct monitor *m)
{
	struct upgrade *upgrade = &m->upgrade;
	struct err err;

	if (m->stopping)
		return;
	upgrade->wanted = upgrade_waits(m) || upgrade->events->is_busy(m);
	if (upgrade->wanted) {
		log_info("the upgrade waits for the %s that is in progress",
			 upgrade_waits(m) || m->upgraded ? "upgrade" : "start or the reload");
		return;
	}
	upgrade->begun = loop_now(m->owner.loop);
	notify_reloading();
	log_info("an upgrade is asked for: trying %s", upgrade->program);
	if (try_program(m, &err) < 0) {
		refuse(m, err.text);
		return;
	}
	upgrade->phase = UPGRADE_TRIAL;
	upgrade->late = false;
	loop_timer_set(&upgrade->timer, TRIAL_MS);
}

void upgrade_note(struct monitor *m, const char *why)
{
	m->upgrade.count++;
	m->upgrade.last = why ? UPGRADE_REFUSED : UPGRADE_MADE;
	snprintf(m->upgrade.why, sizeof(m->upgrade.why), "%s", why ? why : "");
}

void upgrade_init(struct monitor *m, const struct upgrade_events *events)
{
	m->upgrade.events = events;
	m->upgrade.program_fd = m->upgrade.output_fd = -1;
	loop_timer_init(&m->upgrade.timer, m->owner.loop, look_again, m);
}

void upgrade_go_on(struct monitor *m)
{
	if (m->upgrade.wanted)
		upgrade_begin(m);
}
