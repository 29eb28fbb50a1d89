/*
 * Everything that one process of valijad sends to another, in one table: IPC_MESSAGES. A message is
 * a fixed struct, a bounded tail of octets and some descriptors. ipc_check refuses a message that
 * does not fit its row: size, direction, descriptors, the sizes of its texts, the range of each of
 * its fields. Handlers get only messages that their row allows; they check the rest: whether the
 * message fits the request (ipc_answers) and which session it is about.
 *
 * A packet without descriptors may hold several messages, each but the last ending at a multiple of
 * 8 octets. The number of a row is never used again for another message.
 *
 * Names: session numbers are made by a front, 64-bit, never reused, and mean something only
 * together with the channel's instance (given by the monitor, never reused either).
 */
#ifndef IPC_MESSAGES_H
#define IPC_MESSAGES_H

#include "ipc/reason.h"
#include "sys/arena.h"
#include "sys/chan.h"
#include "sys/tls_server.h"
#include "sys/tls_session.h"

#include <pop3/span.h>

#include <stdbool.h>
#include <stdint.h>

/* A question of auth to a lookup, and its answer. */
enum lookup_kind {
	LOOKUP_FIND,     /* the entry of a name */
	LOOKUP_PASSWORD, /* whether a password is right, and the entry */
	LOOKUP_TOKEN,    /* the same of an OAuth token */
	LOOKUP_ACCESS,   /* an access token of the user's for another server; the secret is one that
			    was refused there, or empty */
	LOOKUP_KINDS
};
enum lookup_purpose {
	LOOKUP_LOGIN,
	LOOKUP_RECIPIENT,
	LOOKUP_SASL, /* a login at an MTA */
	LOOKUP_CLI,
	LOOKUP_PURPOSES
};
enum lookup_status {
	LOOKUP_FOUND,     /* the entry is there; the secret, if there was one, is right */
	LOOKUP_UNKNOWN,   /* no such user: the next database is asked */
	LOOKUP_WRONG,     /* the user is there, the secret is wrong */
	LOOKUP_REFUSED,   /* the secret is right, the user may not log in: expired, locked */
	LOOKUP_DOWN,      /* the database cannot be asked: no other one is */
	LOOKUP_BAD_ENTRY, /* the user is there, the entry is none: two rows, another name … */
	LOOKUP_STATUSES
};

enum ipc_role {
	ROLE_MONITOR,
	ROLE_FRONT, /* POP3 */
	ROLE_LMTP,  /* the front of LMTP */
	ROLE_AUTH,
	ROLE_KEEPER,
	ROLE_KEYS,      /* signs for fronts */
	ROLE_LOOKUP,    /* asks one database of users; a program of its own */
	ROLE_MTA,       /* answers an MTA */
	ROLE_LOGINS,    /* writes down last logins */
	ROLE_CONTROL,   /* takes the commands of people */
	ROLE_STATUS,    /* shows the counters of all */
	ROLE_LOCKER,    /* makes lock files beside mboxes */
	ROLE_CONNECTOR, /* a keeper whose maildrops are on other POP3 servers */
	ROLE_COUNT
};

/* Sets of roles: monitor, front, LMTP front, auth, keeper, keys (which signs), lookup (which asks a
 * database), mta (which answers one: T), logins (which writes them down: W),
 * control (which takes commands: C), status (which shows pages: P), locker (which makes lock files:
 * N), connector (which reaches other servers: R). */
enum {
	IPC_M = 1 << ROLE_MONITOR,
	IPC_F = 1 << ROLE_FRONT,
	IPC_L = 1 << ROLE_LMTP,
	IPC_A = 1 << ROLE_AUTH,
	IPC_K = 1 << ROLE_KEEPER,
	IPC_S = 1 << ROLE_KEYS,
	IPC_D = 1 << ROLE_LOOKUP,
	IPC_T = 1 << ROLE_MTA,
	IPC_C = 1 << ROLE_CONTROL,
	IPC_W = 1 << ROLE_LOGINS,
	IPC_P = 1 << ROLE_STATUS,
	IPC_N = 1 << ROLE_LOCKER,
	IPC_R = 1 << ROLE_CONNECTOR,
	IPC_KEEPS = IPC_K | IPC_R, /* sessions have a maildrop there */
	IPC_CHILDREN = IPC_F | IPC_L | IPC_A | IPC_K | IPC_S | IPC_D | IPC_T | IPC_W | IPC_C |
		       IPC_P | IPC_N | IPC_R,
};

enum {
	IPC_TEXTS_MAX = 4,
	IPC_TEXT_MAX = 512,
	IPC_LABEL_MAX = 32, /* of an app password */
	IPC_SASL_MAX = 16384,
	IPC_BATCH_MAX = 65536,     /* octets of bodies, or of a SLICE, in one packet */
	IPC_BODIES_MAX = 64,       /* bodies in one BODIES */
	IPC_NUMBERS_MAX = 8192,    /* message numbers in one DELETE */
	IPC_RECIPIENTS_MAX = 1024, /* recipients in one DELIVER */
	IPC_PARTS_MAX = 128,       /* maildrops that one recipient leads to */
	IPC_HEADERS_MAX = 4096,
	IPC_ROOT_STATES = 4,         /* enum mail_root_state */
	IPC_ROOTS_MAX = 8,           /* CONFIG_ROOTS_MAX; a root is one of these, from 0 */
	IPC_LOGIN_DELAY_MAX = 86400, /* CONFIG_LOGIN_DELAY_MAX */
	IPC_UTF8_MAX = 2,            /* enum maildrop_utf8 */
	IPC_SERVICES = 8,            /* enum config_service */
	IPC_LISTENERS_MAX = 16,      /* CONFIG_LISTENERS_MAX */
	IPC_DELAY_MAX = 600000,      /* milliseconds in a DENIED */
	IPC_KEEPER_CREDITS = 512,    /* unanswered requests of a front at one keeper */
	IPC_AUTH_CREDITS = 1024,     /* the same at auth; what SLOW answered is not counted */
	IPC_SIGN_CREDITS = TLS_SIGNING_MAX, /* the same at keys */
	IPC_KEYS_MAX = 64,                  /* private keys: CONFIG_CERTIFICATES_MAX */
	IPC_KEY_SETS = 4, /* of keys, after changes, that keys has: those of number n are the keys
			     from n % IPC_KEY_SETS * IPC_KEYS_MAX on */
	IPC_DATABASES_MAX = 64,           /* CONFIG_DATABASES_MAX */
	IPC_REMOTES_MAX = 64,             /* CONFIG_REMOTES_MAX */
	IPC_REMOTE_SECRET_MAX = 4096,     /* octets of a password in OPEN_REMOTE */
	IPC_SECTION_MAX = 63,             /* of the name of a remote section */
	IPC_SEALED = 556,                 /* SEAL_TEXT_SIZE */
	IPC_LOOKUP_NAMES_MAX = 6,         /* spellings in one FIND */
	IPC_LOOKUP_SECRET_MAX = 16384,    /* octets of a password or token in VERIFY */
	IPC_ANSWER_MAX = 16384,           /* octets of fields in an ANSWER */
	IPC_LOOKUP_CREDITS = 1024,        /* unanswered questions of auth at one lookup */
	IPC_LOOKUP_DEADLINE_MAX = 300000, /* milliseconds */
	IPC_UIDS_MAX = 32,                /* of an MTA's programs */
	IPC_USAGE_CREDITS = 128,          /* unanswered questions of auth at one keeper */
	IPC_LOG_LEVEL_MAX = 3,            /* the last of enum log_level */
	IPC_TRAFFIC_MAX = 512,            /* sessions in one TRAFFIC */
	IPC_BAN_WHY_MAX = 120,
	IPC_PENALTIES_MAX = 16384,       /* rows in one PENALTIES */
	IPC_PENALTY_ROWS_MAX = 512,      /* in one PENALTY_PAGE */
	IPC_BAN_ROWS_MAX = 256,          /* in one BAN_PAGE */
	IPC_GUARD_HAS = 3,               /* GUARD_HAS of maildrop/guard.h */
	IPC_BANS_MAX = 4096,             /* BANS_MAX of server/ban_table.h */
	IPC_BAN_SECONDS_MAX = 315360000, /* ten years */
};
#define IPC_NO_SLOT UINT32_MAX
#define IPC_HELD_ALL UINT32_MAX
#define IPC_COUNT_MAX (UINT32_MAX - 64) /* messages in a maildrop */
#define IPC_WINDOW_MAX (4u << 20)       /* octets in one READ_SLICE */

