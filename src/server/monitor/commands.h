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

#include <stdbool.h>
#include <stdint.h>

enum { COMMANDS_WAITING_MAX = 16 };

enum generation_place { GENERATION_STARTS, GENERATION_SERVES, GENERATION_DRAINS };
typedef void generation_look(void *context, struct generation *generation,
			     enum generation_place place);

enum reload_begun { RELOAD_BEGUN, RELOAD_LATER, RELOAD_NEVER /* valijad stops */ };

/* What the monitor does and shows; owner is the commands'. */
struct commands_monitor {
	/* A reload begins, or will when the one that is under way is over: commands_reloaded or
	 * commands_refused is called then, inside the call perhaps. */
	enum reload_begun (*reload)(struct generation_owner *owner);
	/* No new session is taken until a reload. False: a reload is under way. */
	bool (*drain)(struct generation_owner *owner);
	/* Calls look for each generation that there is. */
	void (*each)(struct generation_owner *owner, generation_look *look, void *context);
};

/* Somebody who asked for a reload. */
struct commands_waiting {
	uint64_t control, number; /* the process's instance, 0: a free place; the question's */
	bool later;               /* the reload that is under way is not the one */
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
/* now serves instead of before: what differs is noted for the answers. */
void commands_changed(struct commands *commands, const struct generation *before,
		      const struct generation *now);
/* That reload is over: new connections are the new generation's. */
void commands_reloaded(struct commands *commands);
/* A reload is over: the new configuration is refused. */
void commands_refused(struct commands *commands, const char *why);
/* A process of generation was started: it gets the level, if a command has set one. */
void commands_brief(const struct commands *commands, struct chan *chan);

#endif
