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

int people_open(struct people *people, const struct config *config, struct err *err)
{
	*people = (struct people){.config = config, .fd = -1};
	return config_open_parent(config->users, &people->fd, err) == 0
		       ? site_users_open(config, people->fd, &people->users, err)
		       : -1;
}

void people_close(struct people *people)
{
	users_close(people->users);
	if (people->fd >= 0)
		close(people->fd);
}

int people_list(struct people *people, const char *advice, struct name_list *ret, struct err *err)
{
	return name_list_add_all(ret, people->config, people->users, "migrate", advice, err);
}

enum people_found people_look(struct people *people, const char *name, struct user *ret,
			      struct err *err)
{
	enum users_status status = mailbox_find(people->config, people->users, name, ret, err);

	if (status == USERS_FOUND)
		return ret->migrate_section ? PEOPLE_MOVES : PEOPLE_STAYS;
	if (status == USERS_UNKNOWN)
		return PEOPLE_UNKNOWN;
	return ret->migrate_section ? PEOPLE_WRONG : PEOPLE_BROKEN;
}

struct search {
	struct movers *movers;
	struct people *people;
	bool named; /* somebody asked for these users, so it is said if one does not move */
};

static int find_one(void *context, const char *name)
{
	const struct search *search = context;
	struct movers *movers = search->movers;
	struct user user = {0};
	struct err err = {0};
	enum people_found found = people_look(search->people, name, &user, &err);
	int rc = 0;

	if (found == PEOPLE_MOVES)
		rc = add(movers, &user);
	else if (found == PEOPLE_STAYS && search->named)
		err_set(&err, EX_DATAERR,
			"no mail of this user moves here: the entry has no migrate=SECTION");
	if (found == PEOPLE_WRONG || (found != PEOPLE_MOVES && search->named)) {
		movers_complain(name, err.text);
		movers->failed++;
	}
	wipe(&user, sizeof(user));
	return rc;
}

int movers_find(struct movers *movers, const struct config *config, const struct name_list *named,
		struct err *err)
{
	struct people people;
	int rc;

	*movers = (struct movers){0};
	rc = people_open(&people, config, err);
	if (rc == 0)
		rc = name_list_each(named,
				    &(struct name_list_all){config, people.users, "migrate",
							    NAME_LIST_NAME_THEM},
				    find_one, &(struct search){movers, &people, named->count > 0},
				    err);
	people_close(&people);
	return rc;
}

void movers_finish(struct movers *movers)
{
	if (movers->users)
		wipe(movers->users, movers->count * sizeof(*movers->users));
	free(movers->users);
}
