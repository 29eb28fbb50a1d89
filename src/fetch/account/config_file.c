/*
 * valija-fetch.conf to struct fetch_config: one of the files that know libconfuse, with
 * config_oauth.c and, for valija.conf, config/parse.c. For fetch.c, before the process confines
 * itself; the caller owns the accounts until fetch_config_finish. The file is the user's own, but
 * may be wrong in any way.
 */
#include "fetch/account/config_file.h"

#include "base/secret.h"
#include "base/text.h"
#include "fetch/account/config_oauth.h"
#include "fetch/account/config_path.h"
#include "fetch/account/idn.h"
#include "fetch/account/options.h"
#include "fetch/account/password_setting.h"
#include "fetch/account/place.h"

#include <confuse.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

/* libconfuse hands its complaints to a function without context. */
static _Thread_local struct err *complaint;

static void note_complaint(cfg_t *cfg, const char *format, va_list ap)
{
	char text[256];

	if (!complaint || complaint->code)
		return; /* the first one is the cause, the rest follow from it */
	vsnprintf(text, sizeof(text), format, ap);
	err_set(complaint, EX_CONFIG, "%s:%d: %s", cfg->filename ? cfg->filename : "configuration",
		cfg->line, text);
}

int fetch_config_place(char *buf, size_t size, struct err *err)
{
	const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	int n;

	if (config && config[0] == '/')
		n = snprintf(buf, size, "%s/valija/fetch.conf", config);
	else if (home && home[0] == '/')
		n = snprintf(buf, size, "%s/.config/valija/fetch.conf", home);
	else
		return err_set(err, EX_CONFIG, "neither $HOME nor -c names the configuration file");
	return n < (int)size ? 0 : err_set(err, EX_CONFIG, "the file's name is too long");
}

static int set_sink(struct fetch_account *account, const char *text, struct err *err)
{
	char path[FETCH_COMMAND_MAX];

	if (fetch_account_sink(account, text, err) < 0)
		return -1;
	if (account->sink == FETCH_COMMAND)
		return 0; /* the shell knows what ~ is */
	snprintf(path, sizeof(path), "%s", account->target);
	return config_path(account->target, sizeof(account->target), path, "to", err);
}

/* "keep", "delete", "keep-days 30", "keep-newest 500", "follow". */
static int set_policy(struct fetch_account *account, const char *text, struct err *err)
{
	static const struct {
		const char *word;
		enum fetch_policy policy;
		bool number;
	} words[] = {{"keep", FETCH_KEEP, false},
		     {"delete", FETCH_DELETE, false},
		     {"follow", FETCH_FOLLOW, false},
		     {"keep-days", FETCH_KEEP_DAYS, true},
		     {"keep-newest", FETCH_KEEP_NEWEST, true}};
	size_t n = strcspn(text, " ");
	uint64_t number = 0;

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (!span_equal((pop3_span){text, n}, span_of(words[i].word)))
			continue;
		if (words[i].number != (text[n] == ' ') ||
		    (words[i].number && span_number(span_of(text + n + 1), 1000000, &number) < 0))
			break;
		account->policy = words[i].policy;
		if (words[i].policy == FETCH_KEEP_DAYS)
			account->keep_days = (uint32_t)number;
		if (words[i].policy == FETCH_KEEP_NEWEST)
			account->keep_newest = (uint32_t)number;
		return 0;
	}
	return err_set(err, EX_CONFIG,
		       "policy is keep, delete, follow, \"keep-days N\" or \"keep-newest N\", not "
		       "\"%.40s\"",
		       text);
}

