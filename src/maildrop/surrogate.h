/*
 * The header of a message in ASCII, in place of one in UTF-8, for clients that have not given UTF8:
 * a surrogate (RFC 6858), of exactly as many octets on the wire, so that LIST and STAT stay as they
 * are. Subjects and names are written as encoded words (RFC 2047); an address in UTF-8 becomes one
 * that nobody has; fields that have no such form are left out, and where room is short, Received,
 * too. Pure; every octet is hostile.
 */
#ifndef MAILDROP_SURROGATE_H
#define MAILDROP_SURROGATE_H

#include <pop3/span.h>

/* Octets of the header that message begins with, with the empty line behind it. */
size_t surrogate_header(pop3_span message);
/* Octets of the surrogate: those of the header with each line ended by CRLF. */
size_t surrogate_size(pop3_span header);
/* Writes it; out has that room. 0, or -1: no memory. */
int surrogate_write(pop3_span header, char *out);

#endif
