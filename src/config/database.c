/* See database.h. Pure but for the parser's part, which runs where the file is read. */
#include "config/database.h"

#include "base/text.h"
#include "config/keys.h"
#include "config/path.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

static const char *const drivers[DRIVER_COUNT] = {
	[DRIVER_PASSWD_FILE] = "passwd-file",
	[DRIVER_SYSTEM] = "system",
	[DRIVER_SQL] = "sql",
	[DRIVER_LDAP] = "ldap",
	[DRIVER_HTTP] = "http",
	[DRIVER_OAUTH] = "oauth",
};

#define SYSTEM (1u << DRIVER_SYSTEM)
#define SQL (1u << DRIVER_SQL)
#define LDAP (1u << DRIVER_LDAP)
#define HTTP (1u << DRIVER_HTTP)
#define OAUTH (1u << DRIVER_OAUTH)
#define PASSWD_FILE (1u << DRIVER_PASSWD_FILE)
#define ALL (PASSWD_FILE | SYSTEM | SQL | LDAP | HTTP | OAUTH)
#define DAY (24 * 3600u)

static const struct database_key keys[] = {
	{.name = "domains",
	 .drivers = ALL,
	 .kind = DATABASE_LIST,
	 .standard = "",
	 .help = "The domains whose users it has; \"\" among them: names without a domain.\n"
		 "None named: it could have any user."},
	{.name = "mail",
	 .drivers = ALL,
	 .kind = DATABASE_MAIL,
	 .standard = "",
	 .help = "Where the mail of its users without a home is: a path with placeholders, in a "
		 "folder\nof the setting mail outside of the sections. None: the first of these."},
	{.name = "file", .drivers = PASSWD_FILE, .kind = DATABASE_PATH, .help = "The passwd-file."},
	{.name = "timeout",
	 .drivers = ALL,
	 .kind = DATABASE_SECONDS,
	 .standard = "10s",
	 .min = 1,
	 .max = 120,
	 .help = "How long an answer may take."},
	{.name = "connections",
	 .drivers = ALL & ~SYSTEM,
	 .kind = DATABASE_NUMBER,
	 .standard = "4",
	 .min = 1,
	 .max = 64,
	 .help = "Questions under way at a time, each on a connection of its own."},
	{.name = "cache_time",
	 .drivers = ALL,
	 .kind = DATABASE_SECONDS,
	 .standard = "5m",
	 .max = DAY,
	 .help = "How long an entry, or a password that was right, is remembered."},
	{.name = "cache_down",
	 .drivers = ALL,
	 .kind = DATABASE_SECONDS,
	 .standard = "0",
	 .max = 30 * DAY,
	 .help = "While the database is down, what was remembered serves logins for so long. 0: "
		 "not."},
	{.name = "user",
	 .drivers = ALL,
	 .kind = DATABASE_TEXT,
	 .standard = CONFIG_USER_LOOKUP,
	 .help = "System user of the process that asks it."},
	{.name = "connections",
	 .drivers = SYSTEM,
	 .kind = DATABASE_NUMBER,
	 .standard = "8",
	 .min = 1,
	 .max = 64,
	 .help = "Questions to PAM under way at a time, each in a process of its own."},
	{.name = "service",
	 .drivers = SYSTEM,
	 .kind = DATABASE_TEXT,
	 .standard = "valija",
	 .help = "The service of PAM: the name of a file in /etc/pam.d."},
	{.name = "min_uid",
	 .drivers = SYSTEM,
	 .kind = DATABASE_NUMBER,
	 .standard = "1000",
	 .min = 1,
	 .max = 4294967294,
	 .help = "The lowest uid of a user of the database."},
	{.name = "max_uid",
	 .drivers = SYSTEM,
	 .kind = DATABASE_NUMBER,
	 .standard = "59999",
	 .min = 1,
	 .max = 4294967294,
	 .help = "The highest one."},
	{.name = "group",
	 .drivers = SYSTEM,
	 .kind = DATABASE_TEXT,
	 .standard = "",
	 .help = "Only members of this system group are users of the database."},
	{.name = "maildir",
	 .drivers = SYSTEM,
	 .kind = DATABASE_TEXT,
	 .standard = "Maildir",
	 .help = "A user's Maildir: below the home, or a whole path with {user}."},
	{.name = "connect",
	 .drivers = SQL,
	 .kind = DATABASE_TEXT,
	 .help = "The database: \"postgresql:host=HOST dbname=NAME user=NAME\", \"mysql:\" with "
		 "the\n"
		 "same words, or \"sqlite:PATH\". Several hosts, with commas, are tried in order."},
	{.name = "user_query",
	 .drivers = SQL,
	 .kind = DATABASE_TEXT,
	 .help = "Finds a user; each column is a field. {user}, {local} and {domain} are "
		 "parameters\n"
		 "and stand without quotes."},
	{.name = "recipient_query",
	 .drivers = SQL,
	 .kind = DATABASE_TEXT,
	 .standard = "",
	 .help = "The same for a recipient; rows with a column alias are where its mail goes.\n"
		 "None: user_query."},
	{.name = "last_login_update",
	 .drivers = SQL,
	 .kind = DATABASE_TEXT,
	 .standard = "",
	 .help = "Writes down that a user logged in, at most once a day."},
	{.name = "list_query",
	 .drivers = SQL,
	 .kind = DATABASE_TEXT,
	 .standard = "",
	 .help = "Finds the names of all users, in its first column, for `valija user list`."},
	{.name = "password_file",
	 .drivers = SQL,
	 .kind = DATABASE_SECRET,
	 .standard = "",
	 .help = "The file that holds the password of the database's user."},
	{.name = "tls",
	 .drivers = SQL,
	 .kind = DATABASE_CHOICE,
	 .standard = "auto",
	 .choices = "auto off encrypt verify",
	 .help = "encrypt: by any certificate; verify: by one of this host that ca_file knows; "
		 "auto:\n"
		 "verify, but off to this machine."},
	{.name = "ca_file",
	 .drivers = SQL,
	 .kind = DATABASE_PATH,
	 .standard = "/etc/ssl/certs/ca-certificates.crt",
	 .help = "PEM file of the authorities that certificates of its servers are checked by."},
	{.name = "certificate_file",
	 .drivers = SQL,
	 .kind = DATABASE_PATH,
	 .standard = "",
	 .help = "PEM file of the certificate that Valija shows."},
	{.name = "key_file",
	 .drivers = SQL,
	 .kind = DATABASE_PATH,
	 .standard = "",
	 .help = "PEM file of its private key, for the system user named by user."},
	{.name = "servers",
	 .drivers = LDAP,
	 .kind = DATABASE_LIST,
	 .help = "Addresses of its servers, tried in this order: \"ldaps://ldap.example.org\",\n"
		 "\"ldap://HOST:PORT\", \"ldapi://%2Frun%2Fslapd%2Fldapi\"."},
	{.name = "starttls",
	 .drivers = LDAP,
	 .kind = DATABASE_BOOL,
	 .standard = "no",
	 .help = "Encrypt connections to ldap:// addresses by StartTLS, or do not use them."},
	{.name = "ca_file",
	 .drivers = LDAP,
	 .kind = DATABASE_PATH,
	 .standard = "/etc/ssl/certs/ca-certificates.crt",
	 .help = "PEM file of the authorities that certificates of its servers are checked by."},
	{.name = "insecure_certificates",
	 .drivers = LDAP,
	 .kind = DATABASE_BOOL,
	 .standard = "no",
	 .help = "Take any certificate: whoever is between here and the server reads all "
		 "passwords."},
	{.name = "bind_mechanism",
	 .drivers = LDAP,
	 .kind = DATABASE_CHOICE,
	 .standard = "simple",
	 .choices = "simple external",
	 .help = "How Valija itself logs in: with bind_dn (none: anonymously), or, external, as "
		 "the\n"
		 "system user of the process (ldapi://)."},
	{.name = "bind_dn",
	 .drivers = LDAP,
	 .kind = DATABASE_TEXT,
	 .standard = "",
	 .help = "The entry that Valija searches as. Active Directory also takes name@domain."},
	{.name = "bind_password_file",
	 .drivers = LDAP,
	 .kind = DATABASE_SECRET,
	 .standard = "",
	 .help = "The file that holds its password."},
	{.name = "base",
	 .drivers = LDAP,
	 .kind = DATABASE_TEXT,
	 .standard = "",
	 .help = "Where users are searched: \"ou=people,dc=example,dc=org\"."},
	{.name = "scope",
	 .drivers = LDAP,
	 .kind = DATABASE_CHOICE,
	 .standard = "sub",
	 .choices = "sub one",
	 .help = "Below base: everywhere, or one level."},
	{.name = "filter",
	 .drivers = LDAP,
	 .kind = DATABASE_TEXT,
	 .standard = "(&(objectClass=inetOrgPerson)(|(mail={user})(uid={user})))",
	 .help = "Finds the one entry of a user."},
	{.name = "recipient_filter",
	 .drivers = LDAP,
	 .kind = DATABASE_TEXT,
	 .standard = "",
	 .help = "The same for a recipient; none: filter."},
	{.name = "list_filter",
	 .drivers = LDAP,
	 .kind = DATABASE_TEXT,
	 .standard = "",
	 .help = "Finds all users, for `valija user list`; none: filter, with \"*\" for its "
		 "placeholders."},
	{.name = "list_attribute",
	 .drivers = LDAP,
	 .kind = DATABASE_TEXT,
	 .standard = "",
	 .help = "Their names; none: what attributes has for the field user, or uid."},
	{.name = "user_dn",
	 .drivers = LDAP,
	 .kind = DATABASE_TEXT,
	 .standard = "",
	 .help = "Instead of base and filter: the name of a user's entry,\n"
		 "\"uid={local},ou=people,dc=example,dc=org\"."},
	{.name = "attributes",
	 .drivers = LDAP,
	 .kind = DATABASE_LIST,
	 .standard = "",
	 .help = "What is taken from an entry: \"ATTRIBUTE=FIELD\", \"ATTRIBUTE=FIELD=text with\n"
		 "{value}\", \"=FIELD=text\" for all."},
	{.name = "verify",
	 .drivers = LDAP,
	 .kind = DATABASE_CHOICE,
	 .standard = "bind",
	 .choices = "bind hash",
	 .help = "A password is right if the server takes it, or if it fits userPassword."},
	{.name = "group",
	 .drivers = LDAP,
	 .kind = DATABASE_TEXT,
	 .standard = "",
	 .help = "Only members of this entry are users: \"cn=mail,ou=groups,dc=example,dc=org\"."},
	{.name = "group_attribute",
	 .drivers = LDAP,
	 .kind = DATABASE_TEXT,
	 .standard = "member",
	 .help = "Members are named by this attribute of the group, member or uniqueMember; "
		 "memberOf:\n"
		 "the group is named by the user's entry."},
	{.name = "referrals",
	 .drivers = LDAP,
	 .kind = DATABASE_BOOL,
	 .standard = "no",
	 .help = "Go, anonymously, to other servers that the server refers to."},
	{.name = "ca_file",
	 .drivers = HTTP | OAUTH,
	 .kind = DATABASE_PATH,
	 .standard = "",
	 .help = "Certificates (PEM) of the authorities that are trusted; default: the system's."},
	{.name = "url",
	 .drivers = HTTP,
	 .kind = DATABASE_TEXT,
	 .standard = "",
	 .help = "Where the questions are sent: https://…, or http:// of this machine."},
	{.name = "socket",
	 .drivers = HTTP,
	 .kind = DATABASE_PATH,
	 .standard = "",
	 .help = "The Unix socket of a program that speaks HTTP."},
	{.name = "token_file",
	 .drivers = HTTP,
	 .kind = DATABASE_SECRET,
	 .standard = "",
	 .help = "A secret that is sent along (Authorization: Bearer)."},
	{.name = "verify",
	 .drivers = HTTP,
	 .kind = DATABASE_BOOL,
	 .standard = "yes",
	 .help = "yes: it is asked whether a password is right. no: it gives the stored one."},
	{.name = "issuer",
	 .drivers = OAUTH,
	 .kind = DATABASE_TEXT,
	 .standard = "",
	 .help = "The issuer as it stands in the tokens (iss). Without jwks_url and the like its\n"
		 "keys are found by its openid-configuration."},
	{.name = "audience",
	 .drivers = OAUTH,
	 .kind = DATABASE_LIST,
	 .standard = "",
	 .help = "For whom the issuer gives the tokens (aud): one of these."},
	{.name = "scope",
	 .drivers = OAUTH,
	 .kind = DATABASE_TEXT,
	 .standard = "",
	 .help = "Scopes that a token needs, all of them; named to clients."},
	{.name = "user_claim",
	 .drivers = OAUTH,
	 .kind = DATABASE_TEXT,
	 .standard = "email",
	 .help = "The claim that holds the user's name. email: only with email_verified."},
	{.name = "jwks_url",
	 .drivers = OAUTH,
	 .kind = DATABASE_TEXT,
	 .standard = "",
	 .help = "Where the issuer's keys are."},
	{.name = "jwks_file",
	 .drivers = OAUTH,
	 .kind = DATABASE_PATH,
	 .standard = "",
	 .help = "A file with the issuer's keys."},
	{.name = "introspection_url",
	 .drivers = OAUTH,
	 .kind = DATABASE_TEXT,
	 .standard = "",
	 .help = "Where the issuer says what a token is worth (RFC 7662), instead of keys."},
	{.name = "client_id",
	 .drivers = OAUTH,
	 .kind = DATABASE_TEXT,
	 .standard = "",
	 .help = "Our name at introspection_url and token_url."},
	{.name = "client_secret_file",
	 .drivers = OAUTH,
	 .kind = DATABASE_SECRET,
	 .standard = "",
	 .help = "Our secret there."},
	{.name = "client_auth",
	 .drivers = OAUTH,
	 .kind = DATABASE_CHOICE,
	 .standard = "basic",
	 .choices = "basic post",
	 .help = "How they are sent: client_secret_basic or client_secret_post."},
	{.name = "token_url",
	 .drivers = OAUTH,
	 .kind = DATABASE_TEXT,
	 .standard = "",
	 .help = "Where a provider gives new access tokens, for maildrops of another server "
		 "(remote):\nthe users' grants are kept here. Without issuer, jwks and "
		 "introspection_url the\ndatabase judges no tokens."},
	{.name = "grants",
	 .drivers = OAUTH,
	 .kind = DATABASE_PATH,
	 .standard = "/var/lib/valija/grants",
	 .help = "The folder of these grants, for the system user named by user alone."},
	{.name = "device_url",
	 .drivers = OAUTH,
	 .kind = DATABASE_TEXT,
	 .standard = "",
	 .help = "Where `valija remote login` gets the code that a person types in (RFC 8628)."},
	{.name = "authorize_url",
	 .drivers = OAUTH,
	 .kind = DATABASE_TEXT,
	 .standard = "",
	 .help = "Where a browser gets it instead, at providers without codes for devices."},
	{.name = "request_scope",
	 .drivers = OAUTH,
	 .kind = DATABASE_TEXT,
	 .standard = "",
	 .help = "What it asks a person to consent to."},
	{.name = "config_url",
	 .drivers = OAUTH,
	 .kind = DATABASE_TEXT,
	 .standard = "",
	 .help = "The openid-configuration that a client learns when its token is refused;\n"
		 "default: the issuer's."},
};

