/* See spool_files.h. In the monitor, as root when that is root; requests are hostile. */
#include "server/monitor/spool_files.h"

#include "base/log.h"
#include "config/path.h"
#include "ipc/messages.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum {
	SECOND = 1000,
	A_SECOND = 200, /* files for a front; more than it can fill */
};

/* fds: to write, to read. The second opening cannot be turned into one that writes by a process
 * that may not open the file anew. */
static int make_file(int folder, int fds[2])
{
	char path[64];

	fds[0] = openat(folder, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
	if (fds[0] < 0)
		return -1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fds[0]);
	fds[1] = open(path, O_RDONLY | O_CLOEXEC);
	if (fds[1] >= 0)
		return 0;
	close(fds[0]);
	return -1;
}

int spool_files_open(const char *folder, int *ret, struct err *err)
{
	int fd, fds[2], error;

	if (config_open_directory(folder, O_RDONLY, &fd, err) < 0)
		return -1;
	if (make_file(fd, fds) == 0) {
		close(fds[0]);
		close(fds[1]);
		*ret = fd;
		return 0;
	}
	error = errno;
	close(fd);
	if (error == EOPNOTSUPP || error == EISDIR)
		return err_set(err, EX_UNAVAILABLE,
			       "%s: its filesystem has no files without a name (O_TMPFILE)",
			       folder);
	return err_sys(err, EX_CANTCREAT, error, "%s: no file can be made there", folder);
}

/* Beside the register of the mail. -1: there is no state folder. */
static int open_state(struct generation_files *files, struct err *err)
{
	char folder[MAIL_ROOT_MEMORY_MAX];
	char *end;

	if (mail_root_register(&files->roots[0].root, folder) < 0)
		return err_set(err, EX_CANTCREAT, "there is no state folder");
	end = strrchr(folder, '/');
	end[end == folder] = '\0';
	return spool_files_open(folder, &files->spool_fd, err);
}

void spool_files_init(struct spool_files *spool, struct generation_files *files, bool needed)
{
	struct err err;

	*spool = (struct spool_files){.folder = -1};
	if (!needed)
		return;
	if (files->spool_fd < 0 && open_state(files, &err) < 0)
		log_warning("large messages are held in memory while they come, since there is no "
			    "spool: %s; lmtp.spool may name another folder",
			    err.text);
	spool->folder = files->spool_fd;
}

/* An attacker's front cannot make the monitor do this alone. */
static bool too_many(struct spool_files *spool, uint64_t now)
{
	if (now - spool->since >= SECOND) {
		spool->since = now;
		spool->count = 0;
	}
	return ++spool->count > A_SECOND;
}

static void note(struct spool_files *spool, bool failed)
{
	if (failed && !spool->failed)
		log_warning("no file can be made in the spool folder: large messages are held in "
			    "memory while they come: %s",
			    strerror(errno));
	spool->failed = failed;
}

void spool_files_send(struct spool_files *spool, struct chan *chan, uint64_t now)
{
	struct ipc_empty message;
	int fds[2];
	bool made;

	if (spool->folder < 0 || too_many(spool, now)) {
		ipc_send(chan, IPC_SPOOL_NONE, &message);
		return;
	}
	made = make_file(spool->folder, fds) == 0;
	note(spool, !made);
	if (!made) {
		ipc_send(chan, IPC_SPOOL_NONE, &message);
		return;
	}
	ipc_send_fds(chan, IPC_SPOOL_FILE, &message, fds, 2);
	close(fds[0]);
	close(fds[1]);
}
