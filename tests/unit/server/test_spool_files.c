/* Files for large messages, made by the monitor at a front's request: what it gets, how many, and
 * how often the log says that there are none. */
#include "server/monitor/spool_files.h"

#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

enum { A_SECOND = 200, NOW = 100000 };

static char folder[64], line[LOG_LINE_MAX + 1];
static unsigned files, refusals, lines;
static struct generation_files owner;
static struct spool_files spool;
static struct chan chan;
static bool is_good;

/* ---- wraps ---- */

int __wrap_ipc_send(struct chan *to, enum ipc_type type, void *message);
int __wrap_ipc_send_fds(struct chan *to, enum ipc_type type, void *message, const int *fds,
			unsigned count);

int __wrap_ipc_send(struct chan *to, enum ipc_type type, void *message)
{
	(void)message;
	assert_ptr_equal(to, &chan);
	assert_int_equal(type, IPC_SPOOL_NONE);
	refusals++;
	return 0;
}

/* One to write to, one that can only read, both of one file without a name. */
int __wrap_ipc_send_fds(struct chan *to, enum ipc_type type, void *message, const int *fds,
			unsigned count)
{
	struct stat first, second;
	char octet = 0;

	(void)message;
	assert_ptr_equal(to, &chan);
	assert_int_equal(type, IPC_SPOOL_FILE);
	assert_int_equal(count, 2);
	assert_int_equal(fstat(fds[0], &first) | fstat(fds[1], &second), 0);
	assert_int_equal(first.st_ino, second.st_ino);
	assert_int_equal(first.st_nlink, 0);
	assert_int_equal(first.st_mode & 07777, 0600);
	is_good = write(fds[0], "x", 1) == 1 && write(fds[1], "x", 1) < 0 &&
		  pread(fds[1], &octet, 1, 0) == 1 && octet == 'x' &&
		  pread(fds[0], &octet, 1, 0) < 0;
	files++;
	return 0;
}

/* The name of the folder that is opened; is_asked: it is noted alone. */
static char opened[MAIL_ROOT_MEMORY_MAX];
static bool is_asked;

int __real_config_open_directory(const char *path, int flags, int *ret, struct err *err);
int __wrap_config_open_directory(const char *path, int flags, int *ret, struct err *err);

int __wrap_config_open_directory(const char *path, int flags, int *ret, struct err *err)
{
	snprintf(opened, sizeof(opened), "%s", path);
	if (is_asked)
		return err_set(err, EX_NOINPUT, "asked alone");
	return __real_config_open_directory(path, flags, ret, err);
}

/* ---- what the test does ---- */

static void keep(enum log_level level, const char *text, size_t size)
{
	(void)level;
	memcpy(line, text, size);
	line[size] = '\0';
	lines++;
}

