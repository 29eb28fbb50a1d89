/*
 * One bad file is one bad message: the others keep their sizes and unique ids, the log has its name
 * and the cause, and it is there again when it can be read. A folder that is none of ours is never
 * made into a maildrop; tmp/ is made again.
 */
#include "tests/unit/maildrop/maildrop_test.h"

#include <sys/socket.h>
#include <sys/un.h>

static const struct maildrop_quota no_quota = {0};

static struct {
	const char *name; /* opening it, or unlinking it, fails so */
	int open_errno, unlink_errno;
	char notes[8][1024];
	unsigned count;
} world;

static bool meant(const char *path)
{
	return world.name && strncmp(path, world.name, strlen(world.name)) == 0;
}

static int bad_openat(int dir, const char *path, int flags, mode_t mode)
{
	if (world.open_errno && meant(path)) {
		errno = world.open_errno;
		return -1;
	}
	return openat(dir, path, flags, mode);
}

static int bad_unlinkat(int dir, const char *path, int flags)
{
	if (world.unlink_errno && meant(path)) {
		errno = world.unlink_errno;
		return -1;
	}
	return unlinkat(dir, path, flags);
}

static void take_note(void *context, const char *text)
{
	(void)context;
	snprintf(world.notes[world.count++ % 8], sizeof(world.notes[0]), "%s", text);
}

static int begin(void **state)
{
	static struct maildrop_syscalls sys;
	int result = scratch_begin(state);
	struct scratch *s = *state;

	memset(&world, 0, sizeof(world));
	sys = maildrop_kernel;
	sys.openat = bad_openat;
	sys.unlinkat = bad_unlinkat;
	s->settings.syscalls = &sys;
	s->settings.note = take_note;
	return result;
}

static bool noted(const char *name, const char *cause)
{
	for (unsigned i = 0; i < world.count && i < 8; i++)
		if (strstr(world.notes[i], name) && strstr(world.notes[i], cause))
			return true;
	return false;
}

/* A session must see messages 1.a and 2.b, and the third one as well if `third`. */
static void look(struct scratch *s, bool third)
{
	struct maildrop *m = open_session(s);

	assert_int_equal(session_count(m), third ? 3 : 2);
	assert_entry(m, 1, "1.a", 3);
	assert_entry(m, 2, "2.b", 4);
	if (third)
		assert_entry(m, 3, "3.c", 5);
	maildrop_close(m);
}

static void put_good(struct scratch *s, const char *folder)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/1.a%s", folder, *folder == 'c' ? ":2," : "");
	put_file(s, path, "a\n");
	snprintf(path, sizeof(path), "%s/2.b%s", folder, *folder == 'c' ? ":2," : "");
	put_file(s, path, "bb\n");
}

/* new/ and cur/; the bad file among the first ones, or beside an index; alone or with a good one
 * that is as new as it. */
static void unreadable_with(struct scratch *s, const char *folder, bool indexed, int errnum,
			    const char *cause)
{
	char path[64];

	make_maildir(s);
	put_good(s, folder);
	if (indexed)
		look(s, false);
	snprintf(path, sizeof(path), "%s/3.c%s", folder, *folder == 'c' ? ":2," : "");
	put_file(s, path, "ccc\n");
	world.name = "3.c";
	world.open_errno = errnum;
	look(s, false);
	assert_true(noted(path, cause));
	look(s, false); /* and not only once */
	world.open_errno = 0;
	look(s, true);
}

