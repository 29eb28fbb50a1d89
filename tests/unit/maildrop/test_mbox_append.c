/* Appending to an mbox, and its locks: quoting, what other programs left at the end, failures at
 * each write, other holders of each lock, lock files that were left behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/text.h"
#include "maildrop/mbox/append.h"
#include "maildrop/mbox/dotlock.h"
#include "maildrop/mbox/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define FROM "From x@y Thu Jan  1 00:00:09 1970\n"
#define OTHER "From a@example.org Sat Jan  1 12:34:56 2022\nA: b\n\nold"

static unsigned long filesystem; /* what the mailbox is on; 0: what it is; 1: nobody knows */

/* The linker's --wrap, of both names that the C library has for it. */
static int of_a_filesystem(int result, __typeof__(((struct statfs *)0)->f_type) *ret)
{
	if (filesystem)
		*ret = (__typeof__(*ret))filesystem;
	return filesystem == 1 ? -1 : result;
}

int __real_fstatfs(int fd, struct statfs *ret);
int __wrap_fstatfs(int fd, struct statfs *ret);
int __wrap_fstatfs(int fd, struct statfs *ret)
{
	return of_a_filesystem(__real_fstatfs(fd, ret), &ret->f_type);
}

int __real_fstatfs64(int fd, struct statfs64 *ret);
int __wrap_fstatfs64(int fd, struct statfs64 *ret);
int __wrap_fstatfs64(int fd, struct statfs64 *ret)
{
	return of_a_filesystem(__real_fstatfs64(fd, ret), &ret->f_type);
}

static char folder[64];
static int dir, mbox;

