/* Builds and checks a struct fetch_account, which the caller owns; for options.c, config_file.c and
 * fetch.c. Pure: texts come from the user's command line and configuration, trusted but checked. */
#include "fetch/account/account.h"

#include "base/text.h"
#include "fetch/account/idn.h"

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

int fetch_text(char *to, size_t size, const char *from, const char *field, struct err *err)
{
	size_t n = strlen(from);

	if (n >= size)
		return err_set(err, EX_USAGE, "%s is longer than %zu octets", field, size - 1);
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)from[i] < 0x20 || from[i] == 0x7f)
			return err_set(err, EX_USAGE, "%s holds a control character", field);
	memcpy(to, from, n + 1);
	return 0;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-decodes in place; -1 for a broken escape or a NUL. */
static int decode(char *text)
{
	char *to = text;

	for (; *text; text++) {
		if (*text == '%') {
			int high = hex_value(text[1]);
			int low = high < 0 ? -1 : hex_value(text[2]);

			if (low < 0 || high * 16 + low == 0)
				return -1;
			*to++ = (char)(high * 16 + low);
			text += 2;
		} else {
			*to++ = *text;
		}
	}
	*to = '\0';
	return 0;
}

static int set_user(struct fetch_account *account, pop3_span text, struct err *err)
{
	char user[3 * FETCH_TEXT_MAX];

	if (memchr(text.data, ':', text.size))
		return err_set(err, EX_USAGE,
			       "a password in the URL would be seen by everybody on this machine: "
			       "use --password-file");
	if (text.size == 0 || span_copy(text, user, sizeof(user)) < 0 || decode(user) < 0)
		return err_set(err, EX_USAGE, "the URL's user name cannot be read");
	return fetch_text(account->user, sizeof(account->user), user, "the user name", err);
}

static int set_port(struct fetch_account *account, const char *text, struct err *err)
{
	uint64_t port;

	if (span_number(span_of(text), 65535, &port) < 0 || port == 0)
		return err_set(err, EX_USAGE, "\"%.32s\" is no port", text);
	account->port = (uint16_t)port;
	return 0;
}

/* HOST[:PORT] or [ADDRESS][:PORT] */
static int set_host(struct fetch_account *account, const char *text, struct err *err)
{
	char host[sizeof(account->host)];
	const char *end, *colon;
	size_t n;

	if (*text == '[') {
		end = strchr(++text, ']');
		if (!end)
			return err_set(err, EX_USAGE, "the URL's address has no \"]\"");
		n = (size_t)(end - text);
		colon = end + 1;
	} else {
		n = strcspn(text, ":/");
		colon = text + n;
	}
	if (n == 0 || n >= sizeof(account->host))
		return err_set(err, EX_USAGE, "the URL has no host that can be used");
	memcpy(host, text, n);
	host[n] = '\0';
	if (fetch_host_to_ascii(host, account->host, sizeof(account->host), err) < 0)
		return -1;
	if (strcmp(colon, "/") == 0 || *colon == '\0')
		return 0;
	if (*colon != ':')
		return err_set(err, EX_USAGE, "the URL goes on behind the host: \"%.64s\"", colon);
	return set_port(account, colon + 1, err);
}

int fetch_account_url(struct fetch_account *account, const char *url, struct err *err)
{
	const char *rest, *at;

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
	at = strrchr(rest, '@');
	if (!at)
		return err_set(err, EX_USAGE, "the URL names no user: pop3s://USER@HOST");
	account->from_url = true;
	if (set_user(account, (pop3_span){rest, (size_t)(at - rest)}, err) < 0)
		return -1;
	return set_host(account, at + 1, err);
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
	} kinds[] = {{"maildir:", FETCH_MAILDIR},
		     {"mbox:", FETCH_MBOX},
		     {"command:", FETCH_COMMAND},
		     {"lmtp:", FETCH_LMTP}};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		size_t n = strlen(kinds[i].prefix);

		if (strncmp(text, kinds[i].prefix, n) != 0)
			continue;
		if (text[n] == '\0')
			return err_set(err, EX_USAGE, "\"%s\" names no place", text);
		account->sink = kinds[i].type;
		return fetch_text(account->target, sizeof(account->target), text + n,
				  "the destination", err);
	}
	return err_set(err, EX_USAGE,
		       "mail goes to maildir:DIR, mbox:FILE, command:WORDS or lmtp:HOST:PORT, not "
		       "to \"%.64s\"",
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
	if (check_secrets(account, err) < 0)
		return -1;
	if (!account->port)
		account->port = account->tls == FETCH_TLS_IMPLICIT ? 995 : 110;
	if (!account->name[0])
		snprintf(account->name, sizeof(account->name), "%.120s@%.120s", account->user,
			 account->host);
	return 0;
}
