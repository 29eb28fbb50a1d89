/* See remote.h. Pure but for the parser's part, which runs where the file is read. */
#include "config/remote.h"

#include "base/text.h"
#include "config/database.h"
#include "config/keys.h"
#include "config/path.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

enum { POP3_PORT = 110, POP3S_PORT = 995, TIMEOUT_MAX = 600 };

enum key {
	KEY_SERVER,
	KEY_TLS,
	KEY_VERIFY,
	KEY_CREDENTIALS,
	KEY_LOGIN,
	KEY_PASSWORD,
	KEY_GRANTS,
	KEY_TIMEOUT,
	KEY_LMTP,
	KEY_LMTP_TLS,
	KEY_LEARN
};

static const struct remote_key keys[] = {
	[KEY_SERVER] = {"server", NULL,
			"The other POP3 server: \"HOST\", \"HOST:PORT\", \"[2001:db8::1]:PORT\". "
			"Without a port:\n"
			"995, or 110 unless tls is \"yes\"."},
	[KEY_TLS] = {"tls", "yes",
		     "\"yes\": TLS from the first octet; \"starttls\": STLS, or nothing is sent; "
		     "\"no\": passwords\n"
		     "and mail in clear text."},
	[KEY_VERIFY] = {"verify", "/etc/ssl/certs/ca-certificates.crt",
			"PEM file of the authorities that its certificate is checked by, or the "
			"pin of its key:\n"
			"\"sha256//BASE64\"."},
	[KEY_CREDENTIALS] = {"credentials", NULL,
			     "\"same\": that server judges the password that the client gave here; "
			     "\"stored\": the login\n"
			     "is judged here, and password_file or the user's field "
			     "remote_password is sent there."},
	[KEY_LOGIN] = {"login", "{user}",
		       "The name of a user there, with {user}, {local}, {domain}. The user's field "
		       "remote_user\n"
		       "goes first."},
	[KEY_PASSWORD] = {"password_file", "",
			  "A file with one password for all users, such as a master user's; "
			  "\"credential:NAME\"."},
	[KEY_GRANTS] = {"grants", "",
			"oauth: the database with token_url that has the users' grants; none: the "
			"only one."},
	[KEY_TIMEOUT] = {"timeout", "30s", "How long that server may be silent."},
	[KEY_LMTP] = {"lmtp", "",
		      "The LMTP server that mail for its users is passed on to: \"HOST:PORT\", "
		      "\"[2001:db8::1]:PORT\".\n"
		      "None: such mail is put off (451)."},
	[KEY_LMTP_TLS] =
		{"lmtp_tls", "no",
		 "\"no\": that mail goes in clear text; \"starttls\": STARTTLS, or nothing "
		 "is sent; \"yes\":\n"
		 "TLS from the first octet. verify counts for it, too."},
	[KEY_LEARN] = {"learn", "",
		       "same: passwords of users with migrate that the server accepts are "
		       "written down, sealed\n"
		       "with this key of valija migrate --make-key (its name ends in .learn)."},
};

static const char *const tls_words[] = {"yes", "starttls", "no"};
static const char *const credential_words[] = {"", "same", "stored", "oauth"};

size_t config_remote_key_count(void)
{
	return sizeof(keys) / sizeof(keys[0]);
}

const struct remote_key *config_remote_key(size_t index)
{
	return &keys[index];
}

int config_remote_find(const struct config *config, pop3_span name)
{
	for (uint32_t i = 0; i < config->remote_count; i++)
		if (span_equal(name, span_of(config->remotes[i].name)))
			return (int)i;
	return -1;
}

static int key_of(const char *name)
{
	for (size_t i = 0; i < config_remote_key_count(); i++)
		if (strcmp(keys[i].name, name) == 0)
			return (int)i;
	return -1;
}

static const char *place_text(const char *host, uint32_t port, char *buf, size_t size)
{
	snprintf(buf, size, strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, (unsigned)port);
	return buf;
}

