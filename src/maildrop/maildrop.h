/*
 * A maildrop as its keeper sees it: open it for a session (lock, index made current), lend
 * messages, commit deletions, deliver into it. Runs in a keeper's worker threads, as the uid that
 * owns the mail, and in `valija deliver`; may block on the disk (but for the …_now, which are for a
 * keeper's loop). One maildrop is worked on by one thread at a time (the keeper sees to it);
 * different ones concurrently.
 *
 * Files beside new/ cur/ tmp/ in a Maildir: valija-lock (session lock), valija-base and
 * valija-delta (the index), valija-uidl (unique ids that are data: ids brought from another server,
 * resolved collisions).
 */
#ifndef MAILDROP_MAILDROP_H
#define MAILDROP_MAILDROP_H

#include "base/err.h"

#include <pop3/span.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Outcomes that a person or client must be able to tell apart; details are in struct err. */
enum maildrop_status {
	MAILDROP_OK = 0,
	MAILDROP_IN_USE = -1,     /* another session holds the lock: [IN-USE] */
	MAILDROP_TEMP = -2,       /* cannot be read or written now: [SYS/TEMP], 451 */
	MAILDROP_PERM = -3,       /* needs a person (wrong owner, not a Maildir): [SYS/PERM] */
	MAILDROP_GONE = -4,       /* the message vanished, or is not the one of the index */
	MAILDROP_OVER_QUOTA = -5, /* 452 4.2.2 or 552 5.2.2 */
	MAILDROP_FULL = -6,       /* no space on the filesystem: 452 4.3.1 */
	MAILDROP_ABSENT = -8,     /* it is not there, and nothing known here speaks against that */
	MAILDROP_WAIT = -7,       /* …_now only: a disk would have to be waited for */
	/* of a store (store.h) */
	MAILDROP_LOST = -9,       /* commit: the lock is gone, nothing was deleted */
	MAILDROP_UNKNOWN = -10,   /* commit, deliver: it may have been done, or not */
	MAILDROP_CANCELLED = -11, /* nobody wanted it any more, and it was not begun */
	/* of a maildrop on another server */
	MAILDROP_REFUSED = -12,  /* name or secret are wrong there */
	MAILDROP_TOO_SOON = -13, /* its LOGIN-DELAY is not over */
	MAILDROP_NEEDS_UTF8 =
		-14,              /* fetch: the message's header is in UTF-8, which is not wanted */
	MAILDROP_ELSEWHERE = -15, /* it moves here from another server, and has not yet */
	/* its identity is not the one that is known, and no person has accepted it: nothing was
	 * changed; [SYS/TEMP], 451 */
	MAILDROP_GUARDED = -16,
	MAILDROP_UNPROVEN = -17, /* whether it is has to be asked first (guard.h) */
};

struct deleted_by;
struct guard;
struct maildrop_driver; /* maildir, mbox */
struct maildrop_syscalls;
struct maildrop_upkeep;
struct undelete;
struct mail_root;
struct mbox_locker;
struct rados_settings;

/* Limits on deleted messages that are kept (docs/maildrop-format.md), and on the age of all; a
 * store that cannot keep is not opened with it. */
struct maildrop_retention {
	uint32_t keep_seconds;   /* deleted messages are kept for so long; 0: none is */
	uint64_t keep_octets;    /* of a maildrop, at most; 0: no limit */
	uint32_t delete_seconds; /* messages that came so long ago are deleted; 0: none is */
	/* of a keeper: when the upkeep of a maildrop was last done; NULL: it is not its duty */
	struct maildrop_upkeep *upkeep;
};

#define MAILDROP_NO_STATE_YET (-1)

/* Lives as long as a maildrop that was opened with it. */
struct maildrop_settings {
	const struct maildrop_driver *driver;
	bool store_crlf;       /* deliveries are stored with CRLF line ends; else LF */
	const char *host_name; /* in names of delivered files */
	bool local;            /* maildrop_is_local: maildrop_open_now may be tried */
	const struct maildrop_syscalls *syscalls; /* NULL: the kernel's; others are for tests */
	struct maildrop_retention retention;
	struct mail_root *root; /* what is known of root_fd (mail_root.h); NULL: nothing */
	/* judges Maildirs that have no index (guard.h); NULL: nobody does */
	const struct guard *guard;
	bool guard_accepts; /* a person accepts the maildrop as it is (`valija guard`) */
	/* Takes a line for the log about something that is worked around: a file that is left out,
	 * one that cannot be unlinked. The same line comes again each time the trouble is met.
	 * Called by any thread; NULL: nobody wants it. */
	void (*note)(void *context, const char *text);
	/* The same for an index that was damaged and is made anew. */
	void (*note_index)(void *context, const char *text);
	void *note_context;
	/* of mboxes: the owner's state folder (0: none, the index lies beside the mailbox;
	 * MAILDROP_NO_STATE_YET: for a look that writes nothing), how long other programs are
	 * waited for (0: as long as is usual), and what makes lock files in root_fd where this
	 * process may not (NULL: nothing) */
	int state_fd;
	unsigned lock_ms;
	const struct mbox_locker *locker;
	const struct rados_settings *rados; /* of the store in RADOS; NULL: none */
};

