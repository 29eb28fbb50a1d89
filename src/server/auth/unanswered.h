/*
 * Questions to databases that nobody waits for any more, and that were not answered: their answer
 * may be on its way still, so each may come once, for a while. Any other answer without a question
 * is one that was given twice, too late or unasked, and its process is broken. On auth's loop.
 */
#ifndef SERVER_AUTH_UNANSWERED_H
#define SERVER_AUTH_UNANSWERED_H

#include "base/table.h"

#include <stdbool.h>
#include <stdint.h>

struct unanswered {
	struct table table;
	struct unanswered_entry *first, **end; /* in order of their ends */
	uint64_t forgot_until; /* more were given up than are kept: until then any may come */
};

void unanswered_init(struct unanswered *unanswered);
/* The question of that id to the process of that instance was given up now (milliseconds). */
void unanswered_add(struct unanswered *unanswered, uint64_t id, uint64_t instance, uint64_t now);
/* An answer to that id came from that process. Returns whether it may: once. */
bool unanswered_take(struct unanswered *unanswered, uint64_t id, uint64_t instance, uint64_t now);

#endif
