/* See lender.h. */
#include "cli/import/cyrus/lender.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

/* An answer: errno, and, if it is 0, the descriptor. */
union control {
	struct cmsghdr header;
	char octets[CMSG_SPACE(sizeof(int))];
};

static int send_answer(int channel, int fd, int errnum)
{
	union control control = {0};
	struct iovec part = {&errnum, sizeof(errnum)};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	struct cmsghdr *header;

	if (fd >= 0) {
		message.msg_control = control.octets;
		message.msg_controllen = sizeof(control.octets);
		header = CMSG_FIRSTHDR(&message);
		*header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(fd)),
					   .cmsg_level = SOL_SOCKET,
					   .cmsg_type = SCM_RIGHTS};
		memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	}
	return sendmsg(channel, &message, MSG_NOSIGNAL) < 0 ? -1 : 0;
}

/* Does not return. Ends with its last client. */
static void lend(int channel)
{
	char path[LENDER_PATH_MAX];
	ssize_t n;

	while ((n = recv(channel, path, sizeof(path) - 1, 0)) != 0) {
		int fd;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		path[n] = '\0';
		fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
		if (send_answer(channel, fd, fd < 0 ? errno : 0) < 0)
			break;
		if (fd >= 0)
			close(fd);
	}
	_exit(0);
}

/* Does not return. */
static void become_lender(int channel, const struct stat *owner)
{
	if (geteuid() != 0 || (setgroups(0, NULL) == 0 &&
			       setresgid(owner->st_gid, owner->st_gid, owner->st_gid) == 0 &&
			       setresuid(owner->st_uid, owner->st_uid, owner->st_uid) == 0))
		lend(channel);
	_exit(1);
}

int lender_start(struct lender *lender, const char *folder, struct err *err)
{
	struct stat st;
	int ends[2];

	if (stat(folder, &st) < 0)
		return err_sys(err, EX_NOINPUT, errno, "%s", folder);
	if (geteuid() == 0 && st.st_uid == 0)
		return err_set(err, EX_NOPERM,
			       "%s belongs to root: it must belong to Cyrus's user, as whom it is "
			       "read",
			       folder);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return err_sys(err, EX_OSERR, errno, "cannot start a process");
	lender->pid = fork();
	if (lender->pid == 0) {
		close(ends[0]);
		become_lender(ends[1], &st);
	}
	close(ends[1]);
	if (lender->pid < 0) {
		close(ends[0]);
		return err_sys(err, EX_OSERR, errno, "cannot start a process");
	}
	lender->channel = ends[0];
	return 0;
}

void lender_stop(struct lender *lender)
{
	if (lender->channel < 0)
		return;
	close(lender->channel);
	lender->channel = -1;
	while (waitpid(lender->pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static int take_answer(const struct lender *lender, int *ret_fd, int *ret_errno)
{
	union control control = {0};
	struct iovec part = {ret_errno, sizeof(*ret_errno)};
	struct msghdr message = {.msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = control.octets,
				 .msg_controllen = sizeof(control.octets)};
	const struct cmsghdr *header;
	ssize_t n;

	while ((n = recvmsg(lender->channel, &message, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR)
		;
	if (n != (ssize_t)sizeof(*ret_errno))
		return -1;
	header = CMSG_FIRSTHDR(&message);
	if (header && header->cmsg_type == SCM_RIGHTS)
		memcpy(ret_fd, CMSG_DATA(header), sizeof(*ret_fd));
	return 0;
}

int lender_open(const struct lender *lender, const char *path, struct err *err)
{
	size_t size = strlen(path);
	int fd = -1, errnum = 0;

	if (size == 0 || size >= LENDER_PATH_MAX)
		return err_sys(err, EX_NOINPUT, ENAMETOOLONG, "%s", path);
	if (send(lender->channel, path, size, MSG_NOSIGNAL) < 0 ||
	    take_answer(lender, &fd, &errnum) < 0)
		return err_set(err, EX_OSERR, "the process that reads Cyrus's spool died");
	return fd >= 0 ? fd : err_sys(err, EX_NOINPUT, errnum, "%s", path);
}
