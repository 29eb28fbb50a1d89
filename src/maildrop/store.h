/*
 * A store: the maildrops below one root, as their keeper sees them. Asynchronous: an operation
 * begins here and ends with a call of its done(), so that a store of files, which blocks, and one
 * that is far away look the same. On the keeper's loop, from one thread; a store has its own
 * threads where it needs them (store_threads.h). Blocking programs use maildrop.h.
 *
 * An operation: the caller allocates its struct, fills in what is not marked "ret", and leaves it
 * alone until done(), which is called exactly once, from the loop, never inside the call that began
 * the operation, after a cancel as well. done() may free it. Operations on one open maildrop are
 * carried out in the order in which they began.
 *
 * What is in memory needs no operation: the store_try_… answer at once, or say that they cannot.
 */
#ifndef MAILDROP_STORE_H
#define MAILDROP_STORE_H

#include "maildrop/deleted.h"
#include "maildrop/maildrop.h"

struct loop;
struct store;
struct store_lane;

/* The stores that there are: stores.c has one row each. */
enum store_kind { STORE_MAILDIR, STORE_MBOX, STORE_RADOS, STORE_KINDS };

/* Abilities. */
enum {
	STORE_MAKES = 1, /* a maildrop that is not there may be made: store_make */
	STORE_QUOTA = 2, /* store_usage counts without a session */
	STORE_NODES = 4, /* other machines serve the same maildrops: store_ask, store_tell */
	STORE_MOVES = 8, /* STORE_MIGRATES is carried out */
};

/* From a store to its keeper, at any time while the maildrop is open: the session is over. */
enum store_event {
	STORE_LOST,  /* the lock is gone: nothing is deleted any more */
	STORE_TAKEN, /* another session has it */
	STORE_WRONG, /* it is not what it was when it was opened */
};

/* The session that has a maildrop, for a login that wants it. */
struct store_holding {
	uint64_t since, idle; /* seconds of 1970: the client connected; milliseconds */
	uint8_t address[16];  /* of the client */
	bool known;           /* all of that is */
	bool taken;           /* the session ends: the lock will be free soon */
};

/* Another machine's question about an open maildrop. */
struct store_asked {
	uint64_t idle; /* milliseconds after which its session may be ended */
	bool take;     /* it may be ended */
};

/* A question to the guard (guard.h), embedded by its owner. */
struct store_where;
struct store_proof {
	/* once, later, on the loop; why: not allowed, a text for the log */
	void (*done)(struct store_proof *proof, bool allowed, const char *why);
};

/* The keeper's part of every store; lives as long as the store. */
struct store_host {
	struct loop *loop;
	unsigned threads; /* for those that block */
	/* Asks about the maildrop there that was UNPROVEN: once allowed, the same again is judged
	 * without a question. NULL: nobody is asked, and it is not opened. */
	void (*prove)(struct store_where *where, struct store_proof *proof);
	/* owner: what the keeper has set in the maildrop */
	void (*event)(void *owner, enum store_event what);
	/* Of a store with STORE_NODES. asked: is to be answered by store_answer, soon. told: what
	 * another machine's keeper gave to store_tell. */
	void (*asked)(void *owner, struct store_asked *asked);
	void (*told)(void *context, pop3_span octets);
	void *context;
};

/* A location in use, embedded by its user: one a location at a time. */
struct store_where {
	const char *path;        /* below the root, canonical: the key of lane, lock and register */
	struct store_lane *lane; /* the store's own; NULL: none */
};

enum {
	STORE_NO_DELETE = 1, /* the session commits nothing */
	STORE_TAKE_OVER = 2, /* an idle session elsewhere may be ended for it */
	STORE_MIGRATES = 4,  /* it moves here from another server: maildrop_open_moving */
	STORE_LOOKS = 8, /* with it: what copies it is told; nothing is opened, it is never OK */
};
struct store_who {
	uint64_t front, session; /* names the session for ever */
	unsigned flags;
	pop3_span login, secret; /* for another server; they live until the call returns */
};

struct store_op {
	void (*done)(struct store_op *op);
	/* Milliseconds of loop_now; 0: none. Nothing is begun for the operation after it. A call
	 * that hangs in the kernel is not ended by it: whoever waits needs a deadline of its own.
	 */
	uint64_t deadline;
	enum maildrop_status status; /* ret */
	struct err err;              /* ret, where status is not OK */
	void *own;                   /* the store's, while the operation is under way */
};
struct store_open {
	struct store_op op;
	struct store_who who;
	struct maildrop *maildrop; /* ret, where status is OK, even after a cancel */
	bool partly;               /* ret, STORE_MIGRATES: the other messages are elsewhere */
};

/* Bodies of messages from first on: as many as come by value, at least one, or the first one in
 * another form. */
