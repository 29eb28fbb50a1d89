/* The part that the files of auth share: the root struct, and a connection at a front as auth knows
 * it. On auth's loop; a job in a worker has a copy of what it needs. */
#ifndef SERVER_AUTH_SESSION_H
#define SERVER_AUTH_SESSION_H

#include "server/auth/databases.h"
#include "server/auth/homes.h"
#include "server/auth/last_login.h"
#include "server/auth/learn.h"
#include "server/auth/limits.h"
#include "server/auth/login_delays.h"
#include "server/auth/nodes.h"
#include "server/auth/proven.h"
#include "server/auth/queue.h"
#include "server/auth/who.h"
#include "server/child.h"
#include "sys/tls_session.h"
#include "sys/workers.h"
#include "users/login.h"

struct auth;
struct auth_session;

enum auth_waiting_kind {
	WAITING_LOGIN,
	WAITING_RECIPIENT,
	WAITING_USAGE,
	WAITING_HURRY,
	WAITING_KINDS
};

/* A login or a recipient that waits for the owner of its mail to be known (homes.h), or for a
 * keeper of that owner; embedded first in what wake gets, owns and frees. */
struct auth_waiting {
	struct auth_waiting *next;
	void (*wake)(struct auth *auth, struct auth_waiting *waiting, bool refused);
	uint64_t deadline; /* 0: not set yet */
	uint64_t key;      /* a uid, or that of homes_owner */
	enum auth_waiting_kind kind;
};

struct recipients;

enum { AUTH_JUDGED = 1024 };

struct auth {
	struct child *child;
	struct limits limits;
	struct users *users;
	struct app_passwords *apps;
	struct login_service *service;
	struct recipients *recipients;
	struct usages *usages; /* questions about quotas */
	struct databases *databases;
	struct workers *workers; /* for password hashes */
	struct queue queue;      /* of logins that wait for one of them */
	struct proven *proven;
	struct recent *delays; /* NULL: a user may log in again at once */
	struct last_login_notes last_logins;
	struct learning *learning;                   /* NULL: no passwords are learned */
	struct homes *homes;                         /* NULL: all processes share one uid */
	struct auth_waiting *waiting, *last_waiting; /* in order of arrival */
	uint32_t waiting_count[WAITING_KINDS];
	uint64_t waiting_until;   /* the first deadline of them */
	struct loop_timer expiry; /* at that; set while there is one */
	int users_fd, aliases_fd, mail_fds[CONFIG_ROOTS_MAX];
	char mechanisms[CONFIG_NAME_MAX], mechanisms_tls[CONFIG_NAME_MAX]; /* the last offer */
	bool apop;
	uint64_t most_connections; /* of one front */
	struct loop_timer tick;    /* renews the offer, forgets old failures */
	uint32_t ticks;
	int learn_fd; /* keys that seal passwords, before the start; -1: none */
	uint64_t learn_size;
	int early_fd;                     /* penalties that came before the start; -1: none */
	struct ipc_penalties early;       /* their message */
	uint64_t penalties_sent;          /* limits.changes when the monitor got them last */
	struct ipc_control_peers control; /* whose commands are obeyed */
	struct whos whos;
	struct nodes nodes;
	uint32_t held;                /* exchanges that wait for the end of a delay */
	uint16_t judged[AUTH_JUDGED]; /* by other servers now: logins of networks with that hash */
};

struct auth_held;

/* A login whose keeper may answer NOT_HERE: what is needed to open the maildrop there. */
struct auth_moving {
	struct user user;              /* remote_section: where */
	char label[APP_LABEL_MAX + 1]; /* of the app password; "": another secret */
	bool no_delete;
	bool judged; /* by the other server, which has it open: */
	uint64_t
		connector; /* the instance that waits for GO; 0: it is gone, or it was not judged */
};

/* A connection at a front. */
struct auth_session {
	struct table_node node; /* key: the front's session number */
	struct peer *front;
	struct limit_address *address;
	struct limit_user *user;
	struct login *login;           /* an attempt under way */
	struct login_job *job;         /* the job of that attempt in a worker */
	struct login_ask *ask;         /* its question to databases */
	struct ipc_bindings *bindings; /* NULL: the front sent none */
	char *certified;               /* the name in its certificate; NULL: the front sent none */
	char *stamp;                   /* for APOP; NULL: none, or used */
	uint8_t ip[16];
	bool loopback, granted;
	bool slow;         /* the front knows that this attempt takes time */
	bool attempted;    /* there was an attempt: */
	uint8_t mechanism; /* of this attempt, counters_mechanism */
	uint8_t tls;       /* of this attempt, as its front claims: enum tls_protocol */
	uint8_t listener;  /* its place in the configuration */
	uint32_t since;    /* its login or connection, seconds of 1970; 0: unknown */
	uint32_t failures;
	uint32_t given_up;            /* logins, after they had cost work */
	uint64_t hold_until;          /* the next SASL exchange begins no earlier; milliseconds */
	struct auth_held *held;       /* that exchange */
	uint64_t keeper;              /* instance that was sent OPEN, 0: none */
	struct remote_access *access; /* a token that it waits for; NULL: none */
	struct auth_moving *moving;   /* for NOT_HERE; NULL: its mail does not move here */
	uint64_t judging;  /* of the connector whose VERDICT the attempt waits for, 0: none */
	uint64_t asked_at; /* counters_clock: its last credentials */
	uint64_t ticket;   /* of the attempt under way; made by the front */
};

/* The mechanism of the last attempt. "": there was none. */
const char *auth_mechanism_name(const struct auth_session *session);
/* Denies the attempt under way; the front waits for delay milliseconds before it replies. */
void auth_deny(struct auth_session *session, enum reason reason, uint32_t delay);
/* The attempt under way takes time: the front gets its credit back, once an attempt. */
void auth_slow(struct auth_session *session);
/* Ends the session's grant and its count; the client may log in again. */
void auth_logout(struct auth_session *session);
/* The login that was granted opened no maildrop: it does not count for LOGIN-DELAY. */
void auth_unopened(struct auth_session *session);
/* Logins that other servers judge now, of the client's network, or another one with that hash. */
uint16_t *auth_judged(const struct auth_session *session);
/* What a connector has open for the session, and keeps until GO comes, is closed. */
void auth_close_there(const struct auth_session *session, uint64_t connector);
/* No keeper is asked any more whether the mail is here; what is open at the other server is closed.
 */
void auth_moving_over(struct auth_session *session);
/* Another server's verdict is not waited for any more. */
void auth_judging_over(struct auth_session *session);
/* Makes a stamp for APOP (RFC 1939 section 7), good for one attempt. */
void auth_new_stamp(struct auth *auth, struct auth_session *session);

#endif
