/*
 * `valija fetch`: from the command line to one run an account. Called by cli/main.c; runs as the
 * user, unconfined until fetch_run confines the process of an account.
 */
#include "fetch/fetch.h"

#include "base/log.h"
#include "fetch/account/config_file.h"
#include "fetch/doctor/doctor.h"
#include "fetch/interrupt.h"
#include "fetch/jobs.h"
#include "fetch/account/options.h"
#include "fetch/import/import.h"
#include "fetch/report/report.h"
#include "fetch/run.h"
#include "fetch/setup/setup.h"
#include "fetch/watch/watch.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

static int complain(const struct err *err)
{
	char text[sizeof(err->text) * 2];

	fprintf(stderr, "valija fetch: %s\n", report_harmless(err->text, text, sizeof(text)));
	return err->code ? err->code : EX_SOFTWARE;
}

/* One account of the command line. */
static int fetch_url(struct fetch_account *account, const struct fetch_options *options,
		     const char *url, struct err *err)
{
	enum fetch_tls tls = account->tls;

	if (fetch_account_url(account, url, err) < 0)
		return complain(err);
	if (options->tls_given) /* wins over the URL's scheme */
		account->tls = tls;
	if (fetch_account_check(account, err) < 0)
		return complain(err);
	return fetch_run(account, options, &fetch_files_real, NULL);
}

/* The accounts that are named, or all. */
static int choose(const struct fetch_config *config, char **names, int count,
		  const struct fetch_account **ret, struct err *err)
{
	unsigned used = 0;

	for (unsigned i = 0; i < config->count && count == 0; i++)
		ret[used++] = &config->accounts[i];
	for (int n = 0; n < count; n++) {
		unsigned i = 0;

		while (i < config->count && strcmp(config->accounts[i].name, names[n]) != 0)
			i++;
		if (i == config->count)
			return err_set(err, EX_USAGE, "there is no account \"%.80s\"", names[n]);
		ret[used++] = &config->accounts[i];
	}
	return (int)used;
}

/* Settings of the command line override those of every account of the file. */
static int override(struct fetch_config *config, int argc, char **argv, struct err *err)
{
	struct fetch_options again;

	for (unsigned i = 0; i < config->count; i++) {
		if (fetch_options_parse(argc, argv, &again, &config->accounts[i], err) < 0 ||
		    fetch_account_check(&config->accounts[i], err) < 0)
			return -1;
	}
	return 0;
}

static int fetch_configured(struct fetch_config *config, int argc, char **argv,
			    struct fetch_options *options, struct err *err)
{
	const struct fetch_account **chosen;
	int count, code;

	if (override(config, argc, argv, err) < 0)
		return complain(err);
	chosen = calloc(config->count + (size_t)argc, sizeof(const struct fetch_account *));
	if (!chosen)
		return EX_OSERR;
	count = choose(config, argv + options->first, argc - options->first, chosen, err);
	if (count == 0)
		err_set(err, EX_CONFIG, "the configuration file names no account");
	if (!options->state && config->state[0])
		options->state = config->state;
	options->jobs = options->jobs ? options->jobs : config->jobs ? config->jobs : 1;
	options->several = count > 1 && options->jobs > 1;
	if (count <= 0)
		code = complain(err);
	else if (count > 1 && options->record)
		code = complain((err_set(err, EX_USAGE, "--record takes one account"), err));
	else if (count == 1)
		code = fetch_run(chosen[0], options, &fetch_files_real, NULL);
	else
		code = fetch_jobs(chosen, (unsigned)count, options->jobs, options);
	free(chosen);
	return code;
}

/* ---- --watch and status ---- */

struct source {
	int argc;
	char **argv;
	struct fetch_options *options;
	const char *url; /* NULL: the configuration file */
};

static int source_url(const struct source *source, struct fetch_config *ret, struct err *err)
{
	struct fetch_options again;
	enum fetch_tls tls;

	*ret = (struct fetch_config){.accounts = calloc(1, sizeof(*ret->accounts))};
	if (!ret->accounts)
		return err_sys(err, EX_OSERR, errno, "memory");
	fetch_account_defaults(ret->accounts);
	if (fetch_options_parse(source->argc, source->argv, &again, ret->accounts, err) < 0)
		return -1;
	tls = ret->accounts->tls;
	if (fetch_account_url(ret->accounts, source->url, err) < 0)
		return -1;
	if (again.tls_given)
		ret->accounts->tls = tls;
	ret->count = 1;
	return fetch_account_check(ret->accounts, err);
}