enum { STORE_VALUE_MAX = 32768 }; /* octets of a message that comes by value */
enum store_form {
	STORE_VALUES,  /* octets in room */
	STORE_FILE,    /* a descriptor that can be read without waiting, up to its window */
	STORE_STREAM,  /* in slices: store_slice */
	STORE_UNSIZED, /* the same, and the last one says so: what was announced is a guess */
};
struct store_value {
	uint64_t octets; /* on the wire, as announced: the store has counted them */
	uint32_t number, stored;
};
struct store_fetch {
	struct store_op op;
	uint32_t first, count;
	enum maildrop_utf8 utf8;
	uint64_t window_max; /* octets that may be read ahead of a FILE */
	bool top;            /* so many lines of the body are wanted: a store may give all */
	uint64_t lines;
	char *room; /* for octets; NULL: none come by value */
	uint32_t room_size;
	uint32_t used, ready; /* ret: octets in room, of so many values */
	enum store_form form; /* ret */
	/* ret, FILE and STREAM; fd is the caller's to close, -1: none */
	struct maildrop_body body;
	uint64_t window;            /* octets from the first that are in memory now */
	bool in_memory;             /* no reading of fd waits for anything */
	struct store_value *values; /* ret: room for count of them */
};

/* The next octets of a message in the form it was fetched in. Octets that are not asked for are not
 * read from where they are. */
struct store_slice {
	struct store_op op;
	uint32_t number;
	uint64_t offset; /* from the message's first octet */
	uint64_t size;   /* most; ret: the octets that there are, at least one unless last */
	bool last;       /* ret, UNSIZED: nothing follows */
	char *room;      /* NULL: a FILE's octets are to be read into memory alone */
};

/* A message has other octets than announced, or, number 0, the index is damaged: it is counted
 * anew, or built again, for later sessions. Not OK: err is for the log. */
struct store_wrong {
	struct store_op op;
	uint32_t number;
};

/*
 * Numbers of the session, ascending, each once. OK: all deletions are durable. LOST: the lock was
 * gone, nothing is deleted. UNKNOWN: nobody can tell. Any other: not all are deleted.
 */
struct store_commit {
	struct store_op op;
	const uint32_t *numbers;
	uint32_t count;
	struct deleted_by by; /* for the journal of deletions */
};

struct store_close {
	struct store_op op;
	bool hurry; /* somebody waits for the maildrop: what is left to sweep is left */
};

/* For a login that found the maildrop in use. OK: whoever has it was asked; nobody has it open
 * where holding is not known. Any other: not everybody has answered. */
struct store_ask {
	struct store_op op;
	uint64_t idle; /* as in store_asked */
	bool take;
	struct store_holding holding; /* ret, always */
};
enum { STORE_TELL_MAX = 900 }; /* octets */

struct store_usage {
	struct store_op op;
	struct maildrop_usage usage; /* ret */
};

/* The reply of another server to a message that was passed on to it. */
enum { STORE_REPLY_MAX = 120 };
struct store_reply {
	uint16_t code;                   /* 0: there was none */
	char enhanced[12];               /* "5.1.1"; "": none */
	char words[STORE_REPLY_MAX + 1]; /* the whole line, hostile */
};

/* OK: it is there whatever happens. ABSENT: the maildrop has to be made before. UNKNOWN: nobody can
 * tell; the sender tries again. REFUSED: another server will not have it, see reply. */
struct store_deliver {
	struct store_op op;
	/* For another server, as long as delivery: who gets it there, the sender as it came, and
	 * whether it came with SMTPUTF8. */
	pop3_span recipient, sender;
	bool utf8;
	struct store_reply reply;            /* ret */
	struct maildrop_delivery delivery;   /* its octets live until done */
	bool counts;                         /* usage before and after is wanted */
	bool counted;                        /* ret: it is known */
	struct maildrop_usage before, after; /* ret */
	char *head; /* room for the first octets of the message, for the log; NULL: none */
	uint32_t head_room, head_size; /* head_size: ret */
};

