/* The table of options and its parser; for fetch.c, in the process before it confines itself. Texts
 * in struct fetch_options stay argv's; the arguments are the user's own. */
#include "fetch/account/options.h"

#include "base/text.h"
#include "fetch/account/idn.h"
#include "fetch/account/place.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

enum {
	OPT_TO = 256,
	OPT_KEEP,
	OPT_DELETE,
	OPT_KEEP_DAYS,
	OPT_KEEP_NEWEST,
	OPT_FOLLOW,
	OPT_TLS,
	OPT_CA,
	OPT_TLS_NAME,
	OPT_PROXY,
	OPT_SOURCE,
	OPT_PIN,
	OPT_CERT,
	OPT_KEY,
	OPT_AUTH,
	OPT_PASSWORD_FILE,
	OPT_PASSWORD_COMMAND,
	OPT_PASSWORD_ENV,
	OPT_NETRC,
	OPT_PASSWORD_CREDENTIAL,
	OPT_TOKEN_COMMAND,
	OPT_STATE,
	OPT_RECIPIENT,
	OPT_CRLF,
	OPT_MAX_SIZE,
	OPT_MAX_MESSAGES,
	OPT_MAX_OCTETS,
	OPT_NO_PIPELINING,
	OPT_TIMEOUT,
	OPT_WHOLE,
	OPT_LEAVE_OUT,
	OPT_MARK_SEEN,
	OPT_BODIES,
	OPT_DRY_RUN,
	OPT_ACCEPT,
	OPT_ACCEPT_REMOVALS,
	OPT_JSON,
	OPT_JOBS,
	OPT_RECORD,
	OPT_INIT,
	OPT_REFUSED,
	OPT_RETRY_REFUSED,
	OPT_NOW,
	OPT_PLACE, /* see place.h */
	OPT_WATCH,
	OPT_INTERVAL,
	OPT_METRICS,
};

static const struct option long_options[] = {
	{"config", required_argument, NULL, 'c'},
	{"verbose", no_argument, NULL, 'v'},
	{"quiet", no_argument, NULL, 'q'},
	{"help", no_argument, NULL, 'h'},
	{"to", required_argument, NULL, OPT_TO},
	{"keep", no_argument, NULL, OPT_KEEP},
	{"delete", no_argument, NULL, OPT_DELETE},
	{"keep-days", required_argument, NULL, OPT_KEEP_DAYS},
	{"keep-newest", required_argument, NULL, OPT_KEEP_NEWEST},
	{"follow", no_argument, NULL, OPT_FOLLOW},
	{"tls", required_argument, NULL, OPT_TLS},
	{"ca", required_argument, NULL, OPT_CA},
	{"proxy", required_argument, NULL, OPT_PROXY},
	{"source", required_argument, NULL, OPT_SOURCE},
	{"tls-name", required_argument, NULL, OPT_TLS_NAME},
	{"pin", required_argument, NULL, OPT_PIN},
	{"cert", required_argument, NULL, OPT_CERT},
	{"key", required_argument, NULL, OPT_KEY},
	{"auth", required_argument, NULL, OPT_AUTH},
	{"password-file", required_argument, NULL, OPT_PASSWORD_FILE},
	{"password-command", required_argument, NULL, OPT_PASSWORD_COMMAND},
	{"password-env", required_argument, NULL, OPT_PASSWORD_ENV},
	{"netrc", required_argument, NULL, OPT_NETRC},
	{"password-credential", required_argument, NULL, OPT_PASSWORD_CREDENTIAL},
	{"token-command", required_argument, NULL, OPT_TOKEN_COMMAND},
	{"state", required_argument, NULL, OPT_STATE},
	{"recipient", required_argument, NULL, OPT_RECIPIENT},
	{"crlf", no_argument, NULL, OPT_CRLF},
	{"max-size", required_argument, NULL, OPT_MAX_SIZE},
	{"max-messages", required_argument, NULL, OPT_MAX_MESSAGES},
	{"max-octets", required_argument, NULL, OPT_MAX_OCTETS},
	{"no-pipelining", no_argument, NULL, OPT_NO_PIPELINING},
	{"timeout", required_argument, NULL, OPT_TIMEOUT},
	{"whole", required_argument, NULL, OPT_WHOLE},
	{"leave-out", required_argument, NULL, OPT_LEAVE_OUT},
	{"bodies", no_argument, NULL, OPT_BODIES},
	{"mark-seen", no_argument, NULL, OPT_MARK_SEEN},
	{"dry-run", no_argument, NULL, OPT_DRY_RUN},
	{"accept-new-uidls", no_argument, NULL, OPT_ACCEPT},
	{"accept-removals", no_argument, NULL, OPT_ACCEPT_REMOVALS},
	{"json", no_argument, NULL, OPT_JSON},
	{"jobs", required_argument, NULL, OPT_JOBS},
	{"record", required_argument, NULL, OPT_RECORD},
	{"init", no_argument, NULL, OPT_INIT},
	{"refused", required_argument, NULL, OPT_REFUSED},
	{"retry-refused", no_argument, NULL, OPT_RETRY_REFUSED},
	{"now", no_argument, NULL, OPT_NOW},
	{"to-password-file", required_argument, NULL, OPT_PLACE},
	{"to-password-command", required_argument, NULL, OPT_PLACE},
	{"to-password-env", required_argument, NULL, OPT_PLACE},
	{"to-password-credential", required_argument, NULL, OPT_PLACE},
	{"to-netrc", required_argument, NULL, OPT_PLACE},
	{"to-token-command", required_argument, NULL, OPT_PLACE},
	{"to-ca", required_argument, NULL, OPT_PLACE},
	{"to-pin", required_argument, NULL, OPT_PLACE},
	{"to-flags", required_argument, NULL, OPT_PLACE},
	{"to-proxy", required_argument, NULL, OPT_PLACE},
	{"gmail-api", required_argument, NULL, OPT_PLACE},
	{"gmail-never-spam", no_argument, NULL, OPT_PLACE},
	{"watch", no_argument, NULL, OPT_WATCH},
	{"interval", required_argument, NULL, OPT_INTERVAL},
	{"metrics", required_argument, NULL, OPT_METRICS},
	{NULL, 0, NULL, 0},
};

