/* Values of settings: from the text of the file into struct config and back. See keys.h. No file is
 * opened and no name looked up here. */
#include "config/keys.h"

#include "base/text.h"
#include "config/path.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit sizes[] = {
	{"G", 1 << 30}, {"M", 1 << 20}, {"K", 1 << 10}, {"", 1}, {NULL, 0}};
static const struct unit seconds[] = {{"d", 86400}, {"h", 3600}, {"m", 60},
				      {"s", 1},     {"", 1},     {NULL, 0}};
static const struct unit milliseconds[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000},
					   {"s", 1000},     {"ms", 1},      {"", 1000},
					   {NULL, 0}};
static const struct unit plain[] = {{"", 1}, {NULL, 0}};

static const struct unit *units_of(enum key_kind kind)
{
	if (kind == KEY_SIZE)
		return sizes;
	if (kind == KEY_SECONDS)
		return seconds;
	return kind == KEY_MILLISECONDS ? milliseconds : plain;
}

static const char *unit_words(enum key_kind kind)
{
	if (kind == KEY_SIZE)
		return "digits and perhaps K, M or G, such as 50M";
	if (kind == KEY_SECONDS)
		return "digits and s, m, h or d, such as 10m";
	return kind == KEY_MILLISECONDS ? "digits and ms, s, m, h or d, such as 1s" : "digits";
}

static void *member(const struct config_key *key, struct config *config)
{
	return (char *)config + key->offset;
}

static const void *const_member(const struct config_key *key, const struct config *config)
{
	return (const char *)config + key->offset;
}

/* The shortest exact form: 600 seconds are "10m". */
static void print_number(enum key_kind kind, uint64_t value, char *buf, size_t size)
{
	for (const struct unit *unit = units_of(kind); unit->name; unit++)
		if (value && value % unit->factor == 0 && (*unit->name || kind == KEY_SIZE)) {
			snprintf(buf, size, "%" PRIu64 "%s", value / unit->factor, unit->name);
			return;
		}
	snprintf(buf, size, "%" PRIu64, value);
}

int config_number(const struct config_key *key, const char *value, uint64_t *ret, struct err *err)
{
	size_t digits = strspn(value, "0123456789");
	const struct unit *unit = units_of(key->kind);
	uint64_t number;
	char low[32], high[32];

	while (unit->name && strcasecmp(value + digits, unit->name) != 0)
		unit++;
	if (!unit->name || span_number((pop3_span){value, digits}, UINT64_MAX, &number) < 0)
		return err_set(err, EX_CONFIG, "%s = \"%s\" is not a number: write %s", key->name,
			       value, unit_words(key->kind));
	print_number(key->kind, key->min, low, sizeof(low));
	print_number(key->kind, key->max, high, sizeof(high));
	if (number > key->max / unit->factor || number * unit->factor > key->max)
		return err_set(err, EX_CONFIG, "%s = \"%s\" is too much: at most %s", key->name,
			       value, high);
	if (number * unit->factor < key->min)
		return err_set(err, EX_CONFIG, "%s = \"%s\" is too little: at least %s%s%s",
			       key->name, value, low, key->reason ? ", since " : "",
			       key->reason ? key->reason : "");
	*ret = number * unit->factor;
	return 0;
}

