/*
 * valija.conf to struct config: one of the two files that know libconfuse; the other one is
 * fetch/account/config_file.c, for valija-fetch.conf. Values are taken as text and converted by the
 * table of keys.h while libconfuse stands at their line, so that every message has one. Runs in the
 * monitor and in the command line programs; see config.h.
 */
#include "config/database.h"
#include "config/keys.h"
#include "config/path.h"
#include "config/remote.h"
#include "config/rules.h"
#include "config/scan.h"

#include "base/descriptor.h"
#include "base/text.h"

#include <confuse.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

enum {
	KEYS_MAX = 96,
	SECTIONS_MAX = 16,
};

/* A listener section: which address it is about is known when all are read. */
struct section {
	const cfg_t *cfg;
	char title[CONFIG_NAME_MAX];
	uint32_t line;
	struct config_rules rules;
};

/* One run of the parser. libconfuse's callbacks take no pointer of ours, hence the variable. */
struct reader {
	struct config *config;
	struct err *err;
	bool failed;
	uint32_t lines[KEYS_MAX]; /* where each key was set, 0: not */
	const cfg_t *tls;         /* the certificate section that is being read */
	bool has_certificate, has_key;
	const cfg_t *database; /* the database section that is being read */
	const cfg_t *remote;   /* the same of remote */
	struct section
		sections[CONFIG_LISTENERS_MAX]; /* listener sections, the last is being read */
	uint32_t section_count;
};
static _Thread_local struct reader *reader;

struct grammar {
	cfg_opt_t root[KEYS_MAX + SECTIONS_MAX];
	cfg_opt_t sections[SECTIONS_MAX][KEYS_MAX];
	cfg_opt_t tls[3];
	cfg_opt_t database[KEYS_MAX];
	cfg_opt_t remote[KEYS_MAX];
	cfg_opt_t listener[KEYS_MAX];
};

static void fail(int line, const char *words)
{
	if (reader->failed)
		return;
	reader->failed = true;
	err_set(reader->err, EX_CONFIG, "%s:%d: %s", reader->config->file, line, words);
}

/* Finds the section that does have a setting of that name: a frequent slip. */
static void hint(const char *section, const char *name, char *buf, size_t size)
{
	bool root = strcmp(section, "root") == 0;

	for (size_t i = 0; i < config_key_count(); i++) {
		const struct config_key *key = config_key(i);

		if (strcmp(key->name, name) != 0)
			continue;
		if (*key->section)
			snprintf(buf, size, "; it belongs into %s { }", key->section);
		else
			snprintf(buf, size, "; it belongs outside of the sections");
		return;
	}
	if (root && (strcmp(name, "certificate") == 0 || strcmp(name, "key") == 0))
		snprintf(buf, size, "; it belongs into tls \"NAME\" { }");
	else
		snprintf(buf, size, "; valija.conf(5) lists them all");
}

static void on_error(cfg_t *cfg, const char *format, va_list ap)
{
	char words[256], name[64], more[80] = "", text[300];
	va_list copy;

	if (!format)
		return;
	va_copy(copy, ap);
	vsnprintf(words, sizeof(words), format, ap);
	/* libconfuse has no code for it; the library's text, which is not translated here, is all
	 * there is. Another text in a later version costs the hint only. */
	if (strstr(format, "no such option")) {
		snprintf(name, sizeof(name), "%s", va_arg(copy, const char *));
		hint(cfg->name ? cfg->name : "root", name, more, sizeof(more));
		snprintf(words, sizeof(words), "there is no setting \"%s\"%s", name,
			 cfg->name && strcmp(cfg->name, "root") != 0 ? " in this section" : "");
	}
	va_end(copy);
	snprintf(text, sizeof(text), "%s%s", words, more);
	fail(cfg->line, text);
}

