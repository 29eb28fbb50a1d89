/* Whether pools keep what they are given: asked of the monitors, which tell it to a key with mon
 * 'allow r'. These wait. */
#ifndef MAILDROP_RADOS_HEALTH_H
#define MAILDROP_RADOS_HEALTH_H

#include "maildrop/rados/engine/engine.h"

/* -1 with err: a pool has one copy of each object, and single_copy does not allow that. warn gets
 * what can be used, and should not. */
int health_check(struct engine *engine, const char *pool, const char *bodies, bool single_copy,
		 void (*warn)(const char *text), struct err *err);
/* Does what a keeper does, with objects of its own: what the key may not do is in err. */
int health_try(struct engine *engine, const char *user, const char *pool, const char *bodies,
	       struct err *err);

#endif