static int set_sizes(struct fetch_account *account, cfg_t *section, struct err *err)
{
	const struct {
		const char *name;
		uint64_t *to;
	} sizes[] = {{"max-size", &account->limits.message_octets},
		     {"max-octets", &account->limits.run_octets},
		     {"max-messages", &account->limits.run_messages},
		     {"max-listing", &account->limits.listing_lines},
		     {"refuse-size", &account->limits.message_refused},
		     {"minimum-rate", &account->limits.minimum_rate}};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		const char *text = cfg_getstr(section, sizes[i].name);

		if (text && fetch_size(text, sizes[i].to) < 0)
			return err_set(err, EX_CONFIG, "%s needs a size such as 10M, not \"%.40s\"",
				       sizes[i].name, text);
	}
	if (account->limits.listing_lines > 10000000 || !account->limits.listing_lines)
		return err_set(err, EX_CONFIG, "max-listing is 1 to 10000000");
	return 0;
}

static int set_seconds(struct fetch_account *account, cfg_t *section, struct err *err)
{
	const struct {
		const char *name;
		uint32_t *to;
	} times[] = {{"connect-seconds", &account->limits.connect_seconds},
		     {"reply-seconds", &account->limits.reply_seconds},
		     {"run-seconds", &account->limits.run_seconds},
		     {"command-seconds", &account->limits.command_seconds}};

	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		long value = cfg_getint(section, times[i].name);

		if (value == 0)
			continue; /* not set */
		if (value < 1 || value > 7 * 86400)
			return err_set(err, EX_CONFIG, "%s is 1 to 604800", times[i].name);
		*times[i].to = (uint32_t)value;
	}
	return 0;
}

static int set_password(struct fetch_account *account, cfg_t *section, struct err *err)
{
	const struct fetch_password_setting *setting;

	for (unsigned i = 0; (setting = fetch_password_setting(i)) != NULL; i++) {
		const char *text = cfg_getstr(section, setting->name);

		if (!text)
			continue;
		if (account->password_source != FETCH_PASSWORD_ASK)
			return err_set(err, EX_CONFIG, "the password comes from one place only");
		account->password_source = setting->source;
		if (config_path(account->password_from, sizeof(account->password_from), text,
				setting->name, err) < 0)
			return -1;
	}
	return 0;
}

static int set_tls(struct fetch_account *account, cfg_t *section, struct err *err)
{
	const struct {
		const char *name;
		char *to;
	} paths[] = {
		{"ca", account->ca_file}, {"cert", account->cert_file}, {"key", account->key_file}};
	const char *tls = cfg_getstr(section, "tls"), *name = cfg_getstr(section, "tls-name");

	if (tls && fetch_account_tls(account, tls, err) < 0)
		return -1;
	if (name &&
	    fetch_host_to_ascii(name, account->tls_name, sizeof(account->tls_name), err) < 0)
		return -1;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		const char *text = cfg_getstr(section, paths[i].name);

		if (text && config_path(paths[i].to, FETCH_PATH_MAX, text, paths[i].name, err) < 0)
			return -1;
	}
	for (unsigned i = 0; i < cfg_size(section, "pin"); i++) {
		if (i == TLS_CLIENT_PINS_MAX)
			return err_set(err, EX_CONFIG, "more than %d pins", TLS_CLIENT_PINS_MAX);
		if (tls_client_pin(cfg_getnstr(section, "pin", i), account->pins[i]) < 0)
			return err_set(err, EX_CONFIG, "a pin is sha256//BASE64 of a key");
		account->pin_count++;
	}
	return 0;
}

static int set_text(cfg_t *section, const char *name, char *to, size_t size, struct err *err)
{
	const char *text = cfg_getstr(section, name);

	return text ? fetch_text(to, size, text, name, err) : 0;
}

/* Not set: as the server's kind is known to want it. */
static int set_initial_response(struct fetch_account *account, cfg_t *section, struct err *err)
{
	const char *text = cfg_getstr(section, "initial-response");

	if (!text)
		return 0;
	if (strcmp(text, "yes") != 0 && strcmp(text, "no") != 0)
		return err_set(err, EX_CONFIG, "initial-response is yes or no, not \"%.32s\"",
			       text);
	account->initial_response = text[0] == 'y' ? FETCH_YES : FETCH_NO;
	return 0;
}

