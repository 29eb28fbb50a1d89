/* See commands.h. Runs in the monitor, as root when that is root. */
#include "server/monitor/commands.h"

#include "base/log.h"
#include "base/text.h"
#include "server/monitor/topic.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sysexits.h>

enum {
	VALUE_MAX = 500, /* octets of a setting's value in an answer */
};

static const char *const levels[LOG_LEVEL_COUNT] = {"error", "warning", "info", "debug"};

/* ---- reload, upgrade ---- */

static void begin(const struct question *q, enum commands_wanted wanted,
		  enum commands_begun (*what)(struct generation_owner *owner), const char *name)
{
	struct commands_waiting *place = NULL;

	for (size_t i = 0; i < COMMANDS_WAITING_MAX && !place; i++)
		if (!q->commands->waiting[i].control)
			place = &q->commands->waiting[i];
	if (!place) {
		topic_fail(q, "too many wait for a reload or an upgrade already: try again",
			   EX_TEMPFAIL);
		return;
	}
	log_info("control: %s, by-uid=%u", name, q->uid);
	*place = (struct commands_waiting){
		.control = q->control, .number = q->ask->number, .wanted = wanted};
	switch (what(q->commands->owner)) {
	case BEGUN_NOW:
		return; /* it may be over already, and place free */
	case BEGUN_LATER:
		place->later = true;
		return;
	case BEGUN_NEVER:
		place->control = 0;
		topic_fail(q, "valijad is stopping", EX_UNAVAILABLE);
	}
}

static void reload(const struct question *q)
{
	begin(q, WANTS_RELOAD, q->commands->monitor->reload, "reload");
}

static void upgrade(const struct question *q)
{
	begin(q, WANTS_UPGRADE, q->commands->monitor->upgrade, "upgrade");
}

struct changes {
	struct lines *lines;
	unsigned left_out;
};

/* The end of a long value is cut, so that many changes have room. */
static const char *cut(const char *value, char buf[VALUE_MAX + 4])
{
	snprintf(buf, VALUE_MAX + 4, "%.*s%s", VALUE_MAX, value,
		 strlen(value) > VALUE_MAX ? "..." : "");
	return buf;
}

static void write_change(void *context, const struct config_change *change)
{
	struct changes *changes = context;
	struct lines *lines = changes->lines;
	char value[VALUE_MAX + 4];

	/* room is left for the last line */
	if (sizeof(lines->text) - lines->whole < 2 * 4 * sizeof(value) + 4 * CONFIG_NAME_MAX) {
		changes->left_out++;
		return;
	}
	lines_begin(lines, "changed");
	lines_words(lines, change->name);
	lines_words(lines, cut(change->old, value));
	lines_words(lines, cut(change->new, value));
	lines_words(lines, change->scope == CONFIG_AT_ONCE ? "at-once" : "new-sessions");
	if (!lines_end(lines))
		changes->left_out++;
}

static void write_changes(struct lines *lines, const struct generation *before,
			  const struct generation *now)
{
	struct changes changes = {lines, 0};

	lines_begin(lines, "serving");
	lines_number(lines, generation_number(now));
	lines_end(lines);
	if (generation_is_adopted(before)) {
		lines_begin(lines, "not-compared");
		lines_end(lines);
		return;
	}
	config_difference(generation_config(before), generation_config(now), write_change,
			  &changes);
	if (changes.left_out) {
		lines_begin(lines, "left-out");
		lines_number(lines, changes.left_out);
		lines_end(lines);
	}
}

/* The next one that waits for what is over now; 0: there is none any more, and the others wait for
 * the next. */
static uint64_t next_waiting(struct commands *commands, enum commands_wanted wanted,
			     uint64_t *ret_number)
{
	for (size_t i = 0; i < COMMANDS_WAITING_MAX; i++) {
		struct commands_waiting *waiting = &commands->waiting[i];
		uint64_t control = waiting->control;

		if (!control || waiting->later || waiting->wanted != wanted)
			continue;
		*ret_number = waiting->number;
		waiting->control = 0;
		return control;
	}
	for (size_t i = 0; i < COMMANDS_WAITING_MAX; i++)
		commands->waiting[i].later &= commands->waiting[i].wanted != wanted;
	return 0;
}

