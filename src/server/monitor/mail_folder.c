/* See mail_folder.h. */
#include "server/monitor/mail_folder.h"

#include "config/path.h"
#include "sys/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

enum {
	PATIENCE = 10000,     /* ms for an opening */
	LOOKED_AT_MAX = 4096, /* folders of the mail root, to learn whose they are */
	ENTRIES_BUFFER = 4096,
};

static bool of_another(int folder, const char *name)
{
	struct stat st;

	return strcmp(name, "..") != 0 && fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISDIR(st.st_mode) && st.st_uid != 0;
}

/* True: a folder below the mail root belongs to another user than root, as where the root is the
 * folder of system users' homes. */
static bool has_other_owners(int mail_fd)
{
	_Alignas(struct dirent64) char buf[ENTRIES_BUFFER];
	int fd = openat(mail_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), looked_at = 0;
	bool found = false;
	ssize_t n;

	if (fd < 0)
		return false;
	while (!found && looked_at < LOOKED_AT_MAX &&
	       (n = maildrop_kernel.getdents64(fd, buf, sizeof(buf))) > 0)
		for (ssize_t at = 0; at < n && !found; looked_at++) {
			const struct dirent64 *entry = (const struct dirent64 *)(buf + at);

			found = of_another(fd, entry->d_name);
			at += entry->d_reclen;
		}
	close(fd);
	return found;
}

/* Root is refused by a network filesystem that takes it for nobody. */
static void say_refused(struct err *err)
{
	struct err why = *err;

	err_set(err, why.code,
		"%s; a server of NFS with root_squash takes root for nobody: let all enter and "
		"read that folder (chmod 755; the maildrops in it stay their owners' own), or "
		"export it with no_root_squash",
		why.text);
}

void mail_folder_open(const char *path, bool root, struct mail_folder *ret)
{
	struct stat st;

	*ret = (struct mail_folder){.fd = -1};
	if (config_open_directory(path, O_RDONLY, &ret->fd, &ret->err) < 0) {
		if (root && ret->err.errnum == EACCES)
			say_refused(&ret->err);
		return;
	}
	if (fstat(ret->fd, &st) < 0) {
		err_sys(&ret->err, EX_OSERR, errno, "cannot look at %s", path);
		close(ret->fd);
		ret->fd = -1;
		return;
	}
	ret->uid = st.st_uid;
	ret->gid = st.st_gid;
	ret->mode = st.st_mode;
	ret->device = st.st_dev;
	ret->only_of_root = root && st.st_uid == 0 && !has_other_owners(ret->fd);
	mail_root_gather(ret->fd, &ret->facts);
}

static unsigned fds_of(const void *answer)
{
	const struct mail_folder *mail = answer;

	return mail->fd >= 0;
}

/* ---- in a process of its own ---- */

static void open_and_send(int fd, int out, const void *context)
{
	const struct mail_opening *opening = context;
	struct mail_folder mail;

	(void)fd;
	mail_folder_open(opening->path, opening->root, &mail);
	process_answer(out, &mail, sizeof(mail), &mail.fd, fds_of(&mail));
}

/* ---- on the loop ---- */

static void end(struct mail_opening *opening)
{
	loop_timer_cancel(&opening->patience);
	if (opening->answer_fd < 0)
		return;
	loop_watch_finish(&opening->answer);
	close(opening->answer_fd);
	opening->answer_fd = -1;
}

static void answered(struct loop_watch *answer, int what)
{
	struct mail_opening *opening = answer->context;
	bool late = opening->late;
	struct mail_folder mail;
	struct err err;
	int fds[PROCESS_ANSWER_FDS];
	int came = process_answer_take(opening->answer_fd, &mail, sizeof(mail), fds_of, fds);

	(void)what;
	if (came == 0)
		return;
	if (came > 0 && mail.fd >= 0)
		mail.fd = fds[0];
	end(opening);
	if (late && came > 0 && mail.fd >= 0)
		close(mail.fd);
	if (late)
		return;
	if (came < 0)
		err_set(&err, EX_OSERR, "%s: the process that opens it has ended", opening->path);
	opening->done(opening->context, came > 0 ? &mail : NULL, &err);
}

static int silent(const char *path, struct err *err)
{
	return err_set(err, EX_TEMPFAIL,
		       "the mail folder %s has not answered for %d seconds: look for a filesystem "
		       "that hangs",
		       path, PATIENCE / 1000);
}

static void lose_patience(struct loop_timer *timer)
{
	struct mail_opening *opening = timer->context;
	struct err err;

	process_ask_kill(opening->pid, opening->answer_fd);
	opening->late = true;
	silent(opening->path, &err);
	opening->done(opening->context, NULL, &err);
}

void mail_opening_init(struct mail_opening *opening, struct loop *loop,
		       void (*done)(void *, const struct mail_folder *, const struct err *),
		       void *context)
{
	*opening = (struct mail_opening){
		.done = done, .context = context, .loop = loop, .answer_fd = -1};
	loop_timer_init(&opening->patience, loop, lose_patience, opening);
}

int mail_opening_start(struct mail_opening *opening, const char *path, bool root, int any_fd,
		       struct err *err)
{
	if (opening->answer_fd >= 0 && opening->late)
		answered(&opening->answer, LOOP_READ); /* it may have ended just now */
	if (opening->answer_fd >= 0 && strcmp(path, opening->path) == 0)
		return silent(path, err); /* it cannot be killed, and one that waits is enough */
	end(opening);
	snprintf(opening->path, sizeof(opening->path), "%s", path);
	opening->root = root;
	opening->late = false;
	opening->pid = process_ask(open_and_send, any_fd, opening, &opening->answer_fd, err);
	if (opening->pid < 0)
		return -1;
	loop_watch_init(&opening->answer, opening->loop, opening->answer_fd, answered, opening);
	loop_watch_want(&opening->answer, LOOP_READ);
	loop_timer_set(&opening->patience, PATIENCE);
	return 0;
}

bool mail_opening_waits(const struct mail_opening *opening)
{
	return opening->loop && opening->answer_fd >= 0 && !opening->late;
}

void mail_opening_finish(struct mail_opening *opening)
{
	if (!opening->loop)
		return;
	process_ask_kill(opening->pid, opening->answer_fd);
	end(opening);
}
