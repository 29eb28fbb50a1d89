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
#include <time.h>

enum {
	MINUTES = 10,
	MINUTES_MAX = 1440,
	TARGET_MAX_OCTETS = 400,
	GONE_SECONDS = 15, /* the server is not reached for so long: it has ended */
	SLACK_SECONDS = 60,
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

static long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (long)time.tv_sec;
}

static int ask(struct control_link *link, const char *user, long seconds, struct err *err)
{
	char target[TARGET_MAX_OCTETS + 32];

	snprintf(target, sizeof(target), "%ld %s", seconds, user);
	return control_link_ask(link, "trace", target, err);
}

/* The process that was asked ends at a reload and at an upgrade: the next one is asked. */
static int ask_again(struct control_link *link, const char *user, long until, struct err *err)
{
	const struct timespec pause = {.tv_nsec = 200 * 1000 * 1000};
	long last = now() + GONE_SECONDS;

	while (control_link_again(link, (unsigned)(until - now() + SLACK_SECONDS), err) < 0) {
		if (now() >= last)
			return -1;
		nanosleep(&pause, NULL);
	}
	puts("# the server was reloaded or upgraded meanwhile: lines may be missing here");
	fflush(stdout);
	return ask(link, user, until - now(), err);
}

static int trace(struct control_link *link, const struct arguments *arguments, struct err *err)
{
	long until = now() + arguments->minutes * 60L;
	int rc = ask(link, arguments->user, arguments->minutes * 60L, err);

	for (;;) {
		if (rc == 0)
			rc = follow(link, err);
		if (rc == 0 || !link->cut || link->silent || until <= now())
			return rc;
		rc = ask_again(link, arguments->user, until, err);
		if (rc < 0 && !link->cut)
			return rc;
	}
}

int trace_main(int argc, char **argv)
{
	struct arguments arguments = {0};
	struct control_link link = {0};
	struct err err = {0};
	int rc;

	if (parse(argc, argv, &arguments) < 0)
		return usage();
	rc = control_link_open(&link, arguments.config, arguments.socket,
			       arguments.minutes * 60 + SLACK_SECONDS, &err);
	if (rc == 0)
		rc = trace(&link, &arguments, &err);
	control_link_close(&link);
	return rc < 0 ? command_failed("trace", &err) : EX_OK;
}
