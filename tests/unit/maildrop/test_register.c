/* The register: entries that last, of any number of writers, and what damage and crashes leave. */
#include "maildrop_test.h"

#include "maildrop/register.h"

#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/wait.h>

static char path[200];

static int flushes, flush_that_fails; /* counted from 1; 0: none fails */

/* The linker's --wrap. */
int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
	(void)fd;
	errno = EIO;
	return ++flushes == flush_that_fails ? -1 : 0;
}

static bool replaces; /* another program puts something in the file's place before it is locked */

int __real_flock(int fd, int operation);
int __wrap_flock(int fd, int operation);

int __wrap_flock(int fd, int operation)
{
	char old[sizeof(path) + 8];

	if (replaces) {
		replaces = false;
		snprintf(old, sizeof(old), "%s.old", path);
		assert_int_equal(rename(path, old), 0);
		assert_int_equal(mkdir(path, 0700), 0);
	}
	return __real_flock(fd, operation);
}

static int begin(void **state)
{
	int result = scratch_begin(state);
	struct scratch *s = *state;

	snprintf(path, sizeof(path), "%s/mail-register-1", s->path);
	return result;
}

static struct mail_register *opened(void)
{
	struct mail_register *reg = register_create(path);

	assert_non_null(reg);
	assert_string_equal(register_file(reg), path);
	return reg;
}

static enum register_kind kind(struct mail_register *reg, const char *location)
{
	enum register_kind found = REGISTER_KINDS;
	struct err err = {0};

	if (register_find(reg, (pop3_span){location, strlen(location)}, &found, &err) < 0)
		fail_msg("%s", err.text);
	return found;
}

static void enter(struct mail_register *reg, const char *location, enum register_kind k)
{
	struct err err = {0};

	if (register_enter(reg, (pop3_span){location, strlen(location)}, k, REGISTER_NOW, &err) < 0)
		fail_msg("%s", err.text);
}

static off_t size(void)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_size;
}

static void entries_last(void **state)
{
	struct mail_register *reg = opened();

	(void)state;
	assert_int_equal(kind(reg, "anna"), REGISTER_NONE);
	assert_int_not_equal(access(path, F_OK), 0); /* a question makes nothing */
	enter(reg, "anna", REGISTER_MAKING);
	enter(reg, "anna", REGISTER_MADE);
	enter(reg, "anna", REGISTER_MADE); /* no second time */
	enter(reg, "example.org/bob", REGISTER_MAKING);
	enter(reg, "carol", REGISTER_MADE);
	enter(reg, "carol", REGISTER_NONE);
	assert_int_equal(size(), 6 * 16);
	for (int again = 0; again < 2; again++) {
		assert_int_equal(kind(reg, "anna"), REGISTER_MADE);
		assert_int_equal(kind(reg, "example.org/bob"), REGISTER_MAKING);
		assert_int_equal(kind(reg, "example.org"), REGISTER_NONE);
		assert_int_equal(kind(reg, "carol"), REGISTER_NONE);
		register_destroy(reg);
		reg = opened();
	}
	register_destroy(reg);
}

/* One process sees what another one entered, and what took the file's place. */
static void other_writers_are_noticed(void **state)
{
	struct mail_register *one = opened(), *two = opened();

	(void)state;
	enter(one, "a", REGISTER_MADE);
	assert_int_equal(kind(two, "a"), REGISTER_MADE);
	enter(two, "b", REGISTER_MADE);
	enter(one, "c", REGISTER_MADE);
	assert_int_equal(kind(one, "b"), REGISTER_MADE);
	assert_int_equal(size(), 4 * 16);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(kind(one, "a"), REGISTER_NONE);
	enter(two, "d", REGISTER_MADE);
	assert_int_equal(kind(one, "d"), REGISTER_MADE);
	assert_int_equal(kind(two, "a"), REGISTER_NONE);
	register_destroy(one);
	register_destroy(two);
}

