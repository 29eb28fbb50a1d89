/*
 * Databases that are files like the users file, of a domain's own for one. The process reads the
 * file, again when it changed, and gives entries with their stored secrets, which auth judges: the
 * file's owner can make users of these domains, but neither auth nor another database fail. See
 * lookup/driver.h.
 */
#include "lookup/driver.h"

#include "base/text.h"
#include "config/path.h"
#include "users/users.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

struct state {
	struct users *users;
	const struct config *config;
};

static int open_driver(const struct lookup_database *database, struct sandbox *sandbox, void **ret,
		       struct err *err)
{
	const char *file = lookup_text(database, "file");
	struct state *state = calloc(1, sizeof(*state));
	struct user_mail mail = {database->config, database->settings};
	int folder;

	if (!state)
		return err_set(err, EX_OSERR, "out of memory");
	if (config_open_parent(file, &folder, err) < 0) {
		free(state);
		return -1;
	}
	if (users_open_passwd_file(folder, config_file_name(file), &mail, &state->users, err) < 0) {
		close(folder);
		free(state);
		return err_prefix(err, "%s", file);
	}
	sandbox->paths[sandbox->path_count++] = (struct sandbox_path){folder, SANDBOX_READ};
	state->config = database->config;
	*ret = state;
	return 0;
}

static void put(struct lookup_answer *answer, const char *name, const char *value)
{
	if (value[0])
		lookup_field(answer, name, value, strlen(value));
}

static void put_number(struct lookup_answer *answer, const char *name, uint64_t number)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, number);
	put(answer, name, text);
}

/* The entry's own place, as a whole path: auth, which judges it, adds nothing. */
static void put_location(struct lookup_answer *answer, const struct config *config,
			 const struct user *user)
{
	char path[CONFIG_PATH_MAX + USER_HOME_MAX + 2];

	if (!user->placed)
		return;
	snprintf(path, sizeof(path), "%s/%s", config->roots[user->root].path, user_home(user));
	put(answer, "maildir", path);
}

static void put_entry(struct lookup_answer *answer, const struct config *config,
		      const struct user *user)
{
	put(answer, "user", user->name);
	put(answer, "password", user->secret);
	put_location(answer, config, user);
	put(answer, "allow_networks", user->networks);
	if (user->has_ids) {
		put_number(answer, "uid", user->uid);
		put_number(answer, "gid", user->gid);
	}
	if (user->quota_messages)
		put_number(answer, "quota_messages", user->quota_messages);
	if (user->quota_octets)
		put_number(answer, "quota_octets", user->quota_octets);
	if (user->has_login_delay)
		put_number(answer, "login_delay", user->login_delay);
	if (user->nologin)
		put(answer, "nologin", "yes");
	if (user->external)
		put(answer, "external", "yes");
	put(answer, "remote", user->remote);
	put(answer, "remote_user", user->remote_user);
	put(answer, "remote_password", user->remote_password);
	if (user->migrate_section)
		put(answer, "migrate", config->remotes[user->migrate_section - 1].name);
}

static void ask(void *driver, void **connection, const struct lookup_question *question,
		struct lookup_answer *answer)
{
	struct err err = {0};
	const struct state *state = driver;
	struct user user;

	(void)connection;
	for (unsigned i = 0; i < question->name_count; i++) {
		switch (users_find(state->users, span_of(question->names[i]), &user, &err)) {
		case USERS_FOUND:
			answer->status = LOOKUP_FOUND;
			put_entry(answer, state->config, &user);
			break;
		case USERS_UNSERVED:
			if (!user.remote_section) {
				lookup_bad(answer, "%s", err.text);
				break;
			}
			answer->status = LOOKUP_FOUND; /* auth judges what is to become of it */
			put_entry(answer, state->config, &user);
			break;
		case USERS_DOWN:
			lookup_down(answer, "%s", err.text);
			break;
		case USERS_UNKNOWN:
		case USERS_ASK:
			continue;
		}
		answer->matched = i;
		break;
	}
	explicit_bzero(&user, sizeof(user));
}

static bool list_name(void *context, pop3_span name)
{
	return lookup_list(context, name.data, name.size);
}

static void list(void *driver, void **connection, struct lookup_listing *listing)
{
	const struct state *state = driver;

	(void)connection;
	users_each(state->users, list_name, listing);
}

const struct lookup_driver lookup_driver = {
	.driver = DRIVER_PASSWD_FILE, .open = open_driver, .ask = ask, .list = list};
