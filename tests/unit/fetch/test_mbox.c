/* The mbox sink, octet for octet, its locks, and the lock files that others left behind. */
#include "sink_test.h"

#include "maildrop/mbox/dotlock.h"

#include <sys/wait.h>
#include <time.h>

#define HEAD(digit)                                     \
	"From MAILER-DAEMON Tue Nov 14 22:13:20 2023\n" \
	"X-Valija-Delivery-Id: 0123456789abcdef0123456789abcde" digit "\n"

static int begin(void **state)
{
	int rc = place_begin(state);

	place_target(FETCH_MBOX, "%s/mbox", place.path);
	return rc;
}

static void delivered(const char *text)
{
	place_expect(place_deliver(text), SINK_OK, 0, "");
}

static void what_is_appended(void **state)
{
	struct stat status;

	(void)state;
	place_open();
	delivered("Subject: a\n\nFrom here\n>From there\nFro\nFrom\n> From\nFromage\n");
	delivered("From forged\nx");
	delivered("From ");
	delivered(">Fro");
	delivered("");
	assert_string_equal(
		place_read("mbox"),
		HEAD("0") "Subject: a\n\n>From here\n>>From there\nFro\nFrom\n> From\n"
			  "Fromage\n\n" HEAD("1") ">From forged\nx\n\n" HEAD("2") ">From \n\n" HEAD(
				  "3") ">Fro\n\n" HEAD("4") "\n");
	assert_int_equal(fstatat(AT_FDCWD, place.account.target, &status, 0), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
	assert_false(place_has("mbox.lock"));
	assert_int_equal(place.sink->batch, 32);
	assert_int_equal(place.sink->ops->settle(place.sink, NULL), SINK_OK);
	assert_int_equal(place.sink->ops->publish(place.sink, NULL), SINK_OK);
	assert_null(place.sink->ops->ask);
}

static int lowest_free(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	close(fd);
	return fd;
}

/* Nothing of a message that was dropped is appended, and its octets are not kept. */
static void what_was_dropped_is_gone(void **state)
{
	int before;

	(void)state;
	place_open();
	before = lowest_free();
	assert_int_equal(place.sink->ops->begin(place.sink, PLACE_ID, NULL), SINK_OK);
	assert_int_equal(place.sink->ops->write(place.sink, SPAN_LITERAL("A: half"), NULL),
			 SINK_OK);
	assert_int_not_equal(lowest_free(), before);
	place.sink->ops->drop(place.sink);
	assert_int_equal(lowest_free(), before);
	place.sink->ops->drop(place.sink); /* there is none */
	delivered("B: c\n");
	assert_string_equal(place_read("mbox"), HEAD("0") "B: c\n\n");
	assert_int_equal(lowest_free(), before);
}

/* By one more, however many there are (mboxrd). */
static void how_deep_quotes_go(void **state)
{
	char text[1100], wanted[3000];

	for (int depth = 998; depth <= 1001; depth++) {
		place_open();
		memset(text, '>', (size_t)depth);
		strcpy(text + depth, "From x\n");
		delivered(text);
		snprintf(wanted, sizeof(wanted), HEAD("0") ">%s\n", text);
		assert_string_equal(place_read("mbox"), wanted);
		assert_int_equal(place_end(state), 0);
		assert_int_equal(begin(state), 0);
	}
}

static void longer_than_its_buffers(void **state)
{
	static char text[40000], wanted[sizeof(text) + 200];

	(void)state;
	place_open();
	for (size_t i = 0; i < sizeof(text) - 1; i++)
		text[i] = i % 61 == 60 ? '\n' : (char)('a' + i % 23);
	delivered(text);
	snprintf(wanted, sizeof(wanted), HEAD("0") "%s\n\n", text);
	assert_string_equal(place_read("mbox"), wanted);
}

/* One blank line stands between two messages, whatever other programs left at the end. */
static void what_others_left_at_the_end(void **state)
{
	static const struct {
		const char *text, *added;
	} cases[] = {{"", "\n"},    {"\n", ""},      {"x", "\n\n"}, {"\n\n", ""},
		     {"x\n", "\n"}, {"\nx", "\n\n"}, {"x\n\n", ""}, {"a\nb", "\n\n"}};
	static const char first[] = "From a@example.org Tue Nov 14 22:13:20 2023\n";
	char wanted[300];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		snprintf(wanted, sizeof(wanted), "%s%s", first, cases[i].text);
		place_write("mbox", wanted);
		place_open();
		delivered("x\n");
		snprintf(wanted, sizeof(wanted), "%s%s%s" HEAD("0") "x\n\n", first, cases[i].text,
			 cases[i].added);
		assert_string_equal(place_read("mbox"), wanted);
		assert_int_equal(place_end(state), 0);
		assert_int_equal(begin(state), 0);
	}
}

