/* See asker.h. The child is confined as under valijad; what it sends is hostile. */
#include "cli/asker.h"

#include "base/secret.h"
#include "base/text.h"
#include "config/database.h"
#include "sys/chan.h"
#include "sys/process.h"
#include "users/lookups.h"

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
	START_MS = 20 * 1000,
	SLACK_MS = 1000, /* beyond the database's own time */
	QUEUE_MAX = 1 << 20,
	INSTANCE = 1, /* of auth, whom this process plays */
};

struct asker {
	struct loop *loop;
	struct loop_timer timer;
	struct chan monitor, peer; /* fd -1: not begun */
	int log_fd, config_fd;
	pid_t pid;
	struct lookup_program program;
	enum ipc_type got; /* READY, FAILED, ANSWER; IPC_NONE: nothing yet, or nothing came */
	struct asker_answer *answer;
	char why[IPC_TEXT_MAX + 1]; /* of FAILED */
};

/* ---- what the child sends ---- */

static void take(struct asker *asker, enum ipc_type type, const void *data)
{
	const struct ipc_answer *answer = data;

	if (type == IPC_FAILED)
		(void)span_copy(ipc_text(data, 0), asker->why, sizeof(asker->why));
	if (type == IPC_ANSWER) {
		asker->answer->status = (enum lookup_status)answer->status;
		asker->answer->size = answer->head.tail;
		memcpy(asker->answer->fields, ipc_tail(data), answer->head.tail);
	}
	asker->got = type;
	loop_stop(asker->loop);
}

static void packet(struct chan *chan, const void *data, size_t size, int *fds, unsigned fd_count)
{
	struct asker *asker = chan->context;
	bool monitor = chan == &asker->monitor;
	const char *why;
	enum ipc_type type = ipc_check(data, size, fd_count, ROLE_LOOKUP,
				       monitor ? ROLE_MONITOR : ROLE_AUTH, &why);

	(void)fds;
	if (type == IPC_NONE)
		chan_break(chan, why);
	else
		take(asker, type, data);
	if (type != IPC_NONE)
		ipc_wipe(data);
}

static void broken(struct chan *chan, const char *why)
{
	struct asker *asker = chan->context;

	if (!asker->why[0])
		snprintf(asker->why, sizeof(asker->why), "%s", why);
	loop_stop(asker->loop);
}

static const struct chan_handler handler = {.packet = packet, .broken = broken};

static void too_late(struct loop_timer *timer)
{
	loop_stop(((struct asker *)timer->context)->loop);
}

/* Waits for the next message of the child, or ms. */
static enum ipc_type wait_for(struct asker *asker, uint64_t ms)
{
	asker->got = IPC_NONE;
	loop_timer_set(&asker->timer, ms);
	loop_run(asker->loop);
	return asker->got;
}

/* ---- its start ---- */

static int open_log(struct asker *asker, int *ret_write, struct err *err)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return err_sys(err, EX_OSERR, errno, "cannot make a pipe");
	asker->log_fd = ends[0];
	*ret_write = ends[1];
	return 0;
}

static int spawn(struct asker *asker, struct err *err)
{
	char title[] = "valija: lookup", child[] = "--child";
	char *argv[] = {title, child, NULL};
	int pair[2] = {-1, -1}, log_fd = -1;

	if (chan_pair(pair, err) == 0 && open_log(asker, &log_fd, err) == 0)
		asker->pid = process_spawn(asker->program.program_fd, -1, argv, &pair[1], 1, log_fd,
					   err);
	if (log_fd >= 0)
		close(log_fd);
	if (pair[1] >= 0)
		close(pair[1]);
	if (asker->pid > 0)
		chan_init(&asker->monitor, asker->loop, &pair[0], &handler, asker, QUEUE_MAX);
	if (pair[0] >= 0)
		close(pair[0]);
	return asker->pid > 0 ? 0 : -1;
}

static int send_peer(struct asker *asker, struct err *err)
{
	struct ipc_peer message = {.instance = INSTANCE, .role = ROLE_AUTH};
	int pair[2];

	if (chan_pair(pair, err) < 0)
		return -1;
	ipc_send_fds(&asker->monitor, IPC_PEER, &message, &pair[1], 1);
	close(pair[1]);
	chan_init(&asker->peer, asker->loop, &pair[0], &handler, asker, QUEUE_MAX);
	return 0;
}

