/*
 * The commands of people that the monitor obeys or answers (docs/control.md). The process control
 * sends each with the person's connection: the monitor looks up itself whose it is, so that a
 * control process that an attacker owns can do no more than repeat itself while somebody who may is
 * connected. One table of topics. Runs in the monitor, as root when that is root; what control
 * sends is hostile.
 */
#ifndef SERVER_MONITOR_COMMANDS_H
#define SERVER_MONITOR_COMMANDS_H

#include "server/monitor/generation.h"
#include "server/monitor/handover.h"

#include <stdbool.h>
#include <stdint.h>

enum { COMMANDS_WAITING_MAX = HANDOVER_ASKERS_MAX };

enum generation_place { GENERATION_STARTS, GENERATION_SERVES, GENERATION_DRAINS };
typedef void generation_look(void *context, struct generation *generation,
			     enum generation_place place);

enum commands_begun { BEGUN_NOW, BEGUN_LATER, BEGUN_NEVER /* valijad stops */ };

/* The program that the monitor is, for people. Texts live as long as the monitor. */
struct commands_program {
	const char *path;
	uint64_t since;            /* seconds of 1970: it has been the monitor */
	bool upgrading;            /* an upgrade is under way, or waits */
	bool drained;              /* no new session is taken */
	uint32_t upgrades;         /* that are over, since the start of valijad */
	const char *last, *reason; /* of those: "upgraded", "refused"; NULL: none */
};

/* The monitor's part of commands; owner is the commands'. */
struct commands_monitor {
	/* A reload begins, or will when the one that is under way is over: commands_reloaded or
	 * commands_refused is called then, inside the call perhaps. */
	enum commands_begun (*reload)(struct generation_owner *owner);
	/* The same of an upgrade: commands_upgraded, by the program that the monitor is then, or
	 * commands_not_upgraded. */
	enum commands_begun (*upgrade)(struct generation_owner *owner);
	void (*program)(struct generation_owner *owner, struct commands_program *ret);
	/* No new session is taken until a reload. False: a reload is under way. */
	bool (*drain)(struct generation_owner *owner);
	/* Calls look for each generation that there is. */
	void (*each)(struct generation_owner *owner, generation_look *look, void *context);
};

/* Somebody who asked for a reload or an upgrade. An upgrade hands them on: the next program
 * answers.
 */
struct commands_waiting {
	uint64_t control, number; /* the process's instance, 0: a free place; the question's */
	enum commands_wanted wanted;
	bool later; /* what is under way is not what was asked for */
};

/* An upgrade that came about. */
struct commands_made {
	const char *before, *now, *program; /* versions; its path */
	uint64_t ms;                        /* since its beginning */
	bool drained;                       /* no new session is taken still */
	const struct generation *generation;
};

struct lines;

struct commands {
	struct generation_owner *owner;
	const struct commands_monitor *monitor;
	struct commands_waiting waiting[COMMANDS_WAITING_MAX];
	struct lines *changes; /* of the reload that is nearly over; NULL: none, or no memory */
	int log_level;         /* set by a command; -1: that of the configuration */
};

void commands_init(struct commands *commands, struct generation_owner *owner,
		   const struct commands_monitor *monitor);
void commands_finish(struct commands *commands);
/* A message of the control process of that instance. fd: the person's connection. */
void commands_ask(struct commands *commands, struct generation *from, uint64_t control,
		  const struct ipc_ask *ask, int fd);
/* now serves instead of before: what differs is noted for the answers. A level of the log that a
 * command has set ends with a reload, but not with an upgrade. */
void commands_changed(struct commands *commands, const struct generation *before,
		      const struct generation *now, bool upgraded);
/* That reload is over: new connections are the new generation's. */
void commands_reloaded(struct commands *commands);
/* A reload is over: the new configuration is refused. */
void commands_refused(struct commands *commands, const char *why);
/* An upgrade is over: it came about, or did not. */
void commands_upgraded(struct commands *commands, const struct commands_made *made);
void commands_not_upgraded(struct commands *commands, const char *why);
/* A process of generation was started: it gets the level, if a command has set one. */
void commands_brief(const struct commands *commands, struct chan *chan);

#endif
