/*
 * OAUTHBEARER and XOAUTH2: the examples of RFC 7628 and of Google's page, each way to be malformed,
 * and the challenge, read by a JSON library.
 */
#include "users/bearer.h"

#include "base/text.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define A "\1"
#define OAUTH BEARER_OAUTHBEARER
#define XOAUTH BEARER_XOAUTH2
#define N85 "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefg"

static void expect_ok(enum bearer_mechanism mechanism, pop3_span in, const char *user,
		      const char *token)
{
	struct bearer bearer;

	memset(&bearer, 0x5a, sizeof(bearer));
	assert_int_equal(bearer_read(mechanism, in, &bearer), BEARER_OK);
	assert_string_equal(bearer.user, user);
	assert_true(span_equal(bearer.token, span_of(token)));
	assert_true(bearer.token.data > in.data &&
		    bearer.token.data + bearer.token.size < in.data + in.size);
}

static void expect(enum bearer_mechanism mechanism, pop3_span in, enum bearer_result result)
{
	struct bearer bearer = {.user = "untouched"}, before = bearer;

	assert_int_equal(bearer_read(mechanism, in, &bearer), result);
	assert_memory_equal(&bearer, &before, sizeof(bearer));
}

#define OK(mechanism, in, user, token) expect_ok(mechanism, SPAN_LITERAL(in), user, token)
#define BAD(mechanism, in) expect(mechanism, SPAN_LITERAL(in), BEARER_BAD)
#define NONE(mechanism, in) expect(mechanism, SPAN_LITERAL(in), BEARER_NONE)

static void test_oauthbearer(void **state)
{
	(void)state;
	/* RFC 7628 section 4.1 */
	OK(OAUTH,
	   "n,a=user@example.com," A "host=server.example.com" A "port=143" A
	   "auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==" A A,
	   "user@example.com", "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==");
	OK(OAUTH, "n,a=u," A "auth=Bearer a.b-c_d~e+f/" A A, "u", "a.b-c_d~e+f/");
	OK(OAUTH, "y,a=u," A "auth=bearer x" A A, "u", "x"); /* RFC 9110: schemes have no case */
	OK(OAUTH, "n,," A "auth=Bearer x" A A, "", "x");     /* the token says who it is */
	OK(OAUTH, "n,a=a=2Cb=3Dc=3D," A "auth=Bearer x" A A, "a,b=c=", "x");
	OK(OAUTH, "n,a=m\xc3\xbcller," A "auth=Bearer x" A A, "m\xc3\xbcller", "x");
	OK(OAUTH, "n,a=u," A "auth=Bearer x" A "path=/a" A "qs=" A "post=\r\n\t " A A, "u", "x");
	/* another's user= is a key that is not known */
	OK(OAUTH, "n,a=u," A "user=other" A "auth=Bearer x" A A, "u", "x");
}

