/*
 * The front for LMTP, inside. lmtp_front.c: process, listeners, peers; lmtp_session.c: the
 * dialogue; lmtp_letter.c: recipients and the message on its way to keepers. A process of its own,
 * so that a broken POP3 front sees no incoming mail. Unprivileged, without files; everything from
 * clients is hostile.
 */
#ifndef SERVER_LMTP_LMTP_H
#define SERVER_LMTP_LMTP_H

#include "lmtp/lmtp.h"
#include "server/front_frame.h"

#define LMTP_KEEPERS_MAX 64

struct lmtp_front;

struct lmtp_front {
	struct front_frame frame; /* first: frame_root */
	struct peer *auth;
	struct peer *keepers[LMTP_KEEPERS_MAX]; /* slots; NULL: none */
	uint64_t spooled, spool_max;            /* octets of messages in memory now */
	struct loop_deadlines idle;
	struct lmtp_server_settings settings;
	char scratch[CONN_SCRATCH];
};

/* A maildrop that a recipient leads to. auth names its keeper (RESOLVED), which then answers RCPT
 * and DELIVER once each. */
enum lmtp_part_state { PART_ASKED, PART_READY, PART_DONE };
struct lmtp_part {
	uint8_t slot; /* of the keeper */
	uint8_t state;
};

/* A recipient: one address, one or more parts. */
struct lmtp_recipient {
	uint32_t serial;       /* of the session: its name towards auth and keepers */
	uint32_t first, parts; /* in the session's parts */
	uint32_t ready, done;
	enum reason reason; /* the worst so far */
	bool answered;
};

/* An answer of a keeper that came before auth's RESOLVED: channels are not in step. */
struct lmtp_early {
	uint8_t slot;
	uint32_t reason;
};

struct lmtp_session {
	struct client client;
	struct lmtp_server lmtp;
	struct lmtp_front *front;
	struct lmtp_recipient *recipients; /* accepted, then the one that is being asked about */
	struct lmtp_outcome *outcomes;
	struct lmtp_part *parts;  /* of all recipients */
	struct lmtp_early *early; /* for the RCPT that is under way */
	uint32_t count, room, serials, transaction;
	uint32_t part_count, early_count;
	uint64_t keepers; /* that have something of this transaction */
	uint64_t size;    /* octets in the memory file */
	int letter_fd;    /* -1: none */
	bool asking;      /* a RCPT is under way */
	bool resolved;    /* … and auth has named its keepers */
	bool delivering;
	char sender[LMTP_ADDRESS_MAX + 1];
	bool utf8;
	char peer_address[64]; /* "": a Unix socket */
};

extern const struct child_role lmtp_role;

/* lmtp_session.c */
/* front_service.connected */
void lmtp_session_start(struct front_frame *frame, int *fd, const struct accepted *from);
/* Session number of the front; NULL: it has ended. */
struct lmtp_session *lmtp_session_find(const struct lmtp_front *front, uint64_t number);

/* lmtp_letter.c */
void letter_begin(struct lmtp_session *session, const struct lmtp_event *event);
void letter_recipient(struct lmtp_session *session, const struct lmtp_event *event);
void letter_data(struct lmtp_session *session);
void letter_content(struct lmtp_session *session, pop3_span text);
void letter_send(struct lmtp_session *session);
void letter_forget(struct lmtp_session *session);
void letter_message(struct lmtp_front *front, struct peer *peer, enum ipc_type type,
		    const void *message);
void letter_keeper_gone(struct lmtp_session *session, unsigned slot);
void letter_unanswered(struct lmtp_session *session);

#endif
