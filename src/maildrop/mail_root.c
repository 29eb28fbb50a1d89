/* See mail_root.h. The first half runs in the monitor and in `valija deliver`, the second in
 * keepers, too. */
#include "maildrop/mail_root.h"

#include "base/crc32c.h"
#include "maildrop/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#define STATE_FOLDER "/var/lib/valija" /* as StateDirectory= of the unit */
#define ENTRIES_BUFFER 4096

void mail_root_gather(int root_fd, struct mail_root_facts *ret)
{
	struct statx st;

	*ret = (struct mail_root_facts){.in_use = mail_root_in_use(&maildrop_kernel, root_fd),
					.store = mail_store_read(&maildrop_kernel, root_fd)};
	if (mail_mark_read(&maildrop_kernel, root_fd, ret->mark) < 0) {
		ret->mark[0] = '\0';
		ret->earned = ret->in_use && mail_mark_earned(root_fd);
	}
	if (statx(root_fd, "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME, &st) < 0)
		return;
	ret->inode = st.stx_ino;
	if (st.stx_mask & STATX_BTIME) {
		ret->born = st.stx_btime.tv_sec;
		ret->born_ns = st.stx_btime.tv_nsec;
	}
}

/* Mail that was moved with its mark is the same mail. */
static bool same(const struct mail_root_facts *is, const struct mail_root_facts *was)
{
	bool unborn = !is->born || !was->born;

	if (was->mark[0])
		return strcmp(is->mark, was->mark) == 0;
	return is->inode == was->inode &&
	       (unborn || (is->born == was->born && is->born_ns == was->born_ns));
}

/* A file a root: several posts may have one state folder. */
static int memory_name(char *buf, const char *folder, const char *path)
{
	int n = snprintf(buf, MAIL_ROOT_MEMORY_MAX, "%.*s/mail-root-%08" PRIx32,
			 MAIL_ROOT_MEMORY_MAX, folder, crc32c(0, path, strlen(path)));

	return n < MAIL_ROOT_MEMORY_MAX ? 0 : -1;
}

/* rest: what is behind inode and time of birth. Returns where the path begins. */
static const char *take_mark(const char *rest, char ret[MAIL_MARK_SIZE])
{
	const char *id = rest + strlen("mark=");
	size_t n;

	if (strncmp(rest, "mark=", strlen("mark=")) != 0)
		return rest;
	n = strcspn(id, " ");
	if (!mail_mark_valid(id, n) || id[n] != ' ')
		return rest; /* no path: the line is of no use */
	memcpy(ret, id, n);
	ret[n] = '\0';
	return id + n + 1;
}

/* The identity of the root of this path, as it was remembered. -1: it was not. */
static int recall(const char *memory, const char *path, struct mail_root_facts *ret)
{
	FILE *file = fopen(memory, "re");
	struct mail_root_facts found = {0}; /* no mark: remembered by an older version */
	char line[2 * MAIL_ROOT_MEMORY_MAX];
	int result = -1, at = 0;

	if (!file)
		return -1;
	if (fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		if (sscanf(line, "inode=%" SCNu64 " born=%" SCNd64 ".%" SCNu32 " %n", &found.inode,
			   &found.born, &found.born_ns, &at) == 3 &&
		    at > 0 && strcmp(take_mark(line + at, found.mark), path) == 0)
			result = 0;
	}
	fclose(file);
	if (result == 0)
		*ret = found;
	return result;
}

/* The state folder of a process like this one. -1: it has none. */
static int state_folder(char *buf, size_t size)
{
	const char *given = getenv("STATE_DIRECTORY"), *xdg = getenv("XDG_STATE_HOME");
	const char *home = getenv("HOME");
	int n;

	if (given && given[0])
		n = snprintf(buf, size, "%s", given);
	else if (geteuid() == 0)
		n = snprintf(buf, size, "%s", STATE_FOLDER);
	else if (xdg && xdg[0])
		n = snprintf(buf, size, "%s/valija", xdg);
	else if (home && home[0])
		n = snprintf(buf, size, "%s/.local/state/valija", home);
	else
		return -1;
	return n >= 0 && (size_t)n < size ? 0 : -1;
}

/* Is there a memory of this root in that folder? Its name is the one to be written, too. */
static bool look_into(const char *folder, const struct mail_root_facts *facts, const char *path,
		      struct mail_root *ret)
{
	struct mail_root_facts was;

	if (memory_name(ret->memory, folder, path) < 0) {
		ret->memory[0] = '\0';
		return false;
	}
	if (recall(ret->memory, path, &was) < 0)
		return false;
	if (facts->inode && !same(facts, &was)) {
		atomic_store(&ret->state, MAIL_ROOT_OTHER);
		ret->mark[0] = '\0';
	} else if (ret->mark[0]) {
		atomic_store(&ret->state, MAIL_ROOT_KNOWN);
	}
	return true;
}

void mail_root_judge(const struct mail_root_facts *facts, const char *path, struct mail_root *ret)
{
	char own[MAIL_ROOT_MEMORY_MAX];
	bool found = state_folder(own, sizeof(own)) == 0;

	ret->memory[0] = '\0';
	ret->path = path;
	memcpy(ret->mark, facts->mark, sizeof(ret->mark));
	if (!facts->mark[0])
		atomic_init(&ret->state, MAIL_ROOT_UNMARKED);
	else
		atomic_init(&ret->state, facts->in_use ? MAIL_ROOT_KNOWN : MAIL_ROOT_NEW);
	if (found && look_into(own, facts, path, ret))
		return;
	if (!look_into(STATE_FOLDER, facts, path, ret) && found)
		(void)memory_name(ret->memory, own, path);
}

void mail_root_look(int root_fd, const char *path, struct mail_root *ret)
{
	struct mail_root_facts facts;

	mail_root_gather(root_fd, &facts);
	mail_root_judge(&facts, path, ret);
}

/* The folders on the way to it. */
static void make_folders(const char *memory)
{
	char path[MAIL_ROOT_MEMORY_MAX];

	for (const char *at = strchr(memory + 1, '/'); at; at = strchr(at + 1, '/')) {
		snprintf(path, sizeof(path), "%.*s", (int)(at - memory), memory);
		(void)mkdir(path, 0755); /* there, or the file cannot be made: that is said */
	}
}

/* A name beside what remembers the root. */
static int name_beside(const struct mail_root *root, const char *prefix,
		       char ret[MAIL_ROOT_MEMORY_MAX])
{
	const char *name = strrchr(root->memory, '/');
	int n;

	if (!name)
		return -1;
	n = snprintf(ret, MAIL_ROOT_MEMORY_MAX, "%.*s/%s%s", (int)(name - root->memory),
		     root->memory, prefix, name + strlen("/mail-root-"));
	return n < MAIL_ROOT_MEMORY_MAX ? 0 : -1;
}

static int register_name(const struct mail_root *root, char ret[MAIL_ROOT_MEMORY_MAX])
{
	return name_beside(root, "mail-register-", ret);
}

int mail_root_register(const struct mail_root *root, char ret[MAIL_ROOT_MEMORY_MAX])
{
	if (register_name(root, ret) < 0)
		return -1;
	make_folders(root->memory);
	return 0;
}

int mail_root_last_logins(const struct mail_root *root, bool make, char ret[MAIL_ROOT_MEMORY_MAX])
{
	if (name_beside(root, "last-logins-", ret) < 0)
		return -1;
	if (make)
		make_folders(root->memory);
	return 0;
}

int mail_root_bans(const struct mail_root *root, char ret[MAIL_ROOT_MEMORY_MAX])
{
	if (name_beside(root, "bans-", ret) < 0)
		return -1;
	make_folders(root->memory);
	return 0;
}

/* A name that was made in a folder is on the disk. */
static int flush_folder(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = fd < 0 ? -1 : fsync(fd);

	if (fd >= 0)
		close(fd);
	return rc;
}

/* One whose name could not be flushed is made again the next time. */
static int make_owners(const struct mail_root *root, const char *folder)
{
	char state[MAIL_ROOT_MEMORY_MAX];
	int saved;

	make_folders(root->memory);
	if (mkdir(folder, 0711) < 0)
		return errno == EEXIST ? 0 : -1;
	snprintf(state, sizeof(state), "%s", folder);
	*strrchr(state, '/') = '\0';
	if (flush_folder(state) == 0)
		return 0;
	saved = errno;
	(void)rmdir(folder);
	errno = saved;
	return -1;
}

/* The same for the folder of one owner in it. */
static int make_owner(int parent, const char *name, const char *folder)
{
	int saved;

	if (mkdirat(parent, name, 0700) < 0)
		return errno == EEXIST ? 0 : -1;
	if (flush_folder(folder) == 0)
		return 0;
	saved = errno;
	(void)unlinkat(parent, name, AT_REMOVEDIR);
	errno = saved;
	return -1;
}

/* The folder of one owner, in that of all of them. */
static int open_owners(int parent, const char *name, uid_t uid, gid_t gid)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) == 0 &&
	    (st.st_uid == uid || (geteuid() == 0 && fchown(fd, uid, gid) == 0)))
		return fd;
	close(fd);
	return -1;
}