size_t config_database_key_count(void)
{
	return sizeof(keys) / sizeof(keys[0]);
}

const struct database_key *config_database_key(size_t index)
{
	return &keys[index];
}

const char *config_driver_name(enum config_driver driver)
{
	return drivers[driver];
}

/* A name may have a row for each of several drivers. */
static const struct database_key *find_key(const char *name, uint32_t driver)
{
	for (size_t i = 0; i < config_database_key_count(); i++)
		if (strcmp(keys[i].name, name) == 0 && (keys[i].drivers & 1u << driver))
			return &keys[i];
	return NULL;
}

static const struct database_key *key_of(const struct config_database *database, const char *name)
{
	const struct database_key *key = find_key(name, database->driver);

	if (!key)
		abort();
	return key;
}

/* Value number index of a setting as it was written; NULL: there is none. */
static const char *written(const struct config *config, const struct config_database *database,
			   const char *name, size_t index)
{
	const char *at = config->settings + database->settings;
	const char *end = config->settings + database->settings_end;

	while (at < end) {
		const char *value = at + strlen(at) + 1;

		if (strcmp(at, name) == 0 && index-- == 0)
			return value;
		at = value + strlen(value) + 1;
	}
	return NULL;
}

const char *config_database_text(const struct config *config,
				 const struct config_database *database, const char *name)
{
	const struct database_key *key = key_of(database, name);
	const char *value = written(config, database, name, 0);

	return value ? value : key->standard ? key->standard : "";
}

