/*
 * One account: server, login, policy, limits and sink. Made from a URL
 * of the command line or a section of the configuration file, checked once, immutable after.
 */
#ifndef FETCH_ACCOUNT_ACCOUNT_H
#define FETCH_ACCOUNT_ACCOUNT_H

#include "base/err.h"
#include "fetch/account/url.h"
#include "sys/tls_client.h"

#include <stdbool.h>
#include <stdint.h>

enum {
	FETCH_TEXT_MAX = 256,
	FETCH_PATH_MAX = 1024,
	FETCH_COMMAND_MAX = 2048,
	FETCH_INTERVAL = 300, /* seconds */
	FETCH_INTERVAL_MAX = 30 * 86400,
};

/* Behind the codes of sysexits.h: the token is not accepted (any more); a person has to consent. */
enum { FETCH_EX_CONSENT = 79 };

struct fetch_oauth;

enum fetch_tls { FETCH_TLS_IMPLICIT, FETCH_TLS_STARTTLS, FETCH_TLS_NONE };

enum fetch_proxy_kind { FETCH_NO_PROXY, FETCH_SOCKS5, FETCH_HTTP };

/* A proxy in front of the server; it finds the server by its name. */
struct fetch_proxy {
	enum fetch_proxy_kind kind;
	char host[FETCH_TEXT_MAX];
	uint16_t port;
	char user[128], password[128]; /* "": none */
};

enum fetch_policy {
	FETCH_DELETE,      /* once delivered */
	FETCH_KEEP,        /* for good */
	FETCH_KEEP_DAYS,   /* keep_days after collection */
	FETCH_KEEP_NEWEST, /* the newest keep_newest */
	FETCH_FOLLOW,      /* delete what was removed from the Maildir */
};

enum fetch_sink_type {
	FETCH_MAILDIR,
	FETCH_MBOX,
	FETCH_COMMAND,
	FETCH_LMTP,
	FETCH_IMAP,
	FETCH_GMAIL
};

enum fetch_password_source {
	FETCH_PASSWORD_ASK, /* netrc, then the terminal */
	FETCH_PASSWORD_FILE,
	FETCH_PASSWORD_COMMAND,
	FETCH_PASSWORD_ENVIRONMENT,
	FETCH_PASSWORD_NETRC,
	FETCH_PASSWORD_CREDENTIAL, /* of systemd: a name in $CREDENTIALS_DIRECTORY */
	FETCH_TOKEN_COMMAND,       /* prints an access token */
	FETCH_TOKEN_OAUTH,         /* ours: oauth/ keeps and refreshes it */
};

enum fetch_answer { FETCH_UNKNOWN, FETCH_NO, FETCH_YES };

struct fetch_limits {
	uint64_t message_octets;  /* larger ones: headers only; 0: none */
	uint64_t run_messages;    /* 0: none */
	uint64_t run_octets;      /* 0: none */
	uint64_t listing_lines;   /* longest listing believed */
	uint64_t message_refused; /* a message that goes on beyond this ends the session */
	uint64_t minimum_rate;    /* octets a second in a long reply, over reply_seconds */
	uint32_t connect_seconds, reply_seconds, run_seconds;
	uint32_t command_seconds; /* a delivery command is ended after so long */
};

/* A destination that is an account itself: an IMAP folder, Gmail; see place.h. */
struct fetch_place {
	char user[FETCH_TEXT_MAX], host[FETCH_TEXT_MAX];
	uint16_t port;
	enum fetch_tls tls;          /* never none */
	char folder[FETCH_TEXT_MAX]; /* IMAP, UTF-8 */
	char flags[FETCH_TEXT_MAX];  /* of IMAP, between blanks */
	char ca_file[FETCH_PATH_MAX];
	unsigned char pins[TLS_CLIENT_PINS_MAX][TLS_CLIENT_PIN_SIZE];
	unsigned pin_count;
	enum fetch_password_source password_source;
	char password_from[FETCH_COMMAND_MAX];
	const struct fetch_oauth *oauth; /* FETCH_TOKEN_OAUTH; the configuration's */
	char api[FETCH_TEXT_MAX];        /* Gmail: https://HOST[:PORT] */
	struct fetch_proxy proxy;
	bool never_spam; /* Gmail */
};

struct fetch_account {
	char name[FETCH_TEXT_MAX]; /* of the section, or user@host */
	bool from_url;             /* its state belongs to the destination as well */
	char user[FETCH_TEXT_MAX];
	char host[FETCH_TEXT_MAX];
	uint16_t port;
	enum fetch_tls tls;
	char tls_name[FETCH_TEXT_MAX]; /* that the certificate must be for, "": the host */
	struct fetch_proxy proxy;
	char source[48]; /* address to connect from, "": any */
	char ca_file[FETCH_PATH_MAX], cert_file[FETCH_PATH_MAX], key_file[FETCH_PATH_MAX];
	unsigned char pins[TLS_CLIENT_PINS_MAX][TLS_CLIENT_PIN_SIZE];
	unsigned pin_count;
	char auth[32];                      /* mechanism asked for by name, "": the strongest */
	enum fetch_answer initial_response; /* along with AUTH: the server wants it, or does not */
	enum fetch_password_source password_source;
	char password_from[FETCH_COMMAND_MAX]; /* file, command, variable or netrc file */
	const struct fetch_oauth *oauth;       /* FETCH_TOKEN_OAUTH; the configuration's */
	char token_lookup[FETCH_PATH_MAX], token_store[FETCH_PATH_MAX]; /* a keyring's commands */
	enum fetch_sink_type sink;
	char target[FETCH_COMMAND_MAX]; /* folder, file, command, HOST:PORT, socket path, URL or
					   labels */
	struct fetch_place place;
	char recipient[FETCH_TEXT_MAX]; /* LMTP */
	char refused[FETCH_PATH_MAX];   /* Maildir of refused messages; "": in the state folder */
	bool store_crlf;
	enum fetch_policy policy;
	uint32_t keep_days;
	uint32_t keep_newest;
	bool no_pipelining;
	uint32_t interval; /* seconds between two runs of --watch */
	struct fetch_limits limits;
};

void fetch_account_defaults(struct fetch_account *account);
/* "pop3[s]://USER@HOST[:PORT]", user percent-encoded where it must be. */
int fetch_account_url(struct fetch_account *account, const char *url, struct err *err);
/* "maildir:DIR", "mbox:FILE", "command:WORDS", "lmtp:HOST:PORT", "lmtp:/SOCKET",
 * "imap[s]://USER@HOST[:PORT]/FOLDER" or "gmail:LABEL,…". */
int fetch_account_sink(struct fetch_account *account, const char *text, struct err *err);
/* "socks5://[USER[:PASSWORD]@]HOST[:PORT]" or "http://..."; "none". secret: a password may stand in
 * it. */
int fetch_proxy_url(struct fetch_proxy *proxy, const char *text, bool secret, struct err *err);
/* An IPv4 or IPv6 address. */
int fetch_account_source(struct fetch_account *account, const char *text, struct err *err);
int fetch_account_tls(struct fetch_account *account, const char *text, struct err *err);
/* After all settings are in: missing ones get their defaults, impossible ones are refused. */
int fetch_account_check(struct fetch_account *account, struct err *err);
/* Whether the account logs in with an access token, not with a password. */
bool fetch_account_token(const struct fetch_account *account);
/* It logs in without a secret: with its certificate. */
bool fetch_account_external(const struct fetch_account *account);

#endif
