/* `valija user`: users of the passwd-file that the configuration names, and their maildrops.
 * valijad reads a change at the next login, without a signal. */
#include "cli/user.h"

#include "base/secret.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/mailbox.h"
#include "cli/maker.h"
#include "cli/password.h"
#include "cli/last_seen.h"
#include "cli/user_app.h"
#include "cli/user_flush.h"
#include "cli/user_list.h"
#include "cli/user_show.h"
#include "config/config.h"
#include "config/path.h"
#include "maildrop/kept.h"
#include "users/app_edit.h"
#include "users/edit.h"
#include "users/schemes.h"
#include "users/site.h"
#include "users/users.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

enum verb { VERB_ADD, VERB_PASSWD, VERB_DEL, VERB_MAKE, VERB_COUNT };

static const char *const verbs[VERB_COUNT] = {"add", "passwd", "del", "make"};

struct arguments {
	enum verb verb;
	const char *config, *name, *scheme;
	char spelling[USER_NAME_MAX + 1]; /* of the name in the users file, "": not there */
	char home[CONFIG_PATH_MAX + USER_HOME_MAX + 2]; /* the maildrop; "": not known */
};

static int usage(void)
{
	fputs("usage: valija user add|passwd [-c CONF] NAME [--scheme SCHEME]\n"
	      "       valija user del|make [-c CONF] NAME\n"
	      "       valija user list [-c CONF] [--json] [--unused 180d]\n"
	      "       valija user show|test [-c CONF] NAME\n"
	      "       valija user flush [-c CONF] NAME|--all\n"
	      "       valija user app add|list|revoke ...\n"
	      "The password is asked for, or is the first line of standard input.\nSchemes:",
	      stderr);
	for (const char *const *name = scheme_names(); *name; name++)
		fprintf(stderr, " %s", *name);
	fputs(".\n", stderr);
	return EX_USAGE;
}

static int parse(int argc, char **argv, struct arguments *ret)
{
	static const struct option options[] = {{"config", required_argument, NULL, 'c'},
						{"scheme", required_argument, NULL, 's'},
						{"help", no_argument, NULL, 'h'},
						{NULL, 0, NULL, 0}};
	int c;

	ret->verb = VERB_COUNT;
	optind = 0;
	while ((c = getopt_long(argc, argv, "c:s:h", options, NULL)) != -1) {
		if (c == 'c')
			ret->config = optarg;
		else if (c == 's')
			ret->scheme = optarg;
		else
			return -1;
	}
	if (optind == argc)
		return -1;
	for (int i = 0; i < VERB_COUNT; i++)
		if (strcmp(argv[optind], verbs[i]) == 0)
			ret->verb = (enum verb)i;
	if (ret->verb == VERB_COUNT) {
		fprintf(stderr, "valija user: there is no \"%s\"\n", argv[optind]);
		return -1;
	}
	optind++;
	if (optind == argc)
		return -1;
	ret->name = argv[optind++];
	if (ret->scheme && ret->verb != VERB_ADD && ret->verb != VERB_PASSWD)
		return -1;
	return optind == argc ? 0 : -1;
}

/* The user meant is the one spelled exactly so, else the one in another case of its letters. */
static void note_spelling(void *argument, pop3_span name)
{
	struct arguments *arguments = argument;
	pop3_span wanted = span_of(arguments->name);

	if (user_name_same(name, wanted) && strcmp(arguments->spelling, arguments->name) != 0)
		(void)span_copy(name, arguments->spelling, sizeof(arguments->spelling));
}

static int check_scheme(const char *scheme, struct err *err)
{
	char all[160] = "";

	for (const char *const *name = scheme_names(); *name; name++) {
		size_t used = strlen(all);

		if (strcasecmp(*name, scheme) == 0)
			return 0;
		snprintf(all + used, sizeof(all) - used, " %s", *name);
	}
	return err_set(err, EX_USAGE, "passwords cannot be stored as \"%s\"; these are known:%s",
		       scheme, all);
}

/* Checks before a password is asked for. edit_users repeats them under its lock. */
static int check(struct arguments *arguments, const struct config *config, struct err *err)
{
	pop3_span name = span_of(arguments->name);

	if (arguments->scheme && check_scheme(arguments->scheme, err) < 0)
		return -1;
	if (edit_check_name(arguments->verb == VERB_ADD ? EDIT_ADD : EDIT_CHANGE, name, err) < 0)
		return -1;
	if (edit_list(config->users, note_spelling, arguments, NULL) < 0)
		return 0;
	if (arguments->verb != VERB_ADD && !arguments->spelling[0])
		return err_set(err, EX_NOUSER, "there is no user %s in %s", arguments->name,
			       config->users);
	if (arguments->verb == VERB_ADD && arguments->spelling[0])
		return edit_taken(name, span_of(arguments->spelling), err);
	return 0;
}

