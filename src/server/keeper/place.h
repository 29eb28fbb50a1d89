/*
 * The part that the files of a keeper share: its root struct, the state of a front, and places. A
 * place is a location in use, by sessions or by recipients of mail under way: there is one a
 * location, and sessions that found the maildrop in use wait in it. On the keeper's loop.
 */
#ifndef SERVER_KEEPER_PLACE_H
#define SERVER_KEEPER_PLACE_H

#include "base/table.h"
#include "maildrop/guard.h"
#include "maildrop/mail_root.h"
#include "maildrop/rados/rados.h"
#include "maildrop/store.h"
#include "maildrop/syscalls.h"
#include "server/child.h"
#include "server/keeper/locker.h"
#include "server/keeper/notes.h"
#include "sys/arena.h"
#include "sys/loop_deadlines.h"

#include <pthread.h>

enum {
	KEEPER_SEEN = 1 << 14,
	KEEPER_PROVEN = 256, /* maildrops that are about to be opened: each is looked for at once */
};

/* A maildrop that the monitor was told of. */
struct keeper_seen {
	uint64_t key;     /* hash of its path; another one with the same place takes it over */
	uint64_t folders; /* hash of their inodes; 0: it was told of the path alone */
};

/* guard.h; its workers share it. */
struct keeper_guard {
	pthread_mutex_t lock;
	struct guard guard;
	struct keeper_unproven *unproven;
	uint64_t proven[KEEPER_PROVEN]; /* hashes of maildrops and what they were found to be */
	unsigned next;
};

/* A folder of maildrops. */
struct keeper_root {
	uint32_t index;        /* in config->roots */
	int fd;                /* -1: the monitor sent none */
	struct mail_root root; /* what is known of fd */
	struct maildrop_settings settings;
	struct maildrop_upkeep *upkeep; /* NULL: there is none to do */
	struct store *store;
	bool away;    /* ROOT_AWAY */
	bool remote;  /* no folder: maildrops on other servers, of which nothing is registered */
	int state_fd; /* of mboxes: the owner's folder; -1: there is none */
	struct keeper_locker locker;
	struct keeper *keeper;
	struct keeper_guard guard;
};

struct keeper {
	struct child *child;
	struct keeper_root roots[CONFIG_ROOTS_MAX];
	struct keeper_root remotes;        /* of a connector, in the place of those */
	struct keeper_secrets *secrets;    /* the same: passwords of its sections */
	struct store_host host;            /* of the stores */
	struct maildrop_syscalls syscalls; /* the kernel's, with flushes counted */
	struct table places;
	struct keeper_notes notes;
	struct table questions; /* to the monitor, unanswered (location.h) */
	uint64_t question_number;
	struct table takes;  /* of logins whose maildrop another process has (takeover.h) */
	struct table proofs; /* questions to the monitor, unanswered (guard.h) */
	struct keeper_seen seen[KEEPER_SEEN];
	struct rados_settings rados;
	void *scratch; /* of body.c, for bodies that are sent at once */
	unsigned busy; /* operations under way: a keeper is not drained before they are done */
	unsigned usage_questions;      /* of usage.c, among them */
	unsigned hurries;              /* of hurry.c, the same */
	struct loop_deadlines opening; /* of maildrops: the client gets an answer then */
	/* of a keeper that was started on demand, for mail of an owner that has no other keeper */
	bool on_demand;
	uint32_t home_root;
	char home[IPC_TEXT_MAX + 1]; /* a maildrop whose owner and group this process takes */
	struct loop_timer look;      /* whether it was idle for long enough to end */
	uint64_t used;               /* when a place was last taken or released */
};

struct keeper_opening;
struct keeper_session;

/* Whoever wants a maildrop that a session of this keeper has: a keeper of another generation, or
 * another machine. */
struct keeper_asker {
	uint64_t asker, number, idle; /* as in TAKE; asker, number: of a generation's keeper */
	bool take;
	struct store_asked *asked; /* of another machine; NULL: it is none */
	struct keeper_asker *next;
};

struct keeper_place {
	struct table_node node; /* key: hash of root and path */
	struct keeper_root *root;
	struct store_where where;
	struct keeper_opening *waiting; /* logins that found the maildrop in use */
	struct keeper_session *holder;  /* the session that has it; NULL: none of this keeper */
	struct keeper_asker *askers;    /* that wait for the front of holder */
	unsigned references;
	char path[]; /* of the maildrop, below root */
};

/* The state of a front at a keeper: the data of its peer. */
struct keeper_front {
	struct arena *arena;       /* POP3: for bodies; NULL: none */
	struct table sessions;     /* POP3: key session */
	struct table transactions; /* LMTP: key session */
	uint32_t asked;            /* LMTP: recipients whose quota is being checked */
	uint32_t recipients;       /* LMTP: that it may deliver to, in all transactions */
};

/* What a connector does as a keeper does (struct child_role), and a POP3 front's message about a
 * session. */
void keeper_peer_up(struct peer *peer);
void keeper_peer_gone(struct peer *peer);
void keeper_front_message(struct peer *front, enum ipc_type type, const void *message);
void keeper_drain(struct child *child, uint64_t ms);

/* The place of a maildrop that is in use; NULL: it is not. */
struct keeper_place *keeper_place_find(struct keeper *keeper, uint32_t root, pop3_span path);
/* Takes a reference to the place of a maildrop. NULL: no memory. */
struct keeper_place *keeper_place_take(struct keeper *keeper, struct keeper_root *root,
				       pop3_span path);
/* The root of that number; NULL: the site has none, and the sender is broken. */
struct keeper_root *keeper_root_of(struct keeper *keeper, uint32_t index);
void keeper_place_release(struct keeper *keeper, struct keeper_place *place);
/* Nobody waits for the front any more: other machines learn that nothing is known. */
void keeper_place_unasked(struct keeper_place *place);
/* An operation of the store, or a question, begins; is done: the last one may end a draining
 * keeper. */
void keeper_begin(struct keeper *keeper);
void keeper_done(struct keeper *keeper);
/* Ends a draining keeper when nothing is under way and no front is left but gone, the one that is
 * leaving (may be NULL). */
void keeper_check_drained(struct keeper *keeper, const struct peer *gone);
/* The keeper drains: sweeps under way end soon. */
void keeper_places_hurry(struct keeper *keeper);

#endif
