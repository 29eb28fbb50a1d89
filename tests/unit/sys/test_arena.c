/* Shared memory: what is written is read, slots are leased once, the reader can only read. */
#include "sys/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct pair {
	struct arena *writer, *reader;
	int fd;
};

static int set_up(void **state)
{
	static struct pair pair;

	pair.fd = -1;
	pair.writer = arena_create(&pair.fd);
	assert_non_null(pair.writer);
	pair.reader = arena_open(pair.fd);
	assert_non_null(pair.reader);
	*state = &pair;
	return 0;
}

static int tear_down(void **state)
{
	struct pair *pair = *state;

	arena_release(pair->writer);
	arena_release(pair->reader);
	close(pair->fd);
	return 0;
}

static void what_is_written_is_read(void **state)
{
	struct pair *pair = *state;
	struct arena_lease first = arena_take(pair->reader), second = arena_take(pair->reader);

	assert_non_null(first.arena);
	assert_non_null(second.arena);
	assert_int_not_equal(first.number, second.number);
	memset(arena_slot(pair->writer, first.number), 'a', ARENA_SLOT_SIZE);
	memset(arena_slot(pair->writer, second.number), 'b', ARENA_SLOT_SIZE);
	assert_int_equal(arena_octets(&first)[0], 'a');
	assert_int_equal(arena_octets(&first)[ARENA_SLOT_SIZE - 1], 'a');
	assert_int_equal(arena_octets(&second)[0], 'b');
	assert_int_equal(arena_octets(&second)[ARENA_SLOT_SIZE - 1], 'b');
	arena_return(&first);
	arena_return(&second);
}

static void slots_are_leased_once(void **state)
{
	struct pair *pair = *state;
	struct arena_lease leases[ARENA_SLOTS], more;
	uint32_t seen = 0;

	for (int i = 0; i < ARENA_SLOTS; i++) {
		leases[i] = arena_take(pair->reader);
		assert_non_null(leases[i].arena);
		assert_false(seen >> leases[i].number & 1);
		seen |= 1u << leases[i].number;
	}
	more = arena_take(pair->reader);
	assert_null(more.arena);
	arena_return(&more); /* none: nothing happens */
	arena_return(&leases[7]);
	arena_return(&leases[7]); /* nor twice */
	more = arena_take(pair->reader);
	assert_int_equal(more.number, leases[7].number);
	assert_null(arena_take(pair->reader).arena);
	arena_return(&more);
	for (int i = 0; i < ARENA_SLOTS; i++)
		arena_return(&leases[i]);
}

static void a_lease_keeps_it(void **state)
{
	struct pair *pair = *state;
	struct arena *reader = arena_open(pair->fd);
	struct arena_lease lease = arena_take(reader);

	arena_release(reader);
	arena_slot(pair->writer, lease.number)[5] = 'x';
	assert_int_equal(arena_octets(&lease)[5], 'x');
	arena_return(&lease);
}

static void no_slot_beyond_the_end(void **state)
{
	struct pair *pair = *state;

	assert_null(arena_slot(pair->writer, ARENA_SLOTS));
	assert_null(arena_slot(pair->writer, UINT32_MAX));
	assert_null(arena_slot(NULL, 0));
	assert_null(arena_take(NULL).arena);
}

static void the_reader_cannot_write(void **state)
{
	struct pair *pair = *state;
	char octet = 1;

	assert_ptr_equal(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, pair->fd, 0),
			 MAP_FAILED);
	assert_int_equal(write(pair->fd, &octet, 1), -1);
	assert_int_equal(ftruncate(pair->fd, 0), -1);
	assert_int_equal(fcntl(pair->fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
}

static void something_else_is_refused(void **state)
{
	int shrinks = memfd_create("other", MFD_CLOEXEC), small;

	(void)state;
	assert_int_equal(ftruncate(shrinks, (off_t)ARENA_SLOTS * ARENA_SLOT_SIZE), 0);
	assert_null(arena_open(shrinks));
	close(shrinks);
	small = memfd_create("other", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_int_equal(fcntl(small, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	assert_null(arena_open(small));
	close(small);
	assert_null(arena_open(-1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_written_is_read, set_up, tear_down),
		cmocka_unit_test_setup_teardown(slots_are_leased_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_lease_keeps_it, set_up, tear_down),
		cmocka_unit_test_setup_teardown(no_slot_beyond_the_end, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_reader_cannot_write, set_up, tear_down),
		cmocka_unit_test(something_else_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