static int set_text(const struct config_key *key, const char *value, struct config *config,
		    struct err *err)
{
	for (const char *p = value; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return err_set(err, EX_CONFIG, "%s holds a control character", key->name);
	if (span_copy(span_of(value), member(key, config), key->size) < 0)
		return err_set(err, EX_CONFIG, "%s is too long: at most %zu octets", key->name,
			       key->size - 1);
	return 0;
}

static int check_path(const struct config_key *key, const char *value, struct err *err)
{
	for (const char *p = value; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return err_set(err, EX_CONFIG, "%s holds a control character", key->name);
	if (!*value && *key->standard)
		return err_set(err, EX_CONFIG, "%s is empty: write a path, such as \"%s\"",
			       key->name, key->standard);
	return 0;
}

static int set_path(const struct config_key *key, const char *value, const char *directory,
		    struct config *config, struct err *err)
{
	if (check_path(key, value, err) < 0)
		return -1;
	return config_resolve(directory, value, member(key, config), key->size, err);
}

static bool known_placeholder(const char *at)
{
	static const char *const known[] = {"{user}", "{local}", "{domain}"};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strncmp(at, known[i], strlen(known[i])) == 0)
			return true;
	return false;
}

static int check_placeholders(const char *name, const char *value, struct err *err)
{
	for (const char *at = value; (at = strchr(at, '{')); at++)
		if (!known_placeholder(at))
			return err_set(err, EX_CONFIG,
				       "%s: \"%.20s\": known are {user}, {local}, {domain}", name,
				       at);
	return 0;
}

int config_root_parse(const char *name, const char *value, const char *directory,
		      struct config_root *ret, struct err *err)
{
	const struct config_key key = {.name = name, .standard = "mail"};
	char root[CONFIG_PATH_MAX];
	size_t n = strcspn(value, "{");

	*ret = (struct config_root){.path = ""};
	if (!value[n])
		return check_path(&key, value, err) < 0
			       ? -1
			       : config_resolve(directory, value, ret->path, sizeof(ret->path),
						err);
	if (check_path(&key, value, err) < 0 || check_placeholders(name, value, err) < 0)
		return -1;
	while (n > 0 && value[n - 1] != '/')
		n--;
	if (n < 2 || span_copy((pop3_span){value, n - 1}, root, sizeof(root)) < 0 ||
	    span_copy(span_of(value + n), ret->template, sizeof(ret->template)) < 0)
		return err_set(err, EX_CONFIG,
			       "%s: write the folder of all mail before the first placeholder, "
			       "such as \"/srv/mail/{domain}/{local}\"",
			       name);
	return config_resolve(directory, root, ret->path, sizeof(ret->path), err);
}

static int add_root(const struct config_key *key, const char *value, const char *directory,
		    struct config *config, struct err *err)
{
	struct config_root root;

