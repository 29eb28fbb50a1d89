/*
 * See scenarios.h: what the scenarios of each kind of store share, how far one came and the calls
 * that die.
 */
#include "scenarios.h"

#include <errno.h>
#include <fcntl.h>

void run_note(struct run *run)
{
	if (run->note)
		run->note(run);
}

void run_commit(struct run *run, struct maildrop *m)
{
	static const uint32_t numbers[] = {2, 6};
	struct err e;

	run->progress->committing = true;
	run_note(run);
	if (maildrop_commit(m, numbers, 2, &e) == MAILDROP_OK) {
		run->progress->committed = true;
		run_note(run);
	}
}

/* ---- calls that die ---- */

unsigned long work_dies_at;
bool work_died;
static unsigned long changes;
static const struct maildrop_syscalls *living;

static bool dies(void)
{
	if (work_dies_at == 0 || ++changes < work_dies_at)
		return false;
	work_died = true;
	errno = EIO;
	return true;
}

static int d_openat(int dir, const char *path, int flags, mode_t mode)
{
	return flags & O_CREAT && dies() ? -1 : living->openat(dir, path, flags, mode);
}

static ssize_t d_pwrite(int fd, const void *buf, size_t n, off_t offset)
{
	return dies() ? -1 : living->pwrite(fd, buf, n, offset);
}

static int d_ftruncate(int fd, off_t size)
{
	return dies() ? -1 : living->ftruncate(fd, size);
}

static int d_fsync(int fd)
{
	return dies() ? -1 : living->fsync(fd);
}

static int d_renameat2(int a, const char *b, int c, const char *d, unsigned flags)
{
	return dies() ? -1 : living->renameat2(a, b, c, d, flags);
}

static int d_unlinkat(int dir, const char *name, int flags)
{
	return dies() ? -1 : living->unlinkat(dir, name, flags);
}

static int d_mkdirat(int dir, const char *name, mode_t mode)
{
	return dies() ? -1 : living->mkdirat(dir, name, mode);
}

void run_with_calls(struct run *run, const struct maildrop_syscalls *calls,
		    void (*work)(struct run *run))
{
	living = run->settings.syscalls;
	run->settings.syscalls = calls;
	work(run);
	run->settings.syscalls = living;
}

void run_dying(struct run *run, void (*work)(struct run *run))
{
	struct maildrop_syscalls calls = *run->settings.syscalls;

	calls.openat = d_openat;
	calls.pwrite = d_pwrite;
	calls.ftruncate = d_ftruncate;
	calls.fsync = calls.fdatasync = d_fsync;
	calls.renameat2 = d_renameat2;
	calls.unlinkat = d_unlinkat;
	calls.mkdirat = d_mkdirat;
	changes = 0;
	work_died = false;
	run_with_calls(run, &calls, work);
}
