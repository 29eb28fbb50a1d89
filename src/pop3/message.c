/*
 * A message between store and wire: counter, encoder, decoder (see pop3/message.h). Pure functions
 * on their structs; they run in whatever process holds the octets. Text is moved a line at
 * a time (memchr, memcpy), never an octet at a time, and every state can be left and entered again
 * at any octet of input and any octet of output.
 *
 * GNU extensions (vectors in wire.c, a builtin beside SSE2 in copy_until) are an exception to the
 * rule that only src/sys has them: each octet of every message passes here, and these loops take
 * sixteen at a time. Each has a loop of plain C behind it, the only one for other compilers;
 * -DPOP3_PORTABLE chooses it here too.
 */
#include "pop3/wire_private.h"

#include <pop3/message.h>

#include <assert.h>
#include <string.h>
#if defined(__GNUC__) && !defined(POP3_PORTABLE) && defined(__SSE2__)
#define WITH_SSE2 1
#include <emmintrin.h>
#endif

static size_t min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

static void advance(pop3_span *in, const char *to)
{
	if (to == in->data) /* both may be NULL, which must not be subtracted */
		return;
	in->size -= (size_t)(to - in->data);
	in->data = to;
}

void pop3_counter_init(struct pop3_counter *counter)
{
	*counter = (struct pop3_counter){.wire_form = true, .at_line_start = true};
}

void pop3_counter_feed(struct pop3_counter *counter, pop3_span stored)
{
	const char *p = stored.data;
	uint64_t bare;

	if (stored.size == 0)
		return;
	bare = *p == '\n' && !counter->last_cr;

	if (counter->at_line_start && *p == '.')
		counter->dots = true;
	bare += p3_count_bare(p + 1, stored.size - 1, &counter->dots);
	counter->at_line_start = p[stored.size - 1] == '\n';
	counter->last_cr = p[stored.size - 1] == '\r';
	counter->stored += stored.size;
	counter->octets += stored.size + bare;
	if (bare)
		counter->wire_form = false;
}

void pop3_counter_finish(struct pop3_counter *counter)
{
	if (counter->at_line_start)
		return;
	counter->octets += 2;
	counter->wire_form = false;
	counter->at_line_start = true;
	counter->last_cr = false;
}

/* The encoder's place in a line. The CR states have emitted the CR already: it is content until an
 * LF follows, and then it is the first half of that line break. */
enum { ENC_START, ENC_START_CR, ENC_LINE, ENC_LINE_CR };

void pop3_encoder_init(struct pop3_encoder *encoder, uint64_t body_lines)
{
	*encoder = (struct pop3_encoder){.body_lines = body_lines, .state = ENC_START};
}

/* State behind n > 0 octets without LF, the last of which is last. */
static uint8_t after_content(uint8_t state, size_t n, char last)
{
	if (last != '\r')
		return ENC_LINE;
	return state == ENC_START && n == 1 ? ENC_START_CR : ENC_LINE_CR;
}

/* A line of a TOP is out: the blank line opens the body, the last body line ends the message. */
static void count_line(struct pop3_encoder *encoder, bool blank)
{
	if (encoder->in_body) {
		if (encoder->body_lines != POP3_ALL_LINES)
			encoder->body_lines--;
	} else {
		encoder->in_body = blank;
	}
	encoder->done = encoder->in_body && encoder->body_lines == 0;
}

/* Copies up to the next `stop`, at most n octets; may write up to 15 more, within n. Returns how
 * many; *found: a `stop` stands behind them. */
static size_t copy_until(char *out, const char *in, size_t n, char stop, bool *found)
{
	const char *end;
	size_t at = 0;

#ifdef WITH_SSE2
	for (; n - at >= 16; at += 16) {
		__m128i block = _mm_loadu_si128((const __m128i *)(const void *)(in + at));
		int mask = _mm_movemask_epi8(_mm_cmpeq_epi8(block, _mm_set1_epi8(stop)));

		_mm_storeu_si128((__m128i *)(void *)(out + at), block);
		if (mask) {
			*found = true;
			return at + (size_t)__builtin_ctz((unsigned)mask);
		}
	}
#endif
	end = n != at ? memchr(in + at, stop, n - at) : NULL;
	*found = end;
	if (end)
		n = (size_t)(end - in);
	if (n != at)
		memcpy(out + at, in + at, n - at);
	return n;
}

/* Behind a line that was as on the wire many more are: copies what is, if no lines are counted. */
static size_t copy_as_is(const struct pop3_encoder *encoder, const char *p, size_t n, char *o,
			 uint8_t *state)
{
	size_t copied = encoder->body_lines == POP3_ALL_LINES ? p3_copy_wire(o, p, n) : 0;

	if (!copied)
		return 0;
	p += copied;
	if (p[-1] == '\n')
		*state = ENC_START;
	else if (p[-1] == '\r')
		*state = p[-2] == '\n' ? ENC_START_CR : ENC_LINE_CR;
	else
		*state = ENC_LINE;
	return copied;
}