/* The messages that the monitor sends such a child (server/monitor/briefing.c). */
static int brief(struct asker *asker, uint32_t index, struct err *err)
{
	struct ipc_config config = {.instance = INSTANCE + 1,
				    .role = ROLE_LOOKUP,
				    .index = index,
				    .uid = asker->program.uid,
				    .gid = asker->program.gid,
				    .change_ids = geteuid() == 0,
				    .generation = 1};
	struct ipc_database database = {.size = asker->program.secrets_size, .index = index};
	struct ipc_empty start;

	ipc_send_fds(&asker->monitor, IPC_CONFIG, &config, &asker->config_fd, 1);
	ipc_send_fds(&asker->monitor, IPC_DATABASE, &database, &asker->program.secrets_fd, 1);
	if (send_peer(asker, err) < 0)
		return -1;
	ipc_send(&asker->monitor, IPC_START, &start);
	switch (wait_for(asker, START_MS)) {
	case IPC_READY:
		return 0;
	case IPC_FAILED:
		return err_set(err, EX_UNAVAILABLE, "%s", asker->why);
	default:
		return err_set(err, EX_UNAVAILABLE, "its program does not start: %s",
			       asker->why[0] ? asker->why : "no answer");
	}
}

static int begin(struct asker *asker, const struct config *config,
		 const struct config_database *database, struct err *err)
{
	uint32_t index = (uint32_t)(database - config->databases);

	if (lookup_open(&asker->program, config, database, geteuid() == 0, err) < 0)
		return -1;
	asker->config_fd = config_seal(config, err);
	asker->loop = asker->config_fd < 0 ? NULL : loop_create(err);
	if (!asker->loop)
		return -1;
	loop_timer_init(&asker->timer, asker->loop, too_late, asker);
	return spawn(asker, err) < 0 ? -1 : brief(asker, index, err);
}

/* ---- the question ---- */

static int send_question(struct asker *asker, uint32_t deadline, pop3_span name,
			 const pop3_span *password)
{
	struct ipc_find find = {.id = 1, .purpose = LOOKUP_CLI, .deadline = deadline, .count = 1};
	struct ipc_verify verify = {.id = 1,
				    .kind = LOOKUP_PASSWORD,
				    .purpose = LOOKUP_CLI,
				    .deadline = deadline,
				    .tls = 1};
	pop3_span texts[2] = {name}, parts[] = {name, {"", 1}};

	if (!password)
		return ipc_send_all(&asker->peer, IPC_FIND, &find, parts, 2, NULL, 0);
	texts[1] = *password;
	return ipc_send_texts(&asker->peer, IPC_VERIFY, &verify, texts, 2);
}

/* Takes what the process logged, without the level in front of each line. */
static void read_log(const struct asker *asker)
{
	char *said = asker->answer->said, text[sizeof(asker->answer->said)];
	ssize_t n = asker->log_fd < 0 ? 0 : read(asker->log_fd, text, sizeof(text) - 1);
	char *line = text, *rest;

	said[0] = text[n > 0 ? n : 0] = '\0';
	while ((line = strtok_r(line, "\n", &rest))) {
		size_t used = strlen(said);

		if (line[0] == '<' && line[1] && line[2] == '>')
			line += 3;
		snprintf(said + used, sizeof(asker->answer->said) - used, "%s%s", used ? "; " : "",
			 line);
		line = NULL;
	}
}

static void finish(struct asker *asker)
{
	if (asker->pid > 0) {
		kill(asker->pid, SIGKILL); /* it has nothing to finish */
		waitpid(asker->pid, NULL, 0);
	}
	if (asker->monitor.loop)
		chan_finish(&asker->monitor);
	if (asker->peer.loop)
		chan_finish(&asker->peer);
	if (asker->loop) {
		loop_timer_cancel(&asker->timer);
		loop_destroy(asker->loop);
	}
	if (asker->log_fd >= 0)
		close(asker->log_fd);
	if (asker->config_fd >= 0)
		close(asker->config_fd);
	lookup_close(&asker->program);
}

int asker_ask(const struct config *config, const struct config_database *database, pop3_span name,
	      const pop3_span *password, struct asker_answer *ret, struct err *err)
{
	struct asker asker = {.log_fd = -1, .config_fd = -1, .pid = -1, .answer = ret};
	uint32_t ms = (uint32_t)(config_database_number(config, database, "timeout") * 1000);
	int rc = -1;

	memset(ret, 0, sizeof(*ret));
	if (begin(&asker, config, database, err) == 0) {
		if (send_question(&asker, ms, name, password) == 0 &&
		    wait_for(&asker, ms + SLACK_MS) == IPC_ANSWER)
			rc = 0;
		else
			err_set(err, EX_TEMPFAIL, "it does not answer%s%s",
				asker.why[0] ? ": " : "", asker.why);
	}
	read_log(&asker);
	finish(&asker);
	return rc;
}
