/*
 * The browser's way back: what it asks our listener for, or what a person pastes. Pure; text from
 * any program of this machine.
 */
#ifndef FETCH_OAUTH_REDIRECT_H
#define FETCH_OAUTH_REDIRECT_H

#include <pop3/span.h>

enum redirect_kind {
	REDIRECT_OTHER, /* no answer of a provider: another request, another state */
	REDIRECT_CODE,
	REDIRECT_ERROR, /* the provider or the person refused */
};

enum { REDIRECT_CODE_MAX = 2048, REDIRECT_WORDS_MAX = 200 };

struct redirect {
	char code[REDIRECT_CODE_MAX];   /* printable, without blanks */
	char words[REDIRECT_WORDS_MAX]; /* printable */
};

/* The query in an address, what is behind "?"; size 0: none. */
pop3_span redirect_query(pop3_span address);
/* The address in the first line of an HTTP request; size 0: no GET. */
pop3_span redirect_target(pop3_span request);
/* state: what was sent out; only an answer that has it counts. */
enum redirect_kind redirect_read(pop3_span query, const char *state, struct redirect *ret);

#endif
