/* See user_flush.h. Runs with the rights of the person who calls it: the server judges the uid that
 * the kernel names. */
#include "cli/user_flush.h"

#include "base/text.h"
#include "cli/command.h"
#include "cli/control_link.h"
#include "users/names.h"

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <sysexits.h>

enum { SILENT_SECONDS = 60 };

struct arguments {
	const char *config, *socket, *name;
	bool all;
};

static int usage(void)
{
	fputs("usage: valija user flush [-c CONF] [--socket PATH] NAME|--all\n", stderr);
	return EX_USAGE;
}

static int parse(int argc, char **argv, struct arguments *ret)
{
	static const struct option options[] = {{"config", required_argument, NULL, 'c'},
						{"socket", required_argument, NULL, 's'},
						{"all", no_argument, NULL, 'a'},
						{"help", no_argument, NULL, 'h'},
						{NULL, 0, NULL, 0}};
	int c;

	optind = 0;
	while ((c = getopt_long(argc, argv, "c:", options, NULL)) != -1) {
		if (c == 'c')
			ret->config = optarg;
		else if (c == 's')
			ret->socket = optarg;
		else if (c == 'a')
			ret->all = true;
		else
			return -1;
	}
	if (optind < argc)
		ret->name = argv[optind++];
	return optind == argc && ret->all == !ret->name ? 0 : -1;
}

/* Prints what came of it. -1 with err. */
static int flush(struct control_link *link, const struct arguments *arguments, struct err *err)
{
	int rc = control_link_ask(link, arguments->all ? "flush-all" : "flush", arguments->name,
				  err);

	while (rc == 0 && (rc = control_link_next(link, err)) > 0)
		rc = 0;
	if (rc == 0)
		printf("%s: the databases are asked anew; answers that were remembered: %llu\n",
		       arguments->all ? "all users" : arguments->name,
		       control_link_number(link, 1));
	return rc;
}

int user_flush_main(int argc, char **argv)
{
	struct arguments arguments = {0};
	struct err err = {0};
	struct control_link link;
	int rc;

	if (parse(argc, argv, &arguments) < 0)
		return usage();
	if (arguments.name && !user_name_valid(span_of(arguments.name))) {
		fprintf(stderr, "valija user: \"%s\" can be no user's name\n", arguments.name);
		return EX_USAGE;
	}
	rc = control_link_open(&link, arguments.config, arguments.socket, SILENT_SECONDS, &err);
	if (rc == 0)
		rc = flush(&link, &arguments, &err);
	control_link_close(&link);
	if (rc < 0)
		return command_failed("user", &err);
	return fflush(stdout) == 0 ? EX_OK : EX_IOERR;
}
