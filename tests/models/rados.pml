/*
 * A maildrop in RADOS: deliveries, sessions, compaction and sweep, as docs/models.md describes them.
 * For spin, run by tests/models/run.py, which has the configurations (MSGS, ROUNDS, …) and, for each
 * property, mutations (-DNO_…) that must break it.
 *
 * Store: body[m], one immutable object a message; an index object: its log, gen, and the lock with a
 * cookie. An operation on one object is atomic. One whose answer did not come (timeout) may have been
 * applied, may be applied at any later time, or never: requests lie in slots, Osd applies them.
 *
 * A node may die at any step, or stop for a week and go on: no step is ever forced to follow, so each
 * such run is among those that are searched. The lease ends at any time (Expire): the clock of a
 * session is not needed for any property. Renewal does nothing that could go wrong here.
 *
 * States in which something is left over, and who mends them:
 *   lock of a dead node                the end of its lease
 *   body without a record              the sweep, after 7 days
 *   record twice                       readers drop it by its id, compaction removes it
 *   DEL whose body is still there      the next compaction
 *   gen changed and nothing removed    nobody has to
 *   record shown, its body gone        a person. Here it is a fault (dangling): none of the right
 *                                      configurations reaches it; with SWEEP_NO_FENCE it is reached
 */
#ifndef MSGS
#define MSGS 1
#endif
#ifndef ATTEMPTS
#define ATTEMPTS 2 /* appends of one delivery */
#endif
#ifndef SESSIONS
#define SESSIONS 1 /* nodes that have sessions of the one user */
#endif
#ifndef ROUNDS
#define ROUNDS 1 /* sessions of a node, one after the other */
#endif
#ifndef COMPACTIONS
#define COMPACTIONS 0 /* of each session */
#endif
#ifndef SWEEPS
#define SWEEPS 0
#endif

#define LOG_MAX 8
#define SLOTS (MSGS * ATTEMPTS)
#define LOCKS (SESSIONS * ROUNDS)
#if SESSIONS > 0
#define LOCK_SLOTS LOCKS
#define CACHES SESSIONS
#else
#define LOCK_SLOTS 1
#define CACHES 1
#endif
#define SWEEP_COOKIE (LOCKS + 1)
#define ALL ((1 << MSGS) - 1)
#define BIT(m) (1 << (m))
#define DEL 8 /* entry of the log: m is ADD of message m, DEL + m its deletion */

/* store */
byte log[LOG_MAX], size, gen = 1, last_gen = 1, lock;
byte bodies;	  /* set of messages: objects that are there */
byte late_bodies; /* writes of a body that timed out and may still be applied */

/* requests and answers */
mtype = { IDLE, SENT, APPLIED, REFUSED };
mtype append_state[SLOTS] = IDLE;
byte append_gen[SLOTS];
mtype quit_state[LOCK_SLOTS] = IDLE;
byte quit_dels[LOCK_SLOTS], quit_cookie[LOCK_SLOTS], quit_seen[LOCK_SLOTS];
mtype compact_state[LOCK_SLOTS] = IDLE;
byte compact_gen[LOCK_SLOTS], compact_size[LOCK_SLOTS], compact_live[LOCK_SLOTS];

/* age of a message's body: below 10 minutes, more, more than 7 days */
#define YOUNG 0
#define LATE 1
#define OLD 2
byte age[MSGS];

/* what a keeper has in memory of the log */
byte cache_gen[CACHES], cache_size[CACHES], cache_adds[CACHES], cache_dels[CACHES];

/* for the properties only */
byte acked;	 /* deliveries that were answered with 250 */
byte deleted;	 /* DELs that were applied */
byte quit_acked; /* DELs of a QUIT that was answered with +OK */
byte swept;	 /* bodies that the sweep removed */
byte readings;	 /* sessions that read the log while they had the lock */
bool lost, dangling, again, twice, unlocked, reverted, unsafe_sweep, stale_view, body_before_del,
	wrong_ok;

#define FAULT(condition, name)                                                                     \
	if                                                                                         \
	:: (condition) -> name = true; assert(!name)                                               \
	:: else                                                                                    \
	fi

hidden byte i_, adds_, dels_, m_;

