/* Of topic.h: what there is now, for people. Runs in the monitor, as root when that is root. */
#include "server/monitor/topic.h"

#include "base/log.h"
#include "build-config.h"
#include "config/listener.h"
#include "server/counters.h"
#include "server/lines.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

/* ---- listeners ---- */

static const char *service_name(enum config_service service)
{
	return service == SERVICE_STATUS ? "metrics" : counters_label_value(SET_SERVICE, service);
}

static void write_listener(struct lines *lines, const char *kind,
			   const struct config_listener *wanted, uint16_t port, int sockets)
{
	struct config_listener copy = *wanted;
	char where[CONFIG_PATH_MAX + 16];

	copy.port = port;
	config_listener_print(&copy, where, sizeof(where));
	lines_begin(lines, kind);
	lines_words(lines, service_name(wanted->service));
	lines_words(lines, where);
	if (sockets >= 0) {
		lines_number(lines, (unsigned)sockets);
		lines_words(lines, sockets ? "open" : "closed");
	}
	lines_end(lines);
}

void topic_listeners(const struct question *q)
{
	const struct generation *now = commands_serving(q->commands);
	const struct config *config = generation_config(now ? now : q->from);
	struct lines *lines = topic_lines(q);

	if (!lines)
		return;
	for (uint32_t i = 0; i < config->listener_count; i++) {
		uint16_t port;
		unsigned sockets = listeners_count(q->commands->owner->listeners,
						   &config->listeners[i], &port);

		write_listener(lines, "listener", &config->listeners[i], port, (int)sockets);
	}
	topic_send(q, lines);
}

/* ---- drain ---- */

void topic_drain(const struct question *q)
{
	const struct generation *now = commands_serving(q->commands);
	struct lines *lines = topic_lines(q);
	uint16_t port;

	if (!lines)
		return;
	for (uint32_t i = 0; now && i < generation_config(now)->listener_count; i++) {
		const struct config_listener *wanted = &generation_config(now)->listeners[i];

		if (wanted->service <= SERVICE_LMTP &&
		    listeners_count(q->commands->owner->listeners, wanted, &port))
			write_listener(lines, "closed", wanted, port, -1);
	}
	if (now && q->commands->monitor->drain(q->commands->owner)) {
		log_info("control: drain, by-uid=%u", q->uid);
		topic_send(q, lines);
		return;
	}
	free(lines);
	topic_fail(q, "the server is starting or reloads: try again when that is over",
		   EX_TEMPFAIL);
}

/* ---- the program ---- */

void topic_program(const struct question *q)
{
	struct commands_program of = {.path = NULL};
	struct lines *lines = topic_lines(q);

	if (!lines)
		return;
	q->commands->monitor->program(q->commands->owner, &of);
	lines_begin(lines, "program");
	lines_words(lines, VALIJA_VERSION);
	lines_words(lines, of.path);
	lines_number(lines, of.since);
	lines_words(lines, of.upgrading ? "upgrading" : of.drained ? "drained" : "serving");
	lines_number(lines, of.upgrades);
	lines_words(lines, of.last ? of.last : "");
	lines_words(lines, of.reason ? of.reason : "");
	lines_end(lines);
	topic_send(q, lines);
}

/* ---- generations and processes ---- */

struct counting {
	uint64_t processes;
};

static void count_process(void *context, const struct generation *generation,
			  const struct generation_process *process)
{
	(void)generation;
	((struct counting *)context)->processes += process->pid > 0;
}

static void write_generation(void *context, struct generation *generation,
			     enum generation_place place)
{
	static const char *const places[] = {"starting", "serving", "draining"};
	struct lines *lines = context;
	struct counting counting = {0};

	generation_processes(generation, count_process, &counting);
	lines_begin(lines, "generation");
	lines_number(lines, generation_number(generation));
	lines_words(lines, places[place]);
	lines_number(lines, generation_since(generation));
	lines_number(lines, counting.processes);
	lines_end(lines);
}

void topic_generations(const struct question *q)
{
	struct lines *lines = topic_lines(q);

	if (!lines)
		return;
	q->commands->monitor->each(q->commands->owner, write_generation, lines);
	topic_send(q, lines);
}

/* The processes with the lowest instances beyond the last page, in order. */
struct processes {
	uint64_t after;
	uint32_t count;
	bool more;
	struct process_line {
		struct generation_process process;
		uint32_t generation;
	} list[LINES_PAGE];
};

static void enter_process(void *context, const struct generation *generation,
			  const struct generation_process *process)
{
	struct processes *page = context;
	uint32_t at = page->count;

	if (process->instance <= page->after)
		return;
	while (at > 0 && page->list[at - 1].process.instance > process->instance)
		at--;
	page->more |= page->count == LINES_PAGE;
	if (at == LINES_PAGE)
		return;
	if (page->count < LINES_PAGE)
		page->count++;
	memmove(&page->list[at + 1], &page->list[at],
		(page->count - 1 - at) * sizeof(page->list[0]));
	page->list[at] = (struct process_line){*process, generation_number(generation)};
}

static void enter_processes(void *context, struct generation *generation,
			    enum generation_place place)
{
	(void)place;
	generation_processes(generation, enter_process, context);
}

static const char *state_of(const struct generation_process *process)
{
	if (process->pid <= 0)
		return "ended";
	return process->killed ? "killed" : process->ready ? "ready" : "starting";
}

static void write_process(struct lines *lines, const struct process_line *line)
{
	const struct generation_process *process = &line->process;

	lines_begin(lines, "process");
	lines_number(lines, line->generation);
	lines_words(lines, ipc_role_name(process->role));
	lines_number(lines, process->index);
	lines_number(lines, process->pid > 0 ? (uint64_t)process->pid : 0);
	lines_number(lines, process->uid);
	lines_words(lines, state_of(process));
	lines_number(lines, process->seconds);
	lines_end(lines);
}

void topic_processes(const struct question *q)
{
	struct processes *page = calloc(1, sizeof(*page));
	struct lines *lines = page ? topic_lines(q) : NULL;
	struct ipc_lines message = {.number = q->ask->number, .status = LINES_END};

	if (lines) {
		page->after = q->ask->cursor[0];
		q->commands->monitor->each(q->commands->owner, enter_processes, page);
		for (uint32_t i = 0; i < page->count; i++)
			write_process(lines, &page->list[i]);
		if (page->more) {
			message.status = LINES_MORE;
			message.cursor[0] = page->list[page->count - 1].process.instance;
		}
		message.count = lines->count;
		topic_answer(q, &message, (pop3_span){lines->text, lines->whole});
	}
	free(lines);
	free(page);
}
