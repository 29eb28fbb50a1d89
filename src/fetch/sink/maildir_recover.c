/* A Maildir's staging folder after an earlier run, and the search for delivered messages that are
 * still there; for maildir.c and collect.c, in the fetch process as the user. */
#include "fetch/sink/maildir.h"

#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

typedef int each_name(struct maildir_sink *m, const char *name, void *context, struct err *err);

static int for_each(struct maildir_sink *m, int dir, each_name *each, void *context,
		    struct err *err)
{
	int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
	DIR *list = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *entry;

	if (!list) {
		err_sys(err, EX_IOERR, errno, "cannot read a folder of the Maildir");
		if (copy >= 0)
			close(copy);
		return -1;
	}
	errno = 0;
	while (rc == 0 && (entry = readdir(list))) {
		rc = each(m, entry->d_name, context, err);
		errno = 0;
	}
	if (rc == 0 && errno)
		rc = err_sys(err, EX_IOERR, errno, "cannot read a folder of the Maildir");
	closedir(list);
	return rc;
}

/* "PREFIX.ID": the id; NULL: not one of this account's messages. */
static const char *own_id(const struct maildir_sink *m, const char *name)
{
	size_t n = strlen(m->prefix);

	if (strncmp(name, m->prefix, n) != 0 || name[n] != '.')
		return NULL;
	return strspn(name + n + 1, "0123456789abcdef") == DELIVERY_ID_SIZE - 1 &&
			       name[n + DELIVERY_ID_SIZE] == '\0'
		       ? name + n + 1
		       : NULL;
}

struct recovery {
	struct journal *journal;
	bool published;
};

/* Only after a crash, so a walk through the whole journal per file is good enough. */
static const struct seen *named(struct maildir_sink *m, struct journal *journal, const char *id)
{
	char other[DELIVERY_ID_SIZE];

	for (uint32_t i = 0; i < journal_count(journal); i++) {
		const struct seen *seen = journal_at(journal, i);

		if (seen->state != SEEN_WHOLE && seen->state != SEEN_PARTIAL)
			continue;
		delivery_id_of_message(m->key, journal_identity(journal, seen),
				       seen->state == SEEN_PARTIAL, other);
		if (strcmp(other, id) == 0)
			return seen;
	}
	return NULL;
}

