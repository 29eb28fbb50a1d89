/* See places.h. */
#include "server/monitor/places.h"

#include "base/secret.h"
#include "users/edit.h"
#include "users/location.h"
#include "users/site.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sysexits.h>

struct places {
	const struct generation_files *files;
	struct users *users;
	unsigned count;   /* users with two places */
	struct err first; /* of them */
};

static bool is_folder(int root_fd, const char *home, const char *name)
{
	char path[USER_HOME_MAX + 8];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", home, name);
	return fstatat(root_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

static bool is_maildir(const struct places *places, uint32_t root, const char *home)
{
	int fd = places->files->roots[root].fd;

	return is_folder(fd, home, "new") || is_folder(fd, home, "cur");
}

static void look_at(void *argument, pop3_span name)
{
	struct places *places = argument;
	const struct config *config = places->files->config;
	char other[USER_HOME_MAX + 1];
	struct user user;
	struct err err;
	uint32_t root;

	if (users_find(places->users, name, &user, &err) != USERS_FOUND)
		return; /* it was said where the file was read */
	wipe(user.secret, sizeof(user.secret));
	for (unsigned i = 0; user_location_elsewhere(config, &user, i, &root, other); i++) {
		if (!is_maildir(places, root, other))
			continue;
		if (places->count++ == 0)
			err_set(&places->first, EX_CONFIG,
				"by the settings mail and maildir, the mail of %s is in %s/%s, but "
				"%s/%s is a Maildir, too: move its mail, or write the path that is "
				"meant into the user's field maildir",
				user.name, config->roots[user.root].path, user_home(&user),
				config->roots[root].path, other);
		return;
	}
}

int places_check(const struct generation_files *files, struct err *err)
{
	const struct config *config = files->config;
	struct places places = {.files = files};
	int rc;

	if (config->root_count == 1 && !config->maildir[0])
		return 0;
	if (site_users_open(config, files->users_fd, &places.users, err) < 0)
		return -1;
	rc = edit_list(config->users, look_at, &places, err);
	users_close(places.users);
	if (rc < 0 || !places.count)
		return rc;
	*err = places.first;
	return places.count == 1 ? -1
				 : err_prefix(err, "%u users have two places for mail; the first",
					      places.count);
}
