/* Helpers over spans of text from outside. No allocation, no I/O. Any process and thread. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <pop3/span.h>

#include <stdbool.h>
#include <stdint.h>

#define SPAN_LITERAL(s) ((pop3_span){(s), sizeof(s) - 1})

pop3_span span_of(const char *text);
bool span_equal(pop3_span a, pop3_span b);
bool span_equal_nocase(pop3_span a, pop3_span b); /* ASCII */
/* Takes the prefix off the front of *text. False: text does not begin with it. */
bool span_take_prefix(pop3_span *text, pop3_span prefix);
/* Takes the octets before the next separator off the front of *text, and the separator, too; all of
 * them if there is none. Returns them. */
pop3_span span_take_until(pop3_span *text, char separator);
/* Copies into a NUL-terminated buffer. -1 if it does not fit or holds a NUL: nothing is written
 * then. */
int span_copy(pop3_span text, char *buf, size_t size);
/* A decimal number, digits only, no sign, no overflow beyond max. -1 otherwise. */
int span_number(pop3_span text, uint64_t max, uint64_t *ret);

/* Octets of the byte-order mark of UTF-8 that text begins with: 3, or 0 when there is none. */
size_t text_mark_size(pop3_span text);
/* For the whole text of a file: takes that mark off its front. -1: the text begins with a mark of
 * UTF-16 or UTF-32, and text_utf16_words says so to a person. */
int text_skip_mark(pop3_span *text);
extern const char text_utf16_words[];

/* Escapes text for logs and terminals: everything outside 0x20–0x7E and "\" as \xHH. Writes
 * at most cap octets and a NUL (buf has cap + 1), cuts with "...". Returns octets written without
 * the NUL. */
size_t text_escape(char *buf, size_t cap, pop3_span text);

/* The same, but keeps characters of UTF-8 that a terminal shows as text. */
size_t text_show(char *buf, size_t cap, pop3_span text);
/* Octets of the character of UTF-8 beyond ASCII that text begins with: 2 to 4; 0: it is none, or
 * one that is a control, steers the direction of text or is never shown. */
size_t text_shown_size(pop3_span text);

/* Standard base64 (RFC 4648 section 4) with padding, nothing else tolerated. Return octets written,
 * -1: does not fit or invalid. */
int base64_encode(pop3_span in, char *buf, size_t size); /* adds a NUL */
int base64_decode(pop3_span in, char *buf, size_t size);
void hex_encode(const unsigned char *in, size_t n, char *buf); /* 2n digits and a NUL */
/* An IPv4 address as "192.0.2.1"; buf has 16 octets. inet_ntop costs more than a whole log line. */
void text_dotted(const uint8_t octets[4], char *buf);
/* Takes the next pair off "name NUL value NUL …". False: there is none; what is left of rest is one
 * that was cut. */
bool text_take_pair(pop3_span *rest, const char **ret_name, const char **ret_value);
/* Whether it is an address of IPv4 or IPv6, and no name. */
bool text_is_address(const char *text);

#endif
