/*
 * A connection to the control socket of a running server: commands out, lines of fields in, by the
 * protocol of docs/control.md. Runs with the rights of the person who calls `valija`; what the
 * server sends is shown to that person, so it is checked as text from outside is.
 */
#ifndef CLI_CONTROL_LINK_H
#define CLI_CONTROL_LINK_H

#include "base/err.h"

#include <stdbool.h>
#include <stdio.h>

enum { LINK_FIELDS_MAX = 48, LINK_PATH_MAX = 108 };

struct control_link {
	int fd;
	FILE *server; /* that reads it: the link stays where it is while it is open */
	char *line;
	size_t room;
	char *fields[LINK_FIELDS_MAX]; /* of the last line; they live until the next one */
	int count;
	char path[LINK_PATH_MAX]; /* of the socket */
	unsigned seconds;
	bool silent; /* it did not send anything for so many seconds */
	bool cut;    /* its answer has no end: silent, or the connection was closed */
};

/* Connects to path, or, if that is NULL, to the socket that the configuration has (NULL: the usual
 * one). The server may be silent for so many seconds. -1 with err. */
int control_link_open(struct control_link *link, const char *config, const char *path,
		      unsigned seconds, struct err *err);
/* Connects once more to the socket of a link that was cut. -1 with err: it is closed. */
int control_link_again(struct control_link *link, unsigned seconds, struct err *err);
void control_link_close(struct control_link *link);
/* Sends a command; target NULL or "": none. */
int control_link_ask(struct control_link *link, const char *command, const char *target,
		     struct err *err);
/* The next line of the answer. 1: it is in fields; 0: the answer is whole; -1 with err: the server
 * refused (the err has its code), or ended meanwhile. */
int control_link_next(struct control_link *link, struct err *err);
/* Whether the last line is of that kind and has so many fields at least, its kind included. */
bool control_link_is(const struct control_link *link, const char *kind, int fields);
/* The number in a field; 0: it is none. */
unsigned long long control_link_number(const struct control_link *link, int field);

#endif