struct ipc_head {
	uint32_t type;                 /* enum ipc_type */
	uint32_t tail;                 /* octets behind the struct */
	uint16_t texts[IPC_TEXTS_MAX]; /* sizes of the tail's texts, in order */
};

struct ipc_empty { /* START, READY, DRAINS, KEEPER_GONE, PING, LISTENER_DEAD: one takes no
		    connections, SPOOL_WANTED: a file is needed, SPOOL_NONE: there is none,
		    SPOOL_FILE: see spool_files.h; fds: one to write to, one to read from */
	struct ipc_head head;
};

/* monitor → child, at start in this order; PEER also later, when a peer is started again */
struct ipc_config { /* fd: the sealed struct config */
	struct ipc_head head;
	uint64_t instance;
	uint32_t role, index, uid, gid;
	uint32_t change_ids; /* change to uid, gid (the monitor is root) */
	uint32_t generation;
};
enum ipc_directory_kind {
	DIRECTORY_USERS,
	DIRECTORY_MAIL,
	DIRECTORY_ALIASES,
	DIRECTORY_LOGINS, /* of the file of last logins */
	DIRECTORY_COUNT
};
struct ipc_directory { /* fd: O_PATH directory; text, for a keeper: the mark that
			the mail root has to have */
	struct ipc_head head;
	uint32_t kind;
	uint32_t state; /* of the mail root: enum mail_root_state */
	uint32_t root;  /* which one; each is sent */
	uint32_t unused;
};
struct ipc_listener { /* fd: a listening socket */
	struct ipc_head head;
	uint32_t service; /* enum config_service */
	uint32_t place;   /* of the listener in the configuration */
};
struct ipc_certificates { /* CERTIFICATES, KEYS; fd: sealed memory file of PEM texts: see
			     server/certificates.h */
	struct ipc_head head;
	uint64_t size;
	uint32_t number; /* 0 at first; one more when the files have changed */
	uint32_t ask;    /* for keys, after its start: JUDGED carries it; else 0 */
};
struct ipc_judged { /* keys → monitor; text: why not */
	struct ipc_head head;
	uint32_t ask;
	uint32_t good; /* it signs for them now */
};
struct ipc_ticket_keys {
	struct ipc_head head;
	uint8_t keys[TLS_TICKET_KEYS][TLS_TICKET_KEY_SIZE];
};
struct ipc_peer { /* fd: a channel to a process of that role */
	struct ipc_head head;
	uint64_t instance;
	uint32_t role, index, uid, group_size; /* group_size: keepers that serve that uid */
};
struct ipc_drain {
	struct ipc_head head;
	uint64_t ms;
	uint32_t stop; /* valijad stops: idle sessions are ended at once */
	uint32_t unused;
};
struct ipc_owner { /* KEEPER_WANTED (text: home), KEEPER_REFUSED, OWNER (text: home) */
	struct ipc_head head;
	uint32_t uid;
	uint32_t root; /* of home */
};
struct ipc_instance { /* PEER_LOST, PEER_DEAD */
	struct ipc_head head;
	uint64_t instance;
};
/*
 * LEAVE: a keeper that was started on demand ends. monitor → keeper: end, if idle. keeper → auth:
 * may I end? passed: the requests that came from auth so far. auth → keeper: yes, no more will
 * come; no answer: more are under way. keeper → monitor, fronts: it ends now, and owes nothing.
 */
struct ipc_leave {
	struct ipc_head head;
	uint64_t passed;
};
struct ipc_pong {
	struct ipc_head head;
	uint64_t idle; /* of a keeper: milliseconds since its last work; 0: at work */
};

/* child → monitor */
struct ipc_failed { /* text: the reason why it cannot start */
	struct ipc_head head;
	uint32_t code; /* of sysexits.h */
	uint32_t unused;
};

/* keeper → monitor; text: a location, below its root */
enum ipc_location_ask {
	LOCATION_LOOK, /* it is not there: may it pass for one that never was? */
	LOCATION_MAKE, /* it is not there: may it be made? */
	LOCATION_MADE, /* it was made: answered when the register has it on the disk */
	LOCATION_SEEN, /* it is there; no answer */
	LOCATION_ASKS
};
struct ipc_location {
	struct ipc_head head;
	uint64_t number; /* of the question, for the answer */
	uint32_t ask;    /* enum ipc_location_ask */
	uint32_t root;
};
/* keeper → monitor, of the guard of unique ids (maildrop/guard.h); texts: a location, the rule by
 * which its unique ids came or would come. JUDGE is answered by LOCATION_ANSWER. */
enum ipc_guard_ask {
	GUARD_JUDGE,   /* its index is not there: is it the maildrop that was? */
	GUARD_SEEN,    /* a session has it; LOCATION_SEEN as well */
	GUARD_TRIPPED, /* it is not the one of its index */
	GUARD_ASKS
};
struct ipc_guard {
	struct ipc_head head;
	uint64_t number;     /* of the question, for the answer */
	uint64_t folders[2]; /* inodes of new and cur */
	uint32_t ask;        /* enum ipc_guard_ask */
	uint32_t root;
	uint32_t has; /* a set of guard.h */
	uint32_t unused;
};
/* monitor → keeper; text: why not */
struct ipc_location_answer {
	struct ipc_head head;
	uint64_t number;
	uint32_t allowed;
	uint32_t unused;
};

/*
 * TAKE, keeper → monitor → keepers of other generations; text: a location, below the mail folder.
 * A login found it in use by another process. The keeper that has it asks its front, and ends the
 * session if it may; TAKEN goes the way back. A keeper that does not have it is silent.
 */
struct ipc_take {
	struct ipc_head head;
	uint64_t asker;  /* instance; the monitor fills it in */
	uint64_t number; /* of the question, for the answer */
	uint64_t idle;   /* milliseconds after which the session may be ended */
	uint32_t take;   /* it may be ended */
	uint32_t root;   /* of the maildrop */
};
struct ipc_taken {
	struct ipc_head head;
	uint64_t asker, number;
	uint64_t since, idle; /* as in HOLDER */
	uint8_t address[16];
	uint32_t taken; /* the session ends */
	uint32_t unused;
};

/* monitor → keeper */
struct ipc_root { /* ROOT_AWAY; away: the path of the mail folder leads to another one than the
		     keeper has; until it does not, nothing is opened or delivered */
	struct ipc_head head;
	uint32_t away, root;
};
struct ipc_root_fd { /* STATE_FOLDER; fd: the folder of the owner's, for what is kept beside the
			mboxes of that root. LOCKER; fd: a channel to the process that makes lock
			files there, in place of an earlier one */
	struct ipc_head head;
	uint32_t root, unused;
};

/* keeper → locker; texts: the name of a mailbox in the locker's folder; the key of the session that
 * takes the lock, or "" */
enum ipc_lock_what {
	LOCK_TAKE,
	LOCK_MARK, /* there is a journal from now on */
	LOCK_RELEASE,
	LOCK_WHATS
};
struct ipc_lock {
	struct ipc_head head;
	uint64_t number;
	uint32_t what, unused; /* enum ipc_lock_what */
};
/* locker → keeper */
struct ipc_lock_answer {
	struct ipc_head head;
	uint64_t number;
	uint32_t errnum, unused; /* 0: done; else of errno */
};

/* front → auth */
struct ipc_connect {
	struct ipc_head head;
	uint64_t session;
	uint8_t address[16]; /* IPv4 mapped; all zero: a Unix socket */
	uint16_t port;
	uint8_t loopback;
	uint8_t resumed;   /* sent to a restarted auth: not counted against limits, not answered */
	uint32_t listener; /* its place in the configuration; of an mta: 0 */
};
struct ipc_bindings { /* binds a login to its TLS connection; only SCRAM uses it (RFC 5802) */
	struct ipc_head head;
	uint64_t session;
	uint32_t exporter_size, unused;
	uint8_t exporter[64];
};
struct ipc_session { /* DISCONNECT, SASL_CANCEL, CLOSE, INDEX_WRONG: the lent index is damaged;
		      * CERTIFIED, in front of a login by EXTERNAL; text: the name in the client's
		      * certificate, which the front has verified */
	struct ipc_head head;
	uint64_t session;
};
struct ipc_credentials { /* PASS, APOP, SASL_START (user is the mechanism), SASL_RESPONSE; texts:
			    user, secret */
	struct ipc_head head;
	uint64_t session;
	uint64_t ticket; /* OPENED and OPEN_FAILED carry it: see struct ipc_open */
	uint32_t has_secret;
	uint32_t tls; /* enum tls_protocol of the connection, for the log */
};
struct ipc_recipient { /* RCPT, WHOSE, QUOTA; text: address */
	struct ipc_head head;
	uint64_t session;
	uint32_t transaction, index;
	uint32_t held; /* keepers on demand that cannot end before this transaction does;
			  IPC_HELD_ALL: it has waited for another one in vain */
	uint32_t unused;
	uint64_t size; /* QUOTA: octets of the message, as its sender says; else 0 */
};

