/*
 * A Maildir and its index (docs/maildrop-format.md): deliveries, sessions, sweeps, new bases; a process
 * that is killed, and power that is cut, before any step. For spin, run by tests/models/run.py, which has
 * the configurations and, for each property, mutations (-DNO_…) that must break it.
 *
 * Each thing on the disk is there twice: as programs see it (…_mem) and as a power cut leaves it
 * (…_disk). The kernel may write back anything at any time in any order; fsync does it at once. When
 * that happened shows only at a cut, and then only what the thing was last written back as: so it is
 * chosen at the cut, and before each change of a thing that was not flushed (MAYBE). Whatever was not
 * flushed may or may not be there after a cut, independently of all else. A process that is killed
 * leaves what programs see.
 *
 * Sessions follow one another without end, but before the last cut at most REPLACES new bases are
 * made. After it only what programs see counts.
 */
#define MSGS 2
#ifndef REPLACES
#define REPLACES 2
#endif
#ifndef CUTS
#define CUTS 1 /* power cuts */
#endif
#ifndef KILLS
#define KILLS 1 /* processes of sessions that are killed */
#endif

#define FILES (REPLACES + 4) /* numbers of index files; 0 is none */
#define BIT(m) (1 << (m))
#define ALL ((1 << MSGS) - 1)

/* sets of messages: names in new/ or cur/, and octets of the files */
#ifdef DOUBLE
byte names_mem = ALL, names_disk = ALL, octets_mem = ALL, octets_disk = ALL;
#else
byte names_mem = BIT(1), names_disk = BIT(1), octets_mem = BIT(1), octets_disk = BIT(1);
#endif
/* valija-base and valija-delta: the file that the name leads to */
byte base_mem, base_disk, delta_mem, delta_disk;
/* files of the index, by number: the base is whole; the log has its header; its DELs; those of them
 * that RETIRE covers; FLUSHED */
bool whole_mem[FILES], whole_disk[FILES], header_mem[FILES], header_disk[FILES];
byte dels_mem[FILES], dels_disk[FILES], retired_mem[FILES], retired_disk[FILES];
bool flushed_mem[FILES], flushed_disk[FILES];
#ifdef DOUBLE
/* Message 1 has the unique part of message 0 (0), or a fresh one (number); DELs bear it. */
#define FRESH_MAX 3
byte part_mem, part_disk, last_part, del_part_mem[FILES], del_part_disk[FILES], shown_part;
bool was_shown, id_changed;
#endif

byte epoch, kills;
byte made; /* number of an index file that is being made */
byte last_file;

/* for the properties only */
#ifdef DOUBLE
byte acked = ALL;
#else
byte acked = BIT(1); /* deliveries that were answered with 250 */
#endif
byte requested;	 /* deletions that a QUIT was to carry out */
byte group;	 /* those of the last one */
byte quit_acked; /* those of a QUIT that was answered with +OK */
byte hidden_once;
byte refused;	    /* those of a QUIT that was answered with -ERR, its flush having failed */
byte shown_refused; /* those of them that a session showed since */
bool lost, again, half, back, late;

#define FAULT(condition, name)                                                                     \
	if                                                                                         \
	:: (condition) -> name = true; assert(!name)                                               \
	:: else                                                                                    \
	fi

/* One step of a session, unless its machine lost power or its process is killed before it. */
#define STEP(work)                                                                                 \
	if                                                                                         \
	:: atomic { epoch == now -> work }                                                         \
	:: epoch != now -> goto start                                                              \
	:: atomic { epoch == now && kills < KILLS -> kills++; goto start }                         \
	fi

#ifdef DOUBLE
#define HIDDEN(f)                                                                                  \
	(dels_mem[f] & ~retired_mem[f] & (del_part_mem[f] == part_mem -> ALL : BIT(0)))
#define PENDING(f) (dels_mem[f] & ~retired_mem[f])
#define SYNC_DELTA(f) \
	if \
	:: DISK_COUNTS -> \
	header_disk[f] = header_mem[f]; \
	dels_disk[f] = dels_mem[f];                                                                \
	del_part_disk[f] = del_part_mem[f];                                                        \
	retired_disk[f] = retired_mem[f];                                                          \
	flushed_disk[f] = flushed_mem[f] \
	:: else \
	fi
#else
#define HIDDEN(f) (dels_mem[f] & ~retired_mem[f])
#define PENDING(f) HIDDEN(f)
#define SYNC_DELTA(f) \
	if \
	:: DISK_COUNTS -> \
	header_disk[f] = header_mem[f]; \
	dels_disk[f] = dels_mem[f];                                                                \
	retired_disk[f] = retired_mem[f];                                                          \
	flushed_disk[f] = flushed_mem[f] \
	:: else \
	fi