	if (config_root_parse(key->name, value, directory, &root, err) < 0)
		return -1;
	if (config->root_count == CONFIG_ROOTS_MAX)
		return err_set(err, EX_CONFIG, "mail: at most %d folders", CONFIG_ROOTS_MAX);
	config->roots[config->root_count++] = root;
	return 0;
}

const char *config_root_text(const struct config_root *root, char buf[CONFIG_MAIL_MAX])
{
	snprintf(buf, CONFIG_MAIL_MAX, "%s%s%s", root->path, root->template[0] ? "/" : "",
		 root->template);
	return buf;
}

int config_root_find(const struct config *config, pop3_span path, pop3_span *ret_below)
{
	for (uint32_t i = 0; i < config->root_count; i++) {
		const char *root = config->roots[i].path;
		size_t n = strlen(root);

		while (n > 1 && root[n - 1] == '/')
			n--;
		if (path.size < n || memcmp(path.data, root, n) != 0 ||
		    (path.size > n && path.data[n] != '/'))
			continue;
		*ret_below = (pop3_span){path.data + n, path.size - n};
		if (ret_below->size)
			*ret_below = (pop3_span){ret_below->data + 1, ret_below->size - 1};
		return (int)i;
	}
	return -1;
}

static bool known_mechanism(pop3_span word)
{
	static const char *const known[] = {"SCRAM-SHA-256-PLUS",
					    "SCRAM-SHA-256",
					    "SCRAM-SHA-1-PLUS",
					    "SCRAM-SHA-1",
					    "CRAM-MD5",
					    "OAUTHBEARER",
					    "XOAUTH2",
					    "PLAIN",
					    "LOGIN",
					    "EXTERNAL"};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (span_equal(word, span_of(known[i])))
			return true;
	return false;
}

int32_t config_expire_days(const struct config *config)
{
	if (config->expire_days != -1 || !config->delete_after_seconds)
		return config->expire_days;
	return (int32_t)(config->delete_after_seconds / (24 * 3600));
}

bool config_delays_logins(const struct config *config)
{
	return config->login_delay_seconds || config->login_delay_max;
}

int32_t config_announced_delay(const struct config *config)
{
	if (!config_delays_logins(config))
		return -1;
	return (int32_t)(config->login_delay_max ? config->login_delay_max
						 : config->login_delay_seconds);
}

bool config_takes_certificates(const struct config *config)
{
	const char *list = config->mechanisms;
	pop3_span word;

	for (; config->client_ca[0] && *(list += strspn(list, " ")); list += word.size) {
		word = (pop3_span){list, strcspn(list, " ")};
		if (span_equal(word, span_of("EXTERNAL")))
			return true;
	}
	return false;
}

bool config_mechanism_shows_secret(pop3_span mechanism)
{
	static const char *const names[] = {"PLAIN", "LOGIN", "OAUTHBEARER", "XOAUTH2"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (span_equal_nocase(mechanism, span_of(names[i])))
			return true;
	return false;
}

static bool is_user_name(const char *name)
{
	size_t n = strlen(name);

	return n > 0 && n < 64 && name[0] != '-' &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
		       n;
}

static bool is_alias(const char *word)
{
	char alias[CONFIG_NAME_MAX];
	const char *equals = strchr(word, '=');

	return equals && config_host_valid(equals + 1) &&
	       span_copy((pop3_span){word, (size_t)(equals - word)}, alias, sizeof(alias)) >= 0 &&
	       config_host_valid(alias);
}

/* One or more words, upper case for mechanisms, lower case for domains. */
static int add_words(const struct config_key *key, const char *value, struct config *config,
		     struct err *err)
{
	char *list = member(key, config);

	for (const char *p = value; *(p += strspn(p, " ")); p += strcspn(p, " ")) {
		size_t n = strcspn(p, " "), used = strlen(list);
		char word[CONFIG_NAME_MAX];

		if (n >= sizeof(word) || used + (used > 0) + n >= key->size)
			return err_set(err, EX_CONFIG, "%s is too long: at most %zu octets",
				       key->name, key->size - 1);
		for (size_t i = 0; i < n; i++) {
			char c = p[i];

			if (key->kind == KEY_MECHANISMS)
				word[i] = c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
			else if (key->kind == KEY_USERS)
				word[i] = c;
			else
				word[i] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
		}
		word[n] = '\0';
		if (key->kind == KEY_MECHANISMS && !known_mechanism((pop3_span){word, n}))
			return err_set(
				err, EX_CONFIG,
				"%s: there is no mechanism \"%s\": valija.conf(5) lists them",
				key->name, word);
		if (key->kind == KEY_ALIASES && !is_alias(word))
			return err_set(err, EX_CONFIG,
				       "%s: \"%s\": write \"ALIAS=DOMAIN\", two domain names",
				       key->name, word);
		if (key->kind == KEY_WORDS && !config_host_valid(word))
			return err_set(err, EX_CONFIG, "%s: \"%s\" is not a domain name", key->name,
				       word);
		if (key->kind == KEY_USERS && !is_user_name(word))
			return err_set(err, EX_CONFIG, "%s: \"%s\" is not a system user's name",
				       key->name, word);
		snprintf(list + used, key->size - used, "%s%s", used ? " " : "", word);
	}
	return 0;
}

static int set_choice(const struct config_key *key, const char *value, uint32_t *ret,
		      struct err *err)
{
	char words[96] = "";

	for (uint32_t i = 0; key->choices[i]; i++) {
		size_t used = strlen(words);

		if (strcasecmp(key->choices[i], value) == 0) {
			*ret = i;
			return 0;
		}
		snprintf(words + used, sizeof(words) - used, "%s\"%s\"", i ? ", " : "",
			 key->choices[i]);
	}
	return err_set(err, EX_CONFIG, "%s = \"%s\": write one of %s", key->name, value, words);
}

static int set_bool(const struct config_key *key, const char *value, bool *ret, struct err *err)
{
	static const char *const words[] = {"no", "yes", "off", "on", "false", "true"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcasecmp(words[i], value) == 0) {
			*ret = i % 2;
			return 0;
		}
	return err_set(err, EX_CONFIG, "%s = \"%s\": write yes or no", key->name, value);
}

int config_bool(const struct config_key *key, const char *value, uint64_t *ret, struct err *err)
{
	bool yes = false;
	int rc = set_bool(key, value, &yes, err);

	*ret = yes;
	return rc;
}

static int set_expire(const struct config_key *key, const char *value, int32_t *ret,
		      struct err *err)
{
	uint64_t days;

	if (strcasecmp(value, "never") == 0)
		*ret = -1;
	else if (strcasecmp(value, "unannounced") == 0)
		*ret = -2;
	else if (span_number(span_of(value), key->max, &days) == 0)
		*ret = (int32_t)days;
	else
		return err_set(err, EX_CONFIG,
			       "%s = \"%s\": write \"never\", \"unannounced\" or a number of days",
			       key->name, value);
	return 0;
}

static int add_listener(const struct config_key *key, const char *value, const char *directory,
			uint32_t line, struct config *config, struct err *err)
{
	struct config_listener listener;

	if (config_listener_parse(value, key->service, directory, &listener, err) < 0)
		return -1;
	for (uint32_t i = 0; i < config->listener_count; i++)
		if (config->listeners[i].port == listener.port &&
		    strcmp(config->listeners[i].address, listener.address) == 0)
			return err_set(err, EX_CONFIG,
				       "listen = \"%s\": line %" PRIu32 " has that address already",
				       value, config->listeners[i].line);
	if (config->listener_count == CONFIG_LISTENERS_MAX)
		return err_set(err, EX_CONFIG, "listen: at most %d addresses in all",
			       CONFIG_LISTENERS_MAX);
	listener.line = line;
	config->listeners[config->listener_count++] = listener;
	return 0;
}

int config_key_set(const struct config_key *key, const char *value, const char *directory,
		   uint32_t line, struct config *config, struct err *err)
{
	uint64_t number = 0;
	uint32_t choice = 0;

	switch (key->kind) {
	case KEY_TEXT:
		return set_text(key, value, config, err);
	case KEY_HOST:
		if (*value && !config_host_valid(value))
			return err_set(err, EX_CONFIG, "%s = \"%s\" is not a host name", key->name,
				       value);
		return set_text(key, value, config, err);
	case KEY_PATH:
		return set_path(key, value, directory, config, err);
	case KEY_MAIL:
		return add_root(key, value, directory, config, err);
	case KEY_WORDS:
	case KEY_ALIASES:
	case KEY_MECHANISMS:
	case KEY_USERS:
		return add_words(key, value, config, err);
	case KEY_BOOL:
		return set_bool(key, value, member(key, config), err);
	case KEY_CHOICE:
		return set_choice(key, value, member(key, config), err);
	case KEY_FLAG_CHOICE:
		if (set_choice(key, value, &choice, err) < 0)
			return -1;
		*(bool *)member(key, config) = choice != 0;
		return 0;
	case KEY_NUMBER:
	case KEY_SECONDS:
	case KEY_MILLISECONDS:
		if (config_number(key, value, &number, err) < 0)
			return -1;
		*(uint32_t *)member(key, config) = (uint32_t)number;
		return 0;
	case KEY_SIZE:
		return config_number(key, value, member(key, config), err);
	case KEY_EXPIRE:
		return set_expire(key, value, member(key, config), err);
	case KEY_LISTEN:
		return add_listener(key, value, directory, line, config, err);
	}
	return -1;
}

void config_key_clear(const struct config_key *key, struct config *config)
{
	uint32_t kept = 0;

	if (key->kind == KEY_WORDS || key->kind == KEY_ALIASES || key->kind == KEY_MECHANISMS ||
	    key->kind == KEY_USERS)
		*(char *)member(key, config) = '\0';
	if (key->kind == KEY_MAIL) {
		memset(config->roots, 0, sizeof(config->roots));
		config->root_count = 0;
	}
	if (key->kind != KEY_LISTEN)
		return;
	for (uint32_t i = 0; i < config->listener_count; i++)
		if (config->listeners[i].service != key->service)
			config->listeners[kept++] = config->listeners[i];
	config->listener_count = kept;
}

static void print_quoted(const char *text, FILE *out)
{
	fputc('"', out);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\' || *text == '$')
			fputc('\\', out);
		fputc(*text, out);
	}
	fputc('"', out);
}

static void print_path(const char *path, const char *directory, FILE *out)
{
	size_t n = strlen(directory);

	if (n > 1 && strncmp(path, directory, n) == 0 && path[n] == '/' && path[n + 1])
		path += n + 1;
	print_quoted(path, out);
}

static void print_list(const char *words, FILE *out)
{
	fputc('{', out);
	for (const char *p = words; *(p += strspn(p, " ")); p += strcspn(p, " "))
		fprintf(out, "%s\"%.*s\"", p == words ? "" : ", ", (int)strcspn(p, " "), p);
	fputc('}', out);
}

static void print_listeners(const struct config_key *key, const struct config *config, FILE *out)
{
	bool first = true;

	fputc('{', out);
	for (uint32_t i = 0; i < config->listener_count; i++) {
		char text[CONFIG_PATH_MAX + 16];

		if (config->listeners[i].service != key->service)
			continue;
		config_listener_print(&config->listeners[i], text, sizeof(text));
		fputs(first ? "" : ", ", out);
		print_quoted(text, out);
		first = false;
	}
	fputc('}', out);
}

static void print_roots(const struct config *config, const char *directory, FILE *out)
{
	char text[CONFIG_MAIL_MAX];

	fputs(config->root_count > 1 ? "{" : "", out);
	for (uint32_t i = 0; i < config->root_count; i++) {
		fputs(i ? ", " : "", out);
		print_path(config_root_text(&config->roots[i], text), directory, out);
	}
	fputs(config->root_count > 1 ? "}" : "", out);
}

static void print_counted(enum key_kind kind, uint64_t value, FILE *out)
{
	char text[32];

	print_number(kind, value, text, sizeof(text));
	fputs(text, out);
}

void config_key_print(const struct config_key *key, const struct config *config,
		      const char *directory, FILE *out)
{
	const void *value = const_member(key, config);

	switch (key->kind) {
	case KEY_TEXT:
	case KEY_HOST:
		print_quoted(value, out);
		return;
	case KEY_PATH:
		print_path(value, directory, out);
		return;
	case KEY_MAIL:
		print_roots(config, directory, out);
		return;
	case KEY_WORDS:
	case KEY_ALIASES:
	case KEY_MECHANISMS:
	case KEY_USERS:
		print_list(value, out);
		return;
	case KEY_BOOL:
		fputs(*(const bool *)value ? "yes" : "no", out);
		return;
	case KEY_CHOICE:
		print_quoted(key->choices[*(const uint32_t *)value], out);
		return;
	case KEY_FLAG_CHOICE:
		print_quoted(key->choices[*(const bool *)value], out);
		return;
	case KEY_NUMBER:
	case KEY_SECONDS:
	case KEY_MILLISECONDS:
		print_counted(key->kind, *(const uint32_t *)value, out);
		return;
	case KEY_SIZE:
		print_counted(key->kind, *(const uint64_t *)value, out);
		return;
	case KEY_EXPIRE:
		if (*(const int32_t *)value >= 0)
			fprintf(out, "%" PRId32, *(const int32_t *)value);
		else
			fputs(*(const int32_t *)value == -1 ? "\"never\"" : "\"unannounced\"", out);
		return;
	case KEY_LISTEN:
		print_listeners(key, config, out);
		return;
	}
}