static void refuse_all(struct commands *commands, enum commands_wanted wanted, const char *why,
		       int code)
{
	uint64_t control, number;

	while ((control = next_waiting(commands, wanted, &number)))
		commands_answer_failed(commands, control, number, why, code);
}

void commands_refused(struct commands *commands, const char *why)
{
	refuse_all(commands, WANTS_RELOAD, why, EX_CONFIG);
	if (commands->log_level >= 0)
		log_set_level((enum log_level)commands->log_level);
}

/* A reload that was asked for meanwhile begins now. */
void commands_not_upgraded(struct commands *commands, const char *why)
{
	refuse_all(commands, WANTS_UPGRADE, why, EX_SOFTWARE);
	for (size_t i = 0; i < COMMANDS_WAITING_MAX; i++)
		commands->waiting[i].later = false;
}

void commands_upgraded(struct commands *commands, const struct commands_made *made)
{
	struct lines *lines = calloc(1, sizeof(*lines));
	uint64_t control, number;

	if (!lines) {
		refuse_all(commands, WANTS_UPGRADE,
			   "upgraded, but the monitor has no memory for the answer", EX_OSERR);
		return;
	}
	lines_begin(lines, "upgraded");
	lines_words(lines, made->before);
	lines_words(lines, made->now);
	lines_words(lines, made->program);
	lines_number(lines, made->ms);
	lines_end(lines);
	lines_begin(lines, "serving");
	lines_number(lines, generation_number(made->generation));
	lines_end(lines);
	if (made->drained) {
		lines_begin(lines, "drained");
		lines_end(lines);
	}
	while ((control = next_waiting(commands, WANTS_UPGRADE, &number)))
		commands_answer(commands, control, number, lines);
	free(lines);
}

/* ---- the log's level ---- */

void commands_brief(const struct commands *commands, struct chan *chan)
{
	struct ipc_log_level message = {.level = (uint32_t)commands->log_level};

	if (commands->log_level >= 0)
		(void)ipc_send(chan, IPC_LOG_LEVEL, &message);
}

static void send_level(void *context, struct generation *generation, enum generation_place place)
{
	const struct commands *commands = context;
	struct ipc_log_level message = {.level = generation_config(generation)->log_level};

	(void)place;
	if (commands->log_level >= 0)
		message.level = (uint32_t)commands->log_level;
	generation_send_log_level(generation, message.level);
}

static void set_level(const struct question *q, unsigned level)
{
	log_set_level(LOG_LEVEL_INFO); /* this line is there, whatever the level was and will be */
	log_info("control: log-level %s, by-uid=%u", levels[level], q->uid);
	log_set_level((enum log_level)level);
	q->commands->log_level = (int)level;
	q->commands->monitor->each(q->commands->owner, send_level, q->commands);
}

static void log_level(const struct question *q)
{
	const struct generation *now = commands_serving(q->commands);
	pop3_span wanted = ipc_text(q->ask, 0);
	unsigned level = LOG_LEVEL_COUNT, configured;
	struct lines *lines;

	for (unsigned i = 0; i < LOG_LEVEL_COUNT; i++)
		if (span_equal(wanted, span_of(levels[i])))
			level = i;
	if (wanted.size && level == LOG_LEVEL_COUNT) {
		topic_fail(q, "there is no such level: error, warning, info, debug", EX_USAGE);
		return;
	}
	configured = generation_config(now ? now : q->from)->log_level;
	lines = topic_lines(q);
	if (!lines)
		return;
	if (wanted.size)
		set_level(q, level);
	lines_begin(lines, "log-level");
	lines_words(lines, levels[q->commands->log_level >= 0 ? (unsigned)q->commands->log_level
							      : configured]);
	lines_words(lines, levels[configured]);
	lines_end(lines);
	topic_send(q, lines);
}

