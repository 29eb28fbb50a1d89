/* See place.h. Pure: texts come from the user's command line and configuration, trusted but
 * checked. */
#include "fetch/account/place.h"

#include "base/text.h"
#include "fetch/account/password_setting.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>

static const struct setting {
	const char *name;
	bool path;
} settings[] = {
	{"to-password-file", true},
	{"to-password-command", false},
	{"to-password-env", false},
	{"to-password-credential", false},
	{"to-netrc", true},
	{"to-token-command", false},
	{"to-ca", true},
	{"to-pin", false},
	{"to-flags", false},
	{"to-proxy", false},
	{"gmail-api", false},
	{"gmail-never-spam", false},
};

enum { SETTINGS = sizeof(settings) / sizeof(settings[0]) };

const char *fetch_place_setting(unsigned i, bool *ret_path)
{
	if (i >= SETTINGS)
		return NULL;
	*ret_path = settings[i].path;
	return settings[i].name;
}

int fetch_place_url(struct fetch_account *account, const char *url, struct err *err)
{
	struct fetch_place *place = &account->place;
	struct fetch_account parts = {0};
	char text[FETCH_COMMAND_MAX], *slash;
	bool implicit = strncmp(url, "imaps://", 8) == 0;

	if (fetch_text(text, sizeof(text), url + (implicit ? 8 : 7), "the destination", err) < 0)
		return -1;
	slash = strchr(text, '/');
	if (slash)
		*slash = '\0';
	if (fetch_url_authority(&parts, text, err) < 0)
		return err_prefix(err, "the destination \"%.100s\"", url);
	if (slash && fetch_url_decode(slash + 1) < 0)
		return err_set(err, EX_USAGE, "the folder in \"%.100s\" cannot be read", url);
	place->tls = implicit ? FETCH_TLS_IMPLICIT : FETCH_TLS_STARTTLS;
	memcpy(place->user, parts.user, sizeof(place->user));
	memcpy(place->host, parts.host, sizeof(place->host));
	place->port = parts.port ? parts.port : implicit ? 993 : 143;
	return fetch_text(place->folder, sizeof(place->folder),
			  slash && slash[1] ? slash + 1 : "INBOX", "the folder", err);
}

static int set_pins(struct fetch_place *place, const char *value, struct err *err)
{
	char one[128];

	while (*value) {
		size_t n = strcspn(value, " ");

		if (place->pin_count == TLS_CLIENT_PINS_MAX)
			return err_set(err, EX_CONFIG, "more than %d pins", TLS_CLIENT_PINS_MAX);
		if (span_copy((pop3_span){value, n}, one, sizeof(one)) < 0 ||
		    tls_client_pin(one, place->pins[place->pin_count]) < 0)
			return err_set(err, EX_CONFIG, "a pin is sha256//BASE64 of a key");
		place->pin_count++;
		value += n + strspn(value + n, " ");
	}
	return 0;
}

/* Flags and keywords of IMAP: words, a backslash in front of the system's own. */
static int set_flags(struct fetch_place *place, const char *value, struct err *err)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789$_-.\\ ";

	if (value[strspn(value, letters)])
		return err_set(err, EX_CONFIG, "\"%.60s\" are no flags: \"\\Seen \\Flagged word\"",
			       value);
	return fetch_text(place->flags, sizeof(place->flags), value, "to-flags", err);
}

static int set_never_spam(struct fetch_place *place, const char *value, struct err *err)
{
	bool yes = strcmp(value, "yes") == 0 || strcmp(value, "true") == 0;

	if (!yes && strcmp(value, "no") != 0 && strcmp(value, "false") != 0)
		return err_set(err, EX_CONFIG, "gmail-never-spam is yes or no, not \"%.32s\"",
			       value);
	place->never_spam = yes;
	return 0;
}

int fetch_place_set(struct fetch_account *account, const char *name, const char *value, bool secret,
		    struct err *err)
{
	const struct fetch_password_setting *password =
		strncmp(name, "to-", 3) == 0 ? fetch_password_setting_named(name + 3) : NULL;
	struct fetch_place *place = &account->place;

	if (password) {
		place->password_source = password->source;
		return fetch_text(place->password_from, sizeof(place->password_from), value, name,
				  err);
	}
	if (strcmp(name, "to-ca") == 0)
		return fetch_text(place->ca_file, sizeof(place->ca_file), value, name, err);
	if (strcmp(name, "to-pin") == 0)
		return set_pins(place, value, err);
	if (strcmp(name, "to-flags") == 0)
		return set_flags(place, value, err);
	if (strcmp(name, "to-proxy") == 0)
		return fetch_proxy_url(&place->proxy, value, secret, err);
	if (strcmp(name, "gmail-api") == 0)
		return fetch_text(place->api, sizeof(place->api), value, name, err);
	return set_never_spam(place, value, err);
}

bool fetch_place_token(const struct fetch_account *account)
{
	return account->sink == FETCH_GMAIL ||
	       account->place.password_source == FETCH_TOKEN_COMMAND ||
	       account->place.password_source == FETCH_TOKEN_OAUTH;
}

static int check_gmail(struct fetch_account *account, struct err *err)
{
	struct fetch_place *place = &account->place;
	size_t n;

	if (!place->api[0])
		snprintf(place->api, sizeof(place->api), "https://gmail.googleapis.com");
	n = strlen(place->api);
	while (n && place->api[n - 1] == '/')
		place->api[--n] = '\0';
	if (strncmp(place->api, "https://", 8) != 0 || strpbrk(place->api, " ?#@"))
		return err_set(err, EX_CONFIG, "gmail-api is https://HOST[:PORT], not \"%.80s\"",
			       place->api);
	if (place->password_source == FETCH_PASSWORD_ASK)
		return err_set(
			err, EX_CONFIG,
			"Gmail takes an access token: set to-oauth = \"gmail-import\", or give "
			"--to-token-command WORDS");
	return 0;
}

int fetch_place_check(struct fetch_account *account, struct err *err)
{
	if (account->sink != FETCH_IMAP && account->sink != FETCH_GMAIL)
		return 0;
	account->store_crlf = true; /* the wire's line ends, octet for octet */
	return account->sink == FETCH_GMAIL ? check_gmail(account, err) : 0;
}

void fetch_place_account(const struct fetch_account *account, struct fetch_account *ret)
{
	const struct fetch_place *place = &account->place;

	*ret = (struct fetch_account){.limits = account->limits};
	snprintf(ret->name, sizeof(ret->name), "%s", account->name);
	snprintf(ret->user, sizeof(ret->user), "%s", place->user);
	snprintf(ret->host, sizeof(ret->host), "%s",
		 account->sink == FETCH_GMAIL ? place->api : place->host);
	ret->oauth = place->oauth;
	ret->port = place->port;
	ret->password_source = place->password_source;
	snprintf(ret->password_from, sizeof(ret->password_from), "%s", place->password_from);
}
