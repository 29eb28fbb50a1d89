/* The index's files: what is written is read again, what is damaged is noticed, a prefix is a
 * session. Names, too: what they say and which ids they give. */
#include "maildrop_test.h"

#include "maildrop/index/index.h"
#include "maildrop/index/write.h"
#include "maildrop/maildir/update/log.h"
#include "maildrop/maildir/files/name.h"

#include "base/text.h"
#include "tests/listed.h"

#include <errno.h>
#include <sys/mman.h>

#define ID 0x1122334455667788u

/* A base of n messages "i.name" with octets 10 + i, and an empty delta. */
struct files {
	int base, delta;
	uint64_t delta_size;
};

static void set_message(struct index_message *m, uint32_t i)
{
	memset(m, 0, sizeof(*m));
	m->name_size = (uint8_t)snprintf(m->name, sizeof(m->name), "%u.name.of.some.length:2,S",
					 (unsigned)i);
	m->id_size = (uint8_t)(m->name_size - 4);
	memcpy(m->id, m->name, m->id_size);
	m->octets = 10 + i;
	m->stored = 5 + i;
	m->inode = 1000 + i;
}

static struct files make_files(uint32_t n)
{
	static const struct index_stamp stamps[INDEX_DIRECTORIES];
	struct files f = {memfd_create("base", 0), memfd_create("delta", 0), INDEX_DELTA_HEADER};
	unsigned char header[INDEX_DELTA_HEADER];
	struct index_writer writer;

	assert_int_equal(index_writer_init(&writer, &maildrop_kernel, f.base, ID, n), 0);
	for (uint32_t i = 0; i < n; i++) {
		struct index_message m;

		set_message(&m, i);
		assert_int_equal(index_writer_add(&writer, &m, m.id_size), 0);
	}
	assert_int_equal(index_writer_finish(&writer, stamps), 0);
	index_writer_abort(&writer);
	index_delta_header_encode(ID, header);
	assert_int_equal(pwrite(f.delta, header, sizeof(header), 0), sizeof(header));
	return f;
}

static void drop_files(struct files *f)
{
	close(f->base);
	close(f->delta);
}

static void append(struct files *f, const struct index_change *changes, size_t n)
{
	struct index_batch batch = {0};
	int64_t size;

	for (size_t i = 0; i < n; i++)
		index_batch_add(&batch, &changes[i]);
	size = index_batch_write(&batch, &maildrop_kernel, f->delta, ID, f->delta_size);
	assert_true(size > 0);
	f->delta_size += (uint64_t)size;
	index_batch_finish(&batch);
}

static struct index_change del(uint32_t ordinal)
{
	return (struct index_change){.kind = CHANGE_DEL,
				     .ordinal = ordinal,
				     .octets = 10 + ordinal,
				     .stored = 5 + ordinal,
				     .inode = 1000 + ordinal,
				     .name = SPAN_LITERAL("x")};
}

static int view_of(const struct files *f, uint32_t count, uint64_t octets, struct index_view **ret)
{
	return index_view_create(f->base, f->delta, f->delta_size, count, octets, ret, NULL);
}

static uint64_t total(uint32_t n)
{
	return (uint64_t)n * 10 + (uint64_t)n * (n - 1) / 2;
}

static void a_base_is_read_back(void **state)
{
	/* around the borders of blocks: 127 records, 1,023 hashes */
	static const uint32_t sizes[] = {0, 1, 126, 127, 128, 254, 255, 1023, 1024, 5000};

	(void)state;
	for (size_t s = 0; s < sizeof(sizes) / sizeof(*sizes); s++) {
		struct files f = make_files(sizes[s]);
		struct listed entries[100];
		struct index_view *view;
		uint32_t at = 1;
		int n;

		assert_int_equal(view_of(&f, sizes[s], sizes[s] ? total(sizes[s]) : 0, &view), 0);
		while ((n = listed_read(view, at, entries, 100, NULL)) > 0) {
			for (int i = 0; i < n; i++) {
				struct index_message m;

				set_message(&m, at - 1 + (uint32_t)i);
				assert_int_equal(entries[i].octets, m.octets);
				assert_int_equal(entries[i].unique_id_size, m.id_size);
				assert_memory_equal(entries[i].unique_id, m.id, m.id_size);
			}
			at += (uint32_t)n;
		}
		assert_int_equal(n, 0);
		assert_int_equal(at, sizes[s] + 1);
		assert_int_equal(listed_read(view, sizes[s] + 1, entries, 1, NULL), 0);
		assert_int_equal(listed_read(view, 0, entries, 1, NULL), 0);
		index_view_destroy(view);
		drop_files(&f);
	}
}