#endif
#define SYNC_FOLDER \
	if \
	:: DISK_COUNTS -> base_disk = base_mem; delta_disk = delta_mem; forget_old(f) \
	:: else \
	fi

#define IN_USE(f)                                                                                  \
	(base_mem == (f) || base_disk == (f) || delta_mem == (f) || delta_disk == (f) || made == (f))

#define DISK_COUNTS (epoch < CUTS)

/* The kernel may have written it back before it is changed. */
#define MAYBE(dirty, write)                                                                        \
	if                                                                                         \
	:: DISK_COUNTS && (dirty) -> write                                                         \
	:: true                                                                                    \
	fi
#define SYNC(write)                                                                                \
	if                                                                                         \
	:: DISK_COUNTS -> write                                                                    \
	:: else                                                                                    \
	fi
#define MAYBE_NAME(m)                                                                              \
	MAYBE((names_disk ^ names_mem) & BIT(m),                                                   \
	      names_disk = (names_disk & ~BIT(m)) | (names_mem & BIT(m)))
#define MAYBE_OCTETS(m)                                                                            \
	MAYBE((octets_disk ^ octets_mem) & BIT(m),                                                 \
	      octets_disk = (octets_disk & ~BIT(m)) | (octets_mem & BIT(m)))
#define MAYBE_OF(what) MAYBE(what##_disk != what##_mem, what##_disk = what##_mem)
#define MAYBE_FILE(what, f) MAYBE(what##_disk[f] != what##_mem[f], what##_disk[f] = what##_mem[f])
#ifdef DOUBLE
#define MAYBE_DELS(f)                                                                              \
	MAYBE(dels_disk[f] != dels_mem[f],                                                         \
	      dels_disk[f] = dels_mem[f]; del_part_disk[f] = del_part_mem[f])
#else
#define MAYBE_DELS(f) MAYBE_FILE(dels, f)
#endif

/* Files that no name leads to are all alike. */
inline forget_old(f)
{
	f = 1;
	do
	:: f < FILES && IN_USE(f) -> f++
	:: f < FILES && !IN_USE(f) ->
		whole_mem[f] = false; whole_disk[f] = false;
		header_mem[f] = false; header_disk[f] = false;
		dels_mem[f] = 0; dels_disk[f] = 0;
		retired_mem[f] = 0; retired_disk[f] = 0;
		flushed_mem[f] = false; flushed_disk[f] = false;
#ifdef DOUBLE
		del_part_mem[f] = 0; del_part_disk[f] = 0;
#endif
		f++
	:: else -> break
	od;
	f = 0
}

active proctype Power()
{
	byte f;
end:	do
	:: atomic {
		epoch < CUTS ->
		made = 0;
		MAYBE_NAME(0);
		MAYBE_NAME(1);
		MAYBE_OCTETS(0);
		MAYBE_OCTETS(1);
		MAYBE_OF(base);
		MAYBE_OF(delta);
		names_mem = names_disk;
		octets_mem = octets_disk;
		base_mem = base_disk;
		delta_mem = delta_disk;
#ifdef DOUBLE
		MAYBE_OF(part);
		part_mem = part_disk;
#endif
		forget_old(f);
		f = 1;
		do
		:: f < FILES && IN_USE(f) ->
			MAYBE_FILE(whole, f);
			MAYBE_FILE(header, f);
			MAYBE_DELS(f);
			MAYBE_FILE(retired, f);
			MAYBE_FILE(flushed, f);
			whole_mem[f] = whole_disk[f];
			header_mem[f] = header_disk[f];
			dels_mem[f] = dels_disk[f];
			retired_mem[f] = retired_disk[f];
			flushed_mem[f] = flushed_disk[f];
#ifdef DOUBLE
			del_part_mem[f] = del_part_disk[f];
#endif
			f++
		:: f < FILES && !IN_USE(f) -> f++
		:: else -> break
		od;
		f = 0;
		epoch++;
		if
		:: !DISK_COUNTS ->
			names_disk = 0; octets_disk = 0; base_disk = 0; delta_disk = 0;
#ifdef DOUBLE
			part_disk = 0;
#endif
			do
			:: f < FILES ->
				whole_disk[f] = false; header_disk[f] = false; dels_disk[f] = 0;
				retired_disk[f] = 0; flushed_disk[f] = false;
#ifdef DOUBLE
				del_part_disk[f] = 0;
#endif
				f++
			:: else -> break
			od;
			f = 0;
			last_file = 0
		:: else
		fi
	   }
	od
}

