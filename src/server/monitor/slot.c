/* See slot.h. Runs in the monitor, as root when that is root; every packet of a child is hostile
 * until ipc_check has passed it. */
#include "server/monitor/slot.h"

#include "base/log.h"
#include "sys/process.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	BACK_OFF_FIRST = 10,  /* ms */
	BACK_OFF_MOST = 800,  /* ms: service is back within a second */
	GOOD_LIFE = 10000,    /* ms: a process that lived longer is started again at once */
	STUCK = 1500,         /* ms from SIGKILL until a process is given up */
	QUEUE_MAX = 1u << 20, /* octets that may wait for a child that does not read */
};

static void packet(struct chan *chan, const void *data, size_t size, int *fds, unsigned fd_count)
{
	struct slot *slot = chan->context;
	const char *why;
	enum ipc_type type = ipc_check(data, size, fd_count, slot->role, ROLE_MONITOR, &why);

	slot->unanswered = 0;
	if (type == IPC_NONE)
		chan_break(chan, why);
	else
		slot->events->message(slot, type, data, fds);
}

static void broken(struct chan *chan, const char *why)
{
	struct slot *slot = chan->context;

	(void)why;
	chan_finish(chan);
	slot->has_chan = false;
	/* a child without a monitor exits by itself; a child that broke the rules must be killed */
	slot_kill(slot);
}

static const struct chan_handler handler = {.packet = packet, .broken = broken};

static void time_over(struct loop_timer *timer)
{
	struct slot *slot = timer->context;

	slot->events->again(slot);
}

void slot_init(struct slot *slot, struct loop *loop, struct generation *generation,
	       const struct slot_events *events)
{
	slot->loop = loop;
	slot->generation = generation;
	slot->events = events;
	slot->group_size = 1;
	loop_timer_init(&slot->timer, loop, time_over, slot);
	log_pipe_init(&slot->log, loop);
}

static void close_channel(struct slot *slot)
{
	if (slot->has_chan)
		chan_finish(&slot->chan);
	slot->has_chan = false;
}

void slot_finish(struct slot *slot)
{
	loop_timer_cancel(&slot->timer);
	close_channel(slot);
	log_pipe_finish(&slot->log);
	free(slot->home);
	slot->home = NULL;
}

/* The process has fd and a pipe for what it logs. */
static int spawn(struct slot *slot, int exe_fd, int network_fd, int fd, struct err *err)
{
	char title[64], child_argument[] = "--child";
	char *argv[] = {title, child_argument, NULL};
	const char *role = ipc_role_name(slot->role);
	int log_fd;
	pid_t pid;

	if (log_pipe_open(&slot->log, &log_fd, err) < 0)
		return -1;
	if (slot->on_demand)
		snprintf(title, sizeof(title), "valijad: keeper of uid %u", slot->uid);
	else
		snprintf(title, sizeof(title), "valijad: %s %u", role, slot->index);
	pid = process_spawn(exe_fd, network_fd, argv, &fd, 1, log_fd, err);
	close(log_fd);
	if (pid < 0) {
		log_pipe_finish(&slot->log);
		return -1;
	}
	slot->pid = pid;
	log_pipe_start(&slot->log, role, slot->index, pid);
	return 0;
}

int slot_start(struct slot *slot, int exe_fd, int network_fd, uint64_t instance, struct err *err)
{
	int pair[2], rc;

	if (chan_pair(pair, err) < 0)
		return -1;
	rc = spawn(slot, exe_fd, network_fd, pair[1], err);
	close(pair[1]);
	if (rc < 0) {
		close(pair[0]);
		slot->pid = 0;
		return -1;
	}
	slot->instance = instance;
	slot->started = loop_now(slot->loop);
	slot->ready = slot->leaving = slot->wanted = false;
	slot->used = slot->started;
	slot->unanswered = 0;
	slot->killed = 0;
	if (slot->on_demand)
		slot->ever_ready = false;
	chan_init(&slot->chan, slot->loop, &pair[0], &handler, slot, QUEUE_MAX);
	slot->has_chan = true;
	if (slot->events->brief(slot, err) == 0)
		return 0;
	slot_kill(slot); /* slot_reaped starts it again */
	return -1;
}