static void expect_not_opened(const char *before, const char *behind)
{
	char whole[3000];

	assert_int_equal(place_try_open(), -1);
	snprintf(whole, sizeof(whole), "%sthe mbox %s%s", before, place.account.target, behind);
	assert_string_equal(place.err.text, whole);
	assert_int_equal(place.err.code, EX_CANTCREAT);
}

static void an_mbox_that_is_none(void **state)
{
	(void)state;
	assert_int_equal(mkdir(place.account.target, 0700), 0);
	expect_not_opened("cannot open ", ": Is a directory");
	assert_int_equal(rmdir(place.account.target), 0);
	assert_int_equal(symlink("elsewhere", place.account.target), 0);
	expect_not_opened("cannot open ", ": Too many levels of symbolic links");
	assert_int_equal(unlink(place.account.target), 0);
	assert_int_equal(mkfifo(place.account.target, 0600), 0);
	expect_not_opened("", " is not a file");
}

static int too_large_fsync(int fd)
{
	(void)fd;
	errno = EBADMSG; /* as of a file in whose place another one was put */
	return -1;
}

/* What could not be flushed was not delivered, whatever the reason is. */
static void an_mbox_that_cannot_be_flushed(void **state)
{
	struct fetch_files files = fetch_files_real;

	(void)state;
	place_open();
	delivered("A: b\n");
	files.fsync = too_large_fsync;
	place.sink->files = &files;
	place.err = (struct err){0};
	assert_int_equal(place.sink->ops->settle(place.sink, &place.err), SINK_BROKEN);
	assert_int_equal(place.err.code, EX_CANTCREAT);
	assert_non_null(strstr(place.err.text, "is no mbox"));
	place.sink->files = &fetch_files_real;
}

/* The lock of a process that works in it: the delivery waits until it is gone. */
static void a_lock_is_waited_for(void **state)
{
	char path[100];
	pid_t pid;

	(void)state;
	place_open();
	place_write("mbox.lock", "1:elsewhere\n");
	snprintf(path, sizeof(path), "%s/mbox.lock", place.path);
	pid = fork();
	if (pid == 0) {
		struct stat status;

		usleep(50000);
		_exit(stat(place.account.target, &status) < 0 || status.st_size || unlink(path));
	}
	delivered("x\n");
	assert_string_equal(place_read("mbox"), HEAD("0") "x\n\n");
	assert_int_equal(waitpid(pid, &(int){0}, 0), pid);
}

/* The lock file of a rewrite that was cut off: nothing is appended until the mailbox is in order.
 */
static void a_lock_that_is_not_got(void **state)
{
	char text[200 + 3 * sizeof(place.account.target)];

	(void)state;
	place_open();
	place_write("mbox.lock", "1:elsewhere\njournal\n");
	snprintf(text, sizeof(text),
		 "the mailbox %s was being rewritten when valija was cut off (%s.lock says so): "
		 "its next login puts it in order, or `valija mbox recover %s`",
		 place.account.target, place.account.target, place.account.target);
	place_expect(place_deliver("x\n"), SINK_BROKEN, EX_TEMPFAIL, text);
	assert_string_equal(place_read("mbox"), "");
	assert_string_equal(place_read("mbox.lock"), "1:elsewhere\njournal\n");
}

