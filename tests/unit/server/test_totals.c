/* Sums over the pages of all processes: which pages count, and which rows of a role's page do. */
#include "server/totals.h"

#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static char said[1000];
static struct totals_pages pages;

static void keep(enum log_level level, const char *text, size_t size)
{
	(void)level;
	snprintf(said, sizeof(said), "%.*s", (int)size, text);
}

static int begin(void **state)
{
	(void)state;
	memset(&pages, 0, sizeof(pages));
	said[0] = '\0';
	log_set_output(keep);
	return 0;
}

static int end(void **state)
{
	(void)state;
	log_set_output(NULL);
	for (unsigned i = 0; i < pages.count; i++)
		munmap((void *)(uintptr_t)pages.list[i].page, sizeof(struct counters_page));
	return 0;
}

/* A process of that role counts so much of these. */
static struct counters_page *add(enum ipc_role role, uint64_t starts, uint64_t connections)
{
	const struct ipc_page message = {.role = role};
	struct counters_page *page;
	int fd = counters_page_make(role, &page);

	assert_true(fd >= 0);
	page->slots[COUNTER_STARTS] = starts;
	page->slots[COUNTER_CONNECTIONS] = connections;
	totals_take_page(&pages, &message, fd);
	close(fd);
	return page;
}

static void test_all_pages_are_added(void **state)
{
	struct counters_page *made[] = {add(ROLE_FRONT, 2, 5), add(ROLE_FRONT, 1, 7),
					add(ROLE_KEEPER, 4, 1000)};
	struct totals *totals = totals_of_pages(&pages);

	(void)state;
	assert_int_equal(pages.count, 3);
	assert_string_equal(said, "");
	assert_non_null(totals);
	assert_int_equal(totals->ignored, 0);
	assert_int_equal(totals_slot(totals, COUNTER_STARTS), 7);
	assert_int_equal(totals->slots[ROLE_FRONT][COUNTER_STARTS], 3);
	assert_int_equal(totals->slots[ROLE_KEEPER][COUNTER_STARTS], 4);
	/* a keeper that counts connections lies */
	assert_int_equal(totals_slot(totals, COUNTER_CONNECTIONS), 12);
	free(totals);
	/* each look is of now, not in addition to the last one */
	made[0]->slots[COUNTER_CONNECTIONS] = 6;
	totals = totals_of_pages(&pages);
	assert_int_equal(totals_slot(totals, COUNTER_CONNECTIONS), 13);
	free(totals);
	for (int i = 0; i < 3; i++)
		munmap(made[i], sizeof(*made[i]));
}

static void test_pages_of_another_table(void **state)
{
	struct counters_page *made[] = {add(ROLE_FRONT, 1, 1), add(ROLE_FRONT, 1, 1),
					add(ROLE_FRONT, 1, 1), add(ROLE_FRONT, 1, 1)};
	struct totals *totals;

	(void)state;
	made[0]->magic[0] ^= 1;
	made[1]->version++;
	made[2]->hash++;
	totals = totals_of_pages(&pages);
	assert_non_null(totals);
	assert_int_equal(totals->ignored, 3);
	assert_int_equal(totals_slot(totals, COUNTER_CONNECTIONS), 1);
	free(totals);
	for (int i = 0; i < 4; i++)
		munmap(made[i], sizeof(*made[i]));
}

static void test_a_page_that_cannot_be_mapped(void **state)
{
	const struct ipc_page message = {.role = ROLE_KEEPER};
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)state;
	totals_take_page(&pages, &message, null);
	close(null);
	assert_int_equal(pages.count, 0);
	assert_string_equal(said,
			    "the counters of a process of role keeper are not in the metrics");
}

static void test_pages_have_an_end(void **state)
{
	const struct ipc_page message = {.role = ROLE_FRONT};
	struct counters_page *page = NULL;
	int fd = counters_page_make(ROLE_FRONT, &page);

	(void)state;
	pages.count = TOTALS_PAGES_MAX - 1;
	totals_take_page(&pages, &message, fd);
	assert_int_equal(pages.count, TOTALS_PAGES_MAX);
	assert_int_equal(pages.list[TOTALS_PAGES_MAX - 1].role, ROLE_FRONT);
	assert_string_equal(said, "");
	totals_take_page(&pages, &message, fd);
	assert_int_equal(pages.count, TOTALS_PAGES_MAX);
	assert_string_equal(said, "the counters of a process of role front are not in the metrics");
	munmap((void *)(uintptr_t)pages.list[TOTALS_PAGES_MAX - 1].page, sizeof(*page));
	munmap(page, sizeof(*page));
	pages.count = 0;
	close(fd);
}

/* Over all labels of a row, and by bucket. */
static void test_rows_with_labels(void **state)
{
	struct counters_page *page = add(ROLE_KEEPER, 0, 0);
	uint64_t buckets[HISTOGRAM_BUCKETS];
	struct totals *totals;

	(void)state;
	counters_use(page);
	counters_enter(COUNTER_COMMIT_SECONDS, 5);
	counters_enter(COUNTER_COMMIT_SECONDS, 6);
	counters_use(NULL);
	totals = totals_of_pages(&pages);
	totals_buckets(totals, COUNTER_COMMIT_SECONDS, buckets);
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		assert_int_equal(buckets[i], i == 3 ? 2 : 0);
	assert_int_equal(totals_sum(totals, COUNTER_COMMIT_SECONDS), 2 + 11);
	assert_true(totals_quantile(buckets, 500) > 4 && totals_quantile(buckets, 500) <= 8);
	free(totals);
	munmap(page, sizeof(*page));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_all_pages_are_added),
		TEST(test_pages_of_another_table),
		TEST(test_a_page_that_cannot_be_mapped),
		TEST(test_pages_have_an_end),
		TEST(test_rows_with_labels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
