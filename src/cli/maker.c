/* See maker.h. */
#include "cli/maker.h"

#include "base/text.h"
#include "config/path.h"
#include "users/location.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

/* A register that this process cannot read judges nothing: mail is delivered where it always was.
 */
static int judge(void *context, const char *location, const struct guard_facts *facts,
		 struct err *err)
{
	struct maker_root *root = context;

	if (root->reg && guard_judge(root->reg, span_of(location), facts, err) == GUARD_WRONG)
		return MAILDROP_GUARDED;
	return MAILDROP_OK;
}

static int open_root(struct maker_root *root, const char *path, struct err *err)
{
	char file[MAIL_ROOT_MEMORY_MAX];
	struct stat st;
	int kind;

	if (config_open_directory(path, O_RDONLY, &root->fd, err) < 0)
		return -1;
	if (fstat(root->fd, &st) < 0)
		return err_sys(err, EX_TEMPFAIL, errno, "cannot look at %s", path);
	mail_root_look(root->fd, path, &root->root);
	kind = mail_store_read(&maildrop_kernel, root->fd);
	if (kind == STORE_RADOS)
		return err_set(
			err, EX_UNAVAILABLE,
			"the maildrops of %s are in a cluster (RADOS), which this command does "
			"not reach: mail is delivered by LMTP and read by POP3",
			path);
	root->store = kind == STORE_MBOX ? STORE_MBOX : STORE_MAILDIR;
	if (mail_root_register(&root->root, file) == 0)
		root->reg = register_create(file);
	root->guard = (struct guard){judge, root};
	root->uid = st.st_uid;
	root->gid = st.st_gid;
	return 0;
}

int maker_init(struct maker *maker, const struct config *config, struct err *err)
{
	maker->config = config;
	for (uint32_t i = 0; i < CONFIG_ROOTS_MAX; i++) {
		maker->roots[i].fd = -1;
		maker->roots[i].reg = NULL;
	}
	for (uint32_t i = 0; i < config->root_count; i++)
		if (open_root(&maker->roots[i], config->roots[i].path, err) < 0)
			return -1;
	return 0;
}

void maker_finish(struct maker *maker)
{
	for (uint32_t i = 0; maker->config && i < CONFIG_ROOTS_MAX; i++) {
		register_destroy(maker->roots[i].reg);
		if (maker->roots[i].fd >= 0)
			close(maker->roots[i].fd);
	}
}

struct maker_root *maker_root(struct maker *maker, const struct user *user)
{
	return &maker->roots[user->root];
}

/* -1: nothing is written there, or it cannot be read. */
static int read_store(const struct config_root *root)
{
	struct err ignored;
	int fd, kind;

	if (config_open_directory(root->path, O_RDONLY, &fd, &ignored) < 0)
		return -1;
	kind = mail_store_read(&maildrop_kernel, fd);
	close(fd);
	return kind;
}

void maker_find_stores(struct config *config)
{
	for (uint32_t i = 0; i < config->root_count; i++) {
		int kind = read_store(&config->roots[i]);

		if (kind >= 0)
			config->roots[i].store = (uint32_t)kind;
	}
}

bool maker_in_cluster(const struct config *config)
{
	return read_store(&config->roots[0]) == STORE_RADOS;
}

int maker_state(struct maker *maker, const struct user *user, uid_t uid, gid_t gid)
{
	const struct maker_root *root = maker_root(maker, user);
	struct err ignored;
	int fd;

	if (root->store != STORE_MBOX)
		return 0;
	if (geteuid() != 0)
		uid = geteuid();
	fd = mail_root_owner_state(&root->root, uid, gid, true, &ignored);
	return fd < 0 ? 0 : fd;
}

