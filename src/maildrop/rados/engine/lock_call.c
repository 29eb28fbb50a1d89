/* See lock_call.h. The form is that of Ceph's cls_lock (src/cls/lock/cls_lock_ops.h), version 1 of
 * each. */
#include "maildrop/rados/engine/lock_call.h"

#include <assert.h>
#include <string.h>

const char lock_call_name[] = "valija";

enum { HEAD = 6, EXCLUSIVE = 1, SHARED = 2, MUST_RENEW = 2 };

static void put_number(struct lock_call *call, uint64_t value, size_t octets)
{
	assert(call->size + octets <= LOCK_CALL_MAX);
	for (size_t i = 0; i < octets; i++)
		call->data[call->size++] = (char)(value >> 8 * i);
}

static void put_text(struct lock_call *call, const char *text)
{
	size_t n = strlen(text);

	put_number(call, n, 4);
	assert(call->size + n <= LOCK_CALL_MAX);
	memcpy(call->data + call->size, text, n);
	call->size += n;
}

static void begin(struct lock_call *call, const char *name)
{
	call->size = 0;
	put_number(call, 1, 1);
	put_number(call, 1, 1);
	put_number(call, 0, 4);
	put_text(call, name);
}

static void end(struct lock_call *call)
{
	size_t size = call->size;

	call->size = 2;
	put_number(call, size - HEAD, 4);
	call->size = size;
}

void lock_call_lock(struct lock_call *call, const char *cookie, const char *holder,
		    uint32_t seconds, int renew)
{
	begin(call, lock_call_name);
	put_number(call, EXCLUSIVE, 1);
	put_text(call, cookie);
	put_text(call, ""); /* tag */
	put_text(call, holder);
	put_number(call, seconds, 4);
	put_number(call, 0, 4); /* nanoseconds */
	put_number(call, renew ? MUST_RENEW : 0, 1);
	end(call);
}

void lock_call_share(struct lock_call *call, const char *name, const char *cookie, uint32_t seconds)
{
	begin(call, name);
	put_number(call, SHARED, 1);
	put_text(call, cookie);
	put_text(call, ""); /* tag */
	put_text(call, "");
	put_number(call, seconds, 4);
	put_number(call, 0, 4); /* nanoseconds */
	put_number(call, 0, 1);
	end(call);
}

void lock_call_unlock(struct lock_call *call, const char *cookie)
{
	begin(call, lock_call_name);
	put_text(call, cookie);
	end(call);
}

void lock_call_assert(struct lock_call *call, const char *cookie)
{
	begin(call, lock_call_name);
	put_number(call, EXCLUSIVE, 1);
	put_text(call, cookie);
	put_text(call, "");
	end(call);
}
