/* See user_app.h. valijad reads a change at the next login, without a signal. */
#include "cli/user_app.h"

#include "base/array.h"
#include "base/secret.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/last_seen.h"
#include "config/config.h"
#include "users/app_edit.h"
#include "users/edit.h"
#include "users/networks.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

enum verb { VERB_ADD, VERB_LIST, VERB_REVOKE, VERB_COUNT };

static const char *const verbs[VERB_COUNT] = {"add", "list", "revoke"};

enum {
	EXPIRES_MAX = 100 * 366, /* days */
};

struct arguments {
	enum verb verb;
	const char *config, *name, *label, *expires, *networks;
	bool no_delete, all;
	char spelling[USER_NAME_MAX + 1]; /* of the name in the users file, "": not there */
};

static int usage(void)
{
	fputs("usage: valija user app add [-c CONF] NAME --label LABEL [--expires 90d]\n"
	      "                       [--networks LIST] [--no-delete]\n"
	      "       valija user app list [-c CONF] NAME\n"
	      "       valija user app revoke [-c CONF] NAME --label LABEL | --all\n",
	      stderr);
	return EX_USAGE;
}

static bool take_option(int c, struct arguments *ret)
{
	switch (c) {
	case 'c':
		ret->config = optarg;
		return true;
	case 'l':
		ret->label = optarg;
		return true;
	case 'e':
		ret->expires = optarg;
		return true;
	case 'n':
		ret->networks = optarg;
		return true;
	case 'd':
		ret->no_delete = true;
		return true;
	case 'a':
		ret->all = true;
		return true;
	default:
		return false;
	}
}

/* Whether the options are those of the verb. */
static bool fits(const struct arguments *arguments)
{
	bool limits = arguments->expires || arguments->networks || arguments->no_delete;

	switch (arguments->verb) {
	case VERB_ADD:
		return arguments->label && !arguments->all;
	case VERB_LIST:
		return !arguments->label && !arguments->all && !limits;
	case VERB_REVOKE:
		return (arguments->label != NULL) != arguments->all && !limits;
	case VERB_COUNT:
		break;
	}
	return false;
}

static int parse(int argc, char **argv, struct arguments *ret)
{
	static const struct option options[] = {{"config", required_argument, NULL, 'c'},
						{"label", required_argument, NULL, 'l'},
						{"expires", required_argument, NULL, 'e'},
						{"networks", required_argument, NULL, 'n'},
						{"no-delete", no_argument, NULL, 'd'},
						{"all", no_argument, NULL, 'a'},
						{NULL, 0, NULL, 0}};
	int c;

	ret->verb = VERB_COUNT;
	optind = 0;
	while ((c = getopt_long(argc, argv, "c:", options, NULL)) != -1)
		if (!take_option(c, ret))
			return -1;
	if (optind + 2 != argc)
		return -1;
	for (int i = 0; i < VERB_COUNT; i++)
		if (strcmp(argv[optind], verbs[i]) == 0)
			ret->verb = (enum verb)i;
	ret->name = argv[optind + 1];
	return fits(ret) ? 0 : -1;
}

/* "90d", "12h", "30m", "3600s". */
static int parse_expires(const char *text, uint64_t *ret_seconds, struct err *err)
{
	static const struct {
		char unit;
		uint32_t seconds;
	} units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
	size_t size = strlen(text);
	uint64_t number = 0;

	for (size_t i = 0; size && i < sizeof(units) / sizeof(units[0]); i++)
		if (text[size - 1] == units[i].unit &&
		    span_number((pop3_span){text, size - 1}, EXPIRES_MAX * 86400ull, &number) ==
			    0 &&
		    number && number * units[i].seconds <= EXPIRES_MAX * 86400ull) {
			*ret_seconds = number * units[i].seconds;
			return 0;
		}
	return err_set(err, EX_USAGE,
		       "\"%s\" is no time that an app password may last: write a number with s, m, "
		       "h or d behind it, as 90d",
		       text);
}

/* In the form of the file, which has no blanks in it. */
static int set_networks(const char *list, struct app_password *app, struct err *err)
{
	if (!networks_valid(span_of(list)) ||
	    span_copy(span_of(list), app->networks, sizeof(app->networks)) < 0)
		return err_set(err, EX_USAGE,
			       "\"%s\" is no list of networks: write them as 192.0.2.0/24, with "
			       "commas between, in at most %d octets",
			       list, APP_NETWORKS_MAX);
	for (char *c = app->networks; *c; c++)
		if (*c == ' ')
			*c = ',';
	return 0;
}

/* The user meant is the one spelled exactly so, else the one in another case of its letters. */
static void note_spelling(void *argument, pop3_span name)
{
	struct arguments *arguments = argument;

	if (user_name_same(name, span_of(arguments->name)) &&
	    strcmp(arguments->spelling, arguments->name) != 0)
		(void)span_copy(name, arguments->spelling, sizeof(arguments->spelling));
}

/* A user of a database need not stand in the users file. */
static int check_user(struct arguments *arguments, const struct config *config, struct err *err)
{
	if (edit_check_name(EDIT_CHANGE, span_of(arguments->name), err) < 0)
		return -1;
	if (edit_list(config->users, note_spelling, arguments, err) < 0)
		return -1;
	if (arguments->spelling[0] || arguments->verb != VERB_ADD)
		return 0;
	if (!config->database_count)
		return err_set(err, EX_NOUSER, "there is no user %s in %s", arguments->name,
			       config->users);
	fprintf(stderr,
		"valija user app: %s is not in %s: the app password is good if a database has "
		"that user\n",
		arguments->name, config->users);
	return 0;
}

