/* See topic.h. Runs in the monitor, as root when that is root. */
#include "server/monitor/topic.h"

#include "base/text.h"

#include <stdlib.h>
#include <sysexits.h>

/* ---- generations ---- */

struct search {
	struct generation *serving;
	uint64_t instance;
	struct chan *chan;
};

static void look_for(void *context, struct generation *generation, enum generation_place place)
{
	struct search *search = context;

	if (place == GENERATION_SERVES)
		search->serving = generation;
	if (!search->chan && search->instance)
		search->chan = generation_channel(generation, search->instance);
}

struct generation *commands_serving(const struct commands *commands)
{
	struct search search = {.serving = NULL};

	commands->monitor->each(commands->owner, look_for, &search);
	return search.serving;
}

/* ---- answers ---- */

/* A process that has ended meanwhile gets none. */
static void answer(const struct commands *commands, uint64_t control, struct ipc_lines *message,
		   pop3_span tail)
{
	struct search search = {.instance = control};

	commands->monitor->each(commands->owner, look_for, &search);
	if (search.chan)
		(void)ipc_send_all(search.chan, IPC_LINES, message, &tail, 1, NULL, 0);
}

void commands_answer(const struct commands *commands, uint64_t control, uint64_t number,
		     const struct lines *lines)
{
	struct ipc_lines message = {.number = number, .count = lines->count, .status = LINES_END};

	answer(commands, control, &message, (pop3_span){lines->text, lines->whole});
}

void commands_answer_failed(const struct commands *commands, uint64_t control, uint64_t number,
			    const char *why, int code)
{
	struct ipc_lines message = {
		.number = number, .status = LINES_FAILED, .code = (uint32_t)code};
	char text[4 * IPC_TEXT_MAX];
	size_t size = text_escape(text, sizeof(text) - 1, span_of(why));

	answer(commands, control, &message, (pop3_span){text, size});
}

void topic_answer(const struct question *q, struct ipc_lines *message, pop3_span tail)
{
	answer(q->commands, q->control, message, tail);
}

void topic_fail(const struct question *q, const char *why, int code)
{
	commands_answer_failed(q->commands, q->control, q->ask->number, why, code);
}

struct lines *topic_lines(const struct question *q)
{
	struct lines *lines = calloc(1, sizeof(*lines));

	if (!lines)
		topic_fail(q, "the monitor has no memory for the answer", EX_OSERR);
	return lines;
}

void topic_send(const struct question *q, struct lines *lines)
{
	commands_answer(q->commands, q->control, q->ask->number, lines);
	free(lines);
}