static int set_way(struct fetch_account *account, cfg_t *section, struct err *err)
{
	const char *proxy = cfg_getstr(section, "proxy"), *source = cfg_getstr(section, "source");

	if (proxy && fetch_proxy_url(&account->proxy, proxy, true, err) < 0)
		return -1;
	return source ? fetch_account_source(account, source, err) : 0;
}

static int set_place(struct fetch_account *account, cfg_t *section, struct err *err)
{
	char path[FETCH_COMMAND_MAX];
	const char *name;
	bool is_path;

	for (unsigned i = 0; (name = fetch_place_setting(i, &is_path)) != NULL; i++) {
		const char *text = cfg_getstr(section, name);

		if (text && is_path) {
			if (config_path(path, sizeof(path), text, name, err) < 0)
				return -1;
			text = path;
		}
		if (text && fetch_place_set(account, name, text, true, err) < 0)
			return -1;
	}
	return 0;
}

static int set_refused(struct fetch_account *account, cfg_t *section, struct err *err)
{
	const char *text = cfg_getstr(section, "refused");

	return text ? config_path(account->refused, FETCH_PATH_MAX, text, "refused", err) : 0;
}

/* Of the file for all accounts, or of one. */
static int set_interval(struct fetch_account *account, cfg_t *from, struct err *err)
{
	const char *text = cfg_getstr(from, "interval");

	if (text && fetch_interval(text, &account->interval) < 0)
		return err_set(err, EX_CONFIG,
			       "interval is a time such as 30s, 5m or 2h, not \"%.40s\"", text);
	return 0;
}

static int set_tokens(struct fetch_config *config, struct fetch_account *account, cfg_t *section,
		      struct err *err)
{
	const char *oauth = cfg_getstr(section, "oauth"), *to = cfg_getstr(section, "to-oauth");

	if (oauth && config_oauth_use(config, account, oauth, err) < 0)
		return -1;
	if (to) {
		account->place.oauth = config_oauth_named(config, to, err);
		account->place.password_source = FETCH_TOKEN_OAUTH;
		if (!account->place.oauth)
			return -1;
	}
	if (set_text(section, "token-lookup", account->token_lookup, FETCH_PATH_MAX, err) < 0)
		return -1;
	return set_text(section, "token-store", account->token_store, FETCH_PATH_MAX, err);
}

static int read_account(struct fetch_config *config, cfg_t *section, struct fetch_account *account,
			struct err *err)
{
	const char *server = cfg_getstr(section, "server"), *to = cfg_getstr(section, "to");
	const char *policy = cfg_getstr(section, "policy");

	fetch_account_defaults(account);
	if (!server)
		return err_set(err, EX_CONFIG, "no server: server = \"pop3s://USER@HOST\"");
	if (!to)
		return err_set(err, EX_CONFIG, "no destination: to = \"maildir:~/Maildir\"");
	if (fetch_text(account->name, sizeof(account->name), cfg_title(section), "the name", err) <
		    0 ||
	    fetch_account_url(account, server, err) < 0 || set_sink(account, to, err) < 0 ||
	    (policy && set_policy(account, policy, err) < 0) ||
	    set_way(account, section, err) < 0 || set_tls(account, section, err) < 0 ||
	    set_password(account, section, err) < 0 ||
	    set_initial_response(account, section, err) < 0 ||
	    set_tokens(config, account, section, err) < 0 || set_sizes(account, section, err) < 0 ||
	    set_seconds(account, section, err) < 0 ||
	    set_text(section, "auth", account->auth, sizeof(account->auth), err) < 0 ||
	    set_refused(account, section, err) < 0 || set_place(account, section, err) < 0 ||
	    set_text(section, "recipient", account->recipient, sizeof(account->recipient), err) < 0)
		return -1;
	account->from_url = false;
	account->store_crlf = cfg_getbool(section, "crlf");
	account->no_pipelining = !cfg_getbool(section, "pipelining");
	return fetch_account_check(account, err);
}