void commands_changed(struct commands *commands, const struct generation *before,
		      const struct generation *now, bool upgraded)
{
	free(commands->changes);
	commands->changes = calloc(1, sizeof(*commands->changes));
	if (commands->changes)
		write_changes(commands->changes, before, now);
	if (commands->log_level < 0)
		return;
	if (upgraded) {
		log_set_level((enum log_level)commands->log_level);
		return;
	}
	commands->log_level = -1;
	log_set_level((enum log_level)generation_config(now)->log_level);
	commands->monitor->each(commands->owner, send_level, commands);
}

void commands_reloaded(struct commands *commands)
{
	uint64_t control, number;

	while ((control = next_waiting(commands, WANTS_RELOAD, &number)))
		if (commands->changes)
			commands_answer(commands, control, number, commands->changes);
		else
			commands_answer_failed(
				commands, control, number,
				"reloaded, but the monitor has no memory for the answer", EX_OSERR);
	free(commands->changes);
	commands->changes = NULL;
}

/* ---- questions ---- */

static const struct {
	void (*run)(const struct question *question);
} topics[TOPICS] = {
	[TOPIC_RELOAD] = {reload},
	[TOPIC_LOG_LEVEL] = {log_level},
	[TOPIC_DRAIN] = {topic_drain},
	[TOPIC_LISTENERS] = {topic_listeners},
	[TOPIC_GENERATIONS] = {topic_generations},
	[TOPIC_PROCESSES] = {topic_processes},
	[TOPIC_UPGRADE] = {upgrade},
	[TOPIC_PROGRAM] = {topic_program},
};

/* True: fd is a connection that was made to the control socket of config, not one that the process
 * had otherwise: of the channel to the monitor, or of the socket that it accepts from, the kernel
 * would name the monitor as the peer. */
static bool is_connection(int fd, const struct config *config)
{
	struct sockaddr_un own = {.sun_family = AF_UNSPEC}, peer;
	socklen_t size = sizeof(own), peer_size = sizeof(peer), int_size = sizeof(int);
	int type = 0, accepts = 1;

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &int_size) < 0 || type != SOCK_STREAM ||
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &int_size) < 0 || accepts ||
	    getpeername(fd, (struct sockaddr *)&peer, &peer_size) < 0 ||
	    getsockname(fd, (struct sockaddr *)&own, &size) < 0 || own.sun_family != AF_UNIX ||
	    size <= offsetof(struct sockaddr_un, sun_path))
		return false;
	for (uint32_t i = 0; i < config->listener_count; i++)
		if (config->listeners[i].service == SERVICE_CONTROL &&
		    strncmp(config->listeners[i].address, own.sun_path, sizeof(own.sun_path)) == 0)
			return true;
	return false;
}

static bool is_obeyed(const struct question *q, int fd, uint32_t *ret_uid)
{
	const struct generation *now = commands_serving(q->commands);
	struct ucred person;
	socklen_t size = sizeof(person);

	if (fd < 0 || !is_connection(fd, generation_config(q->from)) ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &person, &size) < 0 || size != sizeof(person))
		return false;
	*ret_uid = person.uid;
	return generation_obeys(now ? now : q->from, person.uid, person.gid);
}

void commands_init(struct commands *commands, struct generation_owner *owner,
		   const struct commands_monitor *monitor)
{
	*commands = (struct commands){.owner = owner, .monitor = monitor, .log_level = -1};
}

void commands_finish(struct commands *commands)
{
	free(commands->changes);
}

void commands_ask(struct commands *commands, struct generation *from, uint64_t control,
		  const struct ipc_ask *ask, int fd)
{
	struct question q = {.commands = commands, .from = from, .control = control, .ask = ask};
	struct ipc_lines refusal = {.number = ask->number, .status = LINES_REFUSED};

	if (is_obeyed(&q, fd, &q.uid) && topics[ask->topic].run)
		topics[ask->topic].run(&q);
	else
		topic_answer(&q, &refusal, (pop3_span){"", 0});
}