static int begin(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "%s/valija-mbox-XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	assert_non_null(mkdtemp(folder));
	dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	mbox = openat(dir, "mbox", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(dir >= 0 && mbox >= 0);
	return 0;
}

static int end(void **state)
{
	(void)state;
	close(mbox);
	unlinkat(dir, "mbox", 0);
	unlinkat(dir, "mbox.lock", 0);
	close(dir);
	assert_int_equal(rmdir(folder), 0);
	return 0;
}

/* ---- appending ---- */

static int writes_before_failure = -1; /* -1: none fails */

static int failing_write(const void *context, int fd, const void *data, size_t size, off_t at)
{
	(void)context;
	if (writes_before_failure >= 0 && writes_before_failure-- == 0) {
		(void)maildrop_pwrite(&maildrop_kernel, fd, data, size / 2, at);
		errno = ENOSPC;
		return -1;
	}
	return maildrop_pwrite(&maildrop_kernel, fd, data, size, at);
}

static int append(const char *message, bool crlf)
{
	static const struct mbox_calls calls = {&maildrop_kernel, failing_write, NULL};
	int fd = memfd_create("message", MFD_CLOEXEC), rc;
	struct mbox_append a = {.calls = &calls,
				.fd = mbox,
				.sender = SPAN_LITERAL("x@y"),
				.time = 9,
				.headers = crlf ? SPAN_LITERAL("H: h\r\n") : SPAN_LITERAL("H: h\n"),
				.message_fd = fd,
				.from_crlf = crlf};
	bool torn;

	assert_int_equal(write(fd, message, strlen(message)), strlen(message));
	rc = mbox_append(&a, &torn);
	assert_false(torn);
	close(fd);
	return rc;
}

static void put(const char *text)
{
	assert_int_equal(ftruncate(mbox, 0), 0);
	assert_int_equal(pwrite(mbox, text, strlen(text), 0), strlen(text));
}

static void assert_mbox(const char *expected)
{
	static char text[300000];
	ssize_t n = pread(mbox, text, sizeof(text) - 1, 0);

	text[n] = '\0';
	assert_string_equal(text, expected);
}

static void quoting(void **state)
{
	static const struct {
		const char *message, *stored;
	} cases[] = {
		{"A: b\n\nFrom x\n", "A: b\n\n>From x\n"},
		{"A: b\n\n>From x\n>>From y\n", "A: b\n\n>>From x\n>>>From y\n"},
		{"From x\n", ">From x\n"},
		{"A: b\n\n> From x\nFromage\nfrom \n", "A: b\n\n> From x\nFromage\nfrom \n"},
		{"A: b\n\nFro", "A: b\n\nFro\n"},
		{"A: b\n\nF>From x\nFrFrom y\n", "A: b\n\nF>From x\nFrFrom y\n"},
		{"A: b\n\n>F>From x\n", "A: b\n\n>F>From x\n"},
		{"A: b\n\nFrom ", "A: b\n\n>From \n"},
		{"A: b\n\nFrom", "A: b\n\nFrom\n"},
		{"A: b\n\n>>", "A: b\n\n>>\n"},
		{"A: b\n\n\rx\r\n", "A: b\n\n\rx\r\n"},
		{"", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char expected[200];

		put("");
		assert_int_equal(append(cases[i].message, false), 0);
		snprintf(expected, sizeof(expected), FROM "H: h\n%s\n", cases[i].stored);
		assert_mbox(expected);
	}
}

static void line_ends(void **state)
{
	(void)state;
	put("");
	assert_int_equal(append("A: b\r\n\r\nFrom x\r\nlone \r cr\r\n\r\r\nend", true), 0);
	assert_mbox(FROM "H: h\nA: b\n\n>From x\nlone \r cr\n\r\r\nend\n\n");
	put("");
	assert_int_equal(append("A: b\r\n\r\nend\r", true), 0);
	assert_mbox(FROM "H: h\nA: b\n\nend\r\n\n");
}

static void behind_other_mail(void **state)
{
	static const char *const ends[] = {"", "\n", "\n\n", "\n\n\n"};
	char text[300], expected[400];

	(void)state;
	for (int i = 0; i < 4; i++) {
		snprintf(text, sizeof(text), OTHER "%s", ends[i]);
		put(text);
		assert_int_equal(append("A: b\n\nnew\n", false), 0);
		snprintf(expected, sizeof(expected), OTHER "\n\n%s" FROM "H: h\nA: b\n\nnew\n\n",
			 i == 3 ? "\n" : "");
		assert_mbox(expected);
	}
}

static void files_that_are_no_mbox(void **state)
{
	static const char *const texts[] = {"text\n", "From here to there\n", "x", "\nx"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		put(texts[i]);
		assert_int_equal(append("A: b\n\nnew\n", false), -1);
		assert_int_equal(errno, EBADMSG);
		assert_mbox(texts[i]);
	}
}

/* The file is as before, whichever write fails. */
static void full_disks(void **state)
{
	static char message[200001];

	(void)state;
	memset(message, 'x', sizeof(message) - 1);
	for (int n = 0; n < 4; n++) {
		put(OTHER);
		writes_before_failure = n;
		assert_int_equal(append(message, false), -1);
		assert_int_equal(errno, ENOSPC);
		assert_mbox(OTHER);
	}
	writes_before_failure = 4;
	assert_int_equal(append(message, false), 0);
	assert_int_equal(writes_before_failure, 0);
	writes_before_failure = -1;
}

/* ---- locks ---- */

static const struct mbox_calls kernel = {.sys = &maildrop_kernel};

static struct mbox_lock the_lock(void)
{
	return (struct mbox_lock){.calls = &kernel, .fd = mbox, .dir = dir, .name = "mbox"};
}

static void all_three(void **state)
{
	struct mbox_lock lock = the_lock();
	struct stat st;

	(void)state;
	assert_int_equal(mbox_lock_take(&lock, NULL), 0);
	assert_true(lock.fcntled && lock.flocked && lock.dotlocked && !lock.incomplete);
	assert_int_equal(fstatat(dir, "mbox.lock", &st, 0), 0);
	mbox_lock_release(&lock);
	assert_int_equal(fstatat(dir, "mbox.lock", &st, 0), -1);
	assert_int_equal(mbox_lock_take(&lock, NULL), 0);
	mbox_lock_release(&lock);
}

/* There flock is fcntl under another name, and would refuse the one that was just taken. */
static void on_nfs(void **state)
{
	struct mbox_lock lock = the_lock();

	(void)state;
	filesystem = NFS_SUPER_MAGIC;
	assert_int_equal(mbox_lock_take(&lock, NULL), 0);
	assert_true(lock.fcntled && !lock.flocked && lock.dotlocked);
	mbox_lock_release(&lock);
	filesystem = EXT4_SUPER_MAGIC;
	assert_int_equal(mbox_lock_take(&lock, NULL), 0);
	assert_true(lock.flocked);
	mbox_lock_release(&lock);
	filesystem = 1;
	assert_int_equal(mbox_lock_take(&lock, NULL), 0);
	assert_true(lock.flocked);
	mbox_lock_release(&lock);
	filesystem = 0;
}

/* Another program holds one of them: none is ours then. */
static void assert_in_use(const char *word)
{
	struct mbox_lock lock = the_lock();
	struct err err = {0};

	assert_int_equal(mbox_lock_take(&lock, &err), -1);
	assert_int_equal(err.code, EX_TEMPFAIL);
	assert_int_equal(err.errnum, EAGAIN);
	assert_non_null(strstr(err.text, word));
	assert_false(lock.fcntled || lock.flocked || lock.dotlocked);
}

static void held_by_others(void **state)
{
	int other = openat(dir, "mbox", O_RDWR | O_CLOEXEC);
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	struct mbox_lock lock = the_lock();

	(void)state;
	assert_int_equal(fcntl(other, F_OFD_SETLK, &whole), 0);
	assert_in_use("fcntl");
	whole.l_type = F_UNLCK;
	assert_int_equal(fcntl(other, F_OFD_SETLK, &whole), 0);
	assert_int_equal(flock(other, LOCK_EX), 0);
	assert_in_use("flock");
	assert_int_equal(flock(other, LOCK_UN), 0);
	close(openat(dir, "mbox.lock", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_in_use(".lock");
	/* what was taken before the one that is held is free again */
	whole.l_type = F_WRLCK;
	assert_int_equal(fcntl(other, F_OFD_SETLK, &whole), 0);
	assert_int_equal(flock(other, LOCK_EX | LOCK_NB), 0);
	close(other);
	unlinkat(dir, "mbox.lock", 0);
	assert_int_equal(mbox_lock_take(&lock, NULL), 0);
	mbox_lock_release(&lock);
}

/* It is waited for, and had once the other one goes. */
static void waiting(void **state)
{
	struct mbox_lock lock = the_lock();
	pid_t pid;

	(void)state;
	close(openat(dir, "mbox.lock", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	pid = fork();
	if (pid == 0) {
		usleep(120000);
		_exit(unlinkat(dir, "mbox.lock", 0) < 0);
	}
	lock.wait_ms = 20000;
	assert_int_equal(mbox_lock_take(&lock, NULL), 0);
	mbox_lock_release(&lock);
	waitpid(pid, NULL, 0);
}

static int give_up(struct err *err)
{
	return err_set(err, 99, "enough");
}

static void interrupted(void **state)
{
	struct mbox_lock lock = the_lock();
	struct err err = {0};

	(void)state;
	close(openat(dir, "mbox.lock", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	lock.wait_ms = 20000;
	lock.interrupted = give_up;
	assert_int_equal(mbox_lock_take(&lock, &err), -1);
	assert_int_equal(err.code, 99);
}

static void put_dotlock(const char *text, int age)
{
	int fd = openat(dir, "mbox.lock", O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
	struct timespec then[2] = {{.tv_sec = time(NULL) - age}, {.tv_sec = time(NULL) - age}};

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(futimens(fd, then), 0);
	close(fd);
}

static pid_t dead_process(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	waitpid(pid, NULL, 0);
	return pid;
}

static int take(const char *key)
{
	int rc = dotlock_take(&kernel, dir, "mbox.lock", key);

	return rc < 0 ? errno : 0;
}

/* As old as a lock of a living process may be: of 4,000 seconds ago, but since the machine's start.
 */
static int old_age(void)
{
	struct timespec up;

	clock_gettime(CLOCK_BOOTTIME, &up);
	return up.tv_sec / 2 < 4000 ? (int)(up.tv_sec / 2) : 4000;
}

static void left_behind(void **state)
{
	char host[256], text[400];

	(void)state;
	gethostname(host, sizeof(host));
	snprintf(text, sizeof(text), "%d:%s\n", (int)dead_process(), host);
	put_dotlock(text, 0);
	assert_int_equal(take(NULL), 0);
	put_dotlock("", 0);
	assert_int_equal(take(NULL), EEXIST);
	put_dotlock("", 400);
	assert_int_equal(take(NULL), 0);
	snprintf(text, sizeof(text), "%d:%s\n", (int)getpid(), host);
	put_dotlock(text, old_age());
	assert_int_equal(take(NULL), EEXIST);
	put_dotlock(text, (int)(time(NULL) - 10)); /* of before the machine's start */
	assert_int_equal(take(NULL), 0);
	/* ours, now: it names this process, which lives */
	assert_int_equal(take(NULL), EEXIST);
	unlinkat(dir, "mbox.lock", 0);
	assert_int_equal(symlinkat("elsewhere", dir, "mbox.lock"), 0);
	assert_int_equal(take(NULL), EEXIST);
}

static void left_by_a_session(void **state)
{
	char host[256], text[400];

	(void)state;
	assert_int_equal(take("abc"), 0);
	/* whoever has the session's lock knows that nobody holds this one any more */
	assert_int_equal(take("ab"), EEXIST);
	assert_int_equal(take("abc"), 0);
	assert_int_equal(dotlock_mark(&kernel, dir, "mbox.lock"), 0);
	assert_int_equal(take(NULL), EUCLEAN);
	assert_int_equal(take("other"), EUCLEAN);
	assert_int_equal(take("abc"), 0);
	/* a journal behind it: neither a dead process nor age make it stale */
	gethostname(host, sizeof(host));
	snprintf(text, sizeof(text), "%d:%s\nvalija abc\njournal\n", (int)dead_process(), host);
	put_dotlock(text, old_age());
	assert_int_equal(take(NULL), EUCLEAN);
	snprintf(text, sizeof(text), "%d:%s\nvalija abc\n", (int)dead_process(), host);
	put_dotlock(text, 0);
	assert_int_equal(take(NULL), 0);
}

/* Where no lock file can be made the other two have to do, and that is said. */
static int taken, released;

static int locker_take(void *context, const char *name, const char *key)
{
	(void)context, (void)key;
	assert_string_equal(name, "mbox");
	taken++;
	errno = EACCES;
	return -1;
}

static int locker_takes(void *context, const char *name, const char *key)
{
	(void)context, (void)name, (void)key;
	taken++;
	return 0;
}

static int locker_mark(void *context, const char *name)
{
	(void)context, (void)name;
	errno = EIO;
	return -1;
}

static void locker_release(void *context, const char *name)
{
	(void)context, (void)name;
	released++;
}

static void another_process_makes_it(void **state)
{
	struct mbox_locker locker = {locker_take, locker_mark, locker_release, NULL};
	struct mbox_lock lock = the_lock();

	(void)state;
	lock.locker = &locker;
	assert_int_equal(mbox_lock_take(&lock, NULL), 0);
	assert_true(lock.incomplete && !lock.dotlocked);
	mbox_lock_release(&lock);
	assert_int_equal(released, 0);
	locker.take = locker_takes;
	assert_int_equal(mbox_lock_take(&lock, NULL), 0);
	assert_true(!lock.incomplete && lock.dotlocked);
	assert_int_equal(mbox_lock_mark(&lock), -1);
	mbox_lock_release(&lock);
	assert_int_equal(taken, 2);
	assert_int_equal(released, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(quoting, begin, end),
		cmocka_unit_test_setup_teardown(line_ends, begin, end),
		cmocka_unit_test_setup_teardown(behind_other_mail, begin, end),
		cmocka_unit_test_setup_teardown(files_that_are_no_mbox, begin, end),
		cmocka_unit_test_setup_teardown(full_disks, begin, end),
		cmocka_unit_test_setup_teardown(all_three, begin, end),
		cmocka_unit_test_setup_teardown(on_nfs, begin, end),
		cmocka_unit_test_setup_teardown(held_by_others, begin, end),
		cmocka_unit_test_setup_teardown(waiting, begin, end),
		cmocka_unit_test_setup_teardown(interrupted, begin, end),
		cmocka_unit_test_setup_teardown(left_behind, begin, end),
		cmocka_unit_test_setup_teardown(left_by_a_session, begin, end),
		cmocka_unit_test_setup_teardown(another_process_makes_it, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