struct maildrop_quota {
	uint64_t max_messages; /* 0: no limit */
	uint64_t max_octets;   /* of the stored form, 0: no limit */
};

/* What a reader gets of a message whose header is in UTF-8: the message, nothing (NEEDS_UTF8), or
 * one with a surrogate of it (surrogate.h). */
enum maildrop_utf8 { MAILDROP_AS_STORED, MAILDROP_REFUSE_UTF8, MAILDROP_REPLACE_UTF8 };

struct maildrop;

/*
 * Opens home (a path below the directory root_fd, which must be readable: no leading "/", no "..",
 * no empty or dot component; checked here again; no symbolic link on the way) for one session:
 * takes the session lock, makes the index current, fixes the message numbers. A maildrop that does
 * not exist is MAILDROP_ABSENT, unless it looks as if its filesystem were not there (MAILDROP_TEMP,
 * see mail_root.h): nothing is made. maildrop_close releases it.
 */
enum maildrop_status maildrop_open(const struct maildrop_settings *settings, int root_fd,
				   const char *home, struct maildrop **ret, struct err *err);

/*
 * The same for a maildrop that moves here from another server (docs/moving-in.md). OK: it has done
 * so; or, *ret_partly, it has not yet, and this is what came here meanwhile: as long as the session
 * is open nothing more of it moves. ELSEWHERE: it has not, and nothing is here, or the switch is
 * half done. ABSENT: nothing of it is here. IN_USE: also where its messages are being copied just
 * now; whoever copies is told that a client waits, and gives way. ret NULL: that alone is done;
 * never OK.
 */
enum maildrop_status maildrop_open_moving(const struct maildrop_settings *settings, int root_fd,
					  const char *home, struct maildrop **ret, bool *ret_partly,
					  struct err *err);
/* An empty maildrop in memory, for a session of a user who never had one. home only names it. */
enum maildrop_status maildrop_open_empty(const struct maildrop_settings *settings, const char *home,
					 struct maildrop **ret, struct err *err);
/* The only maker of maildrops: folders (0700) and lock file, flushed. One that is there stays as it
 * is. The caller has entered it in the register before (register.h). */
enum maildrop_status maildrop_make(const struct maildrop_settings *settings, int root_fd,
				   const char *home, struct err *err);
/*
 * maildrop_open for the loop of a keeper: opens if all that it needs is in memory and the index is
 * on the disk and as the directories are. Else MAILDROP_IN_USE, or MAILDROP_WAIT: maildrop_open
 * finds out what there is to do or to say. Nothing was changed and is held then.
 */
enum maildrop_status maildrop_open_now(const struct maildrop_settings *settings, int root_fd,
				       const char *home, struct maildrop **ret);
/* The folder of a maildrop, to be closed by the caller, without following a link on the way. -1
 * with err. */
int maildrop_folder(int root_fd, const char *home, struct err *err);
/* Is the mail on a filesystem that never waits where it says so, not for a network either? */
bool maildrop_is_local(int root_fd);
/*
 * The way in which an open file may be lent to a process that must never wait for it. FILE: reading
 * with RWF_NOWAIT was tried on it, and its filesystem keeps that promise. MEMORY: its filesystem is
 * in memory. VALUE: neither; whoever reads it may wait for ever (FUSE, a network), so only its
 * octets are lent.
 */
enum maildrop_lending { MAILDROP_LEND_VALUE, MAILDROP_LEND_FILE, MAILDROP_LEND_MEMORY };
enum maildrop_lending maildrop_lending(int fd);
/* The device of the filesystem that a maildrop is on, as far as that is in memory: a place where
 * another filesystem is mounted always is. Waits for nothing. */
uint64_t maildrop_device(int root_fd, const char *home);
void maildrop_close(struct maildrop *maildrop);

/* The session's prefix of the log. Descriptors are read-only, the maildrop's own: dup or send them,
 * don't close them. */
struct maildrop_snapshot {
	int base_fd;
	int delta_fd; /* octets beyond delta_size are not this session's */
	uint64_t delta_size;
	uint32_t count;
	uint64_t octets;
	/* for the guard (guard.h); lives as long as the maildrop. Folders 0: it judges no such one
	 */
	uint64_t folders[2];
	bool has_ids;
	const char *rule;
};
void maildrop_snapshot(const struct maildrop *maildrop, struct maildrop_snapshot *ret);

/* One message, opened read-only, checked to be the regular file of the announced size. The caller
 * closes fd. */
struct maildrop_body {
	int fd;
	uint64_t offset; /* where the message begins in fd */
	uint64_t stored; /* octets in the store */
	uint64_t octets; /* on the wire, as announced */
	bool wire_form;  /* already CRLF, complete and without a line that begins with ".": may go
			    out as it is */
};
enum maildrop_status maildrop_body(struct maildrop *maildrop, uint32_t number,
				   struct maildrop_body *ret, struct err *err);
