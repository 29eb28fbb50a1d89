/* The table of counters, the page, counting from several threads, and the pages of the monitor. */
#include "server/counters.h"

#include "server/monitor/pages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ctype.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

/* ---- the table ---- */

static bool is_name(const char *name)
{
	for (const char *c = name; *c; c++)
		if (!(islower((unsigned char)*c) || isdigit((unsigned char)*c) || *c == '_'))
			return false;
	return *name != '\0';
}

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);

	return n >= m && strcmp(text + n - m, end) == 0;
}

static void test_rows_are_named_as_prometheus_wants(void **state)
{
	(void)state;
	for (size_t i = 0; i < counters_row_count(); i++) {
		const struct counter_row *row = counters_row(i);
		bool histogram = row->kind == MICROS || row->kind == MILLIS;

		assert_true(is_name(row->name));
		assert_int_equal(strncmp(row->name, "valija_", 7), 0);
		assert_false(ends_with(row->name, "_total")); /* the writer adds it */
		assert_true(!histogram || ends_with(row->name, "_seconds"));
		assert_true(strlen(row->help) > 10 && ends_with(row->help, "."));
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(row->name, counters_row(j)->name);
	}
}

/* Every slot belongs to one row, and a row has one for each value of its labels. */
static void test_rows_fill_the_page(void **state)
{
	uint32_t next = 0;

	(void)state;
	for (size_t i = 0; i < counters_row_count(); i++) {
		const struct counter_row *row = counters_row(i);
		bool histogram = row->kind == MICROS || row->kind == MILLIS;
		unsigned wanted = histogram ? HISTOGRAM_SLOTS : 1;

		for (size_t l = 0; l < COUNTER_LABELS_MAX; l++)
			wanted *= counters_label_width(row->labels[l]);
		assert_int_equal(row->slot, next);
		assert_int_equal(row->slots, wanted);
		assert_true(row->roles != 0 && row->roles < 1u << ROLE_COUNT);
		next += row->slots;
	}
	assert_int_equal(next, COUNTER_SLOTS);
}

/* No label has names of users or addresses: each set is bounded, and small. */
static void test_labels_are_bounded(void **state)
{
	(void)state;
	for (unsigned s = SET_PROCESS; s < COUNTER_SETS; s++) {
		assert_true(is_name(counters_label_name((enum counter_labels)s)));
		assert_true(counters_label_width((enum counter_labels)s) <= 64);
		for (unsigned v = 0; v < counters_label_width((enum counter_labels)s); v++) {
			const char *value = counters_label_value((enum counter_labels)s, v);

			assert_true(!value || *value);
		}
	}
	assert_true(sizeof(struct counters_page) <= 24 * 1024);
}

static void test_mechanisms_have_their_place(void **state)
{
	static const char *const names[] = {"USER", "APOP", "PLAIN", "SCRAM-SHA-256-PLUS",
					    "XOAUTH2"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		pop3_span name = {names[i], strlen(names[i])};

		assert_string_equal(counters_label_value(SET_MECHANISM, counters_mechanism(name)),
				    names[i]);
	}
	assert_int_equal(counters_mechanism((pop3_span){"scram-sha-1", 11}),
			 counters_mechanism((pop3_span){"SCRAM-SHA-1", 11}));
	assert_string_equal(
		counters_label_value(SET_MECHANISM, counters_mechanism((pop3_span){"GSSAPI", 6})),
		"other");
	assert_string_equal(
		counters_label_value(SET_MECHANISM, counters_mechanism((pop3_span){"", 0})),
		"other");
}

/* The last values of all labels lead to the last slot of the row. */
static void test_the_slot_of_a_login(void **state)
{
	(void)state;
	assert_int_equal(counters_login(0, 0, TLS_NONE, RESULT_OK), COUNTER_LOGINS);
	assert_int_equal(counters_login(0, 0, TLS_NONE, RESULT_FAILED), COUNTER_LOGINS + 1);
	assert_int_equal(counters_login(0, 0, TLS_1_2, RESULT_OK), COUNTER_LOGINS + 2);
	assert_int_equal(counters_login(LABELS_SERVICE - 1, LABELS_MECHANISM - 1, TLS_PROTOCOLS - 1,
					RESULT_FAILED),
			 COUNTER_LOGINS_LAST);
}

/* ---- counting ---- */

