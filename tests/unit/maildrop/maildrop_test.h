/*
 * Shared by the tests of the maildrop: a scratch root with one Maildir, files put into it as other
 * programs would, and a session looked at through the interface that keepers and fronts use. Header
 * only; a test program includes it once.
 */
#ifndef TESTS_MAILDROP_TEST_H
#define TESTS_MAILDROP_TEST_H

#include "maildrop/maildir/maildir.h"
#include "maildrop/maildrop.h"
#include "maildrop/syscalls.h"
#include "tests/listed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HOME "alice"

struct scratch {
	char path[128];
	int root;
	unsigned descriptors; /* of this process, at the beginning */
	struct maildrop_settings settings;
};

static inline unsigned count_descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	unsigned count = 0;

	while (folder && readdir(folder))
		count++;
	if (folder)
		closedir(folder);
	return count;
}

static inline int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static inline int scratch_begin(void **state)
{
	struct scratch *s = calloc(1, sizeof(*s));
	const char *base = getenv("TMPDIR");

	s->descriptors = count_descriptors();
	snprintf(s->path, sizeof(s->path), "%s/valija-maildrop-XXXXXX", base ? base : "/tmp");
	if (!mkdtemp(s->path))
		return -1;
	s->root = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	s->settings = (struct maildrop_settings){.driver = &maildir_driver,
						 .host_name = "mail.example.org"};
	*state = s;
	return s->root < 0 ? -1 : 0;
}

/* A descriptor that a test, or what it tried, left open makes it fail. */
static inline int scratch_end(void **state)
{
	struct scratch *s = *state;
	unsigned left;

	close(s->root);
	nftw(s->path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	left = count_descriptors() - s->descriptors;
	if (left)
		print_error("%u descriptors are still open\n", left);
	free(s);
	return left ? -1 : 0;
}

static inline void make_maildir(struct scratch *s)
{
	assert_int_equal(mkdirat(s->root, HOME, 0700), 0);
	assert_int_equal(mkdirat(s->root, HOME "/new", 0700), 0);
	assert_int_equal(mkdirat(s->root, HOME "/cur", 0700), 0);
	assert_int_equal(mkdirat(s->root, HOME "/tmp", 0700), 0);
}

/* As another program delivers: under tmp/, then renamed. where: "new/name" or "cur/name:2,S". */
static inline void put_file(struct scratch *s, const char *where, const char *text)
{
	char path[600];
	int fd = openat(s->root, HOME "/tmp/put", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	snprintf(path, sizeof(path), HOME "/%s", where);
	assert_int_equal(renameat(s->root, HOME "/tmp/put", s->root, path), 0);
}

static inline void move_file(struct scratch *s, const char *from, const char *to)
{
	char a[600], b[600];

	snprintf(a, sizeof(a), HOME "/%s", from);
	snprintf(b, sizeof(b), HOME "/%s", to);
	assert_int_equal(renameat(s->root, a, s->root, b), 0);
}

static inline void remove_file(struct scratch *s, const char *name)
{
	char path[600];

	snprintf(path, sizeof(path), HOME "/%s", name);
	assert_int_equal(unlinkat(s->root, path, 0), 0);
}

static inline bool has_file(struct scratch *s, const char *name)
{
	char path[600];

	snprintf(path, sizeof(path), HOME "/%s", name);
	return faccessat(s->root, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* How many entries a folder of the Maildir has, and the first one's name. */
static inline int count_files(struct scratch *s, const char *folder, char name[256])
{
	char path[600];
	struct dirent *e;
	int n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/" HOME "/%s", s->path, folder);
	dir = opendir(path);
	assert_non_null(dir);
	while ((e = readdir(dir)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		if (n++ == 0 && name)
			snprintf(name, 256, "%s", e->d_name);
	}
	closedir(dir);
	return n;
}

static inline struct maildrop *open_session(struct scratch *s)
{
	struct maildrop *m = NULL;
	struct err err = {0};

	enum maildrop_status status = maildrop_open(&s->settings, s->root, HOME, &m, &err);

	if (status == MAILDROP_ABSENT)
		status = maildrop_open_empty(&s->settings, HOME, &m, &err);
	if (status != MAILDROP_OK)
		fail_msg("%s", err.text);
	return m;
}

static inline uint32_t session_count(const struct maildrop *m)
{
	struct maildrop_snapshot snapshot;

	maildrop_snapshot(m, &snapshot);
	return snapshot.count;
}

/* One message as a front sees it in the lent index. */
static inline struct listed session_entry(const struct maildrop *m, uint32_t number)
{
	struct maildrop_snapshot snapshot;
	struct index_view *view = NULL;
	struct listed entry;
	struct err err = {0};

	memset(&entry, 0, sizeof(entry));
	maildrop_snapshot(m, &snapshot);
	if (index_view_create(snapshot.base_fd, snapshot.delta_fd, snapshot.delta_size,
			      snapshot.count, snapshot.octets, &view, &err) < 0)
		fail_msg("%s", err.text);
	if (listed_read(view, number, &entry, 1, &err) != 1)
		fail_msg("no entry %u: %s", (unsigned)number, err.text);
	index_view_destroy(view);
	return entry;
}

static inline void assert_entry(const struct maildrop *m, uint32_t number, const char *id,
				uint64_t octets)
{
	struct listed e = session_entry(m, number);
	char got[POP3_UNIQUE_ID_MAX + 1];

	memcpy(got, e.unique_id, e.unique_id_size);
	got[e.unique_id_size] = '\0';
	assert_string_equal(got, id);
	assert_int_equal(e.octets, octets);
}

/* The stored octets of a lent message; buf gets a NUL. */
static inline enum maildrop_status read_body(struct maildrop *m, uint32_t number, char *buf,
					     size_t size)
{
	struct maildrop_body body;
	enum maildrop_status status = maildrop_body(m, number, &body, NULL);
	ssize_t n;

	if (status < 0)
		return status;
	assert_true(body.stored < size);
	n = pread(body.fd, buf, size - 1, (off_t)body.offset);
	assert_int_equal(n, body.stored);
	buf[n] = '\0';
	close(body.fd);
	return status;
}

/* A whole session that deletes these messages and ends well. */
static inline void delete_messages(struct scratch *s, const uint32_t *numbers, uint32_t count)
{
	struct maildrop *m = open_session(s);
	struct err err = {0};

	if (maildrop_commit(m, numbers, count, &err) != MAILDROP_OK)
		fail_msg("%s", err.text);
	maildrop_sweep(m);
	maildrop_close(m);
}

static inline enum maildrop_status deliver_text(struct scratch *s, const char *text,
						struct maildrop_quota quota, struct err *err)
{
	char path[160];
	struct maildrop_delivery delivery = {.message_size = strlen(text), .quota = quota};
	enum maildrop_status status;
	int fd;

	snprintf(path, sizeof(path), "%s/message-XXXXXX", s->path);
	fd = mkstemp(path);
	assert_true(fd >= 0);
	unlink(path);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	delivery.message_fd = fd;
	delivery.headers.data = "Delivered-To: alice\r\n";
	delivery.headers.size = strlen(delivery.headers.data);
	status = maildrop_deliver(&s->settings, s->root, HOME, &delivery, err);
	if (status == MAILDROP_ABSENT) {
		status = maildrop_make(&s->settings, s->root, HOME, err);
		if (status == MAILDROP_OK)
			status = maildrop_deliver(&s->settings, s->root, HOME, &delivery, err);
	}
	close(fd);
	return status;
}

#endif
