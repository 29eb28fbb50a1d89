/* Logins by a client's certificate (SASL EXTERNAL): whose name counts, who may, and in how many
 * steps. */
#include "users/login.h"

#include "base/text.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[] = "/tmp/test-external-XXXXXX";
static int dir_fd;
static struct users *users;
static struct login_service *service;

static int set_up(void **state)
{
	static const char text[] = "anna:{PLAIN}secret::::::external=yes\n"
				   "berta:{PLAIN}secret\n"
				   "carl:{PLAIN}secret::::::external=yes nologin=yes\n"
				   "locked:!::::::external=yes\n";
	struct login_settings settings = {.host_name = "host", .mechanisms = "EXTERNAL PLAIN"};
	int fd;

	(void)state;
	if (!mkdtemp(directory))
		return -1;
	dir_fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	fd = openat(dir_fd, "users", O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	assert_int_equal(users_open_passwd_file(dir_fd, "users", NULL, &users, NULL), 0);
	return login_service_create(users, &settings, &service, NULL);
}

static int tear_down(void **state)
{
	(void)state;
	login_service_destroy(service);
	users_close(users);
	unlinkat(dir_fd, "users", 0);
	close(dir_fd);
	return rmdir(directory);
}

static struct login *start(const char *certified)
{
	const struct login_channel channel = {.tls = true, .certified = span_of(certified)};
	struct login *login = login_sasl(service, SPAN_LITERAL("EXTERNAL"), &channel);

	assert_non_null(login);
	return login;
}

/* In one step, to act for authzid. */
static enum login_verdict try(const char *certified, const char *authzid, const char *reason)
{
	struct login *login = start(certified);
	enum login_verdict verdict;
	char text[128];

	base64_encode(span_of(authzid), text, sizeof(text));
	verdict = login_step_fast(login, span_of(text), true);
	if (verdict == LOGIN_GRANTED)
		assert_true(user_name_same(span_of(login_user(login)->name), span_of(certified)));
	if (!strstr(login_reason(login), reason))
		fail_msg("%s for %s: %s", certified, authzid, login_reason(login));
	if (verdict != LOGIN_PERM)
		assert_true(span_equal(login_claimed_name(login), span_of(certified)));
	/* over is over */
	assert_int_equal(login_step(login, SPAN_LITERAL(""), true), verdict);
	login_destroy(login);
	return verdict;
}

static void test_the_users_own_certificate(void **state)
{
	(void)state;
	assert_int_equal(try("anna", "", "EXTERNAL"), LOGIN_GRANTED);
	assert_int_equal(try("anna", "anna", "EXTERNAL"), LOGIN_GRANTED);
	assert_int_equal(try("Anna", "aNNA", "EXTERNAL"), LOGIN_GRANTED);
}

/* Without an initial response the client is asked first, and an empty answer is the usual one. */
static void test_in_two_lines(void **state)
{
	static const struct {
		const char *answer;
		enum login_verdict verdict;
	} answers[] = {{"", LOGIN_GRANTED},
		       {"YW5uYQ==", LOGIN_GRANTED}, /* anna */
		       {"YmVydGE=", LOGIN_DENIED},  /* berta */
		       {"not base64", LOGIN_DENIED}};

	(void)state;
	for (size_t i = 0; i < sizeof(answers) / sizeof(*answers); i++) {
		struct login *login = start("anna");

		assert_int_equal(login_step_fast(login, SPAN_LITERAL(""), false), LOGIN_MORE);
		assert_int_equal(login_challenge(login).size, 0);
		assert_int_equal(login_claimed_name(login).size, 0);
		assert_false(login_has_begun(login));
		assert_int_equal(login_step_fast(login, span_of(answers[i].answer), true),
				 answers[i].verdict);
		login_destroy(login);
	}
}

/* An answer that is none does not ask the client once more. */
static void test_one_challenge_at_most(void **state)
{
	struct login *login = start("anna");

	(void)state;
	assert_int_equal(login_step_fast(login, SPAN_LITERAL(""), false), LOGIN_MORE);
	assert_int_equal(login_step_fast(login, SPAN_LITERAL(""), false), LOGIN_GRANTED);
	login_destroy(login);
}

static void test_nobody_else_by_a_certificate(void **state)
{
	static const char unknown[] = "a certificate of an unknown user, or of one who is locked";

	(void)state;
	assert_int_equal(try("anna", "berta", "another user's than the one asked for"),
			 LOGIN_DENIED);
	assert_int_equal(try("anna", "nobody", "another user's than the one asked for"),
			 LOGIN_DENIED);
	assert_int_equal(try("berta", "", "does not have the field external"), LOGIN_DENIED);
	assert_int_equal(try("carl", "", unknown), LOGIN_DENIED);
	assert_int_equal(try("nobody", "", ""), LOGIN_DENIED);
}

static void test_without_a_certificate_there_is_no_such_mechanism(void **state)
{
	char name[USER_NAME_MAX + 3];

	(void)state;
	assert_int_equal(try("", "", "not offered"), LOGIN_PERM);
	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(try(name, "", "not offered"), LOGIN_PERM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_users_own_certificate),
		cmocka_unit_test(test_in_two_lines),
		cmocka_unit_test(test_one_challenge_at_most),
		cmocka_unit_test(test_nobody_else_by_a_certificate),
		cmocka_unit_test(test_without_a_certificate_there_is_no_such_mechanism),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
