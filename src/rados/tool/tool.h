/*
 * `valija rados`: what its commands share. One process, one connection, one operation after the
 * other; what is written is written under the rules of docs/models.md, so it may be stopped at any
 * moment, and called again.
 */
#ifndef RADOS_TOOL_TOOL_H
#define RADOS_TOOL_TOOL_H

#include "base/err.h"
#include "config/config.h"
#include "maildrop/rados/engine/engine.h"
#include "maildrop/rados/log/log.h"

struct tool {
	const char *command; /* the word, for messages */
	const struct config *config;
	struct engine *engine;
	const char *pool, *bodies; /* their names */
	/* arguments */
	bool dry_run, repair, read, each;
	unsigned rate;      /* steps a second; 0: no limit */
	unsigned orphan_s;  /* an orphan is removed so many seconds after it was seen first */
	const char *folder; /* export, import */
	char **maildrops;   /* the named ones; NULL behind the last */
	unsigned maildrop_count;
	/* private: pace.c */
	uint64_t begun_ms, steps;
	bool trouble; /* something was left out: tool_leave_out */
};

/* A command: -1 with err, else the exit code. */
typedef int tool_command(struct tool *tool, struct err *err);
tool_command init_command, check_command, stats_command, sweep_command, export_command,
	import_command;

/* Says that something was left out; the command then ends with EX_TEMPFAIL, or worse. */
void tool_leave_out(struct tool *tool, const char *what, const struct err *err);
/* Waits until another step may be made: --rate. */
void tool_pace(struct tool *tool);

/* ---- operations that are waited for: ops.c ---- */

void tool_ended(struct engine_op *op); /* done() */
int tool_failed(const struct engine_op *op, const char *name, struct err *err);
int tool_random_text(char ret[ENGINE_GENERATION + 1], struct err *err);
/* 1: it is there; 0: it is not; -1: err. */
int tool_stat(struct tool *tool, const char *name, uint64_t *ret_size, time_t *ret_changed,
	      struct err *err);
/* All objects of a body, the first one last. -1: err. */
int tool_remove_body(struct tool *tool, const unsigned char id[DROP_ID], uint32_t last_chunk,
		     struct err *err);
/* Octets of a body from offset on, at most size. -1: err. */
ssize_t tool_read_body(struct tool *tool, const unsigned char id[DROP_ID], uint64_t offset,
		       char *room, size_t size, struct err *err);
/* Waits for an operation of a batch, unless it has ended. */
struct tool_op {
	struct engine_op op;
	bool ended;
};
void tool_op_init(struct tool_op *op);
void tool_op_wait(struct tool *tool, struct tool_op *op);

/* ---- indexes: index.c ---- */

struct tool_index {
	char name[ENGINE_NAME_MAX]; /* x/PATH */
	struct drop_log log;
	char generation[ENGINE_GENERATION + 1]; /* "": it has none that is known */
	uint64_t version;
	uint64_t duplicates; /* records of an id that is there already */
	bool damaged;        /* err of the reading says where */
};

/* Reads all of it, as it was at one moment. 1: it was read (perhaps it is damaged), 0: it is not
 * there, -1: err. tool_index_finish is to be called for 1. */
int tool_index_read(struct tool *tool, const char *name, struct tool_index *ret, struct err *err);
void tool_index_finish(struct tool_index *index);
const char *tool_maildrop(const char *index_name);

/* The named maildrops' indexes, or all of the pool, sorted. The caller frees by tool_names_finish.
 */
struct tool_names {
	char **names;
	size_t count, room;
};
int tool_indexes(struct tool *tool, struct tool_names *ret, struct err *err);
void tool_names_finish(struct tool_names *names);

/* ---- the lock of a maildrop: lock.c ---- */

struct tool_lock {
	char name[ENGINE_NAME_MAX], cookie[ENGINE_COOKIE_MAX];
	uint64_t renewed_ms;
};
/* 1: this process has it; 0: a session has it; -1: err. */
int tool_lock_take(struct tool *tool, const char *name, struct tool_lock *ret, struct err *err);
/* To be called now and then while it is held. -1: it may be gone. */
int tool_lock_keep(struct tool *tool, struct tool_lock *lock, struct err *err);
void tool_lock_give(struct tool *tool, struct tool_lock *lock);
/*
 * Under the lock: reads the log and gives it a new generation, in such a way that no record that
 * this reading does not show can come under the old one (docs/models.md: SWEEP_NO_FENCE). ret has
 * the new generation. -1: err, and there is nothing to finish.
 */
int tool_fence(struct tool *tool, struct tool_lock *lock, struct tool_index *ret, struct err *err);

/* ---- all bodies of a pool: bodies.c ---- */

struct tool_body {
	unsigned char id[DROP_ID];
	uint32_t parts, last; /* objects, and the highest number of one */
	bool first;           /* m/ID is there */
	bool added, deleted;  /* by the log of some maildrop */
};
struct tool_bodies {
	struct tool_body *bodies; /* sorted by id */
	size_t count, room;
	size_t strange; /* objects of the pool that are none of ours */
};
int tool_bodies_list(struct tool *tool, struct tool_bodies *ret, struct err *err);
void tool_bodies_finish(struct tool_bodies *bodies);
struct tool_body *tool_bodies_find(const struct tool_bodies *bodies,
				   const unsigned char id[DROP_ID]);
/* The name of one of its objects that is there: the first, or one of an unfinished body. */
void tool_body_object(const struct tool_body *body, char ret[DROP_ID_TEXT + 16]);

#endif
