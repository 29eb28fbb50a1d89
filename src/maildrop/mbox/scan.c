/* See scan.h. */
#include "maildrop/mbox/scan.h"

#include "base/line_search.h"
#include "base/text.h"
#include "maildrop/mbox/from.h"

#include <string.h>

/* Octets in front of a "From " line that belong to it: the longest empty line, and the LF before
 * it. */
#define SEPARATOR 3u

void mbox_scan_init(struct mbox_scan *s, const struct mbox_scan_user *user, uint64_t offset)
{
	memset(s, 0, sizeof(*s));
	s->user = *user;
	s->at = offset;
	s->state = offset ? MBOX_SCAN_FROM : MBOX_SCAN_BEGIN;
}

static void count(struct mbox_scan *s, const char *data, uint64_t size)
{
	pop3_counter_feed(&s->counter, (pop3_span){data, (size_t)size});
}

static void begin_message(struct mbox_scan *s, uint32_t from_size)
{
	s->message = (struct mbox_message){.start = s->at, .from_size = from_size};
	s->has_length = s->hidden_line = s->folder_data = s->x_imap = false;
	s->digested_line = true;
	s->body = 0;
	pop3_counter_init(&s->counter);
	digest_init(&s->digest, DIGEST_SHA_256);
	s->state = MBOX_SCAN_HEAD;
}

/* end: in the file. Octets up to there are counted. */
static void end_message(struct mbox_scan *s, uint64_t end)
{
	struct mbox_message *m = &s->message;
	unsigned char digest[DIGEST_MAX];

	if (s->state == MBOX_SCAN_HEAD || s->state == MBOX_SCAN_HEAD_LINE)
		m->head = end - m->start - m->from_size;
	digest_finish(&s->digest, digest);
	memcpy(m->digest, digest, sizeof(m->digest));
	pop3_counter_finish(&s->counter);
	m->octets = s->counter.octets;
	m->stored = end - m->start - m->from_size;
	m->pseudo = m->start == 0 && s->folder_data && s->x_imap;
	s->user.found(s->user.context, m);
}

/* ---- each state: takes octets from data on, returns how many; 0: needs more of them ---- */

static size_t scan_begin(struct mbox_scan *s, pop3_span text)
{
	uint32_t empty = mbox_empty_line(text);

	if (empty == 0)
		s->state = mbox_from_line(text) ? MBOX_SCAN_FROM : MBOX_SCAN_NO_MBOX;
	return empty;
}

static size_t scan_from(struct mbox_scan *s, pop3_span text)
{
	uint32_t size = mbox_from_line(text);

	if (size)
		begin_message(s, size);
	else
		s->state = MBOX_SCAN_NO_MBOX;
	return size;
}

static bool lands(struct mbox_scan *s, uint64_t offset)
{
	char buf[MBOX_LOOK + 2];
	size_t n = s->user.peek(s->user.context, offset, buf, sizeof(buf));
	uint32_t empty = mbox_empty_line((pop3_span){buf, n});
	char before;

	if (n == 0)
		return s->user.peek(s->user.context, offset - 1, &before, 1) == 1;
	if (empty == n || (empty && mbox_from_line((pop3_span){buf + empty, n - empty})))
		return true;
	/* without an empty line only where a line begins */
	return s->user.peek(s->user.context, offset - 1, &before, 1) == 1 && before == '\n' &&
	       mbox_from_line((pop3_span){buf, n});
}

/* The empty line behind the headers. */
static size_t end_head(struct mbox_scan *s, pop3_span text, uint32_t size)
{
	struct mbox_message *m = &s->message;

	count(s, text.data, size);
	s->body = s->at + size;
	m->head = s->body - m->start - m->from_size;
	s->state = MBOX_SCAN_BODY;
	if (s->has_length && s->length < UINT64_MAX / 2 && lands(s, s->body + s->length)) {
		s->length_end = s->body + s->length;
		s->state = MBOX_SCAN_BODY_LENGTH;
	}
	return size;
}

static void look_at_header(struct mbox_scan *s, pop3_span text)
{
	enum mbox_header kind = mbox_header_kind(text);
	pop3_span value;

	s->hidden_line = kind == MBOX_HEADER_HIDDEN;
	s->digested_line = kind == MBOX_HEADER;
	s->message.hides |= s->hidden_line;
	if (kind == MBOX_HEADER_VARIES &&
	    mbox_header_value(text, SPAN_LITERAL("Content-Length:"), &value))
		s->has_length = !s->has_length && span_number(value, INT64_MAX, &s->length) == 0;
	if (s->message.start)
		return;
	if (s->hidden_line && mbox_header_value(text, SPAN_LITERAL("X-IMAP:"), &value))
		s->x_imap = true;
	if (mbox_header_value(text, SPAN_LITERAL("Subject:"), &value) &&
	    span_equal(value, SPAN_LITERAL("DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA")))
		s->folder_data = true;
}

static size_t scan_head(struct mbox_scan *s, pop3_span text)
{
	uint32_t empty = mbox_empty_line(text);

	if (empty)
		return end_head(s, text, empty);
	if (*text.data != ' ' && *text.data != '\t')
		look_at_header(s, text);
	s->state = MBOX_SCAN_HEAD_LINE;
	return 0;
}

static size_t scan_head_line(struct mbox_scan *s, pop3_span text)
{
	const char *end = memchr(text.data, '\n', text.size);
	size_t size = end ? (size_t)(end - text.data) + 1 : text.size;

	if (!s->hidden_line)
		count(s, text.data, size);
	if (s->digested_line)
		digest_add(&s->digest, text.data, size);
	if (end)
		s->state = MBOX_SCAN_HEAD;
	return size;
}

