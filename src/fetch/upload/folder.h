/* Names of IMAP folders on the wire: modified UTF-7 (RFC 3501 section 5.1.3) in a quoted string.
 * Pure; for imap.c. */
#ifndef FETCH_UPLOAD_FOLDER_H
#define FETCH_UPLOAD_FOLDER_H

#include <pop3/span.h>

enum { FOLDER_WIRE_MAX = 2048 };

/* name: UTF-8. With its quotes and a NUL. -1: no valid UTF-8, a control character, or too long. */
int folder_wire(pop3_span name, char ret[FOLDER_WIRE_MAX]);

#endif
