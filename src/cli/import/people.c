/* See people.h. */
#include "cli/import/people.h"

#include "base/array.h"
#include "base/text.h"
#include "cli/mailbox.h"
#include "cli/name_list.h"
#include "config/path.h"
#include "users/directory.h"
#include "users/site.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

/* ---- a user ---- */

static void leave_out(struct people *people, const char *name, const char *why)
{
	char shown[4 * USER_NAME_MAX + 1];

	text_show(shown, sizeof(shown) - 1, span_of(name));
	people->failed++;
	fprintf(stderr, "valija import: %s is left out: %s\n", shown, why);
}

/* Programs remove a mailbox without messages, and it may have no owner that is known here. */
static bool has_no_mbox(struct people *people, const struct user *user)
{
	const struct maker_root *root = maker_root(&people->maker, user);
	struct stat st;

	return root->store == STORE_MBOX &&
	       fstatat(root->fd, user_home(user), &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT;
}

static int add_person(struct people *people, const struct user *user)
{
	struct person *grown =
		array_grow(people->persons, people->count, &people->room, sizeof(*grown));
	struct person person = {.root = user->root};

	if (!grown)
		return -1;
	people->persons = grown;
	if (has_no_mbox(people, user)) {
		people->absent++;
		return 0;
	}
	if (maker_owner(&people->maker, user, &person.uid, &person.gid) < 0) {
		leave_out(people, user->name,
			  "the maildrop belongs to root, but the mail does not: chown it");
		return 0;
	}
	person.name = strdup(user->name);
	person.home = strdup(user_home(user));
	grown[people->count++] = person;
	return person.name && person.home ? 0 : -1;
}

struct search {
	struct people *people;
	struct users *users;
};

static int find_one(void *context, const char *name)
{
	const struct search *search = context;
	struct people *people = search->people;
	struct user user = {0};
	struct err err = {0};

	if (mailbox_find(people->config, search->users, name, &user, &err) == USERS_FOUND)
		return add_person(people, &user);
	leave_out(people, name, err.text);
	return 0;
}

static int by_owner(const void *left, const void *right)
{
	const struct person *x = left, *y = right;

	if (x->uid != y->uid)
		return x->uid < y->uid ? -1 : 1;
	if (x->gid != y->gid)
		return x->gid < y->gid ? -1 : 1;
	return x->root != y->root ? (x->root < y->root ? -1 : 1) : strcmp(x->home, y->home);
}

int people_find(struct people *people, const struct config *config, const struct name_list *named,
		struct err *err)
{
	struct users *users = NULL;
	int fd = -1, rc = -1;

	*people = (struct people){.config = config};
	if (maker_init(&people->maker, config, err) == 0 &&
	    config_open_parent(config->users, &fd, err) == 0 &&
	    site_users_open(config, fd, &users, err) == 0)
		rc = name_list_each(
			named,
			&(struct name_list_all){config, users, "import", NAME_LIST_NAME_THEM},
			find_one, &(struct search){people, users}, err);
	if (people->count)
		qsort(people->persons, people->count, sizeof(*people->persons), by_owner);
	users_close(users);
	if (fd >= 0)
		close(fd);
	return rc;
}

void people_finish(struct people *people)
{
	for (size_t i = 0; i < people->count; i++) {
		free(people->persons[i].name);
		free(people->persons[i].home);
	}
	free(people->persons);
	maker_finish(&people->maker);
}
