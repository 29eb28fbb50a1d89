/*
 * The dialogue of a user's sessions, for `valija trace`: lines as the tests of the library have
 * them (tests/transcripts/README.md), written into the recorder's lane of traces. auth says whose
 * sessions, after it judged the person. Secrets never get there: what a client says before the
 * login is shown only where it is known to be none, else "****" stands for it. Of a message its
 * first line and its octets are told, not what it has.
 *
 * Until it is known whose a session is, its lines wait in memory of its own; they are thrown away
 * if it is somebody else's. Nothing here waits: what the reader does not take in time is written
 * over. Runs in the front; a session costs a pointer when nobody is traced.
 */
#ifndef SERVER_FRONT_TRACE_H
#define SERVER_FRONT_TRACE_H

#include "ipc/messages.h"
#include "users/names.h"

#include <stddef.h>

struct session;
struct front;

enum { TRACES_MAX = 4 };

/* In the root struct of a front. */
struct traces {
	unsigned count;
	struct trace_wish {
		uint64_t id, until; /* loop_now */
		uint32_t name_size;
		char name[USER_NAME_MAX]; /* in its canonical form */
	} list[TRACES_MAX];
};

/* TRACE_USER of auth. The user's sessions that are there are told from now on. */
void traces_set(struct front *front, const struct ipc_trace_user *message);

/* A session begins, with its greeting; is secured; is named: by the client with credentials, or,
 * for certain, by its keeper; has its mail; ends. */
void trace_begin(struct session *session);
void trace_secured(struct session *session);
void trace_named(struct session *session, pop3_span user, bool certain);
void trace_message(struct session *session, uint64_t octets, pop3_span unique_id);
/* The message that RETR or TOP gets has so many octets. */
void trace_asked(struct session *session, uint64_t octets);
void trace_end(struct session *session, bool closed);
/* Input that the machine took; output: replies and listings; a piece of a body. */
void trace_input(struct session *session, pop3_span octets);
void trace_output(struct session *session, pop3_span octets);
void trace_body(struct session *session, pop3_span octets);

#endif