/* The lock of the kernel is held while the file is written, and no longer. */
static void the_kernels_lock_is_waited_for(void **state)
{
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int ready[2], status;
	pid_t pid;
	char c;

	(void)state;
	place_open();
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		int fd = open(place.account.target, O_RDWR | O_CLOEXEC);
		struct stat now;

		if (fcntl(fd, F_SETLK, &whole) < 0 || write(ready[1], "x", 1) != 1)
			_exit(1);
		usleep(50000);
		_exit(fstat(fd, &now) < 0 || now.st_size != 0);
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	delivered("x\n");
	assert_string_equal(place_read("mbox"), HEAD("0") "x\n\n");
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	pid = fork();
	if (pid == 0)
		_exit(fcntl(open(place.account.target, O_RDWR | O_CLOEXEC), F_SETLK, &whole) < 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(ready[0]);
	close(ready[1]);
}

/* ---- lock files ---- */

static char lock[100], own[320];

static int begin_lock(void **state)
{
	char host[256];
	int rc = place_begin(state);

	gethostname(host, sizeof(host));
	snprintf(lock, sizeof(lock), "%s/lock", place.path);
	snprintf(own, sizeof(own), "%d:%s\n", (int)getpid(), host);
	return rc;
}

static int write_all_at(const void *context, int fd, const void *data, size_t size, off_t at)
{
	(void)context, (void)at;
	return fetch_write_all(&fetch_files_real, fd, data, size);
}

static int take_by(const struct maildrop_syscalls *sys)
{
	const struct mbox_calls calls = {sys, write_all_at, NULL};

	return dotlock_take(&calls, AT_FDCWD, lock, NULL);
}

static int take(void)
{
	return take_by(&maildrop_kernel);
}

static void make_old(time_t seconds)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = time(NULL) - seconds}};

	assert_int_equal(utimensat(AT_FDCWD, lock, times, 0), 0);
}

static void a_lock_names_its_process(void **state)
{
	struct stat status;

	(void)state;
	assert_int_equal(take(), 0);
	assert_string_equal(place_read("lock"), own);
	assert_int_equal(stat(lock, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0644); /* others see whose it is */
	errno = 0;
	assert_int_equal(take(), -1); /* it is held, by us */
	assert_int_equal(errno, EEXIST);
	assert_int_equal(unlink(lock), 0);
	snprintf(lock, sizeof(lock), "%s/no/lock", place.path);
	assert_int_equal(take(), -1);
	assert_int_equal(errno, ENOENT);
}

static pid_t dead_process(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	return pid;
}

/* P: a process of ours that is dead; L: one that lives; H: this host. */
static void write_lock(const char *pattern, pid_t dead)
{
	char host[256], text[600] = "", one[300];

	gethostname(host, sizeof(host));
	for (const char *c = pattern; *c; c++) {
		if (*c == 'P' || *c == 'L')
			snprintf(one, sizeof(one), "%d", (int)(*c == 'P' ? dead : getppid()));
		else if (*c == 'H')
			snprintf(one, sizeof(one), "%s", host);
		else
			snprintf(one, sizeof(one), "%c", *c);
		strcat(text, one);
	}
	place_write("lock", text);
}

static void locks_of_others(void **state)
{
	enum { NEW = 0, YOUNG = 270, OLD = 300 };
	static const struct {
		const char *pattern;
		time_t age;
		bool taken;
	} cases[] = {
		{"P:H\n", NEW, true},  {"P:H", NEW, true},     {"P:H \n", NEW, true},
		{"P:x\n", OLD, false}, {"P:Hx\n", OLD, false}, {"L:H\n", OLD, false},
		{"P\n", YOUNG, false}, {"P\n", OLD, true},     {"L\n", OLD, false},
		{"", YOUNG, false},    {"", OLD, true},        {"xP:H\n", YOUNG, false},
		{"xP:H\n", OLD, true}, {"0:H\n", OLD, true},   {"0:H\n", NEW, false},
		{"P:\n", NEW, false},  {":H\n", OLD, true},
	};
	pid_t dead = dead_process();

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		write_lock(cases[i].pattern, dead);
		make_old(cases[i].age);
		if (take() != (cases[i].taken ? 0 : -1))
			fail_msg("case %zu: \"%s\"", i, cases[i].pattern);
		if (!cases[i].taken)
			assert_int_equal(errno, EEXIST);
		else
			assert_string_equal(place_read("lock"), own);
		assert_int_equal(unlink(lock), 0);
	}
}

