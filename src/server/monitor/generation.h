/*
 * A generation: one configuration and the children that work by it. The monitor starts one, waits
 * until all of it is ready, then drains the one before. A child that dies is started again, with
 * back-off, and wired to the others. Runs in the monitor, as root if that is root: everything that
 * comes from a child is hostile.
 */
#ifndef SERVER_MONITOR_GENERATION_H
#define SERVER_MONITOR_GENERATION_H

#include "config/config.h"
#include "ipc/messages.h"
#include "server/monitor/listeners.h"

#include <stdbool.h>
#include <sys/types.h>

struct generation;

/* What all generations share; the monitor's. */
struct generation_owner {
	struct loop *loop;
	struct listeners *listeners;
	int exe_fd;
	uint64_t instances; /* last one given */
	uint8_t ticket_keys[TLS_TICKET_KEYS][TLS_TICKET_KEY_SIZE];
	bool root;
	/* every child is up (once a generation) / it cannot start: why */
	void (*ready)(struct generation_owner *owner, struct generation *generation);
	void (*failed)(struct generation_owner *owner, struct generation *generation,
		       const char *why, int code);
	/* a listening socket may have died: a front says so, or ended */
	void (*suspect)(struct generation_owner *owner);
	/* drained: the last child is gone; free it with generation_destroy */
	void (*ended)(struct generation_owner *owner, struct generation *generation);
};

/* How many fronts, keepers, … a configuration means on this machine. */
unsigned generation_fronts(const struct config *config);

/* Checks users, directories and certificates, then starts the children. Listeners must be open. */
int generation_create(struct generation_owner *owner, const struct config *config, uint32_t number,
		      struct generation **ret, struct err *err);
/* The checks alone (valijad -t). */
int generation_check(const struct config *config, bool root, struct err *err);
const struct config *generation_config(const struct generation *generation);
uint32_t generation_number(const struct generation *generation); /* later ones have higher ones */
/* No restarts any more; children end when their sessions do, at the latest after ms. */
void generation_drain(struct generation *generation, uint64_t ms, bool stop);
void generation_kill(struct generation *generation);
void generation_destroy(struct generation *generation);
/* A child process ended. Returns whether it was one of this generation's. */
bool generation_reaped(struct generation *generation, pid_t pid, int status);
/* The socket of wanted for front index was opened anew: its fronts get it. */
void generation_send_listener(struct generation *generation, const struct config_listener *wanted,
			      unsigned index);
void generation_send_ticket_keys(struct generation *generation);

#endif
