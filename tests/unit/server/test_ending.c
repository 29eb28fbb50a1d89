/* The line at the end of a session: why a deadline ended it. Its front and its connection are
 * empty: nothing is sent. */
#include "server/front/session.h"

#include "base/log.h"
#include "server/front/root.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct {
	struct child child;
	struct front front;
	struct session session;
	char line[LOG_LINE_MAX + 1];
	unsigned lines;
} test;

void __wrap_frame_expired(struct loop_deadlines *deadlines, struct loop_deadline *deadline);
void __wrap_frame_expired(struct loop_deadlines *deadlines, struct loop_deadline *deadline)
{
	(void)deadlines;
	assert_ptr_equal(deadline, &test.session.client.deadline);
}

static void keep(enum log_level level, const char *text, size_t size)
{
	(void)level;
	memcpy(test.line, text, size);
	test.line[size] = '\0';
	test.lines++;
}

static int begin(void **state)
{
	struct err err;

	(void)state;
	memset(&test, 0, sizeof(test));
	test.child.loop = loop_create(&err);
	if (!test.child.loop)
		return -1;
	test.child.instance = 0xab;
	test.front.frame.child = &test.child;
	test.session.front = &test.front;
	test.session.client.node.key = 7;
	test.session.ending.started = loop_now(test.child.loop) - 3500;
	log_set_output(keep);
	return 0;
}

static int end(void **state)
{
	(void)state;
	log_set_output(NULL);
	loop_destroy(test.child.loop);
	return 0;
}

static const char *ended_by(struct loop_deadlines *deadlines)
{
	session_expired(deadlines, &test.session.client.deadline);
	ending_write(&test.session, CONN_CUT);
	assert_int_equal(test.lines, 1);
	return test.line;
}

static void test_idle(void **state)
{
	(void)state;
	test.session.ending.user = strdup("anna");
	test.session.ending.retr = 2;
	test.session.ending.left = 5;
	assert_string_equal(ended_by(&test.front.idle),
			    "session-end from=local session=ab-7 service=\"pop3\" top=0 "
			    "top-octets=0 retr=2 retr-octets=0 dele=0 dele-octets=0 left=5 "
			    "seconds=3 user=\"anna\" reason=\"idle\"");
}

static void test_no_login(void **state)
{
	(void)state;
	assert_string_equal(ended_by(&test.front.login),
			    "session-end from=local session=ab-7 service=\"pop3\" seconds=3 "
			    "reason=\"no login in time\"");
}

static void test_drain(void **state)
{
	(void)state;
	assert_non_null(strstr(ended_by(&test.front.grace), "reason=\"drain\""));
}

static void test_no_handshake(void **state)
{
	(void)state;
	assert_non_null(strstr(ended_by(&test.front.handshake), "reason=\"no handshake in time\""));
}

/* The first reason is the cause, what comes of it is not. */
static void test_the_first_reason_stays(void **state)
{
	(void)state;
	ending_reason(&test.session, "write timeout");
	assert_non_null(strstr(ended_by(&test.front.idle), "reason=\"write timeout\""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_idle, begin, end),
		cmocka_unit_test_setup_teardown(test_no_login, begin, end),
		cmocka_unit_test_setup_teardown(test_drain, begin, end),
		cmocka_unit_test_setup_teardown(test_no_handshake, begin, end),
		cmocka_unit_test_setup_teardown(test_the_first_reason_stays, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
