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

static int open_driver(const struct lookup_database *database, struct sandbox *sandbox, void **ret,
		       struct err *err)
{
	const char *file = lookup_text(database, "file");
	struct users *users;
	char mail[CONFIG_MAIL_MAX];
	int folder;

	if (config_open_parent(file, &folder, err) < 0)
		return -1;
	if (users_open_passwd_file(folder, config_file_name(file),
				   config_mail(database->config, mail), &users, err) < 0) {
		close(folder);
		return err_prefix(err, "%s", file);
	}
	sandbox->paths[sandbox->path_count++] = (struct sandbox_path){folder, SANDBOX_READ};
	*ret = users;
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

static void put_entry(struct lookup_answer *answer, const struct user *user)
{
	put(answer, "user", user->name);
	put(answer, "password", user->secret);
	put(answer, "home", user->home);
	put(answer, "allow_networks", user->networks);
	if (user->has_ids) {
		put_number(answer, "uid", user->uid);
		put_number(answer, "gid", user->gid);
	}
	if (user->quota_messages)
		put_number(answer, "quota_messages", user->quota_messages);
	if (user->quota_octets)
		put_number(answer, "quota_octets", user->quota_octets);
	if (user->nologin)
		put(answer, "nologin", "yes");
}

static void ask(void *state, void **connection, const struct lookup_question *question,
		struct lookup_answer *answer)
{
	struct err err = {0};
	struct user user;

	(void)connection;
	for (unsigned i = 0; i < question->name_count; i++) {
		switch (users_find(state, span_of(question->names[i]), &user, &err)) {
		case USERS_FOUND:
			answer->status = LOOKUP_FOUND;
			put_entry(answer, &user);
			break;
		case USERS_UNSERVED:
			lookup_bad(answer, "%s", err.text);
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

const struct lookup_driver lookup_driver = {
	.driver = DRIVER_PASSWD_FILE, .open = open_driver, .ask = ask};