/* Leaves the chosen accounts in the configuration, in its order. */
static int keep_chosen(struct fetch_config *config, char **names, int count, struct err *err)
{
	const struct fetch_account **chosen =
		calloc(config->count + (size_t)count + 1, sizeof(const struct fetch_account *));
	unsigned kept = 0;
	int used;

	if (!chosen)
		return err_sys(err, EX_OSERR, errno, "memory");
	used = choose(config, names, count, chosen, err);
	for (unsigned i = 0; used >= 0 && i < config->count; i++) {
		int n = 0;

		while (n < used && chosen[n] != &config->accounts[i])
			n++;
		if (n == used)
			continue;
		if (kept != i)
			config->accounts[kept] = config->accounts[i];
		kept++;
	}
	free(chosen);
	config->count = used < 0 ? config->count : kept;
	return used < 0 ? -1 : 0;
}

static int source_file(const struct source *source, struct fetch_config *ret, struct err *err)
{
	int first = source->options->first;

	if (fetch_config_read(source->options->config, ret, err) < 0)
		return -1;
	if (override(ret, source->argc, source->argv, err) < 0)
		return -1;
	return keep_chosen(ret, source->argv + first, source->argc - first, err);
}

static int read_source(void *context, struct fetch_config *ret, struct err *err)
{
	const struct source *source = context;
	int rc = source->url ? source_url(source, ret, err) : source_file(source, ret, err);

	if (rc < 0)
		fetch_config_finish(ret);
	return rc;
}

static int watch(int argc, char **argv, struct fetch_options *options, const char *url,
		 struct err *err)
{
	struct source source = {argc, argv, options, url};

	if (options->record || options->whole || options->mark_seen || options->dry_run ||
	    options->accept_new_uidls || options->accept_removals)
		return complain((err_set(err, EX_USAGE,
					 "--watch goes on for ever: it takes no option that is "
					 "meant for a single run"),
				 err));
	return fetch_watch(&(struct watch_source){read_source, &source}, options);
}

static int default_config(struct fetch_options *options, char *place, size_t size, struct err *err)
{
	if (!options->config && fetch_config_place(place, size, err) < 0)
		return -1;
	if (!options->config)
		options->config = place;
	return 0;
}

/* The state folder is the option's, the file's, or the default; no file is needed for that. */
static int status(int argc, char **argv)
{
	struct fetch_config config = {0};
	struct fetch_account account;
	struct fetch_options options;
	char place[FETCH_PATH_MAX];
	struct err err = {0};
	int code;

	fetch_account_defaults(&account);
	if (fetch_options_parse(argc, argv, &options, &account, &err) < 0)
		return complain(&err);
	if (!options.state &&
	    (default_config(&options, place, sizeof(place), &err) < 0 ||
	     (fetch_config_read(options.config, &config, &err) < 0 && err.errnum != ENOENT)))
		return complain(&err);
	if (!options.state && config.state[0])
		options.state = config.state;
	code = fetch_watch_status(options.state, options.json, argv + options.first,
				  argc - options.first);
	fetch_config_finish(&config);
	return code;
}

static int init(const char *file, struct err *err)
{
	if (fetch_config_init(file, err) < 0)
		return complain(err);
	printf("%s is made: put your account in, then try: valija fetch --dry-run\n", file);
	return EX_OK;
}

static int fetch_from_file(int argc, char **argv, struct fetch_options *options, struct err *err)
{
	char place[FETCH_PATH_MAX];
	struct fetch_config config;
	int code;

	if (default_config(options, place, sizeof(place), err) < 0)
		return complain(err);
	if (options->init)
		return init(options->config, err);
	if (options->watch)
		return watch(argc, argv, options, NULL, err);
	if (fetch_config_read(options->config, &config, err) < 0) {
		code = complain(err);
		if (err->errnum == ENOENT)
			fprintf(stderr,
				"valija fetch: \"valija fetch setup ADDRESS\" makes one, or "
				"\"valija fetch --init\" an empty one\n");
		return code;
	}
	code = fetch_configured(&config, argc, argv, options, err);
	fetch_config_finish(&config);
	return code;
}