struct ipc_unopened { /* UNOPENED: the keeper refused the maildrop of that login */
	struct ipc_head head;
	uint64_t session, ticket;
};

/* front → keys */
struct ipc_sign { /* tail: what a handshake needs signed, TLS_CONTENT_MAX octets at most */
	struct ipc_head head;
	uint64_t session;
	uint64_t ticket; /* SIGNED carries it */
	uint32_t key;    /* of the certificate with this place in its set (IPC_KEY_SETS) */
	uint32_t scheme; /* see sys/tls_scheme.h */
};

/* keys → front */
struct ipc_signed { /* tail: the signature; empty: that key cannot make such a one */
	struct ipc_head head;
	uint64_t session, ticket;
};

/* auth → front */
struct ipc_offer { /* the mechanisms on offer; texts: mechanisms, mechanisms under TLS */
	struct ipc_head head;
	uint32_t apop, unused;
};
struct ipc_connected { /* text: APOP stamp, if any */
	struct ipc_head head;
	uint64_t session;
	uint32_t reason; /* not OK: refused */
	uint32_t unused;
};
struct ipc_challenge { /* text: base64 */
	struct ipc_head head;
	uint64_t session;
};
struct ipc_slow { /* the answer takes time: the login uses no credit any more */
	struct ipc_head head;
	uint64_t session;
	uint64_t ticket; /* of the login */
};
struct ipc_denied {
	struct ipc_head head;
	uint64_t session;
	uint64_t ticket; /* of the denied login */
	uint32_t reason;
	uint32_t delay; /* milliseconds before the front replies */
	uint32_t close; /* close the connection after the reply */
	uint32_t unused;
};
struct ipc_resolved { /* tail: uint64_t instances[parts]: the keepers that were sent RCPT_OPEN; a
			 keeper of several parts is listed once for each */
	struct ipc_head head;
	uint64_t session;
	uint32_t transaction, index;
	uint32_t parts, unused;
};

/* auth → keeper; OPEN_MIGRATES: a maildrop that moves here from another server: NOT_HERE if it has
 * not yet */
struct ipc_open { /* texts: user, home, label of the app password ("": another secret) */
	struct ipc_head head;
	uint64_t front, session; /* front: instance */
	uint64_t ticket;    /* made by the front, random: it proves that auth named the keeper that
			       sends it back */
	uint32_t no_delete; /* the keeper deletes nothing: the password may not */
	uint32_t root;      /* of home */
	uint32_t placed;    /* the user's entry says where the maildrop is */
	uint32_t login_delay; /* seconds until the user may log in again; OPENED carries it */
};
enum ipc_part {             /* of a mailbox that moves here from another server */
		PART_WHOLE, /* it is all of it */
		PART_HERE,
		PART_THERE,
		PART_COUNT
};
/* auth → connector; texts: user, label of the app password, the name at the other server ("": as
 * the section says), the secret for it ("": that of the section) */
struct ipc_open_remote {
	struct ipc_head head;
	uint64_t front, session, ticket; /* as in OPEN */
	uint32_t remote;                 /* the section's place in the configuration */
	uint32_t no_delete, login_delay; /* as in OPEN */
	uint32_t part;                   /* WHOLE, THERE: goes back in OPENED */
	uint32_t patient; /* [IN-USE] is tried again for a while: a copying gives way */
	uint32_t judge;   /* 1: the other server judges the secret: VERDICT says how, and the front
			     gets nothing before GO; 2: the same, and its words are logged */
};
/* connector → auth VERDICT: OK, or why not; auth → connector GO: OK: the front gets the maildrop;
 * keeper → auth NOT_HERE: the session is to be opened at a connector (reason 0), HERE: that of
 * OPEN_MIGRATES was opened, or refused, where the mail has moved to (reason 0) */
struct ipc_verdict {
	struct ipc_head head;
	uint64_t front, session, ticket;
	uint32_t reason;
	uint32_t login_delay; /* of GO */
	uint32_t part;        /* of NOT_HERE: HERE: some of it is here, and is open; of GO: as in
				 OPEN_REMOTE */
	uint32_t unused;
};
/* auth → keeper; text: home; best effort: a login will want the mail that is being copied there */
struct ipc_hurry {
	struct ipc_head head;
	uint32_t root, unused; /* of home */
};
/* auth → connector; texts: user, the name at the other server, address */
struct ipc_recipient_remote {
	struct ipc_head head;
	uint64_t front, session;
	uint32_t transaction, index;
	uint32_t remote, unused; /* the section's place in the configuration */
};
struct ipc_recipient_open { /* texts: user, home, address */
	struct ipc_head head;
	uint64_t front, session;
	uint32_t transaction, index;
	uint64_t quota_messages, quota_octets;
	uint32_t root, placed; /* as in OPEN */
};

/* keeper → front */
struct ipc_arena { /* fd: memory for bodies, see sys/arena.h */
	struct ipc_head head;
};
struct ipc_opened { /* fds: base, delta; text: user, for the front's log */
	struct ipc_head head;
	uint64_t session, ticket, delta_size, octets;
	uint32_t count;
	uint32_t login_delay; /* of OPEN */
	uint32_t remote;      /* on another server: sizes may be guesses, bodies come by STREAM, and
				 that server hears of each QUIT: COMMIT, though nothing is deleted */
	uint32_t part;        /* enum ipc_part: the session gets the other one as well */
};
struct ipc_open_failed {
	struct ipc_head head;
	uint64_t session, ticket;
	uint32_t reason, unused;
};
struct ipc_gone { /* GONE, unasked: the session is over; also the answer to each request of a
		     session that is over already */
	struct ipc_head head;
	uint64_t session;
	uint32_t reason, unused;
};
struct ipc_open_in_use { /* OPEN_FAILED of a maildrop in use, with what is known of its session */
	struct ipc_head head;
	uint64_t session, ticket;
	uint64_t since;      /* seconds of 1970 */
	uint64_t idle;       /* milliseconds */
	uint8_t address[16]; /* of its client, as in CONNECT */
};
struct ipc_body {
	uint64_t octets;
	uint32_t number, stored;
};
struct ipc_bodies { /* tail: count × struct ipc_body with ascending numbers, then, unless in_slot,
		       the octets in that order */
	struct ipc_head head;
	uint64_t session;
	uint32_t count;
	uint32_t in_slot; /* the octets are in the slot that FETCH named */
};
struct ipc_body_lent { /* BODY_LENT, fd: the message; BODY_SLICED, window 0: its octets come by
			  value, in the SLICEs that the front asks for */
	struct ipc_head head;
	uint64_t session, offset, stored, octets;
	uint64_t window; /* octets from offset that are in memory now */
	uint32_t number;
	uint16_t wire_form;
	uint16_t in_memory; /* its filesystem is memory: no reading of it waits for a disk */
};
struct ipc_body_failed {
	struct ipc_head head;
	uint64_t session;
	uint32_t number, reason;
};
struct ipc_slice { /* front → keeper READ_SLICE; keeper → front SLICE_READY, SLICE (tail: the
		      octets) */
	struct ipc_head head;
	uint64_t session, size;
	uint64_t offset; /* from the message's first octet */
	uint32_t number;
	uint32_t by_value; /* a SLICE is asked for; else the octets are to be read into memory */
};
struct ipc_body_stream { /* BODY_STREAM, connector → front: the message comes in STREAMs that the
			    front asks for, and has as many octets as they say */
	struct ipc_head head;
	uint64_t session;
	uint32_t number, unused;
};
/* front → connector READ_STREAM (last, size: 0); connector → front STREAM: at least one octet
 * unless it is the last */
struct ipc_stream {
	struct ipc_head head;
	uint64_t session;
	uint64_t offset; /* from the message's first octet */
	uint32_t number, last;
	uint32_t slot; /* of the arena, for the octets; STREAM: where they are, if it is what
			  READ_STREAM named; IPC_NO_SLOT: the tail has them */
	uint32_t size;
};
struct ipc_committed {
	struct ipc_head head;
	uint64_t session;
	uint32_t reason, unused; /* OK: all deletions are durable */
};

/* keeper (RCPT_REFUSED: auth as well) → LMTP front: RCPT_READY, RCPT_REFUSED, DELIVERED */
struct ipc_recipient_answer {
	struct ipc_head head;
	uint64_t session;
	uint32_t transaction, index;
	uint32_t reason;
	uint32_t on_demand; /* RCPT_READY of a keeper that was started on demand: 1; else 0 */
};

