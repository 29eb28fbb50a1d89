/* Packets between a lookup process and its PAM server. */
#include "lookup/system/frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <string.h>

static size_t make(const char *user, const char *address, const char *secret, char *buf)
{
	struct frame_question question = {.head = {7, 1234567890123}};

	strcpy(question.user, user);
	strcpy(question.address, address);
	strcpy(question.secret, secret);
	return frame_put_question(&question, buf);
}

static void questions_come_back(void **state)
{
	char longest_user[FRAME_USER_MAX], longest_secret[FRAME_SECRET_MAX],
		buf[FRAME_QUESTION_MAX];
	struct frame_question got;
	size_t size = make("anna", "2001:db8::1", "p\xc3\xa4ss \xff", buf);

	(void)state;
	assert_int_equal(frame_take_question((pop3_span){buf, size}, &got), 0);
	assert_int_equal(got.head.id, 7);
	assert_int_equal(got.head.deadline, 1234567890123);
	assert_string_equal(got.user, "anna");
	assert_string_equal(got.address, "2001:db8::1");
	assert_string_equal(got.secret, "p\xc3\xa4ss \xff");
	memset(longest_user, 'u', sizeof(longest_user));
	longest_user[sizeof(longest_user) - 1] = '\0';
	memset(longest_secret, 's', sizeof(longest_secret));
	longest_secret[sizeof(longest_secret) - 1] = '\0';
	size = make(longest_user, "", longest_secret, buf);
	assert_int_equal(frame_take_question((pop3_span){buf, size}, &got), 0);
	assert_string_equal(got.user, longest_user);
	assert_string_equal(got.secret, longest_secret);
}

static void bad_questions_are_refused(void **state)
{
	char buf[FRAME_QUESTION_MAX + 64];
	struct frame_question got;
	size_t size = make("anna", "", "secret", buf);

	(void)state;
	for (size_t n = 0; n < size; n++)
		assert_int_equal(frame_take_question((pop3_span){buf, n}, &got), -1);
	buf[size] = 'x'; /* something behind it */
	assert_int_equal(frame_take_question((pop3_span){buf, size + 1}, &got), -1);
	buf[size] = '\0';
	assert_int_equal(frame_take_question((pop3_span){buf, size + 1}, &got), -1);
	size = make("", "", "secret", buf);
	assert_int_equal(frame_take_question((pop3_span){buf, size}, &got), -1);
	size = make("anna", "", "", buf);
	assert_int_equal(frame_take_question((pop3_span){buf, size}, &got), -1);
	memset(buf, 'u', sizeof(buf)); /* a name that does not end, and one that is too long */
	assert_int_equal(frame_take_question((pop3_span){buf, sizeof(buf)}, &got), -1);
	memcpy(buf + 16 + FRAME_USER_MAX, "\0\0s", 4);
	assert_int_equal(frame_take_question((pop3_span){buf, 16 + FRAME_USER_MAX + 4}, &got), -1);
}

static void verdicts_come_back_and_no_others(void **state)
{
	char buf[FRAME_VERDICT_SIZE + 1] = "";
	struct frame_verdict got = {.id = 99};

	(void)state;
	for (uint32_t verdict = 0; verdict < VERDICT_END + 2; verdict++)
		for (uint32_t detail = 0; detail < DETAIL_END + 2; detail++) {
			struct frame_verdict put = {5, (enum verdict)verdict, detail};
			bool good =
				verdict >= VERDICT_RIGHT && verdict < VERDICT_END &&
				(detail == 0 || (verdict == VERDICT_DOWN && detail < DETAIL_END));

			frame_put_verdict(&put, buf);
			assert_int_equal(
				frame_take_verdict((pop3_span){buf, FRAME_VERDICT_SIZE}, &got),
				good ? 0 : -1);
			assert_true(!good || (got.id == 5 && got.verdict == put.verdict &&
					      got.detail == detail));
		}
	frame_put_verdict(&(struct frame_verdict){5, VERDICT_RIGHT, 0}, buf);
	for (size_t n = 0; n < FRAME_VERDICT_SIZE; n++)
		assert_int_equal(frame_take_verdict((pop3_span){buf, n}, &got), -1);
	assert_int_equal(frame_take_verdict((pop3_span){buf, FRAME_VERDICT_SIZE + 1}, &got), -1);
}

/* What a library may exit with by itself is never "right". */
static void exit_codes_say_five_things(void **state)
{
	unsigned right = 0;

	(void)state;
	for (int code = 0; code < 256; code++) {
		struct frame_verdict got = {0};
		char buf[FRAME_VERDICT_SIZE];

		frame_take_exit_code(code, &got);
		frame_put_verdict(&got, buf);
		assert_int_equal(frame_take_verdict((pop3_span){buf, sizeof(buf)}, &got), 0);
		right += got.verdict == VERDICT_RIGHT;
		if (code < 64 || code == 127 || code == 255)
			assert_int_equal(got.detail, DETAIL_DIED);
	}
	assert_int_equal(right, 1);
	for (int verdict = VERDICT_RIGHT; verdict < VERDICT_END; verdict++) {
		uint32_t detail = verdict == VERDICT_DOWN ? 9 : 0;
		struct frame_verdict got = {0};

		frame_take_exit_code(frame_exit_code((enum verdict)verdict, detail), &got);
		assert_int_equal(got.verdict, verdict);
		assert_int_equal(got.detail, detail);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(questions_come_back),
		cmocka_unit_test(bad_questions_are_refused),
		cmocka_unit_test(verdicts_come_back_and_no_others),
		cmocka_unit_test(exit_codes_say_five_things),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
