/* See user_show.h. The databases are asked in the order in which auth asks them for a login, each
 * step is printed with its time, and what they say is judged by the functions that judge it in
 * auth. */
#include "cli/user_show.h"

#include "base/secret.h"
#include "base/text.h"
#include "cli/asker.h"
#include "cli/command.h"
#include "cli/last_seen.h"
#include "cli/migrate/where.h"
#include "cli/password.h"
#include "config/database.h"
#include "config/path.h"
#include "users/app_edit.h"
#include "users/app_passwords.h"
#include "users/judge.h"
#include "users/schemes.h"
#include "users/site.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum outcome {
	NOBODY, /* the next database is asked */
	SOMEBODY,
	BROKEN, /* the entry cannot be used, or the database is down: no other one is asked */
};

struct look {
	const struct config *config;
	char name[USER_NAME_MAX + 1];
	bool tests;                             /* a password, else the entry is shown */
	struct secret password;                 /* set if it tests */
	struct timespec began;                  /* of this step */
	const struct config_database *database; /* that has the user; NULL: the users file */
	struct user user;
	struct finding *finding; /* of a database; owned */
	bool right, judged;      /* the password is; the database said so */
	char app[APP_LABEL_MAX + 1];
	int code; /* of sysexits.h */
};

static int usage(void)
{
	fputs("usage: valija user show [-c CONF] NAME\n"
	      "       valija user test [-c CONF] NAME\n"
	      "The password to test is asked for, or is the first line of standard input.\n",
	      stderr);
	return EX_USAGE;
}

/* ---- steps ---- */

static void begin_step(struct look *look)
{
	clock_gettime(CLOCK_MONOTONIC, &look->began);
}

/* Without the name of the database in front, which stands there already. */
static const char *without_name(const struct config_database *database, const char *said)
{
	char prefix[96];
	int n = snprintf(prefix, sizeof(prefix), "database %s", database->name);

	if (strncmp(said, prefix, (size_t)n) != 0)
		return said;
	said += n;
	return said + strspn(said, ": ");
}

/* Text of a database may steer a terminal: it is escaped. */
static void end_step(const struct look *look, const char *what, const char *outcome)
{
	struct timespec now;
	char shown[1024];
	double ms;

	clock_gettime(CLOCK_MONOTONIC, &now);
	ms = (double)(now.tv_sec - look->began.tv_sec) * 1e3 +
	     (double)(now.tv_nsec - look->began.tv_nsec) / 1e6;
	text_escape(shown, sizeof(shown) - 1, span_of(outcome));
	printf("%s: %s (%.1f ms)\n", what, shown, ms);
	fflush(stdout);
}

/* Whether the stored secret accepts the password; the words for it. */
static const char *try_secret(struct look *look, struct err *err)
{
	err_set(err, 0, "the stored password cannot be used");
	switch (scheme_verify(look->user.secret, &look->password, err)) {
	case SCHEME_MATCH:
		look->right = true;
		return "found; the password is right";
	case SCHEME_MISMATCH:
		break;
	case SCHEME_BROKEN:
		return err->text;
	}
	return scheme_can_match(look->user.secret) ? "found; the password is wrong"
						   : "found; no password is right";
}

static enum outcome step_file(struct look *look, struct users *users)
{
	char what[CONFIG_PATH_MAX + 16];
	const char *outcome = "found";
	struct err err = {0};
	enum users_status status;

	begin_step(look);
	snprintf(what, sizeof(what), "users file %s", look->config->users);
	status = users_find(users, span_of(look->name), &look->user, &err);
	if (status == USERS_UNKNOWN)
		outcome = "no such user";
	else if (status != USERS_FOUND)
		outcome = err.text;
	else if (look->tests && !look->app[0])
		outcome = try_secret(look, &err);
	end_step(look, what, outcome);
	if (status == USERS_UNKNOWN)
		return NOBODY;
	look->code = status == USERS_FOUND ? EX_OK : EX_CONFIG;
	return status == USERS_FOUND ? SOMEBODY : BROKEN;
}

/* The app password, which is looked at before any database. */
static int step_app(struct look *look, int users_fd, struct err *err)
{
	struct app_passwords *apps;
	struct app_password app;
	char outcome[128];

	if (app_passwords_open(users_fd, &apps, err) < 0)
		return -1;
	if (!app_passwords_any(apps)) {
		app_passwords_close(apps);
		return 0;
	}
	begin_step(look);
	snprintf(outcome, sizeof(outcome), "it is none of this user's");
	if (app_passwords_match(apps, span_of(look->name),
				(pop3_span){look->password.bytes, look->password.size}, &app)) {
		bool over = app.expires && app.expires <= (uint64_t)time(NULL);

		look->right = !over;
		memcpy(look->app, app.label, sizeof(look->app));
		snprintf(outcome, sizeof(outcome), "it is that of the label %s%s", app.label,
			 over ? ", which has expired" : "");
	}
	end_step(look, "app passwords", outcome);
	app_passwords_close(apps);
	return 0;
}

