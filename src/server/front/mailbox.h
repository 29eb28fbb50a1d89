/*
 * The mailbox of a session that is logged in: a maildrop that a keeper has opened, or, while mail
 * moves here from another server, two: the messages that are here, and behind them those that are
 * there, as one. Listings come from the lent indexes (part.h), deletions go back as one list for
 * each at QUIT, messages are body.c's. Nothing here waits for a disk.
 */
#ifndef SERVER_FRONT_MAILBOX_H
#define SERVER_FRONT_MAILBOX_H

#include "server/front/body.h"
#include "server/front/part.h"

struct session;

/* Allocated while it is open. Its members are mailbox.c's alone, but for now, which body.c uses. */
struct mailbox {
	uint32_t count;
	uint32_t deleted;      /* by a QUIT that is under way: what parts have done already */
	uint8_t *marks;        /* of deletions; NULL: none yet */
	uint32_t listing_next; /* of the listing that is going out */
	bool listing_uidl;
	bool quitting;
	uint8_t part_count;
	struct part *now;    /* that was asked for a message last, or deletes */
	struct part *parts;  /* whole, or more of them */
	struct part whole[]; /* one, or none */
};

extern const struct link_handler mailbox_handler; /* for links to keepers */

/* OPENED: session has a mailbox now, or a part of it, or, if it waits for none, the keeper closes
 * the maildrop again. session may be NULL. Takes descriptors out of fds. */
void mailbox_opened(struct link *keeper, struct session *session, const struct ipc_opened *message,
		    int *fds);
/* GONE: the maildrop is not the session's any more. session may be NULL. */
void mailbox_gone(struct link *keeper, struct session *session, const struct ipc_gone *message);
/* HOLDER_ASK: another login wants the maildrop. session may be NULL. */
void mailbox_asked(struct link *keeper, struct session *session);
/* Any other answer of a keeper to a session. */
void mailbox_message(struct link *keeper, struct session *session, enum ipc_type type,
		     const void *message, int *fds);

/* LIST, UIDL, RETR, TOP, DELE, QUIT */
void mailbox_event(struct session *session, const struct pop3_event *event);
/* The next lines of a listing, in WANT_LINES. Returns octets written. */
size_t mailbox_lines(struct session *session, char *out, size_t cap);
/* Frees everything and has the keeper close the maildrop; nothing if there is none. */
void mailbox_close(struct session *session);
/* Whether the client waits for octets of a message that the keeper was asked for. */
bool mailbox_waits(const struct session *session);
/* Whether the deletions of a QUIT are being made. */
bool mailbox_commits(const struct session *session);
/* Gives back memory that an idle session can do without. */
void mailbox_trim(struct session *session);

#endif
