/* See ban.h. Runs with the rights of the person who calls it: the server judges the uid that the
 * kernel names. The protocol is that of docs/control.md. */
#include "cli/ban.h"

#include "base/text.h"
#include "cli/command.h"
#include "cli/control_commands.h"
#include "users/networks.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum {
	SILENT_SECONDS = 60,
	DAY = 24 * 60 * 60,
	WHY_MAX = 120,
	FIELDS = 6, /* of a line "ban" */
};

/* Of a line "penalty". */
enum { FIELD_FAILURES = 2, FIELD_AGO, FIELD_DELAY, PENALTY_FIELDS };
enum field { FIELD_KIND, FIELD_NETWORK, FIELD_UNTIL, FIELD_SINCE, FIELD_UID, FIELD_WHY };

struct arguments {
	const char *config, *socket, *network, *why;
	unsigned long seconds;
	bool json, force, kick, timed, penalties;
};

static int usage(void)
{
	fputs("usage: valija ban add [-c CONF] [--for 1d] [--why TEXT] [--kick] [--force] NETWORK\n"
	      "       valija ban del [-c CONF] NETWORK\n"
	      "       valija ban list [-c CONF] [--json] [--penalties]\n"
	      "NETWORK is an address, or one with bits: 192.0.2.7, 192.0.2.0/24, 2001:db8::/48.\n",
	      stderr);
	return EX_USAGE;
}

/* "90s", "30m", "12h", "1d", "2w". */
static int read_time(const char *text, unsigned long *ret)
{
	static const struct {
		char unit;
		unsigned long seconds;
	} units[] = {{'s', 1}, {'m', 60}, {'h', 60 * 60}, {'d', DAY}, {'w', 7 * DAY}};
	size_t n = strlen(text);
	uint64_t number;

	for (size_t i = 0; n > 1 && i < sizeof(units) / sizeof(*units); i++) {
		if (text[n - 1] != units[i].unit ||
		    span_number((pop3_span){text, n - 1}, 3650ul * DAY / units[i].seconds,
				&number) < 0 ||
		    number == 0)
			continue;
		*ret = number * units[i].seconds;
		return 0;
	}
	return -1;
}

static int take_option(int c, struct arguments *ret)
{
	switch (c) {
	case 'c':
		ret->config = optarg;
		return 0;
	case 's':
		ret->socket = optarg;
		return 0;
	case 'j':
		ret->json = true;
		return 0;
	case 'p':
		ret->penalties = true;
		return 0;
	case 'k':
		ret->kick = true;
		return 0;
	case 'F':
		ret->force = true;
		return 0;
	case 'w':
		ret->why = optarg;
		return 0;
	case 'f':
		ret->timed = true;
		return read_time(optarg, &ret->seconds);
	}
	return -1;
}

