/*
 * Collecting one line up to CRLF, bounded, from input that may be split anywhere; and reading a
 * line away. Shared by both machines, private to libpop3. A CR is held back until the next octet
 * tells whether it ends the line; otherwise it is content. Results depend on the octets only,
 * never on how they were split.
 */
#ifndef POP3_SRC_LINE_PRIVATE_H
#define POP3_SRC_LINE_PRIVATE_H

#include <pop3/span.h>

#include <stdbool.h>
#include <stdint.h>

enum p3_line_result {
	P3_LINE_OK,      /* *size octets are in buffer, the CRLF is taken */
	P3_LINE_MORE,    /* all input is taken */
	P3_LINE_LONG,    /* stopped in front of the first octet that does not fit */
	P3_LINE_BARE_LF, /* an LF without CR, taken */
};

/* A view on the members of the machine that collects. */
struct p3_line {
	char *buffer;
	size_t max; /* octets of a line without its CRLF */
	uint32_t *size;
	bool *last_cr;
};

enum p3_line_result p3_take_line(const struct p3_line *line, pop3_span *in);
/* P3_LINE_OK: the CRLF is taken; P3_LINE_LONG: more than max octets were read away;
 * P3_LINE_BARE_LF: an LF ended something that is not empty (*content; NULL: that is not told). */
enum p3_line_result p3_discard_line(pop3_span *in, bool *last_cr, uint32_t *discarded, uint32_t max,
				    bool *content);

#endif
