/* See trace.h. Runs as root, which the server checks by the uid that the kernel names; it masks
 * secrets before they get here. The protocol is that of docs/control.md. */
#include "cli/trace.h"

#include "base/text.h"
#include "cli/command.h"
#include "cli/control_link.h"

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

enum {
	MINUTES = 10,
	MINUTES_MAX = 1440,
	TARGET_MAX_OCTETS = 400,
};

struct arguments {
	const char *config, *socket, *user;
	unsigned minutes;
};

static int usage(void)
{
	fprintf(stderr,
		"usage: valija trace [-c CONF] [--socket PATH] [--minutes %d] USER\n"
		"The dialogue of the user's next sessions, without secrets. Ctrl-C ends it.\n",
		MINUTES);
	return EX_USAGE;
}

static int parse(int argc, char **argv, struct arguments *ret)
{
	static const struct option options[] = {{"socket", required_argument, NULL, 's'},
						{"minutes", required_argument, NULL, 'm'},
						{"help", no_argument, NULL, 'h'},
						{NULL, 0, NULL, 0}};
	uint64_t minutes = MINUTES;
	int c;

	optind = 0;
	while ((c = getopt_long(argc, argv, "c:", options, NULL)) != -1) {
		if (c == 'c')
			ret->config = optarg;
		else if (c == 's')
			ret->socket = optarg;
		else if (c != 'm' || span_number(span_of(optarg), MINUTES_MAX, &minutes) < 0 ||
			 !minutes)
			return -1;
	}
	if (optind < argc)
		ret->user = argv[optind++];
	ret->minutes = (unsigned)minutes;
	return optind == argc && ret->user && *ret->user && !strpbrk(ret->user, "\n\r\t ") &&
			       strlen(ret->user) < TARGET_MAX_OCTETS
		       ? 0
		       : -1;
}

/* A line that was too long for one event comes in pieces: "more", and "trace" for the last. */
static int follow(struct control_link *link, struct err *err)
{
	int rc;

	while ((rc = control_link_next(link, err)) > 0) {
		if (control_link_is(link, "more", 3))
			fputs(link->fields[2], stdout);
		else if (control_link_is(link, "trace", 3))
			puts(link->fields[2]);
		else if (control_link_is(link, "lost", 2))
			printf("# %s pieces were lost: this was not read in time\n",
			       link->fields[1]);
		fflush(stdout);
	}
	return rc;
}

int trace_main(int argc, char **argv)
{
	struct arguments arguments = {0};
	struct control_link link = {0};
	char target[TARGET_MAX_OCTETS + 16];
	struct err err = {0};
	int rc;

	if (parse(argc, argv, &arguments) < 0)
		return usage();
	snprintf(target, sizeof(target), "%u %s", arguments.minutes * 60, arguments.user);
	if (control_link_open(&link, arguments.config, arguments.socket,
			      arguments.minutes * 60 + 60, &err) < 0)
		return command_failed("trace", &err);
	rc = control_link_ask(&link, "trace", target, &err);
	if (rc == 0)
		rc = follow(&link, &err);
	control_link_close(&link);
	return rc < 0 ? command_failed("trace", &err) : EX_OK;
}