static void test_oauthbearer_bad(void **state)
{
	(void)state;
	BAD(OAUTH, "");
	BAD(OAUTH, A); /* the answer of a client that gave up */
	BAD(OAUTH, "n,a=u," A A);
	BAD(OAUTH, "n,a=u," A "auth=Bearer x" A);
	BAD(OAUTH, "n,a=u," A "auth=Bearer x");
	BAD(OAUTH, "n,a=u," A "auth=Bearer x" A A A);
	BAD(OAUTH, "n,a=u," A "auth=Bearer x" A A "more");
	BAD(OAUTH, "n,a=u" A "auth=Bearer x" A A);
	BAD(OAUTH, "n,a=u,more" A "auth=Bearer x" A A);
	BAD(OAUTH, "a=u," A "auth=Bearer x" A A);
	BAD(OAUTH, ",a=u," A "auth=Bearer x" A A);
	BAD(OAUTH, "p=tls-exporter,a=u," A "auth=Bearer x" A A);
	BAD(OAUTH, "F,n,a=u," A "auth=Bearer x" A A);
	BAD(OAUTH, "n,u," A "auth=Bearer x" A A);
	BAD(OAUTH, "n,a=," A "auth=Bearer x" A A);
	BAD(OAUTH, "n,a=u=," A "auth=Bearer x" A A);
	BAD(OAUTH, "n,a=u=2," A "auth=Bearer x" A A);
	BAD(OAUTH, "n,a=u=2c," A "auth=Bearer x" A A);
	BAD(OAUTH, "n,a=u=41," A "auth=Bearer x" A A);
	BAD(OAUTH, "n,a=u\0," A "auth=Bearer x" A A);
	BAD(OAUTH, "n,a=u\r\n," A "auth=Bearer x" A A);
	BAD(OAUTH, "n,a=" N85 N85 N85 N85 "," A "auth=Bearer x" A A);
	BAD(OAUTH, "n,a=u," A "auth=Bearer x" A "auth=Bearer y" A A);
	BAD(OAUTH, "n,a=u," A "auth=" A "auth=Bearer y" A A);
	BAD(OAUTH, "n,a=u," A "auth" A A);
	BAD(OAUTH, "n,a=u," A "=x" A "auth=Bearer x" A A);
	BAD(OAUTH, "n,a=u," A "k1=x" A "auth=Bearer x" A A);
	BAD(OAUTH, "n,a=u," A "k=\0" A "auth=Bearer x" A A);
	BAD(OAUTH, "n,a=u," A "k=\xc3\xbc" A "auth=Bearer x" A A);
	/* a mechanism does not read the other's form */
	BAD(OAUTH, "user=u" A "auth=Bearer x" A A);
	BAD(XOAUTH, "n,a=u," A "auth=Bearer x" A A);
}

static void test_tokens_bad(void **state)
{
	static const pop3_span tokens[] = {
		SPAN_LITERAL("a b"),       SPAN_LITERAL(" a"),    SPAN_LITERAL("a "),
		SPAN_LITERAL("="),         SPAN_LITERAL("a=b"),   SPAN_LITERAL("a\0b"),
		SPAN_LITERAL("a\r\nb"),    SPAN_LITERAL("a,b"),   SPAN_LITERAL("\"a\""),
		SPAN_LITERAL("a\xc3\xbc"), SPAN_LITERAL("a\x7f"), SPAN_LITERAL("a%2e"),
	};
	char in[64];

	(void)state;
	for (size_t i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++) {
		static const char head[] = "user=u" A "auth=Bearer ";
		size_t n = sizeof(head) - 1;

		memcpy(in, head, n);
		memcpy(in + n, tokens[i].data, tokens[i].size);
		memcpy(in + n + tokens[i].size, A A, 2);
		expect(XOAUTH, (pop3_span){in, n + tokens[i].size + 2}, BEARER_BAD);
	}
}

static void test_xoauth2(void **state)
{
	(void)state;
	/* Google's page */
	OK(XOAUTH,
	   "user=someuser@example.com" A
	   "auth=Bearer ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg" A A,
	   "someuser@example.com", "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg");
	OK(XOAUTH, "user=m\xc3\xbcller=x" A "auth=Bearer x" A A, "m\xc3\xbcller=x", "x");
	OK(XOAUTH, "auth=Bearer x" A "user=u" A A, "u", "x");
	OK(XOAUTH, "user=" N85 N85 N85 A "auth=Bearer x" A A, N85 N85 N85, "x");
	BAD(XOAUTH, "user=u" A A);
	BAD(XOAUTH, "auth=Bearer x" A A);
	BAD(XOAUTH, "user=" A "auth=Bearer x" A A);
	BAD(XOAUTH, "user=u" A "user=u" A "auth=Bearer x" A A);
	BAD(XOAUTH, "user=u\0v" A "auth=Bearer x" A A);
	BAD(XOAUTH, "user=u\t" A "auth=Bearer x" A A);
	BAD(XOAUTH, "user=" N85 N85 N85 "z" A "auth=Bearer x" A A);
	BAD(XOAUTH, "user=u" A "auth=Bearer x" A);
	BAD(XOAUTH, "");
}

