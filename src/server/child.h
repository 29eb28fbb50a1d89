/*
 * The part that all child processes of valijad share: the channel to the monitor, the
 * configuration, channels to peers, START and DRAIN. A role (front, lmtp, auth, keeper, keys) fills
 * in struct child_role; child_main runs the loop. Before START a child is root (if the monitor is)
 * and receives from the monitor alone; after START it has the rights that its role's sandbox
 * leaves.
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
	uint32_t unanswered; /* credits in use: requests of the side that has them; at a keeper its
				fronts', at auth its own at that keeper */
	void *data;          /* owned by the role */
	uint64_t passed;     /* auth, keeper: requests that auth sent to the keeper */
	bool leaving;        /* a keeper that ends because nothing is left for it to do */
};

struct child_role {
	enum ipc_role role;
	/* A message of the monitor that child.c does not handle itself (DIRECTORY, LISTENER, …).
	 * May take descriptors out of fds. */
	void (*monitor_message)(struct child *child, enum ipc_type type, const void *message,
				int *fds);
	/* START: make what must exist before the sandbox, enter it, begin. A failure ends the
	 * process; err's text goes to the monitor's log. */
	int (*start)(struct child *child, struct err *err);
	void (*peer_up)(struct peer *peer);   /* after START; at once for peers from before START */
	void (*peer_gone)(struct peer *peer); /* freed after the call */
	void (*peer_message)(struct peer *peer, enum ipc_type type, const void *message, int *fds);
	/* End sessions that can end; call child_exit when none is left. NULL: the process ends with
	 * its last peer. */
	void (*drain)(struct child *child, uint64_t ms);
	/* Milliseconds since the last work; 0: at work. NULL: it is not asked for. */
	uint64_t (*idle)(const struct child *child);
};

struct child {
	const struct child_role *const
		*roles; /* the roles that the child may get, by enum ipc_role */
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
	bool stopping; /* valijad stops; false: a new generation took over */
	void *state;   /* the role's root struct */
};

/* Runs a child whose channel to the monitor is descriptor fd; roles are those it may get, by enum
 * ipc_role. Returns an exit code. */
int child_main(int fd, const struct child_role *const roles[ROLE_COUNT]);

struct peer *child_peer(const struct child *child, enum ipc_role role, uint64_t instance);
/* Breaks the channel of a peer that broke a rule. */
void peer_break(struct peer *peer, const char *why);
/* ipc_send and its sisters for an answer that the peer waits for: a full queue means that the peer
 * does not read, and breaks its channel. */
void peer_send(struct peer *peer, enum ipc_type type, void *message);
void peer_send_texts(struct peer *peer, enum ipc_type type, void *message, const pop3_span *texts,
		     unsigned count);
/* The same for one that may wait for the end of the turn. */
void peer_post_texts(struct peer *peer, enum ipc_type type, void *message, const pop3_span *texts,
		     unsigned count);
void peer_send_fds(struct peer *peer, enum ipc_type type, void *message, const int *fds,
		   unsigned count);
void peer_send_parts(struct peer *peer, enum ipc_type type, void *message, const pop3_span *parts,
		     unsigned count);
/* Judges what sending a packet past these functions has returned: negative breaks the channel, if
 * the peer is there. */
void peer_sent(struct peer *peer, int result);
/* The role's root struct, child->state, of size octets: made of zeros at the first call, and
 * *ret_new is true then. */
void *child_state(struct child *child, size_t size, bool *ret_new);
/* Ends the process, if it drains and no peer is left that it waits for: gone is going now (NULL:
 * none); waits_not: the set of roles, 1 << enum ipc_role, that keep nobody. */
void child_drained(struct child *child, const struct peer *gone, uint32_t waits_not);
/* Ends the loop, after everything is drained. */
void child_exit(struct child *child);
/* Fills *ret with role, uid and gid as the monitor sent them; the caller adds paths. */
void child_sandbox(const struct child *child, enum sandbox_role role, struct sandbox *ret);

#endif