int mail_root_owner_state(const struct mail_root *root, uid_t uid, gid_t gid, bool make,
			  struct err *err)
{
	char folder[MAIL_ROOT_MEMORY_MAX], name[24];
	int parent = -1, fd = -1;

	if (name_beside(root, "mbox-", folder) < 0)
		return err_set(err, EX_CANTCREAT, "there is no state folder: set STATE_DIRECTORY");
	snprintf(name, sizeof(name), "%lu", (unsigned long)uid);
	if (!make || make_owners(root, folder) == 0)
		parent = open(folder, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (parent >= 0 && (!make || make_owner(parent, name, folder) == 0))
		fd = open_owners(parent, name, uid, gid);
	if (fd < 0)
		err_sys(err, EX_CANTCREAT, errno, "%s/%s cannot be %s", folder, name,
			make ? "made" : "opened");
	if (parent >= 0)
		close(parent);
	return fd;
}

bool mail_root_has_owner_states(const struct mail_root *root)
{
	char folder[MAIL_ROOT_MEMORY_MAX];
	const struct dirent *entry;
	bool any = false;
	DIR *owners;

	if (name_beside(root, "mbox-", folder) < 0)
		return true;
	owners = opendir(folder);
	if (!owners)
		return errno != ENOENT;
	while (!any && (entry = readdir(owners)) != NULL)
		any = entry->d_name[0] != '.';
	closedir(owners);
	return any;
}

bool mail_root_has_register(const struct mail_root *root)
{
	char file[MAIL_ROOT_MEMORY_MAX];

	return register_name(root, file) < 0 || access(file, F_OK) == 0 || errno != ENOENT;
}

int mail_root_check_state(const struct mail_root *root, struct err *err)
{
	char path[MAIL_ROOT_MEMORY_MAX];
	struct stat st;
	char *slash;

	if (!root->memory[0])
		return err_set(err, EX_CANTCREAT, "there is no state folder: set STATE_DIRECTORY");
	snprintf(path, sizeof(path), "%s", root->memory);
	while ((slash = strrchr(path, '/')) != NULL) {
		slash[slash == path] = '\0';
		if (stat(path, &st) == 0) {
			if (!S_ISDIR(st.st_mode))
				return err_set(err, EX_CANTCREAT, "%s is no folder", path);
			if (access(path, W_OK | X_OK) == 0)
				return 0;
		}
		if ((errno != ENOENT && errno != ENOTDIR) || slash == path)
			break;
	}
	return err_sys(err, EX_CANTCREAT, errno, "%s", path);
}

static int write_memory(const char *memory, const char *path, const struct mail_root_facts *is)
{
	char staged[MAIL_ROOT_MEMORY_MAX + 8], line[2 * MAIL_ROOT_MEMORY_MAX];
	int n = snprintf(line, sizeof(line),
			 "inode=%" PRIu64 " born=%" PRId64 ".%09" PRIu32 " mark=%s %s\n", is->inode,
			 is->born, is->born_ns, is->mark, path);
	int fd, result = -1;

	make_folders(memory);
	snprintf(staged, sizeof(staged), "%s.new", memory);
	fd = open(staged, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return -1;
	/* readable for `valija deliver`, whatever the umask */
	if (write(fd, line, (size_t)n) == n && fchmod(fd, 0644) == 0 && fsync(fd) == 0)
		result = rename(staged, memory);
	close(fd);
	return result;
}

/* A root without a mark that has earned one. */
static int mark_root(struct mail_root *root, struct mail_root_facts *facts, int root_fd,
		     struct err *err)
{
	if (mail_mark_write(root_fd, facts->mark, err) < 0)
		return -1;
	memcpy(root->mark, facts->mark, sizeof(root->mark));
	return 0;
}

int mail_root_remember(struct mail_root *root, const struct mail_root_facts *facts, int root_fd,
		       struct err *err)
{
	struct mail_root_facts is = *facts, was;

	if (atomic_load(&root->state) == MAIL_ROOT_OTHER || !is.in_use)
		return 0;
	if (atomic_load(&root->state) == MAIL_ROOT_UNMARKED) {
		if (!is.mark[0] && !is.earned)
			return 0;
		if (mark_root(root, &is, root_fd, err) < 0)
			return -1;
	}
	atomic_store(&root->state, MAIL_ROOT_KNOWN);
	if (!root->memory[0])
		return err_set(err, EX_CANTCREAT, "there is no state folder: set STATE_DIRECTORY");
	if (recall(root->memory, root->path, &was) == 0 && strcmp(was.mark, root->mark) == 0)
		return 0;
	if (!is.inode || strcmp(is.mark, root->mark) != 0 ||
	    write_memory(root->memory, root->path, &is) < 0)
		return err_sys(err, EX_CANTCREAT, errno, "%s cannot be written", root->memory);
	return 0;
}

int mail_root_accept(const struct mail_root *root, int root_fd, char ret_mark[MAIL_MARK_SIZE],
		     struct err *err)
{
	struct mail_root_facts was;

	if (mail_mark_write(root_fd, ret_mark, err) < 0)
		return -1;
	if (!root->memory[0] || recall(root->memory, root->path, &was) < 0)
		return 0;
	if (strcmp(was.mark, ret_mark) == 0 && mail_root_in_use(&maildrop_kernel, root_fd))
		return 0;
	if (unlink(root->memory) < 0 && errno != ENOENT)
		return err_sys(err, EX_CANTCREAT, errno, "%s cannot be removed", root->memory);
	return 0;
}

static bool counts(const struct maildrop_syscalls *sys, int fd, const struct dirent64 *entry)
{
	struct stat st;

	/* no name of a maildrop begins with a dot; mkfs makes lost+found */
	if (entry->d_name[0] == '.' || strcmp(entry->d_name, "lost+found") == 0)
		return false;
	if (entry->d_type != DT_UNKNOWN)
		return entry->d_type == DT_DIR;
	return sys->fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISDIR(st.st_mode);
}

bool mail_root_in_use(const struct maildrop_syscalls *sys, int root_fd)
{
	_Alignas(struct dirent64) char buf[ENTRIES_BUFFER];
	/* a reading position of its own: others have the same descriptor */
	int fd = sys->openat(root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	/* mail programs remove a mailbox without messages: there may be none */
	bool found = fd < 0 || mail_store_read(sys, root_fd) == STORE_MBOX;
	ssize_t n;

	while (!found && (n = sys->getdents64(fd, buf, sizeof(buf))) != 0) {
		found = n < 0;
		for (ssize_t at = 0; at < n && !found;) {
			const struct dirent64 *entry = (const struct dirent64 *)(buf + at);

			found = counts(sys, fd, entry);
			at += entry->d_reclen;
		}
	}
	if (fd >= 0)
		close(fd);
	return found;
}

/* Has the root the mark that it has to have? */
static bool marked(const struct mail_root *root, enum mail_root_state state,
		   const struct maildrop_syscalls *sys, int root_fd)
{
	char mark[MAIL_MARK_SIZE];

	return mail_mark_read(sys, root_fd, mark) == 0 &&
	       (state == MAIL_ROOT_UNMARKED || strcmp(mark, root->mark) == 0);
}

bool mail_root_may_make(const struct mail_root *root, const struct maildrop_syscalls *sys,
			int root_fd, struct err *err)
{
	enum mail_root_state state = root ? atomic_load(&root->state) : MAIL_ROOT_NEW;
	bool in_use;

	if (!root)
		return true;
	if (state != MAIL_ROOT_OTHER && !marked(root, state, sys, root_fd)) {
		err_set(err, EX_TEMPFAIL,
			"it is not there, and the mail folder has %s mark " MAIL_MARK_NAME
			": mount its filesystem and reload valijad; if this is the folder of the "
			"mail: valija mark %s, then reload valijad",
			state == MAIL_ROOT_UNMARKED ? "no" : "lost its", root->path);
		return false;
	}
	if (state == MAIL_ROOT_NEW || state == MAIL_ROOT_UNMARKED)
		return true;
	in_use = mail_root_in_use(sys, root_fd);
	if (in_use && state == MAIL_ROOT_KNOWN)
		return true;
	if (in_use)
		err_set(err, EX_TEMPFAIL,
			"it is not there, and the mail folder is not the one that had maildrops "
			"before: mount the right filesystem and reload valijad; if mail was moved "
			"to this one: valija mark %s, then reload valijad",
			root->path);
	else
		err_set(err, EX_TEMPFAIL,
			"it is not there, and the mail folder is empty, but it had maildrops "
			"before: mount its filesystem and reload valijad; if it is meant to be "
			"empty: valija mark %s, then reload valijad",
			root->path);
	return false;
}
