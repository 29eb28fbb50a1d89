/*
 * A maildrop that a keeper has opened for a session: all of its mailbox, or, of mail that moves
 * here from another server, what is here or what is there. Listings come from the lent index.
 * Messages have the numbers of the keeper, from 1; the mailbox (mailbox.h) adds what stands in
 * front of them. What the keeper lends is checked: it runs with the rights of one user's mail.
 */
#ifndef SERVER_FRONT_PART_H
#define SERVER_FRONT_PART_H

#include "maildrop/index/view.h"
#include "server/front/link.h"

struct body;
struct session;

/* Embedded in the mailbox; without a link all zero. body is body.c's. */
struct part {
	struct session *session;
	struct link_user keeper;
	struct body *body; /* NULL: no message was asked for yet */
	int base_fd, delta_fd;
	uint64_t delta_size, octets;
	uint32_t count;
	struct index_view *view; /* NULL: not looked at yet, or put away while idle */
	bool remote;             /* on another server, which learns of each QUIT */
};

/* CLOSE, for a maildrop that no session has. */
void part_send_close(struct peer *keeper, uint64_t session);
/* OPENED: takes the descriptors out of fds. */
void part_open(struct part *part, struct session *session, struct link *keeper,
	       const struct ipc_opened *message, int *fds);
/* The keeper closes the maildrop; everything is freed but the part. Nothing, if it is not open. */
void part_close(struct part *part);
bool part_is_open(const struct part *part);
/* Gives back what an idle session can do without: buffers; the view as well. */
void part_trim(struct part *part);
void part_put_away(struct part *part);

/* The entries' texts live until the next reading. Returns how many there are, or -1 after the
 * keeper was sent INDEX_WRONG: it builds the index anew for the next login, this session cannot go
 * on with it. */
int part_entries(struct part *part, uint32_t first, bool with_ids, struct index_entry *ret,
		 uint32_t n);
/* DELETE of the marked messages of the session's mailbox, in which before stand in front of these.
 * Returns how many there are; -1: they could not be sent. */
int64_t part_delete_marked(const struct part *part, uint32_t before);

#endif