const char *config_database_item(const struct config *config,
				 const struct config_database *database, const char *name,
				 size_t index)
{
	return written(config, database, name, index);
}

static int choice_place(const char *choices, const char *value)
{
	int place = 0;

	for (const char *at = choices; *at; place++) {
		size_t n = strcspn(at, " ");

		if (strlen(value) == n && memcmp(at, value, n) == 0)
			return place;
		at += n + (at[n] == ' ');
	}
	return -1;
}

static int choice_of(const struct database_key *key, const char *value, uint64_t *ret,
		     struct err *err)
{
	int place = choice_place(key->choices, value);

	*ret = (uint64_t)place;
	return place < 0 ? err_set(err, EX_CONFIG, "%s = \"%s\": write one of %s", key->name, value,
				   key->choices)
			 : 0;
}

static int number_of(const struct database_key *key, const char *value, uint64_t *ret,
		     struct err *err)
{
	const struct config_key form = {.name = key->name,
					.kind = key->kind == DATABASE_SECONDS ? KEY_SECONDS
									      : KEY_NUMBER,
					.min = key->min,
					.max = key->max};

	switch (key->kind) {
	case DATABASE_SECONDS:
	case DATABASE_NUMBER:
		return config_number(&form, value, ret, err);
	case DATABASE_BOOL:
		return config_bool(&form, value, ret, err);
	case DATABASE_CHOICE:
		return choice_of(key, value, ret, err);
	case DATABASE_TEXT:
	case DATABASE_LIST:
	case DATABASE_PATH:
	case DATABASE_MAIL:
	case DATABASE_SECRET:
		break;
	}
	return 0;
}

