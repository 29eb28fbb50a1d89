/*
 * What a maildrop asks of an object store, and no more: bodies (immutable objects) and index
 * objects (data that grows by appends, a generation, a lock with a lease). Another engine is
 * another engine.c.
 *
 * An operation is asynchronous: the caller embeds a struct engine_op, and done() is called exactly
 * once, from the loop of engine_create, or from inside engine_wait where there is no loop; never
 * from inside the call that began it. Each has a deadline of the engine's (struct engine_settings):
 * one whose answer does not come by then ends as ENGINE_UNKNOWN, and may be carried out at any
 * later time. Names and octets that are passed in are copied, unless it says otherwise; room lives
 * until done().
 */
#ifndef MAILDROP_RADOS_ENGINE_ENGINE_H
#define MAILDROP_RADOS_ENGINE_ENGINE_H

#include "base/err.h"

#include <pop3/span.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

struct engine;
struct loop;

enum {
	ENGINE_GENERATION = 32,   /* octets of a generation: random hex digits */
	ENGINE_CHUNK = 32 << 20,  /* octets of an object of a body, at most */
	ENGINE_NAME_MAX = 768,    /* octets of an object's name, with its NUL */
	ENGINE_COOKIE_MAX = 64,   /* of a lock, with its NUL */
	ENGINE_LOCKER_MAX = 256,  /* what the holder of a lock says of itself, with its NUL */
	ENGINE_NOTICE_MAX = 1024, /* octets of a notice, and of an answer to it */
	ENGINE_FILES_MAX = 8,     /* that a connection reads */
	ENGINE_PATH_MAX = 512,
};

enum engine_pool { ENGINE_INDEXES, ENGINE_BODIES };

enum engine_result {
	ENGINE_OK,
	ENGINE_ABSENT,  /* no such object */
	ENGINE_EXISTS,  /* there is one already; the lock is the caller's already */
	ENGINE_CHANGED, /* another generation or version than the one that was named: nothing was
			   done */
	ENGINE_LOCKED,  /* the lock is not the caller's: nothing was done */
	ENGINE_FULL,    /* cluster or pool, or its quota: nothing was done */
	ENGINE_DENIED,  /* the key lacks the right: nothing was done */
	ENGINE_REFUSED, /* the store refuses it for another reason: nothing was done */
	ENGINE_DOWN,    /* there is no connection: nothing was done */
	ENGINE_UNKNOWN, /* done, or not, or later */
};

struct engine_settings {
	const char *conf, *pool, *bodies, *user; /* of the configuration; bodies NULL: pool */
	unsigned timeout_ms;                     /* of an operation; 0: as is usual */
	/* Called by the thread that has connected, which may use the functions that wait: -1 with
	 * err: the cluster is not used. May be NULL. */
	int (*check)(struct engine *engine, void *context, struct err *err);
	void *context;
};

struct engine_op {
	void (*done)(struct engine_op *op);
	enum engine_result result;
	int code; /* the engine's own, negative; 0: none. For the log */
	/* private */
	struct engine *engine;
	struct engine_op *next;
	void *completion;
	void (*take)(struct engine_op *op);
};

/* ---- the connection ---- */

/* Files that a connection with these settings reads, for the sandbox. Returns how many; -1 with
 * err: conf cannot be read. Starts threads, and ends them. */
int engine_files(const struct engine_settings *settings,
		 char ret[ENGINE_FILES_MAX][ENGINE_PATH_MAX], struct err *err);
/*
 * Starts threads: one of them connects, and tries again for as long as it fails, which log lines
 * tell. Waits for at most wait_ms for the first try; without a connection operations end as
 * ENGINE_DOWN. loop NULL: engine_wait. NULL with err: no memory, or conf cannot be read.
 */
struct engine *engine_create(const struct engine_settings *settings, struct loop *loop,
			     unsigned wait_ms, struct err *err);
/* No operation may be under way. NULL is none. */
void engine_destroy(struct engine *engine);
/* False: there is no connection; err says why. */
bool engine_connected(struct engine *engine, struct err *err);
/* Without a loop: calls done() of what ends until op has. */
void engine_wait(struct engine *engine, struct engine_op *op);
const char *engine_result_text(const struct engine_op *op);

/* ---- bodies ---- */

/* Makes an object, which must not be there, whole or not at all, with two attributes. */
struct engine_put {
	const char *name;
	pop3_span octets;         /* copied */
	pop3_span owner, details; /* attributes "maildrop", "valija" */
};
void engine_put(struct engine *engine, const struct engine_put *put, struct engine_op *op);

struct engine_read {
	struct engine_op op;
	uint64_t offset, size;
	char *room;
	size_t got; /* ret: fewer than size at the end */
};
void engine_read(struct engine *engine, const char *name, struct engine_read *read);

struct engine_stat {
	struct engine_op op;
	uint64_t size;  /* ret */
	time_t changed; /* ret: by the writer's clock */
};
void engine_stat(struct engine *engine, const char *name, struct engine_stat *stat);
/* An attribute of a body. op.result ABSENT: it has none. */
struct engine_attribute {
	struct engine_op op;
	char value[ENGINE_NAME_MAX]; /* ret, with a NUL */
};
void engine_attribute(struct engine *engine, const char *name, const char *attribute,
		      struct engine_attribute *ret);
