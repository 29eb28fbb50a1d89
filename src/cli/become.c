/* See become.h. As root, for a moment. */
#include "cli/become.h"

#include <errno.h>
#include <grp.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

int become_owner(const char *file, struct err *err)
{
	struct stat st;

	if (geteuid() != 0)
		return 0;
	if (lstat(file, &st) < 0)
		return err_sys(err, EX_NOINPUT, errno,
			       "%s (root works in a mailbox as its owner, so it has to be there)",
			       file);
	if (!S_ISREG(st.st_mode))
		return err_set(err, EX_CANTCREAT, "the mailbox %s is not a file", file);
	if (st.st_uid == 0)
		return 0; /* root's own mail */
	if (setgroups(0, NULL) < 0 || setresgid(st.st_gid, st.st_gid, st.st_gid) < 0 ||
	    setresuid(st.st_uid, st.st_uid, st.st_uid) < 0)
		return err_sys(err, EX_TEMPFAIL, errno, "cannot become the owner of %s", file);
	return 0;
}
