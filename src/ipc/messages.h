/*
 * Everything that one process of valijad ever says to another, in one table: IPC_MESSAGES. A
 * message is a fixed struct, a bounded tail of octets and some descriptors. ipc_check refuses what
 * does not fit its row, so handlers see only whole messages from a role that may send them; what
 * the fields say is still to be judged by the handler. A packet without descriptors may hold
 * several messages, each but the last ending at a multiple of 8 octets.
 *
 * Names: session numbers are made by a front, 64-bit, never reused, and mean something only
 * together with the channel's instance (given by the monitor, never reused either). Texts in the
 * tail stand in the order of their _size fields.
 */
#ifndef IPC_MESSAGES_H
#define IPC_MESSAGES_H

#include "sys/chan.h"

#include <pop3/server.h>

#include <stdbool.h>
#include <stdint.h>

enum ipc_role {
	ROLE_MONITOR,
	ROLE_FRONT, /* POP3 */
	ROLE_LMTP,  /* the front of LMTP */
	ROLE_AUTH,
	ROLE_KEEPER,
	ROLE_COUNT
};

#define FROM(role) (1u << ROLE_##role)
#define IPC_TEXT_MAX 512
#define IPC_SASL_MAX 16384
#define IPC_BATCH_MAX 65536 /* octets of bodies in one packet */
#define IPC_NO_SLOT UINT32_MAX
#define IPC_NUMBERS_MAX 8192    /* message numbers in one DELETE */
#define IPC_RECIPIENTS_MAX 1024 /* of one DELIVER */
#define IPC_HEADERS_MAX 4096
#define IPC_KEEPER_CREDITS 512 /* requests a front may have unanswered at one keeper */
#define IPC_AUTH_CREDITS 1024  /* at auth */

struct ipc_head {
	uint32_t type; /* enum ipc_type */
	uint32_t tail; /* octets behind the struct */
};

/* monitor → child, at start in this order; PEER also later, when a peer was started anew */
struct ipc_config { /* fd: the sealed struct config */
	struct ipc_head head;
	uint64_t instance;
	uint32_t role, index, uid, gid;
	uint32_t change_ids; /* drop to uid, gid (the monitor is root) */
	uint32_t generation;
};
enum ipc_directory_kind { DIRECTORY_USERS, DIRECTORY_MAIL, DIRECTORY_ALIASES };
struct ipc_directory { /* fd: O_PATH directory; tail: file name in it, if any */
	struct ipc_head head;
	uint32_t kind, mode;
};
struct ipc_listener { /* fd: a listening socket */
	struct ipc_head head;
	uint32_t service; /* enum config_service */
	uint32_t tail_is_path;
};
struct ipc_certificates { /* fd: sealed memory file of PEM texts: see server/certificates.h */
	struct ipc_head head;
	uint64_t size;
};
struct ipc_ticket_keys {
	struct ipc_head head;
	uint8_t keys[3][80];
};
struct ipc_peer { /* fd: a channel to a process of that role */
	struct ipc_head head;
	uint64_t instance;
	uint32_t role, index, uid, group_size; /* group_size: how many keepers serve that uid */
};
struct ipc_simple { /* START, DRAIN, READY, FAILED, PEER_LOST, KEEPER_GONE,
			LISTENER_DEAD */
	struct ipc_head head;
	uint64_t value; /* DRAIN: milliseconds; PEER_LOST: its instance */
	uint32_t stop;  /* DRAIN: valijad ends; sessions that wait for a command need not be waited
			   for */
	uint32_t unused;
};
struct ipc_owner { /* KEEPER_WANTED, KEEPER_REFUSED */
	struct ipc_head head;
	uint32_t uid, gid;
};

/* front → auth */
struct ipc_connect {
	struct ipc_head head;
	uint64_t session;
	uint8_t address[16]; /* IPv4 mapped; all zero: a Unix socket */
	uint16_t port;
	uint8_t loopback,
		resumed; /* resumed: told to a new auth; not counted against limits, not answered */
	uint32_t service;
};
struct ipc_bindings { /* what binds a login to its TLS connection; only SCRAM asks (RFC 5802) */
	struct ipc_head head;
	uint64_t session;
	uint32_t exporter_size, end_point_size;
	uint8_t exporter[64], end_point[64];
};
struct ipc_session { /* DISCONNECT, SASL_CANCEL, CLOSE, INDEX_WRONG: the lent index is damaged */
	struct ipc_head head;
	uint64_t session;
};
struct ipc_credentials { /* PASS, APOP, SASL_START (user is the mechanism), SASL_RESPONSE; tail:
			    user, secret */
	struct ipc_head head;
	uint64_t session;
	uint32_t user_size, secret_size;
	uint32_t has_secret, tls;
};
struct ipc_recipient { /* RCPT; tail: address */
	struct ipc_head head;
	uint64_t session;
	uint32_t transaction, index;
};

