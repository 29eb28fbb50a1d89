/* See words_private.h. No state; ranges are hostile, and none of them is repeated. */
#include "pop3/words_private.h"

#include "pop3/grammar_private.h"

static const char *const words[P3_WORD_COUNT][POP3_LANGUAGE_COUNT] = {
#define X(name, english, spanish) \
	[P3_##name] = {[POP3_ENGLISH] = (english), [POP3_SPANISH] = (spanish)},
	P3_WORDS(X)
#undef X
};

/* tag: upper case, as it is compared; sent in the case that RFC 5646 recommends. */
static const struct {
	const char *upper, *tag, *name;
} languages[] = {
	[POP3_ENGLISH] = {"EN", "en", "English"},
	[POP3_SPANISH] = {"ES", "es", "Español"},
};
_Static_assert(sizeof(languages) / sizeof(languages[0]) == POP3_LANGUAGE_COUNT,
	       "every language has a row");

const char *p3_word(enum p3_word word, enum pop3_language language)
{
	return words[word][language];
}

const char *p3_language_tag(enum pop3_language language)
{
	return languages[language].tag;
}

const char *p3_language_name(enum pop3_language language)
{
	return languages[language].name;
}

static bool is_letter(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* Letters, then letters and digits: subtags of one to eight, with "-" between them. */
static bool is_range(pop3_span range)
{
	size_t subtag = 0;
	bool first = true;

	for (size_t i = 0; i < range.size; i++) {
		char c = range.data[i];

		if (c == '-' && subtag) {
			first = false;
			subtag = 0;
		} else if (subtag < 8 && (is_letter(c) || (!first && c >= '0' && c <= '9'))) {
			subtag++;
		} else {
			return false;
		}
	}
	return subtag;
}

/* The text in front of the last "-"; size 0: there is none. */
static pop3_span shorter(pop3_span range)
{
	while (range.size && range.data[range.size - 1] != '-')
		range.size--;
	range.size -= range.size > 0;
	return range;
}

enum p3_language_found p3_language_find(pop3_span range, enum pop3_language *ret)
{
	if (range.size == 1 && range.data[0] == '*') {
		*ret = POP3_ENGLISH;
		return P3_LANGUAGE_FOUND;
	}
	if (!is_range(range))
		return P3_LANGUAGE_MALFORMED;
	for (; range.size; range = shorter(range)) {
		for (unsigned i = 0; i < POP3_LANGUAGE_COUNT; i++) {
			if (!p3_equal_nocase(range, languages[i].upper))
				continue;
			*ret = (enum pop3_language)i;
			return P3_LANGUAGE_FOUND;
		}
	}
	return P3_LANGUAGE_UNKNOWN;
}