/* The log from an entry on, into adds_ and dels_. */
#define FOLD(from)                                                                                 \
	i_ = from;                                                                                 \
	do                                                                                         \
	:: i_ < size && log[i_] < DEL -> adds_ = adds_ | BIT(log[i_]); i_++                        \
	:: i_ < size && log[i_] >= DEL -> dels_ = dels_ | BIT(log[i_] - DEL); i_++                 \
	:: i_ >= size -> break                                                                     \
	od

#define FOLD_ALL                                                                                   \
	adds_ = 0;                                                                                 \
	dels_ = 0;                                                                                 \
	FOLD(0)

#ifdef SAME_GEN
#define NEXT_GEN skip
#else
#define NEXT_GEN last_gen++; gen = last_gen
#endif

/* What must hold of the store at each moment. */
#define CHECK                                                                                      \
	FOLD_ALL;                                                                                  \
	FAULT(deleted & adds_ & ~dels_, again);                                                    \
	FAULT(adds_ & ~dels_ & ~bodies, dangling);                                                 \
	FAULT(acked & ~deleted & ~(adds_ & ~dels_ & bodies), lost);                                \
	i_ = 0;                                                                                    \
	adds_ = 0;                                                                                 \
	dels_ = 0

#define PUT(entry)                                                                                 \
	assert(size < LOG_MAX);                                                                    \
	log[size] = entry;                                                                         \
	size++

#define EACH(set, put)                                                                             \
	m_ = 0;                                                                                    \
	do                                                                                         \
	:: m_ < MSGS && ((set) & BIT(m_)) -> put; m_++                                             \
	:: m_ < MSGS && !((set) & BIT(m_)) -> m_++                                                 \
	:: m_ == MSGS -> break                                                                     \
	od;                                                                                        \
	m_ = 0

#ifdef NO_GEN
#define GEN_IS(g) true
#else
#define GEN_IS(g) (gen == (g))
#endif
#ifdef NO_ASSERT_LOCKED
#define HOLDS(cookie) true
#else
#define HOLDS(cookie) (lock == (cookie))
#endif
#ifdef NO_ASSERT_VERSION
#define VERSION_IS(g, s) true
#else
#define VERSION_IS(g, s) (gen == (g) && size == (s))
#endif

/* The compound operations of the protocol, each on one object. The version of the object is gen and
 * size: within one gen the log only grows. */

/* Append of ADD: cmpxattr gen. */
inline apply_append(k)
{
	d_step {
		append_state[k] == SENT ->
		if
		:: GEN_IS(append_gen[k]) ->
#ifndef UNWATCHED
			FAULT(swept & BIT(k / ATTEMPTS), unsafe_sweep);
#endif
			PUT(k / ATTEMPTS);
			append_state[k] = APPLIED
		:: else -> append_state[k] = REFUSED
		fi;
		append_gen[k] = 0;
		CHECK;
	}
}

/* Append of all DELs of a QUIT: assert_locked. */
inline apply_quit(k)
{
	d_step {
		quit_state[k] == SENT ->
		if
		:: HOLDS(quit_cookie[k]) ->
			FAULT(lock != quit_cookie[k], unlocked);
			/* a later session has shown what this takes away */
			FAULT(readings != quit_seen[k], reverted);
			deleted = deleted | quit_dels[k];
			EACH(quit_dels[k], PUT(DEL + m_));
			quit_state[k] = APPLIED
		:: else -> quit_state[k] = REFUSED
		fi;
		quit_dels[k] = 0;
		quit_seen[k] = 0;
		CHECK;
	}
}

/* All that lives, and a new gen: assert_locked, assert_version. */
inline apply_compact(k)
{
	d_step {
		compact_state[k] == SENT ->
		if
		:: HOLDS(quit_cookie[k]) && VERSION_IS(compact_gen[k], compact_size[k]) ->
			size = 0;
			m_ = 0;
			do
			:: m_ < LOG_MAX -> log[m_] = 0; m_++
			:: else -> break
			od;
			EACH(compact_live[k], PUT(m_));
			NEXT_GEN;
			compact_state[k] = APPLIED
		:: else -> compact_state[k] = REFUSED
		fi;
		compact_gen[k] = 0;
		compact_size[k] = 0;
		compact_live[k] = 0;
		CHECK;
	}
}

