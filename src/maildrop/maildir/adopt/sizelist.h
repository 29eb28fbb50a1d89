/*
 * courierpop3dsizelist, in which Courier's POP3 server keeps the unique ids of a Maildir's
 * messages, taken apart: versions 0 (without a header) to 3. Pure.
 */
#ifndef MAILDROP_MAILDIR_ADOPT_SIZELIST_H
#define MAILDROP_MAILDIR_ADOPT_SIZELIST_H

#include "base/err.h"

#include <pop3/span.h>

#include <stdint.h>

struct sizelist_entry {
	pop3_span name;    /* with its flags */
	pop3_span file;    /* of name: up to the flags, 1 to 255 octets */
	uint64_t number;   /* 0: the id is made of the file's name */
	uint64_t validity; /* 0: the id has none */
};

struct sizelist {
	struct sizelist_entry *entries; /* in the order in which Courier numbers messages */
	uint32_t count;
	uint32_t bad; /* lines that make no sense: passed over, as Courier does */
};

/* The spans point into text. -1 with err, which does not name the file: it is no such list, has
 * more than INDEX_COUNT_MAX messages, or memory is short. */
int sizelist_parse(pop3_span text, struct sizelist *ret, struct err *err);
void sizelist_finish(struct sizelist *list);
/* Writes the id as Courier sends it, and a NUL. Returns its size; 0: it is longer than fits. */
size_t sizelist_id(const struct sizelist_entry *entry, char *ret, size_t size);

#endif
