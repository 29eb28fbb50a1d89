/* See make_key.h. */
#include "cli/migrate/make_key.h"

#include "base/descriptor.h"
#include "base/seal.h"
#include "config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

static int write_key(const char *path, const char *text, struct err *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_sys(err, EX_CANTCREAT, errno, "%s cannot be made", path);
	if (write_all(fd, text, strlen(text)) == 0 && fsync(fd) == 0) {
		close(fd);
		return 0;
	}
	err_sys(err, EX_IOERR, errno, "%s cannot be written to", path);
	close(fd);
	(void)unlink(path);
	return -1;
}

int make_key(const char *file, struct err *err)
{
	char opens[SEAL_FILE_MAX], seals[SEAL_FILE_MAX], path[PATH_MAX];
	int rc = -1;

	if ((size_t)snprintf(path, sizeof(path), "%s" CONFIG_LEARN_SUFFIX, file) >= sizeof(path))
		return err_set(err, EX_USAGE, "the path is too long");
	if (seal_make(opens, seals, err) == 0 && write_key(file, opens, err) == 0) {
		rc = write_key(path, seals, err);
		if (rc < 0)
			(void)unlink(file);
	}
	wipe(opens, sizeof(opens));
	wipe(seals, sizeof(seals));
	if (rc == 0)
		printf("%s opens what is learned: keep it from everybody, and back it up.\n"
		       "Write into the remote section of valija.conf: learn = \"%s\"\n",
		       file, path);
	return rc;
}
