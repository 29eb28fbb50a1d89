/*
 * What all child processes of valijad share: the channel to the monitor, the configuration,
 * channels to peers, START and DRAIN. A role (front, lmtp, auth, keeper) fills in struct
 * child_role; child_main runs the loop. Runs in every child. Before START as root (if the monitor
 * is), hearing the monitor alone; after it as what the role's sandbox leaves.
 */
#ifndef SERVER_CHILD_H
#define SERVER_CHILD_H

#include "config/config.h"
#include "ipc/messages.h"
#include "sys/loop.h"
#include "sys/sandbox.h"

#include <stdbool.h>

struct child;

/* A channel to another child. */
struct peer {
	struct peer *next;
	struct child *child;
	struct chan chan;
	uint64_t instance;
	enum ipc_role role;
	uint32_t index, uid, group_size;
	uint32_t unanswered; /* requests of the less privileged side in flight: its credits used */
	void *data;          /* the role's */
};

struct child_role {
	enum ipc_role role;
	/* A message of the monitor that child.c does not handle itself (DIRECTORY, LISTENER, …).
	 * Takes descriptors out of fds. */
	void (*monitor_message)(struct child *child, enum ipc_type type, const void *message,
				int *fds);
	/* START: make what must exist before the sandbox, enter it, begin. Failing ends the process
	 * with err's text in the monitor's log. */
	int (*start)(struct child *child, struct err *err);
	void (*peer_up)(struct peer *peer);   /* after START, or at once for those given before */
	void (*peer_gone)(struct peer *peer); /* freed after the call */
	void (*peer_message)(struct peer *peer, enum ipc_type type, const void *message, int *fds);
	void (*drain)(struct child *child,
		      uint64_t ms); /* end what can be ended; child_exit when nothing is left */
};

struct child {
	const struct child_role *const *roles; /* what it may become, by enum ipc_role */
	const struct child_role *role;
	struct loop *loop;
	const struct config *config;
	struct chan monitor;
	struct peer *peers;
	uint64_t instance;
	uint32_t index, generation;
	uid_t uid;
	gid_t gid;
	bool change_ids, started, draining;
	bool stopping; /* draining because valijad ends, not because a new generation took over */
	void *state;   /* the role's root struct */
};

/* The life of a child whose channel to the monitor is descriptor fd; roles are what it may become,
 * by enum ipc_role. Returns an exit code. */
int child_main(int fd, const struct child_role *const roles[ROLE_COUNT]);

struct peer *child_peer(const struct child *child, enum ipc_role role, uint64_t instance);
/* Asks a peer's channel to break (it misbehaved). */
void peer_break(struct peer *peer, const char *why);
/* ipc_send and its sisters for an answer that somebody waits for: a peer whose queue is full
 * because it does not read is broken. */
void peer_send(struct peer *peer, enum ipc_type type, void *message);
void peer_send_texts(struct peer *peer, enum ipc_type type, void *message, const pop3_span *texts,
		     unsigned count);
void peer_send_fds(struct peer *peer, enum ipc_type type, void *message, const int *fds,
		   unsigned count);
void peer_send_parts(struct peer *peer, enum ipc_type type, void *message, const pop3_span *parts,
		     unsigned count);
/* Ends the loop: everything is drained. */
void child_exit(struct child *child);
/* Fills in uid, gid, role of *ret as the monitor said; the role adds paths. */
void child_sandbox(const struct child *child, enum sandbox_role role, struct sandbox *ret);

#endif
