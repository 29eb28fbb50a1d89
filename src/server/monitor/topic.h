/*
 * A question of a person whose right was judged (commands.h), while it is answered: each topic of
 * the monitor is a function of one. Runs in the monitor, as root when that is root.
 */
#ifndef SERVER_MONITOR_TOPIC_H
#define SERVER_MONITOR_TOPIC_H

#include "server/lines.h"
#include "server/monitor/commands.h"

struct question {
	struct commands *commands;
	struct generation *from;
	uint64_t control; /* the instance of the process that passed it on */
	const struct ipc_ask *ask;
	uint32_t uid; /* of the person */
};

/* The generation that serves; NULL: none does yet. */
struct generation *commands_serving(const struct commands *commands);
/* The answer to the question of that number, which that process passed on, where it is still there:
 * all of lines; or a reason, and the code that a program ends with (sysexits.h). */
void commands_answer(const struct commands *commands, uint64_t control, uint64_t number,
		     const struct lines *lines);
void commands_answer_failed(const struct commands *commands, uint64_t control, uint64_t number,
			    const char *why, int code);
/* One packet of the answer; a process that has ended meanwhile gets none. */
void topic_answer(const struct question *question, struct ipc_lines *message, pop3_span tail);
/* Ends the answer: with a reason, and the code that a program ends with (sysexits.h). */
void topic_fail(const struct question *question, const char *why, int code);
/* New lines for topic_send; NULL: the person got the reason. */
struct lines *topic_lines(const struct question *question);
/* Ends the answer with all of lines, and frees them. */
void topic_send(const struct question *question, struct lines *lines);

/* Topics: shown.c */
void topic_listeners(const struct question *question);
void topic_drain(const struct question *question);
void topic_program(const struct question *question);
void topic_generations(const struct question *question);
void topic_processes(const struct question *question);

#endif
