/*
 * A session of ours at another POP3 server, without I/O: octets in, events out, commands out. From
 * the greeting to the listing by itself, then one message or the end at a time. The commands are
 * pipelined where that server says PIPELINING (RFC 2449). It is hostile: libpop3's machine bounds
 * its lines, listings and ids; here a body is bounded, and its octets are written where they are
 * wanted: no input is taken as long as nobody lends room for them.
 */
#ifndef MAILDROP_REMOTE_TALK_H
#define MAILDROP_REMOTE_TALK_H

#include "base/secret.h"
#include "maildrop/maildrop.h"
#include "maildrop/remote/listing.h"

#include <pop3/client.h>

enum {
	TALK_OUT = 1024,            /* octets of commands that wait to be sent */
	TALK_OUT_LONG = 6144,       /* with a long secret, until it was sent */
	TALK_LISTING_MAX = 1000000, /* messages of a maildrop */
	TALK_WINDOW = 128,          /* commands without an answer */
	TALK_NAME_MAX = 250,        /* octets that fit behind USER */
};

/* What a server is able to do, remembered between sessions. */
struct talk_abilities {
	bool known, pipelining, auth_codes;
	bool user;                   /* USER and PASS */
	bool plain, xoauth2, bearer; /* mechanisms of AUTH */
};

enum talk_event {
	TALK_MORE,      /* all input is taken, or (talk_blocked) a body waits for room */
	TALK_START_TLS, /* "+OK" to STLS: then talk_tls_started */
	TALK_OPENED,    /* the listing is complete */
	TALK_ANSWERED,  /* to talk_fetch: octets follow */
	TALK_REFUSED,   /* to talk_fetch: status, err; the session goes on */
	TALK_OVER,      /* the session is over: status, err; to talk_quit, MAILDROP_OK is success */
};

struct talk {
	struct pop3_client *client;        /* owned; NULL: nothing is asked */
	struct talk_abilities *remembered; /* of all sessions at that server */
	struct talk_abilities able;        /* of this one: nobody else changes it */
	struct remote_listing listing;
	enum maildrop_status status;
	struct err err;
	uint8_t phase;
	bool stls, token;
	uint8_t mechanism;        /* of AUTH */
	struct talk_login *login; /* name and secret: wiped and freed when they were sent; owned */
	/* of a body */
	char *room; /* for its octets; borrowed, NULL: none was lent */
	size_t room_size, room_used;
	uint64_t received, limit;
	uint32_t number;     /* of the message that was asked for last; 0: none */
	uint32_t unwanted;   /* answers to RETR or TOP that nobody waits for */
	bool in_body, ended; /* ended: nothing of it follows */
	/* of QUIT */
	const uint32_t *numbers;
	uint32_t count, sent, answered;
	bool not_all;
	bool judged; /* that server has answered the login */
	char *out;   /* NULL: nothing is to be sent */
	uint16_t out_size, out_at, out_used;
};

enum {
	TALK_STLS = 1,  /* TLS begins by STLS, or nothing is sent */
	TALK_TOKEN = 2, /* the secret is an access token: AUTH XOAUTH2, or OAUTHBEARER */
};

/* login, secret: are copied. flags: see above. remembered: borrowed. talk_finish, also after -1. */
int talk_init(struct talk *talk, pop3_span login, pop3_span secret, unsigned flags,
	      struct talk_abilities *remembered, struct err *err);
void talk_finish(struct talk *talk);

/* Takes input up to the next event. */
enum talk_event talk_next(struct talk *talk, pop3_span *in);
/* The connection has ended: as TALK_OVER. */
void talk_eof(struct talk *talk);
/* What is to be sent; talk_sent takes it off. */
pop3_span talk_output(const struct talk *talk);
void talk_sent(struct talk *talk, size_t size);

void talk_tls_started(struct talk *talk);
/* RETR, or (top) TOP with so many lines. What is left of the message before is read away. */
void talk_fetch(struct talk *talk, uint32_t number, bool top, uint64_t lines);
/* DELE of each, then QUIT. numbers is borrowed until TALK_OVER. */
void talk_quit(struct talk *talk, const uint32_t *numbers, uint32_t count);
/* Room for octets of the message that was answered, until talk_take, talk_fetch or talk_quit. */
void talk_lend(struct talk *talk, char *room, size_t size);
/* Gives the room back. Returns how many octets are in it. *ret_last: nothing follows. */
size_t talk_take(struct talk *talk, bool *ret_last);
/* Whether talk_take has octets, or the end. */
bool talk_has_octets(const struct talk *talk);
/* How many octets of input there may be room for. */
size_t talk_room(const struct talk *talk);
bool talk_blocked(const struct talk *talk);
/* Whether an answer of that server is waited for. */
bool talk_waits(const struct talk *talk);

#endif
