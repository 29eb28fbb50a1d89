/*
 * Values within filters (RFC 4515) and names of entries (RFC 4514). Whatever a client sends as its
 * name stays one value: no octet of it ends the value, begins another or matches more than itself.
 * Pure; any thread.
 */
#ifndef LOOKUP_LDAP_ESCAPE_H
#define LOOKUP_LDAP_ESCAPE_H

#include <pop3/span.h>

#include <stdbool.h>

/* For lookup_expand: return the octets written, or -1: no room. */
int filter_escape(pop3_span value, char *buf, size_t size);
int dn_escape(pop3_span value, char *buf, size_t size);

/* Whether text is one filter in parentheses, each of them closed. The server judges the rest. */
bool filter_is_whole(const char *text);
/* Whether text can stand as the attribute of a filter: a name or numbers of RFC 4512, options,
 * a matching rule ("memberOf:1.2.840.113556.1.4.1941:"). */
bool attribute_is_valid(const char *text);

#endif
