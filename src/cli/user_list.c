/* See user_list.h. A user whom several databases have is the first one's, as at a login. Names of
 * databases are hostile: what is no name is counted, a terminal gets nothing it could obey. */
#include "cli/user_list.h"

#include "base/table.h"
#include "base/text.h"
#include "cli/asker.h"
#include "cli/command.h"
#include "cli/last_seen.h"
#include "config/config.h"
#include "config/database.h"
#include "users/edit.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum {
	NAMES_MAX = 16 << 20, /* names; behind so many one may be listed twice */
	UNUSED_MAX = 36500,   /* days */
};

struct listing {
	const struct config *config;
	const char *file; /* of the configuration */
	bool json, terminal;
	uint32_t unused; /* days; 0: all users */
	uint32_t oldest; /* who was seen on that day or later is left out */
	struct last_seen_all seen;
	struct hash_map names; /* that are printed, or left out */
	const char *database;  /* whose users come now; NULL: the users file */
	uint64_t never;        /* printed as such */
	uint64_t bad;          /* names of the database that are none */
	int code;              /* of sysexits.h: a database is not listed whole */
};

static int usage(void)
{
	fputs("usage: valija user list [-c CONF] [--json] [--unused 180d]\n", stderr);
	return EX_USAGE;
}

/* ---- a user ---- */

static void print_json_text(const char *text, size_t size)
{
	putchar('"');
	for (size_t i = 0, n; i < size; i += n) {
		n = text_shown_size((pop3_span){text + i, size - i});
		if (n) {
			printf("%.*s", (int)n, text + i);
			continue;
		}
		n = 1;
		if (text[i] == '"' || text[i] == '\\')
			printf("\\%c", text[i]);
		else if (text[i] >= ' ' && text[i] <= '~')
			putchar(text[i]);
		else
			fputs("\\ufffd", stdout); /* JSON is UTF-8 */
	}
	putchar('"');
}

static void print_json(const struct listing *listing, pop3_span name, uint32_t day)
{
	char date[LAST_LOGINS_DATE_SIZE];

	fputs("{\"name\": ", stdout);
	print_json_text(name.data, name.size);
	fputs(", \"database\": ", stdout);
	if (listing->database)
		print_json_text(listing->database, strlen(listing->database));
	else
		fputs("null", stdout);
	if (day) {
		last_login_date(day - 1, date);
		printf(", \"last_login\": \"%s\"}\n", date);
	} else {
		fputs(", \"last_login\": null}\n", stdout);
	}
}

static void print_text(const struct listing *listing, pop3_span name, uint32_t day)
{
	char shown[4 * USER_NAME_MAX + 1], date[LAST_LOGINS_DATE_SIZE] = "never";

	if (day)
		last_login_date(day - 1, date);
	/* names in UTF-8 stay as they are for scripts */
	if (listing->terminal)
		text_escape(shown, sizeof(shown) - 1, name);
	else
		(void)span_copy(name, shown, sizeof(shown));
	if (listing->unused)
		printf("%s %s\n", shown, date);
	else
		printf("%s\n", shown);
}

static bool is_first(struct listing *listing, pop3_span name)
{
	char key[USER_NAME_MAX];
	pop3_span canonical = user_name_key(name, key);
	uint64_t *seen = hash_map_put(&listing->names, hash_octets(canonical.data, canonical.size));
	bool first = !seen || *seen == 0;

	if (seen)
		*seen = 1;
	return first;
}

static void list_user(void *argument, pop3_span name)
{
	struct listing *listing = argument;
	uint32_t day = last_seen_day(&listing->seen, name);

	if (name.size > USER_NAME_MAX || !is_first(listing, name) ||
	    (listing->unused && day && day - 1 >= listing->oldest))
		return;
	listing->never += day == 0;
	(listing->json ? print_json : print_text)(listing, name, day);
}

/* ---- databases ---- */

static void list_name(void *context, pop3_span name)
{
	struct listing *listing = context;
	char buf[USER_NAME_MAX + 1];

	if (user_name_valid(name))
		list_user(listing, user_name_unaliased(listing->config, name, buf));
	else
		listing->bad++;
}

/* Octets of a database could steer a terminal: they are escaped. */
static void complain(const struct config_database *database, const char *what, const char *why)
{
	char shown[1024];

	text_escape(shown, sizeof(shown) - 1, span_of(why));
	fflush(stdout);
	fprintf(stderr, "valija user list: database %s%s%s\n", database->name, what, shown);
}

