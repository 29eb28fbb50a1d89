/*
 * Providers of mail that want something special: where their POP3 server is, how it takes a login,
 * where tokens come from, and the pages on which a person has to switch something. A table of data;
 * sections `oauth "NAME"` of the configuration file change a row or add one.
 */
#ifndef FETCH_ACCOUNT_PROVIDER_H
#define FETCH_ACCOUNT_PROVIDER_H

#include "fetch/account/account.h"

struct fetch_provider {
	const char *name;
	const char *domains;   /* of addresses, space-separated; NULL: none are its alone */
	const char *host;      /* of POP3 over TLS, port 995; NULL: it has no POP3 */
	const char *authorize; /* where a browser goes; "{tenant}" is replaced. NULL: no OAuth */
	const char *token;     /* where codes and refresh tokens are exchanged */
	const char *device;    /* RFC 8628; NULL: it has none for mail */
	const char *scope;
	const char *parameters; /* more of the browser's address, "&a=b" */
	const char *redirect;   /* of the browser, without port; NULL: http://127.0.0.1 */
	enum fetch_answer initial_response;
	bool password;             /* a password (of an app) is taken */
	bool testing;              /* grants of unpublished projects end after seven days */
	const char *register_page; /* makes a client id */
	const char *publish_page;
	const char *pop_page;      /* switches POP3 on */
	const char *password_page; /* makes a password for programs */
};

/* NULL: no such row. */
const struct fetch_provider *fetch_provider_named(const char *name);
/* The one whose domain the address has. */
const struct fetch_provider *fetch_provider_of(const char *address);
/* Row by row, from 0; NULL behind the last. */
const struct fetch_provider *fetch_provider_at(unsigned i);

enum { FETCH_URL_MAX = 512, FETCH_CLIENT_MAX = 512 };

/* The source of an account's tokens: a provider, with the settings of the configuration. */
struct fetch_oauth {
	const struct fetch_provider *provider; /* NULL: all is from the configuration */
	char name[FETCH_TEXT_MAX];
	char authorize[FETCH_URL_MAX], token[FETCH_URL_MAX], device[FETCH_URL_MAX];
	char scope[FETCH_URL_MAX], redirect[FETCH_URL_MAX];
	char tenant[FETCH_TEXT_MAX]; /* in the place of "{tenant}" */
	char client_id[FETCH_CLIENT_MAX], client_secret[FETCH_CLIENT_MAX];
	char client_file[FETCH_PATH_MAX]; /* the provider's JSON; read when it is needed */
};

void fetch_oauth_init(struct fetch_oauth *oauth, const char *name);
/* After the configuration's values are in: what is missing comes from the row. */
int fetch_oauth_complete(struct fetch_oauth *oauth, struct err *err);

#endif
