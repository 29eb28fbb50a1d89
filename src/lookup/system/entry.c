/* See entry.h. */
#include "lookup/system/entry.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
	FIRST_SIZE = 4096,
	ENTRY_SIZE_MAX = 64 * 1024,        /* of a user */
	GROUP_SIZE_MAX = 16 * 1024 * 1024, /* of a group, with all its members' names */
	GROUPS_MAX = 65536,                /* Linux has no more a process */
};

/* The C library's words for "no such name": no error, or one of these, which modules set when they
 * find none or are not there at all. */
static bool means_unknown(int errnum)
{
	return errnum == 0 || errnum == ENOENT || errnum == ESRCH;
}

struct lookup_room {
	char *data;
	size_t size, max;
};

/* More room; false: there has been the most, or no memory. */
static bool grow(struct lookup_room *room, int *ret_errnum)
{
	size_t size = room->size ? room->size * 4 : FIRST_SIZE;
	char *data;

	*ret_errnum = ERANGE;
	if (size > room->max)
		return false;
	data = realloc(room->data, size);
	*ret_errnum = ENOMEM;
	if (!data)
		return false;
	room->data = data;
	room->size = size;
	return true;
}

static enum entry_status failed(int errnum)
{
	if (means_unknown(errnum))
		return ENTRY_UNKNOWN;
	return errnum == ERANGE ? ENTRY_BAD : ENTRY_DOWN;
}

/* sssd and winbind may answer with the domain added or left out: one name still. */
static bool same_user(const char *asked, const char *got)
{
	size_t a = strcspn(asked, "@"), b = strcspn(got, "@");

	if (a != b || strncasecmp(asked, got, a) != 0)
		return false;
	return !asked[a] || !got[b] || strcasecmp(asked + a, got + b) == 0;
}

static enum entry_status take(const char *name, const struct passwd *pw,
			      const struct entry_range *range, struct entry *ret)
{
	size_t names = strlen(pw->pw_name), homes = strlen(pw->pw_dir);

	if (pw->pw_uid == 0 || pw->pw_uid < range->min || pw->pw_uid > range->max)
		return ENTRY_UNKNOWN;
	if (!same_user(name, pw->pw_name) || names == 0 || names >= sizeof(ret->name) ||
	    homes >= sizeof(ret->home))
		return ENTRY_BAD;
	memcpy(ret->name, pw->pw_name, names + 1);
	memcpy(ret->home, pw->pw_dir, homes + 1);
	ret->uid = pw->pw_uid;
	ret->gid = pw->pw_gid;
	return ENTRY_FOUND;
}

enum entry_status entry_find(const char *name, const struct entry_range *range, struct entry *ret,
			     int *ret_errnum)
{
	struct lookup_room room = {.max = ENTRY_SIZE_MAX};
	struct passwd pw, *found = NULL;
	enum entry_status status;
	int rc = ERANGE;

	while ((rc == ERANGE && grow(&room, &rc)) || rc == EINTR)
		rc = getpwnam_r(name, &pw, room.data, room.size, &found);
	*ret_errnum = rc;
	status = found ? take(name, found, range, ret) : failed(rc);
	free(room.data);
	return status;
}

static enum entry_status find_group(const char *group, gid_t *ret, const char *member,
				    bool *ret_member, int *ret_errnum)
{
	struct lookup_room room = {.max = GROUP_SIZE_MAX};
	struct group gr, *found = NULL;
	int rc = ERANGE;

	while ((rc == ERANGE && grow(&room, &rc)) || rc == EINTR)
		rc = getgrnam_r(group, &gr, room.data, room.size, &found);
	*ret_errnum = rc;
	*ret_member = false;
	if (found)
		*ret = found->gr_gid;
	for (char **name = found ? found->gr_mem : NULL; name && *name; name++)
		*ret_member |= strcmp(*name, member) == 0;
	free(room.data);
	return found ? ENTRY_FOUND : failed(rc);
}

/* The groups of the user as the name service lists them for a login. */
static enum entry_status is_listed(const struct entry *entry, gid_t wanted, int *ret_errnum)
{
	int room = 64, count = room;
	gid_t *groups = malloc((size_t)room * sizeof(*groups));
	enum entry_status status = ENTRY_UNKNOWN;

	while (groups && getgrouplist(entry->name, entry->gid, groups, &count) < 0 &&
	       count > room && count <= GROUPS_MAX) {
		room = count;
		free(groups);
		groups = malloc((size_t)room * sizeof(*groups));
	}
	if (!groups) {
		*ret_errnum = ENOMEM;
		return ENTRY_DOWN;
	}
	for (int i = 0; i < count && i < room; i++)
		if (groups[i] == wanted)
			status = ENTRY_FOUND;
	free(groups);
	return status;
}

enum entry_status entry_in_group(const struct entry *entry, const char *group, int *ret_errnum)
{
	gid_t wanted;
	bool member;
	enum entry_status status = find_group(group, &wanted, entry->name, &member, ret_errnum);

	if (status == ENTRY_UNKNOWN)
		*ret_errnum = 0;
	if (status != ENTRY_FOUND)
		return ENTRY_DOWN; /* nobody's membership is known */
	if (member || entry->gid == wanted)
		return ENTRY_FOUND;
	return is_listed(entry, wanted, ret_errnum);
}

bool entry_each(const struct entry_range *range,
		bool (*each)(void *context, const struct entry *entry), void *context)
{
	const struct passwd *pw;
	struct entry entry;
	bool more = true;
	int errnum = 0;

	setpwent();
	while (more && (errno = 0, pw = getpwent()) != NULL)
		if (take(pw->pw_name, pw, range, &entry) == ENTRY_FOUND)
			more = each(context, &entry);
	errnum = more ? errno : 0;
	endpwent();
	errno = errnum;
	return means_unknown(errnum);
}
