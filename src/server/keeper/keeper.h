/*
 * A keeper: runs as the owner of the mail, beneath the mail root only, without network, but where
 * the store is a cluster. All is done on its loop; mail is the store's (maildrop/store.h), whose
 * operations wait for disks elsewhere. Messages of fronts are hostile; auth is believed.
 *
 * connector.c: the same for maildrops on other POP3 servers, in processes of their own, which have
 * the network and no mail. place.h: root struct, locations in use. opening.h, session.h: POP3
 * sessions. body.h: lending messages. takeover.h: a maildrop that is in use. delivery.h: LMTP.
 * location.h: questions about maildrops that are not there.
 */
#ifndef SERVER_KEEPER_KEEPER_H
#define SERVER_KEEPER_KEEPER_H

#include "server/child.h"
#include "sys/sandbox.h"

extern const struct child_role keeper_role;
extern const struct child_role connector_role;

/* For the program of a store that reaches out of this machine: adds what that needs to the sandbox
 * of the role. -1: err. */
typedef int keeper_reach(const struct config *config, struct sandbox *sandbox, struct err *err);
void keeper_set_reach(keeper_reach *to);

#endif