uint64_t config_database_number(const struct config *config, const struct config_database *database,
				const char *name)
{
	const struct database_key *key = key_of(database, name);
	struct err err;
	uint64_t number = 0;

	if (number_of(key, config_database_text(config, database, name), &number, &err) < 0)
		abort(); /* the parser let it pass, or a bad row: every test would fail here */
	return number;
}

uint32_t config_database_mail(const struct config *config, const struct config_database *database,
			      const char **ret)
{
	const char *own = database ? written(config, database, "mail", 0) : NULL;
	pop3_span below;
	int root = own ? config_root_find(config, span_of(own), &below) : -1;

	*ret = root < 0 ? config->roots[0].template : below.data;
	return root < 0 ? 0 : (uint32_t)root;
}

bool config_database_could_have(const struct config *config, const struct config_database *database,
				pop3_span name)
{
	const char *at = name.size ? memrchr(name.data, '@', name.size) : NULL, *domain;
	pop3_span own = {at ? at + 1 : "", at ? name.size - (size_t)(at + 1 - name.data) : 0};
	size_t n = 0;

	for (; (domain = written(config, database, "domains", n)); n++)
		if (span_equal_nocase(own, span_of(domain)))
			return true;
	return n == 0;
}

bool config_database_judges_tokens(const struct config *config,
				   const struct config_database *database)
{
	static const char *const how[] = {"issuer", "jwks_url", "jwks_file", "introspection_url"};

	if (database->driver != DRIVER_OAUTH)
		return false;
	for (size_t i = 0; i < sizeof(how) / sizeof(how[0]); i++)
		if (*config_database_text(config, database, how[i]))
			return true;
	return !*config_database_text(config, database, "token_url");
}

