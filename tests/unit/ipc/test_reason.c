/* The table of reasons: each has its words in every language of LANG, in UTF-8. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ipc/reason.h"

/* Whether text is well-formed UTF-8 of one and two octets a character, without controls. */
static bool is_latin(const char *text)
{
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		if (*p < 0x20 || *p == 0x7f)
			return false;
		if (*p < 0x80)
			continue;
		if (*p < 0xc2 || *p > 0xdf || (p[1] & 0xc0) != 0x80)
			return false;
		p++;
	}
	return true;
}

static void words_in_every_language(void **state)
{
	(void)state;
	for (uint32_t reason = 0; reason < REASON_COUNT; reason++) {
		const char *english = reason_words(reason, POP3_ENGLISH);

		assert_ptr_equal(english, reason_row(reason)->words);
		for (unsigned i = 0; i < POP3_LANGUAGE_COUNT; i++) {
			const char *words = reason_words(reason, (enum pop3_language)i);

			/* with the longest response code, less than a reply may have */
			assert_in_range(strlen(words), 1, 200);
			assert_true(is_latin(words));
			assert_true(i == POP3_ENGLISH || strcmp(words, english) != 0);
			for (uint32_t other = 0; other < reason; other++)
				assert_string_not_equal(words,
							reason_words(other, (enum pop3_language)i));
		}
	}
	assert_string_equal(reason_words(REASON_COUNT, POP3_SPANISH),
			    reason_words(REASON_MAILDROP_TEMP, POP3_SPANISH));
	assert_int_equal(reason_row(REASON_LOGIN_DELAY)->code, POP3_CODE_LOGIN_DELAY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(words_in_every_language)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