static void an_unreadable_file_is_one_message(void **state)
{
	static const struct {
		const char *folder;
		bool indexed;
		int errnum;
		const char *cause;
	} cases[] = {
		{"new", false, EACCES, "chmod"},
		{"new", true, EACCES, "chmod"},
		{"cur", false, EACCES, "chmod"},
		{"cur", true, EACCES, "chmod"},
		{"new", true, EIO, "look at its filesystem"},
		{"cur", false, EIO, "look at its filesystem"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		void *own;

		assert_int_equal(begin(&own), 0);
		unreadable_with(own, cases[i].folder, cases[i].indexed, cases[i].errnum,
				cases[i].cause);
		scratch_end(&own);
	}
}

/* Mail of another program in a large maildrop is compared without the base: what the base has
 * counts as well. */
static void an_index_without_its_base_in_memory_counts(void **state)
{
	struct scratch *s = *state;
	struct maildrop *m;

	make_maildir(s);
	put_good(s, "cur");
	look(s, false);
	m = open_session(s);
	maildrop_sweep(m);
	maildrop_close(m);
	for (int i = 0; i < 3; i++) { /* the second time it is the only one to be measured */
		put_file(s, "new/3.c", "ccc\n");
		world.name = "3.c";
		world.open_errno = EACCES;
		look(s, false);
	}
	world.open_errno = 0;
	look(s, true);
}

static void nothing_that_can_be_read_is_an_error(void **state)
{
	struct scratch *s = *state;
	struct maildrop *m = NULL;
	struct err err = {0};

	make_maildir(s);
	put_file(s, "new/3.c", "ccc\n");
	world.name = "3.c";
	world.open_errno = EACCES;
	assert_int_equal(maildrop_open(&s->settings, s->root, HOME, &m, &err), MAILDROP_PERM);
	assert_true(noted("new/3.c", "chmod"));
	world.open_errno = 0;
	m = open_session(s);
	assert_int_equal(session_count(m), 1);
	maildrop_close(m);
	/* of an indexed one, too, when it became another file */
	remove_file(s, "new/3.c");
	put_file(s, "cur/4.d:2,", "other\n");
	world.name = "4.d";
	world.open_errno = EACCES;
	assert_int_equal(maildrop_open(&s->settings, s->root, HOME, &m, &err), MAILDROP_PERM);
}

static void make_odd(struct scratch *s, const char *kind, const char *path)
{
	char full[300];

	snprintf(full, sizeof(full), "%s/" HOME "/%s", s->path, path);
	if (strcmp(kind, "a folder") == 0) {
		assert_int_equal(mkdir(full, 0700), 0);
	} else if (strcmp(kind, "a FIFO") == 0) {
		assert_int_equal(mkfifo(full, 0600), 0);
	} else if (strcmp(kind, "a symbolic link") == 0) {
		assert_int_equal(symlink("/nowhere/at/all", full), 0);
	} else {
		struct sockaddr_un address = {.sun_family = AF_UNIX};
		int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

		assert_true(strlen(full) < sizeof(address.sun_path));
		strcpy(address.sun_path, full);
		assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
		close(fd);
	}
}

static void what_is_no_file_is_named(void **state)
{
	static const char *const kinds[] = {"a folder", "a FIFO", "a symbolic link", "a socket"};
	static const char *const places[] = {"new/3.c", "cur/3.c:2,"};

	(void)state;
	for (size_t i = 0; i < 4 * 2 * 2; i++) {
		const char *kind = kinds[i / 4], *place = places[i % 2];
		bool indexed = i % 4 >= 2;
		void *own;

		assert_int_equal(begin(&own), 0);
		make_maildir(own);
		put_good(own, i % 2 ? "cur" : "new");
		if (indexed)
			look(own, false);
		make_odd(own, kind, place);
		look(own, false);
		assert_true(noted(place, kind));
		scratch_end(&own);
	}
}

/* ---- folders ---- */

static void tmp_is_made_again(void **state)
{
	struct scratch *s = *state;
	struct maildrop *m;

	make_maildir(s);
	put_good(s, "cur");
	look(s, false);
	assert_int_equal(unlinkat(s->root, HOME "/tmp", AT_REMOVEDIR), 0);
	look(s, false);
	assert_int_equal(deliver_text(s, "c\r\n", no_quota, NULL), MAILDROP_OK);
	m = open_session(s);
	assert_int_equal(session_count(m), 3);
	maildrop_close(m);
	assert_true(has_file(s, "tmp"));
}

static void new_and_cur_are_not(void **state)
{
	static const char *const names[] = {HOME "/new", HOME "/cur"};
	struct scratch *s = *state;

	make_maildir(s);
	assert_int_equal(deliver_text(s, "c\r\n", no_quota, NULL), MAILDROP_OK);
	for (int i = 0; i < 2; i++) {
		struct maildrop *m = NULL;

		assert_int_equal(renameat(s->root, names[i], s->root, "aside"), 0);
		assert_int_equal(maildrop_open(&s->settings, s->root, HOME, &m, NULL),
				 MAILDROP_TEMP);
		assert_int_not_equal(faccessat(s->root, names[i], F_OK, 0), 0);
		assert_int_equal(renameat(s->root, "aside", s->root, names[i]), 0);
	}
	assert_int_equal(renameat(s->root, HOME "/new", s->root, "aside"), 0);
	assert_true(deliver_text(s, "c\r\n", no_quota, NULL) < 0);
	assert_int_not_equal(faccessat(s->root, HOME "/new", F_OK, 0), 0);
}

static void a_folder_of_something_else_stays_so(void **state)
{
	static const char *const others[] = {".profile", "Maildir", "notes.txt", "valija-base"};
	struct scratch *s = *state;

	for (size_t i = 0; i < 4; i++) {
		char path[64];
		struct maildrop *m = NULL;
		struct err err = {0};

		snprintf(path, sizeof(path), HOME "/%s", others[i]);
		assert_int_equal(mkdirat(s->root, HOME, 0700), 0);
		assert_int_equal(mkdirat(s->root, path, 0700), 0);
		assert_true(maildrop_open(&s->settings, s->root, HOME, &m, &err) < 0);
		assert_non_null(strstr(err.text, others[i]));
		assert_true(deliver_text(s, "c\r\n", no_quota, &err) < 0);
		assert_false(has_file(s, "new") || has_file(s, "cur") || has_file(s, "tmp"));
		assert_int_equal(unlinkat(s->root, path, AT_REMOVEDIR), 0);
		assert_int_equal(unlinkat(s->root, HOME, AT_REMOVEDIR), 0);
	}
}

/* A making that was cut short goes on, and ids that were brought along may be there first. */
static void the_beginning_of_a_maildrop_is_completed(void **state)
{
	struct scratch *s = *state;
	int fd;

	assert_int_equal(mkdirat(s->root, HOME, 0700), 0);
	assert_int_equal(mkdirat(s->root, HOME "/tmp", 0700), 0);
	fd = openat(s->root, HOME "/valija-uidl", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(deliver_text(s, "c\r\n", no_quota, NULL), MAILDROP_OK);
	assert_int_equal(count_files(s, "new", NULL), 1);
}

static void a_file_that_cannot_be_unlinked_is_named(void **state)
{
	static const uint32_t first[] = {1};
	struct scratch *s = *state;
	struct maildrop *m;

	make_maildir(s);
	put_good(s, "cur");
	world.name = "1.a";
	world.unlink_errno = EPERM;
	delete_messages(s, first, 1);
	assert_true(noted("cur/1.a", "cannot be unlinked"));
	m = open_session(s);
	assert_int_equal(session_count(m), 1);
	world.unlink_errno = 0;
	maildrop_sweep(m);
	maildrop_close(m);
	assert_false(has_file(s, "cur/1.a:2,"));
}

/* ---- ids that were made up, and cannot be flushed ---- */

static int flush_error_of_ids; /* errno of flushing their file; 0: it works */
static bool folder_after_ids;  /* the maildrop's folder was flushed next */
static bool ids_were_flushed;

static int bad_fsync(int fd)
{
	char path[64], name[400];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, name, sizeof(name) - 1);
	name[n < 0 ? 0 : n] = '\0';
	folder_after_ids = folder_after_ids ||
			   (ids_were_flushed && n > 6 && strcmp(name + n - 6, "/" HOME) == 0);
	ids_were_flushed = strstr(name, "/valija-uidl") != NULL;
	if (flush_error_of_ids && ids_were_flushed) {
		errno = flush_error_of_ids;
		return -1;
	}
	return fsync(fd);
}

static size_t octets_of(struct scratch *s, const char *name)
{
	struct stat st;
	char path[64];

	snprintf(path, sizeof(path), HOME "/%s", name);
	return fstatat(s->root, path, &st, 0) == 0 ? (size_t)st.st_size : 0;
}

/* They may read well and not be on the disk: the file is as it was, and they are written once
 * more. A last line that a crash cut gets its end then. */
static void ids_that_cannot_be_flushed_are_taken_back(void **state)
{
	static const char before[] = "1002.m 1000\\x20odd\ncut of";
	struct scratch *s = *state;
	struct maildrop_syscalls sys = *s->settings.syscalls;
	struct maildrop *m = NULL;
	char text[400];
	ssize_t n;
	int fd;

	make_maildir(s);
	put_file(s, "cur/1000 odd:2,", "a\n");
	put_file(s, "new/1002.m", "b\n"); /* its id is the other one's already */
	put_file(s, "valija-uidl", before);
	sys.fsync = bad_fsync;
	s->settings.syscalls = &sys;
	flush_error_of_ids = EIO;
	assert_int_equal(maildrop_open(&s->settings, s->root, HOME, &m, NULL), MAILDROP_TEMP);
	assert_int_equal(octets_of(s, "valija-uidl"), strlen(before));
	flush_error_of_ids = 0;
	folder_after_ids = ids_were_flushed = false;
	m = open_session(s);
	assert_true(folder_after_ids); /* the index that names them comes later */
	maildrop_close(m);
	fd = openat(s->root, HOME "/valija-uidl", O_RDONLY | O_CLOEXEC);
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n < 0 ? 0 : n] = '\0';
	assert_memory_equal(text, before, strlen(before));
	assert_int_equal(text[strlen(before)], '\n');
	assert_string_equal(text + strlen(before) + 1 + 32, " 1002.m\n");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, scratch_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_unreadable_file_is_one_message),
		TEST(an_index_without_its_base_in_memory_counts),
		TEST(nothing_that_can_be_read_is_an_error),
		TEST(what_is_no_file_is_named),
		TEST(tmp_is_made_again),
		TEST(new_and_cur_are_not),
		TEST(a_folder_of_something_else_stays_so),
		TEST(the_beginning_of_a_maildrop_is_completed),
		TEST(a_file_that_cannot_be_unlinked_is_named),
		TEST(ids_that_cannot_be_flushed_are_taken_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
