/*
 * Counter, encoder and decoder against models that work an octet at a time: every message of up to
 * seven octets over {a . CR LF}, at every size of input slice and small output buffers, and tables
 * of cases written by hand (threats 33 and 34).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pop3/message.h>

struct text {
	size_t size;
	char data[768];
};

static void put(struct text *text, char c)
{
	assert_true(text->size < sizeof(text->data));
	text->data[text->size++] = c;
}

static void put_all(struct text *text, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		put(text, s[i]);
}

/* Stored → wire before stuffing: an LF without CR gets one, a missing last line break is added. */
static void model_plain(const char *s, size_t n, struct text *ret)
{
	ret->size = 0;
	for (size_t i = 0; i < n; i++) {
		if (s[i] == '\n' && (i == 0 || s[i - 1] != '\r'))
			put(ret, '\r');
		put(ret, s[i]);
	}
	if (n != 0 && s[n - 1] != '\n')
		put_all(ret, "\r\n", 2);
}

/* Headers, blank line and so many body lines of what model_plain made; returns its size. */
static size_t model_top(const struct text *plain, uint64_t lines)
{
	size_t start = 0;
	bool body = false;

	for (size_t i = 0; i < plain->size; i++) {
		if (plain->data[i] != '\n')
			continue;
		size_t length = i - 1 - start; /* every LF is behind a CR here */

		start = i + 1;
		if (body)
			lines--;
		else if (length == 0)
			body = true;
		if (body && lines == 0)
			return i + 1;
	}
	return plain->size;
}

static void model_stuffed(const char *s, size_t n, struct text *ret)
{
	ret->size = 0;
	for (size_t i = 0; i < n; i++) {
		if (s[i] == '.' && (i == 0 || s[i - 1] == '\n'))
			put(ret, '.');
		put(ret, s[i]);
	}
	put_all(ret, ".\r\n", 3);
}

static void encode(const char *s, size_t n, uint64_t lines, size_t slice, size_t cap,
		   struct text *ret, uint64_t *ret_octets)
{
	struct pop3_encoder encoder;
	char out[512];

	ret->size = 0;
	pop3_encoder_init(&encoder, lines);
	for (size_t at = 0; at < n && !encoder.done;) {
		size_t take = n - at < slice ? n - at : slice;
		pop3_span in = {s + at, take};
		size_t wrote = pop3_encoder_run(&encoder, &in, out, cap);

		assert_true(wrote <= cap);
		assert_true(wrote != 0 || in.size < take);
		put_all(ret, out, wrote);
		at += take - in.size;
	}
	put_all(ret, out, pop3_encoder_finish(&encoder, out, 6));
	*ret_octets = encoder.octets;
}

static void assert_text(const struct text *got, const char *want, size_t size)
{
	assert_int_equal(got->size, size);
	assert_memory_equal(got->data, want, size);
}

static void check_counter(const char *s, size_t n, size_t slice, const struct text *plain)
{
	struct pop3_counter counter;
	bool dots = false;

	pop3_counter_init(&counter);
	for (size_t at = 0; at < n; at += slice)
		pop3_counter_feed(&counter, (pop3_span){s + at, n - at < slice ? n - at : slice});
	pop3_counter_finish(&counter);
	for (size_t i = 0; i < plain->size; i++)
		dots = dots || (plain->data[i] == '.' && (i == 0 || plain->data[i - 1] == '\n'));
	assert_int_equal(counter.stored, n);
	assert_int_equal(counter.octets, plain->size);
	assert_int_equal(counter.dots, dots);
	assert_int_equal(counter.wire_form, n == plain->size && memcmp(s, plain->data, n) == 0);
}

static void check_encoder(const char *s, size_t n, size_t slice, size_t cap)
{
	static const uint64_t tops[] = {POP3_ALL_LINES, 0, 1, 2, 7};
	struct text plain, stuffed, got;
	uint64_t octets;

	model_plain(s, n, &plain);
	check_counter(s, n, slice, &plain);
	for (size_t i = 0; i < sizeof(tops) / sizeof(tops[0]); i++) {
		size_t size = model_top(&plain, tops[i]);

		model_stuffed(plain.data, size, &stuffed);
		encode(s, n, tops[i], slice, cap, &got, &octets);
		assert_text(&got, stuffed.data, stuffed.size);
		assert_int_equal(octets, size);
	}
}

/* Wire → stored; what follows CRLF.CRLF is left. Returns octets of s that were taken. */
static size_t decode(const char *s, size_t n, enum pop3_line_ends ends, size_t slice, size_t cap,
		     struct text *ret, struct pop3_decoder *decoder)
{
	size_t at = 0;
	char out[512];

	ret->size = 0;
	pop3_decoder_init(decoder, ends);
	while (at < n && !decoder->done) {
		size_t take = n - at < slice ? n - at : slice;
		pop3_span in = {s + at, take};
		size_t wrote = pop3_decoder_run(decoder, &in, out, cap);

		assert_true(wrote <= cap);
		assert_true(wrote != 0 || in.size < take);
		put_all(ret, out, wrote);
		at += take - in.size;
	}
	return at;
}