/* HOST alone: up to the login. */
static int doctor_of_host(struct fetch_account *account, const struct fetch_options *options,
			  const char *host, struct err *err)
{
	enum fetch_tls tls = account->tls;
	char url[FETCH_TEXT_MAX + 32];
	bool whole = strstr(host, "://") != NULL;

	snprintf(url, sizeof(url), whole ? "%s" : "pop3s://nobody@%s", host);
	if (fetch_account_url(account, url, err) < 0)
		return complain(err);
	if (options->tls_given)
		account->tls = tls;
	if (!whole)
		snprintf(account->name, sizeof(account->name), "%s", account->host);
	/* the doctor delivers nothing */
	if (fetch_account_sink(account, "command:true", err) < 0 ||
	    fetch_account_check(account, err) < 0)
		return complain(err);
	return doctor_run(account, options, whole);
}

static int doctor_of_account(int argc, char **argv, struct fetch_options *options,
			     struct fetch_config *config, struct err *err)
{
	const struct fetch_account *chosen = NULL;
	int count;

	if (override(config, argc, argv, err) < 0)
		return complain(err);
	count = choose(config, argv + options->first, 1, &chosen, err);
	if (!options->state && config->state[0])
		options->state = config->state;
	return count < 0 ? complain(err) : doctor_run(chosen, options, true);
}

/* An account of the file, else a host or a URL. */
static int doctor_main(int argc, char **argv)
{
	struct fetch_config config = {0};
	struct fetch_account account;
	struct fetch_options options;
	char place[FETCH_PATH_MAX];
	struct err err = {0};
	bool known = false;
	int code;

	fetch_account_defaults(&account);
	if (fetch_options_parse(argc, argv, &options, &account, &err) < 0)
		return complain(&err);
	if (argc - options.first != 1) {
		err_set(&err, EX_USAGE, "doctor takes one account, host or URL");
		return complain(&err);
	}
	if (!options.config && fetch_config_place(place, sizeof(place), &err) == 0 &&
	    access(place, R_OK) == 0)
		options.config = place;
	if (options.config && !strstr(argv[options.first], "://") &&
	    fetch_config_read(options.config, &config, &err) < 0)
		return complain(&err);
	for (unsigned i = 0; i < config.count; i++)
		known |= strcmp(config.accounts[i].name, argv[options.first]) == 0;
	code = known ? doctor_of_account(argc, argv, &options, &config, &err)
		     : doctor_of_host(&account, &options, argv[options.first], &err);
	fetch_config_finish(&config);
	return code;
}

int fetch_main(int argc, char **argv)
{
	struct fetch_account account;
	struct fetch_options options;
	struct err err = {0};
	bool url;

	signal(SIGPIPE, SIG_IGN);
	/* an account of this name is collected by, for example: valija fetch -- status */
	if (argc > 1 && strcmp(argv[1], "status") == 0)
		return status(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "import") == 0)
		return fetch_import(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "setup") == 0)
		return setup_main(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "login") == 0)
		return setup_login_main(argc - 1, argv + 1);
	fetch_interrupt_catch();
	if (argc > 1 && strcmp(argv[1], "doctor") == 0)
		return doctor_main(argc - 1, argv + 1);
	fetch_account_defaults(&account);
	if (fetch_options_parse(argc, argv, &options, &account, &err) < 0) {
		complain(&err);
		fetch_usage();
		return EX_USAGE;
	}
	if (options.help) {
		fetch_usage();
		return EX_OK;
	}
	log_open("valija fetch", options.verbose ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR);
	url = argc - options.first == 1 && strstr(argv[options.first], "://");
	if (url && options.watch)
		return watch(argc, argv, &options, argv[options.first], &err);
	if (url)
		return fetch_url(&account, &options, argv[options.first], &err);
	return fetch_from_file(argc, argv, &options, &err);
}