static int read_accounts(cfg_t *cfg, struct fetch_config *config, struct err *err)
{
	unsigned count = cfg_size(cfg, "account");

	config->accounts = calloc(count + 1, sizeof(*config->accounts));
	if (!config->accounts)
		return err_sys(err, EX_OSERR, errno, "memory");
	for (unsigned i = 0; i < count; i++) {
		cfg_t *section = cfg_getnsec(cfg, "account", i);

		if (read_account(config, section, &config->accounts[i], err) < 0 ||
		    set_interval(&config->accounts[i], cfg, err) < 0 ||
		    set_interval(&config->accounts[i], section, err) < 0) {
			err->code = EX_CONFIG;
			return err_prefix(err, "account \"%.80s\"", cfg_title(section));
		}
		config->count++;
	}
	return 0;
}

static int read_file(cfg_t *cfg, const char *file, struct fetch_config *config, struct err *err)
{
	struct err why = {0};
	long jobs;
	int rc;

	complaint = &why;
	rc = cfg_parse(cfg, file);
	complaint = NULL;
	if (rc == CFG_FILE_ERROR)
		return err_sys(err, EX_NOINPUT, errno, "cannot read %s", file);
	if (rc != CFG_SUCCESS) {
		*err = why;
		return why.code ? -1 : err_set(err, EX_CONFIG, "%s cannot be understood", file);
	}
	jobs = cfg_getint(cfg, "jobs");
	if (jobs < 0 || jobs > 100)
		return err_set(err, EX_CONFIG, "%s: jobs is 1 to 100", file);
	config->jobs = (unsigned)jobs;
	if (cfg_getstr(cfg, "state") && config_path(config->state, sizeof(config->state),
						    cfg_getstr(cfg, "state"), "state", err) < 0)
		return -1;
	if (cfg_getstr(cfg, "metrics") &&
	    config_path(config->metrics, sizeof(config->metrics), cfg_getstr(cfg, "metrics"),
			"metrics", err) < 0)
		return -1;
	if (config_oauth_read(cfg, config, err) < 0 || read_accounts(cfg, config, err) < 0)
		return err_prefix(err, "%s", file);
	return 0;
}

