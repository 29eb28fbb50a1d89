/* `valija reload`, `drain` and `log-level`: what a server that runs is to do. See
 * control_commands.h. */
#include "cli/control_commands.h"
#include "cli/stats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

enum { GENERATIONS_MAX = 20 };

struct reloaded {
	unsigned long long serving, older; /* the generation; connections to the ones before */
	unsigned changes;
	bool unknown; /* what has changed */
};

/* A value of a setting for people: what is not set has none. */
static const char *value_of(const char *field)
{
	return strcmp(field, "-") == 0 ? "(none)" : field;
}

static void print_change(const struct control_link *link, bool json, bool first)
{
	const char *name = link->fields[1], *old = link->fields[2], *new = link->fields[3];
	bool at_once = strcmp(link->fields[4], "at-once") == 0;

	if (!json) {
		printf("  %s: %s -> %s (%s)\n", name, value_of(old), value_of(new),
		       at_once ? "at once" : "new sessions");
		return;
	}
	printf("%s\n    {\"setting\": ", first ? "" : ",");
	print_json_text(name);
	print_json_member("old", old);
	print_json_member("new", new);
	print_json_member("applies", at_once ? "at-once" : "new-sessions");
	putchar('}');
}

static void take_line(const struct control_link *link, bool json, struct reloaded *reloaded)
{
	if (control_link_is(link, "serving", 2)) {
		reloaded->serving = control_link_number(link, 1);
		printf(json ? "{\"format\": 1, \"generation\": %llu, \"changed\": ["
			    : "reloaded: generation %llu serves\n",
		       reloaded->serving);
	} else if (control_link_is(link, "changed", 5)) {
		print_change(link, json, reloaded->changes++ == 0);
	} else if (control_link_is(link, "not-compared", 1)) {
		reloaded->unknown = true;
	} else if (control_link_is(link, "left-out", 2) && !json) {
		printf("  and %s more\n", link->fields[1]);
	} else if (control_link_is(link, "connections", 3) &&
		   control_link_number(link, 1) != reloaded->serving) {
		reloaded->older += control_link_number(link, 2);
	}
}

static void print_end(const struct reloaded *reloaded, bool json)
{
	if (json) {
		printf("%s], \"compared\": %s, \"older_sessions\": %llu}\n",
		       reloaded->changes ? "\n  " : "", reloaded->unknown ? "false" : "true",
		       reloaded->older);
		return;
	}
	if (reloaded->unknown)
		puts("the processes before were those of another program: which settings have "
		     "changed is not known");
	else if (!reloaded->changes)
		puts("no setting has changed; certificates, users and secrets were read anew");
	if (reloaded->older)
		printf("%llu session%s with the configuration from before until %s\n",
		       reloaded->older, reloaded->older == 1 ? " goes on" : "s go on",
		       reloaded->older == 1 ? "it ends" : "they end");
}

int control_reload(struct control_link *link, const struct control_arguments *arguments,
		   int *ret_code, struct err *err)
{
	struct reloaded reloaded = {0};
	int rc = control_link_ask(link, "reload", NULL, err);

	(void)ret_code;
	while (rc == 0 && (rc = control_link_next(link, err)) > 0) {
		rc = 0;
		take_line(link, arguments->json, &reloaded);
	}
	if (rc == 0)
		print_end(&reloaded, arguments->json);
	else if (!reloaded.serving)
		err_prefix(err, "the new configuration is not used, the old one goes on");
	return rc;
}

/* ---- drain ---- */

struct drained {
	unsigned closed;
	unsigned long long connections;
};

static void take_drained(const struct control_link *link, bool json, struct drained *drained)
{
	if (control_link_is(link, "closed", 3)) {
		if (json) {
			printf("%s{\"service\": \"%s\"", drained->closed ? ", " : "",
			       link->fields[1]);
			print_json_member("address", link->fields[2]);
			putchar('}');
		} else {
			printf("closed: %s %s\n", link->fields[1], link->fields[2]);
		}
		drained->closed++;
	} else if (control_link_is(link, "connections", 3)) {
		drained->connections += control_link_number(link, 2);
	}
}

/* Of POP3 clients and MTAs: the fronts' own gauges. */
static int count_open(struct control_link *link, long long *ret, struct err *err)
{
	struct stats stats;
	int rc = stats_read(&stats, link, err);

	*ret = stats_sum(&stats, "valija_connections_open", "service=pop3") +
	       stats_sum(&stats, "valija_connections_open", "service=pop3s") +
	       stats_sum(&stats, "valija_connections_open", "service=lmtp");
	stats_free(&stats);
	return rc;
}

static int wait_for_end(struct control_link *link, struct err *err)
{
	const struct timespec pause = {.tv_nsec = 500 * 1000 * 1000};
	long long open;
	int rc;

	while ((rc = count_open(link, &open, err)) == 0 && open > 0)
		nanosleep(&pause, NULL);
	return rc;
}

int control_drain(struct control_link *link, const struct control_arguments *arguments,
		  int *ret_code, struct err *err)
{
	struct drained drained = {0};
	int rc = control_link_ask(link, "drain", NULL, err);

	(void)ret_code;
	if (rc == 0)
		rc = control_link_next(link, err);
	if (rc >= 0 && arguments->json)
		fputs("{\"format\": 1, \"closed\": [", stdout);
	for (; rc > 0; rc = control_link_next(link, err))
		take_drained(link, arguments->json, &drained);
	if (rc < 0)
		return rc;
	if (!arguments->json && !drained.closed)
		puts("no listening socket of mail was open");
	printf(arguments->json ? "], \"sessions\": %llu}\n" : "sessions that go on: %llu\n",
	       drained.connections);
	fflush(stdout);
	if (!arguments->wait)
		return 0;
	rc = wait_for_end(link, err);
	if (rc == 0 && !arguments->json)
		puts("all sessions have ended; `valija reload` takes new ones again");
	return rc;
}

int control_log_level(struct control_link *link, const struct control_arguments *arguments,
		      int *ret_code, struct err *err)
{
	int rc = control_link_ask(link, "log-level", arguments->target, err);

	(void)ret_code;
	while (rc == 0 && (rc = control_link_next(link, err)) > 0) {
		rc = 0;
		if (!control_link_is(link, "log-level", 3))
			continue;
		if (arguments->json)
			printf("{\"format\": 1, \"level\": \"%s\", \"configured\": \"%s\"}\n",
			       link->fields[1], link->fields[2]);
		else if (strcmp(link->fields[1], link->fields[2]) == 0)
			puts(link->fields[1]);
		else
			printf("%s (until a reload; log_level is %s)\n", link->fields[1],
			       link->fields[2]);
	}
	return rc;
}