struct model_decoded {
	struct text keep, lf;
	bool done, bare_lf, bare_cr;
	size_t taken;
};

/* Cuts at CRLF, as long as there is one; what is behind the last CRLF stays unseen by the model. */
static void model_decode(const char *s, size_t n, struct model_decoded *ret)
{
	size_t start = 0;

	memset(ret, 0, sizeof(*ret));
	for (size_t i = 1; i < n && !ret->done; i++) {
		if (s[i] != '\n' || s[i - 1] != '\r')
			continue;
		size_t from = start, to = i - 1;

		start = i + 1;
		ret->taken = start;
		if (to - from == 1 && s[from] == '.') {
			ret->done = true;
			break;
		}
		from += to != from && s[from] == '.';
		for (size_t k = from; k < to; k++) {
			ret->bare_lf = ret->bare_lf || s[k] == '\n';
			ret->bare_cr = ret->bare_cr || s[k] == '\r';
		}
		put_all(&ret->keep, s + from, to - from);
		put_all(&ret->lf, s + from, to - from);
		put_all(&ret->keep, "\r\n", 2);
		put(&ret->lf, '\n');
	}
}

/* s, ended so that the decoder must find the end by itself, and something behind it. */
static void check_decoder(const char *s, size_t n, size_t slice, size_t cap)
{
	struct model_decoded model;
	struct pop3_decoder decoder;
	struct text wire = {0}, got;

	put_all(&wire, s, n);
	put_all(&wire, "\r\n.\r\n.\r\nNOOP\r\n", 15);
	model_decode(wire.data, wire.size, &model);
	assert_true(model.done);
	assert_int_equal(decode(wire.data, wire.size, POP3_KEEP_CRLF, slice, cap, &got, &decoder),
			 model.taken);
	assert_true(decoder.done);
	assert_text(&got, model.keep.data, model.keep.size);
	assert_int_equal(decoder.octets, model.keep.size);
	assert_int_equal(decoder.bare_lf, model.bare_lf);
	assert_int_equal(decoder.bare_cr, model.bare_cr);
	assert_int_equal(decode(wire.data, wire.size, POP3_TO_LF, slice, cap, &got, &decoder),
			 model.taken);
	assert_text(&got, model.lf.data, model.lf.size);
	assert_int_equal(decoder.octets, model.keep.size);
}

static void test_every_short_message(void **state)
{
	static const char alphabet[] = "a.\r\n";
	static const struct {
		size_t slice, cap;
	} ways[] = {{1, 4}, {2, 5}, {3, 4}, {7, 4}, {7, 6}, {5, 64}, {64, 64}};
	char s[8];

	for (size_t n = 0; n <= 7; n++) {
		for (size_t code = 0; code < (size_t)1 << (2 * n); code++) {
			for (size_t i = 0; i < n; i++)
				s[i] = alphabet[code >> (2 * i) & 3];
			for (size_t w = 0; w < sizeof(ways) / sizeof(ways[0]); w++) {
				check_encoder(s, n, ways[w].slice, ways[w].cap);
				check_decoder(s, n, ways[w].slice, ways[w].cap);
			}
		}
	}
}

static void test_long_random_messages(void **state)
{
	static const char alphabet[] = "aaaaaaa..\r\n\n\0\xff";
	uint32_t seed = 12345;
	char s[200];

	for (int round = 0; round < 3000; round++) {
		size_t n = (size_t)round % sizeof(s);

		for (size_t i = 0; i < n; i++) {
			seed = seed * 1664525 + 1013904223;
			s[i] = alphabet[(seed >> 16) % (sizeof(alphabet) - 1)];
		}
		check_encoder(s, n, 1 + (seed >> 8) % 60, 4 + (seed >> 20) % 60);
		check_decoder(s, n, 1 + (seed >> 9) % 60, 4 + (seed >> 21) % 60);
	}
}

/* Lines as they are on the wire, which are copied many octets at a time, and in each such text one
 * octet or two that are something else, at each place. */
static void test_wire_form_with_a_flaw(void **state)
{
	static const char *const flaws[] = {"", ".", "\n", "\r", "\r\n", "\n.", "\r.", "\n\n"};
	static const struct {
		size_t slice, cap;
	} ways[] = {{512, 512}, {130, 512}, {512, 77}, {67, 66}};
	static const char text[] =
		"To: someone\r\nSubject: none\r\n\r\n"
		"a line that is longer than one block of octets, which are 64\r\n"
		"\r\nshort\r\n\r\n\r\nanother line of the usual length of 72\r\n"
		"and so it goes on, until more than two blocks are full\r\nend\r\n";
	char s[sizeof(text)];

	for (size_t at = 0; at + 2 < sizeof(s); at++) {
		for (size_t i = 0; i < sizeof(flaws) / sizeof(*flaws); i++) {
			memcpy(s, text, sizeof(s));
			memcpy(s + at, flaws[i], strlen(flaws[i]));
			for (size_t w = 0; w < sizeof(ways) / sizeof(ways[0]); w++) {
				check_encoder(s, sizeof(s) - 1, ways[w].slice, ways[w].cap);
				check_decoder(s, sizeof(s) - 1, ways[w].slice, ways[w].cap);
			}
		}
	}
}

