/* Small messages of an mbox by value: many from one piece of the file, each checked, and none that
 * another program has changed, holds, or that is not in memory. */
#include "mbox_test.h"

#include "maildrop/store.h"
#include "maildrop/store_bodies.h"

#include "base/text.h"

enum { MANY = 60, ROOM = 2 * STORE_VALUE_MAX };

static char room[ROOM];
static struct store_value values[MANY];

static struct store_fetch wanted(uint32_t first, uint32_t count, uint32_t size)
{
	return (struct store_fetch){.first = first,
				    .count = count,
				    .room = room,
				    .room_size = size,
				    .values = values,
				    .body = {.fd = -1}};
}

static struct store_fetch fetched(struct maildrop *m, uint32_t first, uint32_t count, uint32_t size)
{
	struct store_fetch op = wanted(first, count, size);

	memset(room, '#', sizeof(room));
	store_bodies(m, &op);
	return op;
}

/* On the loop: the settings say that the filesystem is a local one. */
static struct store_fetch fetched_now(struct maildrop *m, uint32_t first, uint32_t count,
				      uint32_t size)
{
	struct store_fetch op = wanted(first, count, size);

	memset(room, '#', sizeof(room));
	if (store_bodies_now(m, &op))
		assert_true(op.ready);
	else
		assert_int_equal(op.ready, 0);
	return op;
}

static void expect(const struct store_fetch *op, uint32_t first, uint32_t count, const char *text)
{
	uint64_t used = 0;

	assert_int_equal(op->ready, count);
	assert_int_equal(op->form, STORE_VALUES);
	assert_int_equal(op->used, strlen(text));
	assert_memory_equal(room, text, strlen(text));
	assert_int_equal(room[strlen(text)], '#'); /* nothing behind it */
	for (uint32_t i = 0; i < count; i++) {
		assert_int_equal(values[i].number, first + i);
		used += values[i].stored;
	}
	assert_int_equal(used, op->used);
}

#define SHOWN_ONE "Subject: one\n\nbody one\n"
#define SHOWN_TWO "Subject: two\n\nbody two\n"
#define SHOWN_THREE "Subject: three\n\n.body three\n"

static void as_many_as_have_room(void **state)
{
	struct scratch *s = *state;
	struct maildrop *m;
	struct store_fetch op;
	uint32_t two = strlen(ONE) + strlen(TWO) - 2 * strlen(FROM); /* as they are stored */

	put(s, ONE "\n" TWO "\n" THREE, O_TRUNC);
	m = opened(s);
	for (int now = 0; now <= 1; now++) {
		struct store_fetch (*fetch)(struct maildrop *, uint32_t, uint32_t, uint32_t) =
			now ? fetched_now : fetched;

		op = fetch(m, 1, 3, ROOM);
		expect(&op, 1, 3, SHOWN_ONE SHOWN_TWO SHOWN_THREE);
		assert_int_equal(values[0].octets, strlen(SHOWN_ONE) + 3);
		assert_int_equal(values[2].octets, strlen(SHOWN_THREE) + 3);
		op = fetch(m, 1, 3, two);
		expect(&op, 1, 2, SHOWN_ONE SHOWN_TWO);
		op = fetch(m, 3, 1, ROOM);
		expect(&op, 3, 1, SHOWN_THREE);
		op = fetch(m, 2, 1, ROOM);
		expect(&op, 2, 1, SHOWN_TWO);
	}
	maildrop_close(m);
}

