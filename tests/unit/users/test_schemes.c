/* Password schemes: what others stored is verified, what is made is verified, damage is told. */
#include "users/schemes.h"

#include "base/text.h"
#include "users/cram_md5.h"
#include "users/scheme_kinds.h"
#include "users/scram.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include <cmocka.h>

static struct err err;
static struct secret secret;

static enum scheme_verdict verify(const char *stored, pop3_span password)
{
	memset(&err, 0, sizeof(err));
	secret_init(&secret);
	assert_int_equal(secret_set(&secret, password), 0);
	return scheme_verify(stored, &secret, &err);
}

/* Made by other programs (doveadm pw, crypt(3) of Perl and Python) from "password". */
static const char *const foreign[] = {
	"{PLAIN}password",
	"{CLEARTEXT}password",
	"{plain}password",
	"{CRAM-MD5}9186d855e11eba527a7a52ca82b313e180d62234f0acc9051b527243d41e2740",
	"{SCRAM-SHA-1}4096,a8n9Fei/FP9ARDc8WXXeTg==,anS3rioG9F6DRpQ0qxvVMFld/QE=,YGYO1U8Pme/icCPV"
	"nym37uDCRMw=",
	"{SCRAM-SHA-256}4096,VSeBEAYfCZp7PncaoyYztQ==,S1Xj6FezFdiTXSn7sHrxKNcxsltn0ZiU3R/5B0andCg"
	"=,T36Ua9f0kzxZsdJUqTLqgrx1GqX6VRXb4wWhszJUe48=",
	"{BLF-CRYPT}$2y$05$XQ0ZhdurEjfdsaFwP5Vxi.bzX1giATmrToaUGEAy4qM6OQVUvj7xW",
	"{SHA256-CRYPT}$5$da3neCH1R1BsfX1y$3vlokPdccTTs84sSw0h5Lp9L3rv6ELIuH55ZD.owI/2",
	"{SHA512-CRYPT}$6$EAO5CYEQ34AmT6/V$cWceQ94JR.00DM4d2IFCTIDDGquNbioqbLkSnLQEC0XjQvBqsy0CPv"
	"e82oWKKUwvgIK.wFMwMMJHoV00Hp/oW/",
	"{MD5-CRYPT}$1$Ht0dbCBp$bh3wulpheQstxvwIUdSeI.",
	"{MD5}$1$Ht0dbCBp$bh3wulpheQstxvwIUdSeI.",
	"{CRYPT}$y$j9T$abcdefghijklmnop$7asOTx5b6Exfl3myM6K0pLBn.I2hsEvu7G0F7NMfaO.",
	"$5$EiJkNbh7.McPlpWe$kyHJ/IyVfX5b/hksMKCSsy04AOWuM1hhuqrqSxqAwIC",
	"{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$FjbFA4ww1ncHzCJ+UbsxFg$HLlN7eL4khsUn5Lg+BC3CfDL"
	"I5WiOjhIwRj5wvupuu4",
	"{ARGON2I}$argon2i$v=19$m=32768,t=4,p=1$LjxQ8rDyee0SEF3jtEY8tg$bv0yTnQC0stlua4mYfB4L/CWqE"
	"jGLAYFy5QeTXyiaek",
	"{SSHA}bypW6hAaZsW+RgFwMudiKp2ede4AJRzh",
	"{SSHA256}aHNE2kihY9ZlTemGC+WRmvy9t+k4AKVJdP+K6YkMs96Xe7Qk",
	"{SSHA512}PLbQQk8g4DhlNJjtzU9RufARb5mQ6HqBq5FrbciYLGct+5KxIWjzAMAof0UQYBJ3xiFNdelNEp3t4/U"
	"u8p2Wo3Gyt/Q=",
	"{SMD5}CTh4N/WWKeMiw/tXbeQ061Hy8oc=",
	"{SHA512}sQnzu7wkTrgkQZF+0G1hi5AI3Qmzvv0bXgc5THBqi7mAsdd4Xll27ASbRt9fEyavWi6m0QP9B8lThf+r"
	"DKy8hg==",
	"{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=",
	"{SHA1}5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8",
	"{SHA256}XohImNooBHFR0OVvjcYpJ3NgPQ1qq73WKhHvch0VQtg=",
	"{PLAIN-MD5}5f4dcc3b5aa765d61d8327deb882cf99",
	"{LDAP-MD5}X03MO1qnZdYdgyfeuILPmQ==",
};

/* Argon2 can be left out of a build. */
static bool is_built(const char *stored)
{
	bool argon2 = false;

	for (const char *const *name = scheme_names(); *name; name++)
		argon2 |= strcmp(*name, "ARGON2ID") == 0;
	return argon2 || strncmp(stored, "{ARGON2", 7) != 0;
}

