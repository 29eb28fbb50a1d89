/*
 * The penalties of addresses (limits.h) beyond the life of this process: the recent failures as
 * rows in a sealed memory file, which the monitor keeps and gives to the next auth, of a new
 * generation or after a crash. So a reload wipes none. And the same rows in pages for a person. On
 * auth's loop.
 */
#ifndef SERVER_AUTH_PENALTIES_H
#define SERVER_AUTH_PENALTIES_H

#include "ipc/messages.h"

struct auth;
struct peer;

/* Sends the rows to the monitor, if there were failures since the last time. */
void penalties_send(struct auth *auth);
/* Takes rows that another auth sent, also while own ones are there: the greater penalty stays. A
 * file that is none is passed over, and so is each row that cannot be right. */
void penalties_take(struct auth *auth, const struct ipc_penalties *message, int fd);
/* Answers with a page for a person, whose uid is judged as in auth_who. */
void penalties_list(struct peer *control, const struct ipc_penalty_ask *ask);

#endif