/* The operations of a kind of store. The functions below check arguments, then call it. */
struct store_ops {
	unsigned abilities;
	void (*away)(struct store *store, bool away);
	void (*leave)(struct store *store, struct store_where *where);
	void (*hurry)(struct store *store, struct store_where *where);
	enum maildrop_status (*try_open)(struct store *store, struct store_where *where,
					 const struct store_who *who, struct maildrop **ret);
	enum maildrop_status (*open_empty)(struct store *store, struct store_where *where,
					   struct maildrop **ret, struct err *err);
	void (*open)(struct store *store, struct store_where *where, struct store_open *op);
	bool (*try_fetch)(struct maildrop *maildrop, struct store_fetch *op);
	void (*fetch)(struct maildrop *maildrop, struct store_fetch *op);
	void (*slice)(struct maildrop *maildrop, struct store_slice *op);
	void (*wrong)(struct maildrop *maildrop, struct store_wrong *op);
	void (*commit)(struct maildrop *maildrop, struct store_commit *op);
	bool (*try_close)(struct maildrop *maildrop);
	void (*close)(struct maildrop *maildrop, struct store_close *op);
	void (*usage)(struct store *store, struct store_where *where, struct store_usage *op);
	void (*deliver)(struct store *store, struct store_where *where, struct store_deliver *op);
	void (*make)(struct store *store, struct store_where *where, struct store_op *op);
	void (*cancel)(struct store *store, struct store_op *op);
	/* STORE_NODES */
	void (*ask)(struct store *store, struct store_where *where, struct store_ask *op);
	void (*answer)(struct store *store, struct store_asked *asked,
		       const struct store_holding *holding);
	void (*tell)(struct store *store, pop3_span octets);
};

/* Embedded first in a store's own struct. */
struct store {
	const struct store_ops *ops;
	const struct store_host *host;
};

/* For a store, before it hands out what it has opened. */
void store_opened(struct maildrop *maildrop, struct store *store, struct store_where *where);

/* The driver of a kind of store that blocks, for programs without a loop; NULL: it has none. */
const struct maildrop_driver *store_driver(enum store_kind kind);
/* Opens the store of that kind below root_fd, which stays the caller's. settings and host must live
 * as long. NULL: see err. */
struct store *store_create(enum store_kind kind, const struct store_host *host,
			   const struct maildrop_settings *settings, int root_fd, struct err *err);
/* A store that stands on a library of its own: this program has it. Before store_create. */
typedef struct store *store_creator(const struct store_host *host,
				    const struct maildrop_settings *settings, int root_fd,
				    struct err *err);
void store_register(enum store_kind kind, store_creator *create);
unsigned store_abilities(const struct store *store);
/* The root is not where it was: until it is, everything but what is open is refused (TEMP). */
void store_away(struct store *store, bool away);
/* The location is not in use any more: no operation on it is under way. */
void store_leave(struct store *store, struct store_where *where);
/* A login waits for the maildrop, or the process is about to end: a close under way leaves what is
 * left to sweep. */
void store_hurry(struct store *store, struct store_where *where);

/*
 * Opens a maildrop for one session: the lock is taken, message numbers are fixed, the snapshot
 * (maildrop_snapshot) is complete. Makes nothing. OK, IN_USE, or WAIT: store_open finds out what
 * there is to do.
 */
enum maildrop_status store_try_open(struct store *store, struct store_where *where,
				    const struct store_who *who, struct maildrop **ret);
void store_open(struct store *store, struct store_where *where, struct store_open *op);
/* A maildrop without messages, in memory, for a user who never had one. */
enum maildrop_status store_open_empty(struct store *store, struct store_where *where,
				      struct maildrop **ret, struct err *err);
/* Events of the maildrop come with that owner. Before that there are none. */
void store_own(struct maildrop *maildrop, void *owner);

/* False: they are not all in memory, or the first one does not come by value. No other operation on
 * the maildrop is under way. */
bool store_try_fetch(struct maildrop *maildrop, struct store_fetch *op);
void store_fetch(struct maildrop *maildrop, struct store_fetch *op);
void store_slice(struct maildrop *maildrop, struct store_slice *op);
void store_wrong(struct maildrop *maildrop, struct store_wrong *op);
void store_commit(struct maildrop *maildrop, struct store_commit *op);
/* Closes a maildrop that leaves nothing to do, if nothing has to be waited for: it is gone then. No
 * other operation on it is under way. */
bool store_try_close(struct maildrop *maildrop);
/* Sweeps what was deleted, as long as nobody waits, and closes: at done() the lock is free. The
 * last operation on the maildrop. */
void store_close(struct maildrop *maildrop, struct store_close *op);

void store_usage(struct store *store, struct store_where *where, struct store_usage *op);
void store_deliver(struct store *store, struct store_where *where, struct store_deliver *op);
/* The only maker of maildrops, of a store that makes. The register has it before. */
void store_make(struct store *store, struct store_where *where, struct store_op *op);

/* Asks the other machines who has the maildrop. May be waited for as long as the store likes: a
 * login has a time of its own. */
void store_ask(struct store *store, struct store_where *where, struct store_ask *op);
/* asked is gone then. */
void store_answer(struct store *store, struct store_asked *asked,
		  const struct store_holding *holding);
/* Tells all other machines that can be reached now, once each keeper of theirs; nobody learns
 * whether they were. */
void store_tell(struct store *store, pop3_span octets);

/* Nobody wants the result of an operation that is under way: what has not begun is left
 * (CANCELLED). Not for a commit or a delivery. */
void store_cancel(struct store *store, struct store_op *op);

#endif
