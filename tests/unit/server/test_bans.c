/* The list of bans, its text, and the table that fronts look into. The table is compared with a
 * look at every network of the list. */
#include "server/ban_table.h"
#include "server/monitor/ban_file.h"
#include "server/monitor/ban_list.h"

#include "base/descriptor.h"
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define NOW 1000

static struct ban ban_of(const char *network, int64_t until)
{
	struct ban ban = {.until = until, .since = 1, .by_uid = 7, .why = "why not"};

	assert_true(network_parse(span_of(network), &ban.network));
	network_trim(&ban.network);
	return ban;
}

static void add(struct ban_list *list, const char *network, int64_t until)
{
	struct ban ban = ban_of(network, until);

	assert_int_equal(ban_list_add(list, &ban), 0);
}

static int open_table(const struct ban_list *list, struct ban_table *table)
{
	struct ban_row *rows = calloc(list->count + 1, sizeof(*rows));
	int fd, rc;

	ban_list_rows(list, rows);
	fd = seal_octets("bans", rows, list->count * sizeof(*rows));
	rc = ban_table_open(table, fd, list->count);
	close(fd);
	free(rows);
	return rc;
}

static bool has(const struct ban_table *table, const char *address)
{
	struct network one;

	assert_true(network_parse(span_of(address), &one));
	return ban_table_has(table, one.address, NOW);
}

static void test_lookups(void **state)
{
	static const char *const in[] = {"10.1.2.3",  "10.1.255.1",  "10.1.2.0",
					 "192.0.2.7", "2001:db8::1", "2001:db8:ffff::1"},
				 *const out[] = {"10.0.255.255", "10.2.0.0",   "192.0.2.8", "::1",
						 "192.0.2.6",    "2001:db9::", "172.16.0.1"};
	struct ban_list list = {0};
	struct ban_table table = {0};

	(void)state;
	add(&list, "10.1.2.3", NOW);    /* over */
	add(&list, "10.1.2.0/24", NOW); /* over, but in one that is not */
	add(&list, "10.1.0.0/16", NOW + 1);
	add(&list, "192.0.2.7", NOW + 9);
	add(&list, "172.16.0.0/12", NOW - 1);
	add(&list, "2001:db8::/32", NOW + 9);
	add(&list, "2001:db8:1::/48", NOW - 9);
	assert_int_equal(open_table(&list, &table), 0);
	for (size_t i = 0; i < sizeof(in) / sizeof(*in); i++)
		assert_true(has(&table, in[i]));
	for (size_t i = 0; i < sizeof(out) / sizeof(*out); i++)
		assert_false(has(&table, out[i]));
	ban_table_close(&table);
	assert_false(has(&table, "192.0.2.7"));
	ban_list_finish(&list);
}

static void test_families(void **state)
{
	struct ban_list list = {0};
	struct ban_table table = {0};

	(void)state;
	add(&list, "::/0", NOW + 1);
	assert_int_equal(open_table(&list, &table), 0);
	assert_true(has(&table, "2001:db8::1") && has(&table, "::1"));
	assert_false(has(&table, "192.0.2.1") || has(&table, "0.0.0.0"));
	add(&list, "0.0.0.0/0", NOW + 1);
	assert_int_equal(open_table(&list, &table), 0);
	assert_true(has(&table, "192.0.2.1") && has(&table, "255.255.255.255"));
	ban_table_close(&table);
	ban_list_finish(&list);
}

/* Networks of a few neighbouring addresses, so that many lie in each other. */
static void test_any_list(void **state)
{
	struct ban_list list = {0};
	struct ban_table table = {0};

	(void)state;
	srandom(4711);
	for (int round = 0; round < 200; round++) {
		for (int i = random() % 40; i >= 0; i--) {
			struct ban ban = ban_of("10.0.0.0", NOW + random() % 2);

			ban.network.address[15] = (uint8_t)random();
			ban.network.bits = (uint8_t)(120 + random() % 9);
			network_trim(&ban.network);
			assert_int_equal(ban_list_add(&list, &ban), 0);
		}
		assert_int_equal(open_table(&list, &table), 0);
		for (unsigned last = 0; last < 256; last++) {
			uint8_t address[16] = {[10] = 0xff, [11] = 0xff, [12] = 10};
			bool wanted = false;

			address[15] = (uint8_t)last;
			for (uint32_t i = 0; i < list.count; i++)
				wanted |= list.bans[i].until > NOW &&
					  network_has(&list.bans[i].network, address);
			assert_int_equal(ban_table_has(&table, address, NOW), wanted);
		}
		ban_list_finish(&list);
	}
	ban_table_close(&table);
}

