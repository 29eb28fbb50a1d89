/*
 * A connection to the control socket and where its command has got to: which step, which auth
 * process, which page; and how lines get to the client. What the parts of client.c share. On
 * control's loop.
 */
#ifndef SERVER_CONTROL_CALLER_H
#define SERVER_CONTROL_CALLER_H

#include "server/control/command.h"
#include "server/control/root.h"

enum { CALLER_LAST_LINE_MAX = 2600 };

/* A struct client is one of the frame's; this is a whole connection. */
struct caller {
	struct client client;
	struct control *control;
	uint32_t uid, gid;
	bool over, runs, asked; /* a command is under way; its step was asked for a page */
	const struct command_row *row;
	struct ipc_ban ban; /* the question about bans, so far */
	unsigned step;
	char target[IPC_TEXT_MAX];
	size_t target_size;
	uint64_t auth, cursor[2];   /* the auth process that is asked: its instance */
	uint64_t count;             /* of the lines so far */
	struct table_node question; /* key: its number */
	struct loop_deadline answer;
	char in[COMMAND_LINE_MAX];
	size_t in_size;
	struct tracing *tracing; /* NULL: it follows nobody */
	bool follows;            /* each auth process has told its fronts */
	uint32_t trace_seconds;
	uint64_t trace_id;
	struct caller *next_tracer;
	char *out; /* lines for the client; NULL: none */
	size_t out_size, out_at;
};

/* ---- answers ---- */

/* Takes the lines, of malloc; NULL: there was no memory, the connection ends. */
void caller_say(struct caller *caller, char *lines, size_t size);
/* The last line of an answer. */
void caller_conclude(struct caller *caller, const char *kind, const char *words);
/* The same with the code that a command line program ends with; 0: none. */
void caller_fail(struct caller *caller, pop3_span words, uint32_t code);
/* The person may not. */
void caller_refuse(struct caller *caller);

/* ---- steps ---- */

enum step_kind caller_kind(const struct caller *caller);
bool caller_asks_monitor(const struct caller *caller);
void caller_next_step(struct caller *caller);
/* The process that was asked has nothing more: the next auth process, or the next step. */
void caller_page_was_last(struct caller *caller);

/* ---- questions ---- */

/* A question is under way; its number. */
uint64_t caller_asking(struct caller *caller, struct loop_deadlines *deadlines);
void caller_answered(struct caller *caller);
/* The caller who waits for that answer of that process (NULL: the monitor); it is answered now.
 * NULL: nobody does any more, or it was not asked for this. */
struct caller *caller_waiting(struct control *control, uint64_t number, const struct peer *auth,
			      enum step_kind kind);
/* The auth process with the lowest instance from that one on. NULL: none. */
struct peer *caller_auth_from(const struct child *child, uint64_t instance);

#endif