static int parse(int argc, char **argv, struct arguments *ret)
{
	static const struct option options[] = {
		{"socket", required_argument, NULL, 's'}, {"json", no_argument, NULL, 'j'},
		{"penalties", no_argument, NULL, 'p'},    {"for", required_argument, NULL, 'f'},
		{"why", required_argument, NULL, 'w'},    {"kick", no_argument, NULL, 'k'},
		{"force", no_argument, NULL, 'F'},        {"config", required_argument, NULL, 'c'},
		{"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0}};
	int c;

	optind = 0;
	while ((c = getopt_long(argc, argv, "c:", options, NULL)) != -1)
		if (take_option(c, ret) < 0)
			return -1;
	if (optind < argc)
		ret->network = argv[optind++];
	return optind < argc ? -1 : 0;
}

/* ---- the dialogue ---- */

static int say(struct control_link *link, const char *line,
	       void (*row)(char *const *fields, int count, void *context), void *context,
	       struct err *err)
{
	int rc = control_link_ask(link, line, NULL, err);

	while (rc == 0 && (rc = control_link_next(link, err)) > 0) {
		rc = 0;
		if (row)
			row(link->fields, link->count, context);
	}
	return rc;
}

static void count_row(char *const *fields, int count, void *context)
{
	(void)count;
	if (strcmp(fields[FIELD_KIND], "session") == 0)
		++*(unsigned long *)context;
}

static int kick(struct control_link *link, const char *network, struct err *err)
{
	unsigned long sessions = 0;
	char line[128];

	snprintf(line, sizeof(line), "kick %s", network);
	if (say(link, line, count_row, &sessions, err) < 0)
		return -1;
	printf("%lu open sessions of it were ended\n", sessions);
	return 0;
}

/* The network as the server takes it: an IPv6 address alone stands for its /64. */
static int full_name(const char *text, char *buf, size_t size, struct err *err)
{
	static const struct network four = {.address = {[10] = 0xff, [11] = 0xff}, .bits = 96};
	struct network network;

	if (strlen(text) >= 64 || !network_parse(span_of(text), &network))
		return err_set(err, EX_USAGE, "\"%s\" is no address or network", text);
	snprintf(buf, size, "%s%s", text,
		 strchr(text, '/') || network_has(&four, network.address) ? "" : "/64");
	return 0;
}

static int check_why(const char *why, struct err *err)
{
	if (strlen(why) > WHY_MAX)
		return err_set(err, EX_USAGE, "--why has more than %d octets", WHY_MAX);
	for (; *why; why++)
		if ((unsigned char)*why < ' ' || *why == 0x7f)
			return err_set(err, EX_USAGE, "--why is one line of plain text");
	return 0;
}

static int add(struct control_link *link, const struct arguments *arguments, struct err *err)
{
	const char *why = arguments->why ? arguments->why : "";
	char network[80], line[320], when[32];
	time_t until = time(NULL) + (time_t)arguments->seconds;
	struct tm tm;

	if (full_name(arguments->network, network, sizeof(network), err) < 0 ||
	    check_why(why, err) < 0)
		return -1;
	snprintf(line, sizeof(line), "ban %s %s %lu%s%s", arguments->force ? "force" : "add",
		 network, arguments->seconds, *why ? " " : "", why);
	if (say(link, line, NULL, NULL, err) < 0)
		return -1;
	if (localtime_r(&until, &tm) && strftime(when, sizeof(when), "%F %T", &tm))
		printf("%s is banned until %s\n", network, when);
	return arguments->kick ? kick(link, network, err) : 0;
}

static int del(struct control_link *link, const struct arguments *arguments, struct err *err)
{
	char network[80], line[128];

	if (full_name(arguments->network, network, sizeof(network), err) < 0)
		return -1;
	snprintf(line, sizeof(line), "ban del %s", network);
	if (say(link, line, NULL, NULL, err) < 0)
		return -1;
	printf("%s is banned no more\n", network);
	return 0;
}

/* ---- the list ---- */

struct listing {
	bool json;
	unsigned long rows;
};

static const char *time_of(const char *seconds, char *buf, size_t size)
{
	time_t time = (time_t)strtoul(seconds, NULL, 10);
	struct tm tm;

	return localtime_r(&time, &tm) && strftime(buf, size, "%F %T", &tm) ? buf : "-";
}

static void print_row(char *const *fields, int count, void *context)
{
	struct listing *listing = context;
	char until[32], since[32];

	if (count < FIELDS || strcmp(fields[FIELD_KIND], "ban") != 0)
		return;
	if (listing->json) {
		printf("%s\n  {\"network\": \"%s\", \"until\": %lu, \"since\": %lu, \"by_uid\": "
		       "%lu, "
		       "\"why\": ",
		       listing->rows ? "," : "[", fields[FIELD_NETWORK],
		       strtoul(fields[FIELD_UNTIL], NULL, 10),
		       strtoul(fields[FIELD_SINCE], NULL, 10),
		       strtoul(fields[FIELD_UID], NULL, 10));
		print_json_text(fields[FIELD_WHY]);
		putchar('}');
	} else {
		if (!listing->rows)
			printf("%-24s %-19s %-19s %-6s %s\n", "NETWORK", "UNTIL", "SINCE", "UID",
			       "WHY");
		printf("%-24s %-19s %-19s %-6s %s\n", fields[FIELD_NETWORK],
		       time_of(fields[FIELD_UNTIL], until, sizeof(until)),
		       time_of(fields[FIELD_SINCE], since, sizeof(since)), fields[FIELD_UID],
		       fields[FIELD_WHY]);
	}
	listing->rows++;
}

static void print_penalty(char *const *fields, int count, void *context)
{
	struct listing *listing = context;

	if (count < PENALTY_FIELDS || strcmp(fields[FIELD_KIND], "penalty") != 0)
		return;
	if (listing->json)
		printf("%s\n  {\"network\": \"%s\", \"failures\": %lu, \"seconds_ago\": %lu, "
		       "\"delay_ms\": %lu}",
		       listing->rows ? "," : "[", fields[FIELD_NETWORK],
		       strtoul(fields[FIELD_FAILURES], NULL, 10),
		       strtoul(fields[FIELD_AGO], NULL, 10),
		       strtoul(fields[FIELD_DELAY], NULL, 10));
	else if (!listing->rows)
		printf("%-24s %8s %12s %s\n", "NETWORK", "FAILURES", "SECONDS AGO",
		       "NEXT ANSWER AFTER");
	if (!listing->json)
		printf("%-24s %8s %12s %s ms\n", fields[FIELD_NETWORK], fields[FIELD_FAILURES],
		       fields[FIELD_AGO], fields[FIELD_DELAY]);
	listing->rows++;
}

static int list(struct control_link *link, const struct arguments *arguments, struct err *err)
{
	struct listing listing = {.json = arguments->json};

	if (say(link, arguments->penalties ? "penalties" : "ban list",
		arguments->penalties ? print_penalty : print_row, &listing, err) < 0)
		return -1;
	if (arguments->json)
		puts(listing.rows ? "\n]" : "[]");
	else if (!listing.rows)
		fprintf(stderr, "valija ban: %s\n",
			arguments->penalties ? "no address has failed logins of late"
					     : "no network is banned");
	return 0;
}

/* ---- the command ---- */

static const struct verb {
	const char *name;
	int (*run)(struct control_link *link, const struct arguments *arguments, struct err *err);
	bool network; /* it needs one */
} verbs[] = {{"add", add, true}, {"del", del, true}, {"list", list, false}};

static bool fits(const struct verb *verb, const struct arguments *arguments)
{
	bool adds = verb->run == add, lists = verb->run == list;

	return !verb->network == !arguments->network &&
	       (lists || (!arguments->json && !arguments->penalties)) &&
	       (adds ||
		(!arguments->kick && !arguments->force && !arguments->why && !arguments->timed));
}

static int run(const struct verb *verb, const struct arguments *arguments)
{
	struct control_link link;
	struct err err = {0};
	int rc = control_link_open(&link, arguments->config, arguments->socket, SILENT_SECONDS,
				   &err);

	if (rc == 0)
		rc = verb->run(&link, arguments, &err);
	control_link_close(&link);
	if (rc < 0)
		return command_failed("ban", &err);
	return fflush(stdout) == 0 ? EX_OK : EX_IOERR;
}

int ban_main(int argc, char **argv)
{
	struct arguments arguments = {.seconds = DAY};

	for (size_t i = 0; argc >= 2 && i < sizeof(verbs) / sizeof(*verbs); i++) {
		if (strcmp(argv[1], verbs[i].name) != 0)
			continue;
		if (parse(argc - 1, argv + 1, &arguments) < 0 || !fits(&verbs[i], &arguments))
			return usage();
		return run(&verbs[i], &arguments);
	}
	return usage();
}
