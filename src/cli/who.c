/* `valija who` and `valija kick`: sessions of a server that runs. See control_commands.h. */
#include "cli/control_commands.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

enum field { /* of a line about a session */
	     FIELD_ID = 1,
	     FIELD_USER,
	     FIELD_ADDRESS,
	     FIELD_SINCE,
	     FIELD_STATE,
	     FIELD_TLS,
	     FIELD_MECHANISM,
	     FIELD_MESSAGES,
	     FIELD_OCTETS,
	     FIELDS
};

#define TABLE "%-24s %-24s %-19s %-9s %-7s %-18s %8s %12s %s\n"

static void print_row(const struct control_link *link)
{
	char when[32];

	printf(TABLE, link->fields[FIELD_USER], link->fields[FIELD_ADDRESS],
	       print_time(control_link_number(link, FIELD_SINCE), when), link->fields[FIELD_STATE],
	       link->fields[FIELD_TLS], link->fields[FIELD_MECHANISM], link->fields[FIELD_MESSAGES],
	       link->fields[FIELD_OCTETS], link->fields[FIELD_ID]);
}

static void print_json_count(const struct control_link *link, const char *name, int field)
{
	if (strcmp(link->fields[field], "-") == 0)
		printf(", \"%s\": null", name);
	else
		printf(", \"%s\": %llu", name, control_link_number(link, field));
}

static void print_json(const struct control_link *link, bool first)
{
	unsigned long long since = control_link_number(link, FIELD_SINCE);

	printf("%s\n  {\"session\": \"%s\"", first ? "[" : ",", link->fields[FIELD_ID]);
	print_json_member("user", link->fields[FIELD_USER]);
	print_json_member("address", link->fields[FIELD_ADDRESS]);
	if (since)
		printf(", \"since\": %llu", since);
	else
		fputs(", \"since\": null", stdout);
	print_json_member("state", link->fields[FIELD_STATE]);
	print_json_member("tls", link->fields[FIELD_TLS]);
	print_json_member("mechanism", link->fields[FIELD_MECHANISM]);
	print_json_count(link, "messages", FIELD_MESSAGES);
	print_json_count(link, "octets", FIELD_OCTETS);
	putchar('}');
}

/* Prints sessions until the answer ends. */
static int list(struct control_link *link, const struct control_arguments *arguments,
		unsigned long *ret_sessions, struct err *err)
{
	unsigned long sessions = 0;
	int rc = control_link_ask(link, arguments->name, arguments->target, err);

	while (rc == 0 && (rc = control_link_next(link, err)) > 0) {
		rc = 0;
		if (!control_link_is(link, "session", FIELDS))
			continue;
		if (arguments->json)
			print_json(link, sessions == 0);
		else if (sessions == 0)
			printf(TABLE, "USER", "ADDRESS", "SINCE", "STATE", "TLS", "MECHANISM",
			       "MESSAGES", "OCTETS", "SESSION");
		if (!arguments->json)
			print_row(link);
		sessions++;
	}
	if (rc == 0 && arguments->json)
		puts(sessions ? "\n]" : "[]");
	*ret_sessions = sessions;
	return rc;
}

int control_who(struct control_link *link, const struct control_arguments *arguments, int *ret_code,
		struct err *err)
{
	unsigned long sessions;
	int rc = list(link, arguments, &sessions, err);

	(void)ret_code;
	if (rc == 0 && !sessions && !arguments->json)
		fprintf(stderr, "valija who: no session%s%s is there\n",
			arguments->target ? " of " : "",
			arguments->target ? arguments->target : "");
	return rc;
}

int control_kick(struct control_link *link, const struct control_arguments *arguments,
		 int *ret_code, struct err *err)
{
	unsigned long sessions;

	if (list(link, arguments, &sessions, err) < 0)
		return -1;
	if (!sessions) {
		fprintf(stderr, "valija kick: no session of %s is there\n", arguments->target);
		*ret_code = EX_NOUSER;
	}
	return 0;
}