static bool is_there(const struct maker_root *root, const char *home, struct stat *ret)
{
	if (fstatat(root->fd, home, ret, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	return root->store == STORE_MBOX ? S_ISREG(ret->st_mode) : S_ISDIR(ret->st_mode);
}

/* The nearest folder above a maildrop that is not there, below the root: it is made in that by its
 * owner, unless that is root. */
static bool is_above(const struct maker_root *root, const char *home, struct stat *ret)
{
	char above[USER_HOME_MAX + 1];
	char *slash;

	if (span_copy(span_of(home), above, sizeof(above)) < 0)
		return false;
	while ((slash = strrchr(above, '/'))) {
		*slash = '\0';
		if (fstatat(root->fd, above, ret, AT_SYMLINK_NOFOLLOW) == 0)
			return S_ISDIR(ret->st_mode) && ret->st_uid != 0;
	}
	return false;
}

int maker_owner(struct maker *maker, const struct user *user, uid_t *ret_uid, gid_t *ret_gid)
{
	const struct maker_root *root = maker_root(maker, user);
	struct stat st;

	*ret_uid = root->uid;
	*ret_gid = root->gid;
	if (!is_there(root, user_home(user), &st) && !is_above(root, user_home(user), &st)) {
		if (root->store != STORE_MBOX || root->uid != 0)
			return 0;
		/* a mailbox that root made in a folder of all users would be nobody's */
		*ret_uid = user->has_ids ? user->uid : 0;
		return *ret_uid ? 0 : -1;
	}
	if (st.st_uid == 0 && root->uid != 0)
		return -1;
	*ret_uid = st.st_uid;
	*ret_gid = st.st_gid;
	return 0;
}

/* ---- steps of the owner ---- */

struct result {
	int status;
	struct err err;
};
_Static_assert(sizeof(struct result) <= 4096, "a pipe takes it at once");

/* Does not return. */
static void become_owner(uid_t uid, gid_t gid, int (*step)(void *, struct err *), void *context,
			 int out)
{
	struct result result = {.status = -1};

	if (seteuid(0) < 0 || setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 ||
	    setresuid(uid, uid, uid) < 0)
		err_sys(&result.err, EX_TEMPFAIL, errno, "cannot become the owner of the mail");
	else
		result.status = step(context, &result.err);
	_exit(write(out, &result, sizeof(result)) == (ssize_t)sizeof(result) ? 0 : 1);
}

int maker_as_owner(uid_t uid, gid_t gid, int (*step)(void *context, struct err *err), void *context,
		   struct err *err)
{
	struct result result = {.status = -1};
	int ends[2], status;
	ssize_t n;
	pid_t pid;

	if (geteuid() != 0)
		return step(context, err);
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(err, EX_TEMPFAIL, errno, "cannot make a pipe");
	pid = fork();
	if (pid == 0)
		become_owner(uid, gid, step, context, ends[1]);
	close(ends[1]);
	if (pid < 0)
		err_sys(&result.err, EX_TEMPFAIL, errno, "cannot start a process");
	else
		while ((n = read(ends[0], &result, sizeof(result))) < 0 && errno == EINTR)
			;
	close(ends[0]);
	if (pid > 0 && n != (ssize_t)sizeof(result))
		err_set(&result.err, EX_TEMPFAIL, "the process that works as its owner died");
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	*err = result.err;
	return result.status;
}

struct making {
	struct maker *maker;
	const struct user *user;
};

static int make_folders(void *context, struct err *err)
{
	const struct making *making = context;
	struct maker *maker = making->maker;
	struct maker_root *root = maker_root(maker, making->user);
	struct maildrop_settings settings = {.driver = store_driver(root->store),
					     .store_crlf = maker->config->store_crlf,
					     .host_name = maker->config->host_name,
					     .root = &root->root};

	return maildrop_make(&settings, root->fd, user_home(making->user), err) == MAILDROP_OK
		       ? EX_OK
		       : EX_TEMPFAIL;
}

/* ---- the register ---- */

enum { THERE = 1 };

/* Why the caller makes no maildrop, and who does. */
static int refuse(const struct user *user, const struct err *why, struct err *err)
{
	return err_set(err, EX_TEMPFAIL,
		       "maildrop %s: it is not there, and is made only by who may enter it in the "
		       "register of maildrops (%s): as root: valija user make %s; or let LMTP "
		       "deliver",
		       user_home(user), why->text, user->name);
}

/* Enters the maildrop, on the disk; as the one who called the command, not as the owner. THERE: it
 * need not be made any more. */
static int enter(struct maker *maker, const struct user *user, enum register_kind kind,
		 struct err *err)
{
	struct maker_root *root = maker_root(maker, user);
	const char *home = user_home(user);
	pop3_span location = {home, strlen(home)};
	enum register_kind is = REGISTER_NONE;
	struct stat st;
	struct err why;

	if (!root->reg) {
		err_set(&why, EX_CANTCREAT, "there is no state folder: set STATE_DIRECTORY");
		return refuse(user, &why, err);
	}
	if (kind == REGISTER_MAKING && register_find(root->reg, location, &is, err) < 0)
		return -1;
	/* another delivery may have made it since this one found none */
	if (is == REGISTER_MADE && is_there(root, home, &st))
		return THERE;
	if (is == REGISTER_MADE)
		return err_set(
			err, EX_TEMPFAIL,
			"the maildrop is not there, but it was before: mount its filesystem, or "
			"restore it; if it was removed on purpose: valija mark --forget %s %s",
			home, root->root.path);
	if (register_enter(root->reg, location, kind, REGISTER_NOW, &why) == 0)
		return 0;
	if (geteuid() != 0 && (why.errnum == EACCES || why.errnum == EPERM || why.errnum == EROFS ||
			       why.errnum == ENOENT))
		return refuse(user, &why, err);
	*err = why;
	return -1;
}

/* As keeper/location.c does: a maildrop that may be elsewhere is not passed over for a new one. */
static int check_elsewhere(struct maker *maker, const struct user *user, struct err *err)
{
	char other[USER_HOME_MAX + 1];
	uint32_t index;

	for (unsigned i = 0; user_location_elsewhere(maker->config, user, i, &index, other); i++) {
		const struct maker_root *root = &maker->roots[index];
		enum register_kind kind = REGISTER_NONE;
		bool unmarked =
			index != user->root && atomic_load(&root->root.state) == MAIL_ROOT_UNMARKED;

		if (root->reg && register_find(root->reg, span_of(other), &kind, err) < 0)
			return -1;
		if (kind != REGISTER_MADE && !unmarked)
			continue;
		return err_set(err, EX_TEMPFAIL,
			       "maildrop %s: it is not there, and the mail of %s may be in %s/%s "
			       "(%s); if it is, write that path into the user's field maildir; if "
			       "not: %s/%s",
			       user_home(user), user->name, root->root.path, other,
			       unmarked ? "that folder has no mark: valija mark it"
					: "a maildrop is, or was, there",
			       maker_root(maker, user)->root.path, user_home(user));
	}
	return 0;
}

int maker_make(struct maker *maker, const struct user *user, uid_t uid, gid_t gid, struct err *err)
{
	struct making making = {maker, user};
	int result;

	if (check_elsewhere(maker, user, err) < 0)
		return -1;
	/* other programs remove mailboxes without messages: the register knows none */
	if (maker_root(maker, user)->store == STORE_MBOX)
		return maker_as_owner(uid, gid, make_folders, &making, err) == EX_OK ? 0 : -1;
	result = enter(maker, user, REGISTER_MAKING, err);

	if (result == THERE)
		return 0;
	if (result < 0 || maker_as_owner(uid, gid, make_folders, &making, err) != EX_OK)
		return -1;
	return enter(maker, user, REGISTER_MADE, err);
}
