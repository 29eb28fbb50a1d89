/* Pages of counters across an upgrade: the next program counts on in them, in their order, and
 * begins anew where the one before counted other things. */
#include "server/monitor/pages.h"

#include "handover_test.h"

#include "server/recorder.h"

#include <sys/stat.h>

static struct pages before, after;
static unsigned made;

static void count_made(void *context, const struct page *one)
{
	assert_ptr_equal(context, &made);
	assert_true(one->fd >= 0);
	made++;
}

static int begin(void **state)
{
	(void)state;
	made = 0;
	pages_init(&before, count_made, &made, true);
	pages_init(&after, count_made, &made, false);
	return before.count == 1 && after.count == 0 ? 0 : -1;
}

static int end(void **state)
{
	(void)state;
	pages_finish(&after);
	return 0;
}

/* The old program is gone, without having closed anything. */
static void forget_before(void)
{
	while (before.first) {
		struct page *one = before.first;

		before.first = one->next;
		munmap(one->memory, sizeof(*one->memory));
		free(one);
	}
}

static void hand_on(bool same)
{
	struct handover_monitor monitor = a_monitor();
	struct handover_reader reader;
	struct err err = {0};
	struct handover h;
	int fd;

	handover_begin(&h);
	handover_put(&h, HANDOVER_MONITOR, &monitor, none);
	pages_hand_on(&before, &h);
	put_generation(&h, 3, false);
	for (size_t i = 0; i < h.fd_count; i++) /* as they are across an exec */
		(void)fcntl(h.fds[i], F_SETFD, 0);
	fd = sealed(&h);
	if (handover_open(fd, &reader, &err) < 0)
		fail_msg("%s", err.text);
	assert_non_null(handover_next(&reader, NULL));
	pages_adopt(&after, same, -1, &reader);
	assert_int_equal(handover_kind(&reader), HANDOVER_GENERATION);
	handover_close(&reader);
	handover_finish(&h);
	close(fd);
	counters_use(NULL);
	forget_before();
}

static void test_they_count_on(void **state)
{
	struct page *front = pages_take(&before, ROLE_FRONT, 0, 1), *keeper, *next;
	int fds[2], ring;
	uint32_t id;

	(void)state;
	pages_give_ring(&before, front, 77, 1, false);
	keeper = pages_take(&before, ROLE_KEEPER, 0, 1);
	atomic_store(&front->memory->slots[COUNTER_CONNECTIONS], 5);
	pages_release(keeper);
	fds[0] = front->fd;
	fds[1] = keeper->fd;
	ring = front->ring.fd;
	id = front->ring.id;
	assert_true(ring >= 0 && id > 0);
	hand_on(true);
	assert_int_equal(after.count, 3);
	next = pages_find(&after, fds[0]);
	assert_non_null(next);
	assert_true(next->taken);
	assert_int_equal(next->role, ROLE_FRONT);
	assert_int_equal(next->memory->slots[COUNTER_CONNECTIONS], 5);
	assert_int_equal(next->ring.fd, ring);
	assert_int_equal(next->ring.id, id);
	assert_int_equal(next->ring.writers[0], 77);
	assert_int_equal(after.last_ring, id);
	assert_true(after.rings_size > 0);
	assert_true(fcntl(next->fd, F_GETFD) & FD_CLOEXEC);
	assert_null(pages_find(&after, -2));
	/* the keeper's was free, and is taken by the next keeper; the front's is not */
	assert_int_equal(pages_take(&after, ROLE_KEEPER, 0, 2)->fd, fds[1]);
	assert_int_not_equal(pages_take(&after, ROLE_FRONT, 1, 2)->fd, fds[0]);
}

/* The monitor's own page is found again, wherever it stands. */
static void test_the_monitors_own(void **state)
{
	int own = before.first->fd;
	struct page *next;

	(void)state;
	assert_int_equal(before.first->role, ROLE_MONITOR);
	assert_non_null(pages_take(&before, ROLE_FRONT, 0, 1));
	counters_add(COUNTER_RELOADS, 3);
	hand_on(true);
	next = pages_find(&after, own);
	assert_non_null(next);
	assert_int_equal(next->memory->slots[COUNTER_RELOADS], 3);
}

/* A number that is another file's by now is closed, too. */
static bool is_open(int fd, const struct stat *was)
{
	struct stat now;

	return fstat(fd, &now) == 0 && now.st_ino == was->st_ino && now.st_dev == was->st_dev;
}

static void test_another_table(void **state)
{
	struct page *front = pages_take(&before, ROLE_FRONT, 0, 1);
	int fds[3];
	struct stat was[3];

	(void)state;
	pages_give_ring(&before, front, 77, 1, false);
	fds[0] = front->fd;
	fds[1] = front->ring.fd;
	fds[2] = before.first->next->fd; /* of the monitor before */
	for (int i = 0; i < 3; i++)
		assert_int_equal(fstat(fds[i], &was[i]), 0);
	hand_on(false);
	assert_int_equal(after.count, 1); /* its own alone */
	assert_int_equal(after.first->role, ROLE_MONITOR);
	assert_int_equal(after.first->memory->slots[COUNTER_RELOADS], 0);
	for (int i = 0; i < 3; i++)
		assert_false(is_open(fds[i], &was[i]));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_they_count_on),
		TEST(test_the_monitors_own),
		TEST(test_another_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
