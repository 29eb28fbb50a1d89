/*
 * `valija fetch`: from the command line to one run an account. See fetch.h and the manual.
 */
#include "fetch/fetch.h"

#include "fetch/options.h"
#include "fetch/report_json.h"
#include "fetch/run.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

static int complain(const struct err *err)
{
	fprintf(stderr, "valija fetch: %s\n", err->text);
	return err->code ? err->code : EX_SOFTWARE;
}

static int fetch_url(struct fetch_account *account, const struct fetch_options *options,
		     const char *url, struct err *err)
{
	struct fetch_account given = *account;

	/* --tls wins over the URL's scheme */
	if (fetch_account_url(account, url, err) < 0)
		return complain(err);
	if (options->tls_given)
		account->tls = given.tls;
	if (fetch_account_check(account, err) < 0)
		return complain(err);
	return fetch_run(account, options);
}

int fetch_main(int argc, char **argv)
{
	struct fetch_account account;
	struct fetch_options options;
	struct err err = {0};

	signal(SIGPIPE, SIG_IGN);
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
	if (options.json && !report_json_available()) {
		err_set(&err, EX_UNAVAILABLE, "this build has no JSON (libjansson was missing)");
		return complain(&err);
	}
	if (argc - options.first == 1 && strstr(argv[options.first], "://"))
		return fetch_url(&account, &options, argv[options.first], &err);
	fetch_usage();
	return EX_USAGE;
}