static int on_value(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	const char *section = strcmp(cfg->name, "root") == 0 ? "" : cfg->name;
	int index = config_key_find(section, opt->name);
	const struct config_key *key;
	struct err err = {0};
	char words[96];

	*(const char **)result = value;
	if (index < 0 || reader->failed)
		return -1;
	key = config_key((size_t)index);
	if (opt->nvalues <= 1) { /* the first value of an assignment */
		if (reader->lines[index]) {
			snprintf(words, sizeof(words), "%s is set in line %" PRIu32 " already",
				 key->name, reader->lines[index]);
			fail(cfg->line, words);
			return -1;
		}
		reader->lines[index] = (uint32_t)cfg->line;
		config_key_clear(key, reader->config);
	}
	if (config_key_set(key, value, reader->config->directory, (uint32_t)cfg->line,
			   reader->config, &err) < 0) {
		fail(cfg->line, err.text);
		return -1;
	}
	return 0;
}

/* certificate or key of a tls section. */
static int on_tls_value(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	struct config *config = reader->config;
	bool is_key = strcmp(opt->name, "key") == 0;
	struct config_certificate *entry;
	struct err err = {0};

	*(const char **)result = value;
	if (reader->tls != cfg) {
		if (config->certificate_count == CONFIG_CERTIFICATES_MAX) {
			fail(cfg->line, "too many tls sections: at most 64");
			return -1;
		}
		reader->tls = cfg;
		reader->has_certificate = reader->has_key = false;
		config->certificates[config->certificate_count++].line = (uint32_t)cfg->line;
	}
	if (is_key ? reader->has_key : reader->has_certificate) {
		fail(cfg->line, is_key ? "key is set twice" : "certificate is set twice");
		return -1;
	}
	*(is_key ? &reader->has_key : &reader->has_certificate) = true;
	entry = &config->certificates[config->certificate_count - 1];
	if (!*value || strpbrk(value, "\n\r\t")) {
		fail(cfg->line, "write the path of a PEM file");
		return -1;
	}
	if (config_resolve_file(config->directory, value, is_key ? entry->key : entry->certificate,
				CONFIG_PATH_MAX, &err) < 0) {
		fail(cfg->line, err.text);
		return -1;
	}
	return 0;
}

/* A setting of a database section. */
static int on_database_value(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	struct config *config = reader->config;
	struct err err = {0};

	*(const char **)result = value;
	if (reader->failed)
		return -1;
	if (reader->database != cfg) {
		reader->database = cfg;
		if (config_database_begin(config, cfg_title(cfg), (uint32_t)cfg->line, &err) < 0) {
			fail(cfg->line, err.text);
			return -1;
		}
	}
	if (config_database_set(config, opt->name, value, &err) < 0) {
		fail(cfg->line, err.text);
		return -1;
	}
	return 0;
}

static int on_database_end(cfg_t *cfg, cfg_opt_t *opt)
{
	const cfg_t *section = cfg_opt_getnsec(opt, cfg_opt_size(opt) - 1);
	struct err err = {0};

	if (reader->database != section)
		fail(cfg->line, "a database section needs a driver");
	else if (config_database_end(reader->config, &err) < 0)
		fail(cfg->line, err.text);
	return reader->failed ? -1 : 0;
}

/* A setting of a remote section. */
static int on_remote_value(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	struct config *config = reader->config;
	struct err err = {0};

	*(const char **)result = value;
	if (reader->failed)
		return -1;
	if (reader->remote != cfg &&
	    config_remote_begin(config, cfg_title(cfg), (uint32_t)cfg->line, &err) < 0) {
		fail(cfg->line, err.text);
		return -1;
	}
	reader->remote = cfg;
	if (config_remote_set(config, opt->name, value, &err) < 0) {
		fail(cfg->line, err.text);
		return -1;
	}
	return 0;
}

static int on_remote_end(cfg_t *cfg, cfg_opt_t *opt)
{
	const cfg_t *section = cfg_opt_getnsec(opt, cfg_opt_size(opt) - 1);
	struct err err = {0};

	if (reader->remote != section)
		fail(cfg->line, "a remote section needs a server");
	else if (config_remote_end(reader->config, &err) < 0)
		fail(cfg->line, err.text);
	return reader->failed ? -1 : 0;
}

/* The listener section that cfg is; NULL: there are too many. */
static struct section *section_of(cfg_t *cfg)
{
	struct section *section = &reader->sections[reader->section_count];