/* auth → front */
struct ipc_offer { /* what users can use; tail: mechanisms, mechanisms under TLS */
	struct ipc_head head;
	uint32_t mechanisms_size, mechanisms_tls_size;
	uint32_t apop, unused;
};
struct ipc_answer { /* CONNECTED (tail: stamp, or why not), CHALLENGE (base64), DENIED, OPEN_FAILED,
		       COMMITTED (text) */
	struct ipc_head head;
	uint64_t session;
	uint32_t code;  /* enum pop3_code; CONNECTED: 1 = refused; COMMITTED: 0 = done */
	uint32_t delay; /* DENIED: milliseconds to wait before it is said */
	uint32_t close; /* DENIED: close after it */
	uint32_t unused;
};
struct ipc_recipient_answer { /* RCPT_REFUSED, RCPT_READY, DELIVERED; tail: text */
	struct ipc_head head;
	uint64_t session;
	uint32_t transaction, index;
	uint16_t code; /* 250, 452, 550 … */
	uint16_t enhanced[3];
	uint32_t parts; /* an alias leads to so many maildrops; each answers for itself */
	uint32_t unused;
};

/* auth → keeper */
struct ipc_open { /* tail: user, home */
	struct ipc_head head;
	uint64_t front, session; /* front: instance */
	uint32_t user_size, home_size;
};
struct ipc_recipient_open { /* tail: user, home, address */
	struct ipc_head head;
	uint64_t front, session;
	uint32_t transaction, index;
	uint64_t quota_messages, quota_octets;
	uint32_t user_size, home_size, address_size;
	uint32_t parts; /* maildrops that this recipient leads to */
};

/* keeper → front */
struct ipc_arena { /* fd: memory for bodies, see sys/arena.h */
	struct ipc_head head;
};
struct ipc_opened { /* fds: base, delta */
	struct ipc_head head;
	uint64_t session, delta_size, octets;
	uint32_t count, unused;
};
struct ipc_body {
	uint64_t octets;
	uint32_t number, stored;
};
struct ipc_bodies { /* tail: count × struct ipc_body, then, unless in_slot, the octets in that order
		     */
	struct ipc_head head;
	uint64_t session;
	uint32_t count;
	uint32_t in_slot; /* the octets are in the slot that FETCH named */
};
struct ipc_body_lent { /* fd: the message */
	struct ipc_head head;
	uint64_t session, offset, stored, octets;
	uint64_t window; /* octets from offset that are in memory now */
	uint32_t number, wire_form;
};
struct ipc_body_failed { /* tail: text */
	struct ipc_head head;
	uint64_t session;
	uint32_t number, code;
};
struct ipc_slice { /* front → keeper READ_SLICE, keeper → front SLICE_READY */
	struct ipc_head head;
	uint64_t session, offset, size;
	uint32_t number, unused;
};

/* front → keeper */
struct ipc_fetch {
	struct ipc_head head;
	uint64_t session;
	uint32_t number, count; /* this one, and up to count - 1 following ones if they are small */
	uint32_t slot; /* of the arena, for their octets; IPC_NO_SLOT: they come in the packet */
	uint32_t unused;
};
struct ipc_delete { /* tail: uint32_t numbers, ascending over all DELETEs of a session */
	struct ipc_head head;
	uint64_t session;
	uint32_t count, unused;
};
struct ipc_commit {
	struct ipc_head head;
	uint64_t session;
	uint32_t total, unused;
};
struct ipc_deliver { /* fd: sealed memory file with the message; tail: uint32_t indexes[count], then
			header lines */
	struct ipc_head head;
	uint64_t session, size;
	uint32_t transaction, count;
	uint32_t headers_size, unused;
};
struct ipc_transaction { /* FORGET */
	struct ipc_head head;
	uint64_t session;
	uint32_t transaction, unused;
};

