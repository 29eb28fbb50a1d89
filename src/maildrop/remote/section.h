/*
 * One other server, as all sessions at it know it: its addresses, what it is able to do, TLS
 * sessions to be resumed, and a breaker: while the server is down, sessions fail at once, and one a
 * while tries whether it is back. On the loop; names are looked up in a thread.
 */
#ifndef MAILDROP_REMOTE_SECTION_H
#define MAILDROP_REMOTE_SECTION_H

#include "maildrop/remote/remote.h"
#include "maildrop/remote/talk.h"
#include "sys/loop_deadlines.h"
#include "sys/tls_client.h"
#include "sys/tls_trust.h"
#include "sys/workers.h"

#include <sys/socket.h>

enum {
	SECTION_ADDRESSES = 8,
	SECTION_TICKETS = 32,
	SECTION_OPENING_MAX = 512, /* sessions that are being opened; more wait their turn */
	SECTION_MAIL_MAX = 64,     /* messages that are passed on at a time */
};

struct section_address {
	struct sockaddr_storage address;
	socklen_t size;
};

/* Waits for its turn, or for addresses; embedded. */
struct section_wait {
	struct section_wait *next, **at;         /* at: what points to it; NULL: it does not wait */
	void (*turn)(struct section_wait *wait); /* it may be opened now */
	void (*resolved)(struct section_wait *wait); /* count may be 0: see err of the section */
};

struct section {
	const struct remote_server *server;
	struct loop *loop;
	struct workers **workers; /* of the store */
	struct tls_trust *trust;  /* NULL: no TLS */
	unsigned char pin[TLS_CLIENT_PIN_SIZE];
	struct talk_abilities abilities;
	uint64_t abilities_until;
	struct section_address addresses[SECTION_ADDRESSES];
	unsigned count;
	uint64_t addresses_until;      /* 0: they are not known */
	bool literal;                  /* the host is an address */
	struct section_lookup *lookup; /* under way */
	struct section_wait *waiting;
	struct tls_kept *tickets[SECTION_TICKETS]; /* TLS sessions to be resumed */
	unsigned ticket_count;
	uint64_t verified;             /* when a server's certificate was looked at last */
	struct loop_deadlines silence; /* sessions that wait for an answer */
	unsigned opening, opened;      /* opened: since memory was given back */
	struct section_wait *queue, **queue_end; /* for whom there is no room among them yet */
	/* the breaker */
	unsigned failures;
	uint64_t closed_until;
	uint32_t pause;
	bool trying;
	struct err why; /* of the last failure */
};

int section_init(struct section *section, struct loop *loop, struct workers **workers,
		 const struct remote_server *server,
		 void (*silent)(struct loop_deadlines *, struct loop_deadline *), struct err *err);
void section_finish(struct section *section);

/* Takes a place among those that are being opened, to be given back by section_leave. False: wait
 * gets it later, in the order of their coming. */
bool section_enter(struct section *section, struct section_wait *wait);
void section_leave(struct section *section);

/* Whether a session may be tried now; it has to end by section_failed or section_worked. False: err
 * says why not. */
bool section_may_try(struct section *section, struct err *err);
/* The server cannot be reached, or does not speak POP3. */
void section_failed(struct section *section, const struct err *why);
/* It has answered. */
void section_worked(struct section *section);
/* The session that was tried is not wanted any more: nobody knows. */
void section_gave_up(struct section *section);

/* True: addresses are here. False: wait gets them later. */
bool section_resolve(struct section *section, struct section_wait *wait);
/* Whatever it waits for. */
void section_wait_cancel(struct section *section, struct section_wait *wait);

/* A TLS client of a socket, with a session to resume if there is one. */
int section_tls(struct section *section, int fd, struct tls_client **ret, struct err *err);
/* Before the client is destroyed: its session may serve a later one. */
void section_keep_tls(struct section *section, struct tls_client *tls);

#endif