void fetch_usage(void)
{
	fputs("usage: valija fetch [-c FILE] [-qv] [--jobs N] [ACCOUNT...]\n"
	      "       valija fetch pop3[s]://USER@HOST[:PORT] --to maildir:DIR [--keep|--delete]\n"
	      "           [--tls implicit|starttls|none] [--ca FILE] [--password-file FILE]\n"
	      "           [--state DIR]\n"
	      "       valija fetch --watch [--metrics FILE] [--interval 5m] [ACCOUNT...|URL --to "
	      "PLACE]\n"
	      "       valija fetch status [--json] [ACCOUNT...]\n"
	      "       valija fetch doctor [--bodies] [--json] ACCOUNT|HOST|URL\n"
	      "       valija fetch --init [-c FILE]\n"
	      "       valija fetch setup [OPTION...] ADDRESS    (man valija-fetch-setup)\n"
	      "       valija fetch login [OPTION...] [ACCOUNT]\n"
	      "with either: --dry-run, --mark-seen, --json, --record FILE, --accept-new-uidls\n"
	      "All options: man valija-fetch\n",
	      stderr);
}

int fetch_size(const char *text, uint64_t *ret)
{
	size_t n = strlen(text);
	unsigned shift = 0;

	if (n && strchr("kKmMgG", text[n - 1])) {
		shift = text[n - 1] == 'k' || text[n - 1] == 'K'   ? 10
			: text[n - 1] == 'm' || text[n - 1] == 'M' ? 20
								   : 30;
		n--;
	}
	if (span_number((pop3_span){text, n}, UINT64_MAX >> shift, ret) < 0)
		return -1;
	*ret <<= shift;
	return 0;
}

int fetch_interval(const char *text, uint32_t *ret)
{
	static const struct {
		char unit;
		uint32_t seconds;
	} units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
	size_t n = strlen(text);
	uint32_t unit = 1;
	uint64_t value;

	for (size_t i = 0; n && i < sizeof(units) / sizeof(units[0]); i++) {
		if (text[n - 1] == units[i].unit) {
			unit = units[i].seconds;
			n--;
			break;
		}
	}
	if (span_number((pop3_span){text, n}, FETCH_INTERVAL_MAX / unit, &value) < 0 || value == 0)
		return -1;
	*ret = (uint32_t)value * unit;
	return 0;
}

