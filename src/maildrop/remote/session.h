/*
 * A maildrop on another server: the link that its talk goes over. On the loop;
 * what one reading brought waits here at most, and nothing is read meanwhile, so that server waits
 * for a client that is slow.
 */
#ifndef MAILDROP_REMOTE_SESSION_H
#define MAILDROP_REMOTE_SESSION_H

#include "maildrop/driver.h"
#include "maildrop/remote/link.h"

struct remote_session {
	struct maildrop head;
	struct section *section;
	struct loop *loop;
	/* Ends an operation: its done() is called at the end of the turn. */
	void (*finish)(struct store *store, struct store_op *op, enum maildrop_status status,
		       const struct err *err);
	struct talk talk;
	struct link link;
	struct loop_later again; /* there is more to be read at once */
	char *held;              /* octets that were received and not taken */
	size_t held_at, held_size;
	/* under way; NULL: none */
	struct store_open *opening;
	struct store_fetch *fetching;
	struct store_slice *slicing;
	struct store_commit *ending;
};

/* Begins to open the maildrop. The session is ended by the failure of that operation, or by
 * session_destroy. */
void session_open(struct remote_session *session, struct store_open *op);
void session_fetch(struct remote_session *session, struct store_fetch *op);
void session_slice(struct remote_session *session, struct store_slice *op);
void session_commit(struct remote_session *session, struct store_commit *op);
/* Nobody waits for that operation any more. */
void session_cancel(struct remote_session *session, struct store_op *op);
/* Cuts the connection: that server deletes nothing. Operations under way end. */
void session_destroy(struct remote_session *session);

#endif
