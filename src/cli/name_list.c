/* See name_list.h. */
#include "cli/name_list.h"

#include "base/array.h"
#include "cli/asker.h"
#include "config/database.h"
#include "users/names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

struct listing {
	struct name_list *list;
	const struct name_list_filter *filter;
};

void name_list_add(struct name_list *list, pop3_span name)
{
	char **grown = array_grow(list->names, list->count, &list->room, sizeof(*grown));

	if (grown) {
		list->names = grown;
		grown[list->count] = strndup(name.data, name.size);
	}
	if (grown && grown[list->count])
		list->count++;
	else
		list->short_of_memory = true;
}

static void take(void *context, pop3_span name)
{
	const struct listing *listing = context;

	if (!listing->filter->only_valid || user_name_valid(name))
		name_list_add(listing->list, name);
}

static int add_database(struct listing *listing, const struct config *config,
			const struct config_database *database, struct err *err)
{
	char said[512];

	if (asker_can_list(database))
		return asker_list(config, database, take, listing, said, sizeof(said), err);
	fprintf(stderr, "valija %s: users of the database %s cannot be listed: %s\n",
		listing->filter->command, database->name, listing->filter->advice);
	return 0;
}

int name_list_add_databases(struct name_list *list, const struct config *config,
			    const struct name_list_filter *filter, struct err *err)
{
	struct listing listing = {list, filter};

	for (uint32_t i = 0; i < config->database_count; i++) {
		const struct config_database *database = &config->databases[i];

		if (database->driver == DRIVER_OAUTH ||
		    (filter->only_logins && !(database->purposes & CONFIG_FOR_LOGIN)))
			continue;
		if (add_database(&listing, config, database, err) < 0)
			return -1;
	}
	return 0;
}

static bool add_name(void *list, pop3_span name)
{
	name_list_add(list, name);
	return true;
}

int name_list_add_all(struct name_list *list, const struct config *config, struct users *users,
		      const char *command, const char *advice, struct err *err)
{
	const struct name_list_filter filter = {
		.only_logins = true, .only_valid = true, .command = command, .advice = advice};

	users_each(users, add_name, list);
	return name_list_add_databases(list, config, &filter, err);
}

/* Names first: the users file is read while they are listed. */
int name_list_each(const struct name_list *named, const struct name_list_all *all,
		   int (*each)(void *context, const char *name), void *context, struct err *err)
{
	struct name_list found = {0};
	const struct name_list *list = named->count ? named : &found;
	int rc = 0;
	bool memory;

	if (!named->count)
		rc = name_list_add_all(&found, all->config, all->users, all->command, all->advice,
				       err);
	memory = !named->short_of_memory && !found.short_of_memory;
	for (size_t i = 0; rc == 0 && i < list->count; i++)
		memory = each(context, list->names[i]) == 0 && memory;
	if (rc == 0 && !memory)
		rc = err_set(err, EX_OSERR, "out of memory");
	name_list_finish(&found);
	return rc;
}

void name_list_finish(struct name_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->names[i]);
	free(list->names);
}
