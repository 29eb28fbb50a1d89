/* The words of a line of the control protocol. No I/O. */
#ifndef SERVER_CONTROL_WORDS_H
#define SERVER_CONTROL_WORDS_H

#include <pop3/span.h>

#include <string.h>

/* Takes the octets up to the next blank off the line, and that blank. */
static inline pop3_span words_next(pop3_span *line)
{
	const char *blank = line->size ? memchr(line->data, ' ', line->size) : NULL;
	pop3_span word = {line->data, blank ? (size_t)(blank - line->data) : line->size};
	size_t taken = word.size + (blank != NULL);

	line->data += taken;
	line->size -= taken;
	return word;
}

#endif