/* Every setting; libconfuse makes copies of the tables. */
static cfg_t *describe(void)
{
	cfg_opt_t account[] = {
		CFG_STR("server", NULL, CFGF_NONE),
		CFG_STR("to", NULL, CFGF_NONE),
		CFG_STR("policy", NULL, CFGF_NONE),
		CFG_STR("tls", NULL, CFGF_NONE),
		CFG_STR("ca", NULL, CFGF_NONE),
		CFG_STR("tls-name", NULL, CFGF_NONE),
		CFG_STR("proxy", NULL, CFGF_NONE),
		CFG_STR("source", NULL, CFGF_NONE),
		CFG_STR("cert", NULL, CFGF_NONE),
		CFG_STR("key", NULL, CFGF_NONE),
		CFG_STR_LIST("pin", NULL, CFGF_NONE),
		CFG_STR("auth", NULL, CFGF_NONE),
		CFG_STR("password-file", NULL, CFGF_NONE),
		CFG_STR("password-command", NULL, CFGF_NONE),
		CFG_STR("password-env", NULL, CFGF_NONE),
		CFG_STR("netrc", NULL, CFGF_NONE),
		CFG_STR("password-credential", NULL, CFGF_NONE),
		CFG_STR("token-command", NULL, CFGF_NONE),
		CFG_STR("oauth", NULL, CFGF_NONE),
		CFG_STR("token-lookup", NULL, CFGF_NONE),
		CFG_STR("token-store", NULL, CFGF_NONE),
		CFG_STR("initial-response", NULL, CFGF_NONE),
		CFG_STR("recipient", NULL, CFGF_NONE),
		CFG_STR("refused", NULL, CFGF_NONE),
		CFG_STR("to-password-file", NULL, CFGF_NONE),
		CFG_STR("to-password-command", NULL, CFGF_NONE),
		CFG_STR("to-password-env", NULL, CFGF_NONE),
		CFG_STR("to-password-credential", NULL, CFGF_NONE),
		CFG_STR("to-netrc", NULL, CFGF_NONE),
		CFG_STR("to-token-command", NULL, CFGF_NONE),
		CFG_STR("to-oauth", NULL, CFGF_NONE),
		CFG_STR("to-ca", NULL, CFGF_NONE),
		CFG_STR("to-pin", NULL, CFGF_NONE),
		CFG_STR("to-flags", NULL, CFGF_NONE),
		CFG_STR("to-proxy", NULL, CFGF_NONE),
		CFG_STR("gmail-api", NULL, CFGF_NONE),
		CFG_STR("gmail-never-spam", NULL, CFGF_NONE),
		CFG_STR("max-size", NULL, CFGF_NONE),
		CFG_STR("max-messages", NULL, CFGF_NONE),
		CFG_STR("max-octets", NULL, CFGF_NONE),
		CFG_STR("max-listing", NULL, CFGF_NONE),
		CFG_STR("refuse-size", NULL, CFGF_NONE),
		CFG_STR("minimum-rate", NULL, CFGF_NONE),
		CFG_STR("interval", NULL, CFGF_NONE),
		CFG_INT("connect-seconds", 0, CFGF_NONE),
		CFG_INT("reply-seconds", 0, CFGF_NONE),
		CFG_INT("run-seconds", 0, CFGF_NONE),
		CFG_INT("command-seconds", 0, CFGF_NONE),
		CFG_BOOL("crlf", cfg_false, CFGF_NONE),
		CFG_BOOL("pipelining", cfg_true, CFGF_NONE),
		CFG_END(),
	};
	cfg_opt_t oauth[] = {
		CFG_STR("authorize", NULL, CFGF_NONE),   CFG_STR("token", NULL, CFGF_NONE),
		CFG_STR("device", NULL, CFGF_NONE),      CFG_STR("scope", NULL, CFGF_NONE),
		CFG_STR("redirect", NULL, CFGF_NONE),    CFG_STR("tenant", NULL, CFGF_NONE),
		CFG_STR("client-id", NULL, CFGF_NONE),   CFG_STR("client-secret", NULL, CFGF_NONE),
		CFG_STR("client-file", NULL, CFGF_NONE), CFG_END(),
	};
	cfg_opt_t options[] = {
		CFG_INT("jobs", 0, CFGF_NONE),
		CFG_STR("interval", NULL, CFGF_NONE),
		CFG_STR("metrics", NULL, CFGF_NONE),
		CFG_STR("state", NULL, CFGF_NONE),
		CFG_SEC("oauth", oauth, CFGF_TITLE | CFGF_MULTI | CFGF_NO_TITLE_DUPES),
		CFG_SEC("account", account, CFGF_TITLE | CFGF_MULTI | CFGF_NO_TITLE_DUPES),
		CFG_END(),
	};

	return cfg_init(options, CFGF_NONE);
}

int fetch_config_read(const char *file, struct fetch_config *ret, struct err *err)
{
	cfg_t *cfg = describe();
	struct err ignored = {0};
	int rc;

	if (!cfg)
		return err_sys(err, EX_OSERR, ENOMEM, "memory");
	*ret = (struct fetch_config){0};
	cfg_set_error_function(cfg, note_complaint);
	rc = read_file(cfg, file, ret, err ? err : &ignored);
	cfg_free(cfg);
	if (rc < 0)
		fetch_config_finish(ret);
	return rc;
}

void fetch_config_finish(struct fetch_config *config)
{
	if (config->accounts) /* as may their proxies */
		wipe(config->accounts, config->count * sizeof(*config->accounts));
	free(config->accounts);
	if (config->oauth) /* clients may have secrets */
		wipe(config->oauth, config->oauth_count * sizeof(*config->oauth));
	free(config->oauth);
	*config = (struct fetch_config){0};
}