/* front → keeper */
struct ipc_fetch {
	struct ipc_head head;
	uint64_t session;
	uint32_t number, count; /* the first message; up to count - 1 of the next ones come with it,
				   if small */
	uint32_t slot; /* of the arena, for their octets; IPC_NO_SLOT: the packet carries them */
	uint32_t utf8; /* enum maildrop_utf8: what becomes of headers in UTF-8 */
	uint32_t top;  /* TOP; else RETR. A connector alone makes a difference */
	uint32_t unused;
	uint64_t lines; /* of TOP */
};
struct ipc_delete { /* tail: uint32_t numbers[count], ascending over all DELETEs of a session */
	struct ipc_head head;
	uint64_t session;
	uint32_t count, unused;
};
struct ipc_body_wrong { /* the message has other octets than announced: it is to be counted anew */
	struct ipc_head head;
	uint64_t session;
	uint32_t number, unused;
};
struct ipc_commit {
	struct ipc_head head;
	uint64_t session;
	uint32_t total, unused;
	uint8_t address[16]; /* of the client, for the journal of deletions */
};
/* The answer to HOLDER_ASK, which is a struct ipc_session: another login wants the maildrop of that
 * session. */
struct ipc_holder {
	struct ipc_head head;
	uint64_t session;
	uint64_t since;      /* seconds of 1970: the client connected */
	uint64_t idle;       /* milliseconds without a command or an acknowledged octet */
	uint8_t address[16]; /* of the client, as in CONNECT */
	uint32_t busy;       /* a command is being worked on */
	uint32_t unused;
};
struct ipc_deliver { /* fd: the message: a sealed memory file, or a file of the spool; tail:
			uint32_t indexes[count], then header lines */
	struct ipc_head head;
	uint64_t session, size;
	uint32_t transaction, count;
	uint32_t utf8, unused; /* the sender gave SMTPUTF8 */
};
struct ipc_transaction { /* FORGET */
	struct ipc_head head;
	uint64_t session;
	uint32_t transaction, unused;
};

/* monitor → lookup; fd: sealed memory file of secrets: name NUL value NUL … */
struct ipc_database {
	struct ipc_head head;
	uint64_t size;
	uint32_t index, unused; /* in the configuration */
};
/* monitor → connector; fd: sealed memory file of the passwords of sections: name NUL value NUL …;
 * monitor → auth: the same with their keys that seal passwords (learn) */
struct ipc_remotes {
	struct ipc_head head;
	uint64_t size;
};
/* auth → lookup; tail: count spellings of a name, each ended by NUL, best first */
struct ipc_find {
	struct ipc_head head;
	uint64_t id;       /* ANSWER carries it; never used again */
	uint32_t purpose;  /* enum lookup_purpose */
	uint32_t deadline; /* milliseconds */
	uint32_t count, unused;
};
struct ipc_verify { /* texts: name, secret */
	struct ipc_head head;
	uint64_t id;
	uint32_t kind, purpose; /* enum lookup_kind, enum lookup_purpose */
	uint32_t deadline, tls;
	uint8_t address[16]; /* of the client; all zero: none */
};
struct ipc_cancel { /* nobody waits for that answer any more */
	struct ipc_head head;
	uint64_t id;
};
struct ipc_note { /* text: a user who logged in on that day; no answer */
	struct ipc_head head;
	uint32_t day, unused; /* days since 1970 */
};
/* lookup → auth; tail: fields: name NUL value NUL … */
struct ipc_answer {
	struct ipc_head head;
	uint64_t id, expires; /* expires: seconds of 1970; 0: never */
	uint32_t status;      /* enum lookup_status */
	uint32_t matched;     /* which of the names of FIND */
	uint32_t ttl;         /* seconds; 0: the site's time */
	uint32_t unused;
};

/* auth → mta; text: the user. The login opens no maildrop and is over. */
struct ipc_granted {
	struct ipc_head head;
	uint64_t session;
	uint64_t ticket; /* of the login */
};
/* auth → keeper; texts: user, home */
struct ipc_usage {
	struct ipc_head head;
	uint64_t number; /* of the question, for the answer */
	uint64_t size;   /* octets that are to come */
	uint64_t quota_messages, quota_octets;
	uint32_t root, unused; /* of home */
};
/* keeper → auth: OK, over quota, or why that is not known */
struct ipc_usage_answer {
	struct ipc_head head;
	uint64_t number;
	uint32_t reason, unused;
};
/* auth → mta; text: the users that the address leads to, separated by ", ": as many as fit. The
 * question, WHOSE, is a recipient without a transaction. So is QUOTA, whether mail for the
 * recipient would be refused for a quota: its answer has an empty text. */
struct ipc_whose_answer {
	struct ipc_head head;
	uint64_t session;
	uint32_t reason, unused; /* OK: it has users */
};
/* monitor → mta: who is believed at a Unix socket */
struct ipc_uids {
	struct ipc_head head;
	uint32_t uids[IPC_UIDS_MAX];
	uint32_t count, unused;
};
/* to lookup, from `valija user list`, which plays auth; fd: where the names of all users go, each
 * ended by NUL. ANSWER, when all are written: FOUND without fields, or DOWN. */
struct ipc_list {
	struct ipc_head head;
	uint64_t id;
	uint32_t deadline, unused; /* milliseconds */
};
/* auth → logins; texts: user, label of the app password ("": another secret). No answer. */
struct ipc_logged_in {
	struct ipc_head head;
	uint32_t day; /* days since 1970 */
	uint32_t mta; /* at an MTA; 0: POP3 */
};

/* auth → logins; texts: the section that accepted the password, the user's name, what
 * seal_password made of it */
struct ipc_learned {
	struct ipc_head head;
};

/* control → auth; text: a user, an address or the id of a session ("": every session). The answer
 * is a page; the next question carries where it stopped. uid, gid: of the person, as the kernel
 * says; auth judges them. */
enum ipc_who_act { WHO_LIST, WHO_KICK, WHO_ACTS };
struct ipc_who {
	struct ipc_head head;
	uint64_t number;        /* of the question, for the answer */
	uint64_t front, cursor; /* 0: from the beginning */
	uint32_t uid, gid;
	uint32_t act, unused; /* KICK: the sessions that are listed are ended */
};
enum ipc_who_status { WHO_MORE, WHO_END, WHO_REFUSED, WHO_FAILED, WHO_STATUSES };
enum ipc_who_state { WHO_CONNECTED, WHO_LOGIN, WHO_MAIL, WHO_STATES };
/* A session in a page; its user's name follows, filled up with NUL to a multiple of 8 octets. */
struct ipc_who_row {
	uint64_t front, session;
	uint32_t since;     /* seconds of 1970: its login, before that its connection; 0: unknown */
	uint32_t name_size; /* 0: unknown, as before the login */
	uint8_t address[16];
	uint8_t tls, state; /* enum tls_protocol, enum ipc_who_state */
	char mechanism[22];
	uint64_t octets;   /* of messages that went out to RETR and TOP */
	uint32_t messages; /* that RETR asked for */
	uint32_t counted;  /* 1: both are known */
};
/* auth → control; tail: count sessions */
struct ipc_who_page {
	struct ipc_head head;
	uint64_t number;
	uint64_t front, cursor; /* where the next page begins, if status is MORE */
	uint32_t count, status; /* enum ipc_who_status */
};
/* auth → front: how much did these sessions send? tail: count numbers of sessions, 64 bits each.
 * front → auth: the answer; tail: count rows */
struct ipc_traffic {
	struct ipc_head head;
	uint64_t number; /* of the question */
	uint32_t count, unused;
};
struct ipc_traffic_row {
	uint64_t session, octets;
	uint32_t messages, unused;
};
/* control → auth: a person's command to forget what databases said about the name in the tail;
 * empty: about all */
struct ipc_flush {
	struct ipc_head head;
	uint64_t number; /* of the question, for the answer */
	uint32_t uid, gid;
};
/* auth → control */
struct ipc_flushed {
	struct ipc_head head;
	uint64_t number;
	uint32_t count;  /* entries that were forgotten */
	uint32_t status; /* enum ipc_who_status: END or REFUSED */
};
/* auth → keeper: an order of a person, for the other machines that serve the same maildrops (a
 * store with STORE_NODES). keeper → auth: that of another machine, where it was judged. text: KICK:
 * a user or a network; FLUSH: a name, "": all */
