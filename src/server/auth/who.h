/*
 * The sessions of the fronts as auth knows them, in pages for the process control, and their end at
 * the command of a person. Names are those that auth granted; a front has a say about its own
 * sessions alone: their address, whether they have TLS, and what they have sent; it is asked for
 * that page by page, and has a second for its answer. On auth's loop.
 */
#ifndef SERVER_AUTH_WHO_H
#define SERVER_AUTH_WHO_H

#include "base/table.h"
#include "ipc/messages.h"
#include "sys/loop_deadlines.h"

struct auth;
struct peer;

/* Pages whose sessions' front was asked what they have sent. */
struct whos {
	struct table waiting; /* key: the question's number */
	struct loop_deadlines deadlines;
	uint64_t last_number;
};

void whos_init(struct whos *whos, struct loop *loop);
/* TRAFFIC_ANSWER of a front. */
void whos_answer(struct whos *whos, const struct peer *front, const struct ipc_traffic *message);
/* That front, or that control process, is gone. */
void whos_gone(struct whos *whos, const struct peer *peer);
/* Answers with one page: a few hundred sessions at most are looked at in a turn. The person's uid
 * or gid must be one of those that the monitor named. */
void auth_who(struct peer *control, const struct ipc_who *ask);
/* Ends sessions at the command of a person at another machine: some hundreds a turn. */
void auth_kick_told(struct auth *auth, uint32_t uid, pop3_span target);

#endif