/* The same if everything it needs is in memory, else MAILDROP_WAIT and nothing changes: for the
 * loop of a keeper. */
enum maildrop_status maildrop_body_now(struct maildrop *maildrop, uint32_t number,
				       struct maildrop_body *ret);
/*
 * Small messages by value, one behind the other, from first on: of a store that has many in one
 * file (maildrop_gives_values), which need not be opened and checked one by one. Each is checked to
 * be what was announced.
 */
struct maildrop_values {
	uint32_t first, count;
	bool now;      /* only with what is in memory: for the loop of a keeper */
	uint32_t most; /* octets of one */
	char *room;
	uint32_t room_size;
	/* Takes the next one, which stands behind those before it in room, where it may be
	 * changed, and *stored with it. WAIT: it has no room; neither that nor OK: it is refused.
	 * It is the last then. */
	enum maildrop_status (*take)(void *context, uint32_t number, uint64_t octets,
				     uint32_t *stored);
	void *context;
};
bool maildrop_gives_values(const struct maildrop *maildrop);
/* OK: all of them, or those that have room; the next one may be a large one, too. WAIT: now, and
 * not all is in memory. Any other: the next one failed. */
enum maildrop_status maildrop_values(struct maildrop *maildrop,
				     const struct maildrop_values *values, struct err *err);
/* A message is said not to have the announced octets: it is counted anew, and the record is mended
 * for later sessions. Returns whether it was wrong and is mended; err says which file, and what it
 * has. */
bool maildrop_body_wrong(struct maildrop *maildrop, uint32_t number, struct err *err);

/* The session that deletes from now on, for the journal of deletions (deleted.h). Without it the
 * journal says that nobody knows. */
void maildrop_attribute(struct maildrop *maildrop, const struct deleted_by *by);
/*
 * QUIT: deletes exactly these messages (numbers of this session, ascending, each once): DEL
 * records, one flush. On success they are gone for good, whatever crashes afterwards, although the
 * files are unlinked only by maildrop_sweep (to be called next, after the reply went out; it also
 * retires DEL records, compacts, verifies assumed directory times; safe to skip or kill).
 */
enum maildrop_status maildrop_commit(struct maildrop *maildrop, const uint32_t *numbers,
				     uint32_t count, struct err *err);
void maildrop_sweep(struct maildrop *maildrop);
/* A part of it, so that the thread can do other work in between: returns whether to call it again.
 * It ends soon (within a file or so) once *hurry is true: a session or delivery waits for the
 * maildrop. What is left then is done by a later sweep. */
bool maildrop_sweep_slice(struct maildrop *maildrop, const atomic_bool *hurry);
/* A sweep would find nothing to do: the maildrop can be closed without waiting for a disk. */
bool maildrop_at_rest(const struct maildrop *maildrop);
/* Brings kept messages back (undelete.h), with their unique ids, for the sessions after this one.
 * Not OK: some of them may be back; the same again brings the rest. */
enum maildrop_status maildrop_undelete(struct maildrop *maildrop, struct undelete *undelete,
				       struct err *err);
/*
 * Deletes messages that are older than the retention says, as a QUIT would; maildrop_sweep comes
 * next. Arrived is the time in a file's name or that of its content, whichever is later. each (may
 * be NULL) gets each of them. dry_run: nothing else is done. WAIT: there may be more, call it
 * again.
 */
typedef void maildrop_expired(void *context, const char *id, uint64_t stored, uint64_t arrived);
enum maildrop_status maildrop_expire(struct maildrop *maildrop, bool dry_run,
				     maildrop_expired *each, void *context, struct err *err);
/* A reader of the lent index (index_view) found it damaged: it is built again by the next login. */
void maildrop_index_wrong(struct maildrop *maildrop);

/* Usage as of the index; makes the index current. Takes no session lock. */
struct maildrop_usage {
	uint64_t messages;
	uint64_t octets; /* stored */
};
enum maildrop_status maildrop_usage(const struct maildrop_settings *settings, int root_fd,
				    const char *home, struct maildrop_usage *ret, struct err *err);

/*
 * Delivers one message; MAILDROP_OK means: it is on disk under its name in new/ (file in tmp/,
 * fsync, rename with ,S=,W=, ADD record, fsync directory). MAILDROP_ABSENT as maildrop_open. Works
 * while a session is open (no session lock). message_fd is read with pread from 0, its octets are
 * the message as received (CRLF); headers (CRLF-ended lines: Return-Path and so on) are put in
 * front.
 */
enum { MAILDROP_NAME_MAX = 192 };
struct maildrop_delivery {
	int message_fd;
	uint64_t message_size;
	pop3_span headers;
	struct maildrop_quota quota;
	char *ret_name; /* MAILDROP_NAME_MAX octets for the file's name, for the log; NULL: not
			   wanted */
};
enum maildrop_status maildrop_deliver(const struct maildrop_settings *settings, int root_fd,
				      const char *home, const struct maildrop_delivery *delivery,
				      struct err *err);

#endif