/* Files that end, begin and break lines in other ways. */
static void odd_files(void **state)
{
	static const struct {
		const char *file, *first, *second;
	} files[] = {
		{FROM "A: b\n\nno end\n\n" FROM "C: d\n\nno line end", "A: b\n\nno end\n",
		 "C: d\n\nno line end"},
		{FROM "A: b\r\n\r\nx\r\n\r\n" FROM "C: d\r\n\r\ny\r\n\r\n", "A: b\r\n\r\nx\r\n",
		 "C: d\r\n\r\ny\r\n"},
		{"\n\n" FROM "A: b\n\n\n\n" FROM "C: d\n\n", "A: b\n\n\n", "C: d\n\n"},
		{FROM "A: b\nStatus: O\n going on\nStatusx: c\n\nx\n\n" FROM "X-UID: 1\n\nb\n",
		 "A: b\nStatusx: c\n\nx\n", "\nb\n"},
		{FROM "Content-Length: 45\n\n\n" FROM "\n" FROM "C: d\n\nx\n", NULL, NULL},
	};
	struct scratch *s = *state;

	for (unsigned i = 0; i < sizeof(files) / sizeof(*files); i++) {
		struct store_fetch op;
		struct maildrop *m;
		char both[200];

		put(s, files[i].file, O_TRUNC);
		m = opened(s);
		for (int now = 0; now <= 1; now++) {
			op = (now ? fetched_now : fetched)(m, 1, m->snapshot.count, ROOM);
			assert_int_equal(op.ready, m->snapshot.count);
			for (uint32_t n = 1; n <= m->snapshot.count; n++) {
				/* as one by one, which is shown by another way */
				op = fetched(m, n, 1, ROOM);
				room[op.used] = '\0';
				assert_body(m, n, room);
			}
			if (!files[i].first)
				continue;
			op = (now ? fetched_now : fetched)(m, 1, 2, ROOM);
			snprintf(both, sizeof(both), "%s%s", files[i].first, files[i].second);
			expect(&op, 1, 2, both);
		}
		maildrop_close(m);
	}
}

static void put_many(struct scratch *s, size_t size)
{
	static char text[STORE_VALUE_MAX + 1000];

	for (int i = 0; i < MANY; i++) {
		int n = snprintf(text, sizeof(text), "%s" FROM "Subject: %d\nStatus: RO\n\n",
				 i ? "\n" : "", i);

		memset(text + n, 'x', size);
		snprintf(text + n + size, sizeof(text) - (size_t)n - size, "\n");
		put(s, text, i ? O_APPEND : O_TRUNC);
	}
}

/* All of them, in batches that end anywhere in a piece. */
static void many(void **state)
{
	struct scratch *s = *state;
	struct maildrop *m;

	put_many(s, 3000);
	m = opened(s);
	for (uint32_t size = 3100; size < ROOM; size += 12345) {
		uint32_t next = 1;

		while (next <= MANY) {
			struct store_fetch op = fetched_now(m, next, MANY - next + 1, size);
			uint32_t at = 0;

			assert_true(op.ready);
			for (uint32_t i = 0; i < op.ready; i++, next++) {
				char head[40];
				int n = snprintf(head, sizeof(head), "Subject: %u\n\nx", next - 1);

				assert_memory_equal(room + at, head, n);
				assert_int_equal(values[i].stored, n + 3000);
				at += values[i].stored;
			}
		}
	}
	maildrop_close(m);
}

/* The first of them is lent, others end the batch. */
static void large_ones(void **state)
{
	struct scratch *s = *state;
	struct store_fetch op;
	struct maildrop *m;

	put_many(s, STORE_VALUE_MAX);
	put(s, "\n" ONE "\n", O_APPEND);
	m = opened(s);
	op = fetched_now(m, 1, 2, ROOM);
	assert_int_equal(op.ready, 0);
	op = fetched(m, 1, 2, ROOM);
	assert_int_equal(op.op.status, MAILDROP_OK);
	assert_int_equal(op.ready, 0);
	assert_true(op.body.stored > STORE_VALUE_MAX);
	if (op.body.fd >= 0)
		close(op.body.fd);
	op = fetched(m, MANY + 1, 1, ROOM);
	expect(&op, MANY + 1, 1, SHOWN_ONE);
	maildrop_close(m);
}

/* Each octet of a file, another one: the message is not shown, or is what is announced. */
static void changed_by_others(void **state)
{
	static const char text[] = ONE "\n" TWO "\n" THREE;
	struct scratch *s = *state;

	for (size_t at = 0; at < sizeof(text) - 1; at++) {
		char other[sizeof(text)];
		struct store_fetch op;
		struct maildrop *m;
		size_t end = 0;

		put(s, text, O_TRUNC);
		m = opened(s);
		memcpy(other, text, sizeof(text));
		other[at] = other[at] == '\n' ? 'y' : '\n';
		put(s, other, O_TRUNC);
		op = fetched(m, 1, 3, ROOM);
		for (uint32_t i = 0; i < op.ready; i++) {
			struct pop3_counter counter;

			pop3_counter_init(&counter);
			pop3_counter_feed(&counter, (pop3_span){room + end, values[i].stored});
			pop3_counter_finish(&counter);
			assert_int_equal(counter.octets, values[i].octets);
			end += values[i].stored;
		}
		/* the lines between messages are nobody's */
		if (at == strlen(ONE) || at == strlen(ONE "\n" TWO)) {
			assert_int_equal(op.ready, 3);
			maildrop_close(m);
			continue;
		}
		assert_true(op.ready < 3);
		op = fetched(m, op.ready + 1, 1, ROOM);
		assert_int_equal(op.op.status, MAILDROP_GONE);
		assert_non_null(strstr(op.op.err.text, "another program changed the mailbox"));
		assert_int_equal(fetched_now(m, op.first, 1, ROOM).ready, 0);
		maildrop_close(m);
	}
}

