/* See maker.h. */
#include "cli/maker.h"

#include "config/path.h"
#include "maildrop/maildir/maildir.h"
#include "maildrop/maildrop.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

int maker_init(struct maker *maker, const struct config *config, struct err *err)
{
	char file[MAIL_ROOT_MEMORY_MAX];
	struct stat st;

	*maker = (struct maker){.config = config, .mail_fd = -1};
	if (config_open_directory(config->mail, O_RDONLY, &maker->mail_fd, err) < 0)
		return -1;
	if (fstat(maker->mail_fd, &st) < 0)
		return err_sys(err, EX_TEMPFAIL, errno, "cannot look at %s", config->mail);
	mail_root_look(maker->mail_fd, config->mail, &maker->root);
	if (mail_root_register(&maker->root, file) == 0)
		maker->reg = register_create(file);
	maker->uid = st.st_uid;
	maker->gid = st.st_gid;
	return 0;
}

void maker_finish(struct maker *maker)
{
	register_destroy(maker->reg);
	if (maker->mail_fd >= 0)
		close(maker->mail_fd);
}

static bool is_there(const struct maker *maker, const char *home, struct stat *ret)
{
	return fstatat(maker->mail_fd, home, ret, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISDIR(ret->st_mode);
}

int maker_owner(const struct maker *maker, const char *home, uid_t *ret_uid, gid_t *ret_gid)
{
	struct stat st;

	*ret_uid = maker->uid;
	*ret_gid = maker->gid;
	if (!is_there(maker, home, &st))
		return 0;
	if (st.st_uid == 0 && maker->uid != 0)
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
	const char *home;
};

static int make_folders(void *context, struct err *err)
{
	const struct making *making = context;
	struct maker *maker = making->maker;
	struct maildrop_settings settings = {.driver = &maildir_driver,
					     .store_crlf = maker->config->store_crlf,
					     .host_name = maker->config->host_name,
					     .root = &maker->root};

	return maildrop_make(&settings, maker->mail_fd, making->home, err) == MAILDROP_OK
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
	const char *home = user_home(user);
	pop3_span location = {home, strlen(home)};
	enum register_kind is = REGISTER_NONE;
	struct stat st;
	struct err why;

	if (!maker->reg) {
		err_set(&why, EX_CANTCREAT, "there is no state folder: set STATE_DIRECTORY");
		return refuse(user, &why, err);
	}
	if (kind == REGISTER_MAKING && register_find(maker->reg, location, &is, err) < 0)
		return -1;
	/* another delivery may have made it since this one found none */
	if (is == REGISTER_MADE && is_there(maker, home, &st))
		return THERE;
	if (is == REGISTER_MADE)
		return err_set(
			err, EX_TEMPFAIL,
			"the maildrop is not there, but it was before: mount its filesystem, or "
			"restore it; if it was removed on purpose: valija mark --forget %s %s",
			home, maker->config->mail);
	if (register_enter(maker->reg, location, kind, REGISTER_NOW, &why) == 0)
		return 0;
	if (geteuid() != 0 && (why.errnum == EACCES || why.errnum == EPERM || why.errnum == EROFS ||
			       why.errnum == ENOENT))
		return refuse(user, &why, err);
	*err = why;
	return -1;
}

int maker_make(struct maker *maker, const struct user *user, uid_t uid, gid_t gid, struct err *err)
{
	struct making making = {maker, user_home(user)};
	int result = enter(maker, user, REGISTER_MAKING, err);

	if (result == THERE)
		return 0;
	if (result < 0 || maker_as_owner(uid, gid, make_folders, &making, err) != EX_OK)
		return -1;
	return enter(maker, user, REGISTER_MADE, err);
}