static enum outcome take_entry(struct look *look, const struct config_database *database,
			       const struct asker_answer *answer, const char **ret_said,
			       struct err *err)
{
	char key[USER_NAME_MAX + 1];
	pop3_span name = user_name_key(span_of(look->name), key);

	key[name.size] = '\0';
	look->database = database;
	look->finding = judge_answer(look->config, database, key, answer->fields, answer->size);
	if (!look->finding) {
		*ret_said = "out of memory";
		look->code = EX_OSERR;
		return BROKEN;
	}
	look->user = look->finding->user;
	*ret_said = "found";
	if (look->finding->status != USERS_FOUND) {
		*ret_said = look->finding->why;
		look->code = EX_CONFIG;
		return BROKEN;
	}
	if (look->tests && !look->app[0]) {
		look->right = look->right || look->judged;
		*ret_said = look->judged ? "found; the password is right" : try_secret(look, err);
	}
	return SOMEBODY;
}

static enum outcome judge_step(struct look *look, const struct config_database *database,
			       const struct asker_answer *answer, const char **ret_said,
			       struct err *err)
{
	look->code = EX_OK;
	switch (answer->status) {
	case LOOKUP_FOUND:
		return take_entry(look, database, answer, ret_said, err);
	case LOOKUP_UNKNOWN:
		*ret_said = "no such user";
		return NOBODY;
	case LOOKUP_WRONG:
		*ret_said = "the password is wrong";
		look->code = EX_NOPERM;
		return BROKEN;
	case LOOKUP_REFUSED:
		*ret_said = "the password is right, but the account is expired or locked";
		look->code = EX_NOPERM;
		return BROKEN;
	case LOOKUP_BAD_ENTRY:
		*ret_said = answer->said[0] ? answer->said : "the entry cannot be used";
		look->code = EX_CONFIG;
		return BROKEN;
	case LOOKUP_DOWN:
	case LOOKUP_STATUSES:
		break;
	}
	*ret_said = answer->said[0] ? answer->said : "it is down";
	look->code = EX_TEMPFAIL;
	return BROKEN;
}

static enum outcome step_database(struct look *look, const struct config_database *database,
				  struct asker_answer *answer)
{
	pop3_span password = {look->password.bytes, look->password.size};
	const char *said;
	char what[128];
	struct err err = {0};
	enum outcome outcome = BROKEN;

	snprintf(what, sizeof(what), "database %s (%s)", database->name,
		 config_driver_name((enum config_driver)database->driver));
	begin_step(look);
	look->judged =
		look->tests && !look->app[0] && config_database_verifies(look->config, database);
	if (asker_ask(look->config, database, span_of(look->name), look->judged ? &password : NULL,
		      answer, &err) < 0) {
		said = err.text;
		look->code = err.code;
	} else {
		outcome = judge_step(look, database, answer, &said, &err);
	}
	end_step(look, what, without_name(database, said));
	return outcome;
}

static bool is_asked(const struct look *look, const struct config_database *database)
{
	return (database->purposes & CONFIG_FOR_LOGIN) && database->driver != DRIVER_OAUTH &&
	       config_database_could_have(look->config, database, span_of(look->name));
}

/* Asks all databases in order, until one has the user or cannot say. */
static enum outcome ask_all(struct look *look, struct users *users)
{
	struct asker_answer *answer = malloc(sizeof(*answer));
	enum outcome outcome = step_file(look, users);

	for (uint32_t i = 0; answer && i < look->config->database_count && outcome == NOBODY; i++)
		if (is_asked(look, &look->config->databases[i]))
			outcome = step_database(look, &look->config->databases[i], answer);
	if (answer)
		wipe(answer, sizeof(*answer));
	free(answer);
	if (outcome == NOBODY)
		look->code = EX_NOUSER;
	return outcome;
}

/* ---- what is found ---- */

static void print_text(const char *what, const char *text)
{
	char shown[2048];

	text_escape(shown, sizeof(shown) - 1, span_of(text));
	printf("%s: %s\n", what, shown);
}

static void print_limit(const char *what, uint64_t number)
{
	if (number)
		printf("%s: %" PRIu64 "\n", what, number);
	else
		printf("%s: no limit\n", what);
}

static void print_app(void *argument, const struct app_password *app)
{
	uint64_t now = (uint64_t)time(NULL);

	(void)argument;
	printf("app password: %s%s%s\n", app->label, app->no_delete ? ", without deletions" : "",
	       app->expires && app->expires <= now ? ", expired" : "");
}

static void print_alias(const struct alias *alias)
{
	const char *target = alias->targets;

	for (uint32_t i = 0; i < alias->count; i++, target += strlen(target) + 1)
		print_text("alias of", target);
}

static void print_day(const char *what, uint32_t day)
{
	char date[LAST_LOGINS_DATE_SIZE];

	if (!day)
		return;
	last_login_date(day - 1, date);
	printf("%s: %s\n", what, date);
}

