/*
 * The forms of a record: a line of the log,
 *
 *     EVENT from=ADDRESS session=ID key=value user="NAME" reason="words"
 *
 * and the members of a JSON object. Address and session stand before anything that a stranger
 * chose. In a line, text from outside stands in quotes, with each octet but [A-Za-z0-9@._+-] as
 * \xHH, so it can neither end its value nor look like another. In JSON it is a string of Unicode,
 * written in ASCII, with U+FFFD for each octet that is no UTF-8.
 *
 * A field is: the key (1 octet), kind and size (2 octets), the value. The fields may come out of
 * the memory of another process: each is checked, and what is none ends the record. No I/O; any
 * process.
 */
#ifndef SERVER_RECORD_FORM_H
#define SERVER_RECORD_FORM_H

#include "server/record_table.h"

#include <pop3/span.h>

enum record_kind {
	RECORD_NUMBER, /* 0 to 8 octets, the least first */
	RECORD_TEXT,   /* from outside */
	RECORD_TEXT_CUT,
	RECORD_WORDS, /* ours */
	RECORD_KINDS
};

enum {
	RECORD_FIELD_HEAD = 3,
	RECORD_JSON_MAX = LOG_EVENT_MAX, /* octets of the members of any record */
};

/* A record that somebody else wrote, perhaps. */
struct record_view {
	enum record_event event;
	const uint8_t *address; /* NULL: unknown */
	const char *network;    /* in place of an address; NULL, "": none */
	bool has_session;
	uint64_t front, session;
	const uint8_t *fields;
	size_t size;
};

struct record_field {
	enum record_key key;
	enum record_kind kind;
	uint64_t number;
	pop3_span text;
};

static inline void record_put_head(uint8_t *at, enum record_key key, enum record_kind kind,
				   size_t size)
{
	unsigned word = (unsigned)size | (unsigned)kind << 14;

	at[0] = (uint8_t)key;
	at[1] = (uint8_t)word;
	at[2] = (uint8_t)(word >> 8);
}

/* Takes the next field off the record. False: there is none that is whole. */
bool record_next(struct record_view *view, struct record_field *ret);
/* The first field of that key. */
bool record_find(const struct record_view *view, enum record_key key, struct record_field *ret);

/* The line, at most LOG_LINE_MAX octets, printable ASCII. Fields that find no room are left out.
 * Returns the octets. */
size_t record_line(const struct record_view *view, char buf[LOG_LINE_MAX]);
/* {"v":1,"time":"2026-01-31T12:00:00.000Z" — the beginning of an object, to which a comma and
 * members are added. ms: since 1970. Returns the octets. */
enum { RECORD_JSON_HEAD_MAX = 64 };
size_t record_json_head(uint64_t ms, char buf[RECORD_JSON_HEAD_MAX]);
/* "event":"login","from":… without braces; buf has RECORD_JSON_MAX octets. Returns the octets. */
size_t record_json(const struct record_view *view, char *buf);

#endif