#ifndef DOUBLE
/* Message 0; message 1 was delivered before. A power cut ends it. A file in tmp/ is of no account. */
active proctype Delivery()
{
#define me BIT(0)
	atomic { epoch == 0 -> octets_mem = octets_mem | me; }
#ifndef NO_FILE_FLUSH
	atomic { epoch == 0 -> octets_disk = octets_disk | me; }
#endif
	atomic { epoch == 0 -> names_mem = names_mem | me; } /* rename into new/ */
#ifndef NO_NEW_FLUSH
	atomic { epoch == 0 -> names_disk = (names_disk & ~me) | (names_mem & me); }
#endif
	atomic { epoch == 0 -> acked = acked | me; }
end:	skip
}
#endif

/* A new base and log, which begins with the DELs that are pending. */
#define REPLACE                                                                                    \
	if                                                                                         \
	:: DISK_COUNTS && last_file == REPLACES -> goto end                                        \
	:: else                                                                                    \
	fi;                                                                                        \
	STEP(forget_old(f);                                                                        \
	     f = (DISK_COUNTS -> last_file + 1 : 1);                                               \
	     last_file = (DISK_COUNTS -> f : 0);                                                   \
	     do                                                                                    \
	     :: IN_USE(f) -> f++                                                                   \
	     :: else -> break                                                                      \
	     od;                                                                                   \
	     made = f;                                                                             \
	     f = 0;                                                                                \
	     assert(made < FILES);                                                                 \
	     whole_mem[made] = true; whole_disk[made] = false;                                     \
	     header_mem[made] = true; header_disk[made] = false;                                   \
	     dels_mem[made] = CARRIED; dels_disk[made] = 0;                                        \
	     CARRY_PART                                                                            \
	     retired_mem[made] = 0; retired_disk[made] = 0;                                        \
	     flushed_mem[made] = false; flushed_disk[made] = false);                               \
	if                                                                                         \
	:: CARRY_FLUSHED && pending -> STEP(SYNC_DELTA(made))                                      \
	:: else                                                                                    \
	fi;                                                                                        \
	RENAMES;                                                                                   \
	STEP(made = 0; forget_old(f));                                                             \
	if                                                                                         \
	:: true -> FLUSH_ALL                                                                       \
	:: true /* FLUSHED is left to a later sweep */                                             \
	fi

#define RENAME_BASE STEP(MAYBE_OF(base); base_mem = made; forget_old(f))
#define RENAME_LOG STEP(MAYBE_OF(delta); delta_mem = made; forget_old(f))
#ifdef LOG_FIRST
#define RENAMES RENAME_LOG; RENAME_BASE
#else
#define RENAMES RENAME_BASE; RENAME_LOG
#endif

#define FLUSH_ALL                                                                                  \
	STEP(SYNC(whole_disk[base_mem] = whole_mem[base_mem]));                                          \
	STEP(SYNC_DELTA(delta_mem));                                                               \
	FLUSH_FOLDER;                                                                              \
	STEP(flushed_mem[delta_mem] = true)

#ifdef NO_FOLDER_FLUSH
#define FLUSH_FOLDER skip
#else
#define FLUSH_FOLDER STEP(SYNC_FOLDER)
#endif
#ifdef NO_CARRY
#define CARRIED 0
#else
#define CARRIED pending
#endif
#ifdef NO_CARRY_FLUSH
#define CARRY_FLUSHED false
#else
#define CARRY_FLUSHED true
#endif
#ifdef DOUBLE
#define CARRY_PART del_part_mem[made] = del_part_mem[delta_mem]; del_part_disk[made] = 0;
#else
#define CARRY_PART
#endif

/* DELs on the disk, and the name of their log. */
#define FLUSH_LOG                                                                                  \
	STEP(SYNC_DELTA(delta_mem));                                                               \
	if                                                                                         \
	:: !flushed_mem[delta_mem] -> QUIT_FOLDER                                                  \
	:: else                                                                                    \
	fi
#ifdef NO_NAME_FLUSH
#define QUIT_FOLDER skip
#else
#define QUIT_FOLDER STEP(SYNC_FOLDER)
#endif

/* Sessions, one after the other: that there is one at a time is the session lock's, which the kernel
 * frees when a process dies; that an append or a new base is one's alone is the log's lock. */
