/*
 * The part that the files of the store share. A box is what is known of one maildrop's index
 * object: its log as read, under one generation. It is kept when nobody uses the maildrop, as long
 * as there is room, so that the next login reads only what was appended since. On the keeper's
 * loop.
 */
#ifndef MAILDROP_RADOS_POOL_PRIVATE_H
#define MAILDROP_RADOS_POOL_PRIVATE_H

#include "base/table.h"
#include "maildrop/driver.h"
#include "maildrop/rados/body_name.h"
#include "maildrop/rados/engine/engine.h"
#include "maildrop/rados/log/listing.h"
#include "maildrop/rados/rados.h"
#include "sys/loop.h"
#include "sys/workers.h"

struct box;
struct box_reading;
struct pool_ahead;
struct pool_session;

struct pool {
	struct store store;
	struct maildrop_settings settings;
	struct engine *engine;
	struct workers *workers;       /* for messages that are large */
	struct table boxes;            /* by hash of the path */
	struct box *idle, **idle_last; /* boxes that nobody uses, the longest idle one first */
	size_t idle_octets;
	struct pool_session *sessions; /* that have a lock */
	struct pool_ahead *aheads, **last_ahead;
	size_t ahead_octets; /* of bodies in memory */
	struct loop_timer tick;
	bool ticking, away;
	unsigned lease_s;
	uint64_t young_ms;
	unsigned again_ms, slack;
	uint64_t under_way; /* operations of the engine */
	char node[96];      /* what the locks say of this process */
	char node_id[17];   /* its end, random */
	/* notices of other nodes (nodes.c) */
	struct engine_watch watch;
	struct loop_timer watch_again;
};

static inline struct pool *pool_of(struct store *store)
{
	return (struct pool *)store;
}

/* ---- boxes (box.c) ---- */

/* Embedded; where the log is to be read to its end. */
struct box_reading {
	void (*done)(struct box_reading *reading);
	enum maildrop_status status; /* ret: OK, ABSENT, TEMP */
	struct err err;              /* ret */
	/* private */
	struct box *box;
	struct box_reading *next;
};

struct box {
	struct table_node node;
	struct pool *pool;
	unsigned references;
	struct box *idle_next, **idle_at; /* idle_at NULL: it is not idle */
	struct pool_session *session; /* of this process, that has the lock or tries to get it */
	bool hurry;                   /* somebody waits for that session to end */
	/* as last read */
	bool known;
	char generation[ENGINE_GENERATION + 1];
	uint64_t version;
	struct drop_log log;
	struct drop_listings listings; /* of it */
	/* the reading under way, for those in active; those in waiting began later */
	struct engine_index index;
	char *room;
	bool reading;
	unsigned tries;
	struct box_reading *active, *waiting;
	char path[]; /* of the maildrop; name: of the object, behind it */
};

struct box *box_take(struct pool *pool, const char *path);
/* NULL: it is not known. */
struct box *box_find(const struct pool *pool, const char *path);
void box_release(struct box *box);
const char *box_name(const struct box *box);
static inline struct box *box_of(struct pool *pool, struct store_where *where)
{
	if (!where->lane)
		where->lane = (struct store_lane *)(void *)box_take(pool, where->path);
	return (struct box *)(void *)where->lane;
}
/* Reads what was appended since the last reading, or all of it. Begins after this call, so it sees
 * what was there before it. */
void box_read(struct box *box, struct box_reading *reading);
/* What is known of it is not believed any more. */
void box_forget(struct box *box);
/* What the object has been replaced with by this process. */
void box_replaced(struct box *box, const char *generation, pop3_span octets);
void pool_free_idle(struct pool *pool);

/* ---- helpers (base.c) ---- */

void pool_begin(struct pool *pool);
void pool_done(struct pool *pool);
uint64_t pool_clock(void); /* milliseconds, with the time that the machine slept */
/* The status of an operation that failed, and the text. */
enum maildrop_status pool_status(const struct engine_op *op);
enum maildrop_status pool_failed(const struct engine_op *op, const char *name, struct err *err);
/* The operation's status is set; done() is never called from inside the call that began it. */
void pool_end_later(struct pool *pool, struct store_op *op);
int pool_random_text(char *ret, size_t digits); /* and a NUL; -1: no random octets */

/* Is the pool the one of the site? A pool that was removed and made again has no objects: that is
 * no maildrop without mail. */
struct pool_mark {
	void (*done)(struct pool_mark *mark);
	bool there; /* ret */
	struct pool *pool;
	struct engine_index index;
	struct engine_stat stat;
};
void pool_look_for_mark(struct pool *pool, enum engine_pool which, struct pool_mark *mark);

/* ---- removal of bodies (removal.c) ---- */

struct removal_item {
	unsigned char id[DROP_ID];
	uint64_t stored;
	bool gone; /* ret */
};
struct removal {
	void (*done)(struct removal *removal); /* may free it, and items */
	const bool *stop;                      /* may be NULL */
	struct pool *pool;
	struct removal_item *items;
	size_t count;
	/* private */
	size_t next, under_way;
	bool begun, over;
};
void removal_begin(struct removal *removal);
/* The same for a copy of its own, which nobody waits for. */
void removal_in_background(struct pool *pool, struct removal_item *items, size_t count);

