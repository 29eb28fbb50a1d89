/* Messages as a keeper lends them: how many come by value, what becomes of one that is too large or
 * not what was announced, and slices. */
#include "maildrop_test.h"

#include "maildrop/store_bodies.h"

enum { LARGE = STORE_VALUE_MAX + 1, WINDOW = 1000 };

#define A "a\n"
#define B "b, longer\n"
#define C ".c\n"

static struct maildrop *maildrop;
static char room[2 * LARGE];
static struct store_value values[8];

static int begin(void **state)
{
	int rc = scratch_begin(state);
	struct scratch *s = *state;
	static char large[LARGE + 1];

	memset(large, 'x', LARGE - 1);
	large[LARGE - 1] = '\n';
	make_maildir(s);
	put_file(s, "cur/1.a:2,S", A);
	put_file(s, "cur/2.b:2,", B);
	put_file(s, "cur/3.c:2,", C);
	put_file(s, "cur/4.d:2,", large + 1); /* the largest that comes by value */
	put_file(s, "cur/5.e:2,", large);
	assert_int_equal(maildrop_open(&s->settings, s->root, HOME, &maildrop, NULL), MAILDROP_OK);
	return rc;
}

static int over(void **state)
{
	maildrop_close(maildrop);
	return scratch_end(state);
}

static struct store_fetch fetched(uint32_t first, uint32_t count, uint32_t size)
{
	struct store_fetch op = {.first = first,
				 .count = count,
				 .window_max = WINDOW,
				 .room = room,
				 .room_size = size,
				 .values = values,
				 .body = {.fd = -1}};

	store_bodies(maildrop, &op);
	return op;
}

static void as_many_as_have_room(void **state)
{
	static const char *const texts[] = {A, B, C};
	struct store_fetch op;
	uint32_t used = 0;

	(void)state;
	op = fetched(1, 3, sizeof(A B C) - 1);
	assert_int_equal(op.op.status, MAILDROP_OK);
	assert_int_equal(op.form, STORE_VALUES);
	assert_int_equal(op.ready, 3);
	assert_int_equal(op.used, sizeof(A B C) - 1);
	assert_memory_equal(room, A B C, op.used);
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(values[i].number, i + 1);
		assert_int_equal(values[i].stored, strlen(texts[i]));
		assert_int_equal(values[i].octets, strlen(texts[i]) + 1);
		used += values[i].stored;
	}
	assert_int_equal(used, op.used);
	op = fetched(1, 3, sizeof(A B C) - 2);
	assert_int_equal(op.ready, 2);
	assert_int_equal(op.used, sizeof(A B) - 1);
	op = fetched(2, 1, sizeof(room));
	assert_int_equal(op.ready, 1);
	assert_int_equal(values[0].number, 2);
	assert_memory_equal(room, B, op.used);
}

/* Lent in the form that its filesystem allows: never behind others, which come first. */
static void large_ones(void **state)
{
	struct scratch *s = *state;
	int file = openat(s->root, HOME "/cur/5.e:2,", O_RDONLY | O_CLOEXEC);
	enum maildrop_lending lending = maildrop_lending(file);
	struct store_fetch op = fetched(4, 2, sizeof(room));
	char octet;

	close(file);
	assert_int_equal(op.ready, 1);
	assert_int_equal(op.used, STORE_VALUE_MAX);
	assert_int_equal(op.body.fd, -1);
	op = fetched(5, 1, sizeof(room));
	assert_int_equal(op.op.status, MAILDROP_OK);
	assert_int_equal(op.ready, 0);
	assert_int_equal(op.body.stored, LARGE);
	assert_int_equal(op.body.octets, LARGE + 1);
	if (lending == MAILDROP_LEND_VALUE) {
		assert_int_equal(op.form, STORE_STREAM);
		assert_int_equal(op.body.fd, -1);
		assert_int_equal(op.window, 0);
		return;
	}
	assert_int_equal(op.form, STORE_FILE);
	assert_int_equal(op.in_memory, lending == MAILDROP_LEND_MEMORY);
	assert_int_equal(op.window, WINDOW);
	assert_int_equal(pread(op.body.fd, &octet, 1, (off_t)op.body.offset), 1);
	assert_int_equal(octet, 'x');
	close(op.body.fd);
	op = (struct store_fetch){
		.first = 5, .count = 1, .window_max = 2 * LARGE, .values = values};
	store_bodies(maildrop, &op);
	assert_int_equal(op.window, LARGE); /* all of it */
	close(op.body.fd);
}

/* Without room nothing comes by value. */
static void no_room(void **state)
{
	struct store_fetch op = {.first = 1, .count = 3, .window_max = WINDOW, .values = values};

	(void)state;
	store_bodies(maildrop, &op);
	assert_int_equal(op.op.status, MAILDROP_OK);
	assert_int_equal(op.ready, 0);
	assert_true(op.form == STORE_STREAM || op.form == STORE_FILE);
	assert_int_equal(op.body.stored, strlen(A));
	if (op.form == STORE_FILE)
		close(op.body.fd);
	op = fetched(1, 3, strlen(A) - 1);
	assert_int_equal(op.ready, 0);
	if (op.form == STORE_FILE)
		close(op.body.fd);
}

