/* See whose.h. In a keeper's worker, `valija deliver` or `valija import`, with the rights of the
 * mail's owner. */
#include "maildrop/maildir/adopt/whose.h"

#include "maildrop/maildir/files/scan.h"

#include <errno.h>

static int any_entry(void *context, pop3_span name, uint64_t inode)
{
	(void)context, (void)name, (void)inode;
	return -2; /* one is enough */
}

int maildir_has_message(struct maildir_place *place)
{
	for (int d = 0; d < INDEX_DIRECTORIES; d++) {
		int result = maildir_scan(place, maildir_directory_names[d], any_entry, NULL);

		if (result == -2)
			return 1;
		if (result < 0 && errno != ENOENT)
			return -1;
	}
	return 0;
}

int maildir_has(const struct maildir_place *place, int folder, const char *name)
{
	struct stat st;

	if (place->sys->fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return 1;
	return errno == ENOENT ? 0 : -1;
}

static int has_our_files(const struct maildir_place *place)
{
	static const char *const names[] = {LOCK_NAME, BASE_NAME, DELTA_NAME, UIDL_NAME};
	int there = 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(*names) && there == 0; i++)
		there = maildir_has(place, place->dir, names[i]);
	return there;
}

/* Servers that keep a list in that folder. -1 with errno. */
static int find_lists(const struct maildir_place *place, int control, unsigned *ret)
{
	*ret = 0;
	for (unsigned i = 0; i < ORIGIN_SERVERS; i++) {
		const char *name = mail_origin_names[i].list;
		int there = name ? maildir_has(place, control, name) : 0;

		if (there < 0)
			return -1;
		*ret |= there ? ORIGIN_HAS(i) : 0;
	}
	return 0;
}

int maildir_whose(struct maildir_place *place, int control, enum adopt_is *ret, unsigned *ret_lists)
{
	int ours = has_our_files(place), any;
	unsigned lists;

	*ret_lists = 0;
	if (ours) {
		*ret = ADOPT_OURS;
		return ours < 0 ? -1 : 0;
	}
	if (find_lists(place, control, &lists) < 0)
		return -1;
	any = lists ? maildir_has_message(place) : 0;
	if (any < 0)
		return -1;
	*ret = any ? ADOPT_FOREIGN : ADOPT_PLAIN;
	*ret_lists = any ? lists : 0;
	return 0;
}
