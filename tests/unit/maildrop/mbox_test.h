/* Shared by the tests of mboxes: a mailbox in a scratch root, messages put into it as other
 * programs would, and sessions that are looked at through the interface that keepers use. Header
 * only; a test program includes it once. */
#ifndef TESTS_MBOX_TEST_H
#define TESTS_MBOX_TEST_H

#include "maildrop_test.h"

#include "maildrop/index/view.h"
#include "maildrop/mbox/lock.h"
#include "maildrop/mbox/mbox.h"

#include <sys/file.h>
#include <sys/mman.h>

#define FROM "From a@example.org Sat Jan  1 12:34:56 2022\n"
#define BOX HOME "/box"

struct seen {
	uint32_t count;
	uint64_t octets;
	struct listed entries[64];
};

static inline int begin(void **state)
{
	int result = scratch_begin(state);
	struct scratch *s = *state;

	s->settings.driver = &mbox_driver;
	s->settings.lock_ms = 1;
	return result < 0 ? result : mkdirat(s->root, HOME, 0700);
}

static inline void put(struct scratch *s, const char *text, int flags)
{
	int fd = openat(s->root, BOX, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static inline void assert_file(struct scratch *s, const char *expected)
{
	static char text[20000];
	int fd = openat(s->root, BOX, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, sizeof(text) - 1);

	close(fd);
	text[n < 0 ? 0 : n] = '\0';
	assert_string_equal(text, expected);
}

static inline enum maildrop_status try_open(struct scratch *s, struct maildrop **ret,
					    struct err *err)
{
	return maildrop_open(&s->settings, s->root, BOX, ret, err);
}

static inline struct maildrop *opened(struct scratch *s)
{
	struct maildrop *m = NULL;
	struct err err = {0};

	if (try_open(s, &m, &err) != MAILDROP_OK)
		fail_msg("%s", err.text);
	return m;
}

static inline void list(struct maildrop *m, struct seen *ret)
{
	struct maildrop_snapshot snapshot;
	struct index_view *view = NULL;

	memset(ret, 0, sizeof(*ret));
	maildrop_snapshot(m, &snapshot);
	assert_int_equal(index_view_create(snapshot.base_fd, snapshot.delta_fd, snapshot.delta_size,
					   snapshot.count, snapshot.octets, &view, NULL),
			 0);
	assert_int_equal(listed_read(view, 1, ret->entries, 64, NULL), snapshot.count);
	index_view_destroy(view);
	ret->count = snapshot.count;
	ret->octets = snapshot.octets;
}

static inline void look(struct scratch *s, struct seen *ret)
{
	struct maildrop *m = opened(s);

	list(m, ret);
	maildrop_close(m);
}

static inline bool same_id(const struct seen *a, unsigned i, const struct seen *b, unsigned k)
{
	return memcmp(a->entries[i].unique_id, b->entries[k].unique_id, POP3_UNIQUE_ID_MAX) == 0;
}

static inline void assert_body(struct maildrop *m, uint32_t number, const char *expected)
{
	struct maildrop_body body;
	char text[5000];
	ssize_t n;

	assert_int_equal(maildrop_body(m, number, &body, NULL), MAILDROP_OK);
	n = pread(body.fd, text, sizeof(text) - 1, (off_t)body.offset);
	close(body.fd);
	assert_int_equal(n, body.stored);
	text[n] = '\0';
	assert_string_equal(text, expected);
}

static inline void delete (struct scratch *s, uint32_t first, uint32_t second, bool sweeps)
{
	struct maildrop *m = opened(s);
	uint32_t numbers[] = {first, second};
	struct err err = {0};

	if (maildrop_commit(m, numbers, second ? 2 : 1, &err) != MAILDROP_OK)
		fail_msg("%s", err.text);
	if (sweeps)
		maildrop_sweep(m);
	maildrop_close(m);
}

#define ONE FROM "Status: RO\nSubject: one\n\nbody one\n"
#define TWO FROM "Subject: two\nX-Status: A\n\nbody two\n"
#define THREE FROM "Subject: three\n\n.body three\n"

static inline enum maildrop_status deliver_by(struct scratch *s, const char *text,
					      struct maildrop_quota quota, struct err *err)
{
	int fd = memfd_create("message", MFD_CLOEXEC);
	struct maildrop_delivery d = {.message_fd = fd,
				      .message_size = strlen(text),
				      .headers = {"Return-Path: <b@c>\r\n", 20},
				      .quota = quota};
	enum maildrop_status status;

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	status = maildrop_deliver(&s->settings, s->root, BOX, &d, err);
	close(fd);
	return status;
}

static inline enum maildrop_status deliver(struct scratch *s, const char *text,
					   struct maildrop_quota quota)
{
	return deliver_by(s, text, quota, NULL);
}

static int rewrites_left; /* of the mailbox, before one fails */

static inline ssize_t failing_pwrite(int fd, const void *buf, size_t n, off_t offset)
{
	char path[64], name[400];
	ssize_t size;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	size = readlink(path, name, sizeof(name) - 1);
	name[size < 0 ? 0 : size] = '\0';
	if (size > 4 && strcmp(name + size - 4, "/box") == 0 && rewrites_left-- <= 0) {
		errno = EIO;
		return -1;
	}
	return pwrite(fd, buf, n, offset);
}

/* A session that deletes the first message, and whose rewrite stops: its journal and its lock file
 * stay. */
static inline void delete_in_part(struct scratch *s)
{
	const struct maildrop_syscalls *usual = s->settings.syscalls;
	struct maildrop_syscalls calls = usual ? *usual : maildrop_kernel;

	calls.pwrite = failing_pwrite;
	s->settings.syscalls = &calls;
	rewrites_left = 0;
	delete (s, 1, 0, true);
	s->settings.syscalls = usual;
	assert_int_equal(faccessat(s->root, BOX ".lock", F_OK, 0), 0);
}

static inline void cut_off(struct scratch *s)
{
	delete_in_part(s);
	assert_int_equal(faccessat(s->root, HOME "/.box.valija-journal", F_OK, 0), 0);
}

/* How many there are; they are removed. */
static inline unsigned files_aside(struct scratch *s)
{
	int fd = openat(s->root, HOME, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *folder = fdopendir(fd);
	unsigned count = 0;

	for (struct dirent *e = readdir(folder); e; e = readdir(folder))
		if (strncmp(e->d_name, ".box.valija-doubt-", 18) == 0)
			count += unlinkat(dirfd(folder), e->d_name, 0) == 0;
	closedir(folder);
	return count;
}

#endif
