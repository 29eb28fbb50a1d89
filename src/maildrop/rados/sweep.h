/*
 * Orphans: bodies that no log tells of, since a delivery ended between the two. They are removed
 * when they are so old that no delivery can append a record any more: the index gets a new
 * generation first, which refuses those that stopped for as long. For commands: it waits.
 */
#ifndef MAILDROP_RADOS_SWEEP_H
#define MAILDROP_RADOS_SWEEP_H

#include "base/err.h"
#include "maildrop/rados/engine/engine.h"

#include <stdbool.h>
#include <stdint.h>

enum { SWEEP_AGE_S = 7 * 24 * 3600 };

struct sweep {
	struct engine *engine;
	uint32_t age_s; /* younger ones stay; 0: SWEEP_AGE_S */
	bool dry_run;   /* nothing is removed, no lock is taken */
	/* Lines for a person; may be NULL. */
	void (*note)(void *context, const char *text);
	void *context;
	/* ret: objects */
	uint64_t looked_at, young, known, orphans, left_over, removed, in_use, without_index,
		failed;
};

/* All bodies of the pool. -1 with err: the pool cannot be listed, or has no mark. What fails for
 * one maildrop is counted, and noted. */
int sweep_run(struct sweep *sweep, struct err *err);

#endif
