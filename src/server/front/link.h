/*
 * A front's end of the channel to auth or to a keeper: the sessions that use it, and credits. A
 * front may have a bounded number of requests unanswered at each peer, a session one; a session
 * that finds no credit free waits for one, in order. A request whose answer takes time gives its
 * credit back, so that it holds up no other. Knows nothing of sessions but their struct
 * link_user; calls back through struct link_handler.
 */
#ifndef SERVER_FRONT_LINK_H
#define SERVER_FRONT_LINK_H

#include "ipc/messages.h"
#include "sys/arena.h"

#include <pop3/server.h>

struct arena;
struct link;
struct peer;

/* A session at a link; embedded, all zero at first. Its members are link.c's alone. */
struct link_user {
	struct link *link;            /* NULL: none */
	struct link_user *next, **at; /* in link->users */
	struct link_user *next_waiting;
	struct pop3_event *parked; /* waits for a credit with it */
	uint16_t asked; /* enum ipc_type of the request that is unanswered; IPC_NONE: none */
	bool slow;      /* that request uses no credit: the peer said that its answer takes time */
};

struct link_handler {
	unsigned credits; /* requests that may be unanswered */
	/* A credit is free for user, which waited with event. */
	void (*resume)(struct link_user *user, const struct pop3_event *event);
	/* The peer is gone; user has no link any more, and nothing is unanswered. */
	void (*gone)(struct link_user *user);
};

/* Its members are link.c's alone. */
struct link {
	struct peer *peer;
	const struct link_handler *handler;
	struct link_user *users;
	struct link_user *waiting, **waiting_end;
	struct arena *arena; /* of a keeper: where small bodies come; NULL: in packets */
	unsigned unanswered; /* requests that use a credit */
	unsigned slow;       /* requests that use none any more */
};

void link_init(struct link *link, struct peer *peer, const struct link_handler *handler);
/* The peer is gone: its users part, and handler->gone is called for each. */
void link_finish(struct link *link);
/* Takes the arena that a keeper sent, once; fd stays the caller's. */
void link_set_arena(struct link *link, int fd);
struct peer *link_peer(const struct link *link);

void link_join(struct link *link, struct link_user *user);
/* user stops waiting, its credit is given back (another may be resumed inside), its link is NULL.
 * Without a link: nothing. */
void link_part(struct link_user *user);
struct link *link_of(const struct link_user *user); /* NULL: none */
/* Of the link that user has joined. */
struct chan *link_chan(const struct link_user *user);
struct arena *link_arena(const struct link_user *user);

bool link_has_credit(const struct link_user *user);
/* user waits for a credit with *event, whose spans must live as long; then resume. Returns -1
 * without memory. */
int link_wait(struct link_user *user, const struct pop3_event *event);
/* Sends a request and uses a credit for it. False: it was not sent. */
bool link_ask(struct link_user *user, enum ipc_type type, void *message);
/* The same for a request that the caller has sent. */
void link_asked(struct link_user *user, enum ipc_type type);
enum ipc_type link_unanswered(const struct link_user *user); /* IPC_NONE: no request */
/* The answer takes time: its credit is free, the request stays unanswered. False: no request, or
 * that was said before. */
bool link_slow(struct link_user *user);
/* The answer is here, if there was a request: its credit is free, the first that waits goes on. */
void link_answered(struct link_user *user);

#endif