static void list_database(struct listing *listing, const struct config_database *database)
{
	char said[512], bad[64];
	struct err err = {0};

	if (!asker_can_list(database)) {
		complain(database,
			 " cannot be listed: it is asked about one name at a time: driver ",
			 config_driver_name((enum config_driver)database->driver));
		return;
	}
	listing->database = database->name;
	listing->bad = 0;
	if (asker_list(listing->config, database, list_name, listing, said, sizeof(said), &err) <
	    0) {
		listing->code = err.code;
		complain(database, " is not listed whole: ", said[0] ? said : err.text);
	} else if (said[0]) {
		complain(database, ": ", said);
	}
	snprintf(bad, sizeof(bad), "%" PRIu64 " users with names that are none", listing->bad);
	if (listing->bad)
		complain(database, " has ", bad);
}

/* Those that may have users who log in; a name is completed as at a login only where it is asked
 * for. */
static void list_databases(struct listing *listing)
{
	for (uint32_t i = 0; i < listing->config->database_count; i++)
		if (listing->config->databases[i].purposes & CONFIG_FOR_LOGIN)
			list_database(listing, &listing->config->databases[i]);
}

/* ---- all of them ---- */

/* Nobody is to be removed for a login that could not be known. */
static void warn_of_never(const struct listing *listing)
{
	char date[LAST_LOGINS_DATE_SIZE];

	if (!listing->unused || !listing->never)
		return;
	if (!listing->seen.kept || !listing->seen.since) {
		fputs("valija user list: no last logins are written down here (login.last_logins), "
		      "so that \"never\" says nothing\n",
		      stderr);
		return;
	}
	if (listing->seen.since < listing->oldest)
		return;
	last_login_date(listing->seen.since, date);
	fprintf(stderr,
		"valija user list: last logins are written down since %s only: \"never\" is not "
		"known for longer\n",
		date);
}

static int list_all(struct listing *listing, struct err *err)
{
	uint32_t today = last_login_today();
	int rc = 0;

	listing->terminal = isatty(STDOUT_FILENO);
	listing->oldest = today > listing->unused ? today - listing->unused : 0;
	hash_map_init(&listing->names, NAMES_MAX);
	if (listing->unused || listing->json)
		rc = last_seen_load(listing->config, &listing->seen, err);
	if (rc == 0)
		rc = edit_list(listing->config->users, list_user, listing, err);
	if (rc == 0) {
		list_databases(listing);
		warn_of_never(listing);
	}
	hash_map_finish(&listing->names);
	last_seen_finish(&listing->seen);
	return rc;
}

/* "180d" */
static int parse_days(const char *text, uint32_t *ret)
{
	size_t size = strlen(text);
	uint64_t days;

	if (size < 2 || text[size - 1] != 'd' ||
	    span_number((pop3_span){text, size - 1}, UNUSED_MAX, &days) < 0 || days == 0) {
		fprintf(stderr,
			"valija user list: \"%s\" is no time: write a number of days, as 180d\n",
			text);
		return -1;
	}
	*ret = (uint32_t)days;
	return 0;
}

static int parse(int argc, char **argv, struct listing *ret)
{
	static const struct option options[] = {{"config", required_argument, NULL, 'c'},
						{"json", no_argument, NULL, 'j'},
						{"unused", required_argument, NULL, 'u'},
						{NULL, 0, NULL, 0}};
	int c;

	optind = 0;
	while ((c = getopt_long(argc, argv, "c:", options, NULL)) != -1) {
		if (c == 'c')
			ret->file = optarg;
		else if (c == 'j')
			ret->json = true;
		else if (c != 'u' || parse_days(optarg, &ret->unused) < 0)
			return -1;
	}
	return optind == argc ? 0 : -1;
}

int user_list_main(int argc, char **argv)
{
	struct listing listing = {.file = NULL};
	struct config *config = malloc(sizeof(*config));
	struct err err = {0};
	int rc;

	if (!config)
		return EX_OSERR;
	if (parse(argc, argv, &listing) < 0) {
		free(config);
		return usage();
	}
	listing.config = config;
	rc = config_load(command_config(listing.file), config, &err);
	if (rc == 0)
		rc = list_all(&listing, &err);
	free(config);
	if (rc < 0)
		return command_failed("user list", &err);
	return fflush(stdout) == 0 ? listing.code : EX_IOERR;
}
