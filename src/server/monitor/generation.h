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
#include "server/monitor/bans.h"
#include "server/monitor/listeners.h"
#include "server/monitor/mail_folder.h"
#include "server/monitor/pages.h"
#include "sys/workers.h"

#include <stdbool.h>
#include <sys/types.h>

struct generation;
struct slot;

/* The keeper that sent TAKE or TAKEN. */
struct take_from {
	const struct generation *generation;
	uint64_t instance;
	uint32_t uid;
};

/* The penalties of addresses, between two auth processes: not looked at here. */
struct penalties_kept {
	int fd; /* -1: none */
	uint32_t count;
};

/* The part of the monitor that all generations share. The monitor owns it. */
struct generation_owner {
	struct loop *loop;
	struct listeners *listeners;
	int exe_fd;
	struct workers *workers; /* for the register: a thread that may wait for its disk */
	int no_network_fd;       /* a network namespace without interfaces; -1: none */
	struct pages pages;
	struct bans bans;
	struct penalties_kept penalties_kept; /* what auth sent last */
	uint64_t instances;                   /* the last one given */
	uint8_t ticket_keys[TLS_TICKET_KEYS][TLS_TICKET_KEY_SIZE];
	bool root;
	/* ready: every child is ready (called once a generation). failed: a child cannot start, for
	 * the reason why */
	void (*ready)(struct generation_owner *owner, struct generation *generation);
	void (*failed)(struct generation_owner *owner, struct generation *generation,
		       const char *why, int code);
	/* a process of that slot, control or auth, is being started: those of the other
	 * generations get channels to it (generation_wire) */
	void (*started)(struct generation_owner *owner, struct generation *generation,
			struct slot *slot);
	/* a listening socket may have died: a front sent LISTENER_DEAD or ended */
	void (*suspect)(struct generation_owner *owner);
	/* TAKE or TAKEN of a keeper, for keepers of other generations */
	void (*take)(struct generation_owner *owner, const struct take_from *from,
		     enum ipc_type type, const void *message);
	/* A process is being started, and has its configuration: what else it gets. */
	void (*brief)(struct generation_owner *owner, struct chan *chan);
	/* ASK of a control process. fd: a connection, closed after the call; -1: it sent none */
	void (*asked)(struct generation_owner *owner, struct slot *control,
		      const struct ipc_ask *ask, int fd);
	/* NODES_BAN of a keeper */
	void (*ban_told)(struct generation_owner *owner, const struct ipc_ban *change);
	/* BAN of a process control, for the list of bans */
	void (*ban)(struct generation_owner *owner, uint64_t instance, const struct ipc_ban *ask);
	/* PENALTIES of auth: takes *fd (sets it to -1) to keep it */
	void (*penalties)(struct generation_owner *owner, struct generation *generation,
			  const struct ipc_penalties *message, int *fd);
	/* drains, and takes no connection any more (called once a generation, perhaps from inside
	 * generation_drain) */
	void (*yielded)(struct generation_owner *owner, struct generation *generation);
	/* drained: the last child has ended; the callee frees g with generation_destroy */
	void (*ended)(struct generation_owner *owner, struct generation *generation);
};

/* The number of fronts that a configuration means on this machine. */
unsigned generation_fronts(const struct config *config);

/* Checks users, directories and certificates, then starts the children. Listeners must be open
 * already, and the mail folders, one for each root of config, whose descriptors are taken over. */
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
/* Commands reach the sessions of all generations: connects auth to foreign, the control process of
 * another one, or control to its auth. */
void generation_wire(struct generation *generation, struct slot *foreign);
/* The channel to the process of that instance; NULL: it is not there. */
struct chan *generation_channel(struct generation *generation, uint64_t instance);
void generation_send_log_level(struct generation *generation, uint32_t level);
/* Fronts of mail take no connection more; nothing ends. */
void generation_stop_accepting(struct generation *generation);
bool generation_is_draining(const struct generation *generation);
/* It is of the program before an upgrade: of its configuration only parts are known. */
bool generation_is_adopted(const struct generation *generation);
/* Seconds of 1970 of its start. */
uint64_t generation_since(const struct generation *generation);

/* A process of a generation, for people. */
struct generation_process {
	enum ipc_role role;
	uint32_t index, uid;
	uint64_t instance; /* rises from one start of a process to the next, over all generations */
	pid_t pid;         /* 0: it ended, and is started again */
	bool ready, killed;
	uint64_t seconds; /* since its start */
};
typedef void generation_process_look(void *context, const struct generation *generation,
				     const struct generation_process *process);
/* Calls look for each process that was ever started. */
void generation_processes(const struct generation *generation, generation_process_look *look,
			  void *context);
void generation_send_ticket_keys(struct generation *generation);
/* A process has begun to count in that page. */
void generation_send_page(struct generation *generation, const struct page *page);
/* The same for its recorder. */
void generation_send_ring(struct generation *g, const struct page *page, bool is_new);
/* auth gets the penalties that are kept. */
void generation_send_penalties(struct generation *generation);
/* The table of bans is another one. */
void generation_send_bans(struct generation *generation);
/* A change of the bans, for the other machines of a site that has such. */
void generation_tell_ban(struct generation *generation, const struct ipc_ban *change);
/* Whether the commands of a person with that uid and gid are obeyed. */
bool generation_obeys(const struct generation *generation, uint32_t uid, uint32_t gid);
/* An answer about bans, if its process control is of this generation. */
void generation_answer_ban(struct generation *generation, uint64_t instance,
			   struct ipc_ban_page *page, pop3_span rows);
/* TAKE of another generation's keeper goes to the keepers with the same uid, if they have the same
 * mail folder; TAKEN to the one that asked. */
void generation_take(struct generation *generation, const struct take_from *from,
		     enum ipc_type type, const void *message);

#endif