static int check_label(const char *label, struct err *err)
{
	if (app_label_valid(span_of(label)))
		return 0;
	return err_set(err, EX_USAGE,
		       "\"%s\" is no label: 1 to %d letters, digits or . _ + @ -, beginning with a "
		       "letter or digit",
		       label, APP_LABEL_MAX);
}

static int add(struct arguments *arguments, const struct config *config, struct err *err)
{
	struct app_password app = {.no_delete = arguments->no_delete};
	char shown[APP_SHOWN_MAX];
	uint64_t seconds;

	if (check_label(arguments->label, err) < 0 || check_user(arguments, config, err) < 0)
		return -1;
	if (arguments->networks && set_networks(arguments->networks, &app, err) < 0)
		return -1;
	if (arguments->expires) {
		if (parse_expires(arguments->expires, &seconds, err) < 0)
			return -1;
		app.expires = (uint64_t)time(NULL) + seconds;
	}
	(void)span_copy(span_of(arguments->name), app.name, sizeof(app.name));
	(void)span_copy(span_of(arguments->label), app.label, sizeof(app.label));
	if (app_edit_add(config->users, &app, shown, err) < 0)
		return -1;
	printf("%s\n", shown);
	wipe(shown, sizeof(shown));
	fprintf(stderr,
		"This is the app password %s of %s. It is not shown again; `valija user app "
		"revoke` ends it.\n",
		app.label, arguments->spelling[0] ? arguments->spelling : arguments->name);
	return 0;
}

static void print_time(uint64_t seconds)
{
	time_t at = (time_t)seconds;
	struct tm tm;
	char text[32];

	if (!gmtime_r(&at, &tm) || !strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm))
		snprintf(text, sizeof(text), "%" PRIu64, seconds);
	fputs(text, stdout);
}

/* The last use of each label. */
struct uses {
	size_t count, room;
	struct use {
		char label[APP_LABEL_MAX + 1];
		uint32_t day;
	} * uses;
};

static void take_use(void *context, const char *label, uint32_t day)
{
	struct uses *uses = context;
	struct use *use = array_grow(uses->uses, uses->count, &uses->room, sizeof(*use));

	if (!use)
		return;
	uses->uses = use;
	use = &uses->uses[uses->count++];
	snprintf(use->label, sizeof(use->label), "%s", label);
	use->day = day;
}

/* A use before the day on which it was made was that of an earlier one. */
static void print_use(const struct uses *uses, const struct app_password *app)
{
	char date[LAST_LOGINS_DATE_SIZE];

	for (size_t i = 0; i < uses->count; i++)
		if (strcmp(uses->uses[i].label, app->label) == 0 &&
		    uses->uses[i].day >= app->created / 86400) {
			last_login_date(uses->uses[i].day, date);
			printf(" used=%s", date);
		}
}

static void print_one(void *argument, const struct app_password *app)
{
	uint64_t now = (uint64_t)time(NULL);

	printf("%s created=", app->label);
	print_time(app->created);
	print_use(argument, app);
	if (app->expires) {
		fputs(app->expires <= now ? " expired=" : " expires=", stdout);
		print_time(app->expires);
	}
	if (app->no_delete)
		fputs(" no-delete", stdout);
	if (app->networks[0])
		printf(" networks=%s", app->networks);
	putchar('\n');
}

static int revoke(struct arguments *arguments, const struct config *config, struct err *err)
{
	struct err why = {0};
	unsigned count;

	if (arguments->label && check_label(arguments->label, err) < 0)
		return -1;
	if (edit_check_name(EDIT_CHANGE, span_of(arguments->name), err) < 0 ||
	    app_edit_revoke(config->users, arguments->name, arguments->label, &count, err) < 0)
		return -1;
	if (!count && arguments->label)
		return err_set(err, EX_NOUSER, "%s has no app password of the label %s",
			       arguments->name, arguments->label);
	if (count && last_seen_revoke(config, arguments->name, arguments->label, &why) < 0)
		fprintf(stderr, "valija user app: its last use stays written down: %s\n", why.text);
	printf("%u app password%s of %s revoked; sessions that are open go on\n", count,
	       count == 1 ? "" : "s", arguments->name);
	return 0;
}

static int list(const struct arguments *arguments, const struct config *config, struct err *err)
{
	struct uses uses = {.count = 0};
	struct err why = {0};
	int rc;

	/* who may not read it may read the rest */
	if (last_seen_labels(config, arguments->name, take_use, &uses, &why) < 0)
		fprintf(stderr, "valija user app: the last uses are not known: %s\n", why.text);
	rc = app_edit_list(config->users, arguments->name, print_one, &uses, err);
	free(uses.uses);
	return rc;
}

static int run(struct arguments *arguments, const struct config *config, struct err *err)
{
	switch (arguments->verb) {
	case VERB_ADD:
		return add(arguments, config, err);
	case VERB_LIST:
		return list(arguments, config, err);
	case VERB_REVOKE:
		return revoke(arguments, config, err);
	case VERB_COUNT:
		break;
	}
	return -1;
}

int user_app_main(int argc, char **argv)
{
	struct arguments arguments = {0};
	struct config *config;
	struct err err = {0};
	int status;

	if (parse(argc, argv, &arguments) < 0)
		return usage();
	config = malloc(sizeof(*config));
	if (!config)
		return EX_OSERR;
	status = config_load(command_config(arguments.config), config, &err);
	if (status == 0)
		status = run(&arguments, config, &err);
	free(config);
	if (status < 0)
		return command_failed("user app", &err);
	return fflush(stdout) == 0 ? EX_OK : EX_IOERR;
}