/* ABSENT: there is no such body. */
void engine_set_attribute(struct engine *engine, const char *name, const char *attribute,
			  const char *value, struct engine_op *op);
/* ABSENT: it was gone. */
void engine_remove(struct engine *engine, enum engine_pool pool, const char *name,
		   struct engine_op *op);

/* ---- index objects ---- */

/* Makes one, empty. EXISTS: it is there, and stays as it is. */
void engine_make(struct engine *engine, const char *name, const char *generation,
		 struct engine_op *op);

/* Its data from offset on, of that generation. */
struct engine_index {
	struct engine_op op;
	const char *expect; /* generation; NULL: any */
	uint64_t offset;
	char *room;
	size_t room_size;
	size_t got;                             /* ret: octets in room */
	uint64_t size;                          /* ret: of all of its data */
	uint64_t version;                       /* ret: of the object, for engine_replace */
	char generation[ENGINE_GENERATION + 1]; /* ret; "": it has none, or a bad one */
	/* private */
	void *own_attributes;
	time_t own_changed;
};
void engine_index(struct engine *engine, const char *name, struct engine_index *index);

/* What has to hold for a change of an index object, all of it at the same moment as the change. */
struct engine_if {
	const char *generation; /* NULL: any. Else CHANGED */
	const char *cookie;     /* holds the lock. NULL: whoever does. Else LOCKED */
	uint64_t version;       /* 0: any. Else CHANGED */
	bool when_full;         /* it makes room, or leads to it: also in a full cluster */
};
void engine_append(struct engine *engine, const char *name, const struct engine_if *condition,
		   pop3_span octets, struct engine_op *op);
/* A new generation; data NULL: the data stays. */
void engine_replace(struct engine *engine, const char *name, const struct engine_if *condition,
		    const char *generation, const pop3_span *octets, struct engine_op *op);

/* ---- locks ---- */

/* LOCKED: another cookie has it. ABSENT: no such object. */
void engine_lock(struct engine *engine, const char *name, const char *cookie, const char *holder,
		 unsigned seconds, struct engine_op *op);
/* ABSENT: it is not the caller's any more. */
void engine_renew(struct engine *engine, const char *name, const char *cookie, const char *holder,
		  unsigned seconds, struct engine_op *op);
/* ABSENT: it was not the caller's. */
void engine_unlock(struct engine *engine, const char *name, const char *cookie,
		   struct engine_op *op);
/* Who has the lock. */
struct engine_locker {
	char client[ENGINE_LOCKER_MAX], cookie[ENGINE_LOCKER_MAX];
};
/* Waits, for commands: 1: there is one; 0: none; -1: see err. */
int engine_locker(struct engine *engine, const char *name, struct engine_locker *ret,
		  struct err *err);
/* Takes it away from its holder, for commands. */
int engine_break(struct engine *engine, const char *name, const struct engine_locker *locker,
		 struct err *err);

/* The cluster's clock, seconds of 1970: that of the OSD that has this index object, which must be
 * there. Waits, for commands. -1: see err. */
int engine_time(struct engine *engine, const char *name, time_t *ret, struct err *err);

/* ---- notices: what one process tells all that watch an object of the index pool ---- */

/* A notice that was heard: whoever watches keeps it until engine_acknowledge, and its sender waits
 * for that, for some time. */
struct engine_notice {
	struct engine_op op; /* private */
	uint64_t id, handle;
	pop3_span octets;
	char data[ENGINE_NOTICE_MAX];
};
/* One object of an engine with a loop. */
struct engine_watch {
	struct engine_op op; /* done: it is watched from now on, or why not */
	const char *name;    /* of the object; lives as long */
	void (*heard)(struct engine_watch *watch, struct engine_notice *notice);
	/* The cluster does not know of it any more, and what was told since was not heard:
	 * engine_watch is to be called again. */
	void (*lost)(struct engine_watch *watch);
	/* private */
	struct engine_op broken;
	uint64_t handle;
	atomic_bool is_broken;
};
void engine_watch(struct engine *engine, struct engine_watch *watch);
/* With an answer, which may be empty. Frees the notice. */
void engine_acknowledge(struct engine *engine, struct engine_notice **notice, pop3_span answer);

/* Ends when all that watch the object have acknowledged; as UNKNOWN when one of them did not for so
 * long. done() gets the answers of those who did. ABSENT: no such object. A cluster that does not
 * answer may keep it from ending for as long as it likes. */
struct engine_notify {
	struct engine_op op;
	/* private */
	char *answers;
	size_t size, at;
	uint32_t left;
};
void engine_notify(struct engine *engine, const char *name, pop3_span octets, unsigned timeout_ms,
		   struct engine_notify *notify);
/* In done(): the next answer that is not empty; it lives until engine_notify_finish. False: there
 * is none left. */
bool engine_notify_answer(struct engine_notify *notify, pop3_span *ret);
void engine_notify_finish(struct engine_notify *notify);

/* ---- whole pools, for commands: these wait ---- */

/* Calls each for every object whose name begins with prefix; each returns false: enough. */
int engine_list(struct engine *engine, enum engine_pool pool, const char *prefix,
		bool (*each)(void *context, const char *name), void *context, struct err *err);
/* An answer of the monitors as text, at most size octets with its NUL. -1: see err, code EX_NOPERM
 * where the key lacks the right. */
int engine_command(struct engine *engine, const char *json, char *ret, size_t size,
		   struct err *err);

#endif