static void removed_messages_leave_no_number(void **state)
{
	struct files f = make_files(300);
	struct index_change changes[200];
	struct listed e[128];
	struct index_view *view;
	uint64_t octets = total(300);
	size_t n = 0;

	(void)state;
	/* every third, written in no order */
	for (uint32_t i = 297; n < 100; i -= 3) {
		changes[n++] = del(i);
		octets -= 10 + i;
	}
	append(&f, changes, n);
	assert_int_equal(view_of(&f, 200, octets, &view), 0);
	for (uint32_t number = 1; number <= 200; number += 7) {
		uint32_t ordinal = (number - 1) / 2 * 3 + 1 + (number - 1) % 2;

		assert_int_equal(listed_read(view, number, e, 1, NULL), 1);
		assert_int_equal(e[0].octets, 10 + ordinal);
	}
	assert_int_equal(listed_read(view, 101, e, 128, NULL), 100);
	assert_int_equal(e[99].octets, 10 + 299);
	index_view_destroy(view);
	/* announced totals that are not those of the files */
	assert_int_equal(view_of(&f, 201, octets, &view), -1);
	assert_int_equal(view_of(&f, 200, octets + 1, &view), -1);
	drop_files(&f);
}

static void a_session_is_a_prefix(void **state)
{
	struct files f = make_files(3);
	struct index_change changes[] = {
		{.kind = CHANGE_ADD,
		 .ordinal = 3,
		 .octets = 100,
		 .stored = 90,
		 .id = SPAN_LITERAL("own-id"),
		 .name = SPAN_LITERAL("9.added"),
		 .flags = INDEX_OWN_ID},
		{.kind = CHANGE_SIZE,
		 .ordinal = 1,
		 .octets = 50,
		 .stored = 40,
		 .old_octets = 11,
		 .old_stored = 6},
	};
	struct files before = f;
	struct listed e[5];
	struct index_view *view;

	(void)state;
	append(&f, changes, 2);
	assert_int_equal(view_of(&before, 3, total(3), &view), 0);
	assert_int_equal(listed_read(view, 1, e, 5, NULL), 3);
	assert_int_equal(e[1].octets, 11);
	index_view_destroy(view);
	index_view_destroy(NULL); /* is legal */
	assert_int_equal(view_of(&f, 4, total(3) + 100 + 39, &view), 0);
	assert_int_equal(listed_read(view, 1, e, 5, NULL), 4);
	assert_int_equal(e[1].octets, 50);
	assert_int_equal(e[3].octets, 100);
	assert_memory_equal(e[3].unique_id, "own-id", 6);
	index_view_destroy(view);
	/* a length that ends inside a frame is no session's */
	f.delta_size -= 8;
	assert_int_equal(view_of(&f, 3, total(3), &view), -1);
	drop_files(&f);
}

