/*
 * An event of the recorder in words, and what to do about it. Tables, no I/O, no memory; the events
 * are another process's, so every text out of them is escaped. In control.
 */
#ifndef SERVER_CONTROL_STORY_H
#define SERVER_CONTROL_STORY_H

#include "server/record_form.h"

enum {
	STORY_WORDS_MAX = 1024, /* octets of an event in words, and of an advice */
};

/* Writes what happened, printable ASCII, with a NUL. Returns the octets. */
size_t story_words(const struct record_view *view, char buf[STORY_WORDS_MAX]);

/* The advice that fits the event; NULL: none. It lives for ever, and may have places for
 * story_advise. */
const char *story_advice(const struct record_view *view);
/* Fills an advice in from the event. Returns the octets. */
size_t story_advise(const char *advice, const struct record_view *view, char buf[STORY_WORDS_MAX]);

#endif