static void many_at_once_lose_nothing(void **state)
{
	enum { WRITERS = 4, EACH = 50 };
	struct mail_register *reg;
	char name[32];

	(void)state;
	for (int w = 0; w < WRITERS; w++) {
		if (fork() != 0)
			continue;
		reg = register_create(path);
		for (int i = 0; i < EACH; i++) {
			snprintf(name, sizeof(name), "%d/%d", w, i);
			if (register_enter(reg, (pop3_span){name, strlen(name)}, REGISTER_MADE,
					   i % 10 == 0, NULL) < 0)
				_exit(1);
		}
		_exit(0);
	}
	for (int w = 0; w < WRITERS; w++) {
		int status;

		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	reg = opened();
	for (int i = 0; i < WRITERS * EACH; i++) {
		snprintf(name, sizeof(name), "%d/%d", i / EACH, i % EACH);
		assert_int_equal(kind(reg, name), REGISTER_MADE);
	}
	assert_int_equal(size(), (1 + WRITERS * EACH) * 16);
	register_destroy(reg);
}

/* Every length that a crash can leave: whole entries count, the next one goes over the rest. */
static void a_torn_end_is_written_over(void **state)
{
	(void)state;
	for (off_t left = 0; left <= 3 * 16; left++) {
		struct mail_register *reg = opened();

		(void)unlink(path);
		enter(reg, "a", REGISTER_MADE);
		enter(reg, "b", REGISTER_MADE);
		register_destroy(reg);
		assert_int_equal(truncate(path, left), 0);
		reg = opened();
		assert_int_equal(kind(reg, "a"), left >= 32 ? REGISTER_MADE : REGISTER_NONE);
		assert_int_equal(kind(reg, "b"), left >= 48 ? REGISTER_MADE : REGISTER_NONE);
		enter(reg, "c", REGISTER_MADE);
		register_destroy(reg);
		reg = opened();
		assert_int_equal(kind(reg, "a"), left >= 32 ? REGISTER_MADE : REGISTER_NONE);
		assert_int_equal(kind(reg, "c"), REGISTER_MADE);
		register_destroy(reg);
	}
}

/* A bad octet costs its entry, no other. */
static void damage_is_bounded(void **state)
{
	static const char *const names[] = {"a", "b", "c"};

	(void)state;
	for (off_t at = 16; at < 4 * 16; at++) {
		struct mail_register *reg = opened();
		char octet;
		int fd;

		(void)unlink(path);
		for (int i = 0; i < 3; i++)
			enter(reg, names[i], REGISTER_MADE);
		register_destroy(reg);
		fd = open(path, O_RDWR | O_CLOEXEC);
		assert_int_equal(pread(fd, &octet, 1, at), 1);
		octet ^= 0x10;
		assert_int_equal(pwrite(fd, &octet, 1, at), 1);
		close(fd);
		reg = opened();
		for (int i = 0; i < 3; i++)
			assert_int_equal(kind(reg, names[i]),
					 i == at / 16 - 1 ? REGISTER_NONE : REGISTER_MADE);
		enter(reg, "d", REGISTER_MADE);
		assert_int_equal(kind(reg, "d"), REGISTER_MADE);
		register_destroy(reg);
	}
}

static void another_file_is_refused_and_kept(void **state)
{
	struct mail_register *reg = opened();
	enum register_kind found;
	struct err err = {0};
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	(void)state;
	assert_int_equal(write(fd, "something else of 32 octets.....", 32), 32);
	close(fd);
	assert_int_equal(register_find(reg, (pop3_span){"a", 1}, &found, &err), -1);
	assert_non_null(strstr(err.text, path));
	assert_int_equal(
		register_enter(reg, (pop3_span){"a", 1}, REGISTER_MADE, REGISTER_NOW, &err), -1);
	assert_int_equal(size(), 32);
	register_destroy(reg);
}

/* Many more entries than locations: the file is written anew, and nothing of it is lost. */
static void replaced_entries_are_dropped(void **state)
{
	struct mail_register *reg = opened(), *other = opened();
	off_t biggest = 0;

	(void)state;
	enter(reg, "stays", REGISTER_MADE);
	enter(reg, "making", REGISTER_MAKING);
	assert_int_equal(kind(other, "stays"), REGISTER_MADE);
	for (int i = 0; i < 33000; i++) {
		for (int k = REGISTER_MADE; k >= 0; k -= REGISTER_MADE)
			assert_int_equal(register_enter(reg, (pop3_span){"goes", 4},
							(enum register_kind)k, REGISTER_LATER,
							NULL),
					 0);
		biggest = size() > biggest ? size() : biggest;
	}
	assert_true(biggest > size());
	assert_int_equal(kind(reg, "stays"), REGISTER_MADE);
	assert_int_equal(kind(other, "making"), REGISTER_MAKING);
	assert_int_equal(kind(other, "goes"), REGISTER_NONE);
	enter(other, "new", REGISTER_MADE);
	assert_int_equal(kind(reg, "new"), REGISTER_MADE);
	register_destroy(reg);
	register_destroy(other);
}

/* A file that may not grow: no entry is acknowledged, and the file stays whole. */
static void what_cannot_be_written_is_an_error(void **state)
{
	struct mail_register *reg = opened();
	struct rlimit before, small;
	struct err err = {0};

	(void)state;
	enter(reg, "a", REGISTER_MADE);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	for (rlim_t room = 32; room < 48; room += 5) {
		small = (struct rlimit){room, before.rlim_max};
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
		assert_int_equal(
			register_enter(reg, (pop3_span){"b", 1}, REGISTER_MADE, REGISTER_NOW, &err),
			-1);
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
		assert_int_equal(size(), 32);
		assert_int_equal(kind(reg, "b"), REGISTER_NONE);
	}
	enter(reg, "b", REGISTER_MADE);
	register_destroy(reg);
	reg = register_create("/dev/null/nowhere");
	assert_int_equal(
		register_enter(reg, (pop3_span){"b", 1}, REGISTER_MADE, REGISTER_NOW, &err), -1);
	register_destroy(reg);
}

/* Whether a lock of the process is waited for. */
static bool waits(pid_t pid)
{
	char line[200], wanted[40];
	FILE *locks = fopen("/proc/locks", "r");
	bool found = false;

	if (!locks)
		skip();
	snprintf(wanted, sizeof(wanted), "-> FLOCK  ADVISORY  WRITE %d ", (int)pid);
	while (!found && fgets(line, sizeof(line), locks))
		found = strstr(line, wanted) != NULL;
	fclose(locks);
	return found;
}

/* Returns when the writer waits for a lock; it must not end without one. */
static void until_it_waits(pid_t writer)
{
	while (!waits(writer))
		assert_int_equal(waitpid(writer, NULL, WNOHANG), 0);
}

/* A writer that waits for a file's lock while another file takes its name needs the lock of that
 * one, though its descriptor may get the same number. */
static void the_lock_is_that_of_the_new_file(void **state)
{
	struct mail_register *reg = opened();
	char fresh[220];
	int old, new, status;
	pid_t writer;

	(void)state;
	enter(reg, "a", REGISTER_MADE);
	register_destroy(reg);
	snprintf(fresh, sizeof(fresh), "%s.new", path);
	reg = register_create(fresh);
	enter(reg, "b", REGISTER_MADE);
	register_destroy(reg);
	old = open(path, O_RDWR | O_CLOEXEC);
	new = open(fresh, O_RDWR | O_CLOEXEC);
	assert_int_equal(flock(old, LOCK_EX), 0);
	assert_int_equal(flock(new, LOCK_EX), 0);
	writer = fork();
	if (writer == 0) {
		close(old); /* shared with the parent: it would be locked already */
		close(new);
		reg = register_create(path);
		_exit(register_enter(reg, (pop3_span){"c", 1}, REGISTER_MADE, REGISTER_NOW, NULL) <
		      0);
	}
	until_it_waits(writer);
	assert_int_equal(rename(fresh, path), 0);
	close(old);
	until_it_waits(writer);
	close(new);
	assert_int_equal(waitpid(writer, &status, 0), writer);
	assert_int_equal(status, 0);
	reg = opened();
	assert_int_equal(kind(reg, "b"), REGISTER_MADE);
	assert_int_equal(kind(reg, "c"), REGISTER_MADE);
	register_destroy(reg);
}

/* Of the file and of its name: no entry is acknowledged, and the next one is flushed again. */
static void what_cannot_be_flushed_is_an_error(void **state)
{
	struct mail_register *reg = opened();
	struct err err = {0};
	int total;

	(void)state;
	flushes = flush_that_fails = 0;
	assert_int_equal(
		register_enter(reg, (pop3_span){"a", 1}, REGISTER_MAKING, REGISTER_NOW, &err), 0);
	total = flushes;
	assert_true(total >= 2);
	for (int at = 1; at <= total; at++) {
		char name[2] = {(char)('a' + at), '\0'};

		flushes = 0;
		flush_that_fails = at;
		assert_int_equal(register_enter(reg, (pop3_span){name, 1}, REGISTER_MADE,
						REGISTER_NOW, &err),
				 -1);
		assert_non_null(strstr(err.text, "cannot be flushed"));
		/* the file may show it: a promise still takes an entry and a flush of its own */
		flushes = flush_that_fails = 0;
		assert_int_equal(register_enter(reg, (pop3_span){name, 1}, REGISTER_MADE,
						REGISTER_NOW, &err),
				 0);
		assert_true(flushes >= total);
		assert_int_equal(kind(reg, name), REGISTER_MADE);
	}
	register_destroy(reg);
}

/* Between an entry and its flush another question may find the file damaged, or gone. */
static void a_flush_is_of_what_was_entered(void **state)
{
	struct mail_register *reg = opened();
	enum register_kind found;
	struct err err = {0};
	char aside[220];

	(void)state;
	flushes = flush_that_fails = 0;
	snprintf(aside, sizeof(aside), "%s.aside", path);
	assert_int_equal(
		register_enter(reg, (pop3_span){"a", 1}, REGISTER_MADE, REGISTER_WITH_NEXT, &err),
		0);
	assert_int_equal(flushes, 0);
	assert_int_equal(rename(path, aside), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(register_find(reg, (pop3_span){"b", 1}, &found, &err), -1);
	assert_int_equal(register_flush(reg, &err), -1);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(register_flush(reg, &err), -1);
	assert_non_null(strstr(err.text, path));
	assert_int_equal(flushes, 0);
	assert_int_equal(rename(aside, path), 0);
	assert_int_equal(register_flush(reg, &err), 0);
	assert_true(flushes >= 2);
	assert_int_equal(kind(reg, "a"), REGISTER_MADE);
	register_destroy(reg);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, scratch_end)

/* What is there when the lock is held is what counts. */
static void one_that_is_replaced_by_no_file(void **state)
{
	struct mail_register *reg = opened();
	struct err err = {0};

	(void)state;
	enter(reg, "anna", REGISTER_MADE);
	replaces = true;
	assert_int_equal(
		register_enter(reg, (pop3_span){"cy", 2}, REGISTER_MADE, REGISTER_NOW, &err), -1);
	assert_false(replaces);
	assert_non_null(strstr(err.text, path));
	assert_non_null(strstr(err.text, "cannot be opened"));
	register_destroy(reg);
	assert_int_equal(rmdir(path), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(entries_last),
		TEST(other_writers_are_noticed),
		TEST(many_at_once_lose_nothing),
		TEST(a_torn_end_is_written_over),
		TEST(damage_is_bounded),
		TEST(another_file_is_refused_and_kept),
		TEST(one_that_is_replaced_by_no_file),
		TEST(replaced_entries_are_dropped),
		TEST(what_cannot_be_written_is_an_error),
		TEST(the_lock_is_that_of_the_new_file),
		TEST(what_cannot_be_flushed_is_an_error),
		TEST(a_flush_is_of_what_was_entered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