	if (reader->section_count && section[-1].cfg == cfg)
		return section - 1;
	if (reader->section_count == CONFIG_LISTENERS_MAX ||
	    span_copy(span_of(cfg_title(cfg)), section->title, sizeof(section->title)) < 0) {
		fail(cfg->line, "too many listener sections, or one with too long a title");
		return NULL;
	}
	section->cfg = cfg;
	section->line = (uint32_t)cfg->line;
	reader->section_count++;
	return section;
}

/* A setting of a listener section. */
static int on_listener_value(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	struct section *section = section_of(cfg);
	struct err err = {0};

	*(const char **)result = value;
	if (!section || reader->failed)
		return -1;
	if (config_rule_set(&section->rules, opt->name, value, &err) < 0) {
		fail(cfg->line, err.text);
		return -1;
	}
	return 0;
}

static int on_listener_end(cfg_t *cfg, cfg_opt_t *opt)
{
	const struct section *section = section_of(cfg_opt_getnsec(opt, cfg_opt_size(opt) - 1));
	struct err err = {0};

	if (section && config_rules_check(&section->rules, &err) < 0)
		fail(cfg->line, err.text);
	return reader->failed ? -1 : 0;
}

static int on_tls_end(cfg_t *cfg, cfg_opt_t *opt)
{
	const cfg_t *section = cfg_opt_getnsec(opt, cfg_opt_size(opt) - 1);

	if (reader->tls == section && reader->has_certificate && reader->has_key)
		return 0;
	fail(cfg->line, "a tls section needs both certificate and key");
	return -1;
}

static void add_option(cfg_opt_t *options, const char *name, bool list,
		       int (*parse)(cfg_t *, cfg_opt_t *, const char *, void *))
{
	while (options->name)
		options++;
	options->name = name;
	options->type = CFGT_STR;
	options->flags = CFGF_NODEFAULT | (list ? CFGF_LIST : CFGF_NONE);
	options->parsecb = parse;
}

static bool has_option(const cfg_opt_t *options, const char *name)
{
	while (options->name && strcmp(options->name, name) != 0)
		options++;
	return options->name != NULL;
}

static void add_section(cfg_opt_t *options, const char *name, cfg_opt_t *inside, cfg_flag_t flags)
{
	while (options->name)
		options++;
	options->name = name;
	options->type = CFGT_SEC;
	options->flags = flags;
	options->subopts = inside;
}

/* The table of keys as libconfuse wants it. */
static void grammar_init(struct grammar *grammar)
{
	size_t sections = 0;

	memset(grammar, 0, sizeof(*grammar));
	for (size_t i = 0; i < config_key_count(); i++) {
		const struct config_key *key = config_key(i);
		bool list = key->kind == KEY_LISTEN || key->kind == KEY_WORDS ||
			    key->kind == KEY_ALIASES || key->kind == KEY_MECHANISMS ||
			    key->kind == KEY_USERS || key->kind == KEY_MAIL;

		if (!*key->section) {
			add_option(grammar->root, key->name, list, on_value);
			continue;
		}
		if (i == 0 || strcmp(config_key(i - 1)->section, key->section) != 0)
			add_section(grammar->root, key->section, grammar->sections[sections++],
				    CFGF_NONE);
		add_option(grammar->sections[sections - 1], key->name, list, on_value);
	}
	add_option(grammar->tls, "certificate", false, on_tls_value);
	add_option(grammar->tls, "key", false, on_tls_value);
	add_section(grammar->root, "tls", grammar->tls,
		    CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES);
	add_option(grammar->database, "driver", false, on_database_value);
	add_option(grammar->database, "for", true, on_database_value);
	for (size_t i = 0; i < config_database_key_count(); i++)
		if (!has_option(grammar->database, config_database_key(i)->name))
			add_option(grammar->database, config_database_key(i)->name,
				   config_database_key(i)->kind == DATABASE_LIST,
				   on_database_value);
	add_section(grammar->root, "database", grammar->database,
		    CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES);
	for (size_t i = 0; i < config_remote_key_count(); i++)
		add_option(grammar->remote, config_remote_key(i)->name, false, on_remote_value);
	add_section(grammar->root, "remote", grammar->remote,
		    CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES);
}

static void add_rules(struct grammar *grammar)
{
	for (size_t i = 0; i < config_rule_count(); i++)
		add_option(grammar->listener, config_rule(i)->name,
			   config_rule(i)->kind == RULE_NETWORKS, on_listener_value);
	add_section(grammar->root, "listener", grammar->listener,
		    CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES);
}