active proctype Session()
{
	byte now, view, pending, todo, f;
	bool committed;

start:	atomic { now = epoch; view = 0; pending = 0; todo = 0; f = 0; made = 0; committed = false; }
	/* login: the index is read, or made anew with the DELs of the log that is there */
	STEP(pending = (delta_mem && header_mem[delta_mem] -> PENDING(delta_mem) : 0));
	if
	:: base_mem && base_mem == delta_mem && whole_mem[base_mem] && header_mem[delta_mem]
	:: else -> REPLACE
	fi;
#ifdef DOUBLE
	/* two files of one unique part: one is renamed to a fresh name */
	if
	:: names_mem == ALL && part_mem == 0 && last_part < FRESH_MAX ->
		STEP(MAYBE_OF(part); last_part++; part_mem = last_part)
	:: else
	fi;
#ifdef FLUSH_DOUBLE
	/* that of a process that died before its flush, too */
	STEP(SYNC(part_disk = part_mem));
#endif
#endif
#ifdef SETTLE_AT_LOGIN
	if
	:: pending -> FLUSH_LOG
	:: else
	fi;
#endif
	STEP(
		view = names_mem & ~HIDDEN(delta_mem);
		FAULT(acked & ~requested & ~(view & octets_mem), lost);
#ifndef UNWATCHED_AGAIN
		FAULT(quit_acked & view, again);
#endif
		/* what was not acknowledged may be lost by itself */
		FAULT(!(group & ~acked) && !refused && (group & view) && (group & ~view), half);
#ifdef DOUBLE
		if
		:: view & BIT(1) ->
#ifndef UNWATCHED_ID
			FAULT(was_shown && shown_part != part_mem, id_changed);
#endif
			was_shown = true;
			shown_part = part_mem
		:: else
		fi;
#endif
#ifdef FLUSH_FAILS
#ifndef UNWATCHED_LATE
		FAULT(shown_refused & acked & ~view, late);
#endif
		shown_refused = shown_refused | (refused & view);
#endif
#ifdef STRICT
		FAULT(hidden_once & view, back);
		hidden_once = hidden_once | (requested & ~view);
#endif
		pending = 0);
	/* QUIT, with deletions or without; or the connection ends */
	if
	:: view & BIT(0) -> todo = BIT(0)
	:: view & BIT(1) -> todo = BIT(1)
	:: view == ALL -> todo = ALL
	:: todo = 0 -> goto sweep
	fi;
	STEP(requested = requested | todo;
	     group = todo;
	     shown_refused = shown_refused & ~todo);
#ifdef NO_ROOM
	/* the log cannot grow: files first, then the answer */
	do
	:: todo & view & BIT(0) -> STEP(MAYBE_NAME(0); names_mem = names_mem & ~BIT(0); view = view & ~BIT(0))
	:: todo & view & BIT(1) -> STEP(MAYBE_NAME(1); names_mem = names_mem & ~BIT(1); view = view & ~BIT(1))
	:: !(todo & view) -> break
	od;
	STEP(SYNC(names_disk = names_mem));
	STEP(quit_acked = quit_acked | todo);
	goto sweep;
#endif
	STEP(MAYBE_DELS(delta_mem); dels_mem[delta_mem] = dels_mem[delta_mem] | todo;
#ifdef DOUBLE
	     if
	     :: todo & BIT(1) -> del_part_mem[delta_mem] = part_mem
	     :: else
	     fi;
#endif
	     skip);
#ifdef ACK_BEFORE_FLUSH
	STEP(quit_acked = quit_acked | todo);
#endif
#ifdef FLUSH_FAILS
	if
	:: true -> STEP(MAYBE_DELS(delta_mem); dels_mem[delta_mem] = dels_mem[delta_mem] & ~todo;
		     refused = refused | todo);
		goto sweep /* -ERR */
	:: true
	fi;
#endif
	FLUSH_LOG;
	STEP(quit_acked = quit_acked | todo; committed = true);
sweep:	STEP(pending = PENDING(delta_mem); view = 0; todo = 0);
	if
	:: pending == 0 -> goto keep_up
	:: pending -> goto keep_up /* a login waits, or a delivery makes the new base */
	:: pending
	fi;
#ifndef NO_SETTLE
	/* of a process that died before its flush */
	if
	:: !committed -> FLUSH_LOG
	:: else
	fi;
#endif
	/* todo: what is not unlinked yet */
	STEP(todo = HIDDEN(delta_mem) & names_mem);
	do
	:: todo & BIT(0) -> STEP(MAYBE_NAME(0); names_mem = names_mem & ~BIT(0); todo = todo & ~BIT(0))
	:: todo & BIT(1) -> STEP(MAYBE_NAME(1); names_mem = names_mem & ~BIT(1); todo = todo & ~BIT(1))
	:: todo == 0 -> break
	od;
#ifndef NO_UNLINK_FLUSH
	STEP(SYNC(names_disk = (names_disk & ~pending) | (names_mem & pending)));
#endif
	STEP(MAYBE_FILE(retired, delta_mem); retired_mem[delta_mem] = retired_mem[delta_mem] | pending);
keep_up:
	if
	:: !DISK_COUNTS || last_file < REPLACES -> STEP(pending = PENDING(delta_mem)); REPLACE
	:: !flushed_mem[delta_mem] -> FLUSH_ALL
	:: true
	fi;
	goto start;
end:	skip
}