static void a_group_holds_whole_or_not_at_all(void **state)
{
	enum { N = 3000 };
	struct files f = make_files(N);
	struct index_change *changes = calloc(N, sizeof(*changes));
	struct index_delta delta;
	struct index_header header = {.id = ID, .count = N, .octets = total(N), .stored = 1u << 30};

	(void)state;
	for (uint32_t i = 0; i < N; i++)
		changes[i] = del(i);
	append(&f, changes, N);
	assert_true(f.delta_size > 2 * INDEX_FRAME_MAX);
	index_delta_init(&delta, &header);
	assert_int_equal(index_delta_scan(&delta, &maildrop_kernel, f.delta, UINT64_MAX, NULL), 0);
	assert_int_equal(delta.count, 0);
	assert_int_equal(delta.pending_count, N);
	assert_true(delta.whole);
	index_delta_finish(&delta);
	/* the last octet missing: a power cut while it was written */
	for (int cut = 1; cut < 70000; cut += 9973) {
		assert_int_equal(ftruncate(f.delta, (off_t)f.delta_size - cut), 0);
		index_delta_init(&delta, &header);
		assert_int_equal(
			index_delta_scan(&delta, &maildrop_kernel, f.delta, UINT64_MAX, NULL), 0);
		assert_int_equal(delta.count, N);
		assert_int_equal(delta.pending_count, 0);
		assert_false(delta.whole);
		index_delta_finish(&delta);
		/* and nothing is salvaged of it either */
		index_delta_init(&delta, NULL);
		assert_int_equal(index_delta_salvage(&delta, &maildrop_kernel, f.delta), 0);
		assert_int_equal(delta.pending_count, 0);
		index_delta_finish(&delta);
	}
	free(changes);
	drop_files(&f);
}

/* A writer takes note of its own octets without reading them again. */
static void a_group_taken_is_a_group_scanned(void **state)
{
	enum { N = 3000 };
	struct files f = make_files(N);
	struct index_header header = {.id = ID, .count = N, .octets = total(N), .stored = 1u << 30};
	struct index_delta taken, scanned;
	struct index_batch batch = {0};
	struct index_change change;

	(void)state;
	for (uint32_t i = N; i-- > 1;) {
		change = del(i);
		index_batch_add(&batch, &change);
	}
	assert_int_equal(
		index_batch_write(&batch, &maildrop_kernel, f.delta, ID, INDEX_DELTA_HEADER),
		batch.size);
	index_delta_init(&scanned, &header);
	assert_int_equal(index_delta_scan(&scanned, &maildrop_kernel, f.delta, UINT64_MAX, NULL),
			 0);
	index_delta_init(&taken, &header);
	taken.size = INDEX_DELTA_HEADER;
	assert_int_equal(index_delta_take(&taken, batch.data, batch.size), 0);
	assert_int_equal(taken.size, scanned.size);
	assert_int_equal(taken.count, 1);
	assert_int_equal(taken.octets, scanned.octets);
	assert_int_equal(taken.removed_count, N - 1);
	assert_memory_equal(taken.removed, scanned.removed, (N - 1) * sizeof(*taken.removed));
	assert_int_equal(taken.pending_count, N - 1);
	assert_memory_equal(taken.pending, scanned.pending, (N - 1) * sizeof(*taken.pending));
	index_delta_finish(&taken);
	index_delta_finish(&scanned);
	index_batch_finish(&batch);
	drop_files(&f);
}

/* What contradicts the log, be it only in its last frame, leaves nothing behind in the file. */
static void a_refused_group_leaves_the_log_as_it_was(void **state)
{
	enum { N = 3000 };
	struct files f = make_files(N);
	struct maildir_place place = {.sys = &maildrop_kernel};
	struct maildir_log log = {.place = &place,
				  .index = {.base_fd = f.base, .delta_fd = f.delta, .open = true}};
	struct index_batch batch = {0};
	struct index_change change;

	(void)state;
	assert_int_equal(
		index_open(&log.index.index, &maildrop_kernel, f.base, f.delta, UINT64_MAX, NULL),
		0);
	for (uint32_t i = 0; i <= N; i++) {
		change = del(i % N);
		index_batch_add(&batch, &change);
	}
	assert_int_equal(maildir_log_append(&log, &batch), -1);
	assert_int_equal(log.index.index.delta.size, f.delta_size);
	assert_int_equal(lseek(f.delta, 0, SEEK_END), f.delta_size);
	index_batch_finish(&batch);
	index_close(&log.index.index);
	drop_files(&f);
}

static void deletions_behind_damage_are_salvaged(void **state)
{
	struct files f = make_files(5);
	struct index_change one = del(1), two = del(2), three = del(3);
	struct index_delta delta;
	uint64_t second;

	(void)state;
	append(&f, &one, 1);
	second = f.delta_size;
	append(&f, &two, 1);
	append(&f, &three, 1);
	assert_int_equal(pwrite(f.delta, "?", 1, (off_t)second + 20), 1);
	index_delta_init(&delta, NULL);
	assert_int_equal(index_delta_salvage(&delta, &maildrop_kernel, f.delta), 1);
	assert_int_equal(delta.pending_count, 2);
	index_delta_finish(&delta);
	drop_files(&f);
}