static void cut_by_others(void **state)
{
	struct scratch *s = *state;
	struct store_fetch op;
	struct maildrop *m;

	put(s, ONE "\n" TWO "\n" THREE, O_TRUNC);
	m = opened(s);
	put(s, ONE "\n", O_TRUNC);
	op = fetched_now(m, 1, 3, ROOM);
	expect(&op, 1, 1, SHOWN_ONE);
	op = fetched(m, 1, 3, ROOM);
	expect(&op, 1, 1, SHOWN_ONE);
	assert_int_equal(fetched_now(m, 2, 2, ROOM).ready, 0);
	op = fetched(m, 2, 2, ROOM);
	assert_int_equal(op.op.status, MAILDROP_GONE);
	maildrop_close(m);
}

/* The loop does not wait for another program, and nothing is held afterwards. */
static void held_by_others(void **state)
{
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	struct scratch *s = *state;
	struct store_fetch op;
	struct maildrop *m;
	int fd;

	put(s, ONE, O_TRUNC);
	m = opened(s);
	fd = openat(s->root, BOX, O_RDWR | O_CLOEXEC);
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &whole), 0);
	assert_int_equal(fetched_now(m, 1, 1, ROOM).ready, 0);
	whole.l_type = F_UNLCK;
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &whole), 0);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
	assert_int_equal(fetched_now(m, 1, 1, ROOM).ready, 0);
	assert_int_equal(flock(fd, LOCK_UN), 0);
	op = fetched_now(m, 1, 1, ROOM);
	expect(&op, 1, 1, SHOWN_ONE);
	whole.l_type = F_WRLCK;
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &whole), 0);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
	close(fd);
	maildrop_close(m);
}

/* A filesystem that may wait is not read on the loop, and neither is what tests put in its place.
 */
static ssize_t other_pread(int fd, void *buf, size_t n, off_t offset)
{
	return pread(fd, buf, n, offset);
}

static void not_local(void **state)
{
	struct maildrop_syscalls calls = maildrop_kernel;
	struct scratch *s = *state;
	struct maildrop *m;

	put(s, ONE, O_TRUNC);
	s->settings.local = false;
	m = opened(s);
	assert_int_equal(fetched_now(m, 1, 1, ROOM).ready, 0);
	assert_int_equal(fetched(m, 1, 1, ROOM).ready, 1);
	maildrop_close(m);
	s->settings.local = true;
	s->settings.syscalls = &calls;
	m = opened(s);
	assert_int_equal(fetched_now(m, 1, 1, ROOM).ready, 1);
	calls.pread = other_pread;
	assert_int_equal(fetched_now(m, 1, 1, ROOM).ready, 0);
	maildrop_close(m);
}

static void headers_in_utf8(void **state)
{
	struct scratch *s = *state;
	struct store_fetch op;
	struct maildrop *m;

	put(s, ONE "\n" FROM "Subject: \xc3\xb1\n\nx\n\n" THREE, O_TRUNC);
	m = opened(s);
	for (uint32_t first = 1; first <= 3; first++) {
		op = wanted(first, 4 - first, ROOM);
		op.utf8 = MAILDROP_REFUSE_UTF8;
		assert_int_equal(store_bodies_now(m, &op), first != 2);
		op = wanted(first, 4 - first, ROOM);
		op.utf8 = MAILDROP_REFUSE_UTF8;
		store_bodies(m, &op);
		assert_int_equal(op.op.status, first == 2 ? MAILDROP_NEEDS_UTF8 : MAILDROP_OK);
		assert_int_equal(op.ready, first != 2);
	}
	maildrop_close(m);
}

static int begin_local(void **state)
{
	int result = begin(state);

	((struct scratch *)*state)->settings.local = true;
	return result;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_local, scratch_end)
	const struct CMUnitTest tests[] = {
		TEST(as_many_as_have_room), TEST(odd_files),         TEST(many),
		TEST(large_ones),           TEST(changed_by_others), TEST(cut_by_others),
		TEST(held_by_others),       TEST(not_local),         TEST(headers_in_utf8),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