static int run_parser(char *text, size_t size, struct err *err)
{
	struct grammar *grammar = malloc(sizeof(*grammar));
	FILE *file = fmemopen(text, size, "r");
	cfg_t *cfg = NULL;
	int status = -1;

	if (!grammar || !file) {
		err_set(err, EX_OSERR, "out of memory");
		goto out;
	}
	grammar_init(grammar);
	add_rules(grammar);
	cfg = cfg_init(grammar->root, CFGF_NONE);
	if (!cfg) {
		err_set(err, EX_OSERR, "out of memory");
		goto out;
	}
	cfg_set_error_function(cfg, on_error);
	cfg_set_validate_func(cfg, "tls", on_tls_end);
	cfg_set_validate_func(cfg, "database", on_database_end);
	cfg_set_validate_func(cfg, "remote", on_remote_end);
	cfg_set_validate_func(cfg, "listener", on_listener_end);
	if (cfg_parse_fp(cfg, file) == CFG_SUCCESS && !reader->failed)
		status = 0;
	else if (!reader->failed)
		fail(cfg->line, "not understood");
out:
	if (cfg)
		cfg_free(cfg);
	if (file)
		fclose(file);
	free(grammar);
	return status;
}

/* Gives each listener its section. */
static int apply_sections(struct config *config, struct err *err)
{
	bool taken[CONFIG_LISTENERS_MAX] = {false};

	for (uint32_t i = 0; i < reader->section_count; i++) {
		const struct section *section = &reader->sections[i];
		int place = config_rules_find(config, section->title, err);

		if (place >= 0 && taken[place])
			place = err_set(err, EX_CONFIG,
					"listener \"%s\": that address has a section already",
					section->title);
		if (place < 0)
			return err_prefix(err, "%s:%" PRIu32, config->file, section->line);
		taken[place] = true;
		config->rules[place] = section->rules;
	}
	return 0;
}

static uint32_t line_of(const char *section, const char *name)
{
	int index = config_key_find(section, name);

	return index < 0 ? 0 : reader->lines[index];
}

/* "::" takes IPv4 connections too, unless the port is listed with an IPv4 address as well. */
static void find_only_six(struct config *config)
{
	for (uint32_t i = 0; i < config->listener_count; i++) {
		struct config_listener *listener = &config->listeners[i];

		listener->only_six = strcmp(listener->address, "::") != 0;
		for (uint32_t j = 0; j < config->listener_count; j++)
			if (config->listeners[j].port == listener->port &&
			    !strchr(config->listeners[j].address, ':'))
				listener->only_six = 1;
	}
}

/* A path has a "/", so that a word that is written wrong is no file. */
static bool is_log(const char *to)
{
	if (strncmp(to, "syslog:", 7) == 0)
		return to[7] == '/';
	return strcmp(to, "stderr") == 0 || strcmp(to, "syslog") == 0 ||
	       (strchr(to, '/') && to[strlen(to) - 1] != '/');
}

static bool is_events(const char *to)
{
	if (strncmp(to, "unix:", 5) == 0)
		return to[5] == '/';
	return !to[0] || (strchr(to, '/') && to[strlen(to) - 1] != '/');
}

static bool holds(const char *folder, const char *path)
{
	size_t n = strlen(folder);

	while (n > 0 && folder[n - 1] == '/')
		n--;
	return strncmp(folder, path, n) == 0 && (!path[n] || path[n] == '/');
}

/* A folder of maildrops in another one: a maildrop would have two places, and two keepers. */
static int check_roots(const struct config *config, struct err *err)
{
	for (uint32_t i = 0; i < config->root_count; i++)
		for (uint32_t j = i + 1; j < config->root_count; j++) {
			const char *a = config->roots[i].path, *b = config->roots[j].path;

			if (holds(a, b) || holds(b, a))
				return err_set(err, EX_CONFIG,
					       "%s:%" PRIu32 ": mail: %s and %s are one folder, or "
					       "one is in the other: write each folder once; "
					       "homes may be anywhere below it",
					       config->file, line_of("", "mail"), a, b);
		}
	return 0;
}

