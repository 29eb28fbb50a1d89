/*
 * Back-off of an account whose destination takes nothing for now: remembered in the journal, so
 * that runs of a timer keep to it. The first refusal costs no wait, each further one in a row
 * doubles it, from a minute to an hour; a time that the destination names is kept to. For run.c.
 */
#ifndef FETCH_SINK_BACKOFF_H
#define FETCH_SINK_BACKOFF_H

#include "fetch/sink/sink.h"

/* -1 with EX_TEMPFAIL: it is not time yet. now: seconds since 1970. */
int backoff_check(const struct journal *journal, int64_t now, struct err *err);
/* At the end of a run: delivered: something was. words: the destination's, if it refused. Written
 * with the next commit. */
int backoff_note(struct journal *journal, const struct sink *sink, bool delivered, int64_t now,
		 const char *words, struct err *err);

#endif
