/* The file of unique ids that are data: which lines count, how they are written, and what stands in
 * memory before any is read. */
#include "maildrop_test.h"

#include "base/text.h"
#include "maildrop/maildir/update/uidl.h"

static struct maildir_place place_of(struct scratch *s)
{
	int dir = openat(s->root, HOME, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(dir >= 0);
	return (struct maildir_place){
		.sys = s->settings.syscalls ? s->settings.syscalls : &maildrop_kernel, .dir = dir};
}

/* As on a stack: whatever was there before. */
static void load(struct scratch *s, struct maildir_uidl *uidl)
{
	struct maildir_place place = place_of(s);

	memset(uidl, 0xff, sizeof(*uidl));
	assert_int_equal(maildir_uidl_load(uidl, &place), 0);
	close(place.dir);
}

static void put_lines(struct scratch *s, const char *text)
{
	put_file(s, "tmp/uidl", text);
	move_file(s, "tmp/uidl", UIDL_NAME);
}

static void assert_id(struct maildir_uidl *uidl, const char *unique, const char *expected)
{
	pop3_span id = maildir_uidl_find(uidl, span_of(unique));

	if (id.size != strlen(expected) || memcmp(id.data ? id.data : "", expected, id.size) != 0)
		fail_msg("%s: %.*s", unique, (int)id.size, id.data ? id.data : "");
}

static void test_no_file(void **state)
{
	struct scratch *s = *state;
	struct maildir_uidl uidl;
	struct maildir_place place;

	make_maildir(s);
	load(s, &uidl);
	assert_false(uidl.any || uidl.relied);
	assert_null(uidl.lines);
	assert_int_equal(uidl.lines_size, 0);
	assert_int_equal(uidl.ordered_count, 0);
	assert_id(&uidl, "1.m", "");
	assert_false(uidl.relied);
	assert_false(maildir_uidl_reserved(&uidl, span_of("1.m")));
	assert_false(maildir_uidl_used(&uidl, span_of("1.m")));
	assert_int_equal(maildir_uidl_rank(&uidl, span_of("1.m")), MODEL_NONE);
	/* nothing to be written */
	place = place_of(s);
	assert_int_equal(maildir_uidl_save(&uidl, &place), 0);
	close(place.dir);
	assert_false(has_file(s, UIDL_NAME));
	maildir_uidl_finish(&uidl);
}

static void test_lines(void **state)
{
	struct scratch *s = *state;
	struct maildir_uidl uidl;

	make_maildir(s);
	put_lines(s, "id-1 1.m\n"
		     "id-2 2.m\r\n"
		     "id-3 3\\x20m\n"
		     "id-4 4\\xC3\\xaf\\xFf\n"
		     "id-5 \\x35\\x2E\\x6d\n"
		     "id-6 5.m\n"                          /* the later one wins */
		     "id-7\n"                              /* no unique part */
		     "id-8 \n"                             /* an empty one */
		     "id-9 9\\x2\n"                        /* not two digits */
		     "id-10 10\\y20m\n"                    /* no x */
		     "id-11 11\\xg0m\n"                    /* no digit */
		     "id-12 12\\x0gm\n"                    /* no digit */
		     "id-13 13\\x2fm\n"                    /* no name of a file */
		     "id\x01-14 14.m\n"                    /* no id */
		     " later 2 kinds\n"                    /* of a later version */
		     "id-15 15\\x19\\x4a\\x4A\\x90\\xb0\n" /* each bound of a digit */
		     "id-16 16.m");                        /* cut by a crash */
	load(s, &uidl);
	assert_true(uidl.any);
	assert_false(uidl.relied);
	assert_id(&uidl, "1.m", "id-1");
	assert_true(uidl.relied);
	assert_id(&uidl, "2.m", "id-2");
	assert_id(&uidl, "3 m", "id-3");
	assert_id(&uidl, "4\xc3\xaf\xff", "id-4");
	assert_id(&uidl, "5.m", "id-6");
	assert_id(&uidl, "9", "");
	assert_id(&uidl, "9\\x2", "");
	assert_id(&uidl, "10 m", "");
	assert_id(&uidl, "13/m", "");
	assert_id(&uidl, "14.m", "");
	assert_id(&uidl, "15\x19JJ\x90\xb0", "id-15");
	assert_id(&uidl, "16.m", "");
	for (int i = 1; i <= 16; i++) {
		bool is_line = i <= 6 || i == 15;
		char id[20];

		snprintf(id, sizeof(id), "id-%d", i);
		assert_int_equal(maildir_uidl_reserved(&uidl, span_of(id)), is_line);
	}
	maildir_uidl_finish(&uidl);
	assert_null(uidl.lines);
}

/* Lines of any length, over more than one read. */
static void test_long_files(void **state)
{
	struct scratch *s = *state;
	size_t size = 400000, used = 0;
	char *text = malloc(size), unique[20], id[20];
	struct maildir_uidl uidl;

	make_maildir(s);
	for (int i = 0; i < 4000; i++)
		used += (size_t)snprintf(text + used, size - used, "id-%d %d.m\n", i, i);
	/* one that is too long is left out, whatever stands at its end */
	memset(text + used, 'x', 40000);
	used += 40000;
	used += (size_t)snprintf(text + used, size - used, " 9.m\nlast 0.m\n");
	put_lines(s, text);
	free(text);
	load(s, &uidl);
	for (int i = 1; i < 4000; i++) {
		snprintf(unique, sizeof(unique), "%d.m", i);
		snprintf(id, sizeof(id), "id-%d", i);
		assert_id(&uidl, unique, id);
	}
	assert_id(&uidl, "0.m", "last");
	maildir_uidl_finish(&uidl);
}

/* Messages that were brought have the order of their lines, as many as the origin says. */
static void test_order(void **state)
{
	struct scratch *s = *state;
	struct maildir_uidl uidl;

	make_maildir(s);
	put_lines(s, "id-0 0.m\n"
		     " origin 2 dovecot of a mailbox\n"
		     "id-1 1.m\n"
		     "id-2 2.m\n"
		     "id-3 3.m\n"
		     " origin x\n" /* no number */
		     " originally 9\n"
		     " origin \n");
	load(s, &uidl);
	assert_int_equal(uidl.ordered_first, 1);
	assert_int_equal(uidl.ordered_count, 2);
	assert_int_equal(maildir_uidl_rank(&uidl, span_of("0.m")), MODEL_NONE);
	assert_int_equal(maildir_uidl_rank(&uidl, span_of("1.m")), 0);
	assert_int_equal(maildir_uidl_rank(&uidl, span_of("2.m")), 1);
	assert_int_equal(maildir_uidl_rank(&uidl, span_of("3.m")), MODEL_NONE);
	maildir_uidl_finish(&uidl);
	/* without a name behind it */
	put_lines(s, "id-0 0.m\n origin 1\nid-1 1.m\nid-2 2.m\n");
	load(s, &uidl);
	assert_int_equal(maildir_uidl_rank(&uidl, span_of("1.m")), 0);
	assert_int_equal(maildir_uidl_rank(&uidl, span_of("2.m")), MODEL_NONE);
	maildir_uidl_finish(&uidl);
}

static void test_notes_are_written_and_read(void **state)
{
	static const char *const uniques[] = {"1.m", "two words", "back\\slash", "\x7f\xc3\x80",
					      "~!"};
	struct scratch *s = *state;
	struct maildir_place place;
	struct maildir_uidl uidl;
	char line[UIDL_LINE_MAX(4, 10)], id[8], text[400] = "";
	int fd;

	make_maildir(s);
	put_lines(s, "id-0 0.m\ncut o");
	load(s, &uidl);
	for (int i = 0; i < 5; i++) {
		snprintf(id, sizeof(id), "i%d", i);
		assert_int_equal(maildir_uidl_note(&uidl, span_of(id), span_of(uniques[i])), 0);
		assert_int_equal(maildir_uidl_use(&uidl, span_of(id)), 0);
		assert_true(maildir_uidl_used(&uidl, span_of(id)));
		assert_false(maildir_uidl_reserved(&uidl, span_of(id)));
	}
	place = place_of(s);
	assert_int_equal(maildir_uidl_save(&uidl, &place), 0);
	close(place.dir);
	assert_int_equal(uidl.lines_size, 0);
	maildir_uidl_finish(&uidl);

	fd = openat(s->root, HOME "/" UIDL_NAME, O_RDONLY | O_CLOEXEC);
	assert_true(read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	assert_string_equal(text, "id-0 0.m\ncut o\n"
				  "i0 1.m\ni1 two\\x20words\ni2 back\\x5cslash\n"
				  "i3 \\x7f\\xc3\\x80\ni4 ~!\n");
	assert_int_equal(maildir_uidl_line(line, span_of("id"), span_of("a b")), 10);
	assert_memory_equal(line, "id a\\x20b\n", 10);
	load(s, &uidl);
	for (int i = 0; i < 5; i++) {
		snprintf(id, sizeof(id), "i%d", i);
		assert_id(&uidl, uniques[i], id);
	}
	maildir_uidl_finish(&uidl);
}

static struct {
	unsigned opens, reads, flushes; /* calls before one fails; 0: none does */
	unsigned flushed;               /* how many there were */
	bool interrupts;
} fault;

static bool fails(unsigned *left)
{
	if (*left == 0 || --*left > 0)
		return false;
	errno = EIO;
	return true;
}

static int f_openat(int dir, const char *path, int flags, mode_t mode)
{
	return fails(&fault.opens) ? -1 : openat(dir, path, flags, mode);
}

static ssize_t f_pread(int fd, void *buf, size_t n, off_t offset)
{
	if (fails(&fault.reads))
		return -1;
	if (fault.interrupts) {
		fault.interrupts = false;
		errno = EINTR;
		return -1;
	}
	return pread(fd, buf, n, offset);
}

static int f_fsync(int fd)
{
	fault.flushed++;
	return fails(&fault.flushes) ? -1 : fsync(fd);
}

/* The first line of all: what could not be flushed is not left in the file. */
static void test_a_first_line_that_cannot_be_flushed(void **state)
{
	struct maildrop_syscalls calls = maildrop_kernel;
	struct scratch *s = *state;
	struct maildir_place place;
	struct maildir_uidl uidl;
	struct stat st;

	calls.fsync = f_fsync;
	s->settings.syscalls = &calls;
	make_maildir(s);
	place = place_of(s);
	assert_int_equal(maildir_uidl_load(&uidl, &place), 0);
	assert_int_equal(maildir_uidl_note(&uidl, span_of("id"), span_of("1.m")), 0);
	fault.flushes = 1;
	assert_int_equal(maildir_uidl_save(&uidl, &place), -1);
	assert_int_equal(fstatat(s->root, HOME "/" UIDL_NAME, &st, 0), 0);
	assert_int_equal(st.st_size, 0);
	maildir_uidl_finish(&uidl);
	close(place.dir);
}

static void test_failures(void **state)
{
	struct maildrop_syscalls calls = maildrop_kernel;
	struct scratch *s = *state;
	struct maildir_place place;
	struct maildir_uidl uidl;
	struct stat st;

	calls.openat = f_openat;
	calls.pread = f_pread;
	calls.fsync = f_fsync;
	s->settings.syscalls = &calls;
	make_maildir(s);
	put_lines(s, "id-1 1.m\n");
	place = place_of(s);
	fault.opens = 1;
	errno = 0;
	assert_int_equal(maildir_uidl_load(&uidl, &place), -1);
	assert_int_equal(errno, EIO);
	for (unsigned at = 1; at <= 2; at++) {
		fault.reads = at;
		errno = 0;
		assert_int_equal(maildir_uidl_load(&uidl, &place), -1);
		assert_int_equal(errno, EIO);
	}
	fault.interrupts = true;
	assert_int_equal(maildir_uidl_load(&uidl, &place), 0);
	assert_false(fault.interrupts);
	assert_id(&uidl, "1.m", "id-1");
	/* a line that was relied on is flushed, and its name */
	fault.flushed = 0;
	assert_int_equal(maildir_uidl_save(&uidl, &place), 0);
	assert_int_equal(fault.flushed, 2);
	for (unsigned at = 1; at <= 2; at++) {
		fault.flushes = at;
		assert_int_equal(maildir_uidl_save(&uidl, &place), -1);
		assert_int_equal(errno, EIO);
	}
	/* what could not be flushed is written once more */
	assert_int_equal(maildir_uidl_note(&uidl, span_of("id-2"), span_of("2.m")), 0);
	for (unsigned at = 1; at <= 2; at++) {
		fault.flushes = at;
		assert_int_equal(maildir_uidl_save(&uidl, &place), -1);
		assert_int_equal(uidl.lines_size, 9);
		assert_int_equal(fstatat(s->root, HOME "/" UIDL_NAME, &st, 0), 0);
		assert_int_equal(st.st_size, 9);
	}
	fault.reads = 1; /* of the last octet */
	assert_int_equal(maildir_uidl_save(&uidl, &place), -1);
	fault.opens = 1;
	assert_int_equal(maildir_uidl_save(&uidl, &place), -1);
	assert_int_equal(maildir_uidl_save(&uidl, &place), 0);
	assert_int_equal(fstatat(s->root, HOME "/" UIDL_NAME, &st, 0), 0);
	assert_int_equal(st.st_size, 18);
	maildir_uidl_finish(&uidl);
	close(place.dir);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, scratch_begin, scratch_end)

/* What another server hid from POP3. Lines of kinds that are not known are passed over. */
static void test_hidden_messages(void **state)
{
	struct scratch *s = *state;
	struct maildir_uidl uidl;

	make_maildir(s);
	put_lines(s, " origin 1 dovecot\nid1 1.a\n hidden 2.b\\x20c\n hidden\n hidden \n hide 3.d\n"
		     " hidden 4.e\r\n");
	load(s, &uidl);
	assert_true(maildir_uidl_hidden(&uidl, span_of("2.b c")));
	assert_true(maildir_uidl_hidden(&uidl, span_of("4.e")));
	assert_false(maildir_uidl_hidden(&uidl, span_of("1.a")));
	assert_false(maildir_uidl_hidden(&uidl, span_of("3.d")));
	assert_int_equal(maildir_uidl_rank(&uidl, span_of("1.a")), 0);
	assert_false(maildir_uidl_reserved(&uidl, span_of("hidden")));
	maildir_uidl_finish(&uidl);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_no_file),
		TEST(test_lines),
		TEST(test_long_files),
		TEST(test_order),
		TEST(test_hidden_messages),
		TEST(test_notes_are_written_and_read),
		TEST(test_a_first_line_that_cannot_be_flushed),
		TEST(test_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
