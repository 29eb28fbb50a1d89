/* Sealed passwords: who can open them, and what is damaged, moved or forged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/seal.h"
#include "base/text.h"

#define LABEL SPAN_LITERAL("old/anna")

static struct pair {
	char opens_text[SEAL_FILE_MAX], seals_text[SEAL_FILE_MAX];
	struct seal_key *opens, *seals;
} ours, other;

static void make(struct pair *pair)
{
	struct err err = {0};

	assert_int_equal(seal_make(pair->opens_text, pair->seals_text, &err), 0);
	assert_int_equal(seal_key_read(span_of(pair->opens_text), true, &pair->opens, &err), 0);
	assert_int_equal(seal_key_read(span_of(pair->seals_text), false, &pair->seals, &err), 0);
}

static int set_up(void **state)
{
	(void)state;
	make(&ours);
	make(&other);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	seal_key_free(ours.opens);
	seal_key_free(ours.seals);
	seal_key_free(other.opens);
	seal_key_free(other.seals);
	seal_key_free(NULL);
	return 0;
}

static void sealed(pop3_span password, char text[SEAL_TEXT_SIZE + 1])
{
	assert_int_equal(seal_password(ours.seals, LABEL, password, text), 0);
	assert_int_equal(strlen(text), SEAL_TEXT_SIZE);
}

static void assert_closed(const struct seal_key *key, pop3_span label, const char *text)
{
	struct secret secret;

	secret_init(&secret);
	assert_int_equal(seal_open(key, label, span_of(text), &secret), -1);
	assert_int_equal(secret.size, 0);
}

static void test_the_private_half_opens(void **state)
{
	static const char zeroes[SEAL_PASSWORD_MAX + 1] = "a\0b";
	const pop3_span passwords[] = {SPAN_LITERAL("p"),
				       SPAN_LITERAL("geheim ä"),
				       {zeroes, 3},
				       {zeroes, SEAL_PASSWORD_MAX}};
	char text[SEAL_TEXT_SIZE + 1], again[SEAL_TEXT_SIZE + 1];
	struct secret secret;

	(void)state;
	for (size_t i = 0; i < sizeof(passwords) / sizeof(passwords[0]); i++) {
		sealed(passwords[i], text);
		assert_int_equal(seal_open(ours.opens, LABEL, span_of(text), &secret), 0);
		assert_int_equal(secret.size, passwords[i].size);
		assert_memory_equal(secret.bytes, passwords[i].data, secret.size);
		sealed(passwords[i], again); /* nothing shows that it is the same */
		assert_string_not_equal(text, again);
	}
	assert_int_equal(
		seal_password(ours.seals, LABEL, (pop3_span){zeroes, sizeof(zeroes)}, text), -1);
	assert_int_equal(seal_password(ours.seals, LABEL, SPAN_LITERAL(""), text), -1);
	assert_int_equal(seal_password(ours.seals, SPAN_LITERAL(""), SPAN_LITERAL("p"), text), -1);
}

static void test_the_sealing_half_opens_nothing(void **state)
{
	char text[SEAL_TEXT_SIZE + 1];

	(void)state;
	sealed(SPAN_LITERAL("geheim"), text);
	assert_closed(ours.seals, LABEL, text);
	assert_null(strstr(ours.seals_text, "PRIVATE"));
}

static void test_another_name_or_key_opens_nothing(void **state)
{
	char text[SEAL_TEXT_SIZE + 1];

	(void)state;
	sealed(SPAN_LITERAL("geheim"), text);
	assert_closed(ours.opens, SPAN_LITERAL("old/annA"), text);
	assert_closed(ours.opens, SPAN_LITERAL("old/ann"), text);
	assert_closed(ours.opens, SPAN_LITERAL(""), text);
	assert_closed(other.opens, LABEL, text);
}

/* The key of the HMAC is what tells it, not that of RSA. */
static void test_what_others_have_sealed_is_not_opened(void **state)
{
	char mixed[SEAL_FILE_MAX], text[SEAL_TEXT_SIZE + 1];
	struct seal_key *key;
	struct err err = {0};

	(void)state;
	snprintf(mixed, sizeof(mixed), "%.*s%s", (int)strcspn(other.seals_text, "\n"),
		 other.seals_text, strchr(ours.seals_text, '\n'));
	assert_int_equal(seal_key_read(span_of(mixed), false, &key, &err), 0);
	assert_int_equal(seal_password(key, LABEL, SPAN_LITERAL("mine"), text), 0);
	assert_closed(ours.opens, LABEL, text);
	seal_key_free(key);
}

static void test_a_damaged_seal_is_not_opened(void **state)
{
	char text[SEAL_TEXT_SIZE + 1], damaged[SEAL_TEXT_SIZE + 2];

	(void)state;
	sealed(SPAN_LITERAL("geheim"), text);
	for (size_t i = 0; i < SEAL_TEXT_SIZE; i++) {
		memcpy(damaged, text, sizeof(text));
		damaged[i] = damaged[i] == 'A' ? 'B' : 'A';
		assert_closed(ours.opens, LABEL, damaged);
	}
	memcpy(damaged, text, sizeof(text));
	damaged[SEAL_TEXT_SIZE] = '=';
	damaged[SEAL_TEXT_SIZE + 1] = '\0';
	assert_closed(ours.opens, LABEL, damaged);
	for (size_t n = SEAL_TEXT_SIZE; n-- > 0;) {
		damaged[n] = '\0';
		assert_closed(ours.opens, LABEL, damaged);
	}
}

static void test_a_text_that_is_no_key_is_refused(void **state)
{
	static const char *const texts[] = {"", "mac = ", "mac = AAAA\n", "nonsense\n"};
	struct seal_key *key = NULL;
	struct err err = {0};
	char cut[SEAL_FILE_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(seal_key_read(span_of(texts[i]), true, &key, &err), -1);
	assert_int_equal(seal_key_read(span_of(ours.seals_text), true, &key, &err), -1);
	assert_int_equal(seal_key_read(span_of(ours.opens_text), false, &key, &err), -1);
	assert_non_null(strstr(err.text, "--make-key"));
	memcpy(cut, ours.opens_text, sizeof(cut));
	for (size_t n = strlen(cut) - 30; n > 7; n -= 7) {
		cut[n] = '\0';
		assert_int_equal(seal_key_read(span_of(cut), true, &key, &err), -1);
	}
	assert_null(key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_private_half_opens),
		cmocka_unit_test(test_the_sealing_half_opens_nothing),
		cmocka_unit_test(test_another_name_or_key_opens_nothing),
		cmocka_unit_test(test_what_others_have_sealed_is_not_opened),
		cmocka_unit_test(test_a_damaged_seal_is_not_opened),
		cmocka_unit_test(test_a_text_that_is_no_key_is_refused),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
