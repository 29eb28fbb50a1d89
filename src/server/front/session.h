/*
 * The dialogue with a client: octets from the connection go into libpop3's machine, its events to
 * login.c or mailbox.c, its replies out as the socket takes them. Runs in the front; every octet is
 * hostile.
 */
#ifndef SERVER_FRONT_SESSION_H
#define SERVER_FRONT_SESSION_H

#include "server/front/activity.h"
#include "server/front/ending.h"
#include "server/front/login.h"
#include "server/front/mailbox.h"
#include "server/front/root.h"

enum session_stage {
	STAGE_CONNECTING, /* auth has not answered yet whether this connection is welcome */
	STAGE_LOGIN,      /* AUTHORIZATION */
	STAGE_MAIL,       /* TRANSACTION: there is a mailbox */
	STAGE_CLOSING,    /* after QUIT, the maildrop is closed: the last reply goes out */
};

struct session {
	struct client client;
	struct pop3_server pop3;
	struct front *front;
	struct loop_deadline trim; /* logged in: memory that can be given back */
	uint64_t progress;         /* octets out when the write deadline was set */
	struct activity activity;
	struct login_state login;
	struct signing_user signing;
	struct mailbox *mailbox; /* NULL: not in STAGE_MAIL */
	struct part *joining;    /* join.c's; NULL: no part waits for another */
	struct ending ending;
	struct trace *trace; /* NULL: nobody follows it */
	uint8_t address[16];
	uint16_t port;
	uint8_t stage, service; /* enum config_service */
	bool loopback;
	bool quiet;        /* it is a proxy's own: no line unless it logs in */
	bool listed;       /* credentials in clear text are allowed to its network here */
	uint8_t listener;  /* its place in the configuration */
	uint8_t tls_min;   /* enum tls_minimum */
	uint8_t outer_tls; /* enum tls_protocol, between client and proxy, if that counts */
	bool tls_asked;
	bool handshake;   /* is under way */
	bool asked_again; /* auth refused the connection once */
};

/* The TLS of the client: with the proxy in front, if that says so, else with us. */
static inline enum tls_protocol session_tls(const struct session *session)
{
	if (session->outer_tls)
		return (enum tls_protocol)session->outer_tls;
	return tls_session_protocol(conn_tls(&session->client.conn));
}

/* The name in the client's certificate, if it has one that may log in. */
static inline bool session_certified(const struct session *session, char *buf, size_t size)
{
	return session->front->takes_certificates &&
	       tls_session_client(conn_tls(&session->client.conn),
				  session->front->frame.child->config->client_email, buf, size);
}

/* The words of a reason in the language that the client has asked for. */
static inline const char *session_words(const struct session *session, enum reason reason)
{
	return reason_words(reason, pop3_server_language(&session->pop3));
}

/* "-ERR" with the text of reason, to the command that waits for its reply. For the files of this
 * room. */
static inline void session_refuse(struct session *session, enum reason reason)
{
	pop3_server_reply_err(&session->pop3, reason_row(reason)->code,
			      session_words(session, reason));
	conn_wake(&session->client.conn);
}

/* The functions of front_service. */
void session_start(struct front_frame *frame, int *fd, const struct accepted *from);
void session_end_idle(struct front_frame *frame, struct client *client);
bool session_may_give_way(const struct client *client);
void session_give_way(struct client *client);
/* An operator ends it. A QUIT that is under way is finished and answered first; what else the
 * client has marked is not deleted. */
void session_kick(struct session *session);
/* For struct loop_deadlines, of which session.c renews those of writing and trimming. */
void session_expired(struct loop_deadlines *deadlines, struct loop_deadline *deadline);
void session_write_expired(struct loop_deadlines *deadlines, struct loop_deadline *deadline);
void session_trim_expired(struct loop_deadlines *deadlines, struct loop_deadline *deadline);

/* Session number of the front; NULL: it has ended. */
struct session *session_find(const struct front *front, uint64_t number);
/* auth's answer to the connection: the greeting, with an APOP stamp if there is one, or the reason
 * why it is refused. */
void session_greet(struct session *session, enum reason reason, pop3_span stamp);

#endif
