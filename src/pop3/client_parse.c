/*
 * Numbers and unique ids that a server sends: the replies to STAT, LIST, UIDL, RETR and the lines
 * of listings (RFC 1939), and the stamp of a greeting. Hostile text in, checked values out; what
 * does not fit is flagged and its values stay 0.
 */
#include "pop3/client_parse_private.h"

#include "pop3/grammar_private.h"

#include <string.h>

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* The word in front of the first blank; *text keeps what is behind the blanks. RFC 1939 has one
 * space there; servers send several, and tabs. */
static pop3_span take_word(pop3_span *text)
{
	pop3_span word = {text->data, 0};

	while (word.size < text->size && !is_blank(text->data[word.size]))
		word.size++;
	text->data += word.size;
	text->size -= word.size;
	while (text->size && is_blank(*text->data)) {
		text->data++;
		text->size--;
	}
	return word;
}

/* "number octets"; what follows behind another space is the server's own (RFC 1939 section 5). The
 * number is there, too, when the octets cannot be read. */
static bool parse_pair(pop3_span text, uint64_t *ret_first, uint64_t *ret_second)
{
	return p3_number(take_word(&text), UINT32_MAX, ret_first) &&
	       p3_number(take_word(&text), INT64_MAX, ret_second);
}

static void parse_item(pop3_span line, bool uidl, struct pop3_client_event *event)
{
	uint64_t number = 0, octets = 0;
	bool good;

	event->text = (pop3_span){line.data, 0};
	if (uidl) {
		pop3_span id = line, word = take_word(&id);

		while (id.size && is_blank(id.data[id.size - 1]))
			id.size--;
		good = p3_number(word, UINT32_MAX, &number) && p3_unique_id(id);
		if (good)
			event->text = id;
	} else {
		good = parse_pair(line, &number, &octets);
		if (good)
			event->octets = octets;
	}
	event->malformed = !good || number == 0;
	event->number = (uint32_t)number;
	if (event->malformed) {
		event->octets = 0;
		event->text.size = 0;
	}
}

void p3_client_parse_item(pop3_span line, struct pop3_client_event *event)
{
	parse_item(line, event->command == POP3_UIDL, event);
}

void p3_client_parse_reply(pop3_span text, struct pop3_client_event *event, bool all)
{
	uint32_t asked = event->number;
	uint64_t first = 0, second = 0;

	if (event->command == POP3_STAT) {
		event->malformed = !parse_pair(text, &first, &second);
		if (!event->malformed) {
			event->count = (uint32_t)first;
			event->octets = second;
		}
	} else if ((event->command == POP3_LIST || event->command == POP3_UIDL) && !all) {
		parse_item(text, event->command == POP3_UIDL, event);
		event->malformed = event->malformed || event->number != asked;
		if (event->malformed) {
			event->octets = 0;
			event->text.size = 0;
		}
		event->number = asked;
	} else if (event->command == POP3_RETR) {
		if (p3_number(take_word(&text), INT64_MAX, &second))
			event->octets = second;
	}
}

static bool is_atext(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       (c && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

/* dot-atom-text of RFC 5322 section 3.2.3 */
static bool is_dot_atom(const char *p, size_t n)
{
	bool atom = false;

	for (size_t i = 0; i < n; i++) {
		if (p[i] == '.' && !atom)
			return false;
		if (p[i] != '.' && !is_atext(p[i]))
			return false;
		atom = p[i] != '.';
	}
	return atom;
}

/* no-fold-literal of section 3.6.4 */
static bool is_literal(const char *p, size_t n)
{
	if (n < 2 || p[0] != '[' || p[n - 1] != ']')
		return false;
	for (size_t i = 1; i < n - 1; i++) {
		if (p[i] < 0x21 || p[i] > 0x7e || strchr("[]\\", p[i]))
			return false;
	}
	return true;
}

/* A msg-id that begins at the "<" at p; its size, 0: none. */
static size_t message_id(const char *p, size_t size)
{
	const char *close = memchr(p, '>', size), *left = p + 1, *at;
	size_t right;

	if (!close)
		return 0;
	at = memchr(left, '@', (size_t)(close - left));
	if (!at || !is_dot_atom(left, (size_t)(at - left)))
		return 0;
	right = (size_t)(close - at) - 1;
	if (!is_dot_atom(at + 1, right) && !is_literal(at + 1, right))
		return 0;
	return (size_t)(close - p) + 1;
}

pop3_span pop3_greeting_stamp(pop3_span text)
{
	for (size_t i = 0; i < text.size; i++) {
		size_t n = text.data[i] == '<' ? message_id(text.data + i, text.size - i) : 0;

		if (n)
			return (pop3_span){text.data + i, n};
	}
	return (pop3_span){text.data, 0};
}