/* How often files of that name are mapped. */
static unsigned mapped(const char *name)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[500];
	unsigned count = 0;

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps))
		count += strstr(line, name) != NULL;
	fclose(maps);
	return count;
}

static void test_what_is_no_table(void **state)
{
	struct ban_list list = {0};
	struct ban_table table = {0};
	struct ban_row rows[2] = {{.wider = 0}, {.wider = 2}};
	int fd = seal_octets("bans", rows, sizeof(rows)), plain;
	FILE *file = tmpfile();

	(void)state;
	assert_int_equal(ban_table_open(&table, fd, 2), -1); /* a circle */
	assert_int_equal(mapped("memfd:bans"), 0);
	assert_int_equal(ban_table_open(&table, fd, 1), -1); /* another size */
	assert_int_equal(ban_table_open(&table, fd, BANS_MAX + 1), -1);
	assert_int_equal(ban_table_open(&table, -1, 2), -1);
	close(fd);
	assert_non_null(file);
	plain = fileno(file);
	rows[1].wider = 1;
	assert_int_equal(write_all(plain, rows, sizeof(rows)), 0);
	assert_int_equal(ban_table_open(&table, plain, 2), -1); /* not sealed */
	fclose(file);
	add(&list, "192.0.2.1", NOW + 1);
	assert_int_equal(open_table(&list, &table), 0);
	assert_int_equal(ban_table_open(&table, -1, BANS_MAX + 1), -1);
	assert_true(has(&table, "192.0.2.1")); /* the one before holds */
	assert_int_equal(mapped("memfd:bans"), 1);
	assert_int_equal(ban_table_open(&table, -1, 0), 0);
	assert_false(has(&table, "192.0.2.1"));
	ban_list_finish(&list);
}

/* As many as there may be; what lies behind the rows is not touched. */
static void test_a_full_table(void **state)
{
	struct ban_row *rows = calloc(BANS_MAX + 1, sizeof(*rows));
	struct ban_table table = {0};
	int fd;

	(void)state;
	for (uint32_t i = 0; i < BANS_MAX; i++) {
		rows[i].network.address[14] = (uint8_t)(i >> 8);
		rows[i].network.address[15] = (uint8_t)i;
		rows[i].network.bits = 128;
		rows[i].until = NOW + 1;
	}
	rows[BANS_MAX].wider = 4711;
	ban_link(rows, BANS_MAX);
	assert_int_equal(rows[BANS_MAX].wider, 4711);
	fd = seal_octets("bans", rows, BANS_MAX * sizeof(*rows));
	assert_int_equal(ban_table_open(&table, fd, BANS_MAX), 0);
	assert_true(ban_table_has(&table, rows[BANS_MAX - 1].network.address, NOW));
	ban_table_close(&table);
	close(fd);
	free(rows);
}

static void test_the_list(void **state)
{
	struct ban_list list = {0};
	struct ban one = ban_of("192.0.2.0/24", 5), more = ban_of("10.0.0.0", 5);

	(void)state;
	assert_null(ban_list_after(&list, NULL));
	add(&list, "192.0.2.9/24", 5);
	add(&list, "192.0.2.0/24", 9); /* the same network */
	assert_int_equal(list.count, 1);
	assert_int_equal(ban_list_after(&list, NULL)->until, 9);
	assert_null(ban_list_after(&list, &one.network));
	add(&list, "10.0.0.1", 4);
	assert_int_equal(ban_list_after(&list, NULL)->until, 4);
	assert_int_equal(ban_list_after(&list, &more.network)->until, 4); /* it is not there */
	assert_int_equal(ban_list_prune(&list, 4), 1);
	assert_true(ban_list_remove(&list, &one.network));
	assert_false(ban_list_remove(&list, &one.network));
	for (unsigned i = 0; i < BANS_MAX; i++) {
		more.network.address[14] = (uint8_t)(i >> 8);
		more.network.address[15] = (uint8_t)i;
		assert_int_equal(ban_list_add(&list, &more), 0);
	}
	assert_int_equal(ban_list_add(&list, &one), -1);
	more.until = 77;
	assert_int_equal(ban_list_add(&list, &more), 0); /* one of those that are there */
	assert_int_equal(list.count, BANS_MAX);
	ban_list_finish(&list);
}