enum ipc_nodes_what { NODES_KICK, NODES_FLUSH, NODES_WHATS };
struct ipc_nodes {
	struct ipc_head head;
	uint64_t id; /* of the order, random: a machine with several keepers hears it from each */
	uint32_t what, uid; /* uid: of the person, at that machine */
};
/* monitor → auth, control: whose commands are obeyed */
struct ipc_control_peers {
	struct ipc_head head;
	uint32_t uids[IPC_UIDS_MAX];
	uint32_t count;
	uint32_t has_group, gid, unused; /* everybody whose group is gid */
};

/* Questions and orders of a person, for the process that knows or does it: docs/control.md. */
enum ipc_topic {
	/* of the monitor */
	TOPIC_RELOAD,
	TOPIC_LOG_LEVEL, /* text: the level; "": which one it is */
	TOPIC_DRAIN,
	TOPIC_LISTENERS,
	TOPIC_GENERATIONS,
	TOPIC_PROCESSES,
	/* of auth */
	TOPIC_COUNTS, /* connections of its generation */
	TOPIC_USERS,  /* that are logged in */
	TOPIC_DATABASES,
	/* of the monitor; numbers stay, since they cross an upgrade */
	TOPIC_UPGRADE,
	TOPIC_PROGRAM, /* the one that serves, and the last upgrade */
	TOPICS
};
/* control → monitor, auth; text: what it is about. With the person's connection to the monitor,
 * which looks up itself who that is; uid and gid are for auth. */
struct ipc_ask {
	struct ipc_head head;
	uint64_t number;    /* of the question; its answers carry it */
	uint64_t cursor[2]; /* 0: from the beginning; else as the last page had it */
	uint32_t topic, uid, gid, unused;
};
enum ipc_lines_status {
	LINES_MORE,
	LINES_END,
	LINES_REFUSED, /* that person is not obeyed */
	LINES_FAILED,  /* the lines are one, without its end: the reason */
	LINES_STATUSES
};
/* monitor, auth → control; tail: count lines as the person gets them, printable ASCII, TAB between
 * fields, LF at each end */
struct ipc_lines {
	struct ipc_head head;
	uint64_t number;
	uint64_t cursor[2];     /* where the next page begins, if status is MORE */
	uint32_t count, status; /* enum ipc_lines_status */
	uint32_t code, unused;  /* FAILED: of sysexits.h; 0: none */
};
/* monitor → children: another level than that of the configuration */
struct ipc_log_level {
	struct ipc_head head;
	uint32_t level, unused; /* enum log_level */
};

/* monitor → status, control; fd: the counters of a process of that role, for reading only. COUNTERS
 * has the same for the process itself, to write; SAMPLES: what status remembers of the last day. */
struct ipc_page {
	struct ipc_head head;
	uint32_t role, unused;
};

/* monitor → control. RING; fd: the recorder's ring of a process of that role, for reading only.
 * RING_WRITER: another process writes on in it. RECORDER has the ring for the process itself, to
 * write. */
enum { IPC_WRITERS = 4 };
struct ipc_ring {
	struct ipc_head head;
	uint64_t writers[IPC_WRITERS]; /* instances, the last first; 0: none */
	uint32_t role, id;
};

/*
 * control → monitor; text: why. A person adds, removes or lists bans; uid, gid: of that person, as
 * the kernel says; the monitor judges them. LIST: the network is where the last page ended.
 */
enum ipc_ban_act { BAN_LIST, BAN_ADD, BAN_REMOVE, BAN_ACTS };
struct ipc_ban {
	struct ipc_head head;
	uint64_t number; /* of the question, for the answer */
	uint32_t uid, gid;
	uint32_t act, seconds; /* enum ipc_ban_act; how long */
	uint8_t address[16];   /* of the network, IPv4 mapped */
	uint32_t bits;         /* of the address */
	uint32_t flags;        /* enum ipc_ban_flags */
};
enum ipc_ban_flags {
	BAN_FORCE = 1,  /* also a network that has loopback, or is very wide */
	BAN_BEGINS = 2, /* LIST: from the first one */
	BAN_FLAGS_ALL = 3,
};
enum ipc_ban_status {
	BAN_OK,        /* the list is as asked for, and written down */
	BAN_MORE,      /* LIST: another page follows */
	BAN_REFUSED,   /* the person may not */
	BAN_NOT_THERE, /* REMOVE: that network is not banned */
	BAN_FAILED,    /* words: why */
	BAN_STATUSES
};
/* NODES_BAN: a struct ipc_ban with ADD or REMOVE. monitor → keeper: for the other machines; keeper
 * → monitor: that of another one, where it was judged */
/* A ban in a page; its words follow, filled up with NUL to a multiple of 8 octets. */
struct ipc_ban_row {
	uint64_t until, since; /* seconds of 1970 */
	uint8_t address[16];
	uint32_t bits, by_uid;
	uint32_t why_size, unused;
};
/* monitor → control; tail: count bans */
struct ipc_ban_page {
	struct ipc_head head;
	uint64_t number;
	uint32_t count, status; /* enum ipc_ban_status */
	char words[256];        /* ended by NUL */
};
/* monitor → POP3 fronts, mta; fd: sealed rows (server/ban_table.h), none if count is 0 */
struct ipc_bans {
	struct ipc_head head;
	uint32_t count, unused;
};

/* The recent failures of an address (IPv6: its /64), or of a wider network of IPv6: see
 * server/auth/limits.h. */
enum { IPC_PENALTY_NAMED = 1 }; /* in the place of octets: loopback, as a proxy named it */
struct ipc_penalty {
	uint8_t address[16]; /* IPv4 mapped; of a wider network: its first octets */
	uint64_t last;       /* when: milliseconds, monotonic; in a PENALTY_PAGE: how long ago */
	uint32_t failures, given_up;
	uint32_t octets; /* of a wider network: 6 or 7; 0: an address; or IPC_PENALTY_NAMED */
	uint32_t delay;  /* PENALTY_PAGE: milliseconds that the next failure waits */
};
/* auth → monitor → auth of the next generation, or the next one of this; fd: sealed memory file of
 * count × struct ipc_penalty */
struct ipc_penalties {
	struct ipc_head head;
	uint32_t count, unused;
};
/* control → auth; uid, gid: as in WHO */
struct ipc_penalty_ask {
	struct ipc_head head;
	uint64_t number; /* of the question, for the answer */
	uint64_t cursor; /* 0: from the beginning */
	uint32_t uid, gid;
};
/* auth → control; tail: count × struct ipc_penalty, of addresses alone */
struct ipc_penalty_page {
	struct ipc_head head;
	uint64_t number;
	uint64_t cursor;        /* where the next page begins, if status is MORE */
	uint32_t count, status; /* enum ipc_who_status */
};

/* control → auth; text: a user. The fronts of auth trace the user's sessions for so long, if uid
 * is root's; 0: no more. TRACED answers it; TRACE_USER goes to the fronts (text: canonical). */
enum { IPC_TRACE_SECONDS_MAX = 86400 };
struct ipc_trace {
	struct ipc_head head;
	uint64_t number; /* of the question, for the answer */
	uint64_t id;     /* of the trace: no other one has it */
	uint32_t uid, seconds;
};
struct ipc_traced {
	struct ipc_head head;
	uint64_t number;
	uint32_t status, unused; /* enum ipc_who_status */
};
struct ipc_trace_user {
	struct ipc_head head;
	uint64_t id;
	uint32_t seconds, unused;
};

/*
 * X(name, number, struct, from, to, least descriptors, most descriptors, longest tail, texts in the
 * tail, secret, judge)
 *
 * from, to: sets of roles. secret: wiped by the receiver after use. judge: the function of
 * messages.c that checks the ranges of the fields, and a tail that is not text.
 */
