/* Checks of `valija doctor`: their findings come over, and one that hangs or dies is a finding. */
#include "cli/doctor/finding.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static struct config config;
static struct finding found[300];
static unsigned count;

static void take(const struct finding *finding, void *context)
{
	assert_ptr_equal(context, &count);
	assert_true(count < sizeof(found) / sizeof(*found));
	found[count++] = *finding;
}

static void run(void (*check)(const struct doctor *doctor), unsigned seconds)
{
	const struct check one = {"its name", check, seconds};

	count = 0;
	check_run(&one, &config, take, &count);
}

static void finds_many(const struct doctor *doctor)
{
	assert_ptr_equal(doctor->config, &config);
	for (int i = 0; i < 300; i++)
		find(doctor, (enum severity)(i % SEVERITIES), "check", i % 2 ? "mend" : NULL,
		     "%d %s", i, "text");
}

static void finds_long(const struct doctor *doctor)
{
	char text[5000];

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	find(doctor, SEVERITY_NOTE, "a name that is far too long", text, "%s", text);
}

static void hangs(const struct doctor *doctor)
{
	find(doctor, SEVERITY_OK, "check", NULL, "before");
	for (;;)
		pause();
}

static void dies(const struct doctor *doctor)
{
	find(doctor, SEVERITY_OK, "check", NULL, "before");
	raise(SIGKILL);
}

static void finds_nothing(const struct doctor *doctor)
{
	(void)doctor;
}

static void test_findings_come_over(void **state)
{
	(void)state;
	run(finds_many, 60);
	assert_int_equal(count, 300);
	for (unsigned i = 0; i < count; i++) {
		char text[32];

		snprintf(text, sizeof(text), "%u text", i);
		assert_string_equal(found[i].text, text);
		assert_string_equal(found[i].mend, i % 2 ? "mend" : "");
		assert_string_equal(found[i].check, "check");
		assert_int_equal(found[i].severity, i % SEVERITIES);
	}
	run(finds_nothing, 60);
	assert_int_equal(count, 0);
}

static void test_long_texts_are_cut(void **state)
{
	(void)state;
	run(finds_long, 60);
	assert_int_equal(count, 1);
	assert_int_equal(strlen(found[0].text), sizeof(found[0].text) - 1);
	assert_int_equal(strlen(found[0].mend), sizeof(found[0].mend) - 1);
	assert_int_equal(strlen(found[0].check), sizeof(found[0].check) - 1);
}

static void test_a_check_that_hangs_ends(void **state)
{
	time_t before = time(NULL);

	(void)state;
	run(hangs, 1);
	assert_true(time(NULL) - before < 30);
	assert_int_equal(count, 2); /* what it had found stays */
	assert_string_equal(found[0].text, "before");
	assert_int_equal(found[1].severity, SEVERITY_ERROR);
	assert_string_equal(found[1].check, "its name");
	assert_non_null(strstr(found[1].text, "did not end within 1 seconds"));
}

static void test_a_check_that_dies_is_said(void **state)
{
	(void)state;
	run(dies, 60);
	assert_int_equal(count, 2);
	assert_int_equal(found[1].severity, SEVERITY_ERROR);
	assert_non_null(strstr(found[1].text, "ended before it was done"));
}

static void test_programs(void **state)
{
	char shell[] = "/bin/sh", option[] = "-c", script[] = "echo one; echo two >&2; exit 7",
	     endless[] = "while :; do echo x; done", none[] = "/nonexistent", out[64];
	char *argv[] = {shell, option, script, NULL}, *missing[] = {none, NULL};

	(void)state;
	assert_int_equal(check_program(argv, out, sizeof(out)), 7);
	assert_string_equal(out, "one\ntwo\n");
	assert_int_equal(check_program(missing, out, sizeof(out)), 126);
	argv[2] = endless; /* it ends when nobody reads any more */
	assert_int_not_equal(check_program(argv, out, sizeof(out)), 0);
	assert_int_equal(strlen(out), sizeof(out) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_findings_come_over),
		cmocka_unit_test(test_long_texts_are_cut),
		cmocka_unit_test(test_a_check_that_hangs_ends),
		cmocka_unit_test(test_a_check_that_dies_is_said),
		cmocka_unit_test(test_programs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