static int number(const char *text, uint64_t max, const char *what, uint64_t *ret, struct err *err)
{
	if (span_number(span_of(text), max, ret) < 0)
		return err_set(err, EX_USAGE, "--%s needs a number, not \"%.40s\"", what, text);
	return 0;
}

static int number32(const char *text, const char *what, uint32_t *ret, struct err *err)
{
	uint64_t value;

	if (number(text, 1000000, what, &value, err) < 0)
		return -1;
	*ret = (uint32_t)value;
	return 0;
}

static int size_option(const char *text, const char *what, uint64_t *ret, struct err *err)
{
	if (fetch_size(text, ret) < 0)
		return err_set(err, EX_USAGE, "--%s needs a size such as 10M, not \"%.40s\"", what,
			       text);
	return 0;
}

static int add_pin(struct fetch_account *account, const char *text, struct err *err)
{
	if (account->pin_count == TLS_CLIENT_PINS_MAX)
		return err_set(err, EX_USAGE, "more than %d pins", TLS_CLIENT_PINS_MAX);
	if (tls_client_pin(text, account->pins[account->pin_count]) < 0)
		return err_set(err, EX_USAGE, "a pin is sha256//BASE64 of a key, not \"%.80s\"",
			       text);
	account->pin_count++;
	return 0;
}

static int password_option(struct fetch_account *account, enum fetch_password_source source,
			   const char *from, struct err *err)
{
	account->password_source = source;
	return fetch_text(account->password_from, sizeof(account->password_from), from,
			  "where the password is", err);
}

/* Options about the server and the login. 1: the option is another one. */
static int access_option(int option, const char *value, struct fetch_account *a, struct err *err)
{
	switch (option) {
	case OPT_TLS:
		return fetch_account_tls(a, value, err);
	case OPT_CA:
		return fetch_text(a->ca_file, sizeof(a->ca_file), value, "--ca", err);
	case OPT_PROXY:
		return fetch_proxy_url(&a->proxy, value, false, err);
	case OPT_SOURCE:
		return fetch_account_source(a, value, err);
	case OPT_TLS_NAME:
		return fetch_host_to_ascii(value, a->tls_name, sizeof(a->tls_name), err);
	case OPT_CERT:
		return fetch_text(a->cert_file, sizeof(a->cert_file), value, "--cert", err);
	case OPT_KEY:
		return fetch_text(a->key_file, sizeof(a->key_file), value, "--key", err);
	case OPT_PIN:
		return add_pin(a, value, err);
	case OPT_AUTH:
		return fetch_text(a->auth, sizeof(a->auth), value, "--auth", err);
	case OPT_PASSWORD_FILE:
		return password_option(a, FETCH_PASSWORD_FILE, value, err);
	case OPT_PASSWORD_COMMAND:
		return password_option(a, FETCH_PASSWORD_COMMAND, value, err);
	case OPT_PASSWORD_ENV:
		return password_option(a, FETCH_PASSWORD_ENVIRONMENT, value, err);
	case OPT_NETRC:
		return password_option(a, FETCH_PASSWORD_NETRC, value, err);
	case OPT_PASSWORD_CREDENTIAL:
		return password_option(a, FETCH_PASSWORD_CREDENTIAL, value, err);
	case OPT_TOKEN_COMMAND:
		return password_option(a, FETCH_TOKEN_COMMAND, value, err);
	case OPT_NO_PIPELINING:
		a->no_pipelining = true;
		return 0;
	case OPT_TIMEOUT:
		return number32(value, "timeout", &a->limits.reply_seconds, err);
	}
	return 1;
}

