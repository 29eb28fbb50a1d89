/* See scenarios.h: the scratch directory of the crash tests. */
#include "scenarios.h"

#include <err.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int scratch_make(char *path)
{
	const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : getenv("TMPDIR");
	int fd;

	snprintf(path, 128, "%s/valija-crash-XXXXXX", base ? base : "/tmp");
	if (!mkdtemp(path))
		err(1, "%s", path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		err(1, "%s", path);
	return fd;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type;
	return ftw->level == 0 ? 0 : remove(path);
}

void scratch_clear(const char *path)
{
	nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

void scratch_remove(const char *path)
{
	scratch_clear(path);
	rmdir(path);
}
