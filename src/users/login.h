/*
 * One login attempt, with whatever mechanism: PASS, APOP and every SASL mechanism come out as the
 * same verdict. Runs in auth's worker threads: login_step may block for as long as a hash takes;
 * one attempt is in one thread at a time.
 *
 * Verified passwords are remembered as digests under a key of this process, bound to user and
 * stored entry, until the entry changes, so that the next login with it costs microseconds
 * (thread-safe, bounded). login_step_fast answers such a login, cheap PLAIN-scheme ones and SCRAM
 * with keys that need not be derived, on the loop without a worker.
 *
 * Nothing but the right secret shows whether a name has an entry, in which scheme, and whether it
 * can be served: all others get the same words after the same work.
 */
#ifndef USERS_LOGIN_H
#define USERS_LOGIN_H

#include "users/app_password.h"
#include "users/directory.h"
#include "users/users.h"

enum login_verdict {
	LOGIN_MORE,      /* challenge is to be sent */
	LOGIN_GRANTED,   /* user is proven; user holds the entry */
	LOGIN_DENIED,    /* wrong credentials, unknown user, nologin: [AUTH], the same words */
	LOGIN_TEMP,      /* the database is down, or the secret is right and the entry cannot be
			    served: [SYS/TEMP] */
	LOGIN_PERM,      /* the mechanism cannot be used: [SYS/PERM] */
	LOGIN_UNSERVED,  /* the secret is right, the mail is on another server: [SYS/PERM] */
	LOGIN_ELSEWHERE, /* the server that has the user's mail is to judge login_password() */
	LOGIN_SLOW,      /* login_step_fast only: needs a worker */
	LOGIN_ASK,       /* a database has to be asked: see login_question */
};

/* The front's statements about the connection. */
struct login_channel {
	bool tls;
	bool loopback;
	pop3_span exporter;  /* tls-exporter (RFC 9266) data, TLS 1.3; empty: none */
	pop3_span network;   /* of the client, at most 16 octets; empty: many clients share it */
	pop3_span stamp;     /* APOP */
	pop3_span certified; /* the name in the client's certificate; empty: none */
};

struct login_service; /* shared by all attempts: users, cache, gsasl context */
struct login;

struct login_settings {
	const char *host_name;  /* SASL, realm of CRAM-MD5 */
	const char *mechanisms; /* allowed: "SCRAM-SHA-256-PLUS SCRAM-SHA-256 … PLAIN LOGIN" */
	uint32_t cache_entries; /* remembered digests, 0: none */
	uint32_t cache_seconds;
	const struct config *config; /* whose databases have users, too; NULL: none. Borrowed */
	bool keys_with_databases;    /* mechanisms that need stored keys are offered although
					databases, or app passwords, may have none: the site names
					them */
	struct app_passwords *apps;  /* NULL: none. Borrowed */
	bool app_only;               /* no password but these is right; tokens are */
};

int login_service_create(struct users *users, const struct login_settings *settings,
			 struct login_service **ret, struct err *err);
void login_service_destroy(struct login_service *service);
/* Passwords of that user that were right before are proved anew; NULL: of all users. */
void login_service_forget(struct login_service *service, const char *user);
/* The mechanisms that at least one user can use and the settings allow, for CAPA; separated by
 * spaces. PLUS forms only with tls. */
void login_mechanisms(struct login_service *service, bool tls, char *buf, size_t size);

/* Start an attempt. channel is copied. NULL: out of memory or too many. */
struct login *login_pass(struct login_service *service, pop3_span user, pop3_span password);
struct login *login_apop(struct login_service *service, pop3_span user, pop3_span digest,
			 pop3_span stamp);
struct login *login_sasl(struct login_service *service, pop3_span mechanism,
			 const struct login_channel *channel);
void login_destroy(struct login *login);

/* response: base64 of the client's response (SASL only; has_response false: no initial response was
 * given). For PASS and APOP call once. The challenge (base64) lives until the next step. A SCRAM
 * final message comes as LOGIN_MORE, its empty answer then as LOGIN_GRANTED. */
enum login_verdict login_step(struct login *login, pop3_span response, bool has_response);
enum login_verdict login_step_fast(struct login *login, pop3_span response, bool has_response);
/*
 * After LOGIN_ASK: the name that the databases are to be asked about, and the password that proves
 * it, empty where the mechanism has none (SCRAM, CRAM-MD5, APOP). fresh: what is remembered of
 * earlier answers does not count. login_answered takes what was found out; then the same step is
 * made again, with the same response.
 */
struct login_question {
	pop3_span name, password, token;
	bool fresh;
	bool proved; /* by an app password: only the entry is asked for */
};
struct login_question login_question(const struct login *login);
void login_answered(struct login *login, struct finding *finding);
/* Whether this password of this name was right before, by the word of the database. */
bool login_remembered(const struct login *login, const char *database);
/* Whether the exchange has cost work that no verdict has answered for: to give it up then is a
 * failure. */
bool login_has_begun(const struct login *login);
pop3_span login_challenge(const struct login *login);
/* After LOGIN_GRANTED and LOGIN_ELSEWHERE. Where remote_section is not 0, the mail is there. */
const struct user *login_user(const struct login *login);
/* After LOGIN_ELSEWHERE: as the client gave it; it lives as long as the attempt. */
pop3_span login_password(const struct login *login);
/* The name of the database that has the user (of the configuration), after LOGIN_GRANTED; NULL: the
 * users file. */
const char *login_database(const struct login *login);
/* The app password that proved the user, after LOGIN_GRANTED; NULL: another secret did. */
const struct app_password *login_app(const struct login *login);
const char *login_reason(const struct login *login);     /* for the log, without secrets */
pop3_span login_claimed_name(const struct login *login); /* for limits and the log; may be empty */

#endif