#define IPC_MESSAGES(X)                                                                            \
	X(CONFIG, 1, ipc_config, IPC_M, IPC_CHILDREN, 1, 1, 0, 0, 0, judge_config)                 \
	X(DIRECTORY, 2, ipc_directory, IPC_M, IPC_A | IPC_K | IPC_W | IPC_N, 1, 1, IPC_TEXT_MAX,   \
	  1, 0, judge_directory)                                                                   \
	X(LISTENER, 3, ipc_listener, IPC_M, IPC_F | IPC_L | IPC_T | IPC_C | IPC_P, 1, 1, 0, 0, 0,  \
	  judge_listener)                                                                          \
	X(CERTIFICATES, 4, ipc_certificates, IPC_M, IPC_F | IPC_S, 1, 1, 0, 0, 0, judge_any)       \
	X(TICKET_KEYS, 5, ipc_ticket_keys, IPC_M, IPC_F, 0, 0, 0, 0, 1, judge_any)                 \
	X(PEER, 6, ipc_peer, IPC_M, IPC_CHILDREN, 1, 1, 0, 0, 0, judge_peer)                       \
	X(START, 7, ipc_empty, IPC_M, IPC_CHILDREN, 0, 0, 0, 0, 0, judge_any)                      \
	X(DRAIN, 8, ipc_drain, IPC_M, IPC_CHILDREN, 0, 0, 0, 0, 0, judge_drain)                    \
	X(KEEPER_REFUSED, 9, ipc_owner, IPC_M, IPC_A, 0, 0, 0, 0, 0, judge_owner)                  \
	X(READY, 10, ipc_empty, IPC_CHILDREN, IPC_M, 0, 0, 0, 0, 0, judge_any)                     \
	X(FAILED, 11, ipc_failed, IPC_CHILDREN, IPC_M, 0, 0, IPC_TEXT_MAX, 1, 0, judge_failed)     \
	X(PEER_LOST, 12, ipc_instance, IPC_A | IPC_KEEPS | IPC_S, IPC_M, 0, 0, 0, 0, 0, judge_any) \
	X(KEEPER_WANTED, 13, ipc_owner, IPC_A, IPC_M, 0, 0, IPC_TEXT_MAX, 1, 0, judge_owner)       \
	X(CONNECT, 14, ipc_connect, IPC_F | IPC_T, IPC_A, 0, 0, 0, 0, 0, judge_connect)            \
	X(BINDINGS, 15, ipc_bindings, IPC_F, IPC_A, 0, 0, 0, 0, 0, judge_bindings)                 \
	X(DISCONNECT, 16, ipc_session, IPC_F | IPC_T, IPC_A, 0, 0, 0, 0, 0, judge_any)             \
	X(PASS, 17, ipc_credentials, IPC_F, IPC_A, 0, 0, IPC_TEXT_MAX, 2, 1, judge_credentials)    \
	X(APOP, 18, ipc_credentials, IPC_F, IPC_A, 0, 0, IPC_TEXT_MAX, 2, 1, judge_credentials)    \
	X(SASL_START, 19, ipc_credentials, IPC_F | IPC_T, IPC_A, 0, 0, IPC_SASL_MAX + 64, 2, 1,    \
	  judge_credentials)                                                                       \
	X(SASL_RESPONSE, 20, ipc_credentials, IPC_F | IPC_T, IPC_A, 0, 0, IPC_SASL_MAX, 2, 1,      \
	  judge_credentials)                                                                       \
	X(SASL_CANCEL, 21, ipc_session, IPC_F, IPC_A, 0, 0, 0, 0, 0, judge_any)                    \
	X(RCPT, 22, ipc_recipient, IPC_L, IPC_A, 0, 0, IPC_TEXT_MAX, 1, 0, judge_any)              \
	X(KEEPER_GONE, 23, ipc_empty, IPC_A, IPC_L, 0, 0, 0, 0, 0, judge_any)                      \
	X(OFFER, 24, ipc_offer, IPC_A, IPC_F | IPC_T, 0, 0, 2 * IPC_TEXT_MAX, 2, 0, judge_offer)   \
	X(CONNECTED, 25, ipc_connected, IPC_A, IPC_F | IPC_T, 0, 0, IPC_TEXT_MAX, 1, 0,            \
	  judge_connected)                                                                         \
	X(CHALLENGE, 26, ipc_challenge, IPC_A, IPC_F | IPC_T, 0, 0, IPC_SASL_MAX, 1, 0, judge_any) \
	X(DENIED, 27, ipc_denied, IPC_A, IPC_F | IPC_T, 0, 0, 0, 0, 0, judge_denied)               \
	X(RESOLVED, 28, ipc_resolved, IPC_A, IPC_L, 0, 0, 8 * IPC_PARTS_MAX, 0, 0, judge_resolved) \
	X(RCPT_REFUSED, 29, ipc_recipient_answer, IPC_A | IPC_KEEPS, IPC_L, 0, 0, 0, 0, 0,         \
	  judge_refused)                                                                           \
	X(OPEN, 30, ipc_open, IPC_A, IPC_K, 0, 0, 2 * IPC_TEXT_MAX + IPC_LABEL_MAX, 3, 0,          \
	  judge_open)                                                                              \
	X(RCPT_OPEN, 31, ipc_recipient_open, IPC_A, IPC_K, 0, 0, 3 * IPC_TEXT_MAX, 3, 0,           \
	  judge_recipient_open)                                                                    \
	X(ARENA, 32, ipc_arena, IPC_KEEPS, IPC_F, 1, 1, 0, 0, 0, judge_any)                        \
	X(OPENED, 33, ipc_opened, IPC_KEEPS, IPC_F, 2, 2, IPC_TEXT_MAX, 1, 0, judge_opened)        \
	X(OPEN_FAILED, 34, ipc_open_failed, IPC_KEEPS, IPC_F, 0, 0, 0, 0, 0, judge_open_failed)    \
	X(BODIES, 35, ipc_bodies, IPC_K, IPC_F, 0, 0,                                              \
	  IPC_BATCH_MAX + IPC_BODIES_MAX * sizeof(struct ipc_body), 0, 0, judge_bodies)            \
	X(BODY_LENT, 36, ipc_body_lent, IPC_K, IPC_F, 1, 1, 0, 0, 0, judge_body_lent)              \
	X(BODY_FAILED, 37, ipc_body_failed, IPC_KEEPS, IPC_F, 0, 0, 0, 0, 0, judge_body_failed)    \
	X(SLICE_READY, 38, ipc_slice, IPC_K, IPC_F, 0, 0, 0, 0, 0, judge_slice)                    \
	X(COMMITTED, 39, ipc_committed, IPC_KEEPS, IPC_F, 0, 0, 0, 0, 0, judge_committed)          \
	X(RCPT_READY, 40, ipc_recipient_answer, IPC_KEEPS, IPC_L, 0, 0, 0, 0, 0, judge_ready)      \
	X(DELIVERED, 41, ipc_recipient_answer, IPC_KEEPS, IPC_L, 0, 0, 0, 0, 0, judge_delivered)   \
	X(FETCH, 42, ipc_fetch, IPC_F, IPC_KEEPS, 0, 0, 0, 0, 0, judge_fetch)                      \
	X(READ_SLICE, 43, ipc_slice, IPC_F, IPC_K, 0, 0, 0, 0, 0, judge_slice)                     \
	X(DELETE, 44, ipc_delete, IPC_F, IPC_KEEPS, 0, 0, 4 * IPC_NUMBERS_MAX, 0, 0, judge_delete) \
	X(COMMIT, 45, ipc_commit, IPC_F, IPC_KEEPS, 0, 0, 0, 0, 0, judge_any)                      \
	X(INDEX_WRONG, 46, ipc_session, IPC_F, IPC_KEEPS, 0, 0, 0, 0, 0, judge_any)                \
	X(CLOSE, 47, ipc_session, IPC_F, IPC_KEEPS, 0, 0, 0, 0, 0, judge_any)                      \
	X(DELIVER, 48, ipc_deliver, IPC_L, IPC_KEEPS, 1, 1,                                        \
	  4 * IPC_RECIPIENTS_MAX + IPC_HEADERS_MAX, 0, 0, judge_deliver)                           \
	X(FORGET, 49, ipc_transaction, IPC_L, IPC_KEEPS, 0, 0, 0, 0, 0, judge_any)                 \
	X(LISTENER_DEAD, 50, ipc_empty, IPC_F | IPC_L | IPC_T | IPC_C | IPC_P, IPC_M, 0, 0, 0, 0,  \
	  0, judge_any)                                                                            \
	X(KEYS, 55, ipc_certificates, IPC_M, IPC_S, 1, 1, 0, 0, 0, judge_any)                      \
	X(SIGN, 56, ipc_sign, IPC_F, IPC_S, 0, 0, TLS_CONTENT_MAX, 0, 0, judge_sign)               \
	X(SIGNED, 57, ipc_signed, IPC_S, IPC_F, 0, 0, TLS_SIGNATURE_MAX, 0, 0, judge_any)          \
	X(OWNER, 60, ipc_owner, IPC_M, IPC_K, 0, 0, IPC_TEXT_MAX, 1, 0, judge_owner)               \
	X(LEAVE, 61, ipc_leave, IPC_M | IPC_A | IPC_K, IPC_M | IPC_F | IPC_L | IPC_A | IPC_K, 0,   \
	  0, 0, 0, 0, judge_any)                                                                   \
	X(PING, 62, ipc_empty, IPC_M, IPC_CHILDREN, 0, 0, 0, 0, 0, judge_any)                      \
	X(PONG, 63, ipc_pong, IPC_CHILDREN, IPC_M, 0, 0, 0, 0, 0, judge_any)                       \
	X(PEER_DEAD, 64, ipc_instance, IPC_M, IPC_CHILDREN, 0, 0, 0, 0, 0, judge_any)              \
	X(SLOW, 65, ipc_slow, IPC_A, IPC_F | IPC_T, 0, 0, 0, 0, 0, judge_any)                      \
	X(BODY_SLICED, 70, ipc_body_lent, IPC_K, IPC_F, 0, 0, 0, 0, 0, judge_body_sliced)          \
	X(SLICE, 71, ipc_slice, IPC_K, IPC_F, 0, 0, IPC_BATCH_MAX, 0, 0, judge_slice_value)        \
	X(BODY_WRONG, 72, ipc_body_wrong, IPC_F, IPC_K, 0, 0, 0, 0, 0, judge_body_wrong)           \
	X(LOCATION, 75, ipc_location, IPC_K, IPC_M, 0, 0, IPC_TEXT_MAX, 1, 0, judge_location)      \
	X(LOCATION_ANSWER, 76, ipc_location_answer, IPC_M, IPC_K, 0, 0, IPC_TEXT_MAX, 1, 0,        \
	  judge_location_answer)                                                                   \
	X(SPOOL_WANTED, 200, ipc_empty, IPC_L, IPC_M, 0, 0, 0, 0, 0, judge_any)                    \
	X(SPOOL_FILE, 201, ipc_empty, IPC_M, IPC_L, 2, 2, 0, 0, 0, judge_any)                      \
	X(SPOOL_NONE, 202, ipc_empty, IPC_M, IPC_L, 0, 0, 0, 0, 0, judge_any)                      \
	X(ROOT_AWAY, 210, ipc_root, IPC_M, IPC_K, 0, 0, 0, 0, 0, judge_root)                       \
	X(DATABASE, 220, ipc_database, IPC_M, IPC_D, 1, 1, 0, 0, 0, judge_database)                \
	X(FIND, 221, ipc_find, IPC_A, IPC_D, 0, 0, IPC_LOOKUP_NAMES_MAX * 256, 0, 0, judge_find)   \
	X(VERIFY, 222, ipc_verify, IPC_A, IPC_D, 0, 0, IPC_LOOKUP_SECRET_MAX + 255, 2, 1,          \
	  judge_verify)                                                                            \
	X(CANCEL, 223, ipc_cancel, IPC_A, IPC_D, 0, 0, 0, 0, 0, judge_any)                         \
	X(NOTE, 224, ipc_note, IPC_A, IPC_D, 0, 0, IPC_TEXT_MAX, 1, 0, judge_any)                  \
	X(ANSWER, 225, ipc_answer, IPC_D, IPC_A, 0, 0, IPC_ANSWER_MAX, 0, 1, judge_answer)         \
	X(GRANTED, 230, ipc_granted, IPC_A, IPC_T, 0, 0, IPC_TEXT_MAX, 1, 0, judge_any)            \
	X(PEER_UIDS, 231, ipc_uids, IPC_M, IPC_T, 0, 0, 0, 0, 0, judge_uids)                       \
	X(WHOSE, 232, ipc_recipient, IPC_T, IPC_A, 0, 0, IPC_TEXT_MAX, 1, 0, judge_any)            \
	X(WHOSE_ANSWER, 233, ipc_whose_answer, IPC_A, IPC_T, 0, 0, IPC_SASL_MAX, 1, 0,             \
	  judge_whose)                                                                             \
	X(WHO, 240, ipc_who, IPC_C, IPC_A, 0, 0, IPC_TEXT_MAX, 1, 0, judge_who)                    \
	X(WHO_PAGE, 241, ipc_who_page, IPC_A, IPC_C, 0, 0, IPC_BATCH_MAX, 0, 0, judge_who_page)    \
	X(KICK, 242, ipc_session, IPC_A, IPC_F, 0, 0, 0, 0, 0, judge_any)                          \
	X(CONTROL_PEERS, 243, ipc_control_peers, IPC_M, IPC_A | IPC_C, 0, 0, 0, 0, 0,              \
	  judge_control_peers)                                                                     \
	X(FLUSH, 244, ipc_flush, IPC_C, IPC_A, 0, 0, IPC_TEXT_MAX, 1, 0, judge_any)                \
	X(FLUSHED, 245, ipc_flushed, IPC_A, IPC_C, 0, 0, 0, 0, 0, judge_flushed)                   \
	X(DRAINS, 246, ipc_empty, IPC_CHILDREN, IPC_M, 0, 0, 0, 0, 0, judge_any)                   \
	X(COUNTERS, 260, ipc_empty, IPC_M, IPC_CHILDREN, 1, 1, 0, 0, 0, judge_any)                 \
	X(PAGE, 261, ipc_page, IPC_M, IPC_P | IPC_C, 1, 1, 0, 0, 0, judge_page)                    \
	X(SAMPLES, 262, ipc_empty, IPC_M, IPC_P, 1, 1, 0, 0, 0, judge_any)                         \
	X(STATE_FOLDER, 263, ipc_root_fd, IPC_M, IPC_K, 1, 1, 0, 0, 0, judge_root_fd)              \
	X(LOCKER, 264, ipc_root_fd, IPC_M, IPC_K, 1, 1, 0, 0, 0, judge_root_fd)                    \
	X(LOCK, 265, ipc_lock, IPC_K, IPC_N, 0, 0, IPC_TEXT_MAX, 2, 0, judge_lock)                 \
	X(LOCK_ANSWER, 266, ipc_lock_answer, IPC_N, IPC_K, 0, 0, 0, 0, 0, judge_any)               \
	X(LOGGED_IN, 270, ipc_logged_in, IPC_A, IPC_W, 0, 0, IPC_TEXT_MAX + IPC_LABEL_MAX, 2, 0,   \
	  judge_logged_in)                                                                         \
	X(LIST, 271, ipc_list, IPC_A, IPC_D, 1, 1, 0, 0, 0, judge_list)                            \
	X(UNOPENED, 272, ipc_unopened, IPC_F, IPC_A, 0, 0, 0, 0, 0, judge_any)                     \
	X(QUOTA, 275, ipc_recipient, IPC_T, IPC_A, 0, 0, IPC_TEXT_MAX, 1, 0, judge_any)            \
	X(USAGE, 276, ipc_usage, IPC_A, IPC_K, 0, 0, 2 * IPC_TEXT_MAX, 2, 0, judge_usage)          \
	X(USAGE_ANSWER, 277, ipc_usage_answer, IPC_K, IPC_A, 0, 0, 0, 0, 0, judge_usage_answer)    \
	X(GONE, 280, ipc_gone, IPC_KEEPS, IPC_F, 0, 0, 0, 0, 0, judge_gone)                        \
	X(HOLDER_ASK, 281, ipc_session, IPC_K, IPC_F, 0, 0, 0, 0, 0, judge_any)                    \
	X(HOLDER, 282, ipc_holder, IPC_F, IPC_K, 0, 0, 0, 0, 0, judge_holder)                      \
	X(OPEN_IN_USE, 283, ipc_open_in_use, IPC_K, IPC_F, 0, 0, 0, 0, 0, judge_any)               \
	X(TAKE, 284, ipc_take, IPC_K | IPC_M, IPC_M | IPC_K, 0, 0, IPC_TEXT_MAX, 1, 0, judge_take) \
	X(TAKEN, 285, ipc_taken, IPC_K | IPC_M, IPC_M | IPC_K, 0, 0, 0, 0, 0, judge_taken)         \
	X(ASK, 300, ipc_ask, IPC_C, IPC_M | IPC_A, 0, 1, IPC_TEXT_MAX, 1, 0, judge_ask)            \
	X(LINES, 301, ipc_lines, IPC_M | IPC_A, IPC_C, 0, 0, IPC_BATCH_MAX, 0, 0, judge_lines)     \
	X(LOG_LEVEL, 302, ipc_log_level, IPC_M, IPC_CHILDREN, 0, 0, 0, 0, 0, judge_log_level)      \
	X(STOP_ACCEPTING, 303, ipc_empty, IPC_M, IPC_F | IPC_L, 0, 0, 0, 0, 0, judge_any)          \
	X(TRAFFIC, 304, ipc_traffic, IPC_A, IPC_F, 0, 0, 8 * IPC_TRAFFIC_MAX, 0, 0, judge_traffic) \
	X(TRAFFIC_ANSWER, 305, ipc_traffic, IPC_F, IPC_A, 0, 0,                                    \
	  IPC_TRAFFIC_MAX * sizeof(struct ipc_traffic_row), 0, 0, judge_traffic_answer)            \
	X(RECORDER, 320, ipc_empty, IPC_M, IPC_CHILDREN, 1, 1, 0, 0, 0, judge_any)                 \
	X(RING, 321, ipc_ring, IPC_M, IPC_C, 1, 1, 0, 0, 0, judge_ring)                            \
	X(RING_WRITER, 322, ipc_ring, IPC_M, IPC_C, 0, 0, 0, 0, 0, judge_ring)                     \
	X(TRACE, 323, ipc_trace, IPC_C, IPC_A, 0, 0, IPC_TEXT_MAX, 1, 0, judge_trace)              \
	X(TRACED, 324, ipc_traced, IPC_A, IPC_C, 0, 0, 0, 0, 0, judge_traced)                      \
	X(TRACE_USER, 325, ipc_trace_user, IPC_A, IPC_F, 0, 0, IPC_TEXT_MAX, 1, 0,                 \
	  judge_trace_user)                                                                        \
	X(BAN, 360, ipc_ban, IPC_C, IPC_M, 0, 0, IPC_BAN_WHY_MAX, 1, 0, judge_ban)                 \
	X(BAN_PAGE, 361, ipc_ban_page, IPC_M, IPC_C, 0, 0,                                         \
	  IPC_BAN_ROWS_MAX *(sizeof(struct ipc_ban_row) + IPC_BAN_WHY_MAX), 0, 0, judge_ban_page)  \
	X(BANS, 362, ipc_bans, IPC_M, IPC_F | IPC_T, 0, 1, 0, 0, 0, judge_bans)                    \
	X(PENALTIES, 363, ipc_penalties, IPC_A | IPC_M, IPC_M | IPC_A, 1, 1, 0, 0, 0,              \
	  judge_penalties)                                                                         \
	X(PENALTY_ASK, 364, ipc_penalty_ask, IPC_C, IPC_A, 0, 0, 0, 0, 0, judge_any)               \
	X(PENALTY_PAGE, 365, ipc_penalty_page, IPC_A, IPC_C, 0, 0,                                 \
	  IPC_PENALTY_ROWS_MAX * sizeof(struct ipc_penalty), 0, 0, judge_penalty_page)             \
	X(JUDGED, 400, ipc_judged, IPC_S, IPC_M, 0, 0, IPC_TEXT_MAX, 1, 0, judge_judged)           \
	X(CERTIFIED, 401, ipc_session, IPC_F, IPC_A, 0, 0, IPC_TEXT_MAX, 1, 0, judge_any)          \
	X(REMOTES, 420, ipc_remotes, IPC_M, IPC_A | IPC_R, 1, 1, 0, 0, 0, judge_remotes)           \
	X(OPEN_REMOTE, 421, ipc_open_remote, IPC_A, IPC_R, 0, 0,                                   \
	  2 * IPC_TEXT_MAX + IPC_LABEL_MAX + IPC_REMOTE_SECRET_MAX, 4, 1, judge_open_remote)       \
	X(VERDICT, 422, ipc_verdict, IPC_R, IPC_A, 0, 0, 0, 0, 0, judge_verdict)                   \
	X(GO, 423, ipc_verdict, IPC_A, IPC_R, 0, 0, 0, 0, 0, judge_verdict)                        \
	X(BODY_STREAM, 424, ipc_body_stream, IPC_R, IPC_F, 0, 0, 0, 0, 0, judge_body_stream)       \
	X(READ_STREAM, 425, ipc_stream, IPC_F, IPC_R, 0, 0, 0, 0, 0, judge_read_stream)            \
	X(STREAM, 426, ipc_stream, IPC_R, IPC_F, 0, 0, IPC_BATCH_MAX, 0, 0, judge_stream)          \
	X(OPEN_MIGRATES, 427, ipc_open, IPC_A, IPC_K, 0, 0, 2 * IPC_TEXT_MAX + IPC_LABEL_MAX, 3,   \
	  0, judge_open)                                                                           \
	X(NOT_HERE, 428, ipc_verdict, IPC_K, IPC_A, 0, 0, 0, 0, 0, judge_verdict)                  \
	X(RCPT_REMOTE, 429, ipc_recipient_remote, IPC_A, IPC_R, 0, 0, 3 * IPC_TEXT_MAX, 3, 0,      \
	  judge_recipient_remote)                                                                  \
	X(HERE, 430, ipc_verdict, IPC_K, IPC_A, 0, 0, 0, 0, 0, judge_verdict)                      \
	X(LEARNED, 431, ipc_learned, IPC_A, IPC_W, 0, 0,                                           \
	  IPC_TEXT_MAX + IPC_SECTION_MAX + IPC_SEALED, 3, 0, judge_learned)                        \
	X(HURRY, 432, ipc_hurry, IPC_A, IPC_K, 0, 0, IPC_TEXT_MAX, 1, 0, judge_hurry)              \
	X(GUARD, 440, ipc_guard, IPC_K, IPC_M, 0, 0, 2 * IPC_TEXT_MAX, 2, 0, judge_guard)          \
	X(NODES, 460, ipc_nodes, IPC_A | IPC_K, IPC_K | IPC_A, 0, 0, IPC_TEXT_MAX, 1, 0,           \
	  judge_nodes)                                                                             \
	X(NODES_BAN, 461, ipc_ban, IPC_M | IPC_K, IPC_K | IPC_M, 0, 0, IPC_BAN_WHY_MAX, 1, 0,      \
	  judge_nodes_ban)

