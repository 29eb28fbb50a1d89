/* A line's first octet is found wherever it stands, and nothing else is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/line_search.h"

enum { MOST = 200 };

static size_t plainly(const char *text, size_t size, size_t at)
{
	for (; at + 1 < size; at++)
		if (text[at] == '\n' && text[at + 1] == 'F')
			return at;
	return size;
}

/* Sizes and places around those that are looked at together. The text ends where its memory does.
 */
static void each_place(void **state)
{
	(void)state;
	for (size_t size = 0; size <= MOST; size++) {
		char *text = malloc(size ? size : 1);

		for (size_t place = 0; place < size; place++) {
			memset(text, 'F', size);
			text[place] = '\n';
			for (size_t at = 0; at <= size; at += 7)
				assert_int_equal(line_search((pop3_span){text, size}, at, 'F'),
						 plainly(text, size, at));
		}
		free(text);
	}
}

static void near_misses(void **state)
{
	char text[MOST];

	(void)state;
	memset(text, '\n', sizeof(text));
	assert_int_equal(line_search((pop3_span){text, MOST}, 0, 'F'), MOST);
	memset(text, 'F', sizeof(text));
	assert_int_equal(line_search((pop3_span){text, MOST}, 0, 'F'), MOST);
	for (int i = 0; i < MOST; i++)
		text[i] = i % 2 ? '\n' : 'G';
	assert_int_equal(line_search((pop3_span){text, MOST}, 0, 'F'), MOST);
	text[150] = 'F';
	text[100] = 'F';
	assert_int_equal(line_search((pop3_span){text, MOST}, 0, 'F'), 99);
	assert_int_equal(line_search((pop3_span){text, MOST}, 100, 'F'), 149);
	assert_int_equal(line_search((pop3_span){text, MOST}, 150, 'F'), MOST);
	assert_int_equal(line_search((pop3_span){NULL, 0}, 0, 'F'), 0);
	text[150] = (char)0xff;
	assert_int_equal(line_search((pop3_span){text, MOST}, 100, (char)0xff), 149);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_place),
		cmocka_unit_test(near_misses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
