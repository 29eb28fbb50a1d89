/*
 * Shared by the files of a login: an attempt, the service behind it, and how an attempt is given a
 * name, a user, a challenge and a verdict. See login.h for what an attempt is. login.c steps it,
 * login_app.c judges app passwords, login_password.c judges names with passwords or digests,
 * login_scram.c gives keys, login_service.c is what all attempts share. In auth: on its loop, or in
 * the one worker that has the attempt.
 */
#ifndef USERS_LOGIN_ATTEMPT_PRIVATE_H
#define USERS_LOGIN_ATTEMPT_PRIVATE_H

#include "users/login.h"

#include "users/app_passwords.h"
#include "users/cache.h"
#include "users/sasl.h"

#include <pthread.h>

#define LOGIN_STAMP_MAX 255
#define LOGIN_WHY_MAX sizeof(((struct err *)0)->text)

enum mechanism {
	MECHANISM_SCRAM_SHA_256_PLUS,
	MECHANISM_SCRAM_SHA_256,
	MECHANISM_SCRAM_SHA_1_PLUS,
	MECHANISM_SCRAM_SHA_1,
	MECHANISM_CRAM_MD5,
	MECHANISM_OAUTHBEARER,
	MECHANISM_XOAUTH2,
	MECHANISM_PLAIN,
	MECHANISM_LOGIN,
	MECHANISM_EXTERNAL,
	MECHANISM_SASL_COUNT,
	MECHANISM_PASS = MECHANISM_SASL_COUNT,
	MECHANISM_APOP,
	MECHANISM_REFUSED, /* not known, not allowed, not on this connection */
};

enum phase {
	PHASE_START,
	PHASE_EXCHANGE,
	PHASE_VERIFY,  /* name and password are known, the verdict is not */
	PHASE_REFUSED, /* a token was; the challenge that says so is out */
	PHASE_LAST,    /* the server's final message is out, its empty answer awaited */
	PHASE_OVER,
};

struct login_service {
	struct users *users;
	const struct config *site;   /* NULL: there is none */
	const struct config *config; /* the same, where databases have users; else NULL */
	bool keys_with_databases;
	struct app_passwords *apps; /* NULL: none */
	bool app_only;              /* no other password is right */
	struct cache *cache;
	struct derived *derived;
	struct sasl_context *sasl;
	bool allowed[MECHANISM_SASL_COUNT];
	enum mechanism order[MECHANISM_SASL_COUNT];
	size_t order_count;
	char host_name[256];
	unsigned char fake_key[32];
	_Atomic uint32_t live;
	pthread_mutex_t lock;
	char sample[USER_SECRET_MAX + 1]; /* a stored secret of a database, "" : none seen */
};

struct login {
	struct login_service *service;
	enum mechanism mechanism;
	enum phase phase;
	enum login_verdict verdict; /* once over */
	bool looked_up, known;      /* known: user may log in with the right secret */
	bool other_authzid;
	bool fast;       /* on the loop: no time for a hash */
	bool asks;       /* databases have to be asked before this step can be made */
	bool fresh;      /* they have been asked again */
	bool may_log_in; /* looked up: the user is there, with whatever secret */
	bool app_tried, app_matched;
	struct app_password app; /* that proved the user, where it matched */
	struct finding *finding; /* what they said; owned. NULL: nothing yet */
	bool needs_worker;       /* SCRAM: the keys for this step have to be derived */
	char exporter[64];       /* SCRAM; empty: none */
	size_t exporter_size;
	char network[16]; /* of the client; empty: not to be told from others */
	size_t network_size;
	char unserved[LOGIN_WHY_MAX]; /* why a login with the right secret ends here; "": it does
					 not */
	char broken[LOGIN_WHY_MAX];   /* why no secret can be right; "": one can */
	char claimed[USER_NAME_MAX + 1];
	size_t claimed_size;
	bool settled; /* claimed is the name as users have it */
	struct secret password;
	char *token; /* OAUTHBEARER, XOAUTH2; owned */
	size_t token_size;
	bool token_proved; /* user is whose it is; other databases may have fields of that user */
	struct user user;
	char certified[USER_NAME_MAX + 1]; /* EXTERNAL */
	char digest[33];                   /* APOP */
	char stamp[LOGIN_STAMP_MAX + 1];
	struct sasl_callbacks callbacks;
	struct sasl_exchange *exchange;
	char *challenge; /* base64, or, before it is encoded, CRAM-MD5's own text */
	size_t challenge_size;
	char cram[320];
	char reason[LOGIN_WHY_MAX];
};

extern const char *const login_mechanism_names[MECHANISM_SASL_COUNT];

/* Wipes the token, if there is one. */
void login_drop_token(struct login *login);
/* Ends the attempt with a verdict; reason is for the log. Returns the verdict. */
enum login_verdict login_over(struct login *login, enum login_verdict verdict, const char *reason);
/* The secret proved right: grants, unless the entry cannot be served. */
enum login_verdict login_proven(struct login *login, const char *how);
/* Keeps the name that the client claims. */
void login_claim(struct login *login, pop3_span name);
/* Makes it the name as users have it: the domain of an alias is replaced, a missing one is added
 * where no user of the file has the bare name. */
void login_settle_name(struct login *login);
/* How the maildrop of a user at another server is opened: an enum config_remote_credentials; 0: its
 * mail is here, or it cannot be opened. */
uint32_t login_remote(const struct login *login, const struct user *user);
/* Whether a login that is proved here opens a maildrop there. */
bool login_is_for_remote(const struct login *login, const struct user *user);
/* Whether the other server alone judges the user's passwords (credentials = same): it has the mail,
 * or the mail moves here from it, or has moved, and the field is still there. */
bool login_is_judged_there(const struct login *login);
/* The user's other server is to judge the password that the client gave. */
enum login_verdict login_elsewhere(struct login *login);
/* Fills user and known, once. False: a database has to be asked, or is down: login_no_entry. */
bool login_look_up(struct login *login);
/* The verdict where login_look_up failed. */
enum login_verdict login_no_entry(struct login *login);
/* Whether the databases are to be asked anew, once an attempt: the entry was remembered, and may be
 * old. */
bool login_asks_again(struct login *login);
/* Takes text as the challenge to send. */
enum login_verdict login_challenge_with(struct login *login, pop3_span text);

#endif