static void test_text_there_and_back(void **state)
{
	struct ban_list list = {0}, again = {0};
	struct err err = {0};
	size_t size, size_again;
	char *text, *text_again;

	(void)state;
	add(&list, "192.0.2.0/24", INT64_MAX);
	add(&list, "0.0.0.0/0", NOW + 1);
	add(&list, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NOW + 1);
	memset(list.bans[2].why, 'x', IPC_BAN_WHY_MAX);
	list.bans[0].by_uid = UINT32_MAX;
	list.bans[0].why[0] = '\0';
	text = ban_list_print(&list, &size);
	assert_int_equal(ban_list_parse(&again, (pop3_span){text, size}, "f", NOW, &err), 0);
	text_again = ban_list_print(&again, &size_again);
	assert_int_equal(size, size_again);
	assert_memory_equal(text, text_again, size);
	/* every cut is noticed, with a line */
	for (size_t cut = 0; cut < size; cut++) {
		assert_int_equal(ban_list_parse(&again, (pop3_span){text, cut}, "f", NOW, &err),
				 -1);
		assert_memory_equal(err.text, "f:", 2);
	}
	free(text);
	free(text_again);
	ban_list_finish(&list);
	ban_list_finish(&again);
}

static void check_wrong(const char *text, const char *begins, uint32_t taken)
{
	struct ban_list list = {0};
	struct err err = {0};

	assert_int_equal(ban_list_parse(&list, span_of(text), "f", NOW, &err), -1);
	if (strncmp(err.text, begins, strlen(begins)) != 0)
		fail_msg("%s: %s", begins, err.text);
	assert_int_equal(list.count, taken);
	ban_list_finish(&list);
}

static void test_damaged_text(void **state)
{
#define GOOD "192.0.2.0/24 until=1001 since=1 by-uid=0 why=x\n"
	(void)state;
	check_wrong("", "f:1: the end is missing", 0);
	check_wrong("valija-bans 2\nend 0\n", "f:1: it does not begin", 0);
	check_wrong("valija-bans 1\n" GOOD "end 2\n", "f:3: the number", 1);
	check_wrong("valija-bans 1\n" GOOD, "f:3: the end is missing", 1);
	check_wrong("valija-bans 1\n" GOOD "end 1\n" GOOD, "f:4: something", 1);
	check_wrong("valija-bans 1\nx\n" GOOD "end 2\n", "f:2: it does not begin with a net", 1);
	check_wrong("valija-bans 1\n" GOOD "10.0.0.1 until=-1 since=1 by-uid=0 why=x\nend 2\n",
		    "f:3: until=", 1);
	check_wrong("valija-bans 1\n10.0.0.1 until=1 since=1 by-uid=4294967296 why=x\nend 1\n",
		    "f:2: until=", 0);
	check_wrong("valija-bans 1\n10.0.0.1 until=9999 since=1 by-uid=0 x\nend 1\n",
		    "f:2: why=", 0);
	check_wrong("valija-bans 1\n10.0.0.1 until=9999 since=1 by-uid=0 why=\x1b[2J\nend 1\n",
		    "f:2: the words", 0);
	check_wrong("valija-bans 1\n" GOOD "\n", "f:3: it does not begin with a net", 1);
}

static void test_the_file(void **state)
{
	char folder[] = "/tmp/valija-bans-XXXXXX", path[64], staged[80];
	struct ban_list list = {0};
	struct err err = {0};
	const char text[] = "valija-bans 1\n" GOOD "end 1\n";
	struct stat st;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/bans", folder);
	snprintf(staged, sizeof(staged), "%s.new", path);
	assert_int_equal(ban_file_read(path, NOW, &list, &err), 0); /* none yet */
	assert_int_equal(ban_file_write(path, text, strlen(text), &err), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(ban_file_read(path, NOW, &list, &err), 0);
	assert_int_equal(list.count, 1);
	unlink(path);
	assert_int_equal(symlink("/dev/zero", path), 0);
	assert_int_equal(ban_file_read(path, NOW, &list, &err), -1);
	unlink(path);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(ban_file_read(path, NOW, &list, &err), -1);
	assert_int_equal(ban_file_write(path, text, strlen(text), &err), -1);
	rmdir(path);
	assert_int_equal(mkfifo(path, 0600), 0); /* it does not wait for a writer */
	assert_int_equal(ban_file_read(path, NOW, &list, &err), -1);
	unlink(path);
	unlink(staged);
	rmdir(folder);
	ban_list_finish(&list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lookups),
		cmocka_unit_test(test_families),
		cmocka_unit_test(test_any_list),
		cmocka_unit_test(test_what_is_no_table),
		cmocka_unit_test(test_a_full_table),
		cmocka_unit_test(test_the_list),
		cmocka_unit_test(test_text_there_and_back),
		cmocka_unit_test(test_damaged_text),
		cmocka_unit_test(test_the_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
