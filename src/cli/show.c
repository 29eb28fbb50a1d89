/* `valija show SUBJECT`: tables of what a server that runs has now, by one table of subjects: the
 * command, the lines of its answer, their columns. See control_commands.h. */
#include "cli/control_commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

enum { COLUMNS_MAX = 10, CELL_MAX = 64, GENERATIONS_MAX = 32 };

enum column_kind {
	COLUMN_TEXT,
	COLUMN_NUMBER,
	COLUMN_COUNT, /* the same; "-": unknown */
	COLUMN_TIME,  /* seconds of 1970; 0: unknown */
	COLUMN_LASTS  /* seconds */
};

struct column {
	const char *head, *member;
	enum column_kind kind;
	int field, width;
};

static const struct subject {
	const char *name;
	const char *line; /* the kind of its lines */
	struct column columns[COLUMNS_MAX];
} subjects[] = {
	{"sessions",
	 "session",
	 {{"USER", "user", COLUMN_TEXT, 2, 24},
	  {"ADDRESS", "address", COLUMN_TEXT, 3, 24},
	  {"SINCE", "since", COLUMN_TIME, 4, 19},
	  {"STATE", "state", COLUMN_TEXT, 5, 9},
	  {"TLS", "tls", COLUMN_TEXT, 6, 7},
	  {"MECHANISM", "mechanism", COLUMN_TEXT, 7, 18},
	  {"MESSAGES", "messages", COLUMN_COUNT, 8, 8},
	  {"OCTETS", "octets", COLUMN_COUNT, 9, 12},
	  {"SESSION", "session", COLUMN_TEXT, 1, 0}}},
	{"listeners",
	 "listener",
	 {{"SERVICE", "service", COLUMN_TEXT, 1, 9},
	  {"STATE", "state", COLUMN_TEXT, 4, 7},
	  {"SOCKETS", "sockets", COLUMN_NUMBER, 3, 7},
	  {"ADDRESS", "address", COLUMN_TEXT, 2, 0}}},
	{"users",
	 "user",
	 {{"USER", "user", COLUMN_TEXT, 1, 40},
	  {"SESSIONS", "sessions", COLUMN_NUMBER, 2, 8},
	  {"GENERATION", "generation", COLUMN_NUMBER, 3, 0}}},
	{"generations",
	 "generation",
	 {{"GENERATION", "generation", COLUMN_NUMBER, 1, 10},
	  {"STATE", "state", COLUMN_TEXT, 2, 9},
	  {"SINCE", "since", COLUMN_TIME, 3, 19},
	  {"PROCESSES", "processes", COLUMN_NUMBER, 4, 9},
	  {"CONNECTIONS", "connections", COLUMN_NUMBER, 5, 0}}},
	{"processes",
	 "process",
	 {{"PROCESS", "process", COLUMN_TEXT, 2, 8},
	  {"INDEX", "index", COLUMN_NUMBER, 3, 5},
	  {"PID", "pid", COLUMN_NUMBER, 4, 8},
	  {"UID", "uid", COLUMN_NUMBER, 5, 10},
	  {"STATE", "state", COLUMN_TEXT, 6, 8},
	  {"RUNS", "seconds", COLUMN_LASTS, 7, 12},
	  {"GENERATION", "generation", COLUMN_NUMBER, 1, 0}}},
	{"certificates",
	 "certificate",
	 {{"PLACE", "place", COLUMN_NUMBER, 1, 5},
	  {"ENDS", "ends", COLUMN_TIME, 3, 19},
	  {"FILE", "file", COLUMN_TEXT, 2, 0}}},
	{"databases",
	 "database",
	 {{"DATABASE", "database", COLUMN_TEXT, 2, 24},
	  {"DRIVER", "driver", COLUMN_TEXT, 3, 11},
	  {"STATE", "state", COLUMN_TEXT, 4, 5},
	  {"WAITING", "waiting", COLUMN_NUMBER, 5, 7},
	  {"GENERATION", "generation", COLUMN_NUMBER, 1, 0}}},
	{"program",
	 "program",
	 {{"VERSION", "version", COLUMN_TEXT, 1, 12},
	  {"STATE", "state", COLUMN_TEXT, 4, 9},
	  {"SINCE", "since", COLUMN_TIME, 3, 19},
	  {"UPGRADES", "upgrades", COLUMN_NUMBER, 5, 8},
	  {"LAST", "last", COLUMN_TEXT, 6, 8},
	  {"FILE", "file", COLUMN_TEXT, 2, 24},
	  {"REASON", "reason", COLUMN_TEXT, 7, 0}}},
	{"bans",
	 "ban",
	 {{"NETWORK", "network", COLUMN_TEXT, 1, 24},
	  {"UNTIL", "until", COLUMN_TIME, 2, 19},
	  {"SINCE", "since", COLUMN_TIME, 3, 19},
	  {"UID", "by_uid", COLUMN_NUMBER, 4, 6},
	  {"WHY", "why", COLUMN_TEXT, 5, 0}}},
};

/* ---- rows ---- */

/* Lines of generations wait for their connections, which come behind all of them. */
struct table {
	const struct subject *subject;
	bool json;
	unsigned rows;
	struct {
		char fields[5][CELL_MAX];
		unsigned long long connections;
	} generations[GENERATIONS_MAX];
	unsigned generation_count;
};