static int set_password(struct arguments *arguments, const struct config *config, struct err *err)
{
	const char *scheme = arguments->scheme ? arguments->scheme : SCHEME_USUAL;
	pop3_span name = span_of(arguments->name);
	struct secret password;
	char stored[USER_SECRET_MAX + 1];
	int status;

	if (check(arguments, config, err) < 0 || password_read(&password, err) < 0)
		return -1;
	status = scheme_make(scheme, &password, stored, sizeof(stored), err);
	secret_finish(&password);
	if (status == 0)
		status = edit_users(config->users,
				    arguments->verb == VERB_ADD ? EDIT_ADD : EDIT_CHANGE, name,
				    stored, err);
	wipe(stored, sizeof(stored));
	return status;
}

/* A name that is used again inherits no app password: they go before the user does, and what a line
 * removed by hand left behind goes before a user is added. */
static int revoke_all(const struct arguments *arguments, const struct config *config,
		      struct err *err)
{
	unsigned count = 0;

	if (arguments->verb == VERB_ADD && access(config->users, F_OK) < 0)
		return 0; /* the file is made with its first user */
	if (app_edit_revoke(config->users, arguments->name, NULL, &count, err) < 0)
		return -1;
	if (count && arguments->verb == VERB_ADD)
		fprintf(stderr,
			"valija user: %u app password%s that an earlier %s had %s revoked\n", count,
			count == 1 ? "" : "s", arguments->name, count == 1 ? "was" : "were");
	return 0;
}

/* Nor when an earlier one logged in. What cannot be written down stops nobody. */
static void forget_logins(const struct arguments *arguments, const struct config *config)
{
	struct err err = {0};

	if (last_seen_remove(config, arguments->name, &err) < 0)
		fprintf(stderr,
			"valija user: another %s would inherit the last login, since that cannot "
			"be removed: %s\n",
			arguments->name, err.text);
}

/* ---- the maildrop ---- */

static int look_up(const struct config *config, const char *name, struct user *ret, struct err *err)
{
	struct users *users = NULL;
	enum users_status status = USERS_DOWN;
	int fd = -1;

	if (config_open_parent(config->users, &fd, err) == 0 &&
	    site_users_open(config, fd, &users, err) == 0)
		status = users_find(users, span_of(name), ret, err);
	if (status == USERS_UNKNOWN)
		err_set(err, EX_NOUSER, "there is no user %s in %s", name, config->users);
	wipe(ret->secret, sizeof(ret->secret));
	users_close(users);
	if (fd >= 0)
		close(fd);
	return status == USERS_FOUND ? 0 : -1;
}

/* The path of the maildrop, noted before its user is removed from the file. */
static void note_maildrop(struct arguments *arguments, const struct config *config)
{
	struct user user = {0};
	struct err err;

	if (look_up(config, arguments->name, &user, &err) == 0)
		snprintf(arguments->home, sizeof(arguments->home), "%s/%s",
			 config->roots[user.root].path, user_home(&user));
}

static int purge_step(void *context, struct err *err)
{
	int folder = mailbox_folder(context, err), rc;

	if (folder < 0)
		return err->errnum == ENOENT ? 0 : -1;
	rc = kept_purge(&maildrop_kernel, folder);
	if (rc < 0)
		err_sys(err, EX_CANTCREAT, errno, "%s", KEPT_FOLDER);
	close(folder);
	return rc < 0 ? -1 : 0;
}

/* Messages that the user had deleted go with the user, whatever the settings keep. */
static void purge_kept(const struct arguments *arguments)
{
	struct mailbox *mailbox = calloc(1, sizeof(*mailbox));
	struct err err = {0};
	int rc = -1;

	if (mailbox) {
		rc = mailbox_open(mailbox, arguments->config, arguments->name, &err);
		if (rc == 0 && !mailbox_is_mbox(mailbox))
			rc = mailbox_as_owner(mailbox, purge_step, mailbox, &err);
		mailbox_close(mailbox);
	}
	if (rc < 0)
		fprintf(stderr,
			"valija user: deleted messages that are kept in the maildrop of %s stay "
			"there: "
			"%s\n",
			arguments->name, err.text);
	free(mailbox);
}

