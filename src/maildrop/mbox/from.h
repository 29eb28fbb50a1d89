/*
 * The lines of an mbox that are not the message's own: the "From " line that begins a message, and
 * headers in which other mail programs keep their notes. Pure; the text is hostile. For the files
 * of this folder.
 */
#ifndef MAILDROP_MBOX_FROM_H
#define MAILDROP_MBOX_FROM_H

#include <pop3/span.h>

#include <stdbool.h>
#include <stdint.h>

/* A line is judged by so many octets of its beginning; a longer one begins no message. Postfix
 * takes senders of nearly 2048 octets, and writes them quoted: each octet may become two. */
#define MBOX_LOOK 8192u

/* Does text begin with a line that begins a message: "From ", anything, and a date of asctime
 * (weekday, month, day, time, perhaps a zone, year)? text: at least MBOX_LOOK octets, or all that
 * is there. Returns the octets of the line with its line end (none at the end of the file), 0: it
 * is no such line. */
uint32_t mbox_from_line(pop3_span text);

enum mbox_header {
	MBOX_HEADER,        /* part of the message */
	MBOX_HEADER_VARIES, /* the same, but other programs change it: not in the digest */
	MBOX_HEADER_HIDDEN, /* a note of another program: never shown */
};

/* The kind of the header line that text begins with; no continuation line. */
enum mbox_header mbox_header_kind(pop3_span text);
/* Is this the line NAME: VALUE? Then value is what stands behind the colon, without white space at
 * both ends. name: with its colon. */
bool mbox_header_value(pop3_span text, pop3_span name, pop3_span *value);
/* Octets of an empty line at the beginning of text: 1, 2 (CRLF), or 0: it is none. */
uint32_t mbox_empty_line(pop3_span text);

#endif