/* Options about policy, sink and limits. 1: the option is another one. */
static int policy_option(int option, const char *value, struct fetch_account *a, struct err *err)
{
	switch (option) {
	case OPT_TO:
		return fetch_account_sink(a, value, err);
	case OPT_KEEP:
		a->policy = FETCH_KEEP;
		return 0;
	case OPT_DELETE:
		a->policy = FETCH_DELETE;
		return 0;
	case OPT_KEEP_DAYS:
		a->policy = FETCH_KEEP_DAYS;
		return number32(value, "keep-days", &a->keep_days, err);
	case OPT_KEEP_NEWEST:
		a->policy = FETCH_KEEP_NEWEST;
		return number32(value, "keep-newest", &a->keep_newest, err);
	case OPT_FOLLOW:
		a->policy = FETCH_FOLLOW;
		return 0;
	case OPT_RECIPIENT:
		return fetch_text(a->recipient, sizeof(a->recipient), value, "--recipient", err);
	case OPT_REFUSED:
		return fetch_text(a->refused, sizeof(a->refused), value, "--refused", err);
	case OPT_CRLF:
		a->store_crlf = true;
		return 0;
	case OPT_INTERVAL:
		if (fetch_interval(value, &a->interval) < 0)
			return err_set(err, EX_USAGE,
				       "--interval needs a time such as 5m, not \"%.40s\"", value);
		return 0;
	case OPT_MAX_SIZE:
		return size_option(value, "max-size", &a->limits.message_octets, err);
	case OPT_MAX_OCTETS:
		return size_option(value, "max-octets", &a->limits.run_octets, err);
	case OPT_MAX_MESSAGES:
		return number(value, UINT32_MAX, "max-messages", &a->limits.run_messages, err);
	}
	return 1;
}

static int run_option(int option, char *value, struct fetch_options *o, struct err *err)
{
	uint32_t jobs = 0;

	switch (option) {
	case 'c':
		o->config = value;
		return 0;
	case 'v':
		o->verbose = true;
		return 0;
	case 'q':
		o->quiet = true;
		return 0;
	case 'h':
		o->help = true;
		return 0;
	case OPT_STATE:
		o->state = value;
		return 0;
	case OPT_WHOLE:
		o->whole = value;
		return 0;
	case OPT_LEAVE_OUT:
		o->leave_out = value;
		return 0;
	case OPT_BODIES:
		o->bodies = true;
		return 0;
	case OPT_MARK_SEEN:
		o->mark_seen = true;
		return 0;
	case OPT_DRY_RUN:
		o->dry_run = true;
		return 0;
	case OPT_ACCEPT:
		o->accept_new_uidls = true;
		return 0;
	case OPT_ACCEPT_REMOVALS:
		o->accept_removals = true;
		return 0;
	case OPT_JSON:
		o->json = true;
		return 0;
	case OPT_RECORD:
		o->record = value;
		return 0;
	case OPT_INIT:
		o->init = true;
		return 0;
	case OPT_RETRY_REFUSED:
		o->retry_refused = true;
		return 0;
	case OPT_NOW:
		o->now = true;
		return 0;
	case OPT_WATCH:
		o->watch = true;
		return 0;
	case OPT_METRICS:
		o->metrics = value;
		return 0;
	case OPT_JOBS:
		if (number32(value, "jobs", &jobs, err) < 0)
			return -1;
		o->jobs = jobs ? jobs : 1;
		return 0;
	}
	return err_set(err, EX_USAGE, "this option is not known, or lacks its value");
}

int fetch_options_parse(int argc, char **argv, struct fetch_options *options,
			struct fetch_account *account, struct err *err)
{
	int option, row = 0;

	*options = (struct fetch_options){0};
	optind = 0; /* GNU: the parser starts anew, it may have run before */
	opterr = 0;
	while ((option = getopt_long(argc, argv, "c:vqh", long_options, &row)) != -1) {
		int rc = 1;

		if (option != '?')
			rc = access_option(option, optarg, account, err);
		if (rc == 1 && option == OPT_PLACE)
			rc = fetch_place_set(account, long_options[row].name,
					     optarg ? optarg : "yes", false, err);
		if (rc == 1 && option != '?')
			rc = policy_option(option, optarg, account, err);
		if (rc == 0)
			options->account_settings = true;
		if (option == OPT_TLS)
			options->tls_given = true;
		if (rc == 1)
			rc = run_option(option, optarg, options, err);
		if (rc < 0) {
			if (option == '?')
				err_prefix(err, "%s", argv[optind - 1]);
			return -1;
		}
	}
	options->first = optind;
	return 0;
}