static void test_what_others_stored(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
		if (!is_built(foreign[i]))
			continue;
		if (verify(foreign[i], SPAN_LITERAL("password")) != SCHEME_MATCH)
			fail_msg("%s: %s", foreign[i], err.text);
		if (verify(foreign[i], SPAN_LITERAL("Password")) != SCHEME_MISMATCH)
			fail_msg("takes another: %s", foreign[i]);
		if (verify(foreign[i], SPAN_LITERAL("password ")) != SCHEME_MISMATCH)
			fail_msg("takes a longer one: %s", foreign[i]);
		if (verify(foreign[i], SPAN_LITERAL("passwor")) != SCHEME_MISMATCH)
			fail_msg("takes a shorter one: %s", foreign[i]);
		if (verify(foreign[i], SPAN_LITERAL("")) != SCHEME_MISMATCH)
			fail_msg("takes an empty one: %s", foreign[i]);
	}
}

/* Traditional DES looks at eight octets, whoever verifies it. */
static void test_des(void **state)
{
	(void)state;
	assert_int_equal(verify("{DES-CRYPT}ydJYXP5kaLtZ2", SPAN_LITERAL("password")),
			 SCHEME_MATCH);
	assert_int_equal(verify("23TPVefOt0YPE", SPAN_LITERAL("password")), SCHEME_MATCH);
	assert_int_equal(verify("23TPVefOt0YPE", SPAN_LITERAL("passwore")), SCHEME_MISMATCH);
}

static void test_what_we_make_is_verified(void **state)
{
	static const pop3_span passwords[] = {{"pass word", 9}, {"p\xc3\xa4ss", 5}, {"x", 1}};
	char stored[1024], again[1024], head[32];

	(void)state;
	for (const char *const *name = scheme_names(); *name; name++)
		for (size_t i = 0; i < 3; i++) {
			secret_set(&secret, passwords[i]);
			assert_int_equal(scheme_make(*name, &secret, stored, sizeof(stored), &err),
					 0);
			assert_int_equal(scheme_make(*name, &secret, again, sizeof(again), &err),
					 0);
			snprintf(head, sizeof(head), "{%s}", *name);
			assert_memory_equal(stored, head, strlen(head));
			/* salted, but where the mechanism has no room for a salt */
			if (strcmp(*name, "PLAIN") != 0 && strcmp(*name, "CRAM-MD5") != 0)
				assert_string_not_equal(stored, again);
			assert_null(strchr(stored, ':'));
			assert_int_equal(verify(stored, passwords[i]), SCHEME_MATCH);
			assert_int_equal(verify(stored, SPAN_LITERAL("y")), SCHEME_MISMATCH);
		}
}

/* SASLprep (RFC 4013): another client may send the same password composed otherwise. */
static void test_scram_prepares_passwords(void **state)
{
	char stored[1024];

	(void)state;
	secret_set(&secret, SPAN_LITERAL("\xc2\xaa\xc2\xad")); /* ª, soft hyphen */
	assert_int_equal(scheme_make("SCRAM-SHA-256", &secret, stored, sizeof(stored), &err), 0);
	assert_int_equal(verify(stored, SPAN_LITERAL("a")), SCHEME_MATCH);
}

