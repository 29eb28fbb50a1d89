/* See people.h. */
#include "cli/migrate/people.h"

#include "base/array.h"
#include "base/secret.h"
#include "base/text.h"
#include "cli/mailbox.h"
#include "cli/name_list.h"
#include "config/path.h"
#include "users/site.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

void movers_complain(const char *name, const char *what)
{
	char shown[4 * USER_NAME_MAX + 1];

	text_show(shown, sizeof(shown) - 1, span_of(name));
	fprintf(stderr, "valija migrate: %s: %s\n", shown, what);
}

static int add(struct movers *movers, const struct user *user)
{
	struct user *grown =
		array_grow(movers->users, movers->count, &movers->room, sizeof(*grown));

	if (!grown)
		return -1;
	movers->users = grown;
	grown[movers->count++] = *user;
	return 0;
}

/* named: somebody asked for this user, so it is said if it does not move. */
static int find_one(struct movers *movers, const struct config *config, struct users *users,
		    const char *name, bool named)
{
	struct user user = {0};
	struct err err = {0};
	enum users_status status = mailbox_find(config, users, name, &user, &err);
	int rc = 0;

	if (status == USERS_FOUND && user.migrate_section) {
		rc = add(movers, &user);
	} else if (status == USERS_FOUND && named) {
		movers_complain(name, "no mail of this user moves here: the entry has no "
				      "migrate=SECTION");
		movers->failed++;
	} else if (status != USERS_FOUND && (named || user.migrate_section)) {
		movers_complain(name, err.text);
		movers->failed++;
	}
	wipe(&user, sizeof(user));
	return rc;
}

/* Names first: the users file is read while they are listed. */
static int find_all(struct movers *movers, const struct config *config, struct users *users,
		    const struct name_list *named, struct err *err)
{
	struct name_list all = {0};
	const struct name_list *list = named->count ? named : &all;
	bool memory = !named->short_of_memory;
	int rc = 0;

	if (!named->count)
		rc = name_list_add_all(&all, config, users, "migrate", err);
	for (size_t i = 0; rc == 0 && i < list->count; i++)
		memory = find_one(movers, config, users, list->names[i], named->count > 0) == 0 &&
			 memory;
	if (rc == 0 && !(memory && !all.short_of_memory))
		rc = err_set(err, EX_OSERR, "out of memory");
	name_list_finish(&all);
	return rc;
}

int movers_find(struct movers *movers, const struct config *config, const struct name_list *named,
		struct err *err)
{
	struct users *users = NULL;
	int fd = -1, rc = -1;

	*movers = (struct movers){0};
	if (config_open_parent(config->users, &fd, err) == 0 &&
	    site_users_open(config, fd, &users, err) == 0)
		rc = find_all(movers, config, users, named, err);
	users_close(users);
	if (fd >= 0)
		close(fd);
	return rc;
}

void movers_finish(struct movers *movers)
{
	if (movers->users)
		wipe(movers->users, movers->count * sizeof(*movers->users));
	free(movers->users);
}