/* Does the body, or a line, begin at that place of text? False if that cannot be seen in it; then
 * it was judged before. */
static bool begins_line(const struct mbox_scan *s, const char *text, size_t at)
{
	return s->at + at == s->body || (at && text[at - 1] == '\n');
}

/* Octets of the empty line that ends where a line begins, at that place of text; none if it is the
 * one behind the headers, which is the message's. UINT32_MAX: there is no empty line. */
static uint32_t separator(const struct mbox_scan *s, const char *text, size_t line)
{
	if (s->at + line == s->body)
		return 0;
	if (line == 0 || text[line - 1] != '\n')
		return UINT32_MAX;
	if (begins_line(s, text, line - 1))
		return 1;
	return line >= 2 && text[line - 2] == '\r' && begins_line(s, text, line - 2) ? 2
										     : UINT32_MAX;
}

/* The first place before limit at which a message begins. limit: none. */
static size_t find_from(const struct mbox_scan *s, pop3_span text, size_t limit)
{
	size_t at = 0;

	if (s->at == s->body && limit && mbox_from_line(text))
		return 0;
	while (at < limit) {
		at = line_search(text, at, 'F') + 1;
		if (at >= limit)
			return limit;
		if (separator(s, text.data, at) != UINT32_MAX &&
		    mbox_from_line((pop3_span){text.data + at, text.size - at}))
			return at;
	}
	return limit;
}

static size_t end_of_file(struct mbox_scan *s, pop3_span text)
{
	uint32_t empty = separator(s, text.data, text.size);
	size_t size = text.size - (empty == UINT32_MAX ? 0 : empty);

	count(s, text.data, size);
	end_message(s, s->at + size);
	s->state = MBOX_SCAN_FROM;
	return text.size;
}

/* Some octets stay, so that an empty line before a "From " line is always in text as a whole. */
static size_t scan_body(struct mbox_scan *s, pop3_span text, bool last)
{
	size_t limit =
		last ? text.size : text.size - (MBOX_LOOK < text.size ? MBOX_LOOK : text.size);
	size_t at = find_from(s, text, limit);
	uint32_t empty;

	if (at == limit) {
		if (last)
			return end_of_file(s, text);
		if (at <= SEPARATOR)
			return 0;
		count(s, text.data, at - SEPARATOR);
		return at - SEPARATOR;
	}
	empty = separator(s, text.data, at);
	count(s, text.data, at - empty);
	end_message(s, s->at + at - empty);
	s->state = MBOX_SCAN_FROM;
	return at;
}

static size_t scan_body_length(struct mbox_scan *s, pop3_span text)
{
	uint64_t left = s->length_end - s->at;
	size_t size = left < text.size ? (size_t)left : text.size;

	count(s, text.data, size);
	if (size == left)
		s->state = MBOX_SCAN_LENGTH_END;
	return size;
}

/* If the file is not what it was a moment ago, the body goes on. */
static size_t scan_length_end(struct mbox_scan *s, pop3_span text, bool last)
{
	uint32_t empty = mbox_empty_line(text);

	s->state = MBOX_SCAN_BODY;
	if ((last && empty == text.size) ||
	    mbox_from_line((pop3_span){text.data + empty, text.size - empty})) {
		end_message(s, s->at);
		s->state = MBOX_SCAN_FROM;
		return empty;
	}
	return 0;
}

static size_t scan_some(struct mbox_scan *s, pop3_span text, bool last)
{
	/* these states look at a whole line, or at what a line is judged by */
	bool enough = last || text.size >= MBOX_LOOK + 2;

	switch (s->state) {
	case MBOX_SCAN_BEGIN:
		return enough ? scan_begin(s, text) : 0;
	case MBOX_SCAN_FROM:
		return enough ? scan_from(s, text) : 0;
	case MBOX_SCAN_HEAD:
		return enough ? scan_head(s, text) : 0;
	case MBOX_SCAN_HEAD_LINE:
		return scan_head_line(s, text);
	case MBOX_SCAN_BODY:
		return scan_body(s, text, last);
	case MBOX_SCAN_BODY_LENGTH:
		return scan_body_length(s, text);
	case MBOX_SCAN_LENGTH_END:
		return enough ? scan_length_end(s, text, last) : 0;
	case MBOX_SCAN_NO_MBOX:
		break;
	}
	return 0;
}

/* The file ends here, at the end of what was fed. */
static void finish(struct mbox_scan *s)
{
	switch (s->state) {
	case MBOX_SCAN_HEAD:
	case MBOX_SCAN_HEAD_LINE:
	case MBOX_SCAN_BODY:
	case MBOX_SCAN_BODY_LENGTH:
	case MBOX_SCAN_LENGTH_END:
		end_message(s, s->at);
		s->state = MBOX_SCAN_FROM;
		break;
	case MBOX_SCAN_BEGIN:
	case MBOX_SCAN_FROM:
	case MBOX_SCAN_NO_MBOX:
		break;
	}
}

size_t mbox_scan_feed(struct mbox_scan *s, pop3_span octets, bool last)
{
	pop3_span text = octets;
	enum mbox_scan_state before;
	size_t n;

	while (text.size) {
		before = s->state;
		n = scan_some(s, text, last);
		text.data += n;
		text.size -= n;
		s->at += n;
		if (n == 0 && s->state == before)
			break;
	}
	if (last && text.size == 0)
		finish(s);
	return octets.size - text.size;
}
