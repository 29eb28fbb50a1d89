/* Texts of the server machine: every one in every language, and the language that a range means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "pop3/words_private.h"

/* Octets of the well-formed character of UTF-8 at text, without control characters; 0: none. */
static size_t character(const char *text)
{
	unsigned char c = (unsigned char)text[0];
	size_t size = c < 0x80 ? 1 : c >= 0xc2 && c <= 0xdf ? 2 : c >= 0xe1 && c <= 0xec ? 3 : 0;

	if (c < 0x20 || c == 0x7f)
		return 0;
	for (size_t i = 1; i < size; i++)
		if (((unsigned char)text[i] & 0xc0) != 0x80)
			return 0;
	return size;
}

static void every_text_in_every_language(void **state)
{
	(void)state;
	for (unsigned word = 0; word < P3_WORD_COUNT; word++) {
		const char *english = p3_word((enum p3_word)word, POP3_ENGLISH);

		for (const char *p = english; *p; p++)
			assert_in_range(*p, 0x20, 0x7e);
		for (unsigned i = 0; i < POP3_LANGUAGE_COUNT; i++) {
			const char *text = p3_word((enum p3_word)word, (enum pop3_language)i);
			size_t size = text ? strlen(text) : 0, at = 0, n;

			assert_in_range(size, 1, 120);
			while (at < size && (n = character(text + at)))
				at += n;
			assert_int_equal(at, size);
			/* pieces of a reply join in the same way */
			assert_int_equal(text[0] == ' ', english[0] == ' ');
		}
	}
}

static enum p3_language_found find(const char *range, enum pop3_language *ret)
{
	return p3_language_find((pop3_span){range, strlen(range)}, ret);
}

static void ranges(void **state)
{
	static const struct {
		const char *range;
		enum pop3_language language;
	} found[] = {{"*", POP3_ENGLISH},      {"en", POP3_ENGLISH},
		     {"EN-US", POP3_ENGLISH},  {"es", POP3_SPANISH},
		     {"eS-419", POP3_SPANISH}, {"es-Latn-MX-x-a", POP3_SPANISH}};
	static const char *const unknown[] = {"de", "e", "esp", "x-es", "i-default"};
	static const char *const malformed[] = {"",       "-",         "es-",          "-es",
						"es--MX", "es_MX",     "*-es",         "es-*",
						"419",    "abcdefghi", "es-abcdefghi", "en1-es"};
	enum pop3_language language;

	(void)state;
	for (size_t i = 0; i < sizeof(found) / sizeof(found[0]); i++) {
		language = POP3_LANGUAGE_COUNT;
		assert_int_equal(find(found[i].range, &language), P3_LANGUAGE_FOUND);
		assert_int_equal(language, found[i].language);
	}
	language = POP3_LANGUAGE_COUNT;
	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
		assert_int_equal(find(unknown[i], &language), P3_LANGUAGE_UNKNOWN);
	for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++)
		assert_int_equal(find(malformed[i], &language), P3_LANGUAGE_MALFORMED);
	assert_int_equal(language, POP3_LANGUAGE_COUNT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_text_in_every_language),
		cmocka_unit_test(ranges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
