/*
 * The small grammar both machines share: numbers, base64, unique ids, response codes, word lists.
 * Private to libpop3. Everything takes spans of hostile text and keeps nothing.
 */
#ifndef POP3_SRC_GRAMMAR_PRIVATE_H
#define POP3_SRC_GRAMMAR_PRIVATE_H

#include <pop3/server.h>
#include <pop3/span.h>

#include <stdbool.h>
#include <stdint.h>

enum { P3_NUMBER_MAX = 20 }; /* digits of UINT64_MAX */

/* Canonical decimal: digits only, no sign, no leading zero, at most max. */
bool p3_number(pop3_span text, uint64_t max, uint64_t *ret_number);
/* Writes number in decimal, without NUL; out has P3_NUMBER_MAX octets. Returns octets written. */
size_t p3_put_number(char *out, uint64_t number);
/* One digit or more and nothing else. */
bool p3_digits(pop3_span text);
/* Standard base64 with padding; empty is valid. */
bool p3_base64(pop3_span text);
/* Whether it may be a server's unique id: 1 to POP3_CLIENT_ID_MAX octets, no control characters but
 * tabs. RFC 1939 section 7 has 70 octets of 0x21–0x7E; many servers do not keep to it. */
bool p3_unique_id(pop3_span text);
/* ASCII, without regard to case; word is upper case. */
bool p3_equal_nocase(pop3_span text, const char *word);
/* Is word (upper case) in list (words separated by single spaces; NULL: empty)? */
bool p3_in_list(const char *list, pop3_span word);

/* "IN-USE" and so on, without brackets; "" for POP3_CODE_NONE. */
const char *p3_code_name(enum pop3_code code);
/* Takes a known "[CODE]" or "[CODE/...]" and a space behind it from the front of *text. */
enum pop3_code p3_take_code(pop3_span *text);

#endif
