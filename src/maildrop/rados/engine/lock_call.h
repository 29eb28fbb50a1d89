/* The arguments of the object class "lock", as its methods take them: little-endian, each text
 * behind its size. No I/O. */
#ifndef MAILDROP_RADOS_ENGINE_LOCK_CALL_H
#define MAILDROP_RADOS_ENGINE_LOCK_CALL_H

#include <stddef.h>
#include <stdint.h>

enum { LOCK_CALL_MAX = 1024 };

struct lock_call {
	size_t size;
	char data[LOCK_CALL_MAX];
};

/* Method "lock". renew: only if the cookie has it. */
void lock_call_lock(struct lock_call *call, const char *cookie, const char *holder,
		    uint32_t seconds, int renew);
/* Another lock, of that name, that many may have. */
void lock_call_share(struct lock_call *call, const char *name, const char *cookie,
		     uint32_t seconds);
/* Method "unlock". */
void lock_call_unlock(struct lock_call *call, const char *cookie);
/* Method "assert_locked". */
void lock_call_assert(struct lock_call *call, const char *cookie);

extern const char lock_call_name[]; /* of the lock */

#endif
