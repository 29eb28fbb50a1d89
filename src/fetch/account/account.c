/* Builds and checks a struct fetch_account, which the caller owns; for options.c, config_file.c and
 * fetch.c. Pure: texts come from the user's command line and configuration, trusted but checked. */
#include "fetch/account/account.h"

#include "base/text.h"
#include "fetch/account/place.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>

void fetch_account_defaults(struct fetch_account *account)
{
	*account = (struct fetch_account){
		.tls = FETCH_TLS_IMPLICIT, .policy = FETCH_KEEP, .interval = FETCH_INTERVAL};
	account->limits = (struct fetch_limits){
		.listing_lines = 1000000,
		.message_refused = (uint64_t)4 << 30,
		.minimum_rate = 64,
		.connect_seconds = 30,
		.reply_seconds = 120,
		.run_seconds = 12 * 3600,
		.command_seconds = 900,
	};
}

int fetch_account_url(struct fetch_account *account, const char *url, struct err *err)
{
	const char *rest;

	if (strncmp(url, "pop3s://", 8) == 0) {
		account->tls = FETCH_TLS_IMPLICIT;
		rest = url + 8;
	} else if (strncmp(url, "pop3://", 7) == 0) {
		account->tls = FETCH_TLS_STARTTLS;
		rest = url + 7;
	} else {
		return err_set(err, EX_USAGE, "\"%.100s\" does not begin with pop3:// or pop3s://",
			       url);
	}
	account->from_url = true;
	return fetch_url_authority(account, rest, err);
}

int fetch_account_tls(struct fetch_account *account, const char *text, struct err *err)
{
	static const char *const words[] = {"implicit", "starttls", "none"};

	for (unsigned i = 0; i < 3; i++) {
		if (strcmp(text, words[i]) == 0) {
			account->tls = (enum fetch_tls)i;
			return 0;
		}
	}
	return err_set(err, EX_USAGE, "tls is implicit, starttls or none, not \"%.32s\"", text);
}

int fetch_account_sink(struct fetch_account *account, const char *text, struct err *err)
{
	static const struct {
		const char *prefix;
		enum fetch_sink_type type;
	} kinds[] = {{"maildir:", FETCH_MAILDIR}, {"mbox:", FETCH_MBOX},
		     {"command:", FETCH_COMMAND}, {"lmtp:", FETCH_LMTP},
		     {"gmail:", FETCH_GMAIL},     {"imaps://", FETCH_IMAP},
		     {"imap://", FETCH_IMAP}};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		size_t n = strlen(kinds[i].prefix);

		if (strncmp(text, kinds[i].prefix, n) != 0)
			continue;
		if (text[n] == '\0')
			return err_set(err, EX_USAGE, "\"%s\" names no place", text);
		account->sink = kinds[i].type;
		if (account->sink == FETCH_IMAP) {
			if (fetch_place_url(account, text, err) < 0)
				return -1;
			n = 0; /* the whole URL names it */
		}
		return fetch_text(account->target, sizeof(account->target), text + n,
				  "the destination", err);
	}
	return err_set(err, EX_USAGE,
		       "mail goes to maildir:DIR, mbox:FILE, command:WORDS, lmtp:HOST:PORT, "
		       "imaps://USER@HOST/FOLDER or gmail:LABEL, not to \"%.64s\"",
		       text);
}

bool fetch_account_token(const struct fetch_account *account)
{
	return account->password_source == FETCH_TOKEN_COMMAND ||
	       account->password_source == FETCH_TOKEN_OAUTH ||
	       strcasecmp(account->auth, "XOAUTH2") == 0 ||
	       strcasecmp(account->auth, "OAUTHBEARER") == 0;
}

bool fetch_account_external(const struct fetch_account *account)
{
	return strcasecmp(account->auth, "EXTERNAL") == 0;
}

static int check_secrets(const struct fetch_account *account, struct err *err)
{
	if (account->tls == FETCH_TLS_NONE && fetch_account_token(account))
		return err_set(err, EX_CONFIG,
			       "a token is sent over TLS only: whoever reads it can use it");
	if (fetch_account_external(account) &&
	    (account->tls == FETCH_TLS_NONE || !account->cert_file[0]))
		return err_set(err, EX_CONFIG,
			       "EXTERNAL needs TLS and a client certificate: --cert FILE");
	if (!account->token_lookup[0] != !account->token_store[0])
		return err_set(err, EX_CONFIG,
			       "token-lookup and token-store belong together: one reads what the "
			       "other one keeps");
	if (account->password_source == FETCH_PASSWORD_CREDENTIAL &&
	    (strchr(account->password_from, '/') || account->password_from[0] == '.'))
		return err_set(err, EX_CONFIG,
			       "\"%.80s\" is no name of a credential: a path is for password-file",
			       account->password_from);
	return 0;
}

int fetch_account_check(struct fetch_account *account, struct err *err)
{
	if (!account->host[0])
		return err_set(err, EX_CONFIG, "no server is named");
	if (!account->user[0])
		return err_set(err, EX_CONFIG, "no user is named");
	if (!account->target[0])
		return err_set(err, EX_USAGE,
			       "no destination is named: give one with --to maildir:DIR");
	if (account->sink == FETCH_LMTP && !account->recipient[0])
		return err_set(err, EX_CONFIG, "LMTP needs a recipient");
	if (strpbrk(account->recipient, "<> \\\""))
		return err_set(err, EX_CONFIG, "the recipient is no plain address");
	if (account->sink != FETCH_MAILDIR && account->policy == FETCH_FOLLOW)
		return err_set(err, EX_CONFIG, "only a Maildir shows what was removed");
	if (check_secrets(account, err) < 0 || fetch_place_check(account, err) < 0)
		return -1;
	if (!account->port)
		account->port = account->tls == FETCH_TLS_IMPLICIT ? 995 : 110;
	if (!account->name[0])
		snprintf(account->name, sizeof(account->name), "%.120s@%.120s", account->user,
			 account->host);
	return 0;
}
