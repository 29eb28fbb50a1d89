/*
 * A message's headers as far as a destination needs them: when it was received, and its
 * Message-ID. Pure; headers are hostile. For imap.c and gmail.c.
 */
#ifndef FETCH_UPLOAD_HEAD_H
#define FETCH_UPLOAD_HEAD_H

#include <pop3/span.h>

#include <stddef.h>
#include <stdint.h>

enum {
	HEAD_READ_MAX = 65536, /* of a message: what is behind that is not looked at */
	HEAD_FIELD_MAX = 1000, /* unfolded; the end of a longer one counts (Received's date) */
};

/* The value of the first field of this name, unfolded, its last HEAD_FIELD_MAX octets at most, with
 * a NUL behind. Its size; 0: not there, or with a NUL or nothing in it. */
size_t head_field(pop3_span head, const char *name, char ret[HEAD_FIELD_MAX + 1]);
/* Seconds since 1970 of the newest Received field, else of Date; 0: neither has a date that can be
 * read, or it is later than now. */
int64_t head_date(pop3_span head, int64_t now);
/* A date and time of RFC 5322, comments allowed; 0: it is none. */
int64_t head_parse_date(const char *text);
/* Without "<" and ">". Its size; 0: there is none, or one that is no plain word. */
size_t head_message_id(pop3_span head, char ret[HEAD_FIELD_MAX + 1]);
/* "28-Nov-2026 15:04:05 +0000" (RFC 9051, date-time). */
void head_imap_date(int64_t seconds, char ret[40]);

#endif