/* The octets of all entries are these, or some reading says that it failed: true, false. */
static bool told_or_failed(struct index_view *view, uint32_t count, bool with_ids,
			   uint64_t (*octets)(uint32_t number))
{
	uint32_t at = 1;
	int n;

	do {
		struct index_entry e[50];

		n = index_view_read(view, at, with_ids, e, 50, NULL);
		for (int i = 0; i < n; i++, at++)
			assert_int_equal(e[i].octets, octets(at));
	} while (n > 0);
	return n == 0 && at == count + 1;
}

static uint64_t without_seventh(uint32_t number)
{
	return 10 + (number - 1) + (number > 7);
}

/* Any one octet of the files changed: every reading fails or tells the truth. */
static void damage_is_never_taken_for_messages(void **state)
{
	struct files f = make_files(200);
	struct index_change change = del(7);
	off_t size = lseek(f.base, 0, SEEK_END);
	int failures[2] = {0};

	(void)state;
	append(&f, &change, 1);
	for (off_t at = 0; at < size; at += 37) {
		struct index_view *view;
		unsigned char was, is;

		assert_int_equal(pread(f.base, &was, 1, at), 1);
		is = was ^ 0x40;
		assert_int_equal(pwrite(f.base, &is, 1, at), 1);
		for (int with_ids = 0; with_ids < 2; with_ids++) {
			if (view_of(&f, 199, total(200) - 17, &view) < 0) {
				failures[with_ids]++;
				continue;
			}
			failures[with_ids] += !told_or_failed(view, 199, with_ids, without_seventh);
			index_view_destroy(view);
		}
		assert_int_equal(pwrite(f.base, &was, 1, at), 1);
	}
	/* only the hashes are not read by a listing: one block of six; by one of sizes, nor are the
	 * two of texts */
	assert_true(failures[1] > size / 37 / 2);
	assert_true(failures[0] > size / 37 / 3 && failures[0] < failures[1]);
	drop_files(&f);
}

static void sizes_are_listed_without_texts(void **state)
{
	struct files f = make_files(500);
	uint64_t texts = 1 + index_record_blocks(500) + index_hash_blocks(500);
	struct index_entry e[500];
	struct index_view *view;
	uint32_t at = 1;
	int n;

	(void)state;
	assert_int_equal(ftruncate(f.base, (off_t)(texts * INDEX_BLOCK)), 0);
	assert_int_equal(view_of(&f, 500, total(500), &view), 0);
	for (; (n = index_view_read(view, at, false, e, 500, NULL)) > 0; at += (uint32_t)n) {
		for (int i = 0; i < n; i++) {
			assert_int_equal(e[i].octets, 10 + at - 1 + (uint32_t)i);
			assert_int_equal(e[i].unique_id.size, 0);
		}
	}
	assert_int_equal(n, 0);
	assert_int_equal(at, 501);
	assert_int_equal(index_view_read(view, 1, true, e, 500, NULL), -1);
	index_view_destroy(view);
	drop_files(&f);
}

