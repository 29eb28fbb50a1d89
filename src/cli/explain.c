/* `valija explain`: what a server remembers of a user, an address or a session, and what to do; the
 * server makes the words. See control_commands.h. */
#include "cli/control_commands.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

enum { FIELDS = 6 };

struct telling {
	const char *target;
	bool json;
	unsigned long events, advices;
	char session[64]; /* of the event before */
};

static const char *time_of(const char *ms, char *buf, size_t size)
{
	unsigned long long since = strtoull(ms, NULL, 10);
	time_t seconds = (time_t)(since / 1000);
	struct tm tm;
	size_t used;

	if (!localtime_r(&seconds, &tm))
		return "-";
	used = strftime(buf, size, "%F %T", &tm);
	snprintf(buf + used, size - used, ".%03llu", since % 1000);
	return buf;
}

static void tell_event(struct telling *telling, char *const *fields)
{
	char when[48];

	if (telling->json) {
		printf("%s  %s", telling->events++ ? ",\n" : "\n", fields[5]);
		return;
	}
	telling->events++;
	if (strcmp(telling->session, fields[2]) != 0)
		printf("%ssession %s\n", telling->events > 1 ? "\n" : "", fields[2]);
	snprintf(telling->session, sizeof(telling->session), "%s", fields[2]);
	printf("  %s  %s\n", time_of(fields[1], when, sizeof(when)), fields[4]);
}

static void tell_advice(struct telling *telling, const char *words)
{
	if (telling->json) {
		printf("%s\n  \"", telling->advices++ ? "," : "\n ],\n \"advice\": [");
		for (; *words; words++) {
			if (*words == '"' || *words == '\\')
				putchar('\\');
			putchar(*words);
		}
		putchar('"');
		return;
	}
	if (!telling->advices++)
		printf("\nWHAT TO DO\n");
	printf("  - %s\n", words);
}

static void tell_oldest(const struct telling *telling, const char *ms)
{
	char when[48];

	if (telling->json)
		return;
	printf("%sThe server remembers back to %s.\n", telling->events ? "\n" : "",
	       time_of(ms, when, sizeof(when)));
	if (!telling->events)
		printf("There is nothing about %s in it.\n", telling->target);
}

static void tell_line(struct telling *telling, const struct control_link *link)
{
	if (control_link_is(link, "event", FIELDS))
		tell_event(telling, link->fields);
	else if (control_link_is(link, "advice", 2))
		tell_advice(telling, link->fields[1]);
	else if (control_link_is(link, "oldest", 2))
		tell_oldest(telling, link->fields[1]);
	else if (control_link_is(link, "note", 2) && !telling->json)
		printf("(%s)\n", link->fields[1]);
}

int control_explain(struct control_link *link, const struct control_arguments *arguments,
		    int *ret_code, struct err *err)
{
	struct telling telling = {.target = arguments->target, .json = arguments->json};
	int rc = control_link_ask(link, "explain", arguments->target, err);

	(void)ret_code;
	if (rc == 0 && telling.json)
		fputs("{\"events\": [", stdout);
	while (rc == 0 && (rc = control_link_next(link, err)) > 0) {
		rc = 0;
		tell_line(&telling, link);
	}
	if (rc == 0 && telling.json)
		printf("%s\n ]}\n", telling.advices ? "" : "\n ],\n \"advice\": [");
	return rc;
}
