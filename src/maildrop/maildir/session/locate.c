/* See locate.h: finding a file whose name has changed. */
#include "maildrop/maildir/session/locate.h"

#include "maildrop/maildir/files/scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ATTEMPTS 3
#define LOADS_AT_ONCE 4 /* more readings of the directories than this are a second apart */

struct naming {
	struct maildir_model *model;
	enum index_directory directory;
};

static int take_name(void *context, pop3_span name, uint64_t inode)
{
	struct naming *naming = context;
	struct maildir_name parsed;
	uint32_t at, hash;

	maildir_name_parse(name, &parsed);
	hash = maildir_model_hash(naming->model, (pop3_span){name.data, parsed.unique_size});
	at = maildir_model_add(naming->model, (pop3_span){0}, name, parsed.unique_size);
	if (at == MODEL_NONE || maildir_model_link(naming->model, at, hash) < 0)
		return -1;
	naming->model->messages[at].inode = inode;
	naming->model->messages[at].flags = naming->directory == INDEX_NEW ? INDEX_IN_NEW : 0;
	return 0;
}

static bool unchanged(const struct maildir_locator *names, const struct maildir_place *place)
{
	for (int d = 0; d < INDEX_DIRECTORIES; d++) {
		struct index_stamp now;

		if (maildir_stamp(place, d, &now) < 0 ||
		    !maildir_stamp_equal(&now, &names->stamps[d]))
			return false;
	}
	return true;
}

static int load_once(struct maildir_locator *names, struct maildir_place *place)
{
	maildir_model_finish(&names->model);
	names->loaded = false;
	if (maildir_model_init(&names->model) < 0)
		return -1;
	for (int d = 0; d < INDEX_DIRECTORIES; d++) {
		struct naming naming = {&names->model, d};

		if (maildir_stamp(place, d, &names->stamps[d]) < 0 ||
		    maildir_scan(place, maildir_directory_names[d], take_name, &naming) < 0)
			return -1;
	}
	names->loaded = true;
	return 0;
}

int maildir_locator_load(struct maildir_locator **ret, struct maildir_place *place)
{
	struct maildir_locator *names = *ret;
	struct timespec now;

	if (!names && !(names = *ret = calloc(1, sizeof(*names))))
		return -1;
	clock_gettime(CLOCK_MONOTONIC, &now);
	names->loads++;
	names->loaded_at = now.tv_sec;
	for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
		if (load_once(names, place) < 0)
			return -1;
		/* a name that changes while a directory is read may be missed */
		if (unchanged(names, place))
			return 0;
	}
	errno = EAGAIN;
	return -1;
}

bool maildir_same_file(struct maildir_place *place, enum index_directory directory,
		       const char *name, uint64_t inode)
{
	int fd = maildir_directory(place, directory);
	struct stat st;

	return fd >= 0 && place->sys->fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       st.st_ino == inode;
}

bool maildir_locator_search(const struct maildir_locator *names, struct maildir_place *place,
			    pop3_span unique, uint64_t inode, struct maildir_found *ret)
{
	uint32_t hash, at = MODEL_NONE;

	if (!names || !names->loaded)
		return false;
	hash = maildir_model_hash(&names->model, unique);
	while ((at = maildir_model_find(&names->model, unique, hash, at)) != MODEL_NONE) {
		const struct model_message *m = &names->model.messages[at];
		pop3_span name = maildir_model_name(&names->model, at);

		memcpy(ret->name, name.data, name.size);
		ret->name[name.size] = '\0';
		ret->directory = index_directory_of(m->flags);
		/* there are filesystems whose listings number files in their own way */
		if (m->inode == inode || maildir_same_file(place, ret->directory, ret->name, inode))
			return true;
	}
	return false;
}

int maildir_locator_find(struct maildir_locator **locator, struct maildir_place *place,
			 pop3_span unique, uint64_t inode, struct maildir_found *ret)
{
	const struct maildir_locator *names = *locator;
	struct timespec now;

	if (maildir_locator_search(names, place, unique, inode, ret)) {
		struct stat st;
		int fd = maildir_directory(place, ret->directory);

		if (fd >= 0 && place->sys->fstatat(fd, ret->name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			return 0;
	}
	if (names && names->loaded && unchanged(names, place)) {
		errno = ENOENT;
		return -1;
	}
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (names && names->loads >= LOADS_AT_ONCE && now.tv_sec <= names->loaded_at + 1) {
		errno = EAGAIN;
		return -1;
	}
	if (maildir_locator_load(locator, place) < 0)
		return -1;
	if (maildir_locator_search(*locator, place, unique, inode, ret))
		return 0;
	errno = ENOENT;
	return -1;
}

void maildir_locator_destroy(struct maildir_locator *names)
{
	if (!names)
		return;
	maildir_model_finish(&names->model);
	free(names);
}