size_t pop3_encoder_run(struct pop3_encoder *encoder, pop3_span *in, char *out, size_t cap)
{
	const char *p = in->data, *end = in->size ? p + in->size : p;
	char *o = out, *limit = out + cap;
	uint8_t state = encoder->state;
	uint64_t stuffed = 0;

	while (p < end && !encoder->done) {
		bool lf, has_cr;
		size_t n;

		if (state == ENC_START && *p == '.') {
			if (limit - o < 2)
				break;
			*o++ = '.';
			*o++ = '.';
			p++;
			stuffed++;
			state = ENC_LINE;
			continue;
		}
		n = copy_until(o, p, min_size((size_t)(end - p), (size_t)(limit - o)), '\n', &lf);
		if (n) {
			p += n;
			o += n;
			state = after_content(state, n, p[-1]);
		}
		if (!lf) {
			if (o == limit)
				break;
			continue;
		}
		has_cr = state == ENC_START_CR || state == ENC_LINE_CR;
		if (limit - o < (has_cr ? 1 : 2))
			break;
		if (!has_cr)
			*o++ = '\r';
		*o++ = '\n';
		p++;
		count_line(encoder, state == ENC_START || state == ENC_START_CR);
		state = ENC_START;
		if (!has_cr)
			continue;
		n = copy_as_is(encoder, p, min_size((size_t)(end - p), (size_t)(limit - o)), o,
			       &state);
		p += n;
		o += n;
	}
	encoder->state = state;
	advance(in, p);
	encoder->octets += (uint64_t)(o - out) - stuffed;
	return (size_t)(o - out);
}

size_t pop3_encoder_finish(struct pop3_encoder *encoder, char *out, size_t cap)
{
	size_t n = 0;

	assert(cap >= 6);
	if (encoder->state != ENC_START) {
		memcpy(out, "\r\n", 2);
		n = 2;
		encoder->octets += 2;
		encoder->state = ENC_START;
	}
	memcpy(out + n, ".\r\n", 3);
	encoder->done = true;
	return n + 3;
}

/* DEC_CR and DEC_DOT_CR hold a CR back that is not written yet; DEC_DOT holds the dot back. */
enum { DEC_START, DEC_DOT, DEC_DOT_CR, DEC_LINE, DEC_CR };

void pop3_decoder_init(struct pop3_decoder *decoder, enum pop3_line_ends line_ends)
{
	*decoder = (struct pop3_decoder){.line_ends = line_ends, .state = DEC_START};
}

/* Copies up to the next CR; says in *ret_state whether one was taken. Returns octets copied. */
static size_t take_run(struct pop3_decoder *decoder, const char *p, size_t most, char *o,
		       uint8_t *ret_state)
{
	bool cr;
	size_t n = copy_until(o, p, most, '\r', &cr);

	if (n && !decoder->bare_lf && memchr(p, '\n', n))
		decoder->bare_lf = true;
	decoder->octets += n;
	*ret_state = cr ? DEC_CR : DEC_LINE;
	return n;
}

/* Behind a line break: copies what is the same in the store. A CR at its end is held back. */
static size_t copy_kept(struct pop3_decoder *decoder, const char **p, size_t most, char *o,
			uint8_t *state)
{
	size_t n = decoder->line_ends == POP3_KEEP_CRLF ? p3_copy_wire(o, *p, most) : 0;

	if (!n)
		return 0;
	*p += n;
	*state = (*p)[-1] == '\n' ? DEC_START : (*p)[-1] == '\r' ? DEC_CR : DEC_LINE;
	n -= *state == DEC_CR;
	decoder->octets += n;
	return n;
}

/* The octet behind a held CR makes it a line break or content. Returns octets written, -1 when
 * there is no room; takes *p only if it is the LF. */
static int settle_cr(struct pop3_decoder *decoder, const char **p, char *o, size_t room,
		     uint8_t *ret_state)
{
	size_t n = 0;

	if (**p != '\n') {
		if (room < 1)
			return -1;
		o[n++] = '\r';
		decoder->bare_cr = true;
		decoder->octets++;
		*ret_state = DEC_LINE;
		return 1;
	}
	if (room < 2)
		return -1;
	if (decoder->line_ends == POP3_KEEP_CRLF)
		o[n++] = '\r';
	o[n++] = '\n';
	++*p;
	decoder->octets += 2;
	*ret_state = DEC_START;
	return (int)n;
}

size_t pop3_decoder_run(struct pop3_decoder *decoder, pop3_span *in, char *out, size_t cap)
{
	const char *p = in->data, *end = in->size ? p + in->size : p;
	char *o = out, *limit = out + cap;
	uint8_t state = decoder->state;

	while (p < end && !decoder->done) {
		size_t n;
		int written;

		switch (state) {
		case DEC_START:
			state = *p == '.' ? DEC_DOT : DEC_LINE;
			p += *p == '.';
			continue;
		case DEC_DOT:
			/* the dot was stuffing, whatever follows it, unless it is the end */
			state = *p == '\r' ? DEC_DOT_CR : DEC_LINE;
			p += *p == '\r';
			continue;
		case DEC_DOT_CR:
			if (*p == '\n') {
				p++;
				decoder->done = true;
			} else {
				state = DEC_CR;
			}
			continue;
		case DEC_LINE:
			n = take_run(decoder, p, min_size((size_t)(end - p), (size_t)(limit - o)),
				     o, &state);
			p += n;
			o += n;
			if (state == DEC_CR)
				p++;
			else if (o == limit)
				break;
			continue;
		case DEC_CR:
			written = settle_cr(decoder, &p, o, (size_t)(limit - o), &state);
			if (written < 0)
				break;
			o += written;
			if (state == DEC_START)
				o += copy_kept(decoder, &p,
					       min_size((size_t)(end - p), (size_t)(limit - o)), o,
					       &state);
			continue;
		}
		break;
	}
	decoder->state = state;
	advance(in, p);
	return (size_t)(o - out);
}