static unsigned descriptors(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static int begin(void **state)
{
	struct err err;

	(void)state;
	files = refusals = lines = 0;
	strcpy(folder, "/tmp/valija-spool-XXXXXX");
	assert_non_null(mkdtemp(folder));
	memset(&owner, 0, sizeof(owner));
	if (spool_files_open(folder, &owner.spool_fd, &err) < 0) {
		print_message("%s\n", err.text);
		return -1;
	}
	log_set_output(keep);
	spool_files_init(&spool, &owner, true);
	assert_int_equal(spool.folder, owner.spool_fd);
	return 0;
}

static int end(void **state)
{
	(void)state;
	log_set_output(NULL);
	if (owner.spool_fd >= 0)
		close(owner.spool_fd);
	rmdir(folder);
	return 0;
}

static void test_a_file(void **state)
{
	unsigned before = descriptors();

	(void)state;
	spool_files_send(&spool, &chan, NOW);
	assert_int_equal(files, 1);
	assert_true(is_good);
	assert_int_equal(refusals, 0);
	assert_int_equal(lines, 0);
	assert_int_equal(descriptors(), before);
}

static void test_so_many_a_second(void **state)
{
	(void)state;
	for (unsigned i = 0; i < A_SECOND; i++)
		spool_files_send(&spool, &chan, NOW + i);
	assert_int_equal(files, A_SECOND);
	spool_files_send(&spool, &chan, NOW + 999);
	assert_int_equal(files, A_SECOND);
	assert_int_equal(refusals, 1);
	for (unsigned i = 0; i < A_SECOND; i++)
		spool_files_send(&spool, &chan, NOW + 1000);
	assert_int_equal(files, 2 * A_SECOND);
	spool_files_send(&spool, &chan, NOW + 1999);
	assert_int_equal(refusals, 2);
	assert_int_equal(lines, 0);
}

/* One line each time that it begins. */
static void test_no_file_can_be_made(void **state)
{
	unsigned before = descriptors();
	int away = owner.spool_fd;

	(void)state;
	spool.folder = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	spool_files_send(&spool, &chan, NOW);
	spool_files_send(&spool, &chan, NOW);
	assert_int_equal(refusals, 2);
	assert_int_equal(files, 0);
	assert_int_equal(lines, 1);
	assert_non_null(strstr(line, "no file can be made in the spool folder: large messages are "
				     "held in memory while they come: "));
	close(spool.folder);
	spool.folder = away;
	spool_files_send(&spool, &chan, NOW);
	assert_int_equal(files, 1);
	spool.folder = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	spool_files_send(&spool, &chan, NOW);
	assert_int_equal(lines, 2);
	close(spool.folder);
	assert_int_equal(descriptors(), before);
}

static void test_no_folder(void **state)
{
	int kept = owner.spool_fd;

	(void)state;
	spool_files_init(&spool, &owner, false); /* LMTP is not served */
	assert_int_equal(spool.folder, -1);
	owner.spool_fd = -1;
	spool_files_init(&spool, &owner, true);
	assert_int_equal(lines, 1);
	assert_string_equal(line, "large messages are held in memory while they come, since there "
				  "is no spool: there is no state folder; lmtp.spool may name "
				  "another folder");
	spool_files_send(&spool, &chan, NOW);
	assert_int_equal(refusals, 1);
	assert_int_equal(files, 0);
	assert_int_equal(lines, 1);
	owner.spool_fd = kept;
}

static void test_the_state_folder(void **state)
{
	struct stat is, wanted;
	int kept = owner.spool_fd;

	(void)state;
	owner.spool_fd = -1;
	snprintf(owner.roots[0].root.memory, sizeof(owner.roots[0].root.memory), "%s/mail-root-x",
		 folder);
	spool_files_init(&spool, &owner, true);
	assert_int_equal(lines, 0);
	assert_int_equal(spool.folder, owner.spool_fd);
	assert_int_equal(fstat(spool.folder, &is) | stat(folder, &wanted), 0);
	assert_int_equal(is.st_ino, wanted.st_ino);
	close(owner.spool_fd);
	owner.spool_fd = kept;
}

/* The folder of the state's files; that may be the root of all. */
static void test_the_name_of_the_state_folder(void **state)
{
	static const char *const names[][2] = {{"/var/lib/valija/mail-root-x", "/var/lib/valija"},
					       {"/state/mail-root-x", "/state"},
					       {"/mail-root-x", "/"}};
	int kept = owner.spool_fd;

	(void)state;
	owner.spool_fd = -1;
	is_asked = true;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		strcpy(owner.roots[0].root.memory, names[i][0]);
		spool_files_init(&spool, &owner, true);
		assert_string_equal(opened, names[i][1]);
		assert_int_equal(spool.folder, -1);
		assert_non_null(strstr(line, "asked alone"));
	}
	is_asked = false;
	owner.spool_fd = kept;
}

static void test_folders_that_do_not_serve(void **state)
{
	unsigned before = descriptors();
	struct err err;
	int fd;

	(void)state;
	assert_int_equal(spool_files_open("/nowhere/at/all", &fd, &err), -1);
	assert_int_equal(err.errnum, ENOENT);
	assert_int_equal(spool_files_open("/proc/self", &fd, &err), -1);
	assert_non_null(strstr(err.text, "/proc/self: "));
	assert_true(err.code == EX_UNAVAILABLE || err.code == EX_CANTCREAT);
	assert_int_equal(descriptors(), before);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_FOLDER(test_a_file),
		IN_FOLDER(test_so_many_a_second),
		IN_FOLDER(test_no_file_can_be_made),
		IN_FOLDER(test_no_folder),
		IN_FOLDER(test_the_state_folder),
		IN_FOLDER(test_the_name_of_the_state_folder),
		IN_FOLDER(test_folders_that_do_not_serve),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