static void test_broken_entries_are_told(void **state)
{
	static const struct {
		const char *stored, *words;
	} broken[] = {
		{"{ROT13}cnffjbeq", "ROT13"},
		{"{}x", "not known"},
		{"{PLAIN", "not known"},
		{"$", "crypt(3)"},
		{"$9$abc$def", "crypt(3)"},
		{"{CRYPT}$2b$99$xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "crypt(3)"},
		{"{SCRAM-SHA-1}4096,c2FsdA==,AAAA,AAAA", "damaged"},
		{"{SCRAM-SHA-1}0,c2FsdA==,AAAAAAAAAAAAAAAAAAAAAAAAAAA=,"
		 "AAAAAAAAAAAAAAAAAAAAAAAAAAA=",
		 "damaged"},
		{"{SCRAM-SHA-1}99999999999,c2FsdA==,AAAAAAAAAAAAAAAAAAAAAAAAAAA=,"
		 "AAAAAAAAAAAAAAAAAAAAAAAAAAA=",
		 "damaged"},
		{"{SCRAM-SHA-256}x", "damaged"},
		{"{SHA256}x", "damaged"},
		{"{SSHA}AAAA", "damaged"},
		{"{ARGON2ID}$argon2id$v=19$m=8,t=1", "stored hash"},
		{"{ARGON2ID}x", "stored hash"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		if (verify(broken[i].stored, SPAN_LITERAL("password")) != SCHEME_BROKEN)
			fail_msg("not broken: %s", broken[i].stored);
		if (is_built(broken[i].stored) && !strstr(err.text, broken[i].words))
			fail_msg("not \"%s\": %s", broken[i].words, err.text);
	}
}

static void test_locked_entries_match_nothing(void **state)
{
	static const char *const locked[] = {
		"",  "*",        "!",       "!!",         "*0",           "*1",
		"x", "{CRYPT}*", "{PLAIN}", "{CRAM-MD5}", "!$6$salt$hash"};

	(void)state;
	for (size_t i = 0; i < sizeof(locked) / sizeof(locked[0]); i++) {
		const char *payload = strchr(locked[i], '}');

		assert_int_equal(verify(locked[i], SPAN_LITERAL("")), SCHEME_MISMATCH);
		assert_int_equal(verify(locked[i], span_of(payload ? payload + 1 : locked[i])),
				 SCHEME_MISMATCH);
		assert_int_equal(verify(locked[i], SPAN_LITERAL("password")), SCHEME_MISMATCH);
	}
}

/* A NUL within a password must not make its front part enough. */
static void test_passwords_with_a_nul(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
		if (is_built(foreign[i]))
			assert_int_equal(verify(foreign[i], (pop3_span){"password\0x", 10}),
					 SCHEME_MISMATCH);
}

static void test_long_passwords(void **state)
{
	static char text[SECRET_MAX];

	(void)state;
	memset(text, 'x', sizeof(text));
	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
		if (is_built(foreign[i]))
			assert_int_equal(verify(foreign[i], (pop3_span){text, sizeof(text)}),
					 SCHEME_MISMATCH);
}

static void test_what_cannot_be_made(void **state)
{
	char stored[1024];

	(void)state;
	secret_set(&secret, SPAN_LITERAL("a:b"));
	assert_int_equal(scheme_make("PLAIN", &secret, stored, sizeof(stored), &err), -1);
	assert_int_equal(err.code, EX_DATAERR);
	assert_int_equal(scheme_make("yescrypt", &secret, stored, sizeof(stored), &err), 0);
	assert_int_equal(scheme_make("ROT13", &secret, stored, sizeof(stored), &err), -1);
	assert_int_equal(err.code, EX_USAGE);
	assert_int_equal(scheme_make("SHA256", &secret, stored, sizeof(stored), &err), -1);
	assert_int_equal(scheme_make("MD5-CRYPT", &secret, stored, sizeof(stored), &err), -1);
	secret_set(&secret, (pop3_span){"a\0b", 3});
	assert_int_equal(scheme_make("YESCRYPT", &secret, stored, sizeof(stored), &err), -1);
	assert_int_equal(scheme_make("PLAIN", &secret, stored, sizeof(stored), &err), -1);
	secret_set(&secret, SPAN_LITERAL("long enough"));
	assert_int_equal(scheme_make("PLAIN", &secret, stored, 12, &err), -1);
	assert_int_equal(scheme_make("CRAM-MD5", &secret, stored, sizeof(stored), &err), 0);
}

/* RFC 2195 section 2 */
static void test_cram_md5_example(void **state)
{
	char hex[CRAM_MD5_HEX + 1], answer[33];

	(void)state;
	secret_set(&secret, SPAN_LITERAL("tanstaaftanstaaf"));
	cram_md5_make(&secret, hex);
	assert_int_equal(cram_md5_answer(span_of(hex),
					 span_of("<1896.697170952@postoffice.reston.mci.net>"),
					 answer),
			 0);
	assert_string_equal(answer, "b913a602c7eda7a495b4e6e7334d3890");
	hex[3] = 'x';
	assert_int_equal(cram_md5_answer(span_of(hex), span_of("<>"), answer), -1);
	assert_int_equal(cram_md5_answer(span_of("00"), span_of("<>"), answer), -1);
}

static void test_threat_21_every_octet_counts(void **state)
{
	char stored[128] = "{PLAIN}0123456789", wrong[16] = "0123456789";

	(void)state;
	for (size_t i = 0; i < 10; i++) {
		wrong[i] ^= 1;
		assert_int_equal(verify(stored, span_of(wrong)), SCHEME_MISMATCH);
		wrong[i] ^= 1;
	}
	assert_int_equal(verify(stored, span_of(wrong)), SCHEME_MATCH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_others_stored),
		cmocka_unit_test(test_des),
		cmocka_unit_test(test_what_we_make_is_verified),
		cmocka_unit_test(test_scram_prepares_passwords),
		cmocka_unit_test(test_broken_entries_are_told),
		cmocka_unit_test(test_locked_entries_match_nothing),
		cmocka_unit_test(test_passwords_with_a_nul),
		cmocka_unit_test(test_long_passwords),
		cmocka_unit_test(test_what_cannot_be_made),
		cmocka_unit_test(test_cram_md5_example),
		cmocka_unit_test(test_threat_21_every_octet_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