/* Another program wrote into its file. */
static void write_into(struct scratch *s, const char *name, const char *text)
{
	int fd = openat(s->root, name, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, text, strlen(text), 0), strlen(text));
	close(fd);
}

static void one_that_is_not_what_was_announced(void **state)
{
	struct scratch *s = *state;
	struct store_fetch op;

	write_into(s, HOME "/cur/2.b:2,", "b, long\n\n\n"); /* as many, other line ends */
	op = fetched(2, 2, sizeof(room));
	assert_int_equal(op.op.status, MAILDROP_GONE);
	assert_int_equal(op.ready, 0);
	assert_int_equal(op.body.fd, -1);
	if (!strstr(op.op.err.text, "2.b"))
		fail_msg("%s", op.op.err.text);
	op = fetched(1, 3, sizeof(room));
	assert_int_equal(op.op.status, MAILDROP_OK); /* of the first */
	assert_int_equal(op.ready, 1);
	assert_int_equal(op.used, strlen(A));
	assert_int_equal(fetched(3, 1, sizeof(room)).ready, 1);
}

static void one_that_is_gone(void **state)
{
	struct scratch *s = *state;
	struct store_fetch op;
	struct store_slice slice = {.number = 2, .size = 100, .room = room};

	remove_file(s, "cur/2.b:2,");
	op = fetched(1, 3, sizeof(room));
	assert_int_equal(op.op.status, MAILDROP_OK);
	assert_int_equal(op.ready, 1);
	op = fetched(2, 1, sizeof(room));
	assert_int_equal(op.op.status, MAILDROP_GONE);
	store_bodies_slice(maildrop, &slice);
	assert_int_equal(slice.op.status, MAILDROP_GONE);
}

/* Octets that are in memory come at once, from where that can be known. */
static void at_once(void **state)
{
	struct scratch *s = *state;
	struct store_fetch op = {.first = 1,
				 .count = 4,
				 .room = room,
				 .room_size = sizeof(A B) - 1,
				 .values = values};

	(void)fetched(1, 3, sizeof(room)); /* they are read */
	if (!store_bodies_now(maildrop, &op))
		return; /* this filesystem does not say so */
	assert_int_equal(op.ready, 2);
	assert_memory_equal(room, A B, op.used);
	op.ready = op.used = 0;
	op.first = 5; /* too large: not at once */
	op.room_size = sizeof(room);
	op.count = 1;
	assert_false(store_bodies_now(maildrop, &op));
	write_into(s, HOME "/cur/2.b:2,", "b, long\n\n\n");
	op.first = 1;
	op.count = 2;
	op.ready = op.used = 0;
	assert_false(store_bodies_now(maildrop, &op)); /* a worker says what is wrong with it */
}

static struct store_slice sliced(uint64_t offset, uint64_t size, char *to)
{
	struct store_slice op = {.number = 2, .offset = offset, .size = size, .room = to};

	store_bodies_slice(maildrop, &op);
	return op;
}

static void slices(void **state)
{
	const uint64_t all = sizeof(B) - 1;
	struct store_slice op;

	(void)state;
	memset(room, '-', sizeof(room));
	op = sliced(0, 4, room);
	assert_int_equal(op.op.status, MAILDROP_OK);
	assert_int_equal(op.size, 4);
	assert_memory_equal(room, "b, l-", 5);
	op = sliced(3, 100, room);
	assert_int_equal(op.size, all - 3);
	assert_memory_equal(room, B + 3, all - 3);
	assert_int_equal(sliced(all - 1, 1, room).size, 1);
	assert_int_equal(sliced(3, 100, NULL).size, all - 3); /* read, not copied */
	assert_int_equal(sliced(3, 2, NULL).size, 2);
	op = sliced(all, 1, room);
	assert_int_equal(op.op.status, MAILDROP_GONE);
	assert_string_equal(op.op.err.text, "it became shorter while it was read");
	assert_int_equal(sliced(all + 1, 1, NULL).op.status, MAILDROP_GONE);
}

/* A client without UTF8: a message whose header needs it ends a batch, and is refused by itself;
 * its body does not matter, nor what no standard has. */
