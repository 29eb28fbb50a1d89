/* See mailbox.h. */
#include "cli/mailbox.h"

#include "base/secret.h"
#include "base/text.h"
#include "cli/asker.h"
#include "cli/command.h"
#include "config/database.h"
#include "config/path.h"
#include "maildrop/maildrop.h"
#include "users/judge.h"
#include "users/site.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum {
	IN_USE_TRIES = 20,                /* a session that ends is waited for */
	IN_USE_PAUSE = 500 * 1000 * 1000, /* nanoseconds */
};

/* An answer FOUND. */
static int take_found(const struct config *config, const struct config_database *database,
		      const char *name, const struct asker_answer *answer, struct user *ret,
		      struct err *err)
{
	char key[USER_NAME_MAX + 1];
	pop3_span canonical = user_name_key(span_of(name), key);
	struct finding *finding;
	int result = 0;

	key[canonical.size] = '\0';
	finding = judge_answer(config, database, key, answer->fields, answer->size);
	if (!finding)
		return err_set(err, EX_OSERR, "out of memory");
	if (finding->status != USERS_FOUND)
		result = err_set(err, EX_CONFIG, "%s", finding->why);
	else if (finding->alias.count)
		result = err_set(err, EX_NOUSER, "%s is an alias: name the user", name);
	else
		*ret = finding->user;
	wipe(finding->user.secret, sizeof(finding->user.secret));
	finding_free(finding);
	return result;
}

/* 1: the user is found; 0: the next database is asked. */
static int ask(const struct config *config, const struct config_database *database,
	       const char *name, struct asker_answer *answer, struct user *ret, struct err *err)
{
	if (!(database->purposes & CONFIG_FOR_LOGIN) || database->driver == DRIVER_OAUTH ||
	    !config_database_could_have(config, database, span_of(name)))
		return 0;
	if (asker_ask(config, database, span_of(name), NULL, answer, err) < 0)
		return -1;
	if (answer->status == LOOKUP_UNKNOWN)
		return 0;
	if (answer->status == LOOKUP_FOUND)
		return take_found(config, database, name, answer, ret, err) < 0 ? -1 : 1;
	return err_set(err, EX_TEMPFAIL, "database %s cannot say: %s", database->name,
		       answer->said);
}

static int find(const struct config *config, struct users *users, const char *name,
		struct user *ret, struct err *err)
{
	enum users_status status = users_find(users, span_of(name), ret, err);
	struct asker_answer *answer;
	int found = 0;

	wipe(ret->secret, sizeof(ret->secret));
	if (status != USERS_UNKNOWN)
		return status == USERS_FOUND ? 0 : -1;
	answer = calloc(1, sizeof(*answer));
	if (!answer)
		return err_set(err, EX_OSERR, "out of memory");
	for (uint32_t i = 0; i < config->database_count && found == 0; i++)
		found = ask(config, &config->databases[i], name, answer, ret, err);
	wipe(answer, sizeof(*answer));
	free(answer);
	if (found == 0)
		return err_set(err, EX_NOUSER, "there is no user %s", name);
	return found < 0 ? -1 : 0;
}

int mailbox_user(const struct config *config, const char *name, struct user *ret, struct err *err)
{
	struct users *users = NULL;
	char buf[USER_NAME_MAX + 1], asked[USER_NAME_MAX + 1];
	int fd = -1, result = -1;

	if (!user_name_valid(span_of(name)))
		return err_set(err, EX_DATAERR, "%s is no name of a user", name);
	if (config_open_parent(config->users, &fd, err) == 0 &&
	    site_users_open(config, fd, &users, err) == 0) {
		pop3_span whole = directory_name(users, config, span_of(name), buf);

		(void)span_copy(whole, asked, sizeof(asked)); /* it fits */
		result = find(config, users, asked, ret, err);
	}
	users_close(users);
	if (fd >= 0)
		close(fd);
	return result;
}

enum users_status mailbox_find(const struct config *config, struct users *users, const char *name,
			       struct user *ret, struct err *err)
{
	enum users_status status = users_find(users, span_of(name), ret, err);

	if (status == USERS_UNKNOWN)
		status = mailbox_user(config, name, ret, err) == 0 ? USERS_FOUND : USERS_DOWN;
	wipe(ret->secret, sizeof(ret->secret));
	return status;
}

int mailbox_open(struct mailbox *mailbox, const char *config, const char *name, struct err *err)
{
	mailbox->maker.config = NULL;
	if (config_load(command_config(config), &mailbox->config, err) < 0)
		return -1;
	maker_find_stores(&mailbox->config);
	if (mailbox_user(&mailbox->config, name, &mailbox->user, err) < 0 ||
	    maker_init(&mailbox->maker, &mailbox->config, err) < 0)
		return -1;
	if (maker_owner(&mailbox->maker, &mailbox->user, &mailbox->uid, &mailbox->gid) < 0)
		return err_set(err, EX_NOPERM,
			       "maildrop %s belongs to root, but the mail does not: chown it",
			       user_home(&mailbox->user));
	return 0;
}

bool mailbox_is_mbox(const struct mailbox *mailbox)
{
	return mailbox->maker.roots[mailbox->user.root].store == STORE_MBOX;
}

int mailbox_check_maildir(const struct mailbox *mailbox, struct err *err)
{
	if (!mailbox_is_mbox(mailbox))
		return 0;
	return err_set(err, EX_UNAVAILABLE,
		       "the mail of %s is an mbox: messages are kept, or deleted for their age, in "
		       "Maildirs only",
		       mailbox->user.name);
}

void mailbox_close(struct mailbox *mailbox)
{
	maker_finish(&mailbox->maker);
}

int mailbox_folder(struct mailbox *mailbox, struct err *err)
{
	return maildrop_folder(maker_root(&mailbox->maker, &mailbox->user)->fd,
			       user_home(&mailbox->user), err);
}

enum maildrop_status mailbox_open_maildrop(struct mailbox *mailbox,
					   const struct maildrop_settings *settings,
					   struct maildrop **ret, struct err *err)
{
	int root = maker_root(&mailbox->maker, &mailbox->user)->fd;
	const char *home = user_home(&mailbox->user);
	enum maildrop_status status = maildrop_open(settings, root, home, ret, err);

	for (int i = 0; status == MAILDROP_IN_USE && i < IN_USE_TRIES; i++) {
		nanosleep(&(struct timespec){.tv_nsec = IN_USE_PAUSE}, NULL);
		status = maildrop_open(settings, root, home, ret, err);
	}
	return status;
}

int mailbox_as_owner(struct mailbox *mailbox, int (*step)(void *context, struct err *err),
		     void *context, struct err *err)
{
	return maker_as_owner(mailbox->uid, mailbox->gid, step, context, err);
}