/* ---- sessions: lowest first, jobs.c, lease.c, leave.c, compact.c, session.c; snapshot.c, bodies.c
 * ---- */

struct pool_session {
	struct maildrop maildrop;
	struct pool *pool;
	struct box *box;                 /* NULL: an empty one in memory */
	struct pool_session *next, **at; /* at NULL: it has no lock */
	char cookie[ENGINE_COOKIE_MAX];
	struct drop_listing *listing; /* what it sees */
	struct pool_ahead *ahead;     /* bodies; NULL: none was asked for */
	/* the lock */
	uint64_t until, renew_at, asked_at; /* pool_clock */
	bool renewing, lost;
	struct engine_op renewal;
	struct loop_later tell; /* the owner, that it is lost */
	/* what is under way, and what is done when nothing is */
	unsigned jobs;
	void (*next_step)(struct pool_session *session);
	struct removal_item *deleted; /* by its commit */
	size_t deleted_count;
	/* opening and closing: one of them at a time */
	struct store_open *opening;
	struct store_close *closing;
	enum maildrop_status status; /* of opening */
	struct err err;
	struct engine_op lock;
	struct box_reading reading;
	struct pool_mark mark;
	/* compaction */
	struct removal removal;
	unsigned char *log;
	size_t log_size;
	char generation[ENGINE_GENERATION + 1];
	unsigned tries;
};

void session_open(struct pool *pool, struct store_where *where, struct store_open *op);
enum maildrop_status session_open_empty(struct pool *pool, struct maildrop **ret, struct err *err);
void session_commit(struct maildrop *maildrop, struct store_commit *op);
bool session_try_close(struct maildrop *maildrop);
void session_close(struct maildrop *maildrop, struct store_close *op);
/* An operation on the session begins; is done. */
void session_begin(struct pool_session *session);
void session_done(struct pool_session *session);
/* Calls step when nothing is under way: now, or later. */
void session_after(struct pool_session *session, void (*step)(struct pool_session *session));
void session_free(struct pool_session *session);
/* Ends the operation that opened or closes it, and frees the session, which has no lock. */
void session_end(struct pool_session *session);
/* Gives the lock back, ends the operation that opened or closes it, and frees the session. */
void session_leave(struct pool_session *session);
/* If it is worth while: makes the log shorter. Then session_leave. */
void session_compact(struct pool_session *session);
bool session_try_fetch(struct maildrop *maildrop, struct store_fetch *op);
void session_fetch(struct maildrop *maildrop, struct store_fetch *op);
void session_slice(struct maildrop *maildrop, struct store_slice *op);
void session_wrong(struct maildrop *maildrop, struct store_wrong *op);

/* ---- bodies in memory, and on their way there (ahead.c) ---- */

enum { BODIES_AT_ONCE = 64 }; /* by value, for one fetch */

struct pool_body {
	struct engine_read read;
	struct pool_session *session;
	unsigned references;
	uint32_t number;
	bool over; /* it was read; read.op.result says whether */
	char octets[];
};

/* A fetch: for bodies of count messages, in their order. */
struct body_wait {
	void (*done)(struct body_wait *wait); /* ends with ahead_waited, and frees it */
	uint32_t count, under_way;
	struct body_wait *next;
	struct pool_body **bodies; /* the caller's room; references of the wait */
};

/* Of the n messages from first on: so many from the first on have been read. ahead_body has each.
 */
uint32_t ahead_ready(const struct pool_session *session, uint32_t first, uint32_t n);
const struct pool_body *ahead_body(const struct pool_session *session, uint32_t number);
/* Of n that were asked for so many have been given: they are freed, and others begun. */
void ahead_given(struct pool_session *session, uint32_t first, uint32_t n, uint32_t given);
/* Begins to read what is not there, and what may be asked for next. False: all have been read. */
bool ahead_wait(struct pool_session *session, uint32_t first, struct body_wait *wait);
void ahead_waited(struct pool_session *session, uint32_t first, uint32_t given,
		  struct body_wait *wait);
/* Nothing is under way. */
void ahead_free(struct pool_session *session);

/* The lock was asked for at this moment, and granted. */
void lease_begin(struct pool_session *session, uint64_t asked_at);
void lease_end(struct pool_session *session);
/* Whether the lock is this session's beyond doubt. If not, the owner learns of it. */
bool lease_holds(struct pool_session *session);
void lease_lost(struct pool_session *session);

/* Fills listing and the snapshot. -1: errno. */
int snapshot_take(struct pool_session *session, struct box *box);
int snapshot_empty(struct pool_session *session);

/* ---- other nodes (nodes.c) ---- */

void nodes_begin(struct pool *pool);
void nodes_end(struct pool *pool);
void nodes_ask(struct store *store, struct store_where *where, struct store_ask *op);
void nodes_answer(struct store *store, struct store_asked *asked,
		  const struct store_holding *holding);
void nodes_tell(struct store *store, pop3_span octets);

/* ---- deliveries (deliver.c) ---- */

void pool_deliver(struct pool *pool, struct store_where *where, struct store_deliver *op);

#endif
