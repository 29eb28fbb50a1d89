/*
 * A keeper: runs as the owner of the mail, beneath the mail root only, without network. The loop
 * receives messages, answers, and does work that is in memory (the maildrop's …_now); work that may
 * wait for a disk is a job in a worker thread. Messages of fronts are hostile; auth is believed.
 *
 * lane.h: root struct, lanes, jobs. session.h: POP3 sessions. body.h: lending messages. delivery.h:
 * LMTP.
 */
#ifndef SERVER_KEEPER_KEEPER_H
#define SERVER_KEEPER_KEEPER_H

#include "server/child.h"

extern const struct child_role keeper_role;

#endif
