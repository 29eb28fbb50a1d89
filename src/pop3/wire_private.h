/*
 * Text between store and wire, many octets at a time. Private to libpop3; for message.c. Pure. The
 * octet in front of the text can be read, and counts; none behind it is read.
 */
#ifndef POP3_SRC_WIRE_PRIVATE_H
#define POP3_SRC_WIRE_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Line breaks without CR in n octets; *dots: a line begins with a dot (else it stays as it is). */
uint64_t p3_count_bare(const char *p, size_t n, bool *dots);

/*
 * Copies text that is the same in the store and on the wire: each CR stands before an LF, each LF
 * behind a CR, and no line begins with a dot. A CR may be the last octet copied. n: octets of
 * input, and room, of which it may write all. Returns how many are copied: a number of whole
 * blocks, in front of the first block that is other text, or does not fit; with plain C always 0.
 */
size_t p3_copy_wire(char *out, const char *in, size_t n);

#endif