static int check_maildir(const struct config *config, struct err *err)
{
	if (!config->maildir[0] || config_below_valid(span_of(config->maildir)))
		return 0;
	return err_set(err, EX_CONFIG,
		       "%s:%" PRIu32
		       ": maildir is a path below each home, such as \"Maildir\": no \"/\" in "
		       "front, no part that is empty or begins with a dot",
		       config->file, line_of("", "maildir"));
}

/* Checks that concern more than one setting. */
static int check(const struct config *config, struct err *err)
{
	if (check_roots(config, err) < 0 || check_maildir(config, err) < 0 ||
	    config_database_check_mail(config, err) < 0)
		return -1;
	if (config->listener_count == 0)
		return err_set(err, EX_CONFIG,
			       "%s: nothing to listen on: write for example pop3s { listen = "
			       "{\"127.0.0.1:1995\"} }",
			       config->file);
	for (uint32_t i = 0; i < config->listener_count; i++)
		if (config->listeners[i].service == SERVICE_POP3S && config->certificate_count == 0)
			return err_set(err, EX_CONFIG,
				       "%s:%" PRIu32 ": pop3s needs a certificate: write tls "
				       "\"default\" { certificate = \"…\" key = \"…\" }",
				       config->file, config->listeners[i].line);
	if (config->client_ca[0] && !config_takes_certificates(config))
		return err_set(err, EX_CONFIG,
			       "%s:%" PRIu32
			       ": client_ca is for the mechanism EXTERNAL: name it in "
			       "login.mechanisms, beside those that stay",
			       config->file, line_of("login", "client_ca"));
	if (config->failure_delay_max_ms < config->failure_delay_ms)
		return err_set(err, EX_CONFIG,
			       "%s:%" PRIu32 ": failure_delay_max is less than failure_delay",
			       config->file,
			       line_of("login", "failure_delay_max")
				       ? line_of("login", "failure_delay_max")
				       : line_of("login", "failure_delay"));
	if (config->login_delay_max && config->login_delay_max < config->login_delay_seconds)
		return err_set(err, EX_CONFIG,
			       "%s:%" PRIu32
			       ": login_delay_max is less than login_delay: clients get it as the "
			       "longest delay of any user; make it at least login_delay",
			       config->file, line_of("pop3", "login_delay_max"));
	/* what is not a day is announced as 0: clients would leave nothing on the server */
	if (config->delete_after_seconds && config->delete_after_seconds < 24 * 3600)
		return err_set(err, EX_CONFIG,
			       "%s:%" PRIu32 ": retention.delete_after is at least 1d, or 0: never",
			       config->file, line_of("retention", "delete_after"));
	if (!is_log(config->log_to))
		return err_set(err, EX_CONFIG,
			       "%s:%" PRIu32 ": log_to is \"stderr\", \"syslog\", "
			       "\"syslog:/SOCKET\" or a path with a \"/\" (\"./valija.log\")",
			       config->file, line_of("", "log_to"));
	if (!is_events(config->log_events))
		return err_set(err, EX_CONFIG,
			       "%s:%" PRIu32 ": log_events is a path with a \"/\" "
			       "(\"./events.json\") or \"unix:/SOCKET\"",
			       config->file, line_of("", "log_events"));
	if (*config->catch_all && strpbrk(config->catch_all, "/ "))
		return err_set(err, EX_CONFIG, "%s:%" PRIu32 ": catch_all is not a user name",
			       config->file, line_of("lmtp", "catch_all"));
	if (strpbrk(config->recipient_delimiter, "@ /\""))
		return err_set(err, EX_CONFIG,
			       "%s:%" PRIu32
			       ": recipient_delimiter cannot be one of @ / \" or a blank",
			       config->file, line_of("lmtp", "recipient_delimiter"));
	return 0;
}

void config_defaults(struct config *ret)
{
	struct err err = {0};

	memset(ret, 0, sizeof(*ret));
	for (size_t i = 0; i < config_key_count(); i++) {
		const struct config_key *key = config_key(i);

		if (key->kind != KEY_LISTEN &&
		    config_key_set(key, key->standard, NULL, 0, ret, &err) < 0)
			abort(); /* a bad row of the table: every test would fail here */
	}
	if (gethostname(ret->host_name, sizeof(ret->host_name) - 1) < 0 ||
	    !config_host_valid(ret->host_name))
		snprintf(ret->host_name, sizeof(ret->host_name), "localhost");
}