enum ipc_type {
	IPC_NONE,
#define X(name, number, ...) IPC_##name = (number),
	IPC_MESSAGES(X)
#undef X
		IPC_END /* above every number */
};

/* The octets that a name takes behind its row of a page. */
static inline uint32_t ipc_who_name_room(uint32_t size)
{
	return (size + 7) & ~7u;
}

const char *ipc_name(uint32_t type);
const char *ipc_role_name(enum ipc_role role);

/*
 * Returns the type of a packet that is one whole message of its row, sent by role from to role to,
 * with every field in its range; else IPC_NONE and the reason. data must be aligned for uint64_t
 * (chan aligns it).
 */
enum ipc_type ipc_check(const void *data, size_t size, unsigned fd_count, enum ipc_role from,
			enum ipc_role to, const char **ret_why);

/* Whether a message of type answer can answer a request of type asked. Both come from ipc_check, or
 * are IPC_NONE (no request: no answer fits). */
bool ipc_answers(enum ipc_type answer, enum ipc_type asked);

/* The size of the message at the front of a packet that may hold several; the next one follows it.
 * Returns size when there is no other, or when the boundary cannot be found. */
size_t ipc_first(const void *data, size_t size);
/* The octets of that message itself, where ipc_first found another behind it. */
size_t ipc_size(const void *data);

