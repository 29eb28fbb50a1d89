/*
 * See engine.h: the cluster's clock. RADOS has no call for it. A lock that ends is given its end by
 * the clock of the OSD, and says so: a shared one, which hinders nobody, of a name of its own.
 */
#include "maildrop/rados/engine/engine_private.h"

#include "base/little_endian.h"
#include "base/random.h"
#include "base/text.h"
#include "maildrop/rados/engine/lock_call.h"

#include <string.h>
#include <sysexits.h>

enum {
	LEASE_S = 60,
	HEAD = 6, /* of a struct of Ceph's: version, compatible version, size */
	COOKIE_OCTETS = 8,
	INFO_MAX = 16384,
};

static const char LOCK[] = "clock";

/* What is left of the answer. */
struct reader {
	const unsigned char *at, *end;
	bool bad;
};

static const unsigned char *take(struct reader *reader, size_t size)
{
	static const unsigned char none[8];
	const unsigned char *at = reader->at;

	reader->bad = reader->bad || size > (size_t)(reader->end - at);
	if (reader->bad)
		return none;
	reader->at += size;
	return at;
}

static uint32_t take_number(struct reader *reader)
{
	return le_get32(take(reader, 4));
}

/* The inside of a struct. */
static struct reader take_struct(struct reader *reader)
{
	struct reader inside = {.at = reader->end, .end = reader->end};
	uint32_t size;

	(void)take(reader, HEAD - 4);
	size = take_number(reader);
	inside.at = take(reader, size);
	inside.end = inside.at + size;
	inside.bad = reader->bad;
	if (inside.bad)
		inside.at = inside.end = reader->end;
	return inside;
}

/* cls_lock_get_info_reply: a map of whose lock it is (an entity, a cookie) to its end and more. 0:
 * it does not have that cookie. */
static time_t end_of(const char *answer, size_t size, const char *cookie)
{
	struct reader reader = {.at = (const unsigned char *)answer,
				.end = (const unsigned char *)answer + size};
	struct reader all = take_struct(&reader);
	uint32_t count = take_number(&all);

	while (count-- && !all.bad) {
		struct reader whose = take_struct(&all), what = take_struct(&all);

		if (!all.bad &&
		    memmem(whose.at, (size_t)(whose.end - whose.at), cookie, strlen(cookie)))
			return (time_t)take_number(&what);
	}
	return 0;
}

static int lock(rados_ioctx_t pool, const char *name, const char *cookie)
{
	rados_write_op_t write = rados_create_write_op();
	struct lock_call call;
	int result;

	lock_call_share(&call, LOCK, cookie, LEASE_S);
	rados_write_op_assert_exists(write); /* the class would make the object */
	rados_write_op_exec(write, "lock", "lock", call.data, call.size, NULL);
	result = rados_write_op_operate(write, pool, name, NULL, LIBRADOS_OPERATION_FULL_FORCE);
	rados_release_write_op(write);
	return result;
}

/* Returns the octets of the answer, or -errno. */
static int read_lock(struct engine *engine, const char *name, const char *cookie, char *ret,
		     size_t size)
{
	char question[HEAD + 4 + sizeof(LOCK) - 1] = {1, 1, 4 + sizeof(LOCK) - 1};
	rados_ioctx_t pool = engine->pools[ENGINE_INDEXES];
	int result = lock(pool, name, cookie);

	if (result < 0)
		return result;
	question[HEAD] = sizeof(LOCK) - 1;
	memcpy(question + HEAD + 4, LOCK, sizeof(LOCK) - 1);
	result = rados_exec(pool, name, "lock", "get_info", question, sizeof(question), ret, size);
	(void)rados_unlock(pool, name, LOCK, cookie);
	return result;
}

int engine_time(struct engine *engine, const char *name, time_t *ret, struct err *err)
{
	char cookie[2 * COOKIE_OCTETS + 1], answer[INFO_MAX];
	unsigned char octets[COOKIE_OCTETS];
	time_t end;
	int size;

	if (!engine_connected(engine, err))
		return -1;
	if (random_octets(octets, sizeof(octets)) < 0)
		return err_set(err, EX_OSERR, "the kernel has no random octets");
	hex_encode(octets, sizeof(octets), cookie);
	size = read_lock(engine, name, cookie, answer, sizeof(answer));
	if (size < 0)
		return err_sys(err, EX_TEMPFAIL, -size, "%s: the cluster's clock cannot be read",
			       name);
	end = end_of(answer, (size_t)size, cookie);
	if (!end)
		return err_set(err, EX_TEMPFAIL,
			       "the cluster's clock cannot be read: what the class lock answers "
			       "has another form than that of Ceph 16");
	*ret = end - LEASE_S;
	return 0;
}
