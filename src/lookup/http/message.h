/*
 * The JSON that goes over HTTP to a site's own program, and what comes back: valija.conf(5) has it
 * for those who write one. Pure; thread-safe.
 */
#ifndef LOOKUP_HTTP_MESSAGE_H
#define LOOKUP_HTTP_MESSAGE_H

#include "lookup/driver.h"

enum {
	MESSAGE_REQUEST_MAX = 256 * 1024, /* a password of 16 KiB, each octet escaped */
	MESSAGE_ANSWER_MAX = 64 * 1024,
};

/* The names of the question that went into a request, by their places in it. */
struct message_names {
	unsigned count;
	unsigned places[IPC_LOOKUP_NAMES_MAX];
};

/* Writes the request. Names that are not UTF-8 are left out. Returns its size; 0: no name is left,
 * or the password is not UTF-8; -1: no room. */
int message_write(const struct lookup_question *question, struct message_names *ret_names,
		  char *buf, size_t size);

/* Reads the answer to a question with those names: status and fields, or LOOKUP_DOWN with why. */
void message_read(pop3_span text, const struct message_names *names, struct lookup_answer *answer);

#endif