static void headers_in_utf8(void **state)
{
	struct scratch *s = *state;
	static char large[2 * LARGE];
	struct store_fetch op;

	maildrop_close(maildrop);
	put_file(s, "cur/6.f:2,", "Subject: \xc3\xb1\n\nb\n");
	put_file(s, "cur/7.g:2,", "Subject: \xf1\n\n\xc3\xb1\n");
	memset(large, 'x', sizeof(large) - 1);
	memcpy(large, "Subject: ", 9);
	memcpy(large + LARGE, "\xc3\xb1\n\n\xff", 5);
	put_file(s, "cur/8.h:2,", large);
	assert_int_equal(maildrop_open(&s->settings, s->root, HOME, &maildrop, NULL), MAILDROP_OK);
	for (int now = 0; now <= 1; now++) {
		for (uint32_t first = 6; first <= 8; first++) {
			op = (struct store_fetch){.first = first,
						  .count = 1,
						  .utf8 = MAILDROP_REFUSE_UTF8,
						  .room = room,
						  .room_size = sizeof(room),
						  .values = values,
						  .body = {.fd = -1}};
			if (now) {
				assert_int_equal(store_bodies_now(maildrop, &op), first == 7);
				continue;
			}
			store_bodies(maildrop, &op);
			assert_int_equal(op.op.status,
					 first == 7 ? MAILDROP_OK : MAILDROP_NEEDS_UTF8);
			assert_int_equal(op.body.fd, -1);
		}
	}
	op = (struct store_fetch){.first = 7,
				  .count = 2,
				  .utf8 = MAILDROP_REFUSE_UTF8,
				  .room = room,
				  .room_size = sizeof(room),
				  .values = values,
				  .body = {.fd = -1}};
	assert_true(store_bodies_now(maildrop, &op));
	assert_int_equal(op.ready, 1);
	op.first = 6;
	op.utf8 = MAILDROP_AS_STORED;
	op.ready = op.used = 0;
	store_bodies(maildrop, &op);
	assert_int_equal(op.op.status, MAILDROP_OK);
	assert_int_equal(op.ready, 2);
	op = fetched(8, 1, sizeof(room));
	assert_int_equal(op.op.status, MAILDROP_OK);
	if (op.body.fd >= 0)
		close(op.body.fd);
}

static struct store_fetch replaced(uint32_t first, uint32_t count, uint32_t size, bool now)
{
	struct store_fetch op = {.first = first,
				 .count = count,
				 .utf8 = MAILDROP_REPLACE_UTF8,
				 .window_max = WINDOW,
				 .room = room,
				 .room_size = size,
				 .values = values,
				 .body = {.fd = -1}};

	if (now)
		assert_int_equal(store_bodies_now(maildrop, &op), size > 15);
	else
		store_bodies(maildrop, &op);
	return op;
}

/* A surrogate has more octets as it is stored, where lines end with LF: it may need another form.
 */
static void surrogates(void **state)
{
	static const char shown[] = "Subject: ??\r\n\r\nb\n";
	struct scratch *s = *state;
	static char large[2 * LARGE];
	struct store_fetch op;

	maildrop_close(maildrop);
	put_file(s, "cur/6.f:2,", "Subject: \xc3\xb1\n\nb\n");
	put_file(s, "cur/7.g:2,", C);
	memset(large, 'x', sizeof(large) - 1);
	memcpy(large, "Subject: \xc3\xb1\n\n", 13);
	put_file(s, "cur/8.h:2,", large);
	assert_int_equal(maildrop_open(&s->settings, s->root, HOME, &maildrop, NULL), MAILDROP_OK);
	for (int now = 0; now <= 1; now++) {
		op = replaced(6, 2, sizeof(room), now);
		assert_int_equal(op.ready, 2);
		assert_int_equal(values[0].stored, strlen(shown));
		assert_int_equal(values[0].octets, strlen(shown) + 1);
		assert_int_equal(op.used, strlen(shown) + strlen(C));
		assert_memory_equal(room, shown, strlen(shown));
		assert_memory_equal(room + strlen(shown), C, strlen(C));
		op = replaced(6, 2, strlen(shown), now);
		assert_int_equal(op.ready, 1);
		assert_int_equal(replaced(6, 1, 15, true).ready, 0);
	}
	/* as it is stored it would fit */
	op = replaced(6, 2, 15, false);
	assert_int_equal(op.op.status, MAILDROP_OK);
	assert_int_equal(op.ready, 0);
	assert_int_equal(op.body.stored, strlen(shown));
	assert_int_equal(pread(op.body.fd, room, sizeof(room), (off_t)op.body.offset),
			 strlen(shown));
	assert_memory_equal(room, shown, strlen(shown));
	close(op.body.fd);
	op = replaced(8, 1, sizeof(room), false);
	assert_int_equal(op.form, STORE_FILE);
	assert_true(op.in_memory && !op.body.wire_form);
	assert_int_equal(op.body.stored, sizeof(large) - 1 + 2);
	assert_int_equal(op.body.octets, sizeof(large) - 1 + 2 + 2);
	assert_int_equal(pread(op.body.fd, room, 20, (off_t)op.body.offset), 20);
	assert_memory_equal(room, "Subject: ??\r\n\r\nxxxxx", 20);
	close(op.body.fd);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, over)
	const struct CMUnitTest tests[] = {
		TEST(as_many_as_have_room),
		TEST(large_ones),
		TEST(no_room),
		TEST(one_that_is_not_what_was_announced),
		TEST(one_that_is_gone),
		TEST(at_once),
		TEST(slices),
		TEST(headers_in_utf8),
		TEST(surrogates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
