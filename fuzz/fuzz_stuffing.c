/*
 * Stuffing both ways: any message, encoded in pieces and decoded in other pieces, comes back as its
 * wire form; the counter agrees; TOP is a prefix; and hostile wire text gives the same however cut.
 * The first octets of the input say how to cut.
 */
#include <pop3/message.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)          \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)

struct text {
	char *data;
	size_t size, cap;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void add(struct text *text, const char *data, size_t size)
{
	CHECK(text->size + size <= text->cap);
	if (size != 0)
		memcpy(text->data + text->size, data, size);
	text->size += size;
}

static struct text text_of(size_t cap)
{
	return (struct text){malloc(cap + 1), 0, cap};
}

static size_t next_cut(uint32_t *seed, size_t max)
{
	*seed = *seed * 1664525 + 1013904223;
	return 1 + (*seed >> 16) % max;
}

static uint64_t encode(pop3_span stored, uint64_t lines, uint32_t seed, struct text *ret)
{
	struct pop3_encoder encoder;
	char out[64];

	pop3_encoder_init(&encoder, lines);
	while (stored.size != 0 && !encoder.done) {
		size_t take = next_cut(&seed, 40);
		pop3_span in = {stored.data, take < stored.size ? take : stored.size};
		size_t cap = 3 + next_cut(&seed, sizeof(out) - 3), before = in.size;
		size_t n = pop3_encoder_run(&encoder, &in, out, cap);

		CHECK(n <= cap);
		CHECK(n != 0 || in.size < before);
		add(ret, out, n);
		stored.data += before - in.size;
		stored.size -= before - in.size;
	}
	add(ret, out, pop3_encoder_finish(&encoder, out, 6));
	return encoder.octets;
}

/* Returns octets taken. */
static size_t decode(pop3_span wire, enum pop3_line_ends ends, uint32_t seed, struct text *ret,
		     struct pop3_decoder *decoder)
{
	const char *start = wire.data;
	char out[64];

	pop3_decoder_init(decoder, ends);
	while (wire.size != 0 && !decoder->done) {
		size_t take = next_cut(&seed, 40);
		pop3_span in = {wire.data, take < wire.size ? take : wire.size};
		size_t cap = 3 + next_cut(&seed, sizeof(out) - 3), before = in.size;
		size_t n = pop3_decoder_run(decoder, &in, out, cap);

		CHECK(n <= cap);
		CHECK(n != 0 || in.size < before);
		add(ret, out, n);
		wire.data += before - in.size;
		wire.size -= before - in.size;
	}
	return (size_t)(wire.data - start);
}

static void check_message(pop3_span stored, uint64_t lines, uint32_t seed)
{
	struct text wire = text_of(stored.size * 3 + 5), top = text_of(stored.size * 3 + 5);
	struct text back = text_of(stored.size * 3 + 5), again = text_of(stored.size * 3 + 5);
	struct pop3_counter counter;
	struct pop3_decoder decoder;

	uint64_t octets = encode(stored, POP3_ALL_LINES, seed, &wire);

	pop3_counter_init(&counter);
	for (size_t at = 0; at < stored.size;) {
		size_t take = next_cut(&seed, 50);

		take = take < stored.size - at ? take : stored.size - at;
		pop3_counter_feed(&counter, (pop3_span){stored.data + at, take});
		at += take;
	}
	pop3_counter_finish(&counter);
	CHECK(counter.octets == octets && counter.stored == stored.size);
	CHECK(counter.dots == (wire.size != octets + 3));

	CHECK(decode((pop3_span){wire.data, wire.size}, POP3_KEEP_CRLF, seed, &back, &decoder) ==
	      wire.size);
	CHECK(decoder.done && !decoder.bare_lf);
	CHECK(back.size == octets && decoder.octets == octets);
	CHECK(counter.wire_form ==
	      (back.size == stored.size && memcmp(back.data, stored.data, back.size) == 0));
	/* the wire form, stored as it is, is sent as it was */
	CHECK(encode((pop3_span){back.data, back.size}, POP3_ALL_LINES, seed * 3, &again) ==
	      octets);
	CHECK(again.size == wire.size && memcmp(again.data, wire.data, wire.size) == 0);

	CHECK(encode(stored, lines, seed * 5, &top) <= octets);
	CHECK(memcmp(top.data, wire.data, top.size - 3) == 0);
	free(wire.data);
	free(top.data);
	free(back.data);
	free(again.data);
}

static void check_wire(pop3_span wire, uint32_t seed)
{
	struct text a = text_of(wire.size), b = text_of(wire.size), lf = text_of(wire.size);
	struct pop3_decoder first, second, third;

	size_t taken = decode(wire, POP3_KEEP_CRLF, seed, &a, &first);

	CHECK(decode(wire, POP3_KEEP_CRLF, seed * 7, &b, &second) == taken);
	CHECK(decode(wire, POP3_TO_LF, seed * 11, &lf, &third) == taken);
	CHECK(a.size == b.size && memcmp(a.data, b.data, a.size) == 0);
	CHECK(first.octets == a.size && second.octets == a.size && third.octets == a.size);
	CHECK(first.done == third.done && first.bare_cr == third.bare_cr &&
	      first.bare_lf == third.bare_lf);
	CHECK(!first.done || memcmp(wire.data + taken - 3, ".\r\n", 3) == 0);
	CHECK(lf.size <= a.size);
	free(a.data);
	free(b.data);
	free(lf.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 4)
		return 0;
	uint32_t seed = data[0] | (uint32_t)data[1] << 8;
	pop3_span rest = {(const char *)data + 4, size - 4};

	check_message(rest, data[2], seed);
	check_wire(rest, seed);
	return 0;
}
