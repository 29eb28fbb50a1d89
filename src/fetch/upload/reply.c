/* See reply.h. */
#include "fetch/upload/reply.h"

#include "base/text.h"

#include <string.h>

/* "{123}" at the end of a line: so many octets follow, and then the line goes on. */
static bool literal_of(pop3_span line, uint64_t *ret)
{
	size_t at = line.size;

	if (!at || line.data[at - 1] != '}')
		return false;
	while (at && line.data[at - 1] != '{')
		at--;
	return at &&
	       span_number((pop3_span){line.data + at, line.size - at - 1}, UINT32_MAX, ret) == 0;
}

/* The LF of a line was taken. */
static enum reply_take line_end(struct reply_reader *reader, pop3_span *ret)
{
	uint64_t literal;

	if (reader->used && reader->line[reader->used - 1] == '\r')
		reader->used--;
	*ret = (pop3_span){reader->line, reader->used};
	if (!literal_of(*ret, &literal)) {
		reader->used = 0;
		return REPLY_LINE;
	}
	if (literal > REPLY_LITERAL_MAX) {
		reader->bad = true;
		return REPLY_BAD;
	}
	reader->literal = (size_t)literal;
	return REPLY_MORE;
}

enum reply_take reply_take(struct reply_reader *reader, pop3_span *in, pop3_span *ret)
{
	while (in->size && !reader->bad) {
		size_t skip = reader->literal < in->size ? reader->literal : in->size;
		char c;

		in->data += skip;
		in->size -= skip;
		reader->literal -= skip;
		if (!in->size)
			break;
		c = *in->data++;
		in->size--;
		if (c == '\n') {
			enum reply_take took = line_end(reader, ret);

			if (took != REPLY_MORE)
				return took;
			continue;
		}
		reader->bad = reader->used == REPLY_LINE_MAX || c == '\0';
		if (!reader->bad)
			reader->line[reader->used++] = c;
	}
	return reader->bad ? REPLY_BAD : REPLY_MORE;
}

static pop3_span word(pop3_span *rest)
{
	pop3_span out = *rest;
	const char *blank = rest->size ? memchr(rest->data, ' ', rest->size) : NULL;

	out.size = blank ? (size_t)(blank - rest->data) : rest->size;
	rest->data += out.size + (blank ? 1 : 0);
	rest->size -= out.size + (blank ? 1 : 0);
	return out;
}

static enum reply_status status_of(pop3_span text)
{
	static const struct {
		const char *word;
		enum reply_status status;
	} words[] = {{"OK", REPLY_OK},
		     {"NO", REPLY_NO},
		     {"BAD", REPLY_NOT_UNDERSTOOD},
		     {"BYE", REPLY_BYE},
		     {"PREAUTH", REPLY_OK}};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (span_equal_nocase(text, span_of(words[i].word)))
			return words[i].status;
	return REPLY_OTHER;
}

void reply_parse(pop3_span line, const char *tag, struct reply *ret)
{
	struct reply reply = {.text = line};
	pop3_span rest = line, first = word(&rest), before = rest;
	const char *end;

	if (span_equal(first, SPAN_LITERAL("+")))
		reply.kind = REPLY_CONTINUE;
	else if (span_equal(first, SPAN_LITERAL("*")))
		reply.kind = REPLY_UNTAGGED;
	else if (span_equal(first, span_of(tag)))
		reply.kind = REPLY_TAGGED;
	if (reply.kind == REPLY_NONSENSE) {
		*ret = reply;
		return;
	}
	if (reply.kind != REPLY_CONTINUE)
		reply.status = status_of(word(&rest));
	if (reply.status == REPLY_OTHER)
		rest = before;
	else if (rest.size && rest.data[0] == '[' &&
		 (end = memchr(rest.data, ']', rest.size)) != NULL)
		reply.code = (pop3_span){rest.data + 1, (size_t)(end - rest.data) - 1};
	reply.text = rest;
	if (reply.kind == REPLY_TAGGED && reply.status == REPLY_OTHER)
		reply.kind = REPLY_NONSENSE;
	*ret = reply;
}

bool reply_code_is(const struct reply *reply, const char *name)
{
	pop3_span rest = reply->code;

	return rest.size && span_equal_nocase(word(&rest), span_of(name));
}

bool reply_has_word(pop3_span words, const char *name, pop3_span *ret_value)
{
	size_t n = strlen(name);

	while (words.size) {
		pop3_span one = word(&words);

		if (one.size < n || !span_equal_nocase((pop3_span){one.data, n}, span_of(name)))
			continue;
		if (one.size == n || (ret_value && one.data[n] == '=')) {
			if (ret_value)
				*ret_value = one.size == n ? (pop3_span){one.data + n, 0}
							   : (pop3_span){one.data + n + 1,
									 one.size - n - 1};
			return true;
		}
	}
	return false;
}
