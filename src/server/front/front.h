/*
 * A POP3 front, inside: root struct, sessions, and what its files share. front.c: process,
 * listeners, peers; front_session.c: the dialogue with a client; front_login.c: with auth;
 * front_mail.c: with keepers. Unprivileged, without files; reads the network: everything from
 * clients is hostile, and what keepers lend is checked too.
 */
#ifndef SERVER_FRONT_FRONT_H
#define SERVER_FRONT_FRONT_H

#include "maildrop/index/view.h"
#include "server/front_frame.h"
#include "sys/arena.h"

#include <pop3/server.h>

struct session;

/* The front's side of a channel to auth or a keeper: sessions that wait for a credit, sessions that
 * depend on it. */
struct link {
	struct peer *peer;
	struct session *waiting, **waiting_tail;
	struct session *sessions; /* keepers: those whose maildrop it holds */
	struct arena *arena;      /* keepers: where small messages come; NULL: in packets */
	unsigned unanswered;
};

struct front {
	struct front_frame frame; /* first: frame_root */
	struct tls_server *tls;
	struct link *auth; /* NULL: being restarted */
	struct loop_deadlines handshake, login, idle, write, spare;
	struct loop_deadlines grace; /* valijad ends: for a session that waits for a command */
	struct pop3_server_settings strict,
		open; /* open: credentials in clear text are allowed (loopback) */
	char mechanisms[CONFIG_NAME_MAX], mechanisms_strict[CONFIG_NAME_MAX],
		mechanisms_tls[CONFIG_NAME_MAX];
	bool apop;
	char scratch[CONN_SCRATCH];
	uint32_t numbers[IPC_NUMBERS_MAX];
	uint64_t tickets[32]; /* random, not given to a login yet */
	unsigned ticket_count;
};

/* Bodies that the keeper gave by value, ahead of the question. */
struct batch {
	uint32_t count, next; /* next: index of the first one not asked for yet */
	uint32_t offset;      /* of that one's octets */
	const char *octets;
	struct arena_lease lease; /* where they are; none: behind bodies */
	struct ipc_body bodies[];
};

/* An opened maildrop. */
struct mail {
	int base_fd, delta_fd;
	uint64_t delta_size, octets;
	uint32_t count;
	uint32_t last;  /* the last message asked for: reading ahead pays when they come in order */
	uint32_t ahead; /* how many to ask for at once */
	struct index_view *view; /* NULL: not looked at yet, or put away while idle */
	struct batch *batch, *next_batch;
	struct arena_lease lease;    /* for the one that was asked for */
	struct pop3_event held;      /* waits for what is coming ahead; NONE: nothing does */
	uint32_t not_ahead;          /* asked for ahead already */
	uint32_t asked, asked_count; /* the FETCH that is unanswered: number, most messages */
	bool coming;                 /* a batch nobody has asked for yet */
	uint8_t *marks;
	/* the listing or the message that is going out */
	uint32_t listing_next;
	bool listing_uidl;
	uint64_t body_offset, body_left,
		body_window; /* in the lent file: window: up to here it is in memory */
	uint64_t file_size;  /* of a slice that goes out by sendfile */
	uint64_t slice_size; /* of the READ_SLICE that is unanswered, at body_offset */
	const char *body;    /* by value */
	int body_fd;
	uint32_t body_number;
	bool body_wire_form, body_lines, slice_asked; /* body_lines: TOP, not all of it */
};

enum session_stage {
	STAGE_NEW,   /* auth has not said yet whether this connection is welcome */
	STAGE_LOGIN, /* AUTHORIZATION */
	STAGE_MAIL,  /* TRANSACTION */
};

struct session {
	struct client client;
	struct pop3_server pop3;
	struct front *front;
	struct loop_deadline spare; /* logged in: memory that can be given back */
	uint64_t progress;          /* octets out when the write deadline was set */
	struct link *link;          /* the keeper that holds the maildrop */
	struct session *next, **at; /* in link->sessions */
	struct session *next_waiting;
	struct pop3_event *parked; /* an event that waits for a credit */
	struct delayed *delayed;   /* a denial that waits */
	char *challenge;           /* on its way out */
	struct mail *mail;
	uint8_t address[16];
	uint8_t stage;
	uint16_t port;
	bool loopback;
	bool known; /* auth was told of it */
	bool tls_asked;
	uint8_t asked_auth, asked_keeper; /* enum ipc_type of the request that is unanswered: one
					     at each; IPC_NONE: none, and no credit is used */
	uint64_t ticket;                  /* of the login that was sent last: see struct ipc_open */
};

extern const struct child_role front_role;

/* front_session.c */
/* front_service.connected */
void session_start(struct front_frame *frame, int *fd, const struct accepted *from);
/* Session number of the front; NULL: it has ended. */
struct session *session_find(const struct front *front, uint64_t number);
void session_greet(struct session *session, enum reason reason, pop3_span stamp);
void session_wake(struct session *session);
void session_abort(struct session *session);
bool session_idle(const struct session *session);

/* front_login.c */
void login_event(struct session *session, const struct pop3_event *event);
void login_send(struct session *session, const struct pop3_event *event);
void login_message(struct link *auth, enum ipc_type type, const void *message);
void login_connect(struct session *session);
void login_gone(struct session *session);      /* the connection is over */
void login_auth_lost(struct session *session); /* auth died */
void login_credit_back(struct session *session);
void login_forget(struct session *session); /* what a SASL exchange needed */
void login_resume(struct session *session); /* tells a new auth of a session that it never saw */

/* front_mail.c */
void mail_message(struct link *keeper, enum ipc_type type, const void *message, int *fds);
void mail_event(struct session *session, const struct pop3_event *event);
void mail_go_on(struct session *session, const struct pop3_event *event); /* a credit is free */
size_t mail_lines(struct session *session, char *out, size_t cap);
void mail_close(struct session *session); /* frees everything, tells the keeper */
void mail_give_back(struct session *session);
struct chan *mail_channel(const struct session *session);
void mail_fail(struct session *session, enum reason reason);
/* A request that will be answered: takes a credit. */
bool mail_ask(struct session *session, enum ipc_type type, void *message);

/* front_body.c */
void body_event(struct session *session, const struct pop3_event *event); /* RETR, TOP */
void body_hold(struct session *session, const struct pop3_event *event);
/* Whether an answer is about what was asked. */
bool body_fits(const struct session *session, enum ipc_type type, const void *message);
void body_message(struct session *session, enum ipc_type type, const void *message, int *fds);
void body_ask_slice(struct session *session);
size_t mail_body(struct session *session, char *out, size_t cap);
void mail_file_sent(struct session *session, bool failed);
void body_give_back(struct mail *mail); /* memory that an idle session can do without */
void body_forget(struct mail *mail);

/* front_link.c */
void link_wait(struct link *link, struct session *session, const struct pop3_event *event);
void link_leave(struct link *link, struct session *session);
void link_credit(struct link *link); /* one is free: the next that waits goes on */

#endif
