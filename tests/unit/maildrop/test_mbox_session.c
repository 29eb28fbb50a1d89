/* Sessions of mboxes where something is in their way: an index that cannot be written, a lock that
 * is gone, a mailbox that is replaced, folders that are none; and how much of an index a change of
 * the mailbox costs. */
#include "mbox_test.h"

#include "maildrop/mbox/from.h"

#include <stdatomic.h>

#define BASE HOME "/.box.valija-base"
#define DELTA HOME "/.box.valija-delta"
#define LOCK HOME "/.box.valija-lock"

static struct maildrop_syscalls calls;
static struct scratch *scratch; /* of what calls does */

static int begin_plain(void **state)
{
	int result = begin(state);
	struct scratch *s = *state;

	calls = maildrop_kernel;
	s->settings.syscalls = &calls;
	return result;
}

static struct stat stat_of(struct scratch *s, const char *path)
{
	struct stat st;

	assert_int_equal(fstatat(s->root, path, &st, AT_SYMLINK_NOFOLLOW), 0);
	return st;
}

static bool is_there(struct scratch *s, const char *path)
{
	return faccessat(s->root, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void fails(enum maildrop_status status, enum maildrop_status wanted, const struct err *err,
		  const char *words)
{
	assert_int_equal(status, wanted);
	if (!strstr(err->text, words))
		fail_msg("no \"%s\" in \"%s\"", words, err->text);
}

/* ---- how much is made anew ---- */

/* A look at the mailbox: whether a new base was written, how much the delta grew. */
static bool makes_a_base(struct scratch *s, off_t *ret_grown)
{
	struct stat base = stat_of(s, BASE), delta = stat_of(s, DELTA);
	bool made;

	maildrop_close(opened(s));
	made = stat_of(s, BASE).st_ino != base.st_ino;
	*ret_grown = made ? 0 : stat_of(s, DELTA).st_size - delta.st_size;
	return made;
}

static void what_a_change_costs(void **state)
{
	struct scratch *s = *state;
	struct seen seen;
	off_t grown;

	put(s, ONE "\n" TWO "\n", 0);
	look(s, &seen);
	assert_false(makes_a_base(s, &grown)); /* nothing changed */
	assert_int_equal(grown, 0);
	put(s, THREE "\n", O_APPEND);
	assert_false(makes_a_base(s, &grown));
	assert_true(grown > 0);
	assert_false(makes_a_base(s, &grown));
	assert_int_equal(grown, 0);
	put(s, ONE "\n", O_APPEND); /* a twin needs an id of its own */
	assert_true(makes_a_base(s, &grown));
	put(s, FROM "Subject: six\n\n\n" FROM "Subject: six\n\n\n", O_APPEND); /* two of them */
	assert_true(makes_a_base(s, &grown));
	put(s, FROM "Subject: seven\n\n\n", O_APPEND);
	assert_false(makes_a_base(s, &grown));
	put(s, FROM "Subject: seven\n\n\n", O_APPEND); /* of one that the delta has */
	assert_true(makes_a_base(s, &grown));
}

static void an_empty_one_grows(void **state)
{
	struct scratch *s = *state;
	struct seen seen;
	off_t grown;

	put(s, "", 0);
	look(s, &seen);
	put(s, ONE "\n", O_APPEND);
	assert_true(makes_a_base(s, &grown));
}

/* Another program has put another message in the last one's place, as long as it was, and one
 * behind it. */
static void a_last_message_that_is_another(void **state)
{
	struct scratch *s = *state;
	struct seen before, after;
	struct maildrop *m;

	put(s, ONE "\n", 0);
	look(s, &before);
	assert_int_equal(before.count, 1);
	put(s, FROM "Status: RO\nSubject: onE\n\nbody one\n\n" TWO "\n", O_TRUNC);
	m = opened(s);
	list(m, &after);
	assert_int_equal(after.count, 2);
	assert_false(same_id(&before, 0, &after, 0));
	assert_body(m, 1, "Subject: onE\n\nbody one\n");
	assert_body(m, 2, "Subject: two\n\nbody two\n");
	maildrop_close(m);
}

/* The same, but for a line end: as many octets on the wire, one less in the file. */
static void a_last_message_that_is_stored_otherwise(void **state)
{
	struct scratch *s = *state;
	struct seen seen;
	struct maildrop *m;

	put(s, FROM "Status: RO\nSubject: one\n\nbody\r\none\n\n", 0);
	look(s, &seen);
	assert_int_equal(seen.count, 1);
	put(s, FROM "Status: RO\nSubject: one\n\nbody\none\n\n" TWO "\n", O_TRUNC);
	m = opened(s);
	list(m, &seen);
	assert_int_equal(seen.count, 2);
	assert_body(m, 1, "Subject: one\n\nbody\none\n");
	assert_body(m, 2, "Subject: two\n\nbody two\n");
	maildrop_close(m);
}

static void append_many(struct scratch *s, unsigned count)
{
	static char text[200000];
	size_t used = 0;

	for (unsigned i = 0; i < count; i++)
		used += (size_t)sprintf(text + used, FROM "Subject: m %u of %u\n\n\n", i, count);
	put(s, text, O_APPEND);
}

static void many_at_once(void **state)
{
	struct scratch *s = *state;
	struct seen seen;
	off_t grown;

	put(s, ONE "\n", 0);
	look(s, &seen);
	append_many(s, 511); /* beside the last one that is known */
	assert_false(makes_a_base(s, &grown));
	append_many(s, 512);
	assert_true(makes_a_base(s, &grown));
}

/* ---- an index that cannot be written ---- */

static int no_new_file(int dir, const char *path, int flags, mode_t mode)
{
	if (flags & O_CREAT && (strstr(path, "-base") || strstr(path, "-delta"))) {
		errno = ENOSPC;
		return -1;
	}
	return openat(dir, path, flags, mode);
}

static int no_new_file_at_all(int dir, const char *path, int flags, mode_t mode)
{
	int fd = no_new_file(dir, path, flags, mode);

	errno = fd < 0 && errno == ENOSPC ? EIO : errno;
	return fd;
}

/* Mail is read all the same; nothing is deleted. */
static void no_room_for_an_index(void **state)
{
	struct scratch *s = *state;
	struct maildrop *m = NULL;
	struct err err = {0};
	struct seen seen;
	uint32_t number = 1;

	put(s, ONE "\n" TWO "\n", 0);
	calls.openat = no_new_file;
	m = opened(s);
	list(m, &seen);
	assert_int_equal(seen.count, 2);
	assert_body(m, 2, "Subject: two\n\nbody two\n");
	fails(maildrop_commit(m, &number, 1, &err), MAILDROP_TEMP, &err,
	      "mailbox alice/box: nothing was deleted, because its index cannot be written (make "
	      "room in its state folder)");
	maildrop_index_wrong(m);
	maildrop_sweep(m);
	maildrop_close(m);
	assert_false(is_there(s, BASE));
	calls.openat = no_new_file_at_all;
	err = (struct err){0};
	fails(try_open(s, &m, &err), MAILDROP_TEMP, &err,
	      "mailbox alice/box: .box.valija-base: cannot be written: Input/output error");
	calls = maildrop_kernel;
	assert_file(s, ONE "\n" TWO "\n");
	delete (s, 1, 0, true);
	assert_file(s, TWO "\n");
}

/* Its files can be opened; another write to them fails. */
static ssize_t no_pwrite(int fd, const void *buf, size_t n, off_t offset)
{
	(void)fd, (void)buf, (void)n, (void)offset;
	errno = ENOSPC;
	return -1;
}

static void deletions_that_cannot_be_recorded(void **state)
{
	struct scratch *s = *state;
	uint32_t number = 1;
	struct maildrop *m;
	struct err err = {0};
	struct seen seen;
	off_t before;

	put(s, ONE "\n" TWO "\n", 0);
	m = opened(s);
	before = stat_of(s, DELTA).st_size;
	calls.pwrite = no_pwrite;
	fails(maildrop_commit(m, &number, 1, &err), MAILDROP_TEMP, &err,
	      "mailbox alice/box: .box.valija-delta: deletions cannot be recorded (make room on "
	      "its filesystem): No space left on device");
	calls = maildrop_kernel;
	maildrop_sweep(m);
	maildrop_close(m);
	assert_int_equal(stat_of(s, DELTA).st_size, before);
	assert_file(s, ONE "\n" TWO "\n");
	look(s, &seen);
	assert_int_equal(seen.count, 2);
}

static int no_fdatasync(int fd)
{
	(void)fd;
	errno = EIO;
	return -1;
}

static void deletions_that_cannot_be_flushed(void **state)
{
	struct scratch *s = *state;
	uint32_t number = 1;
	struct maildrop *m;
	struct err err = {0};
	off_t before;

	put(s, ONE "\n" TWO "\n", 0);
	m = opened(s);
	before = stat_of(s, DELTA).st_size;
	calls.fdatasync = no_fdatasync;
	fails(maildrop_commit(m, &number, 1, &err), MAILDROP_TEMP, &err,
	      ".box.valija-delta: deletions cannot be recorded: Input/output error");
	assert_int_equal(stat_of(s, DELTA).st_size, before);
	calls = maildrop_kernel;
	assert_false(maildrop_sweep_slice(m, NULL));
	maildrop_close(m);
	assert_file(s, ONE "\n" TWO "\n");
}

/* ---- sweeps ---- */

static void a_session_without_its_lock(void **state)
{
	struct scratch *s = *state;
	uint32_t number = 1;
	struct maildrop *m;
	struct err err = {0};

	put(s, ONE "\n" TWO "\n", 0);
	m = opened(s);
	assert_int_equal(unlinkat(s->root, LOCK, 0), 0);
	fails(maildrop_commit(m, &number, 1, &err), MAILDROP_TEMP, &err,
	      "mailbox alice/box: its lock file was removed during the session; nothing was "
	      "deleted");
	close(openat(s->root, LOCK, O_RDWR | O_CREAT | O_CLOEXEC, 0600)); /* another one */
	fails(maildrop_commit(m, &number, 1, &err), MAILDROP_TEMP, &err, "was removed");
	maildrop_close(m);
	m = opened(s);
	assert_int_equal(maildrop_commit(m, &number, 1, &err), MAILDROP_OK);
	assert_int_equal(unlinkat(s->root, LOCK, 0), 0);
	maildrop_sweep(m);
	maildrop_close(m);
	assert_file(s, ONE "\n" TWO "\n");
}

static void a_sweep_that_somebody_waits_for(void **state)
{
	struct scratch *s = *state;
	atomic_bool hurry = true;
	uint32_t number = 1;
	struct maildrop *m;

	put(s, ONE "\n" TWO "\n", 0);
	m = opened(s);
	assert_int_equal(maildrop_commit(m, &number, 1, NULL), MAILDROP_OK);
	assert_false(maildrop_at_rest(m));
	assert_false(maildrop_sweep_slice(m, &hurry));
	assert_file(s, ONE "\n" TWO "\n");
	hurry = false;
	assert_false(maildrop_sweep_slice(m, &hurry));
	assert_file(s, TWO "\n");
	assert_true(maildrop_at_rest(m));
	maildrop_close(m);
}

/* Mail that came since is not lost. */
static void a_sweep_of_a_mailbox_that_grew(void **state)
{
	struct scratch *s = *state;
	uint32_t number = 2;
	struct maildrop *m;
	struct seen seen;

	put(s, ONE "\n" TWO "\n", 0);
	m = opened(s);
	put(s, THREE "\n", O_APPEND);
	assert_int_equal(maildrop_commit(m, &number, 1, NULL), MAILDROP_OK);
	maildrop_sweep(m);
	maildrop_close(m);
	assert_file(s, ONE "\n" THREE "\n");
	look(s, &seen);
	assert_int_equal(seen.count, 2);
	assert_int_equal(seen.octets, seen.entries[0].octets + seen.entries[1].octets);
}

static int looks_left; /* at the mailbox, before another program writes to it */
static unsigned looks;

static int writing_fstat(int fd, struct stat *st)
{
	struct stat box;
	int rc = fstat(fd, st);

	if (rc == 0 && fstatat(scratch->root, BOX, &box, 0) == 0 && box.st_ino == st->st_ino) {
		looks++;
		if (looks_left-- == 0) {
			put(scratch, THREE "\n", O_APPEND);
			rc = fstat(fd, st);
		}
	}
	return rc;
}

static char notes[1000];

static void keep_note(void *context, const char *text)
{
	(void)context;
	snprintf(notes, sizeof(notes), "%s", text);
}

/* A program that does not lock writes in the middle of a sweep, before any of its looks: its
 * message is not lost, and the deletion is carried out then or later. */
static void a_program_without_locks(void **state)
{
	struct scratch *s = *state;
	const uint32_t number = 1;
	unsigned refused = 0;

	scratch = s;
	s->settings.note = keep_note;
	for (int n = 0; n < 8; n++) {
		struct maildrop *m;

		put(s, ONE "\n" TWO "\n", O_TRUNC);
		m = opened(s);
		assert_int_equal(maildrop_commit(m, &number, 1, NULL), MAILDROP_OK);
		notes[0] = '\0';
		looks = 0;
		looks_left = n;
		calls.fstat = writing_fstat;
		maildrop_sweep(m);
		calls.fstat = maildrop_kernel.fstat;
		refused += strcmp(notes, "mailbox alice/box: changed while it was locked") == 0;
		if (looks_left >= 0)
			put(s, THREE "\n", O_APPEND); /* there was no such look */
		maildrop_close(m);
		delete (s, 1, 0, true); /* the second message, and what waits */
		assert_file(s, THREE "\n");
	}
	assert_true(refused > 0);
	s->settings.note = NULL;
}

/* Places move by what was cut before them, however many runs there are. */
static void several_runs(void **state)
{
	struct scratch *s = *state;
	const uint32_t numbers[] = {1, 2, 4, 6};
	struct maildrop *m;
	struct seen before, after;

	put(s,
	    ONE "\n" TWO "\n" THREE "\n" FROM "Subject: 4\n\n\n" FROM "Subject: 5\n\nfive\n\n" FROM
		"Subject: 6\n\n\n",
	    0);
	look(s, &before);
	m = opened(s);
	assert_int_equal(maildrop_commit(m, numbers, 4, NULL), MAILDROP_OK);
	maildrop_sweep(m);
	maildrop_close(m);
	assert_file(s, THREE "\n" FROM "Subject: 5\n\nfive\n\n");
	m = opened(s);
	list(m, &after);
	assert_int_equal(after.count, 2);
	assert_true(same_id(&before, 2, &after, 0) && same_id(&before, 4, &after, 1));
	assert_body(m, 1, "Subject: three\n\n.body three\n");
	assert_body(m, 2, "Subject: 5\n\nfive\n");
	maildrop_close(m);
}

/* ---- messages that are not where they were ---- */

static void a_message_that_is_gone(void **state)
{
	struct scratch *s = *state;
	struct maildrop_body body;
	struct maildrop *m;
	struct err err = {0};
	off_t grown;

	put(s, ONE "\n" TWO "\n", 0);
	m = opened(s);
	put(s, TWO "\n" ONE "\n", O_TRUNC);
	fails(maildrop_body(m, 1, &body, &err), MAILDROP_GONE, &err,
	      "mailbox alice/box: message 1 is not where it was: another program changed the "
	      "mailbox");
	maildrop_close(m);
	assert_true(makes_a_base(s, &grown));
}

static ssize_t no_pread(int fd, void *buf, size_t n, off_t offset)
{
	char path[64], name[400];
	ssize_t size;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	size = readlink(path, name, sizeof(name) - 1);
	name[size < 0 ? 0 : size] = '\0';
	if (size > 4 && strcmp(name + size - 4, "/box") == 0) {
		errno = EIO;
		return -1;
	}
	return pread(fd, buf, n, offset);
}

/* A disk that fails is no message that is gone. */
static void a_message_that_cannot_be_read(void **state)
{
	struct scratch *s = *state;
	struct maildrop_body body;
	struct maildrop *m;
	struct err err = {0};
	off_t grown;

	put(s, ONE "\n" TWO "\n", 0);
	m = opened(s);
	calls.pread = no_pread;
	fails(maildrop_body(m, 1, &body, &err), MAILDROP_TEMP, &err,
	      "mailbox alice/box: cannot be read: Input/output error");
	calls = maildrop_kernel;
	assert_body(m, 1, "Subject: one\n\nbody one\n");
	maildrop_close(m);
	assert_false(makes_a_base(s, &grown));
}

static void an_index_that_a_front_found_wrong(void **state)
{
	struct scratch *s = *state;
	struct maildrop *m;
	off_t grown;

	put(s, ONE "\n" TWO "\n", 0);
	m = opened(s);
	maildrop_index_wrong(m);
	maildrop_close(m);
	assert_true(makes_a_base(s, &grown));
	assert_false(makes_a_base(s, &grown));
}

/* ---- where it is ---- */

static enum maildrop_status open_at(struct scratch *s, const char *home, struct err *err)
{
	struct maildrop *m = NULL;
	enum maildrop_status status = maildrop_open(&s->settings, s->root, home, &m, err);

	if (status == MAILDROP_OK)
		maildrop_close(m);
	return status;
}

static void folders_on_the_way(void **state)
{
	struct scratch *s = *state;
	struct err err = {0};

	put(s, ONE "\n", 0);
	assert_int_equal(mkdirat(s->root, HOME "/a", 0700), 0);
	assert_int_equal(mkdirat(s->root, HOME "/a/deep", 0700), 0);
	assert_int_equal(open_at(s, HOME "/a/deep/box", &err), MAILDROP_ABSENT);
	assert_int_equal(maildrop_make(&s->settings, s->root, HOME "/a/deep/box", &err),
			 MAILDROP_OK);
	assert_int_equal(stat_of(s, HOME "/a/deep/box").st_mode, S_IFREG | 0600);
	assert_int_equal(open_at(s, HOME "/a/deep/box", &err), MAILDROP_OK);
	assert_int_equal(maildrop_make(&s->settings, s->root, BOX, &err), MAILDROP_OK);
	assert_file(s, ONE "\n"); /* one that is there stays as it is */
	assert_int_equal(open_at(s, HOME "/none/box", &err), MAILDROP_ABSENT);
	assert_true(maildrop_make(&s->settings, s->root, HOME "/none/box", &err) < 0);
	assert_false(is_there(s, HOME "/none"));
	assert_int_equal(symlinkat("a", s->root, HOME "/link"), 0);
	err = (struct err){0};
	fails(open_at(s, HOME "/link/deep/box", &err), MAILDROP_PERM, &err,
	      "mailbox alice/link/deep/box: cannot be opened: ");
	err = (struct err){0};
	fails(open_at(s, HOME "/a/deep", &err), MAILDROP_TEMP, &err, "mailbox alice/a/deep: ");
	err = (struct err){0};
	fails(open_at(s, BOX "/box", &err), MAILDROP_PERM, &err, ": cannot be opened: Not a dir");
}

static bool folder_flush_fails;
static unsigned folder_flushes;

static int folder_fsync(int fd)
{
	struct stat st;

	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
		folder_flushes++;
		errno = EIO;
		if (folder_flush_fails)
			return -1;
	}
	return fsync(fd);
}

/* A mailbox is made when its name is on the disk. */
static void made_durably(void **state)
{
	struct scratch *s = *state;
	struct err err = {0};

	calls.fsync = folder_fsync;
	folder_flushes = 0;
	folder_flush_fails = true;
	fails(maildrop_make(&s->settings, s->root, BOX, &err), MAILDROP_TEMP, &err,
	      "mailbox alice/box: cannot be made: Input/output error");
	assert_int_equal(folder_flushes, 1);
	folder_flush_fails = false;
	assert_int_equal(unlinkat(s->root, BOX, 0), 0);
	assert_int_equal(maildrop_make(&s->settings, s->root, BOX, NULL), MAILDROP_OK);
	assert_int_equal(folder_flushes, 2);
}

/* Its index is in the owner's state folder, if there is one, under a name of the whole path. */
static void a_state_folder(void **state)
{
	struct scratch *s = *state;
	char expected[64] = "", name[64];
	struct dirent *entry;
	DIR *folder;
	unsigned files = 0;

	put(s, ONE "\n" TWO "\n", 0);
	assert_int_equal(mkdirat(s->root, "state", 0700), 0);
	s->settings.state_fd = openat(s->root, "state", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	delete (s, 1, 0, true);
	assert_file(s, TWO "\n");
	assert_false(is_there(s, BASE) || is_there(s, DELTA) || is_there(s, LOCK));
	folder = fdopendir(dup(s->settings.state_fd));
	while ((entry = readdir(folder))) {
		if (entry->d_name[0] == '.')
			continue;
		files++;
		assert_int_equal(strspn(entry->d_name, "0123456789abcdef"), 32);
		snprintf(name, sizeof(name), "%.32s", entry->d_name);
		assert_true(files == 1 || strcmp(name, expected) == 0);
		strcpy(expected, name);
		assert_memory_equal(entry->d_name + 32, ".valija-", 8);
	}
	closedir(folder);
	assert_int_equal(files, 3); /* lock, base, delta */
	close(s->settings.state_fd);
	s->settings.state_fd = 0;
}

static int no_noatime(int dir, const char *path, int flags, mode_t mode)
{
	if (flags & O_NOATIME) {
		errno = EPERM;
		return -1;
	}
	return openat(dir, path, flags, mode);
}

/* Of another user's file the times cannot be kept: then they are not. */
static void without_noatime(void **state)
{
	struct scratch *s = *state;

	put(s, ONE "\n" TWO "\n", 0);
	calls.openat = no_noatime;
	delete (s, 1, 0, true);
	assert_file(s, TWO "\n");
}

static unsigned looks; /* at where a Content-Length ends; each fails */

static ssize_t no_look(int fd, void *buf, size_t n, off_t offset)
{
	if (n != MBOX_LOOK + 2)
		return pread(fd, buf, n, offset);
	looks++;
	errno = EIO;
	return -1;
}

/* A message whose body has a From line; whether that begins another one only the Content-Length
 * tells, right or wrong, and where it leads to cannot be read: nothing is guessed. */
static void a_length_that_cannot_be_checked(void **state)
{
	static const char inside[] = "x\n\n" FROM "\ny\n";
	static char text[3 * MBOX_LOOK];
	struct scratch *s = *state;

	for (unsigned wrong = 0; wrong < 2; wrong++) {
		struct maildrop *m = NULL;
		struct err err = {0};
		struct seen seen;

		snprintf(text, sizeof(text),
			 FROM "Content-Length: %zu\n\n%s\n" FROM "A: b\n\n%0*d\n",
			 strlen(inside) + wrong * 5, inside, (int)MBOX_LOOK + 2, 1);
		put(s, text, 0);
		calls.pread = no_look;
		looks = 0;
		assert_int_equal(try_open(s, &m, &err), MAILDROP_TEMP);
		assert_int_equal(err.errnum, EIO);
		assert_true(looks > 0);
		calls.pread = pread;
		look(s, &seen);
		assert_int_equal(seen.count, 2 + wrong);
	}
}

/* ---- locks ---- */

static int interruptions, replacements, lock_error;

static int playing_lock(int fd, int command, struct flock *lock)
{
	if (lock_error && lock->l_len == 1) {
		errno = lock_error;
		return -1;
	}
	if (interruptions && lock->l_len == 1) {
		interruptions--;
		errno = EINTR;
		return -1;
	}
	if (replacements && lock->l_len == 0 && lock->l_type == F_WRLCK) {
		replacements--;
		assert_int_equal(renameat(scratch->root, BOX, scratch->root, HOME "/old"), 0);
		put(scratch, TWO "\n" THREE "\n", 0);
	}
	return fcntl(fd, command, lock);
}

static void the_lock_of_sessions(void **state)
{
	struct scratch *s = *state;
	struct maildrop *m;
	struct err err = {0};

	put(s, ONE "\n", 0);
	calls.lock = playing_lock;
	interruptions = 2;
	m = opened(s);
	assert_int_equal(interruptions, 0);
	fails(try_open(s, &m, &err), MAILDROP_IN_USE, &err,
	      "mailbox alice/box: another session has it");
	maildrop_close(m);
	lock_error = EACCES;
	fails(try_open(s, &m, &err), MAILDROP_IN_USE, &err, "another session has it");
	lock_error = ENOLCK;
	fails(try_open(s, &m, &err), MAILDROP_TEMP, &err,
	      "mailbox alice/box: .box.valija-lock: cannot be locked: No locks available");
	lock_error = 0;
}

/* Another program puts a new file in its place while its lock is taken. */
static void a_mailbox_that_is_replaced(void **state)
{
	struct scratch *s = *state;
	struct maildrop *m;
	struct err err = {0};
	struct seen seen;

	scratch = s;
	put(s, ONE "\n", 0);
	calls.lock = playing_lock;
	replacements = 1;
	look(s, &seen);
	assert_int_equal(seen.count, 2);
	assert_int_equal(replacements, 0);
	put(s, ONE "\n", O_TRUNC);
	replacements = 2;
	look(s, &seen);
	assert_int_equal(seen.count, 2);
	put(s, ONE "\n", O_TRUNC);
	replacements = 3;
	fails(try_open(s, &m, &err), MAILDROP_TEMP, &err,
	      "mailbox alice/box: was replaced by another file: ");
	assert_int_equal(replacements, 0);
	look(s, &seen);
	assert_int_equal(seen.count, 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_plain, scratch_end)
	const struct CMUnitTest tests[] = {
		TEST(what_a_change_costs),
		TEST(an_empty_one_grows),
		TEST(a_last_message_that_is_another),
		TEST(a_last_message_that_is_stored_otherwise),
		TEST(many_at_once),
		TEST(no_room_for_an_index),
		TEST(deletions_that_cannot_be_recorded),
		TEST(deletions_that_cannot_be_flushed),
		TEST(a_session_without_its_lock),
		TEST(a_sweep_that_somebody_waits_for),
		TEST(a_sweep_of_a_mailbox_that_grew),
		TEST(a_program_without_locks),
		TEST(several_runs),
		TEST(a_message_that_is_gone),
		TEST(a_message_that_cannot_be_read),
		TEST(an_index_that_a_front_found_wrong),
		TEST(folders_on_the_way),
		TEST(made_durably),
		TEST(a_state_folder),
		TEST(without_noatime),
		TEST(a_length_that_cannot_be_checked),
		TEST(the_lock_of_sessions),
		TEST(a_mailbox_that_is_replaced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
