/*
 * Every system call of the maildrop and every allocation fails once, at each place it is made, and
 * from each place on; or reads and writes end early, and signals come in the middle of calls. A
 * ledger has what was not flushed. Header only; for test programs that are linked with --wrap of
 * malloc, calloc, realloc and strdup.
 */
#ifndef TESTS_FAULTY_H
#define TESTS_FAULTY_H

#include "maildrop_test.h"

#include "tests/ledger.h"

#include <sys/file.h>
#include <sys/mman.h>

static struct {
	unsigned count, at; /* calls so far; the one that fails, 0: none */
	bool on, stays;     /* counting; all later ones fail too */
	int errnum;
	bool allocations; /* they are what fails */
	bool flushes;     /* only flushes fail */
	bool interrupts;  /* reads and writes end early, or with EINTR, and nothing fails */
	unsigned turn;
	bool read;    /* it was a read that failed */
	bool removal; /* that of a name */
} fault;

/* A test's own questions, asked before something happens; NULL: none. */
static struct {
	void (*rename)(int dir, const char *from, const char *to);
	void (*change)(int fd); /* a file is written or cut */
	void (*removal)(int dir, const char *name);
} before;

static bool call_fails(bool flush)
{
	if (!fault.on || fault.allocations || fault.interrupts || (fault.flushes && !flush))
		return false;
	fault.count++;
	if (fault.at == 0 || fault.count < fault.at || (fault.count > fault.at && !fault.stays))
		return false;
	errno = fault.errnum;
	return true;
}

static bool fails(void)
{
	return call_fails(false);
}

static bool allocation_fails(void)
{
	if (!fault.on || !fault.allocations || fault.interrupts)
		return false;
	fault.count++;
	if (fault.at == 0 || fault.count < fault.at || (fault.count > fault.at && !fault.stays))
		return false;
	errno = ENOMEM;
	return true;
}

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
char *__real_strdup(const char *s);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
char *__wrap_strdup(const char *s);

void *__wrap_malloc(size_t n)
{
	return allocation_fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return allocation_fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
	return allocation_fails() ? NULL : __real_realloc(p, n);
}

char *__wrap_strdup(const char *s)
{
	return allocation_fails() ? NULL : __real_strdup(s);
}

/* Names that come and go without being part of what was promised. */
static bool passing(const char *name)
{
	size_t n = strlen(name);

	return strcmp(name, "valija-lock") == 0 || (n > 4 && strcmp(name + n - 4, ".new") == 0);
}