static void test_no_token(void **state)
{
	(void)state;
	NONE(OAUTH, "n,a=u," A "auth=" A A);
	NONE(OAUTH, "n,," A "auth=Bearer " A A);
	NONE(OAUTH, "n,a=u," A "auth=Basic dTpw" A A);
	NONE(OAUTH, "n,a=u," A "auth=Bearerx" A A);
	NONE(XOAUTH, "user=u" A "auth=Bearer " A A);
}

/* Each prefix of a good response is bad. */
static void test_cut_short(void **state)
{
	static const char one[] = "n,a=u@x," A "host=h" A "auth=Bearer abc==" A A;
	static const char two[] = "user=u" A "auth=Bearer abc==" A A;

	(void)state;
	for (size_t n = 0; n < sizeof(one) - 1; n++)
		expect(OAUTH, (pop3_span){one, n}, BEARER_BAD);
	for (size_t n = 0; n < sizeof(two) - 1; n++)
		expect(XOAUTH, (pop3_span){two, n}, BEARER_BAD);
}

static void expect_member(const json_t *json, const char *name, const char *value)
{
	const char *found = json_string_value(json_object_get(json, name));

	assert_non_null(found);
	assert_string_equal(found, value);
}

static json_t *challenge(enum bearer_mechanism mechanism, const char *scope, const char *url,
			 size_t members)
{
	char buf[1024];
	int n = bearer_challenge(mechanism, scope, url, buf, sizeof(buf));
	json_t *json;

	assert_true(n > 0 && buf[n] == '\0');
	json = json_loadb(buf, (size_t)n, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(json);
	assert_int_equal(json_object_size(json), members);
	return json;
}

static void test_challenge(void **state)
{
	json_t *json = challenge(OAUTH, "mail pop", "https://id.example/.well-known/x", 3);

	(void)state;
	expect_member(json, "status", "invalid_token");
	expect_member(json, "scope", "mail pop");
	expect_member(json, "openid-configuration", "https://id.example/.well-known/x");
	json_decref(json);
	json = challenge(XOAUTH, "mail", "https://id.example/", 3);
	expect_member(json, "status", "400");
	expect_member(json, "schemes", "Bearer");
	expect_member(json, "scope", "mail");
	json_decref(json);
	json_decref(challenge(OAUTH, "", "", 1));
	json_decref(challenge(XOAUTH, "", "", 2));
}

static void test_challenge_escaped(void **state)
{
	static const char odd[] = "a\"b\\c\n\x01\x7f/m\xc3\xbc";
	json_t *json = challenge(OAUTH, odd, "\",\"status\":\"ok", 3);

	(void)state;
	expect_member(json, "scope", odd);
	expect_member(json, "openid-configuration", "\",\"status\":\"ok");
	json_decref(json);
	json = challenge(XOAUTH, "x\xff\xc3", "", 3); /* not UTF-8 */
	expect_member(json, "scope", "x\xef\xbf\xbd\xef\xbf\xbd");
	json_decref(json);
}

static void test_challenge_room(void **state)
{
	char buf[256];
	int n = bearer_challenge(OAUTH, "s\n", "u", buf, sizeof(buf));

	(void)state;
	assert_true(n > 0);
	for (size_t size = 0; size <= (size_t)n; size++) {
		memset(buf, 0x5a, sizeof(buf));
		assert_int_equal(bearer_challenge(OAUTH, "s\n", "u", buf, size), -1);
		assert_int_equal(buf[size], 0x5a);
	}
	assert_int_equal(bearer_challenge(OAUTH, "s\n", "u", buf, (size_t)n + 1), n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_oauthbearer),    cmocka_unit_test(test_oauthbearer_bad),
		cmocka_unit_test(test_tokens_bad),     cmocka_unit_test(test_xoauth2),
		cmocka_unit_test(test_no_token),       cmocka_unit_test(test_cut_short),
		cmocka_unit_test(test_challenge),      cmocka_unit_test(test_challenge_escaped),
		cmocka_unit_test(test_challenge_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