/* Removed, counted again and added messages, one at a time and many: the same. */
static void readings_agree_however_long_they_are(void **state)
{
	enum { BASE = 400, ADDED = 300, SIZES = 40 };
	struct files f = make_files(BASE);
	struct index_change *changes = calloc(ADDED + SIZES + 60, sizeof(*changes));
	char(*ids)[61] = calloc(ADDED, sizeof(*ids)); /* more than one reading of the log */
	uint64_t octets = total(BASE);
	struct listed many[BASE + ADDED], one;
	struct index_view *view;
	uint32_t count = BASE + ADDED;
	size_t n = 0;

	(void)state;
	for (uint32_t i = 0; i < ADDED; i++, n++) {
		memset(ids[i], 'a', 60);
		ids[i][snprintf(ids[i], sizeof(ids[i]), "own-%u", (unsigned)i)] = '-';
		changes[n] = (struct index_change){.kind = CHANGE_ADD,
						   .ordinal = BASE + i,
						   .octets = 20 + i,
						   .stored = 15 + i,
						   .id = {ids[i], 60},
						   .name = SPAN_LITERAL("9.added"),
						   .flags = INDEX_OWN_ID};
		octets += 20 + i;
	}
	for (uint32_t i = 0; i < SIZES; i++, n++) {
		uint32_t ordinal = i * 17;
		uint64_t old = ordinal < BASE ? 10 + ordinal : 20 + ordinal - BASE;

		changes[n] = (struct index_change){.kind = CHANGE_SIZE,
						   .ordinal = ordinal,
						   .octets = 7000 + i,
						   .stored = 7000 + i,
						   .old_octets = old,
						   .old_stored = old - 5};
		octets += 7000 + i - old;
	}
	for (uint32_t ordinal = 1; ordinal < BASE; ordinal += 17, n++, count--) {
		changes[n] = del(ordinal);
		octets -= 10 + ordinal;
	}
	append(&f, changes, n);
	assert_int_equal(view_of(&f, count, octets, &view), 0);
	assert_int_equal(listed_read(view, 1, many, BASE + ADDED, NULL), count);
	for (uint32_t number = 1; number <= count; number++) {
		const struct listed *e = &many[number - 1];
		struct index_entry bare;

		assert_int_equal(listed_read(view, number, &one, 1, NULL), 1);
		assert_memory_equal(&one, e, sizeof(one));
		assert_int_equal(index_view_read(view, number, false, &bare, 1, NULL), 1);
		assert_int_equal(bare.octets, one.octets);
		assert_int_equal(bare.unique_id.size, 0);
		octets -= one.octets;
		if (number > count - ADDED)
			assert_memory_equal(e->unique_id, ids[number - 1 - (count - ADDED)], 60);
	}
	assert_int_equal(octets, 0);
	index_view_destroy(view);
	free(changes);
	free(ids);
	drop_files(&f);
}

static void contradictions_are_refused(void **state)
{
	struct index_change bad[][2] = {
		{del(1), del(1)}, /* twice */
		{del(3), del(0)}, /* not there */
		{{.kind = CHANGE_GONE, .ordinal = 9}, del(0)},
		{{.kind = CHANGE_GONE, .octets = 1u << 30}, del(1)}, /* more than there is */
		{{.kind = CHANGE_SIZE, .ordinal = 3}, del(0)},
		{{.kind = CHANGE_SIZE, .octets = UINT64_MAX}, del(1)},
		{{.kind = CHANGE_NAME, .ordinal = 3, .name = SPAN_LITERAL("n")}, del(0)},
		{{.kind = CHANGE_ADD,
		  .ordinal = 5,
		  .name = SPAN_LITERAL("n"),
		  .id = SPAN_LITERAL("n")},
		 del(0)},
		{{.kind = CHANGE_ADD,
		  .ordinal = 3,
		  .octets = UINT64_MAX,
		  .name = SPAN_LITERAL("n"),
		  .id = SPAN_LITERAL("n")},
		 del(0)},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct files f = make_files(3);
		struct index index;

		append(&f, bad[i], 2);
		assert_int_equal(
			index_open(&index, &maildrop_kernel, f.base, f.delta, UINT64_MAX, NULL),
			-1);
		drop_files(&f);
	}
}