static int publish(struct maildir_sink *m, const char *name, const char *id,
		   const struct seen *seen, struct err *err)
{
	char final[MAILDIR_FINAL_MAX];
	struct stat staged, there;

	if (fstatat(m->staging, name, &staged, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(err, EX_IOERR, errno, "valija-staging/%s", name);
	if (!S_ISREG(staged.st_mode))
		return err_set(err, EX_DATAERR, "valija-staging/%s is not a file", name);
	maildir_final_name(m->host, id, seen->time, (uint64_t)staged.st_size, seen->octets, final,
			   sizeof(final));
	if (m->sink.files->publish(m->staging, name, m->new_dir, final) == 0)
		return 0;
	if (errno != EEXIST)
		return err_sys(err, EX_IOERR, errno, "cannot move %s into new", name);
	/* a rename that a power cut did by halves: the same file under both names */
	if (fstatat(m->new_dir, final, &there, AT_SYMLINK_NOFOLLOW) < 0 ||
	    there.st_ino != staged.st_ino || there.st_dev != staged.st_dev)
		return err_set(err, EX_CANTCREAT, "new/%s is there already, but is another file",
			       final);
	if (m->sink.files->unlinkat(m->staging, name, 0) < 0)
		return err_sys(err, EX_IOERR, errno, "cannot remove valija-staging/%s", name);
	return 0;
}

static int recover_one(struct maildir_sink *m, const char *name, void *context, struct err *err)
{
	struct recovery *recovery = context;
	const char *id = own_id(m, name);
	const struct seen *seen = id ? named(m, recovery->journal, id) : NULL;

	if (!id)
		return 0;
	if (seen) {
		recovery->published = true;
		return publish(m, name, id, seen, err);
	}
	if (m->sink.files->unlinkat(m->staging, name, 0) < 0 && errno != ENOENT)
		return err_sys(err, EX_IOERR, errno, "cannot remove valija-staging/%s", name);
	return 0;
}

/*
 * The run before this one may have been killed at any point: its files and renames are made
 * durable before anything is done in its name, as journal_open has done with its journal. Else a
 * power cut could take back the journal but not a rename made now, or a rename made then but not a
 * DELE sent now.
 */
int maildir_recover(struct maildir_sink *m, struct journal *journal, struct err *err)
{
	struct recovery recovery = {.journal = journal};

	if (m->sink.files->fsync(m->staging) < 0)
		return err_sys(err, EX_IOERR, errno, "cannot flush valija-staging");
	if (for_each(m, m->staging, recover_one, &recovery, err) < 0)
		return -1;
	if (m->sink.files->fsync(m->new_dir) < 0 ||
	    (recovery.published && m->sink.files->fsync(m->staging) < 0))
		return err_sys(err, EX_IOERR, errno, "cannot flush the Maildir's folders");
	return 0;
}

static int note_present(struct maildir_sink *m, const char *name, void *context, struct err *err)
{
	const char *id = maildir_name_id(name);

	(void)context;
	if (!id)
		return 0;
	if (m->present_count == m->present_capacity) {
		size_t capacity = m->present_capacity ? m->present_capacity * 2 : 1024;
		void *grown = reallocarray(m->present, capacity, DELIVERY_ID_SIZE);

		if (!grown)
			return err_sys(err, EX_OSERR, errno, "memory");
		m->present = grown;
		m->present_capacity = capacity;
	}
	memcpy(m->present[m->present_count], id, DELIVERY_ID_SIZE - 1);
	m->present[m->present_count++][DELIVERY_ID_SIZE - 1] = '\0';
	return 0;
}

static int scan_folder(struct maildir_sink *m, int root, const char *name, struct err *err)
{
	int dir = openat(root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc;

	if (dir < 0)
		return errno == ENOENT || errno == ENOTDIR
			       ? 0
			       : err_sys(err, EX_IOERR, errno, "cannot read %s of the Maildir",
					 name);
	rc = for_each(m, dir, note_present, NULL, err);
	close(dir);
	return rc;
}

/* Maildir++ folders: ".Name" beside new and cur. A message that was filed away was not removed. */
static int scan_subfolder(struct maildir_sink *m, const char *name, void *context, struct err *err)
{
	int dir, rc;

	(void)context;
	if (name[0] != '.' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return 0;
	dir = openat(m->root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return errno == ENOTDIR
			       ? 0
			       : err_sys(err, EX_IOERR, errno, "cannot read folder %s", name);
	rc = scan_folder(m, dir, "new", err);
	if (rc == 0)
		rc = scan_folder(m, dir, "cur", err);
	close(dir);
	return rc;
}

static int compare_ids(const void *a, const void *b)
{
	return strcmp(a, b);
}

int sink_maildir_scan(struct sink *sink, struct err *err)
{
	struct maildir_sink *m = (struct maildir_sink *)sink;

	m->present_count = 0;
	/* cur twice: a message that moves from new to cur meanwhile is seen in one of them */
	if (scan_folder(m, m->root, "new", err) < 0 || scan_folder(m, m->root, "cur", err) < 0 ||
	    for_each(m, m->root, scan_subfolder, NULL, err) < 0)
		return -1;
	if (m->present_count)
		qsort(m->present, m->present_count, DELIVERY_ID_SIZE, compare_ids);
	return 0;
}

struct removal {
	const char *id;
	int dir;
};

static int remove_one(struct maildir_sink *m, const char *name, void *context, struct err *err)
{
	const struct removal *removal = context;
	const char *id = maildir_name_id(name);

	if (!id || strncmp(id, removal->id, DELIVERY_ID_SIZE - 1) != 0)
		return 0;
	if (m->sink.files->unlinkat(removal->dir, name, 0) < 0 && errno != ENOENT)
		return err_sys(err, EX_IOERR, errno, "cannot remove %s", name);
	return 0;
}

/* The headers alone are not worth much: they are looked for in new and cur only. */
int sink_maildir_remove(struct sink *sink, const char *id, struct err *err)
{
	struct maildir_sink *m = (struct maildir_sink *)sink;
	struct removal removal = {.id = id, .dir = m->new_dir};
	int rc = for_each(m, m->new_dir, remove_one, &removal, err);

	if (rc < 0)
		return -1;
	removal.dir = openat(m->root, "cur", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (removal.dir < 0)
		return err_sys(err, EX_IOERR, errno, "cannot open the Maildir's cur");
	rc = for_each(m, removal.dir, remove_one, &removal, err);
	close(removal.dir);
	return rc;
}

bool sink_maildir_has(struct sink *sink, const char *id)
{
	struct maildir_sink *m = (struct maildir_sink *)sink;

	return m->present_count &&
	       bsearch(id, m->present, m->present_count, DELIVERY_ID_SIZE, compare_ids);
}