/* A person without access to that file still gets the rest. */
static void print_last_login(const struct look *look)
{
	struct last_seen seen;
	struct err err = {0};

	if (last_seen_user(look->config, look->user.name, &seen, &err) < 0) {
		print_text("last login", err.text);
		return;
	}
	if (!seen.any)
		printf("last login: none is known\n");
	print_day("last login", seen.pop3);
	print_day("last login at the MTA", seen.mta);
}

static void print_moving(const struct look *look)
{
	char words[WHERE_WORDS_MAX];

	if (!look->user.migrate_section)
		return;
	migrate_where(look->config, &look->user, words);
	print_text("mail that moves", words);
}

static int show(const struct look *look, struct err *err)
{
	struct site_quota quota = site_quota(look->config, &look->user);
	char path[CONFIG_PATH_MAX + USER_HOME_MAX + 2];

	print_text("name", look->user.name);
	if (look->finding && look->finding->alias.count) {
		print_alias(&look->finding->alias);
		return 0;
	}
	snprintf(path, sizeof(path), "%s/%s", look->config->roots[look->user.root].path,
		 user_home(&look->user));
	print_text("maildrop", path);
	print_moving(look);
	if (look->user.has_ids)
		printf("owner: %" PRIu32 ":%" PRIu32 "\n", look->user.uid, look->user.gid);
	print_limit("messages", quota.messages);
	print_limit("octets", quota.octets);
	print_text("networks", look->user.networks[0] ? look->user.networks : "any");
	printf("login: %s\n", look->user.nologin ? "no (nologin)" : "yes");
	print_last_login(look);
	return app_edit_list(look->config->users, look->name, print_app, NULL, err);
}

static int verdict(struct look *look)
{
	bool locked = look->app[0] && look->user.secret[0] == '!';

	if (look->right && look->config->app_only && !look->app[0])
		return printf("no login: app_passwords = only closes all other passwords\n"),
		       EX_NOPERM;
	if (!look->right)
		return printf("no login\n"), EX_NOPERM;
	if (look->user.nologin || locked)
		return printf("no login: the password is right, but the user is %s\n",
			      locked ? "locked (\"!\")" : "nologin"),
		       EX_NOPERM;
	print_text("login as", look->user.name);
	if (look->user.networks[0])
		print_text("from", look->user.networks);
	return EX_OK;
}

/* ---- the command ---- */

/* A login's name is completed in the same way. */
static void settle_name(struct look *look, struct users *users)
{
	char buf[USER_NAME_MAX + 1];
	pop3_span name = directory_name(users, look->config, span_of(look->name), buf);

	if (name.data != look->name) {
		printf("%s is %.*s here\n", look->name, (int)name.size, name.data);
		(void)span_copy(name, look->name, sizeof(look->name)); /* it fits */
	}
}

static int run(struct look *look, struct err *err)
{
	struct users *users = NULL;
	int fd = -1, code = -1;
	enum outcome outcome;

	if (!user_name_valid(span_of(look->name)))
		return err_set(err, EX_DATAERR, "not a user name");
	if (config_open_parent(look->config->users, &fd, err) < 0 ||
	    site_users_open(look->config, fd, &users, err) < 0)
		goto out;
	settle_name(look, users);
	if (look->tests && (password_ask(&look->password, err) < 0 || step_app(look, fd, err) < 0))
		goto out;
	outcome = ask_all(look, users);
	code = look->code;
	if (outcome == SOMEBODY && look->tests)
		code = verdict(look);
	else if (outcome == SOMEBODY && show(look, err) < 0)
		code = -1;
out:
	users_close(users);
	finding_free(look->finding);
	secret_finish(&look->password);
	wipe(&look->user, sizeof(look->user));
	if (fd >= 0)
		close(fd);
	return code;
}

static int parse(int argc, char **argv, struct look *look, const char **ret_config)
{
	static const struct option options[] = {{"config", required_argument, NULL, 'c'},
						{NULL, 0, NULL, 0}};
	int c;

	look->tests = strcmp(argv[0], "test") == 0;
	optind = 0;
	while ((c = getopt_long(argc, argv, "c:", options, NULL)) != -1) {
		if (c != 'c')
			return -1;
		*ret_config = optarg;
	}
	return optind + 1 == argc &&
			       span_copy(span_of(argv[optind]), look->name, sizeof(look->name)) == 0
		       ? 0
		       : -1;
}

int user_show_main(int argc, char **argv)
{
	struct look *look = calloc(1, sizeof(*look));
	struct config *config = malloc(sizeof(*config));
	const char *named = NULL;
	struct err err = {0};
	int code = EX_OSERR;

	if (look && config && parse(argc, argv, look, &named) < 0) {
		code = usage();
	} else if (look && config) {
		secret_init(&look->password);
		look->config = config;
		code = config_load(command_config(named), config, &err) < 0 ? -1 : run(look, &err);
		if (code < 0)
			code = command_failed(look->tests ? "user test" : "user show", &err);
	}
	free(config);
	free(look);
	return fflush(stdout) == 0 ? code : EX_IOERR;
}