static void changes_survive_the_way_through_octets(void **state)
{
	unsigned char buf[INDEX_CHANGE_MAX];
	char id[POP3_UNIQUE_ID_MAX], name[INDEX_NAME_MAX];
	struct index_change in = {.kind = CHANGE_ADD,
				  .ordinal = 77,
				  .flags = INDEX_OWN_ID | INDEX_IN_NEW,
				  .octets = UINT64_C(1) << 40,
				  .stored = 3,
				  .inode = UINT64_MAX,
				  .id = {id, sizeof(id)},
				  .name = {name, sizeof(name)}};
	struct index_change out;
	size_t n;

	(void)state;
	memset(id, 'i', sizeof(id));
	memset(name, '\xff', sizeof(name));
	n = index_change_encode(&in, buf);
	assert_true(n <= sizeof(buf) && n % 8 == 0);
	assert_int_equal(index_change_decode((pop3_span){(char *)buf, n}, &out), n);
	assert_int_equal(out.octets, in.octets);
	assert_int_equal(out.inode, in.inode);
	assert_true(span_equal(out.name, in.name) && span_equal(out.id, in.id));
	for (size_t short_by = 1; short_by <= n; short_by++)
		assert_int_equal(index_change_decode((pop3_span){(char *)buf, n - short_by}, &out),
				 -1);
	/* ids and names that must not come out of an index */
	id[3] = ' ';
	n = index_change_encode(&in, buf);
	assert_int_equal(index_change_decode((pop3_span){(char *)buf, n}, &out), -1);
	id[3] = 'i';
	name[5] = '/';
	n = index_change_encode(&in, buf);
	assert_int_equal(index_change_decode((pop3_span){(char *)buf, n}, &out), -1);
}

static void names_are_understood(void **state)
{
	static const struct {
		const char *name, *unique;
		int64_t stored, octets; /* -1: none */
		uint64_t seconds;
	} cases[] = {
		{"1234.M5P6.host", "1234.M5P6.host", -1, -1, 1234},
		{"1234.M5P6.host:2,FS", "1234.M5P6.host", -1, -1, 1234},
		{"1234.host,S=100,W=103:2,S", "1234.host", 100, 103, 1234},
		{"1234.host,W=103,S=100", "1234.host", 100, 103, 1234},
		{"1234.host,S=100:2,S:2,T", "1234.host", 100, -1, 1234},
		{"1234.host,S=", "1234.host,S=", -1, -1, 1234},
		{"1234.host,S=1x,W=2", "1234.host,S=1x", -1, 2, 1234},
		{"1234.host,U=7,S=3", "1234.host,U=7", 3, -1, 1234},
		{"1234.host,S=-3", "1234.host,S=-3", -1, -1, 1234},
		{"1234.host,S=99999999999999999999", "1234.host,S=99999999999999999999", -1, -1,
		 1234},
		{"99999999999999999999.x", "99999999999999999999.x", -1, -1, 0},
		{"no-time", "no-time", -1, -1, 0},
		{",S=3", ",S=3", -1, -1, 0},
		{":2,S", ":2,S", -1, -1, 0},
		{"a:2,S=5", "a", -1, -1, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		pop3_span name = span_of(cases[i].name);
		struct maildir_name got;

		maildir_name_parse(name, &got);
		assert_true(span_equal((pop3_span){name.data, got.unique_size},
				       span_of(cases[i].unique)));
		assert_int_equal(maildir_name_unique(name), got.unique_size);
		assert_int_equal(got.has_stored ? (int64_t)got.stored : -1, cases[i].stored);
		assert_int_equal(got.has_octets ? (int64_t)got.octets : -1, cases[i].octets);
		assert_int_equal(got.seconds, cases[i].seconds);
	}
}

static void ids_are_what_the_rfc_allows(void **state)
{
	char name[256], id[POP3_UNIQUE_ID_MAX], other[POP3_UNIQUE_ID_MAX];
	static const char *const odd[] = {"with space", "tab\there", "new\nline", "\xc3\xa4"};
	int n;

	(void)state;
	memset(name, 'n', sizeof(name));
	assert_int_equal(maildir_unique_id((pop3_span){name, 70}, 0, id), 70);
	assert_memory_equal(id, name, 70);
	assert_int_equal(maildir_unique_id((pop3_span){name, 71}, 0, id), 32);
	assert_int_equal(maildir_unique_id((pop3_span){name, 255}, 0, other), 32);
	assert_memory_not_equal(id, other, 32);
	for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++) {
		n = maildir_unique_id(span_of(odd[i]), 0, id);
		assert_int_equal(n, 32);
		assert_true(index_id_valid((pop3_span){id, (size_t)n}));
	}
	/* each octet at each place of an id of each length */
	for (size_t size = 1; size <= POP3_UNIQUE_ID_MAX; size++) {
		for (size_t at = 0; at < size; at += size < 20 ? 1 : 7) {
			for (int c = 0; c < 256; c++) {
				memset(name, 0x21 + (int)size % 0x5e, size);
				name[at] = (char)c;
				assert_int_equal(index_id_valid((pop3_span){name, size}),
						 c >= 0x21 && c <= 0x7e);
			}
		}
	}
	/* collisions: one digest after the other, always the same ones */
	maildir_unique_id(SPAN_LITERAL("a"), 2, id);
	maildir_unique_id(SPAN_LITERAL("a"), 3, other);
	assert_memory_not_equal(id, other, 32);
	maildir_unique_id(SPAN_LITERAL("a"), 2, other);
	assert_memory_equal(id, other, 32);
	/* and never the one of another name, which may have any octet but NUL */
	for (int c = 1; c < 256; c++) {
		maildir_unique_id((pop3_span){(char[]){'a', (char)c, '2'}, 3}, 1, other);
		assert_memory_not_equal(id, other, 32);
	}
	maildir_unique_id(SPAN_LITERAL("a2"), 1, other);
	assert_memory_not_equal(id, other, 32);
}