/* The models are code as well: these were worked out by hand. */
static void test_by_hand(void **state)
{
	static const struct {
		const char *stored, *wire;
		uint64_t lines, octets;
	} cases[] = {
		{"", ".\r\n", POP3_ALL_LINES, 0},
		{"\n", "\r\n.\r\n", POP3_ALL_LINES, 2},
		{"A: b\n\nhi\n", "A: b\r\n\r\nhi\r\n.\r\n", POP3_ALL_LINES, 12},
		{"A: b\n\nhi", "A: b\r\n\r\nhi\r\n.\r\n", POP3_ALL_LINES, 12},
		{"A: b\r\n\r\nhi\r\n", "A: b\r\n\r\nhi\r\n.\r\n", POP3_ALL_LINES, 12},
		{"A: b\r\n\r\nhi\r", "A: b\r\n\r\nhi\r\r\n.\r\n", POP3_ALL_LINES, 13},
		{"\n.\n..\n", "\r\n..\r\n...\r\n.\r\n", POP3_ALL_LINES, 9},
		{".", "..\r\n.\r\n", POP3_ALL_LINES, 3},
		{"a\r.\n", "a\r.\r\n.\r\n", POP3_ALL_LINES, 5},
		{"A: b\n\none\ntwo\n", "A: b\r\n\r\n.\r\n", 0, 8},
		{"A: b\n\none\ntwo\n", "A: b\r\n\r\none\r\n.\r\n", 1, 13},
		{"A: b\n\none\ntwo", "A: b\r\n\r\none\r\ntwo\r\n.\r\n", 2, 18},
		{"A: b\n\none\ntwo", "A: b\r\n\r\none\r\ntwo\r\n.\r\n", 99, 18},
		{"A: b\nC: d", "A: b\r\nC: d\r\n.\r\n", 0, 12},
		{"A: b\n\n\n\nx\n", "A: b\r\n\r\n\r\n.\r\n", 1, 10},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct text got;
		uint64_t octets;

		encode(cases[i].stored, strlen(cases[i].stored), cases[i].lines, 64, 64, &got,
		       &octets);
		assert_text(&got, cases[i].wire, strlen(cases[i].wire));
		assert_int_equal(octets, cases[i].octets);
	}
}

/* Only CRLF.CRLF ends a message; near misses are content. */
static void test_false_ends(void **state)
{
	static const struct {
		const char *wire, *stored;
	} cases[] = {
		{"a\n.\n", "a\n.\n"},          {"a\n.\r\n", "a\n.\n"},
		{"a\r.\r\n", "a\r.\n"},        {"a\r\n.\nb\r\n", "a\n\nb\n"},
		{"a\r\n.\rb\r\n", "a\n\rb\n"}, {"a\r\n..\r\n", "a\n.\n"},
		{"a\r\n. \r\n", "a\n \n"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (size_t slice = 1; slice < 12; slice++) {
			struct pop3_decoder decoder;
			struct text got;

			decode(cases[i].wire, strlen(cases[i].wire), POP3_TO_LF, slice, 4, &got,
			       &decoder);
			assert_false(decoder.done);
			assert_text(&got, cases[i].stored, strlen(cases[i].stored));
		}
	}
}

/* A limit reached in the middle of the input leaves the rest. */
static void test_top_takes_no_more(void **state)
{
	struct pop3_encoder encoder;
	pop3_span in = {"H: x\n\n1\n2\n3\n", 12};
	char out[64];

	pop3_encoder_init(&encoder, 1);
	assert_int_equal(pop3_encoder_run(&encoder, &in, out, sizeof(out)), 11);
	assert_true(encoder.done && encoder.in_body);
	assert_int_equal(in.size, 4);
	assert_int_equal(pop3_encoder_run(&encoder, &in, out, sizeof(out)), 0);
	assert_int_equal(in.size, 4);
}

static void test_empty_input(void **state)
{
	struct pop3_encoder encoder;
	struct pop3_decoder decoder;
	struct pop3_counter counter;
	pop3_span in = {NULL, 0};
	char out[8];

	pop3_encoder_init(&encoder, POP3_ALL_LINES);
	assert_int_equal(pop3_encoder_run(&encoder, &in, out, sizeof(out)), 0);
	pop3_decoder_init(&decoder, POP3_TO_LF);
	assert_int_equal(pop3_decoder_run(&decoder, &in, out, sizeof(out)), 0);
	pop3_counter_init(&counter);
	pop3_counter_feed(&counter, in);
	pop3_counter_finish(&counter);
	assert_int_equal(counter.octets, 0);
	assert_true(counter.wire_form);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_by_hand),
		cmocka_unit_test(test_every_short_message),
		cmocka_unit_test(test_long_random_messages),
		cmocka_unit_test(test_wire_form_with_a_flaw),
		cmocka_unit_test(test_false_ends),
		cmocka_unit_test(test_top_takes_no_more),
		cmocka_unit_test(test_empty_input),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
