/* See setup.h: `valija fetch login`. Runs as the user, unconfined: it speaks with the provider's
 * HTTPS servers only, by a program of its own. */
#include "fetch/setup/setup.h"

#include "fetch/account/config_file.h"
#include "fetch/account/place.h"
#include "fetch/journal/state.h"
#include "fetch/oauth/login.h"
#include "fetch/report/report.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

struct arguments {
	const char *config, *state, *name;
	struct oauth_login how;
	bool destination, help;
};

static void usage(FILE *out)
{
	fputs("usage: valija fetch login [-c FILE] [--state DIR] [--flow device|browser]\n"
	      "                          [--no-browser] [--destination] [ACCOUNT]\n",
	      out);
}

static int complain(const struct err *err)
{
	char text[sizeof(err->text) * 2];

	fprintf(stderr, "valija fetch login: %s\n", report_harmless(err->text, text, sizeof(text)));
	return err->code ? err->code : EX_SOFTWARE;
}

static int parse(int argc, char **argv, struct arguments *ret, struct err *err)
{
	static const struct option options[] = {{"config", required_argument, NULL, 'c'},
						{"state", required_argument, NULL, 's'},
						{"flow", required_argument, NULL, 'f'},
						{"no-browser", no_argument, NULL, 'n'},
						{"help", no_argument, NULL, 'h'},
						{"destination", no_argument, NULL, 'd'},
						{NULL, 0, NULL, 0}};
	int c;

	optind = 0;
	opterr = 0;
	while ((c = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
		if (c == 'c')
			ret->config = optarg;
		else if (c == 's')
			ret->state = optarg;
		else if (c == 'd')
			ret->destination = true;
		else if (c == 'n')
			ret->how.no_browser = true;
		else if (c == 'h')
			ret->help = true;
		else if (c == 'f' && strcmp(optarg, "device") == 0)
			ret->how.flow = OAUTH_FLOW_DEVICE;
		else if (c == 'f' && strcmp(optarg, "browser") == 0)
			ret->how.flow = OAUTH_FLOW_BROWSER;
		else if (c == 'f')
			return err_set(err, EX_USAGE, "--flow is device or browser");
		else
			return err_set(err, EX_USAGE, "%.80s is not known, or lacks its value",
				       argv[optind - 1]);
	}
	if (argc - optind > 1)
		return err_set(err, EX_USAGE, "one account at a time");
	ret->name = argv[optind];
	return 0;
}

/* The account that is named, or the only one that uses tokens. */
static const struct fetch_account *choose(const struct fetch_config *config, const char *name,
					  struct err *err)
{
	const struct fetch_account *found = NULL;

	for (unsigned i = 0; i < config->count; i++) {
		const struct fetch_account *account = &config->accounts[i];

		if (name ? strcmp(account->name, name) != 0
			 : !fetch_account_token(account) && !account->place.oauth)
			continue;
		if (found) {
			err_set(err, EX_USAGE, "which account? \"%.80s\", \"%.80s\"", found->name,
				account->name);
			return NULL;
		}
		found = account;
	}
	if (!found && name)
		err_set(err, EX_USAGE,
			"the configuration has no account \"%.80s\"; valija fetch setup makes one",
			name);
	else if (!found)
		err_set(err, EX_USAGE, "no account of the configuration logs in with tokens");
	return found;
}

/* At the account's own provider, or, if only its destination takes tokens or it is wanted, there.
 */
static int login_at(int dir, const struct fetch_account *account, const struct arguments *arguments,
		    struct err *err)
{
	struct fetch_account *place;
	int rc;

	if (!arguments->destination && (fetch_account_token(account) || !account->place.oauth))
		return oauth_login(&fetch_files_real, dir, account, &arguments->how, err);
	if (!account->place.oauth)
		return err_set(err, EX_USAGE, "the destination of \"%.80s\" has no to-oauth",
			       account->name);
	place = malloc(sizeof(*place));
	if (!place)
		return err_set(err, EX_OSERR, "no memory");
	fetch_place_account(account, place);
	rc = oauth_login(&fetch_files_real, dir, place, &arguments->how, err);
	free(place);
	return rc;
}

static int login(const struct arguments *arguments, const struct fetch_config *config,
		 struct err *err)
{
	const struct fetch_account *account = choose(config, arguments->name, err);
	const char *state = arguments->state;
	int dir, rc;

	if (!account)
		return -1;
	if (!state && config->state[0])
		state = config->state;
	dir = state_open(&fetch_files_real, state, err);
	if (dir < 0)
		return -1;
	rc = login_at(dir, account, arguments, err);
	close(dir);
	if (rc == 0)
		printf("Logged in. Try it: valija fetch --dry-run %s\n", account->name);
	return rc;
}

int setup_login_main(int argc, char **argv)
{
	struct arguments arguments = {0};
	char place[FETCH_PATH_MAX];
	struct fetch_config config;
	struct err err = {0};
	int code = EX_OK;

	if (parse(argc, argv, &arguments, &err) < 0) {
		code = complain(&err);
		usage(stderr);
		return code;
	}
	if (arguments.help) {
		usage(stdout);
		return EX_OK;
	}
	if (!arguments.config && fetch_config_place(place, sizeof(place), &err) < 0)
		return complain(&err);
	if (!arguments.config)
		arguments.config = place;
	if (fetch_config_read(arguments.config, &config, &err) < 0)
		return complain(&err);
	if (login(&arguments, &config, &err) < 0)
		code = complain(&err);
	fetch_config_finish(&config);
	return code;
}
