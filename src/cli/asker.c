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
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum {
	START_MS = 20 * 1000,
	SLACK_MS = 1000, /* beyond the database's own time */
	LIST_MS = IPC_LOOKUP_DEADLINE_MAX,
	NAME_ROOM = 4096,
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

/* kind LOOKUP_FIND: without a secret. */
static int send_question(struct asker *asker, uint32_t deadline, enum lookup_kind kind,
			 pop3_span name, pop3_span secret)
{
	struct ipc_find find = {.id = 1, .purpose = LOOKUP_CLI, .deadline = deadline, .count = 1};
	struct ipc_verify verify = {
		.id = 1, .kind = kind, .purpose = LOOKUP_CLI, .deadline = deadline, .tls = 1};
	pop3_span texts[2] = {name, secret}, parts[] = {name, {"", 1}};

	if (kind == LOOKUP_FIND)
		return ipc_send_all(&asker->peer, IPC_FIND, &find, parts, 2, NULL, 0);
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

static int ask(const struct config *config, const struct config_database *database,
	       enum lookup_kind kind, pop3_span name, pop3_span secret, struct asker_answer *ret,
	       struct err *err)
{
	struct asker asker = {.log_fd = -1, .config_fd = -1, .pid = -1, .answer = ret};
	uint32_t ms = (uint32_t)(config_database_number(config, database, "timeout") * 1000);
	int rc = -1;

	memset(ret, 0, sizeof(*ret));
	if (begin(&asker, config, database, err) == 0) {
		if (send_question(&asker, ms, kind, name, secret) == 0 &&
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

int asker_ask(const struct config *config, const struct config_database *database, pop3_span name,
	      const pop3_span *password, struct asker_answer *ret, struct err *err)
{
	return ask(config, database, password ? LOOKUP_PASSWORD : LOOKUP_FIND, name,
		   password ? *password : (pop3_span){"", 0}, ret, err);
}

int asker_access(const struct config *config, const struct config_database *database,
		 pop3_span name, struct asker_answer *ret, struct err *err)
{
	return ask(config, database, LOOKUP_ACCESS, name, (pop3_span){"", 0}, ret, err);
}

/* ---- lists ---- */

bool asker_can_list(const struct config_database *database)
{
	return database->driver != DRIVER_HTTP && database->driver != DRIVER_OAUTH;
}

struct names {
	int fd;
	void (*each)(void *context, pop3_span name);
	void *context;
	uint64_t deadline;
	size_t size;
	char text[NAME_ROOM];
};

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Takes the whole names off the front; the rest of the text stays. -1: one is without end. */
static int take_names(struct names *names)
{
	const char *at = names->text, *end = at + names->size, *nul;

	for (; (nul = memchr(at, 0, (size_t)(end - at))); at = nul + 1)
		names->each(names->context, (pop3_span){at, (size_t)(nul - at)});
	names->size = (size_t)(end - at);
	memmove(names->text, at, names->size);
	return names->size < sizeof(names->text) ? 0 : -1;
}

/* Up to the end of the pipe. */
static int read_names(struct names *names, struct err *err)
{
	for (;;) {
		uint64_t now = now_ms();
		struct pollfd ready = {.fd = names->fd, .events = POLLIN};
		int left = now < names->deadline ? (int)(names->deadline - now) : 0;
		ssize_t n = poll(&ready, 1, left);

		if (n > 0)
			n = read(names->fd, names->text + names->size,
				 sizeof(names->text) - names->size);
		else if (n == 0)
			return err_set(err, EX_TEMPFAIL, "it does not come to an end");
		if (n == 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return err_sys(err, EX_IOERR, errno, "its names cannot be read");
		names->size += n > 0 ? (size_t)n : 0;
		if (take_names(names) < 0)
			return err_set(err, EX_PROTOCOL, "its program sends what is no name");
	}
}

static int list_names(struct asker *asker, struct names *names, struct err *err)
{
	struct ipc_list message = {.id = 1, .deadline = LIST_MS};
	int ends[2], rc;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(err, EX_OSERR, errno, "cannot make a pipe");
	rc = ipc_send_fds(&asker->peer, IPC_LIST, &message, &ends[1], 1);
	close(ends[1]);
	names->fd = ends[0];
	names->deadline = now_ms() + LIST_MS + SLACK_MS;
	if (rc == 0)
		rc = read_names(names, err);
	else
		err_set(err, EX_TEMPFAIL, "its program takes no question");
	close(ends[0]);
	if (rc < 0)
		return -1;
	if (wait_for(asker, SLACK_MS) != IPC_ANSWER)
		return err_set(err, EX_TEMPFAIL, "it does not answer%s%s",
			       asker->why[0] ? ": " : "", asker->why);
	if (asker->answer->status == LOOKUP_FOUND)
		return 0;
	return err_set(err, EX_TEMPFAIL, "not all users are there");
}

int asker_list(const struct config *config, const struct config_database *database,
	       void (*each)(void *context, pop3_span name), void *context, char *said, size_t size,
	       struct err *err)
{
	struct asker_answer *answer = calloc(1, sizeof(*answer));
	struct names *names = calloc(1, sizeof(*names));
	struct asker asker = {.log_fd = -1, .config_fd = -1, .pid = -1, .answer = answer};
	int rc = -1;

	said[0] = '\0';
	if (!answer || !names) {
		err_set(err, EX_OSERR, "out of memory");
	} else {
		names->each = each;
		names->context = context;
		rc = begin(&asker, config, database, err);
		if (rc == 0)
			rc = list_names(&asker, names, err);
		read_log(&asker);
		snprintf(said, size, "%s", answer->said);
		finish(&asker);
	}
	free(names);
	free(answer);
	return rc;
}