static void test_buckets_are_powers_of_two(void **state)
{
	(void)state;
	assert_int_equal(counters_bucket(0), 0);
	assert_int_equal(counters_bucket(1), 0);
	assert_int_equal(counters_bucket(2), 1);
	assert_int_equal(counters_bucket(3), 2);
	assert_int_equal(counters_bucket(4), 2);
	assert_int_equal(counters_bucket(5), 3);
	for (unsigned n = 1; n < HISTOGRAM_BUCKETS - 1; n++) {
		assert_int_equal(counters_bucket(1ull << n), n);
		assert_int_equal(counters_bucket((1ull << n) + 1), n + 1);
	}
	assert_int_equal(counters_bucket(1ull << 31), HISTOGRAM_BUCKETS - 1);
	assert_int_equal(counters_bucket(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
}

static struct counters_page *page_of(enum ipc_role role, int *ret_fd)
{
	struct counters_page *page;

	*ret_fd = counters_page_make(role, &page);
	assert_true(*ret_fd >= 0);
	return page;
}

static void test_a_histogram_has_a_sum(void **state)
{
	int fd;
	struct counters_page *page = page_of(ROLE_KEEPER, &fd);

	(void)state;
	counters_use(page);
	counters_enter(COUNTER_COMMIT_SECONDS, 5);
	counters_enter(COUNTER_COMMIT_SECONDS, 6);
	counters_took(COUNTER_DELIVERY_SECONDS, UINT64_MAX); /* a clock that goes back */
	counters_use(NULL);
	assert_int_equal(page->slots[COUNTER_COMMIT_SECONDS + 3], 2);
	assert_int_equal(page->slots[COUNTER_COMMIT_SECONDS + HISTOGRAM_SUM], 11);
	assert_int_equal(page->slots[COUNTER_DELIVERY_SECONDS], 1);
	assert_int_equal(page->slots[COUNTER_DELIVERY_SECONDS + HISTOGRAM_SUM], 0);
	munmap(page, sizeof(*page));
	close(fd);
}

enum { THREADS = 4, TIMES = 20000 };

static void *count_often(void *context)
{
	for (int i = 0; i < TIMES; i++) {
		counters_add(COUNTER_HASHES, 1);
		counters_add(COUNTER_KEEPER_JOBS, 1);
		counters_less(COUNTER_KEEPER_JOBS);
	}
	return context;
}

static void test_threads_lose_nothing(void **state)
{
	int fd;
	struct counters_page *page = page_of(ROLE_AUTH, &fd);
	pthread_t threads[THREADS];

	(void)state;
	counters_use(page);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count_often, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	counters_use(NULL);
	assert_int_equal(page->slots[COUNTER_HASHES], THREADS * TIMES);
	assert_int_equal(page->slots[COUNTER_KEEPER_JOBS], 0);
	munmap(page, sizeof(*page));
	close(fd);
}

/* What has no page counts nowhere: no test and no early line of a process needs one. */
static void test_without_a_page(void **state)
{
	(void)state;
	counters_use(NULL);
	counters_add(COUNTER_SLOTS - 1, 1);
	counters_enter(COUNTER_COMMIT_SECONDS, 1);
}

/* ---- the page ---- */

static void test_threat_112_the_size_is_sealed(void **state)
{
	int fd;
	struct counters_page *page = page_of(ROLE_FRONT, &fd);

	(void)state;
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(ftruncate(fd, 1 << 20), -1);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1); /* nobody stops the counting */
	assert_memory_equal(page->magic, COUNTERS_MAGIC, 8);
	assert_int_equal(page->role, ROLE_FRONT);
	assert_true(page->hash == counters_hash());
	munmap(page, sizeof(*page));
	close(fd);
}

/* Reading beyond the end of a file that somebody cuts would end the process. */
static void test_what_is_no_page_is_not_mapped(void **state)
{
	int unsealed = memfd_create("page", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int small = memfd_create("page", MFD_CLOEXEC | MFD_ALLOW_SEALING), null;

	(void)state;
	assert_int_equal(ftruncate(unsealed, sizeof(struct counters_page)), 0);
	assert_null(counters_page_open(unsealed, false));
	assert_int_equal(ftruncate(small, 4096), 0);
	assert_int_equal(fcntl(small, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
	assert_null(counters_page_open(small, false));
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	assert_null(counters_page_open(null, false));
	assert_null(counters_page_open(-1, false));
	close(unsealed);
	close(small);
	close(null);
}

/* ---- the pages of the monitor ---- */

static unsigned made;
static struct pages pages;

static void count_made(void *context, const struct page *page)
{
	assert_ptr_equal(context, &made);
	assert_true(page->read_fd >= 0);
	made++;
}

static int begin(void **state)
{
	(void)state;
	made = 0;
	pages_init(&pages, count_made, &made, true);
	return 0;
}

static int end(void **state)
{
	(void)state;
	pages_finish(&pages);
	return 0;
}

/* What status gets cannot be written, by no way. */
static void test_threat_112_readers_only_read(void **state)
{
	const struct page *page = pages_take(&pages, ROLE_FRONT, 0, 1);
	const struct counters_page *read;

	(void)state;
	assert_non_null(page);
	read = counters_page_open(page->read_fd, false);
	assert_non_null(read);
	assert_null(counters_page_open(page->read_fd, true));
	assert_int_equal(pwrite(page->read_fd, "x", 1, 0), -1);
	atomic_store(&page->memory->slots[COUNTER_DELETED], 7);
	assert_int_equal(read->slots[COUNTER_DELETED], 7);
	munmap((void *)(uintptr_t)read, sizeof(*read));
}

/* The sum of all pages never goes back when a process ends; its gauges are over. */
static void test_the_next_process_counts_on(void **state)
{
	struct page *first = pages_take(&pages, ROLE_FRONT, 0, 1), *next;

	(void)state;
	atomic_store(&first->memory->slots[COUNTER_CONNECTIONS], 5);
	atomic_store(&first->memory->slots[COUNTER_CONNECTIONS_NOW], 3);
	atomic_store(&first->memory->slots[COUNTER_CERTIFICATE_END + 1], 9);
	pages_release(first);
	assert_int_equal(first->memory->slots[COUNTER_CONNECTIONS], 5);
	assert_int_equal(first->memory->slots[COUNTER_CONNECTIONS_NOW], 0);
	assert_int_equal(first->memory->slots[COUNTER_CERTIFICATE_END + 1], 0);
	next = pages_take(&pages, ROLE_FRONT, 1, 2);
	assert_ptr_equal(next, first);
	assert_int_equal(next->memory->index, 1);
	assert_int_equal(next->memory->generation, 2);
	assert_int_equal(next->memory->slots[COUNTER_STARTS], 2);
	assert_int_equal(made, 1);
}

/* A page is of one role for ever, else a front's lies would become a keeper's. */
static void test_roles_do_not_share_a_page(void **state)
{
	struct page *front = pages_take(&pages, ROLE_FRONT, 0, 1), *keeper, *other;

	(void)state;
	other = pages_take(&pages, ROLE_FRONT, 1, 1);
	assert_ptr_not_equal(front, other); /* nor do two that live */
	pages_release(front);
	keeper = pages_take(&pages, ROLE_KEEPER, 0, 1);
	assert_ptr_not_equal(keeper, front);
	assert_int_equal(keeper->memory->role, ROLE_KEEPER);
	assert_int_equal(made, 3);
}

/* A process that hangs in the kernel may still write. */
static void test_a_process_that_cannot_end_keeps_its_page(void **state)
{
	struct page *front = pages_take(&pages, ROLE_FRONT, 0, 1);

	(void)state;
	atomic_store(&front->memory->slots[COUNTER_SESSIONS_NOW], 3);
	pages_abandon(front);
	assert_int_equal(front->memory->slots[COUNTER_SESSIONS_NOW], 0);
	assert_ptr_not_equal(pages_take(&pages, ROLE_FRONT, 0, 1), front);
}

static void test_pages_have_an_end(void **state)
{
	unsigned n = 0;
	struct page *page;

	(void)state;
	while (n < 5000 && (page = pages_take(&pages, ROLE_KEEPER, n, 1)))
		n++;
	assert_true(n >= 64 && n < 5000);
	assert_null(pages_take(&pages, ROLE_KEEPER, 0, 1));
	pages_release(NULL); /* of a process without one */
	pages_abandon(NULL);
}

static void test_no_page_without_a_descriptor(void **state)
{
	struct counters_page *page = NULL;
	struct rlimit before, none;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(counters_page_make(ROLE_FRONT, &page), -1);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_null(page);
}

static unsigned open_descriptors(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

/* No room for it: no page, no mapping of less than one, and no descriptor. */
static void test_no_page_without_room(void **state)
{
	unsigned descriptors = open_descriptors();
	struct counters_page *page = NULL;
	struct rlimit before, none;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	none = before;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	assert_int_equal(counters_page_make(ROLE_FRONT, &page), -1);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_null(page);
	assert_int_equal(open_descriptors(), descriptors);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_page_without_a_descriptor),
		cmocka_unit_test(test_no_page_without_room),
		cmocka_unit_test(test_rows_are_named_as_prometheus_wants),
		cmocka_unit_test(test_rows_fill_the_page),
		cmocka_unit_test(test_labels_are_bounded),
		cmocka_unit_test(test_mechanisms_have_their_place),
		cmocka_unit_test(test_the_slot_of_a_login),
		cmocka_unit_test(test_buckets_are_powers_of_two),
		cmocka_unit_test(test_a_histogram_has_a_sum),
		cmocka_unit_test(test_threads_lose_nothing),
		cmocka_unit_test(test_without_a_page),
		cmocka_unit_test(test_threat_112_the_size_is_sealed),
		cmocka_unit_test(test_what_is_no_page_is_not_mapped),
		cmocka_unit_test_setup_teardown(test_threat_112_readers_only_read, begin, end),
		cmocka_unit_test_setup_teardown(test_the_next_process_counts_on, begin, end),
		cmocka_unit_test_setup_teardown(test_roles_do_not_share_a_page, begin, end),
		cmocka_unit_test_setup_teardown(test_a_process_that_cannot_end_keeps_its_page,
						begin, end),
		cmocka_unit_test_setup_teardown(test_pages_have_an_end, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