active proctype Osd()
{
end:	do
	:: apply_append(0)
#if SLOTS > 1
	:: apply_append(1)
#endif
#if SLOTS > 2
	:: apply_append(2)
#endif
#if SLOTS > 3
	:: apply_append(3)
#endif
#if LOCKS > 0
	:: apply_quit(0)
	:: apply_compact(0)
#endif
#if LOCKS > 1
	:: apply_quit(1)
	:: apply_compact(1)
#endif
#if LOCKS > 2
	:: apply_quit(2)
	:: apply_compact(2)
#endif
#ifdef LATE_BODIES
	:: d_step {
		(late_bodies & BIT(0)) && !(bodies & BIT(0)) ->
		bodies = bodies | BIT(0);
		late_bodies = late_bodies & ~BIT(0);
		CHECK;
	   }
#endif
	od
}

#if SESSIONS > 0 || SWEEPS > 0
active proctype Expire()
{
end:	do
	:: lock != 0 -> lock = 0
	od
}
#endif

/* One message from the MTA. Unique id = number of the message: never used again. */
active [MSGS] proctype Delivery()
{
	byte me, k, g;
	bool doubt, there, young;

	me = _pid - (1 + (SESSIONS > 0 || SWEEPS > 0));
	/* The body: create-exclusive. A write that timed out is given up with its id, and the delivery
	 * begins again with a new one. Only message 0 does it here. */
	if
	:: bodies = bodies | BIT(me)
#ifdef LATE_BODIES
	:: me == 0 ->
		late_bodies = late_bodies | BIT(0);
#ifdef BODY_RETRY_SAME
		bodies = bodies | BIT(0)
#else
		goto end
#endif
#endif
	fi;
#ifdef ACK_BEFORE_APPEND
	d_step { acked = acked | BIT(me); CHECK; }
#endif
	do
	:: k < ATTEMPTS ->
#ifdef CHECK_BEFORE_GEN
		young = age[me] == YOUNG;
#endif
		g = gen;
		/* was it delivered and deleted meanwhile, and is all that told of it compacted away? */
		there = true;
#ifndef NO_STAT
		if
		:: doubt -> there = (bodies & BIT(me)) != 0
		:: else
		fi;
#endif
#ifndef CHECK_BEFORE_GEN
		young = age[me] == YOUNG;
#endif
		if
#ifdef OK_WHEN_ABSENT
		:: !young && !there -> d_step { acked = acked | BIT(me); CHECK; } break
#endif
		:: !young -> break /* 451 */
		:: young && !there -> d_step { acked = acked | BIT(me); CHECK; } break
		:: else
		fi;
		d_step {
			append_gen[me * ATTEMPTS + k] = g;
			append_state[me * ATTEMPTS + k] = SENT;
			g = 0;
		}
		if
		:: append_state[me * ATTEMPTS + k] == APPLIED ->
			d_step { acked = acked | BIT(me); CHECK; } break
		:: append_state[me * ATTEMPTS + k] == REFUSED -> skip
		:: append_state[me * ATTEMPTS + k] != REFUSED -> doubt = true /* timeout */
#ifdef ACK_ON_TIMEOUT
			; d_step { acked = acked | BIT(me); CHECK; } break
#endif
		fi;
		k++
	:: k == ATTEMPTS -> break /* 451 */
	od;
end:	skip;
	d_step { k = 0; g = 0; doubt = false; there = false; young = false; }
}

#if SESSIONS > 0
#ifdef COOKIE_OF_NODE
#define COOKIE (me + 1)
#else
#define COOKIE (me * ROUNDS + round + 1)
#endif
#define SLOT (me * ROUNDS + round)

