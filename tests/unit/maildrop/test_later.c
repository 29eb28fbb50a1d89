/*
 * Files of the index that a later version wrote: kinds of changes and flags that are not known are
 * skipped and kept, a version that is not known is left exactly as it is.
 */
#include "maildrop_test.h"

#include "maildrop/index/index.h"
#include "maildrop/index/write.h"
#include "maildrop/maildir/update/log.h"

#include "base/crc32c.h"
#include "base/text.h"

#include <sys/mman.h>

#define KIND 200 /* of a change that no version of today writes */
#define FILE_OCTETS_MAX (1 << 20)

static const struct maildrop_quota no_quota;
static const uint32_t one[] = {1}, two[] = {2};

/* A change of an unknown kind with this text; lives until the next call. */
static struct index_change later(uint32_t ordinal, const char *text)
{
	static unsigned char octets[INDEX_CHANGE_MAX];
	size_t size = 16 + ((strlen(text) + 7) & ~(size_t)7);

	memset(octets, 0, sizeof(octets));
	octets[0] = KIND;
	octets[8] = 0xff; /* its flags are nobody's business */
	octets[10] = (unsigned char)size;
	octets[11] = (unsigned char)(size >> 8);
	memcpy(octets + 16, text, strlen(text));
	return (struct index_change){
		.kind = CHANGE_UNKNOWN, .ordinal = ordinal, .record = {(const char *)octets, size}};
}

static void fill(struct scratch *s, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		char name[64], text[64];

		snprintf(name, sizeof(name), "cur/%u.m.host:2,", 1000 + i);
		snprintf(text, sizeof(text), "message %u\n", i);
		put_file(s, name, text);
	}
}

static void look(struct scratch *s, uint32_t count, const char *first)
{
	struct maildrop *m = open_session(s);

	assert_int_equal(session_count(m), count);
	assert_entry(m, 1, first, strlen("message 1\r\n"));
	maildrop_sweep(m);
	maildrop_close(m);
}

