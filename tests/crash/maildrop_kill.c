/*
 * A process killed at every system call that the maildrop makes: it is stopped before the n-th
 * call, for all n, and killed there; then the maildrop must be as it should be. Prints how many
 * points were tried.
 */
#include "scenarios.h"

#include <err.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* The call at which this process dies: before it, or, if it writes, in the middle of it. */
static unsigned long calls, fatal;
static bool halfway;
static bool *was_write; /* shared: the fatal call was one that can be cut in two */

static void step(void)
{
	if (++calls == fatal && !halfway)
		raise(SIGKILL);
}

static int k_openat(int dir, const char *path, int flags, mode_t mode)
{
	step();
	return openat(dir, path, flags, mode);
}

static ssize_t k_pread(int fd, void *buf, size_t n, off_t offset)
{
	step();
	return pread(fd, buf, n, offset);
}

static ssize_t k_pwrite(int fd, const void *buf, size_t n, off_t offset)
{
	if (calls + 1 == fatal)
		*was_write = true;
	step();
	if (calls == fatal) {
		(void)!pwrite(fd, buf, n / 2, offset);
		raise(SIGKILL);
	}
	return pwrite(fd, buf, n, offset);
}

static int k_ftruncate(int fd, off_t size)
{
	step();
	return ftruncate(fd, size);
}

/* What a killed process wrote is not lost with it: the disk need not be waited for. */
static int k_fsync(int fd)
{
	(void)fd;
	step();
	return 0;
}

static int k_renameat2(int a, const char *b, int c, const char *d, unsigned flags)
{
	step();
	return renameat2(a, b, c, d, flags);
}

static int k_linkat(int a, const char *b, int c, const char *d, int flags)
{
	step();
	return linkat(a, b, c, d, flags);
}

static int k_unlinkat(int dir, const char *name, int flags)
{
	step();
	return unlinkat(dir, name, flags);
}

static int k_mkdirat(int dir, const char *name, mode_t mode)
{
	step();
	return mkdirat(dir, name, mode);
}

static int k_futimens(int fd, const struct timespec times[2])
{
	step();
	return futimens(fd, times);
}

static int k_lock(int fd, int command, struct flock *lock)
{
	step();
	return fcntl(fd, command, lock);
}

static struct maildrop_syscalls table(void)
{
	struct maildrop_syscalls t = maildrop_kernel;

	t.openat = k_openat;
	t.pread = k_pread;
	t.pwrite = k_pwrite;
	t.ftruncate = k_ftruncate;
	t.fsync = k_fsync;
	t.fdatasync = k_fsync;
	t.renameat2 = k_renameat2;
	t.linkat = k_linkat;
	t.unlinkat = k_unlinkat;
	t.mkdirat = k_mkdirat;
	t.futimens = k_futimens;
	t.lock = k_lock;
	return t;
}

/* Runs the work in a child that dies at its n-th call. false: it came to its end before. */
static bool run_killed(struct run *run, const struct scenario *scenario, unsigned long n)
{
	pid_t pid = fork();
	int status;

	if (pid < 0)
		err(1, "fork");
	if (pid == 0) {
		calls = 0;
		fatal = n;
		scenario->work(run);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid)
		err(1, "waitpid");
	if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
		errx(1, "the work failed by itself");
	return WIFSIGNALED(status);
}

/* false: the work has no such call. */
static bool try_point(struct run *run, const char *path, const struct scenario *scenario,
		      unsigned long n)
{
	const char *bad;
	bool killed;

	scratch_clear(path);
	memset(run->progress, 0, sizeof(*run->progress));
	*was_write = false;
	run->settings.retention.keep_seconds = scenario->keeps ? 3600 : 0;
	if (scenario->prepare)
		scenario->prepare(run);
	killed = run_killed(run, scenario, n);
	bad = check_maildrop(run, scenario);
	if (bad)
		errx(1, "%s, killed %s call %lu: %s (left in %s)", scenario->name,
		     halfway ? "in" : "before", n, bad, path);
	return killed;
}

static unsigned long run_scenario(struct run *run, const char *path,
				  const struct scenario *scenario)
{
	unsigned long points = 0;

	for (unsigned long n = 1; try_point(run, path, scenario, n); n++) {
		points++;
		if (!*was_write)
			continue;
		halfway = true;
		points += try_point(run, path, scenario, n);
		halfway = false;
	}
	return points;
}

int main(void)
{
	struct maildrop_syscalls calls_table = table();
	struct run run = {.settings = {.driver = scenario_driver,
				       .host_name = "crash.example",
				       .syscalls = &calls_table}};
	unsigned long points = 0;
	char path[128];

	run.progress = mmap(NULL, sizeof(*run.progress) + sizeof(*was_write),
			    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (run.progress == MAP_FAILED)
		err(1, "mmap");
	was_write = (bool *)(run.progress + 1);
	run.root = scratch_make(path);
	for (int i = 0; i < scenario_count; i++) {
		unsigned long n = run_scenario(&run, path, &scenarios[i]);

		printf("%-28s %6lu points\n", scenarios[i].name, n);
		points += n;
	}
	printf("killed at %lu points, all well\n", points);
	scratch_remove(path);
	return 0;
}