/* X(name, struct, who may send it, who may get it, least descriptors, most descriptors, longest
 * tail) */
#define IPC_MESSAGES(X)                                                                           \
	X(CONFIG, ipc_config, FROM(MONITOR), ~0u, 1, 1, 0)                                        \
	X(DIRECTORY, ipc_directory, FROM(MONITOR), FROM(AUTH) | FROM(KEEPER), 1, 1, IPC_TEXT_MAX) \
	X(LISTENER, ipc_listener, FROM(MONITOR), FROM(FRONT) | FROM(LMTP), 1, 1, 0)               \
	X(CERTIFICATES, ipc_certificates, FROM(MONITOR), FROM(FRONT), 1, 1, 0)                    \
	X(TICKET_KEYS, ipc_ticket_keys, FROM(MONITOR), FROM(FRONT), 0, 0, 0)                      \
	X(PEER, ipc_peer, FROM(MONITOR), ~FROM(MONITOR), 1, 1, 0)                                 \
	X(START, ipc_simple, FROM(MONITOR), ~FROM(MONITOR), 0, 0, 0)                              \
	X(DRAIN, ipc_simple, FROM(MONITOR), ~FROM(MONITOR), 0, 0, 0)                              \
	X(KEEPER_REFUSED, ipc_owner, FROM(MONITOR), FROM(AUTH), 0, 0, 0)                          \
	X(READY, ipc_simple, ~FROM(MONITOR), FROM(MONITOR), 0, 0, 0)                              \
	X(FAILED, ipc_simple, ~FROM(MONITOR), FROM(MONITOR), 0, 0, IPC_TEXT_MAX)                  \
	X(PEER_LOST, ipc_simple, FROM(AUTH) | FROM(KEEPER), FROM(MONITOR), 0, 0, 0)               \
	X(KEEPER_WANTED, ipc_owner, FROM(AUTH), FROM(MONITOR), 0, 0, 0)                           \
	X(CONNECT, ipc_connect, FROM(FRONT) | FROM(LMTP), FROM(AUTH), 0, 0, 0)                    \
	X(BINDINGS, ipc_bindings, FROM(FRONT), FROM(AUTH), 0, 0, 0)                               \
	X(DISCONNECT, ipc_session, FROM(FRONT) | FROM(LMTP), FROM(AUTH), 0, 0, 0)                 \
	X(PASS, ipc_credentials, FROM(FRONT), FROM(AUTH), 0, 0, IPC_TEXT_MAX)                     \
	X(APOP, ipc_credentials, FROM(FRONT), FROM(AUTH), 0, 0, IPC_TEXT_MAX)                     \
	X(SASL_START, ipc_credentials, FROM(FRONT), FROM(AUTH), 0, 0, IPC_SASL_MAX + 64)          \
	X(SASL_RESPONSE, ipc_credentials, FROM(FRONT), FROM(AUTH), 0, 0, IPC_SASL_MAX)            \
	X(SASL_CANCEL, ipc_session, FROM(FRONT), FROM(AUTH), 0, 0, 0)                             \
	X(RCPT, ipc_recipient, FROM(LMTP), FROM(AUTH), 0, 0, IPC_TEXT_MAX)                        \
	X(KEEPER_GONE, ipc_simple, FROM(AUTH), FROM(LMTP), 0, 0, 0)                               \
	X(OFFER, ipc_offer, FROM(AUTH), FROM(FRONT), 0, 0, 2 * IPC_TEXT_MAX)                      \
	X(CONNECTED, ipc_answer, FROM(AUTH), FROM(FRONT) | FROM(LMTP), 0, 0, IPC_TEXT_MAX)        \
	X(CHALLENGE, ipc_answer, FROM(AUTH), FROM(FRONT), 0, 0, IPC_SASL_MAX)                     \
	X(DENIED, ipc_answer, FROM(AUTH), FROM(FRONT), 0, 0, IPC_TEXT_MAX)                        \
	X(RCPT_REFUSED, ipc_recipient_answer, FROM(AUTH) | FROM(KEEPER), FROM(LMTP), 0, 0,        \
	  IPC_TEXT_MAX)                                                                           \
	X(OPEN, ipc_open, FROM(AUTH), FROM(KEEPER), 0, 0, 2 * IPC_TEXT_MAX)                       \
	X(RCPT_OPEN, ipc_recipient_open, FROM(AUTH), FROM(KEEPER), 0, 0, 3 * IPC_TEXT_MAX)        \
	X(ARENA, ipc_arena, FROM(KEEPER), FROM(FRONT), 1, 1, 0)                                   \
	X(OPENED, ipc_opened, FROM(KEEPER), FROM(FRONT), 2, 2, 0)                                 \
	X(OPEN_FAILED, ipc_answer, FROM(KEEPER), FROM(FRONT), 0, 0, IPC_TEXT_MAX)                 \
	X(BODIES, ipc_bodies, FROM(KEEPER), FROM(FRONT), 0, 0, IPC_BATCH_MAX + 8192)              \
	X(BODY_LENT, ipc_body_lent, FROM(KEEPER), FROM(FRONT), 1, 1, 0)                           \
	X(BODY_FAILED, ipc_body_failed, FROM(KEEPER), FROM(FRONT), 0, 0, IPC_TEXT_MAX)            \
	X(SLICE_READY, ipc_slice, FROM(KEEPER), FROM(FRONT), 0, 0, 0)                             \
	X(COMMITTED, ipc_answer, FROM(KEEPER), FROM(FRONT), 0, 0, IPC_TEXT_MAX)                   \
	X(RCPT_READY, ipc_recipient_answer, FROM(KEEPER), FROM(LMTP), 0, 0, 0)                    \
	X(DELIVERED, ipc_recipient_answer, FROM(KEEPER), FROM(LMTP), 0, 0, IPC_TEXT_MAX)          \
	X(FETCH, ipc_fetch, FROM(FRONT), FROM(KEEPER), 0, 0, 0)                                   \
	X(READ_SLICE, ipc_slice, FROM(FRONT), FROM(KEEPER), 0, 0, 0)                              \
	X(DELETE, ipc_delete, FROM(FRONT), FROM(KEEPER), 0, 0, 4 * IPC_NUMBERS_MAX)               \
	X(COMMIT, ipc_commit, FROM(FRONT), FROM(KEEPER), 0, 0, 0)                                 \
	X(INDEX_WRONG, ipc_session, FROM(FRONT), FROM(KEEPER), 0, 0, 0)                           \
	X(CLOSE, ipc_session, FROM(FRONT), FROM(KEEPER), 0, 0, 0)                                 \
	X(DELIVER, ipc_deliver, FROM(LMTP), FROM(KEEPER), 1, 1,                                   \
	  4 * IPC_RECIPIENTS_MAX + IPC_HEADERS_MAX)                                               \
	X(FORGET, ipc_transaction, FROM(LMTP), FROM(KEEPER), 0, 0, 0)                             \
	X(LISTENER_DEAD, ipc_simple, FROM(FRONT) | FROM(LMTP), FROM(MONITOR), 0, 0, 0)

