/*
 * The mark of a site's pools: an object in each that every process looks for before it takes a
 * maildrop, or a body, that is not there for one that never was. For commands: these wait.
 */
#ifndef MAILDROP_RADOS_MARK_H
#define MAILDROP_RADOS_MARK_H

#include "base/err.h"
#include "maildrop/rados/engine/engine.h"

extern const char mark_name[];

/* Makes what is missing of it. -1: see err. */
int mark_make(struct engine *engine, struct err *err);
/* 1: both pools have it; 0: not both; -1: see err. */
int mark_look(struct engine *engine, struct err *err);

#endif
