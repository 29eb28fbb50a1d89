/*
 * Replies of an IMAP server: octets in, lines out, and what a line says (RFC 9051). Pure; replies
 * are hostile, and bounded here. For imap.c.
 */
#ifndef FETCH_UPLOAD_REPLY_H
#define FETCH_UPLOAD_REPLY_H

#include <pop3/span.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	REPLY_LINE_MAX = 8192,
	REPLY_LITERAL_MAX = 65536,
};

struct reply_reader {
	size_t used, literal; /* octets of a literal that are still to come: they are passed over */
	bool bad;
	char line[REPLY_LINE_MAX];
};

enum reply_take { REPLY_MORE, REPLY_LINE, REPLY_BAD };

/* Takes octets off the front of in; REPLY_LINE: *ret is one line without CRLF and without the
 * octets of its literals, good until the next call. After REPLY_BAD nothing follows. */
enum reply_take reply_take(struct reply_reader *reader, pop3_span *in, pop3_span *ret);

enum reply_kind { REPLY_NONSENSE, REPLY_CONTINUE, REPLY_UNTAGGED, REPLY_TAGGED };
enum reply_status { REPLY_OTHER, REPLY_OK, REPLY_NO, REPLY_NOT_UNDERSTOOD /* BAD */, REPLY_BYE };

struct reply {
	enum reply_kind kind;
	enum reply_status status; /* REPLY_OTHER: untagged data */
	pop3_span code; /* "TRYCREATE" of "[TRYCREATE]", with its arguments; may be empty */
	pop3_span text; /* what is left of the line */
};

/* The line of a server; tag: of the command that is awaited. */
void reply_parse(pop3_span line, const char *tag, struct reply *ret);
/* The code's first word. */
bool reply_code_is(const struct reply *reply, const char *word);
/* A word of a list of words, such as capabilities; with its value behind "=" in *ret_value. */
bool reply_has_word(pop3_span words, const char *word, pop3_span *ret_value);

#endif
