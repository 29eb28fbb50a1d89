/*
 * A generation: one configuration and the children that work by it. The monitor starts one, waits
 * until all of its children are ready, then drains the generation before it. A child that dies is
 * started again, with back-off, and gets new channels to the others. Runs in the monitor, as root
 * when that is root; everything that a child sends is hostile.
 */
#ifndef SERVER_MONITOR_GENERATION_H
#define SERVER_MONITOR_GENERATION_H

#include "config/config.h"
#include "ipc/messages.h"
#include "server/monitor/listeners.h"
#include "server/monitor/mail_folder.h"
#include "sys/workers.h"

#include <stdbool.h>
#include <sys/types.h>

struct generation;

/* The part of the monitor that all generations share. The monitor owns it. */
struct generation_owner {
	struct loop *loop;
	struct listeners *listeners;
	int exe_fd;
	struct workers *workers; /* for the register: a thread that may wait for its disk */
	int no_network_fd;       /* a network namespace without interfaces; -1: none */
	uint64_t instances;      /* the last one given */
	uint8_t ticket_keys[TLS_TICKET_KEYS][TLS_TICKET_KEY_SIZE];
	bool root;
	/* ready: every child is ready (called once a generation). failed: a child cannot start, for
	 * the reason why */
	void (*ready)(struct generation_owner *owner, struct generation *generation);
	void (*failed)(struct generation_owner *owner, struct generation *generation,
		       const char *why, int code);
	/* a listening socket may have died: a front sent LISTENER_DEAD or ended */
	void (*suspect)(struct generation_owner *owner);
	/* drained: the last child has ended; the callee frees g with generation_destroy */
	void (*ended)(struct generation_owner *owner, struct generation *generation);
};

/* The number of fronts that a configuration means on this machine. */
unsigned generation_fronts(const struct config *config);

/* Checks users, directories and certificates, then starts the children. Listeners must be open
 * already, and the mail folder, whose descriptor is taken over. */
int generation_create(struct generation_owner *owner, const struct config *config,
		      const struct mail_folder *mail, uint32_t number, struct generation **ret,
		      struct err *err);
const struct config *generation_config(const struct generation *generation);
uint32_t
generation_number(const struct generation *generation); /* rises from one generation to the next */
/* Stops restarts; children end when their sessions do, after ms milliseconds at the latest. */
void generation_drain(struct generation *generation, uint64_t ms, bool stop);
void generation_kill(struct generation *generation);
void generation_destroy(struct generation *generation);
/* A child process ended. Returns true when it was a child of this generation. */
bool generation_reaped(struct generation *generation, pid_t pid, int status);
/* The socket of wanted for the front of that index was opened anew: that front gets it. */
void generation_send_listener(struct generation *generation, const struct config_listener *wanted,
			      unsigned index);
void generation_send_ticket_keys(struct generation *generation);

#endif