static int delete_user(struct arguments *arguments, const struct config *config, struct err *err)
{
	if (check(arguments, config, err) < 0)
		return -1;
	note_maildrop(arguments, config);
	if (revoke_all(arguments, config, err) < 0)
		return -1;
	if (!maker_in_cluster(config)) /* nothing is kept there */
		purge_kept(arguments);
	if (edit_users(config->users, EDIT_DELETE, span_of(arguments->name), NULL, err) < 0)
		return -1;
	forget_logins(arguments, config);
	return 0;
}

static int make_absent(struct maker *maker, const struct user *user, struct err *err)
{
	const struct maker_root *root = maker_root(maker, user);
	struct stat st;

	if (fstatat(root->fd, user_home(user), &st, AT_SYMLINK_NOFOLLOW) == 0)
		return 0; /* whatever it is: the server judges it */
	if (geteuid() != 0 && geteuid() != root->uid)
		return err_set(err, EX_NOPERM, "%s belongs to another user: call this as root",
			       root->root.path);
	if (!mail_root_may_make(&root->root, &maildrop_kernel, root->fd, err))
		return -1;
	return maker_make(maker, user, root->uid, root->gid, err);
}

/* Makes the maildrop of a user who is in the file, as the first delivery would. */
static int make_maildrop(struct arguments *arguments, const struct config *config, struct err *err)
{
	struct user user = {0};
	struct maker maker = {.config = NULL};
	int rc;

	if (look_up(config, arguments->name, &user, err) < 0)
		return -1;
	if (maker_in_cluster(config))
		return 0; /* the first delivery makes it */
	snprintf(arguments->home, sizeof(arguments->home), "%s/%s", config->roots[user.root].path,
		 user_home(&user));
	rc = maker_init(&maker, config, err);
	if (rc == 0)
		rc = make_absent(&maker, &user, err);
	maker_finish(&maker);
	return rc;
}

/* The user may log in and get mail even if there is no maildrop yet. */
static int add_user(struct arguments *arguments, const struct config *config, struct err *err)
{
	struct err why = {0};

	if (check(arguments, config, err) < 0 || revoke_all(arguments, config, err) < 0)
		return -1;
	forget_logins(arguments, config);
	if (set_password(arguments, config, err) < 0)
		return -1;
	if (make_maildrop(arguments, config, &why) < 0)
		fprintf(stderr,
			"valija user: the maildrop is not made yet, the first delivery does that: "
			"%s\n",
			why.text);
	return 0;
}

static int run(struct arguments *arguments, const struct config *config, struct err *err)
{
	switch (arguments->verb) {
	case VERB_ADD:
		return add_user(arguments, config, err);
	case VERB_PASSWD:
		return set_password(arguments, config, err);
	case VERB_MAKE:
		return check(arguments, config, err) < 0 ? -1
							 : make_maildrop(arguments, config, err);
	case VERB_DEL:
		return delete_user(arguments, config, err);
	case VERB_COUNT:
		break;
	}
	return -1;
}

static void report(const struct arguments *arguments)
{
	const char *name = arguments->spelling[0] ? arguments->spelling : arguments->name;

	if (arguments->verb == VERB_ADD && arguments->home[0])
		printf("%s may log in; new mail is put into %s\n", name, arguments->home);
	else if (arguments->verb == VERB_ADD)
		printf("%s may log in\n", name);
	else if (arguments->verb == VERB_MAKE)
		printf("%s has the maildrop %s\n", name, arguments->home);
	else if (arguments->verb == VERB_PASSWD)
		printf("%s has a new password\n", name);
	else if (arguments->verb == VERB_DEL && arguments->home[0])
		printf("%s cannot log in any more; mail in %s is still there\n", name,
		       arguments->home);
	else if (arguments->verb == VERB_DEL)
		printf("%s cannot log in any more\n", name);
}

int user_main(int argc, char **argv)
{
	struct arguments arguments = {0};
	struct config *config;
	struct err err = {0};
	int status;

	if (argc > 1 && strcmp(argv[1], "app") == 0)
		return user_app_main(argc - 1, argv + 1);
	if (argc > 1 && (strcmp(argv[1], "show") == 0 || strcmp(argv[1], "test") == 0))
		return user_show_main(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "flush") == 0)
		return user_flush_main(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "list") == 0)
		return user_list_main(argc - 1, argv + 1);
	if (parse(argc, argv, &arguments) < 0)
		return usage();
	config = malloc(sizeof(*config));
	if (!config)
		return EX_OSERR;
	status = config_load(command_config(arguments.config), config, &err);
	if (status == 0)
		status = run(&arguments, config, &err);
	if (status == 0)
		report(&arguments);
	free(config);
	if (status < 0)
		return command_failed("user", &err);
	return fflush(stdout) == 0 ? EX_OK : EX_IOERR;
}
