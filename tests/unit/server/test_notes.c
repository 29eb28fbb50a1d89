/* Lines about the maildrops' troubles: each once, unless so many others came meanwhile. */
#include "server/keeper/notes.h"

#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

static struct keeper_notes notes;
static unsigned lines;
static char last[128];
static enum log_level last_level;

static void keep(enum log_level level, const char *text, size_t size)
{
	memcpy(last, text, size);
	last[size] = '\0';
	last_level = level;
	lines++;
}

static void note(unsigned number)
{
	char text[64];

	snprintf(text, sizeof(text), "trouble %u", number);
	keeper_note(&notes, text);
}

static int begin(void **state)
{
	(void)state;
	lines = 0;
	keeper_notes_init(&notes);
	log_set_output(keep);
	log_set_level(LOG_LEVEL_INFO);
	return 0;
}

static int end(void **state)
{
	(void)state;
	log_set_output(NULL);
	return 0;
}

static void test_each_line_once(void **state)
{
	(void)state;
	note(1);
	note(2);
	note(1);
	assert_int_equal(lines, 2);
	assert_string_equal(last, "trouble 2");
	assert_int_equal(last_level, LOG_LEVEL_WARNING);
}

static void test_as_many_as_are_remembered(void **state)
{
	(void)state;
	for (unsigned i = 0; i < KEEPER_NOTES; i++)
		note(i);
	assert_int_equal(lines, KEEPER_NOTES);
	for (unsigned i = 0; i < KEEPER_NOTES; i++)
		note(i);
	assert_int_equal(lines, KEEPER_NOTES);
	note(KEEPER_NOTES); /* in the place of the oldest */
	note(1);
	assert_int_equal(lines, KEEPER_NOTES + 1);
	note(0);
	assert_int_equal(lines, KEEPER_NOTES + 2);
	note(1);
	note(2);
	assert_int_equal(lines, KEEPER_NOTES + 4); /* each gave way to the one before */
}

static void test_an_index_each_time(void **state)
{
	(void)state;
	keeper_note_index(&notes, "made anew");
	keeper_note_index(&notes, "made anew");
	assert_int_equal(lines, 2);
	assert_string_equal(last, "made anew");
	assert_int_equal(last_level, LOG_LEVEL_INFO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_each_line_once, begin, end),
		cmocka_unit_test_setup_teardown(test_as_many_as_are_remembered, begin, end),
		cmocka_unit_test_setup_teardown(test_an_index_each_time, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