static void put_word(unsigned char *at, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		at[i] = (unsigned char)(value >> 8 * i);
}

/* Each field alone, whatever the sum over all of them says. */
static void frames_that_are_none(void **state)
{
	static const struct {
		unsigned at;
		uint32_t value;
		bool good;
	} cases[] = {{4, 0, false},
		     {4, 4, false},
		     {4, 8, true},
		     {4, INDEX_FRAME_MAX - INDEX_FRAME_HEADER, true},
		     {4, INDEX_FRAME_MAX - INDEX_FRAME_HEADER + 8, false},
		     {8, 3, true},
		     {8, 4, false},
		     {0, 0, false}};
	unsigned char frame[INDEX_FRAME_HEADER + 16] = {0}, other[sizeof(frame)];
	struct index_frame fields = {.size = 16, .first = true}, got;

	(void)state;
	index_frame_seal(frame, &fields, 1, 2);
	assert_int_equal(index_frame_decode(frame, &got), 0);
	assert_int_equal(got.size, 16);
	assert_true(got.first && !got.more);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		memcpy(other, frame, sizeof(frame));
		put_word(other + cases[i].at, cases[i].value);
		if ((index_frame_decode(other, &got) == 0) != cases[i].good)
			fail_msg("case %zu", i);
	}
}

static bool no_randomness;

int __real_random_octets(void *octets, size_t size);
int __wrap_random_octets(void *octets, size_t size);

int __wrap_random_octets(void *octets, size_t size)
{
	return no_randomness ? -1 : __real_random_octets(octets, size);
}

/* A name that could be another message's is none. */
static void no_fresh_name_without_randomness(void **state)
{
	char name[MAILDIR_FRESH_NAME_MAX];

	(void)state;
	no_randomness = true;
	assert_int_equal(maildir_fresh_name(1700000000, 42, "host", name), -1);
	no_randomness = false;
	assert_true(maildir_fresh_name(1700000000, 42, "host", name) > 0);
}

static void fresh_names_are_plain(void **state)
{
	char name[MAILDIR_FRESH_NAME_MAX], other[MAILDIR_FRESH_NAME_MAX];
	struct maildir_name parsed;
	int n;

	(void)state;
	n = maildir_fresh_name(1700000000, 42, "bad/host:name,S=1 \x80", name);
	assert_int_equal(n, strlen(name));
	assert_null(strpbrk(name, "/:, \x80"));
	maildir_name_parse((pop3_span){name, (size_t)n}, &parsed);
	assert_int_equal(parsed.unique_size, n);
	assert_int_equal(parsed.seconds, 1700000000);
	maildir_fresh_name(1700000000, 42, "bad/host:name,S=1 \x80", other);
	assert_string_not_equal(name, other);
	maildir_fresh_name(UINT64_MAX, 999999,
			   "a-name-that-is-much-longer-than-any-host-name-should-be.example.org.",
			   name);
	assert_true(index_id_valid(span_of(name)) || strlen(name) > POP3_UNIQUE_ID_MAX);
}

