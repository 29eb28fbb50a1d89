/* Headers in ASCII, in UTF-8 and in neither, in any pieces. */
#include "maildrop_test.h"

#include "maildrop/header_octets.h"

static enum header_kind kind_of(const char *text, size_t size, size_t step)
{
	struct header_octets octets;

	header_octets_init(&octets);
	for (size_t at = 0; at < size; at += step) {
		size_t n = size - at < step ? size - at : step;

		if (!header_octets_feed(&octets, (pop3_span){text + at, n}))
			break;
	}
	return header_octets_kind(&octets);
}

static void expect(const char *text, enum header_kind kind)
{
	for (size_t step = 1; step <= strlen(text) + 1; step++)
		assert_int_equal(kind_of(text, strlen(text), step), kind);
}

static void kinds(void **state)
{
	(void)state;
	expect("", HEADER_ASCII);
	expect("Subject: a\r\n\r\nbody\r\n", HEADER_ASCII);
	expect("Subject: \xc3\xb1\r\n\r\nbody\r\n", HEADER_UTF8);
	expect("Subject: \xc3\xb1\n\nbody\n", HEADER_UTF8);
	expect("Subject: \xc3\xb1", HEADER_UTF8); /* no body, no line end */
	expect("Subject: \xf1 in Latin-1\n\nbody\n", HEADER_OTHER);
	/* one octet that is none: the whole header is no UTF-8 */
	expect("Subject: \xc3\xb1\nFrom: \xf1 <a@b>\n\nbody\n", HEADER_OTHER);
}

static void the_body_does_not_count(void **state)
{
	(void)state;
	expect("Subject: a\n\n\xc3\xb1\n", HEADER_ASCII);
	expect("Subject: a\r\n\r\n\xf1\r\n", HEADER_ASCII);
	expect("\n\xc3\xb1\n", HEADER_ASCII);
	expect("\r\n\xc3\xb1\n", HEADER_ASCII);
	expect("Subject: \xc3\xb1\n\n\xf1\n", HEADER_UTF8);
	/* no empty lines: a CR alone, two of them, a space */
	expect("A: b\r\r\n\xc3\xb1: c\n", HEADER_UTF8);
	expect("A: b\n\r\r\n\xc3\xb1: c\n", HEADER_UTF8);
	expect("A: b\n \n\xc3\xb1: c\n", HEADER_UTF8);
}

/* RFC 3629 section 4, from both sides. */
static void characters(void **state)
{
	(void)state;
	expect("\xc2\x80", HEADER_UTF8);
	expect("\xdf\xbf", HEADER_UTF8);
	expect("\xe0\xa0\x80", HEADER_UTF8);
	expect("\xed\x9f\xbf", HEADER_UTF8);
	expect("\xee\x80\x80", HEADER_UTF8);
	expect("\xf0\x90\x80\x80", HEADER_UTF8);
	expect("\xf4\x8f\xbf\xbf", HEADER_UTF8);
	expect("\x80", HEADER_OTHER);
	expect("\xc1\xbf", HEADER_OTHER);
	expect("\xe0\x9f\xbf", HEADER_OTHER);
	expect("\xed\xa0\x80", HEADER_OTHER);
	expect("\xf0\x8f\xbf\xbf", HEADER_OTHER);
	expect("\xf4\x90\x80\x80", HEADER_OTHER);
	expect("\xf5\x80\x80\x80", HEADER_OTHER);
	expect("\xc3", HEADER_OTHER); /* cut off */
	expect("\xe2\x82\n", HEADER_OTHER);
	expect("\xe2\x82\xc0", HEADER_OTHER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kinds),
		cmocka_unit_test(the_body_does_not_count),
		cmocka_unit_test(characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