static int defaults_for(const char *file, struct config *config, struct err *err)
{
	const char *slash = strrchr(file, '/');

	config_defaults(config);
	if (!slash || file[0] != '/' || strlen(file) >= sizeof(config->file))
		return err_set(err, EX_CONFIG, "%s: not an absolute path of less than %d octets",
			       file, CONFIG_PATH_MAX);
	memcpy(config->file, file, strlen(file) + 1);
	memcpy(config->directory, file, slash == file ? 1 : (size_t)(slash - file));
	if (config_resolve(config->directory, "mail", config->roots[0].path,
			   sizeof(config->roots[0].path), err) < 0)
		return -1;
	return config_resolve(config->directory, "users", config->users, sizeof(config->users),
			      err);
}

int config_parse(pop3_span text, const char *file, struct config *ret, struct err *err)
{
	struct config *config = malloc(sizeof(*config));
	struct reader run = {.config = config, .err = err};
	char *copy = malloc(text.size + 2);
	int status = -1;

	if (!config || !copy) {
		err_set(err, EX_OSERR, "out of memory");
		goto out;
	}
	if (defaults_for(file, config, err) < 0)
		goto out;
	if (text.size)
		memcpy(copy, text.data, text.size);
	if (config_scan(copy, text.size, file, err) < 0)
		goto out;
	copy[text.size] = '\n'; /* a last word without a line end, and an empty text for fmemopen */
	copy[text.size + 1] = '\0';
	reader = &run;
	status = run_parser(copy, text.size + 1, err);
	if (status == 0)
		status = apply_sections(config, err);
	if (status == 0)
		status = config_remote_check(config, err) < 0 ? -1 : check(config, err);
	if (status == 0)
		find_only_six(config);
	config->mechanisms_named = status == 0 && line_of("login", "mechanisms");
	reader = NULL;
	if (status == 0)
		*ret = *config;
out:
	free(copy);
	free(config);
	return status;
}

static int read_text(int fd, const char *file, char **ret, size_t *ret_size, struct err *err)
{
	size_t cap = CONFIG_TEXT_MAX + 1;
	char *text;
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(err, EX_NOINPUT, "%s: not a regular file", file);
	text = malloc(cap);
	if (!text)
		return err_set(err, EX_OSERR, "out of memory");
	n = read_all(fd, text, cap);
	if (n < 0) {
		err_sys(err, EX_IOERR, errno, "%s", file);
		free(text);
		return -1;
	}
	*ret = text;
	*ret_size = (size_t)n;
	return 0;
}

/* Absolute, without following a link at its end: relative paths are relative to where the name is.
 */
static int absolute(const char *file, char *buf, size_t size, struct err *err)
{
	char copy[PATH_MAX], real[PATH_MAX];
	const char *slash = strrchr(file, '/'), *name = slash ? slash + 1 : file;
	int n;

	if (!*name || strlen(file) >= sizeof(copy))
		return err_set(err, EX_NOINPUT, "%s: not a file name", file);
	snprintf(copy, sizeof(copy), "%.*s", slash ? (int)(slash - file + 1) : 1,
		 slash ? file : ".");
	if (!realpath(copy, real))
		return err_sys(err, EX_NOINPUT, errno, "%s", file);
	n = snprintf(buf, size, "%s/%s", strcmp(real, "/") == 0 ? "" : real, name);
	if (n < 0 || (size_t)n >= size)
		return err_set(err, EX_CONFIG, "%s: the path is too long", file);
	return 0;
}

int config_load(const char *file, struct config *ret, struct err *err)
{
	char path[CONFIG_PATH_MAX], *text = NULL;
	size_t size = 0;
	int fd, status;

	if (absolute(file, path, sizeof(path), err) < 0)
		return -1;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return err_sys(err, errno == ENOENT ? EX_NOINPUT : EX_NOPERM, errno, "%s", path);
	status = read_text(fd, path, &text, &size, err);
	close(fd);
	if (status < 0)
		return -1;
	status = config_parse((pop3_span){text, size}, path, ret, err);
	free(text);
	return status;
}