/* The tail of a checked message. */
const char *ipc_tail(const void *message);
/* Text n (from 0) of a checked message; it lives as long as the message. */
pop3_span ipc_text(const void *message, unsigned n);
/* The texts of a tail in which each is ended by NUL: the first; the next one, NULL after the last.
 */
const char *ipc_strings(const void *message);
const char *ipc_next_string(const void *message, const char *string);
/* Overwrites a checked message whose row is secret (credentials, keys); leaves others. */
void ipc_wipe(const void *message);

/*
 * Fills in the head of message (a struct of its row) and sends it, with a tail of up to three parts
 * (the texts, where the row has texts) and descriptors, which stay the caller's. Returns 0, or -1:
 * the channel is broken or its queue is full (nothing was sent).
 */
int ipc_send_all(struct chan *chan, enum ipc_type type, void *message, const pop3_span *parts,
		 unsigned part_count, const int *fds, unsigned fd_count);
/* The same: with nothing behind message; with texts; with descriptors. */
int ipc_send(struct chan *chan, enum ipc_type type, void *message);
int ipc_send_texts(struct chan *chan, enum ipc_type type, void *message, const pop3_span *texts,
		   unsigned count);
int ipc_send_fds(struct chan *chan, enum ipc_type type, void *message, const int *fds,
		 unsigned count);
/* The same over the socket of a channel that is on no loop, by a thread that waits: see chan_ask.h.
 * 0, or -1 with errno. */
int ipc_ask_texts(int fd, enum ipc_type type, void *message, const pop3_span *texts,
		  unsigned count);
/* The same for a message that may wait until the end of the turn: see chan_post. */
int ipc_post(struct chan *chan, enum ipc_type type, void *message);
int ipc_post_texts(struct chan *chan, enum ipc_type type, void *message, const pop3_span *texts,
		   unsigned count);

#endif
