/*
 * Mail for users whose maildrops are on another server: passed on by LMTP to the server that the
 * section names for it. A message goes there in one transaction for all its recipients that began
 * in the same turn; each gets that server's own reply. On the loop; a message on a disk is read by
 * threads. What comes from that server is hostile (lmtp/relay.h).
 */
#ifndef MAILDROP_REMOTE_DELIVER_H
#define MAILDROP_REMOTE_DELIVER_H

#include "lmtp/relay.h"
#include "maildrop/remote/link.h"

enum {
	NODE_RECIPIENTS_MAX =
		100, /* of one transaction: what each server takes, RFC 5321 4.5.3.1.8 */
};

struct post;

/* The LMTP server of a section. */
struct node {
	struct remote_server server;
	struct section section;
	struct loop_deadlines answers; /* to the end of a message */
	struct workers **readers;      /* of the store */
	struct loop_later later;
	struct post *collecting; /* messages that got recipients in this turn */
	/* Ends an operation, as in struct remote_session. */
	void (*finish)(struct store *store, struct store_op *op, enum maildrop_status status,
		       const struct err *err);
	struct store *store;
};

/* server: of the section; it has lmtp. The rest is as in section_init. */
int node_init(struct node *node, struct store *store, struct workers **resolvers,
	      struct workers **readers, const struct remote_server *server, struct err *err);
void node_finish(struct node *node);

/* As store_deliver. It has recipient and sender. */
void node_deliver(struct node *node, struct store_deliver *op);

#endif