bool config_database_verifies(const struct config *config, const struct config_database *database)
{
	switch ((enum config_driver)database->driver) {
	case DRIVER_SYSTEM:
	case DRIVER_OAUTH:
		return true;
	case DRIVER_LDAP:
		return strcmp(config_database_text(config, database, "verify"), "hash") != 0;
	case DRIVER_HTTP:
		return config_database_number(config, database, "verify") != 0;
	case DRIVER_PASSWD_FILE:
	case DRIVER_SQL:
	case DRIVER_COUNT:
		break;
	}
	return false;
}

/* The words that `connect` begins with are the names of the programs. */
const char *config_database_program(const struct config *config,
				    const struct config_database *database)
{
	static const char *const libraries[] = {"postgresql", "mysql", "sqlite"};
	const char *connect;

	if (database->driver != DRIVER_SQL)
		return config_driver_name(database->driver);
	connect = config_database_text(config, database, "connect");
	for (size_t i = 0; i < sizeof(libraries) / sizeof(libraries[0]); i++) {
		size_t n = strlen(libraries[i]);

		if (strncmp(connect, libraries[i], n) == 0 && connect[n] == ':')
			return libraries[i];
	}
	return NULL;
}

/* ---- for the parser ---- */

int config_database_begin(struct config *config, const char *title, uint32_t line, struct err *err)
{
	struct config_database *database = &config->databases[config->database_count];
	size_t n = strlen(title);

	if (config->database_count == CONFIG_DATABASES_MAX)
		return err_set(err, EX_CONFIG, "too many databases: at most %d",
			       CONFIG_DATABASES_MAX);
	if (n == 0 || n >= sizeof(database->name) ||
	    strspn(title, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") != n)
		return err_set(err, EX_CONFIG,
			       "the name of a database is 1 to %zu letters, digits, \"_\", \".\", "
			       "\"-\": database \"people\" { … }",
			       sizeof(database->name) - 1);
	*database = (struct config_database){.driver = DRIVER_COUNT,
					     .purposes = 0,
					     .line = line,
					     .settings = config->settings_size,
					     .settings_end = config->settings_size};
	memcpy(database->name, title, n + 1);
	config->database_count++;
	return 0;
}

static struct config_database *last(struct config *config)
{
	return &config->databases[config->database_count - 1];
}

static int set_driver(struct config_database *database, const char *value, struct err *err)
{
	for (uint32_t i = 0; i < DRIVER_COUNT; i++)
		if (strcmp(drivers[i], value) == 0) {
			database->driver = i;
			return 0;
		}
	return err_set(err, EX_CONFIG,
		       "\"%s\" is no driver: passwd-file, system, sql, ldap, http or oauth", value);
}

static int add_purpose(struct config_database *database, const char *value, struct err *err)
{
	if (strcmp(value, "login") == 0)
		database->purposes |= CONFIG_FOR_LOGIN;
	else if (strcmp(value, "recipient") == 0)
		database->purposes |= CONFIG_FOR_RECIPIENT;
	else
		return err_set(err, EX_CONFIG, "for is {\"login\"}, {\"recipient\"}, or both");
	return 0;
}

static int append(struct config *config, const char *name, const char *value, struct err *err)
{
	size_t names = strlen(name) + 1, values = strlen(value) + 1;

	if (names + values > CONFIG_SETTINGS_MAX - config->settings_size)
		return err_set(err, EX_CONFIG,
			       "the settings of all databases have more than %u octets",
			       CONFIG_SETTINGS_MAX);
	memcpy(config->settings + config->settings_size, name, names);
	memcpy(config->settings + config->settings_size + names, value, values);
	config->settings_size += (uint32_t)(names + values);
	last(config)->settings_end = config->settings_size;
	return 0;
}

static int add_mail(struct config *config, const struct database_key *key, const char *value,
		    struct err *err)
{
	char text[CONFIG_MAIL_MAX];
	struct config_root root;

	if (config_root_parse(key->name, value, config->directory, &root, err) < 0)
		return -1;
	return append(config, key->name, config_root_text(&root, text), err);
}

static int add_value(struct config *config, const struct database_key *key, const char *value,
		     struct err *err)
{
	static const char credential[] = "credential:";
	char path[CONFIG_PATH_MAX];
	uint64_t number;

	if (key->kind != DATABASE_LIST && written(config, last(config), key->name, 0))
		return err_set(err, EX_CONFIG, "%s is set twice", key->name);
	if (key->kind == DATABASE_PATH ||
	    (key->kind == DATABASE_SECRET && strncmp(value, credential, sizeof(credential) - 1))) {
		if (!*value || strpbrk(value, "\n\r\t"))
			return err_set(err, EX_CONFIG, "%s is the path of a file", key->name);
		if (config_resolve(config->directory, value, path, sizeof(path), err) < 0)
			return -1;
		return append(config, key->name, path, err);
	}
	if (key->kind == DATABASE_MAIL)
		return add_mail(config, key, value, err);
	if (number_of(key, value, &number, err) < 0)
		return -1;
	return append(config, key->name, value, err);
}

int config_database_set(struct config *config, const char *name, const char *value, struct err *err)
{
	struct config_database *database = last(config);
	const struct database_key *key;

	if (strcmp(name, "driver") == 0)
		return set_driver(database, value, err);
	if (strcmp(name, "for") == 0)
		return add_purpose(database, value, err);
	if (database->driver == DRIVER_COUNT)
		return err_set(err, EX_CONFIG, "write driver = … first");
	key = find_key(name, database->driver);
	if (!key)
		return err_set(err, EX_CONFIG, "a database of driver %s has no setting %s",
			       drivers[database->driver], name);
	return add_value(config, key, value, err);
}

int config_database_check_mail(const struct config *config, struct err *err)
{
	for (uint32_t i = 0; i < config->database_count; i++) {
		const char *own = written(config, &config->databases[i], "mail", 0);
		pop3_span below;
		int root = own ? config_root_find(config, span_of(own), &below) : -1;
		bool one_for_all = root >= 0 && below.size && !strchr(own, '{');

		if (!own || (root >= 0 && !one_for_all))
			continue;
		return err_set(err, EX_CONFIG, "%s:%u: database \"%s\": mail = \"%s\" %s",
			       config->file, config->databases[i].line, config->databases[i].name,
			       own,
			       one_for_all ? "would be the mail of all its users: write {user} "
					     "or {local} into it"
					   : "is in no folder of the setting mail outside of the "
					     "sections: write that folder there, too");
	}
	return 0;
}

int config_database_end(struct config *config, struct err *err)
{
	struct config_database *database = last(config);

	if (database->driver == DRIVER_COUNT)
		return err_set(err, EX_CONFIG, "database \"%s\" has no driver", database->name);
	if (!database->purposes)
		database->purposes = CONFIG_FOR_LOGIN | CONFIG_FOR_RECIPIENT;
	for (size_t i = 0; i < config_database_key_count(); i++)
		if ((keys[i].drivers & 1u << database->driver) && !keys[i].standard &&
		    !written(config, database, keys[i].name, 0))
			return err_set(err, EX_CONFIG, "database \"%s\" needs %s: %s",
				       database->name, keys[i].name, keys[i].help);
	if (!config_database_program(config, database))
		return err_set(err, EX_CONFIG,
			       "connect begins with postgresql:, mysql: (MariaDB, too) or sqlite:");
	return 0;
}
