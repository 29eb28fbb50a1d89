/* Where a line begins with an octet that is rare there: for text of many megabytes, of which each
 * octet is looked at. No allocation, no I/O. Any process and thread. */
#ifndef BASE_LINE_SEARCH_H
#define BASE_LINE_SEARCH_H

#include <pop3/span.h>

/* The place of the first LF, from `at` on, with that octet behind it; text.size: there is none. */
size_t line_search(pop3_span text, size_t at, char first);

#endif