/* The sessions of one node, one after the other. */
active [SESSIONS] proctype Session()
{
	byte me, round, view, todo, adds, dels, c;
	bool ok;

	me = _pid - (2 + MSGS);
next:	if
	:: round == ROUNDS -> goto end
	:: else
	fi;
	atomic { lock == 0 -> lock = COOKIE }
	atomic { /* read: the tail if the cached gen is that of the object, else all */
		FOLD_ALL;
		view = adds_ & ~dels_;
		adds_ = 0;
		dels_ = 0;
#ifdef READ_WITHOUT_GEN
		if
		:: cache_gen[me] && cache_size[me] <= size ->
#else
		if
		:: cache_gen[me] == gen ->
#endif
			adds_ = cache_adds[me];
			dels_ = cache_dels[me];
			FOLD(cache_size[me])
		:: else -> FOLD(0)
		fi;
		FAULT((adds_ & ~dels_) != view, stale_view);
		FAULT(quit_acked & view, wrong_ok);
#ifdef NO_DEDUPE
		FAULT(view && size > 1 && log[0] == log[1], twice);
#endif
#if ROUNDS > 1
		cache_gen[me] = gen; cache_size[me] = size;
		cache_adds[me] = adds_; cache_dels[me] = dels_;
#endif
		adds_ = 0; dels_ = 0; i_ = 0;
		if
		:: lock == COOKIE -> readings++
		:: else /* its lease ended before the read: its QUIT will be refused */
		fi;
		quit_seen[SLOT] = readings;
		quit_cookie[SLOT] = COOKIE;
	}
	/* DELE of any of them */
	if
	:: view & BIT(0) -> todo = BIT(0)
#if MSGS > 1
	:: view & BIT(1) -> todo = BIT(1)
	:: view == ALL -> todo = ALL
#endif
	:: todo = 0 -> goto compaction
	fi;
	d_step { quit_dels[SLOT] = todo; quit_state[SLOT] = SENT; }
	if
	:: quit_state[SLOT] == APPLIED -> d_step { quit_acked = quit_acked | todo; ok = true; }
	:: quit_state[SLOT] == REFUSED -> goto leave /* -ERR */
	:: quit_state[SLOT] == SENT -> skip	      /* timeout: -ERR */
#ifdef QUIT_OK_ON_TIMEOUT
		; d_step { quit_acked = quit_acked | todo; }
#endif
	fi;
#ifdef REMOVE_ON_TIMEOUT
	ok = true;
#endif
	if
	:: ok -> d_step { /* the bodies, in the background, with or without the lock */
			FAULT(todo & ~deleted, body_before_del);
			bodies = bodies & ~todo;
			CHECK; }
	:: true /* the node dies before it did, or the operation fails */
	fi;
compaction:
	c = 0;
	do
	:: c < COMPACTIONS && compact_state[SLOT] != SENT ->
		d_step {
			FOLD_ALL;
			adds = adds_; dels = dels_;
			compact_gen[SLOT] = gen; compact_size[SLOT] = size;
			compact_live[SLOT] = adds_ & ~dels_;
			adds_ = 0; dels_ = 0; i_ = 0;
		}
#ifndef DROP_DEL_EARLY
		/* a DEL may go only when its body has: what is still there is removed first */
		d_step {
			FAULT(dels & ~deleted, body_before_del);
			bodies = bodies & ~dels;
			CHECK; }
#endif
		compact_state[SLOT] = SENT;
		if
		:: compact_state[SLOT] == APPLIED || compact_state[SLOT] == REFUSED
		:: compact_state[SLOT] == SENT /* timeout */
		fi;
		c++
	:: break
	od;
leave:	atomic {
		if
		:: lock == COOKIE -> lock = 0
		:: else
		fi;
		view = 0; todo = 0; adds = 0; dels = 0; ok = false; c = 0;
		round++;
	}
	goto next;
end:	skip
}
#endif

#if SWEEPS > 0
active [MSGS] proctype Clock()
{
	byte me;

	me = _pid - (2 + MSGS + SESSIONS);
	age[me] = LATE;
	age[me] = OLD
}

/* Removes the body of message 0 if it is an orphan. */
active proctype Sweep()
{
	byte g, s, round;
	bool known;

	do
	:: round < SWEEPS && age[0] == OLD && (bodies & BIT(0)) ->
		round++;
#ifndef SWEEP_NO_FENCE
		atomic { lock == 0 -> lock = SWEEP_COOKIE }
#endif
		d_step {
			FOLD_ALL;
			known = ((adds_ | dels_) & BIT(0)) != 0;
			adds_ = 0; dels_ = 0; i_ = 0;
			g = gen; s = size;
		}
		if
		:: known -> goto free
		:: else
		fi;
#ifndef SWEEP_NO_FENCE
		/* a new gen: no append that was under way can be applied any more */
		d_step {
			if
			:: HOLDS(SWEEP_COOKIE) && VERSION_IS(g, s) ->
				last_gen++;
				gen = last_gen;
			:: else -> known = true
			fi;
		}
		if
		:: known -> goto free
		:: else
		fi;
#endif
		d_step {
			swept = swept | BIT(0);
			bodies = bodies & ~BIT(0);
			CHECK; }
free:		atomic {
			if
			:: lock == SWEEP_COOKIE -> lock = 0
			:: else
			fi;
			known = false; g = 0; s = 0;
		}
	:: round == SWEEPS -> break
	od
}
#endif
