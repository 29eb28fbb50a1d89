/* See rados.h. The work is done by a program of its own: librados is in no other command. */
#include "cli/rados.h"

#include "cli/command.h"
#include "users/program.h"

#include <errno.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

int rados_main(int argc, char **argv)
{
	char path[PROGRAM_PATH_MAX];
	struct err err = {0};
	int fd = program_open("valija-rados", path);

	(void)argc;
	if (fd >= 0) {
		close(fd);
		setenv("VALIJA_CONF", command_config(NULL), 1);
		execv(path, argv);
	}
	if (errno == ENOENT)
		err_set(&err, EX_UNAVAILABLE,
			"%s is not there: it comes with the package valija-rados, or from a build "
			"with librados",
			path);
	else
		err_sys(&err, EX_OSERR, errno, "%s cannot be started", path);
	return command_failed("rados", &err);
}
