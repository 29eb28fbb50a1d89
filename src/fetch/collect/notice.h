/*
 * The notice of a run whose destination refused messages for good: one message to the destination
 * itself, with the words for each, so that the owner learns of it where mail is read. For
 * receive.c and transfer.c.
 */
#ifndef FETCH_COLLECT_NOTICE_H
#define FETCH_COLLECT_NOTICE_H

#include "fetch/collect/transfer.h"

struct notice {
	unsigned count;
	size_t used;
	char list[4096]; /* a line each; what does not fit is only counted */
};

/* words: escaped. */
void notice_add(struct notice *notice, uint32_t number, const char *words);
/* Nothing if nothing was refused. A notice that cannot be delivered is a warning. */
void notice_deliver(const struct notice *notice, struct transfer *transfer);

#endif