enum ipc_type {
	IPC_NONE,
#define X(name, ...) IPC_##name,
	IPC_MESSAGES(X)
#undef X
		IPC_COUNT
};

const char *ipc_name(uint32_t type);
const char *ipc_role_name(enum ipc_role role);

/*
 * Whether a packet is a whole message of its row, sent by role from to role to. Returns its type,
 * or IPC_NONE and the reason. data must be aligned for uint64_t (chan does so).
 */
enum ipc_type ipc_check(const void *data, size_t size, unsigned fd_count, enum ipc_role from,
			enum ipc_role to, const char **ret_why);

/* The size of the message at the front of a packet that may hold several; what follows is another,
 * to be looked at in the same way. size where there is no other, or where it cannot be told. */
size_t ipc_first(const void *data, size_t size);

/* The tail of a checked message. */
const char *ipc_tail(const void *message);

/*
 * Fills in the head of message (a struct of its row) and sends it with a tail of up to three
 * pieces. Returns 0, or -1: the channel is broken or its queue is full (nothing was sent).
 * Descriptors stay the caller's.
 */
int ipc_send(struct chan *chan, enum ipc_type type, void *message, const struct iovec *tail,
	     unsigned tail_count, const int *fds, unsigned fd_count);
/* The same without a tail, for what need not go at once: see chan_post. */
int ipc_post(struct chan *chan, enum ipc_type type, void *message);

#endif
