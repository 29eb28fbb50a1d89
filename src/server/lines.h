/*
 * Lines of answers to people (docs/control.md): fields with TABs between them, each line ended by
 * LF. A field cannot end itself or its line, whatever it is made of. Written by the process that
 * knows the answer: the monitor, auth, control. One page of lines, in place; no I/O.
 */
#ifndef SERVER_LINES_H
#define SERVER_LINES_H

#include "ipc/messages.h"

struct lines {
	size_t size, whole; /* octets; those of the lines that are finished */
	uint32_t count;     /* of finished lines */
	bool full;          /* the line that is being written has no room */
	char text[IPC_BATCH_MAX];
};

enum {
	LINES_PAGE = 256,  /* lines of a page: so many things are looked at in a turn */
	LINES_ESCAPED = 4, /* octets that one octet of a text may take */
};

/* Begins a line; kind: its first field. */
void lines_begin(struct lines *lines, const char *kind);
/* Text from outside without blanks: what is no printable ASCII, a blank and "\" stand as \xHH; "-"
 * alone stands for no text. */
void lines_name(struct lines *lines, pop3_span name);
/* The same, but blanks stay. */
void lines_words(struct lines *lines, const char *words);
void lines_number(struct lines *lines, uint64_t number);
/* Ends the line. False: it found no room, and is not there. */
bool lines_end(struct lines *lines);

/* As lines_name has it, into buf, which has four times the room of text, and 1 octet at least.
 * Returns the octets; there is no NUL. */
size_t lines_escape(char *buf, pop3_span text);
/* As lines_words has it. */
size_t lines_escape_words(char *buf, pop3_span text);

/* Whether a person of that uid or gid gives commands: one of those that the monitor named. */
bool lines_obeyed(const struct ipc_control_peers *peers, uint32_t uid, uint32_t gid);

#endif
