/* Lines of answers: a field ends neither itself nor its line, and a line that finds no room is not
 * there. */
#include "server/lines.h"

#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct lines lines;

static int begin(void **state)
{
	(void)state;
	memset(&lines, 0, sizeof(lines));
	return 0;
}

static void test_fields(void **state)
{
	(void)state;
	lines_begin(&lines, "user");
	lines_name(&lines, SPAN_LITERAL("a b\t\n\\\xc3-"));
	lines_words(&lines, "two words\n");
	lines_number(&lines, UINT64_MAX);
	lines_name(&lines, SPAN_LITERAL(""));
	lines_words(&lines, "-");
	assert_true(lines_end(&lines));
	lines_begin(&lines, "user");
	assert_true(lines_end(&lines));
	assert_int_equal(lines.count, 2);
	lines.text[lines.whole] = '\0';
	assert_string_equal(lines.text, "user\ta\\x20b\\x09\\x0a\\x5c\\xc3-\ttwo words\\x0a\t"
					"18446744073709551615\t-\t\\x2d\nuser\n");
}

static void test_a_line_without_room_is_not_there(void **state)
{
	char name[IPC_TEXT_MAX];
	uint32_t before;

	(void)state;
	memset(name, '\n', sizeof(name));
	do {
		before = lines.count;
		lines_begin(&lines, "long");
		lines_name(&lines, (pop3_span){name, sizeof(name)});
	} while (lines_end(&lines));
	assert_int_equal(lines.count, before);
	assert_true(lines.count >= IPC_BATCH_MAX / 4 / IPC_TEXT_MAX - 2);
	assert_int_equal(lines.text[lines.whole - 1], '\n');
	lines_begin(&lines, "short"); /* there is room for this one */
	assert_true(lines_end(&lines));
	assert_int_equal(lines.count, before + 1);
}

static void test_whose_commands_are_obeyed(void **state)
{
	struct ipc_control_peers peers = {.uids = {0, 5}, .count = 2, .gid = 7};

	(void)state;
	assert_true(lines_obeyed(&peers, 5, 1));
	assert_false(lines_obeyed(&peers, 7, 5));
	assert_false(lines_obeyed(&peers, 6, 7));
	peers.has_group = 1;
	assert_true(lines_obeyed(&peers, 6, 7));
	peers.count = 0;
	assert_false(lines_obeyed(&peers, 0, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_fields, begin),
		cmocka_unit_test_setup(test_a_line_without_room_is_not_there, begin),
		cmocka_unit_test(test_whose_commands_are_obeyed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