static int open_file(struct scratch *s, const char *name)
{
	char path[100];
	int fd;

	snprintf(path, sizeof(path), HOME "/%s", name);
	fd = openat(s->root, path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static void log_open(struct scratch *s, struct index *ret, int fds[2])
{
	struct err err = {0};

	fds[0] = open_file(s, "valija-base");
	fds[1] = open_file(s, "valija-delta");
	if (index_open(ret, &maildrop_kernel, fds[0], fds[1], UINT64_MAX, &err) < 0)
		fail_msg("%s", err.text);
}

static void log_close(struct index *index, const int fds[2])
{
	index_close(index);
	close(fds[0]);
	close(fds[1]);
}

/* As a later version would append. */
static void append_later(struct scratch *s, uint32_t ordinal, const char *text)
{
	struct index_change change = later(ordinal, text);
	struct index_batch batch = {0};
	struct index index;
	int fds[2];

	log_open(s, &index, fds);
	index_batch_add(&batch, &change);
	assert_true(index_batch_write(&batch, &maildrop_kernel, fds[1], index.header.id,
				      index.delta.size) > 0);
	index_batch_finish(&batch);
	log_close(&index, fds);
}

/* The unknown changes of the log are these, in this order; returns the base's id. */
static uint64_t assert_later(struct scratch *s, const char *const *texts, size_t n,
			     uint32_t ordinal)
{
	struct index index;
	uint64_t id;
	int fds[2];

	log_open(s, &index, fds);
	id = index.header.id;
	assert_int_equal(index.delta.unknown_count, n);
	for (size_t i = 0; i < n; i++) {
		struct index_change want = later(ordinal, texts[i]), is;
		unsigned char buf[INDEX_CHANGE_MAX];

		assert_int_equal(index_delta_read(&maildrop_kernel, fds[1], index.delta.unknown[i],
						  buf, &is, NULL),
				 0);
		assert_int_equal(is.kind, CHANGE_UNKNOWN);
		assert_int_equal(is.ordinal, ordinal);
		assert_int_equal(is.record.size, want.record.size);
		assert_memory_equal(is.record.data + 8, want.record.data + 8, is.record.size - 8);
		assert_int_equal((unsigned char)is.record.data[0], KIND);
	}
	log_close(&index, fds);
	return id;
}

/* Unknown changes before, between and behind known ones, two at once too. */
static void unknown_kinds_are_skipped(void **state)
{
	static const char *const texts[] = {"before", "between", "twice", "behind"};
	struct scratch *s = *state;
	struct maildrop *m;

	make_maildir(s);
	fill(s, 5);
	look(s, 5, "1000.m.host");
	append_later(s, 0, texts[0]);
	delete_messages(s, one, 1);
	append_later(s, 0, texts[1]);
	append_later(s, 0, texts[2]);
	delete_messages(s, two, 1);
	append_later(s, 0, texts[3]);
	look(s, 3, "1001.m.host");
	assert_int_equal(deliver_text(s, "A: b\r\n\r\n", no_quota, NULL), MAILDROP_OK);
	m = open_session(s);
	assert_int_equal(session_count(m), 4);
	assert_entry(m, 2, "1003.m.host", strlen("message 3\r\n"));
	assert_entry(m, 3, "1004.m.host", strlen("message 4\r\n"));
	maildrop_close(m);
	assert_later(s, texts, 4, 0);
}

/* A crash of the later version in the middle of its change: cut off, as any other. */
static void a_torn_unknown_change_is_cut_off(void **state)
{
	static const char *const texts[] = {"whole"};
	struct scratch *s = *state;
	struct stat whole, torn;
	struct maildrop *m;
	int fd;

	make_maildir(s);
	fill(s, 3);
	look(s, 3, "1000.m.host");
	append_later(s, INDEX_NO_ORDINAL, "whole");
	fd = open_file(s, "valija-delta");
	assert_int_equal(fstat(fd, &whole), 0);
	append_later(s, INDEX_NO_ORDINAL, "a longer text that is not written to its end");
	assert_int_equal(fstat(fd, &torn), 0);
	for (off_t end = torn.st_size - 1; end > whole.st_size; end -= 9) {
		assert_int_equal(ftruncate(fd, end), 0);
		m = open_session(s);
		assert_int_equal(session_count(m), 3);
		maildrop_close(m);
	}
	close(fd);
	delete_messages(s, one, 1);
	look(s, 2, "1001.m.host");
	assert_later(s, texts, 1, INDEX_NO_ORDINAL);
}

/* So much into the log that the next sweep writes a new base. */
static void lengthen_log(struct scratch *s)
{
	struct index_batch batch = {0};
	struct index index;
	int fds[2];

	log_open(s, &index, fds);
	for (int i = 0; i < 3000; i++)
		index_batch_add(&batch, &(struct index_change){.kind = CHANGE_VERIFIED,
							       .ordinal = index.delta.verified});
	for (int i = 0; i < 1000; i++)
		index_batch_add(&batch, &(struct index_change){.kind = CHANGE_STAMP,
							       .directory = INDEX_CUR,
							       .stamp = index.delta.stamps[1]});
	assert_true(index_batch_write(&batch, &maildrop_kernel, fds[1], index.header.id,
				      index.delta.size) > 0);
	index_batch_finish(&batch);
	log_close(&index, fds);
}

/* A new base: the change is carried along, twice, and says of no message of it that it is its. */
static void unknown_changes_outlive_a_new_base(void **state)
{
	static const char *const texts[] = {"a", "of a message that goes"};
	struct scratch *s = *state;
	uint64_t before, after;
	struct index index;
	int fds[2];

	make_maildir(s);
	fill(s, 4);
	look(s, 4, "1000.m.host");
	append_later(s, 2, texts[0]);
	append_later(s, 0, texts[1]);
	delete_messages(s, one, 1);
	log_open(s, &index, fds);
	before = index.header.id;
	log_close(&index, fds);
	for (int round = 0; round < 2; round++) {
		lengthen_log(s);
		look(s, 3, "1001.m.host");
		after = assert_later(s, texts, 2, INDEX_NO_ORDINAL);
		assert_true(after != before);
		before = after;
	}
}

static void damage(struct scratch *s, const char *name, off_t at)
{
	int fd = open_file(s, name);

	assert_int_equal(pwrite(fd, "\xa5\x5a", 2, at), 2);
	close(fd);
}

/* An index that is built again, for four reasons, with a pending deletion beside it. */
static void unknown_changes_outlive_a_rebuilt_index(void **state)
{
	static const char *const texts[] = {"first", "second"};
	struct scratch *s = *state;
	struct maildrop *m;

	make_maildir(s);
	fill(s, 4);
	look(s, 4, "1000.m.host");
	append_later(s, 1, texts[0]);
	append_later(s, INDEX_NO_ORDINAL, texts[1]);
	m = open_session(s);
	assert_int_equal(maildrop_commit(m, one, 1, NULL), MAILDROP_OK);
	maildrop_close(m);
	damage(s, "valija-base", 100);
	m = open_session(s);
	assert_int_equal(session_count(m), 3);
	maildrop_close(m);
	assert_later(s, texts, 2, INDEX_NO_ORDINAL);
	remove_file(s, "valija-base");
	look(s, 3, "1001.m.host");
	assert_later(s, texts, 2, INDEX_NO_ORDINAL);
	damage(s, "valija-base", 4096 + 50); /* met when cur/ is compared */
	move_file(s, "cur/1001.m.host:2,", "cur/1001.m.host:2,S");
	look(s, 3, "1001.m.host");
	assert_later(s, texts, 2, INDEX_NO_ORDINAL);
	m = open_session(s);
	maildrop_index_wrong(m);
	maildrop_sweep(m);
	maildrop_close(m);
	assert_later(s, texts, 2, INDEX_NO_ORDINAL);
	assert_false(has_file(s, "cur/1000.m.host:2,"));
}

/* What has no size that can be skipped is damage, of any kind. */
static void unknown_kinds_without_a_good_size_are_damage(void **state)
{
	static const unsigned sizes[] = {0, 8, 15, 20, 32, 392, 65528};
	unsigned char buf[1024];
	struct index_change change = later(3, "text"), out;

	(void)state;
	memset(buf, 0, sizeof(buf));
	memcpy(buf, change.record.data, change.record.size);
	assert_int_equal(change.record.size, 24);
	assert_int_equal(index_change_decode((pop3_span){(char *)buf, 24}, &out), 24);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		buf[10] = (unsigned char)sizes[i];
		buf[11] = (unsigned char)(sizes[i] >> 8);
		assert_int_equal(index_change_decode((pop3_span){(char *)buf, 24}, &out), -1);
	}
	buf[10] = 24, buf[11] = 0, buf[0] = 0;
	assert_int_equal(index_change_decode((pop3_span){(char *)buf, 24}, &out), -1);
	for (unsigned kind = CHANGE_FLUSHED + 1; kind < 256; kind++) {
		buf[0] = (unsigned char)kind;
		assert_int_equal(index_change_decode((pop3_span){(char *)buf, 24}, &out), 24);
		assert_int_equal(out.kind, CHANGE_UNKNOWN);
	}
}

/* Flags of a later version: nobody minds them, and they stay, in the log, the base and the next
 * base. */
static void unknown_flags_are_kept(void **state)
{
	const uint16_t flag = 1u << 9;
	struct scratch *s = *state;
	struct index_batch batch = {0};
	struct index_message message;
	struct index index;
	int fds[2];

	make_maildir(s);
	fill(s, 2);
	look(s, 2, "1000.m.host");
	put_file(s, "cur/1002.m.host:2,", "message 2\n");
	log_open(s, &index, fds);
	index_batch_add(&batch, &(struct index_change){.kind = CHANGE_ADD,
						       .ordinal = 2,
						       .flags = flag,
						       .octets = strlen("message 2\r\n"),
						       .stored = strlen("message 2\n"),
						       .id = SPAN_LITERAL("1002.m.host"),
						       .name = SPAN_LITERAL("1002.m.host:2,")});
	assert_true(index_batch_write(&batch, &maildrop_kernel, fds[1], index.header.id,
				      index.delta.size) > 0);
	index_batch_finish(&batch);
	log_close(&index, fds);
	for (int round = 0; round < 3; round++) {
		look(s, 3, "1000.m.host");
		log_open(s, &index, fds);
		assert_int_equal(index_read(&index, 2, &message, NULL), 0);
		assert_int_equal(message.flags & flag, flag);
		assert_int_equal(index.header.count, round ? 3 : 2);
		log_close(&index, fds);
		lengthen_log(s);
	}
	move_file(s, "cur/1002.m.host:2,", "cur/1002.m.host:2,S");
	look(s, 3, "1000.m.host");
	log_open(s, &index, fds);
	assert_int_equal(index_read(&index, 2, &message, NULL), 0);
	assert_string_equal(message.name, "1002.m.host:2,S");
	assert_int_equal(message.flags & flag, flag);
	log_close(&index, fds);
}

/* -- a later version of a whole file -- */

enum which { BASE = 1, DELTA = 2 };

/* With a good checksum: as a later version might write it; or without, as one with another kind of
 * checksum would look to us. */
static void set_version(struct scratch *s, const char *name, unsigned version, bool sealed)
{
	unsigned char octets[INDEX_BLOCK];
	int fd = open_file(s, name);
	bool base = strcmp(name, "valija-base") == 0;
	size_t n = base ? INDEX_BLOCK : INDEX_DELTA_HEADER;
	uint64_t id;

	assert_int_equal(pread(fd, octets, n, 0), n);
	octets[8] = (unsigned char)version;
	memcpy(&id, octets + 16, sizeof(id)); /* tests run where the octets are in order */
	if (sealed && base) {
		index_block_seal(octets, id, 0);
	} else if (sealed) {
		uint32_t crc = crc32c(0, octets, 28);

		for (int i = 0; i < 4; i++)
			octets[28 + i] = (unsigned char)(crc >> 8 * i);
	}
	assert_int_equal(pwrite(fd, octets, n, 0), n);
	close(fd);
}

static void set_versions(struct scratch *s, unsigned which, unsigned version, bool sealed)
{
	if (which & BASE)
		set_version(s, "valija-base", version, sealed);
	if (which & DELTA)
		set_version(s, "valija-delta", version, sealed);
}

struct contents {
	size_t size[3];
	char *data[3];
	ino_t inode[3];
};
static const char *const files[] = {"valija-base", "valija-delta", "valija-uidl"};

static struct contents contents_of(struct scratch *s)
{
	struct contents c = {0};

	for (int i = 0; i < 3; i++) {
		struct stat st;
		int fd;

		if (!has_file(s, files[i]))
			continue;
		fd = open_file(s, files[i]);
		assert_int_equal(fstat(fd, &st), 0);
		assert_true(st.st_size < FILE_OCTETS_MAX);
		c.size[i] = (size_t)st.st_size;
		c.inode[i] = st.st_ino;
		c.data[i] = malloc(c.size[i] + 1);
		assert_int_equal(pread(fd, c.data[i], c.size[i], 0), c.size[i]);
		close(fd);
	}
	return c;
}

static void assert_same(struct scratch *s, struct contents *before)
{
	struct contents now = contents_of(s);

	for (int i = 0; i < 3; i++) {
		assert_int_equal(now.size[i], before->size[i]);
		assert_int_equal(now.inode[i], before->inode[i]);
		if (now.size[i])
			assert_memory_equal(now.data[i], before->data[i], now.size[i]);
		free(now.data[i]);
		free(before->data[i]);
	}
	assert_false(has_file(s, "valija-base.new") || has_file(s, "valija-delta.new"));
}

/* Whoever comes is sent away with the same words, and mail is put off. */
static void assert_refused(struct scratch *s)
{
	const struct maildrop_quota quota = {.max_messages = 100};
	struct contents before = contents_of(s);
	int in_new = count_files(s, "new", NULL), in_tmp = count_files(s, "tmp", NULL);
	struct maildrop_usage usage;
	struct err err = {0};
	struct maildrop *m;

	assert_int_equal(maildrop_open_now(&s->settings, s->root, HOME, &m), MAILDROP_WAIT);
	assert_int_equal(maildrop_open(&s->settings, s->root, HOME, &m, &err), MAILDROP_TEMP);
	assert_non_null(strstr(err.text, "written by a newer version"));
	assert_non_null(strstr(err.text, "run the newer version again"));
	assert_int_equal(maildrop_usage(&s->settings, s->root, HOME, &usage, &err), MAILDROP_TEMP);
	assert_int_equal(deliver_text(s, "A: b\r\n\r\n", no_quota, &err), MAILDROP_TEMP);
	assert_non_null(strstr(err.text, "written by a newer version"));
	assert_int_equal(deliver_text(s, "A: b\r\n\r\n", quota, &err), MAILDROP_TEMP);
	assert_int_equal(count_files(s, "new", NULL), in_new);
	assert_int_equal(count_files(s, "tmp", NULL), in_tmp);
	assert_same(s, &before);
}

/* A Maildir of four messages, the first deleted, its file there still. */
static void with_pending_deletion(struct scratch *s)
{
	struct maildrop *m;

	make_maildir(s);
	fill(s, 4);
	look(s, 4, "1000.m.host");
	m = open_session(s);
	assert_int_equal(maildrop_commit(m, one, 1, NULL), MAILDROP_OK);
	maildrop_close(m);
}

static void a_later_version_is_left_as_it_is(void **state)
{
	static const unsigned versions[] = {2, 3, 255};
	struct scratch *s = *state;

	with_pending_deletion(s);
	for (unsigned which = BASE; which <= (BASE | DELTA); which++)
		for (size_t i = 0; i < 3; i++) {
			set_versions(s, which, versions[i], i != 1);
			assert_refused(s);
			set_versions(s, which, 1, true);
		}
	assert_true(has_file(s, "cur/1000.m.host:2,"));
	look(s, 3, "1001.m.host");
	assert_false(has_file(s, "cur/1000.m.host:2,"));
}

/* Its log keeps what it has, whatever there is of the base. */
static void a_later_log_outlives_the_base(void **state)
{
	struct scratch *s = *state;

	with_pending_deletion(s);
	set_versions(s, DELTA, 2, true);
	damage(s, "valija-base", 100);
	assert_refused(s);
	remove_file(s, "valija-base");
	assert_refused(s);
	set_versions(s, DELTA, 1, true);
	look(s, 3, "1001.m.host");
}

/* A later base, and a log that is damaged or away. */
static void a_later_base_outlives_the_log(void **state)
{
	struct scratch *s = *state;
	struct maildrop *m;

	make_maildir(s);
	fill(s, 3);
	look(s, 3, "1000.m.host");
	set_versions(s, BASE, 2, true);
	damage(s, "valija-delta", 3);
	assert_refused(s);
	remove_file(s, "valija-delta");
	assert_refused(s);
	set_versions(s, BASE, 1, true);
	m = open_session(s);
	assert_int_equal(session_count(m), 3);
	maildrop_close(m);
}

/* The later version came while a session of ours was open: it deletes nothing, and tidies nothing
 * up. */
static void a_session_that_is_overtaken_changes_nothing(void **state)
{
	struct scratch *s = *state;
	struct contents before;
	struct err err = {0};
	struct maildrop *m;

	for (unsigned which = BASE; which <= (BASE | DELTA); which++) {
		if (which == BASE) {
			with_pending_deletion(s);
			put_file(s, "new/2000.m.host", "fresh\n");
		}
		m = open_session(s);
		set_versions(s, which, 2, true);
		before = contents_of(s);
		maildrop_body_wrong(m, 1, NULL);
		maildrop_index_wrong(m);
		assert_int_equal(maildrop_commit(m, two, 1, &err), MAILDROP_TEMP);
		assert_non_null(strstr(err.text, "written by a newer version"));
		maildrop_sweep(m);
		maildrop_close(m);
		assert_same(s, &before);
		assert_true(has_file(s, "cur/1000.m.host:2,"));
		assert_true(has_file(s, "new/2000.m.host"));
		set_versions(s, which, 1, true);
	}
	look(s, 4, "1001.m.host");
}

/* Versions that there will never be are damage, and healed; so is a version before the first. */
static void no_version_at_all_is_damage(void **state)
{
	struct scratch *s = *state;
	int fd;

	with_pending_deletion(s);
	set_versions(s, BASE, 0, true);
	look(s, 3, "1001.m.host");
	fd = open_file(s, "valija-base");
	assert_int_equal(pwrite(fd, "\x02\x01", 2, 8), 2);
	close(fd);
	look(s, 3, "1001.m.host");
}

/* Lines of valija-uidl that are no pairs are a later version's: skipped, and kept. */
static void unknown_lines_of_ids_are_kept(void **state)
{
	static const char text[] = " later kind of line\n2000.x 1001.m.host\n again\n";
	struct scratch *s = *state;
	struct contents c;
	int fd;

	make_maildir(s);
	fill(s, 3);
	fd = openat(s->root, HOME "/valija-uidl", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	/* one id for two: a line is added */
	put_file(s, "cur/2000.x:2,", "message 9\n");
	for (int round = 0; round < 2; round++) {
		struct maildrop *m = open_session(s);

		assert_int_equal(session_count(m), 4);
		assert_entry(m, 1, "1000.m.host", strlen("message 1\r\n"));
		assert_entry(m, 2, "2000.x", strlen("message 1\r\n"));
		maildrop_close(m);
		c = contents_of(s);
		assert_true(c.size[2] > strlen(text));
		assert_memory_equal(c.data[2], text, strlen(text));
		for (int i = 0; i < 3; i++)
			free(c.data[i]);
		remove_file(s, "valija-base");
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_begin, scratch_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(unknown_kinds_are_skipped),
		TEST(a_torn_unknown_change_is_cut_off),
		TEST(unknown_changes_outlive_a_new_base),
		TEST(unknown_changes_outlive_a_rebuilt_index),
		cmocka_unit_test(unknown_kinds_without_a_good_size_are_damage),
		TEST(unknown_flags_are_kept),
		TEST(a_later_version_is_left_as_it_is),
		TEST(a_later_log_outlives_the_base),
		TEST(a_later_base_outlives_the_log),
		TEST(a_session_that_is_overtaken_changes_nothing),
		TEST(no_version_at_all_is_damage),
		TEST(unknown_lines_of_ids_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
