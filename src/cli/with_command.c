/* See with_command.h. */
#include "cli/with_command.h"

#include "cli/command.h"
#include "cli/with_exim.h"
#include "cli/with_postfix.h"
#include "cli/with_try.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

static const struct mta {
	const char *name, *title, *saved;
	int (*work)(struct with *with, struct err *err);
} mtas[] = {{"postfix", "Postfix", "postfix-before", with_postfix},
	    {"exim", "Exim", "exim-before", with_exim}};

static int usage(void)
{
	fputs("usage: valija init --with postfix [-c CONF] [--postfix-config DIR] [--apply | "
	      "--undo]\n"
	      "                   [--try USER[@DOMAIN]]\n"
	      "       valija init --with exim [-c CONF] [--apply | --undo] [--try USER[@DOMAIN]]\n"
	      "The user's password is asked for, or is the first line of standard input.\n",
	      stderr);
	return EX_USAGE;
}

static const struct mta *find_mta(const char *name)
{
	for (size_t i = 0; i < sizeof(mtas) / sizeof(mtas[0]); i++)
		if (strcmp(mtas[i].name, name) == 0)
			return &mtas[i];
	return NULL;
}

/* -1 with err.code 0: the usage is to be shown. */
static int parse(int argc, char **argv, struct with *with, const char **ret_conf,
		 const struct mta **ret_mta, struct err *err)
{
	static const struct option options[] = {{"with", required_argument, NULL, 'w'},
						{"config", required_argument, NULL, 'c'},
						{"postfix-config", required_argument, NULL, 'p'},
						{"apply", no_argument, NULL, 'a'},
						{"undo", no_argument, NULL, 'u'},
						{"try", required_argument, NULL, 't'},
						{NULL, 0, NULL, 0}};
	int c;

	optind = 0;
	while ((c = getopt_long(argc, argv, "c:", options, NULL)) != -1) {
		if (c == '?' || ((c == 'a' || c == 'u') && with->mode != WITH_SHOW))
			return -1;
		if (c == 'w')
			*ret_mta = find_mta(optarg);
		if (c == 'w' && !*ret_mta)
			return err_set(err, EX_USAGE, "--with %s: postfix and exim are known",
				       optarg);
		if (c == 'c')
			*ret_conf = optarg;
		else if (c == 'p')
			with->folder = optarg;
		else if (c == 't')
			with->tried = optarg;
		else if (c != 'w')
			with->mode = c == 'a' ? WITH_APPLY : WITH_UNDO;
	}
	if (optind != argc || !*ret_mta || (with->tried && with->mode == WITH_UNDO) ||
	    (with->folder && (*ret_mta)->work != with_postfix))
		return -1;
	return 0;
}

/* The password is asked for first: without one nothing is changed. */
static int run(struct with *with, const struct mta *mta, struct err *err)
{
	struct with_try *try = NULL;
	int rc;

	if (!with->tried)
		return mta->work(with, err);
	if (with_try_open(with, mta->title, &try, err) < 0)
		return -1;
	rc = with->mode == WITH_APPLY ? mta->work(with, err) : 0;
	if (rc == 0)
		rc = with_try_run(try, err);
	with_try_close(try);
	return rc;
}

int with_main(int argc, char **argv)
{
	struct with *with = calloc(1, sizeof(*with));
	const struct mta *mta = NULL;
	const char *conf = NULL;
	struct err err = {0};
	int code = EX_OK;

	if (!with)
		return EX_OSERR;
	if (parse(argc, argv, with, &conf, &mta, &err) < 0) {
		code = err.code ? command_failed("init", &err) : usage();
	} else if (config_load(command_config(conf), &with->config, &err) < 0) {
		code = command_failed("init", &err);
	} else {
		snprintf(with->saved, sizeof(with->saved), "%s/%s", with->config.directory,
			 mta->saved);
		if (run(with, mta, &err) < 0)
			code = command_failed("init", &err);
	}
	free(with);
	return code;
}