/* Between the look at a stale lock and its removal another program takes its place. */
static int exchanged(int dir, const char *name, int flags, mode_t mode)
{
	int fd = fetch_files_real.openat(dir, name, flags, mode);

	if (fd >= 0 && (flags & O_ACCMODE) == O_RDONLY) {
		char other[120];

		snprintf(other, sizeof(other), "%s.other", lock);
		place_write("lock.other", "1:elsewhere\n");
		assert_int_equal(rename(other, lock), 0);
	}
	return fd;
}

static int gone(int dir, const char *name, int flags, mode_t mode)
{
	int fd = fetch_files_real.openat(dir, name, flags, mode);

	if (fd >= 0 && (flags & O_ACCMODE) == O_RDONLY)
		assert_int_equal(unlink(lock), 0);
	return fd;
}

static void a_lock_that_another_program_took(void **state)
{
	struct maildrop_syscalls sys = maildrop_kernel;

	(void)state;
	write_lock("P:H\n", dead_process());
	sys.openat = exchanged;
	assert_int_equal(take_by(&sys), -1);
	assert_int_equal(errno, EEXIST);
	assert_string_equal(place_read("lock"), "1:elsewhere\n");
	write_lock("P:H\n", dead_process());
	sys.openat = gone;
	assert_int_equal(take_by(&sys), -1);
	assert_int_equal(errno, EEXIST);
	assert_int_equal(take(), 0);
}

/* A folder, a link or a pipe of that name is nobody's lock, and is left alone. */
static void what_is_no_lock(void **state)
{
	(void)state;
	assert_int_equal(mkdir(lock, 0700), 0);
	make_old(1000);
	assert_int_equal(take(), -1);
	assert_int_equal(errno, EEXIST);
	assert_int_equal(rmdir(lock), 0);
	assert_int_equal(mkfifo(lock, 0600), 0);
	make_old(1000);
	assert_int_equal(take(), -1);
	assert_int_equal(unlink(lock), 0);
	assert_int_equal(symlink("/dev/null", lock), 0);
	assert_int_equal(take(), -1);
	assert_int_equal(errno, EEXIST);
	assert_int_equal(unlink(lock), 0);
}

#define IN_PLACE(test) cmocka_unit_test_setup_teardown(test, begin, place_end)
#define LOCKS(test) cmocka_unit_test_setup_teardown(test, begin_lock, place_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_PLACE(what_is_appended),
		IN_PLACE(what_was_dropped_is_gone),
		IN_PLACE(how_deep_quotes_go),
		IN_PLACE(longer_than_its_buffers),
		IN_PLACE(what_others_left_at_the_end),
		IN_PLACE(an_mbox_that_is_none),
		IN_PLACE(an_mbox_that_cannot_be_flushed),
		IN_PLACE(a_lock_is_waited_for),
		IN_PLACE(a_lock_that_is_not_got),
		IN_PLACE(the_kernels_lock_is_waited_for),
		LOCKS(a_lock_names_its_process),
		LOCKS(locks_of_others),
		LOCKS(a_lock_that_another_program_took),
		LOCKS(what_is_no_lock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
