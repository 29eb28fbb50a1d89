/*
 * Signals that end a run tidily: SIGINT, SIGTERM and SIGHUP are noted; whoever waits asks, and goes
 * back with an error. What is complete is delivered, locks are removed. The second one of a kind
 * ends the process at once. In each process of `valija fetch`.
 */
#ifndef FETCH_INTERRUPT_H
#define FETCH_INTERRUPT_H

#include "base/err.h"

/* A wait lasts no longer before it asks again: the signal may have come just before. */
enum { INTERRUPT_POLL_MS = 500 };

/* Catches them. A write beyond the limit of a file's size is an error, no signal's death. */
void fetch_interrupt_catch(void);
/* For a process that ends by itself when its parent does: they are not for it. */
void fetch_interrupt_ignore(void);
/* Before another program is started. */
void fetch_interrupt_default(void);
/* The signal's number, 0: none came. */
int fetch_interrupted(void);
/* -1 with err (128 and the number, as shells have it) if one came; else 0. */
int fetch_interrupt_check(struct err *err);

#endif
