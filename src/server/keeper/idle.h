/*
 * The life of a keeper that the monitor started on demand, for mail of an owner of its own: it
 * takes that owner's rights, and ends when it has been idle for long, or is asked to while idle.
 * Runs in a keeper, on its loop; the beginning as root if the monitor is, before the sandbox.
 */
#ifndef SERVER_KEEPER_IDLE_H
#define SERVER_KEEPER_IDLE_H

#include "server/keeper/place.h"

/* OWNER: this keeper was started on demand. */
void keeper_take_owner(struct keeper *keeper, const struct ipc_owner *message);
/* Looks at the maildrop of OWNER: the process will get that folder's uid, which must be the one
 * that the monitor was asked for, and its gid. Before the sandbox; may wait for a disk. */
int keeper_find_owner(struct keeper *keeper, struct err *err);
/* After START. */
void keeper_idle_begin(struct keeper *keeper);
/* LEAVE of the monitor. */
void keeper_asked_to_leave(struct keeper *keeper);
/* LEAVE of auth: it sends no more requests. */
void keeper_may_leave(struct peer *auth);
/* For struct child_role. */
uint64_t keeper_idle(const struct child *child);

#endif