/* Totals that have no place in an index are refused with the message that makes them so, and what
 * was written before stays right. */
static void totals_that_are_too_large(void **state)
{
	static const struct {
		uint64_t octets, stored;
	} refused[] = {{11, 0}, {0, 11}, {INT64_MAX, INT64_MAX}};
	struct index_writer writer;
	struct index_message m;
	int fd = memfd_create("base", 0);

	(void)state;
	assert_int_equal(index_writer_init(&writer, &maildrop_kernel, fd, ID, 5), 0);
	set_message(&m, 0);
	m.octets = m.stored = INT64_MAX - 10;
	assert_int_equal(index_writer_add(&writer, &m, m.id_size), 0);
	for (unsigned i = 0; i < 3; i++) {
		set_message(&m, i + 1);
		m.octets = refused[i].octets;
		m.stored = refused[i].stored;
		errno = 0;
		assert_int_equal(index_writer_add(&writer, &m, m.id_size), -1);
		assert_int_equal(errno, EFBIG);
	}
	m.octets = m.stored = 10;
	assert_int_equal(index_writer_add(&writer, &m, m.id_size), 0);
	assert_int_equal(writer.header.count, 2);
	assert_int_equal(writer.header.octets, INT64_MAX);
	assert_int_equal(writer.header.stored, INT64_MAX);
	index_writer_abort(&writer);
	close(fd);
}

/* Threat 45: a million messages, totals beyond 32 bits, bounded memory in the reader. */
static void test_threat_45_large_maildrops(void **state)
{
	enum { N = 1000000 };
	static const struct index_stamp stamps[INDEX_DIRECTORIES];
	struct files f = make_files(0);
	struct index_writer writer;
	struct listed e[64];
	struct index_view *view;
	uint64_t sum = 0;

	(void)state;
	assert_int_equal(index_writer_init(&writer, &maildrop_kernel, f.base, ID, N), 0);
	for (uint32_t i = 0; i < N; i++) {
		struct index_message m;

		set_message(&m, i);
		m.octets = (uint64_t)1 << (i % 34);
		sum += m.octets;
		assert_int_equal(index_writer_add(&writer, &m, m.id_size), 0);
	}
	assert_int_equal(index_writer_finish(&writer, stamps), 0);
	index_writer_abort(&writer);
	assert_true(sum > UINT32_MAX);
	assert_int_equal(view_of(&f, N, sum, &view), 0);
	assert_int_equal(listed_read(view, N, e, 64, NULL), 1);
	assert_int_equal(e[0].octets, (uint64_t)1 << ((N - 1) % 34));
	assert_int_equal(listed_read(view, 500000, e, 64, NULL), 64);
	assert_int_equal(e[63].octets, (uint64_t)1 << (500062 % 34));
	index_view_destroy(view);
	drop_files(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_base_is_read_back),
		cmocka_unit_test(removed_messages_leave_no_number),
		cmocka_unit_test(a_session_is_a_prefix),
		cmocka_unit_test(a_group_holds_whole_or_not_at_all),
		cmocka_unit_test(a_group_taken_is_a_group_scanned),
		cmocka_unit_test(a_refused_group_leaves_the_log_as_it_was),
		cmocka_unit_test(deletions_behind_damage_are_salvaged),
		cmocka_unit_test(damage_is_never_taken_for_messages),
		cmocka_unit_test(sizes_are_listed_without_texts),
		cmocka_unit_test(readings_agree_however_long_they_are),
		cmocka_unit_test(contradictions_are_refused),
		cmocka_unit_test(changes_survive_the_way_through_octets),
		cmocka_unit_test(names_are_understood),
		cmocka_unit_test(ids_are_what_the_rfc_allows),
		cmocka_unit_test(fresh_names_are_plain),
		cmocka_unit_test(no_fresh_name_without_randomness),
		cmocka_unit_test(frames_that_are_none),
		cmocka_unit_test(totals_that_are_too_large),
		cmocka_unit_test(test_threat_45_large_maildrops),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