void slot_adopt(struct slot *slot, pid_t pid, int *channel_fd, int *log_fd)
{
	slot->pid = pid;
	if (*log_fd >= 0) {
		log_pipe_adopt(&slot->log, log_fd);
		log_pipe_start(&slot->log, ipc_role_name(slot->role), slot->index, pid);
	}
	slot->has_chan = *channel_fd >= 0;
	if (slot->has_chan)
		chan_init(&slot->chan, slot->loop, channel_fd, &handler, slot, QUEUE_MAX);
	else
		slot_kill(slot);
}

void slot_start_later(struct slot *slot)
{
	uint64_t lived = loop_now(slot->loop) - slot->started;

	slot->back_off = lived > GOOD_LIFE || !slot->back_off ? BACK_OFF_FIRST : slot->back_off * 3;
	if (slot->back_off > BACK_OFF_MOST)
		slot->back_off = BACK_OFF_MOST;
	loop_timer_set(&slot->timer, slot->back_off);
}

void slot_start_last(struct slot *slot)
{
	loop_timer_set(&slot->timer, BACK_OFF_MOST);
}

void slot_no_more_starts(struct slot *slot)
{
	loop_timer_cancel(&slot->timer);
}

void slot_kill(struct slot *slot)
{
	if (slot->pid <= 0)
		return;
	kill(slot->pid, SIGKILL);
	if (!slot->killed)
		slot->killed = loop_now(slot->loop);
}

void slot_ping(struct slot *slot, unsigned most, unsigned seconds)
{
	struct ipc_empty ping;

	if (!slot->has_chan || !most || slot->killed)
		return;
	if (slot->unanswered < most) {
		slot->unanswered++;
		ipc_send(&slot->chan, IPC_PING, &ping);
		return;
	}
	log_error("%s %u (pid %d) has not answered for %u seconds: it is replaced",
		  ipc_role_name(slot->role), slot->index, (int)slot->pid, seconds);
	slot_kill(slot);
}

bool slot_is_stuck(const struct slot *slot)
{
	return slot->pid > 0 && slot->killed && loop_now(slot->loop) - slot->killed >= STUCK;
}

void slot_abandon(struct slot *slot)
{
	log_error("%s %u (pid %d) hangs in the kernel and cannot be ended: it is given up; look "
		  "for a file system that does not answer",
		  ipc_role_name(slot->role), slot->index, (int)slot->pid);
	slot->pid = 0;
	slot->ready = false;
	close_channel(slot);
}

bool slot_has_exited(const struct slot *slot)
{
	siginfo_t info = {.si_pid = 0};

	return slot->pid > 0 &&
	       waitid(P_PID, (id_t)slot->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
	       info.si_pid == slot->pid;
}

static void log_end(const struct slot *slot, int status, bool quiet)
{
	const char *role = ipc_role_name(slot->role);

	if (WIFSIGNALED(status))
		log_warning("%s %u (pid %d) was ended by signal %d (%s)", role, slot->index,
			    (int)slot->pid, WTERMSIG(status), strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status) || !quiet)
		log_warning("%s %u (pid %d) ended with exit code %d", role, slot->index,
			    (int)slot->pid, WEXITSTATUS(status));
}

void slot_reaped(struct slot *slot, int status, bool quiet)
{
	log_pipe_finish(&slot->log); /* its last lines stand before the line of its end */
	log_end(slot, status, quiet);
	slot->pid = 0;
	if (slot->has_chan) /* why it failed may be among what it sent last */
		chan_take_rest(&slot->chan);
	slot->ready = false;
	close_channel(slot);
}