static const char *lasts(unsigned long long seconds, char buf[CELL_MAX])
{
	if (seconds >= 86400)
		snprintf(buf, CELL_MAX, "%llud %02llu:%02llu", seconds / 86400,
			 seconds % 86400 / 3600, seconds % 3600 / 60);
	else
		snprintf(buf, CELL_MAX, "%02llu:%02llu:%02llu", seconds / 3600, seconds % 3600 / 60,
			 seconds % 60);
	return buf;
}

static void print_cell(const struct column *column, const char *field)
{
	char text[CELL_MAX];

	switch (column->kind) {
	case COLUMN_TIME:
		field = print_time(strtoull(field, NULL, 10), text);
		break;
	case COLUMN_LASTS:
		field = lasts(strtoull(field, NULL, 10), text);
		break;
	case COLUMN_NUMBER:
	case COLUMN_COUNT:
	case COLUMN_TEXT:
		break;
	}
	printf(column->width ? "%-*s " : "%-*s\n", column->width, field);
}

static void print_member(const struct column *column, const char *field, bool first)
{
	unsigned long long number = strtoull(field, NULL, 10);

	printf("%s\"%s\": ", first ? "" : ", ", column->member);
	if (column->kind == COLUMN_TEXT)
		print_json_text(field);
	else if ((column->kind == COLUMN_TIME && !number) ||
		 (column->kind == COLUMN_COUNT && strcmp(field, "-") == 0))
		fputs("null", stdout);
	else
		printf("%llu", number);
}

static void print_head(struct table *table)
{
	const struct column *column = table->subject->columns;

	if (table->json)
		printf("{\"format\": 1, \"%s\": [", table->subject->name);
	for (; !table->json && column->head; column++)
		printf(column->width ? "%-*s " : "%-*s\n", column->width, column->head);
}

static void print_row(struct table *table, char *const *fields)
{
	const struct column *column = table->subject->columns;

	if (table->json)
		fputs(table->rows ? ",\n  {" : "\n  {", stdout);
	for (; column->head; column++)
		if (table->json)
			print_member(column, fields[column->field],
				     column == table->subject->columns);
		else
			print_cell(column, fields[column->field]);
	fputs(table->json ? "}" : "", stdout);
	table->rows++;
}

/* ---- generations ---- */

static void keep_generation(struct table *table, const struct control_link *link)
{
	unsigned n = table->generation_count;

	if (n == GENERATIONS_MAX)
		return;
	for (int i = 0; i < 5; i++)
		snprintf(table->generations[n].fields[i], CELL_MAX, "%s", link->fields[i]);
	table->generations[n].connections = 0;
	table->generation_count++;
}

static void add_connections(struct table *table, const struct control_link *link)
{
	for (unsigned i = 0; i < table->generation_count; i++)
		if (strcmp(table->generations[i].fields[1], link->fields[1]) == 0)
			table->generations[i].connections += control_link_number(link, 2);
}

static void print_generations(struct table *table)
{
	for (unsigned i = 0; i < table->generation_count; i++) {
		char count[CELL_MAX], *fields[6];

		for (int n = 0; n < 5; n++)
			fields[n] = table->generations[i].fields[n];
		snprintf(count, sizeof(count), "%llu", table->generations[i].connections);
		fields[5] = count;
		print_row(table, fields);
	}
}

/* ---- the command ---- */

static int fields_of(const struct subject *subject)
{
	int most = 0;

	for (const struct column *column = subject->columns; column->head; column++)
		if (column->field > most)
			most = column->field;
	return most + 1;
}

static void take_line(struct table *table, const struct control_link *link)
{
	bool generations = strcmp(table->subject->name, "generations") == 0;

	if (generations && control_link_is(link, "generation", 5))
		keep_generation(table, link);
	else if (generations && control_link_is(link, "connections", 3))
		add_connections(table, link);
	else if (control_link_is(link, table->subject->line, fields_of(table->subject)))
		print_row(table, link->fields);
}

static const struct subject *subject_named(const char *name)
{
	for (size_t i = 0; i < sizeof(subjects) / sizeof(subjects[0]); i++)
		if (strcmp(subjects[i].name, name) == 0)
			return &subjects[i];
	return NULL;
}

int control_show(struct control_link *link, const struct control_arguments *arguments,
		 int *ret_code, struct err *err)
{
	struct table table = {.subject = subject_named(arguments->target), .json = arguments->json};
	char command[64];
	int rc;

	(void)ret_code;
	if (!table.subject)
		return err_set(err, EX_USAGE,
			       "there is no \"%s\" to show: sessions, listeners, users, "
			       "generations, processes, certificates, databases, bans, program",
			       arguments->target);
	snprintf(command, sizeof(command), "show %s", table.subject->name);
	rc = control_link_ask(link, command, NULL, err);
	if (rc == 0)
		rc = control_link_next(link, err);
	if (rc >= 0)
		print_head(&table);
	for (; rc > 0; rc = control_link_next(link, err))
		take_line(&table, link);
	if (rc == 0)
		print_generations(&table);
	if (rc == 0 && table.json)
		puts(table.rows ? "\n]}" : "]}");
	return rc;
}