const char *config_remote_text(const struct config_remote *remote, const char *name, char *buf,
			       size_t size)
{
	switch ((enum key)key_of(name)) {
	case KEY_SERVER:
		return place_text(remote->host, remote->port, buf, size);
	case KEY_TLS:
		return tls_words[remote->tls];
	case KEY_VERIFY:
		return remote->verify;
	case KEY_CREDENTIALS:
		return credential_words[remote->credentials];
	case KEY_LOGIN:
		return remote->login;
	case KEY_PASSWORD:
		return remote->password_file;
	case KEY_GRANTS:
		return remote->grants;
	case KEY_TIMEOUT:
		snprintf(buf, size, "%us", (unsigned)remote->timeout_seconds);
		return buf;
	case KEY_LMTP:
		return remote->lmtp_port
			       ? place_text(remote->lmtp_host, remote->lmtp_port, buf, size)
			       : "";
	case KEY_LMTP_TLS:
		return tls_words[remote->lmtp_tls];
	case KEY_LEARN:
		return remote->learn;
	}
	return "";
}

static bool add(char *buf, size_t size, size_t *used, pop3_span text)
{
	if (text.size >= size - *used)
		return false;
	if (text.size)
		memcpy(buf + *used, text.data, text.size);
	*used += text.size;
	return true;
}

int config_remote_login(const struct config_remote *remote, pop3_span user, char *buf, size_t size)
{
	const char *at = user.size ? memrchr(user.data, '@', user.size) : NULL;
	pop3_span local = {user.data, at ? (size_t)(at - user.data) : user.size};
	pop3_span domain = {at ? at + 1 : "", at ? user.size - local.size - 1 : 0};
	pop3_span rest = span_of(remote->login);
	size_t used = 0;

	while (rest.size) {
		pop3_span part = {rest.data, 1};

		if (span_take_prefix(&rest, SPAN_LITERAL("{user}"))) {
			part = user;
		} else if (span_take_prefix(&rest, SPAN_LITERAL("{local}"))) {
			part = local;
		} else if (span_take_prefix(&rest, SPAN_LITERAL("{domain}"))) {
			part = domain;
		} else {
			rest.data++;
			rest.size--;
		}
		if (!add(buf, size, &used, part))
			return -1;
	}
	buf[used] = '\0';
	return used ? 0 : -1;
}

/* ---- for the parser ---- */

static struct config_remote *last(struct config *config)
{
	return &config->remotes[config->remote_count - 1];
}

