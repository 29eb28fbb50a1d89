/*
 * A keeper, inside: root struct and what its files share. keeper.c: process and peers;
 * keeper_session.c: POP3 sessions; keeper_body.c: lending messages; keeper_delivery.c: LMTP. Runs
 * as the owner of the mail, beneath the mail root only, without network. The loop takes messages
 * and answers, and does what is in memory (the maildrop's …_now); everything that may wait for a
 * disk is a job in a worker thread, the jobs of one maildrop one after another (its lane).
 */
#ifndef SERVER_KEEPER_KEEPER_H
#define SERVER_KEEPER_KEEPER_H

#include "base/table.h"
#include "maildrop/mail_root.h"
#include "maildrop/maildrop.h"
#include "server/child.h"
#include "sys/arena.h"
#include "sys/workers.h"

#include <stdatomic.h>

struct keeper {
	struct child *child;
	struct workers *workers;
	struct maildrop_settings settings;
	struct table homes;
	int mail_fd;
	struct mail_root root; /* what is known of mail_fd */
	void *scratch;         /* keeper_body.c's, for what it sends without a worker */
	unsigned busy;         /* jobs under way: not drained before they are done */
};

struct keeper_session;

/* A maildrop that somebody works on: its lane, and who waits for its lock. */
struct home {
	struct table_node node; /* key: hash of the path */
	struct job_lane lane;
	struct keeper_session *waiting; /* sessions that found it in use */
	atomic_bool hurry;              /* a login came while a closed session still tidies up */
	unsigned references;
	char path[];
};

/* What a front has at a keeper. */
struct keeper_front {
	struct arena *arena;       /* POP3: for bodies; NULL: none */
	struct table sessions;     /* POP3: key session */
	struct table transactions; /* LMTP: key session */
};

extern const struct child_role keeper_role;

/* keeper.c */
struct home *keeper_home(struct keeper *keeper,
			 pop3_span path); /* takes a reference; NULL: no memory */
void keeper_home_release(struct keeper *keeper, struct home *home);
/* Adds a job to home's lane. Never refused: what it answers to was bounded by credits. */
void keeper_add_job(struct keeper *keeper, struct home *home, struct job *job);
void keeper_job_over(struct keeper *keeper);

/* keeper_session.c */
void keeper_open(struct peer *auth, const struct ipc_open *message);
void keeper_session_message(struct peer *front, enum ipc_type type, const void *message);
void keeper_sessions_end(struct peer *front);

/* keeper_delivery.c */
void keeper_recipient(struct peer *auth, const struct ipc_recipient_open *message);
void keeper_deliver(struct peer *front, const struct ipc_deliver *message, int *fd);
void keeper_forget(struct peer *front, const struct ipc_transaction *message);
void keeper_transactions_end(struct peer *front);

#endif
