/* The file of learned passwords: its lines, which of them count, and what is none. That the file is
 * written and distrusted as that of last logins is tried there (test_last_logins.c). */
#include "users/learned.h"

#include "base/text.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/test-learned-XXXXXX", sealed[SEAL_TEXT_SIZE + 1];
static int folder_fd;

static int set_up(void **state)
{
	(void)state;
	memcpy(folder, "/tmp/test-learned-XXXXXX", sizeof(folder));
	assert_non_null(mkdtemp(folder));
	folder_fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_true(folder_fd >= 0);
	return 0;
}

static int tear_down(void **state)
{
	char command[80];

	(void)state;
	close(folder_fd);
	snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	return system(command) == 0 ? 0 : -1;
}

static struct learned make(const char *section, const char *name, char octet)
{
	struct learned learned;

	memset(sealed, octet, SEAL_TEXT_SIZE);
	assert_int_equal(learned_set(&learned, span_of(section), span_of(name), span_of(sealed)),
			 0);
	return learned;
}

static void add_text(const char *text)
{
	struct err err = {0};

	assert_int_equal(learned_append(folder_fd, span_of(text), true, NULL, &err), 0);
}

static void add(const char *section, const char *name, char octet)
{
	struct learned learned = make(section, name, octet);
	char line[LEARNED_LINE_MAX];

	(void)learned_print(&learned, line);
	add_text(line);
}

static void collect(void *context, const struct learned *learned)
{
	char *text = context;

	snprintf(text + strlen(text), 1000 - strlen(text), "%s %s %c;", learned->section,
		 learned->name, learned->sealed[0]);
}

static void expect(const char *wanted)
{
	struct err err = {0};
	char text[1000] = "";

	assert_int_equal(learned_each(folder_fd, collect, text, &err), 0);
	assert_string_equal(text, wanted);
}

static void lines_come_back(void **state)
{
	static const char *const names[] = {"anna", "Anna@Example.org", "j\xc3\xbcrgen", "a b%20",
					    "a=b+c"};
	char line[LEARNED_LINE_MAX], longest[USER_NAME_MAX + 1];
	struct learned learned, again;

	(void)state;
	memset(longest, 'Z', USER_NAME_MAX);
	longest[USER_NAME_MAX] = '\0';
	for (size_t i = 0; i <= sizeof(names) / sizeof(names[0]); i++) {
		const char *name = i < sizeof(names) / sizeof(names[0]) ? names[i] : longest;
		size_t size;

		if (!user_name_valid(span_of(name)))
			continue;
		learned = make("the-old.server_1", name, 'x');
		size = learned_print(&learned, line);
		assert_int_equal(line[size - 1], '\n');
		assert_int_equal(learned_parse((pop3_span){line, size - 1}, &again), 0);
		assert_string_equal(again.section, "the-old.server_1");
		assert_string_equal(again.name, learned.name);
		assert_string_equal(again.sealed, learned.sealed);
	}
}

static void a_changed_line_is_none(void **state)
{
	struct learned learned = make("old", "anna", 'x'), again;
	char line[LEARNED_LINE_MAX];
	size_t size = learned_print(&learned, line) - 1;

	(void)state;
	for (size_t i = 0; i < size; i++) {
		line[i] ^= 1;
		assert_int_equal(learned_parse((pop3_span){line, size}, &again), -1);
		line[i] ^= 1;
		assert_int_equal(learned_parse((pop3_span){line, i}, &again), -1);
	}
	assert_int_equal(learned_parse((pop3_span){line, size}, &again), 0);
}

static void what_is_no_line_is_not_set(void **state)
{
	static const struct {
		const char *section, *name;
		char octet;
	} none[] = {{"", "anna", 'x'},    {"o d", "anna", 'x'},  {"old/", "anna", 'x'},
		    {"old", "", 'x'},     {"old", "a/b", 'x'},   {"old", "a b", 'x'},
		    {"old", "anna", ' '}, {"old", "anna", '\n'}, {"old", "anna", '-'}};
	char section[LEARNED_SECTION_MAX + 2];
	struct learned learned;

	(void)state;
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		memset(sealed, none[i].octet, SEAL_TEXT_SIZE);
		assert_int_equal(learned_set(&learned, span_of(none[i].section),
					     span_of(none[i].name), span_of(sealed)),
				 -1);
	}
	memset(sealed, 'x', SEAL_TEXT_SIZE);
	assert_int_equal(learned_set(&learned, SPAN_LITERAL("old"), SPAN_LITERAL("anna"),
				     (pop3_span){sealed, SEAL_TEXT_SIZE - 1}),
			 -1);
	memset(section, 'a', sizeof(section));
	assert_int_equal(learned_set(&learned, (pop3_span){section, LEARNED_SECTION_MAX + 1},
				     SPAN_LITERAL("anna"), span_of(sealed)),
			 -1);
	assert_int_equal(learned_set(&learned, (pop3_span){section, LEARNED_SECTION_MAX},
				     SPAN_LITERAL("anna"), span_of(sealed)),
			 0);
}

static void a_label_is_of_a_section_and_a_name(void **state)
{
	char buf[LEARNED_LABEL_MAX];

	(void)state;
	assert_true(span_equal(learned_label(SPAN_LITERAL("old"), SPAN_LITERAL("Anna"), buf),
			       SPAN_LITERAL("old/anna")));
	assert_int_equal(learned_label(SPAN_LITERAL(""), SPAN_LITERAL("anna"), buf).size, 0);
}

static void the_latest_line_counts(void **state)
{
	struct err err = {0};
	uint64_t size = 1;

	(void)state;
	assert_int_equal(learned_compact(folder_fd, &size, &err), 0);
	expect(""); /* none was made */
	add("old", "anna", 'a');
	add("old", "berta", 'b');
	add("older", "anna", 'c');
	add_text("nonsense\n");
	add("old", "Anna", 'd');
	add_text("0123"); /* cut off */
	add("old", "carla", 'e');
	expect("old anna a;old berta b;older anna c;old anna d;old carla e;");
	assert_int_equal(learned_compact(folder_fd, &size, &err), 0);
	expect("old berta b;older anna c;old anna d;old carla e;");
	assert_true(size > 4 * SEAL_TEXT_SIZE && size < 5 * SEAL_TEXT_SIZE);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(lines_come_back),
		TEST(a_changed_line_is_none),
		TEST(what_is_no_line_is_not_set),
		TEST(a_label_is_of_a_section_and_a_name),
		TEST(the_latest_line_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