static int f_openat(int dir, const char *path, int flags, mode_t mode)
{
	bool made = flags & O_CREAT && faccessat(dir, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0;
	int fd = fails() ? -1 : openat(dir, path, flags, mode);

	if (fd >= 0 && made) {
		ledger_made(fd);
		if (!passing(path))
			ledger_note(dir, LEDGER_MADE);
	}
	return fd;
}

static int f_memory_file(const char *name)
{
	return fails() ? -1 : maildrop_kernel.memory_file(name);
}

/* Every other call is interrupted; writes between get half of what they want. 0: interrupted. Short
 * reads are not among it: in a regular file they are its end. */
static size_t interrupted(size_t n)
{
	if (!fault.on || !fault.interrupts)
		return n;
	fault.count++;
	if (fault.turn++ % 2 == 0) {
		errno = EINTR;
		return 0;
	}
	return n > 1 ? n / 2 : n;
}

static ssize_t f_pread(int fd, void *buf, size_t n, off_t offset)
{
	if (n && !interrupted(n))
		return -1;
	if (!fails())
		return pread(fd, buf, n, offset);
	fault.read = true;
	return -1;
}

/* A failing write may have written a part. */
static ssize_t f_pwrite(int fd, const void *buf, size_t n, off_t offset)
{
	size_t part = interrupted(n);

	if (n && !part)
		return -1;
	if (before.change)
		before.change(fd);
	ledger_note(fd, LEDGER_OCTETS);
	if (fails()) {
		int saved = errno;

		(void)!pwrite(fd, buf, n / 2, offset);
		errno = saved;
		return -1;
	}
	return pwrite(fd, buf, part, offset);
}

static ssize_t f_getdents64(int fd, void *buf, size_t n)
{
	return fails() ? -1 : getdents64(fd, buf, n);
}

static int f_ftruncate(int fd, off_t size)
{
	if (fails())
		return -1;
	if (before.change)
		before.change(fd);
	ledger_note(fd, LEDGER_OCTETS);
	return ftruncate(fd, size);
}

/* Nothing is waited for; one that fails leaves the file in the ledger. */
static int f_fsync(int fd)
{
	if (call_fails(true))
		return -1;
	ledger_flushed(fd);
	return 0;
}

static int f_renameat2(int a, const char *b, int c, const char *d, unsigned flags)
{
	int result;

	if (fails())
		return -1;
	if (before.rename)
		before.rename(a, b, d);
	result = renameat2(a, b, c, d, flags);
	if (result == 0) {
		ledger_note(c, LEDGER_NAMES);
		if (a != c)
			ledger_note(a, LEDGER_NAMES);
	}
	return result;
}

static int f_linkat(int a, const char *b, int c, const char *d, int flags)
{
	int result = fails() ? -1 : linkat(a, b, c, d, flags);

	if (result == 0)
		ledger_note(c, LEDGER_NAMES);
	return result;
}

static int f_unlinkat(int dir, const char *name, int flags)
{
	int result;

	if (fails()) {
		fault.removal = true;
		return -1;
	}
	if (before.removal)
		before.removal(dir, name);
	result = unlinkat(dir, name, flags);
	if (result == 0 && !passing(name))
		ledger_note(dir, LEDGER_REMOVED);
	return result;
}

static int f_mkdirat(int dir, const char *name, mode_t mode)
{
	int result = fails() ? -1 : mkdirat(dir, name, mode);

	if (result == 0)
		ledger_note(dir, LEDGER_FOLDER);
	return result;
}

/* The clock of the filesystem, which is the lock file's time, has moved on since directories were
 * changed: no test waits for it. */
static int f_fstat(int fd, struct stat *st)
{
	int result = fails() ? -1 : fstat(fd, st);

	if (result == 0)
		st->st_mtim.tv_sec++;
	return result;
}

static int f_fstatat(int dir, const char *name, struct stat *st, int flags)
{
	return fails() ? -1 : fstatat(dir, name, st, flags);
}

static int f_futimens(int fd, const struct timespec times[2])
{
	return fails() ? -1 : futimens(fd, times);
}

static int f_lock(int fd, int command, struct flock *lock)
{
	/* unlocking does not fail */
	return lock->l_type != F_UNLCK && fails() ? -1 : fcntl(fd, command, lock);
}

static int f_flock(int fd, int operation)
{
	return operation != LOCK_UN && fails() ? -1 : flock(fd, operation);
}

static const struct maildrop_syscalls faulty = {
	.openat = f_openat,
	.memory_file = f_memory_file,
	.pread = f_pread,
	.pwrite = f_pwrite,
	.getdents64 = f_getdents64,
	.ftruncate = f_ftruncate,
	.fsync = f_fsync,
	.fdatasync = f_fsync,
	.renameat2 = f_renameat2,
	.linkat = f_linkat,
	.unlinkat = f_unlinkat,
	.mkdirat = f_mkdirat,
	.fstat = f_fstat,
	.fstatat = f_fstatat,
	.futimens = f_futimens,
	.lock = f_lock,
	.flock = f_flock,
	.clock_gettime = clock_gettime,
};

/* A scenario does its work with failures on, and checks it with failures off. */
typedef void scenario(struct scratch *s);

enum what { CALLS, ALLOCATIONS, FLUSHES };

static unsigned run_all(struct scratch *s, scenario *work, int errnum, bool stays, enum what what)
{
	unsigned points = 0;

	for (unsigned at = 1;; at++) {
		memset(&fault, 0, sizeof(fault));
		fault.at = at;
		fault.errnum = errnum;
		fault.stays = stays;
		fault.allocations = what == ALLOCATIONS;
		fault.flushes = what == FLUSHES;
		work(s);
		if (fault.count < at)
			break;
		points++;
	}
	return points;
}

/* Every other read and write is interrupted, and the other writes do only half of their work. */
static void run_interrupted(struct scratch *s, scenario *work)
{
	memset(&fault, 0, sizeof(fault));
	fault.interrupts = true;
	work(s);
	assert_true(fault.count > 3);
}

static inline void run_kinds(struct scratch *s, const char *name, scenario *work)
{
	unsigned points = 0;

	points += run_all(s, work, EIO, false, CALLS);
	points += run_all(s, work, ENOSPC, false, CALLS);
	points += run_all(s, work, EIO, true, CALLS);
	points += run_all(s, work, ENOSPC, true, CALLS);
	points += run_all(s, work, EROFS, true, CALLS);
	points += run_all(s, work, EMFILE, false, CALLS);
	points += run_all(s, work, ENOMEM, false, ALLOCATIONS);
	points += run_all(s, work, ENOMEM, true, ALLOCATIONS);
	points += run_all(s, work, EIO, true, FLUSHES);
	points += run_all(s, work, ENOSPC, true, FLUSHES);
	run_interrupted(s, work);
	print_message("%s: %u points\n", name, points);
	assert_true(points > 50);
}

/* Where a run takes long. */
static inline void run_few(struct scratch *s, const char *name, scenario *work)
{
	unsigned points = 0;

	points += run_all(s, work, EIO, false, CALLS);
	points += run_all(s, work, ENOSPC, true, CALLS);
	points += run_all(s, work, ENOMEM, false, ALLOCATIONS);
	points += run_all(s, work, EIO, true, FLUSHES);
	run_interrupted(s, work);
	print_message("%s: %u points\n", name, points);
	assert_true(points > 50);
}

/* Without failures, the disk is not waited for: what was flushed is not the question here. */
static int quick_begin(void **state)
{
	struct scratch *s;
	int result;

	if (access("/dev/shm", W_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 0);
	result = scratch_begin(state);
	s = *state;

	s->settings.syscalls = &faulty;
	return result;
}

#endif