int config_remote_begin(struct config *config, const char *title, uint32_t line, struct err *err)
{
	struct config_remote *remote = &config->remotes[config->remote_count];
	size_t n = strlen(title);

	if (config->remote_count == CONFIG_REMOTES_MAX)
		return err_set(err, EX_CONFIG, "too many remote sections: at most %d",
			       CONFIG_REMOTES_MAX);
	if (n == 0 || n >= sizeof(remote->name) ||
	    strspn(title, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") != n)
		return err_set(err, EX_CONFIG,
			       "the name of a remote section is 1 to %zu letters, digits, \"_\", "
			       "\".\", \"-\": remote \"old\" { … }",
			       sizeof(remote->name) - 1);
	*remote = (struct config_remote){.line = line, .tls = CONFIG_REMOTE_TLS};
	memcpy(remote->name, title, n + 1);
	config->remote_count++;
	return 0;
}

/* "HOST:PORT", "HOST", "[ADDRESS]:PORT", "[ADDRESS]". Without a port it is 0. -1: it is none. */
static int parse_place(const char *value, char host_buf[CONFIG_NAME_MAX], uint32_t *ret_port)
{
	pop3_span rest = span_of(value), host;
	uint64_t port = 0;

	if (span_take_prefix(&rest, SPAN_LITERAL("["))) {
		host = span_take_until(&rest, ']');
		if (rest.size && !span_take_prefix(&rest, SPAN_LITERAL(":")))
			return -1;
		if (!memchr(host.data, ':', host.size))
			return -1;
	} else {
		host = span_take_until(&rest, ':');
	}
	if (host.size == 0 || span_copy(host, host_buf, CONFIG_NAME_MAX) < 0 ||
	    strpbrk(host_buf, " /@\t\r\n[]") || (value[strlen(value) - 1] == ':'))
		return -1;
	if (rest.size && (span_number(rest, 65535, &port) < 0 || port == 0))
		return -1;
	*ret_port = (uint32_t)port;
	return 0;
}

static int set_server(struct config_remote *remote, const char *value, struct err *err)
{
	if (parse_place(value, remote->host, &remote->port) == 0)
		return 0;
	return err_set(err, EX_CONFIG,
		       "server = \"%s\": write HOST, HOST:PORT, or [ADDRESS]:PORT of IPv6", value);
}

static int set_lmtp(struct config_remote *remote, const char *value, struct err *err)
{
	if (parse_place(value, remote->lmtp_host, &remote->lmtp_port) == 0 && remote->lmtp_port)
		return 0;
	return err_set(err, EX_CONFIG, "lmtp = \"%s\": write HOST:PORT, or [ADDRESS]:PORT of IPv6",
		       value);
}

static int set_word(const char *key, const char *const *words, size_t count, const char *value,
		    uint32_t *ret, struct err *err)
{
	char all[64] = "";
	size_t used = 0;

	for (size_t i = 0; i < count; i++) {
		if (words[i][0] && strcmp(words[i], value) == 0) {
			*ret = (uint32_t)i;
			return 0;
		}
		if (words[i][0])
			used += (size_t)snprintf(all + used, sizeof(all) - used, "%s\"%s\"",
						 used ? ", " : "", words[i]);
	}
	return err_set(err, EX_CONFIG, "%s = \"%s\": write one of %s", key, value, all);
}

/* A path, or a pin. */
static int set_verify(const struct config *config, struct config_remote *remote, const char *value,
		      struct err *err)
{
	if (strncmp(value, "sha256//", 8) == 0) {
		unsigned char pin[48];

		if (base64_decode(span_of(value + 8), (char *)pin, sizeof(pin)) != 32)
			return err_set(err, EX_CONFIG,
				       "verify: \"sha256//\" is followed by the base64 of 32 "
				       "octets: openssl x509 -pubkey -noout | openssl pkey -pubin "
				       "-outform der | openssl dgst -sha256 -binary | base64");
		return span_copy(span_of(value), remote->verify, sizeof(remote->verify));
	}
	if (!*value || strpbrk(value, "\n\r\t"))
		return err_set(err, EX_CONFIG,
			       "verify is the path of a PEM file, or \"sha256//BASE64\"");
	return config_resolve(config->directory, value, remote->verify, sizeof(remote->verify),
			      err);
}

static int set_password_file(const struct config *config, struct config_remote *remote,
			     const char *value, struct err *err)
{
	if (config_is_credential(value) &&
	    span_copy(span_of(value), remote->password_file, sizeof(remote->password_file)) == 0)
		return 0;
	if (!*value || strpbrk(value, "\n\r\t"))
		return err_set(err, EX_CONFIG, "password_file is the path of a file");
	return config_resolve(config->directory, value, remote->password_file,
			      sizeof(remote->password_file), err);
}

/* The private key lies beside it, under the name without the suffix. */
static int set_learn(const struct config *config, struct config_remote *remote, const char *value,
		     struct err *err)
{
	size_t size = strlen(value), suffix = strlen(CONFIG_LEARN_SUFFIX);

	if (size <= suffix || strcmp(value + size - suffix, CONFIG_LEARN_SUFFIX) != 0 ||
	    strpbrk(value, "\n\r\t"))
		return err_set(err, EX_CONFIG,
			       "learn = \"%s\": write the path of the key that seals, which valija "
			       "migrate --make-key FILE makes as FILE" CONFIG_LEARN_SUFFIX,
			       value);
	return config_resolve(config->directory, value, remote->learn, sizeof(remote->learn), err);
}

static int set_timeout(struct config_remote *remote, const char *value, struct err *err)
{
	const struct config_key form = {
		.name = "timeout", .kind = KEY_SECONDS, .min = 1, .max = TIMEOUT_MAX};
	uint64_t seconds;

	if (config_number(&form, value, &seconds, err) < 0)
		return -1;
	remote->timeout_seconds = (uint32_t)seconds;
	return 0;
}

static int set_login(struct config_remote *remote, const char *value, struct err *err)
{
	if (!*value || span_copy(span_of(value), remote->login, sizeof(remote->login)) < 0)
		return err_set(err, EX_CONFIG, "login is a name of 1 to %zu octets, with {user}",
			       sizeof(remote->login) - 1);
	return 0;
}

int config_remote_set(struct config *config, const char *name, const char *value, struct err *err)
{
	struct config_remote *remote = last(config);
	int key = key_of(name);

	if (key < 0)
		return err_set(err, EX_CONFIG, "a remote section has no setting %s", name);
	if (remote->given & 1u << key)
		return err_set(err, EX_CONFIG, "%s is set twice", name);
	remote->given |= 1u << key;
	switch ((enum key)key) {
	case KEY_SERVER:
		return set_server(remote, value, err);
	case KEY_TLS:
		return set_word(name, tls_words, 3, value, &remote->tls, err);
	case KEY_VERIFY:
		return set_verify(config, remote, value, err);
	case KEY_CREDENTIALS:
		return set_word(name, credential_words, 4, value, &remote->credentials, err);
	case KEY_LOGIN:
		return set_login(remote, value, err);
	case KEY_PASSWORD:
		return set_password_file(config, remote, value, err);
	case KEY_GRANTS:
		return span_copy(span_of(value), remote->grants, sizeof(remote->grants)) == 0
			       ? 0
			       : err_set(err, EX_CONFIG, "grants is the name of a database");
	case KEY_TIMEOUT:
		return set_timeout(remote, value, err);
	case KEY_LMTP:
		return set_lmtp(remote, value, err);
	case KEY_LMTP_TLS:
		return set_word(name, tls_words, 3, value, &remote->lmtp_tls, err);
	case KEY_LEARN:
		return set_learn(config, remote, value, err);
	}
	return 0;
}

int config_remote_end(struct config *config, struct err *err)
{
	struct config_remote *remote = last(config);

	for (size_t i = 0; i < config_remote_key_count(); i++) {
		if (remote->given & 1u << i)
			continue;
		if (!keys[i].standard)
			return err_set(err, EX_CONFIG, "remote \"%s\" needs %s: %s", remote->name,
				       keys[i].name, keys[i].help);
		if (keys[i].standard[0] &&
		    config_remote_set(config, keys[i].name, keys[i].standard, err) < 0)
			return -1;
	}
	if (!remote->port)
		remote->port = remote->tls == CONFIG_REMOTE_TLS ? POP3S_PORT : POP3_PORT;
	if (remote->credentials != CONFIG_REMOTE_STORED && remote->password_file[0])
		return err_set(err, EX_CONFIG,
			       "remote \"%s\": with credentials = %s no stored password is sent: "
			       "leave password_file out",
			       remote->name, credential_words[remote->credentials]);
	if (remote->credentials != CONFIG_REMOTE_SAME && remote->learn[0])
		return err_set(err, EX_CONFIG,
			       "remote \"%s\": with credentials = %s no password is learned: leave "
			       "learn out",
			       remote->name, credential_words[remote->credentials]);
	if (remote->credentials == CONFIG_REMOTE_OAUTH && remote->tls == CONFIG_REMOTE_CLEAR)
		return err_set(err, EX_CONFIG, "remote \"%s\": tokens are not sent without TLS",
			       remote->name);
	return 0;
}

static bool has_grants(const struct config *config, const struct config_database *database)
{
	return database->driver == DRIVER_OAUTH &&
	       config_database_text(config, database, "token_url")[0];
}

/* Databases may be written behind the sections that name them. */
int config_remote_check(struct config *config, struct err *err)
{
	for (uint32_t i = 0; i < config->remote_count; i++) {
		struct config_remote *remote = &config->remotes[i];
		uint32_t found = 0;

		if (remote->credentials != CONFIG_REMOTE_OAUTH)
			continue;
		for (uint32_t j = 0; j < config->database_count; j++) {
			const struct config_database *database = &config->databases[j];

			if (!has_grants(config, database) ||
			    (remote->grants[0] && strcmp(remote->grants, database->name) != 0))
				continue;
			remote->database = j;
			found++;
		}
		if (found != 1)
			return err_set(
				err, EX_CONFIG,
				"%s:%u: remote \"%s\": credentials = oauth needs one database "
				"with driver = oauth and token_url, which has the users' "
				"grants%s",
				config->file, remote->line, remote->name,
				found ? "; there are several: name one by grants" : "");
	}
	return 0;
}
