/*
 * The receiving half of the client machine: received octets in, one event at a time out (see
 * pop3/client.h). Everything the server sends is hostile: lines and listings are bounded, and an
 * answer to no command, or one that breaks the protocol, ends the session for good.
 */
#include "pop3/client_parse_private.h"
#include "pop3/client_private.h"
#include "pop3/grammar_private.h"
#include "pop3/line_private.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

enum {
	CONTENT_MAX = POP3_CLIENT_LINE_MAX - 2, /* octets of a line without its CRLF */
	WORDS_MAX = 256,                        /* lines of the reply to CAPA or LANG */
};

size_t pop3_client_size(uint32_t window)
{
	return offsetof(struct pop3_client, window) + window * sizeof(struct pop3_client_pending);
}

void pop3_client_init_window(struct pop3_client *client, enum pop3_line_ends line_ends,
			     uint64_t max_lines, uint32_t window)
{
	assert(window >= 1 && window <= POP3_CLIENT_WINDOW);
	memset(client, 0, pop3_client_size(window));
	client->line_ends = line_ends;
	client->max_lines = max_lines;
	client->window_size = window;
	client->window[0].command = POP3_GREETING;
	client->pending = 1;
}

void pop3_client_init(struct pop3_client *client, enum pop3_line_ends line_ends, uint64_t max_lines)
{
	pop3_client_init_window(client, line_ends, max_lines, POP3_CLIENT_WINDOW);
}

static enum pop3_client_event_type bad(struct pop3_client *client, const char *why,
				       struct pop3_client_event *event)
{
	if (!client->bad)
		client->why = why;
	client->bad = true;
	event->ok = false;
	event->text = (pop3_span){client->why, strlen(client->why)};
	return POP3_CLIENT_BAD;
}

static void answered(struct pop3_client *client)
{
	client->head = (client->head + 1) % client->window_size;
	client->pending--;
	client->phase = P3_CLIENT_FIRST;
}

static bool starts(pop3_span line, const char *word, size_t size)
{
	return line.size >= size && memcmp(line.data, word, size) == 0 &&
	       (line.size == size || line.data[size] == ' ');
}

static pop3_span behind(pop3_span line, size_t size)
{
	size_t n = line.size > size ? size + 1 : line.size;

	return (pop3_span){line.data + n, line.size - n};
}

/* "+OK": the command decides whether a listing, a message or nothing follows. */
static void accepted(struct pop3_client *client, struct pop3_client_event *event)
{
	bool all = client->window[client->head].all;

	p3_client_parse_reply(event->text, event, all);
	switch (event->command) {
	case POP3_CAPA:
		client->phase = P3_CLIENT_LISTING;
		break;
	case POP3_LIST:
	case POP3_UIDL:
	case POP3_LANG:
		if (all)
			client->phase = P3_CLIENT_LISTING;
		else
			answered(client);
		break;
	case POP3_RETR:
	case POP3_TOP:
		client->phase = P3_CLIENT_BODY;
		pop3_decoder_init(&client->decoder, client->line_ends);
		break;
	case POP3_STLS:
		answered(client);
		client->phase = P3_CLIENT_TLS;
		break;
	case POP3_GREETING:
	case POP3_USER:
	case POP3_PASS:
	case POP3_APOP:
	case POP3_AUTH:
	case POP3_SASL:
	case POP3_STAT:
	case POP3_DELE:
	case POP3_RSET:
	case POP3_NOOP:
	case POP3_QUIT:
	case POP3_UTF8:
	case POP3_COMMAND_COUNT:
		answered(client);
		break;
	}
	client->lines = 0;
}

static enum pop3_client_event_type first_line(struct pop3_client *client, pop3_span line,
					      struct pop3_client_event *event)
{
	bool in_sasl = event->command == POP3_AUTH || event->command == POP3_SASL;

	if (starts(line, "+OK", 3)) {
		event->ok = true;
		event->text = behind(line, 3);
		event->code = p3_take_code(&event->text);
		accepted(client, event);
		return POP3_CLIENT_REPLY;
	}
	if (starts(line, "-ERR", 4)) {
		event->text = behind(line, 4);
		event->code = p3_take_code(&event->text);
		answered(client);
		return POP3_CLIENT_REPLY;
	}
	if (in_sasl && starts(line, "+", 1)) {
		event->ok = true;
		event->text = behind(line, 1);
		answered(client);
		return POP3_CLIENT_CHALLENGE;
	}
	return bad(client, "the reply begins with neither +OK nor -ERR", event);
}

static enum pop3_client_event_type listing_line(struct pop3_client *client, pop3_span line,
						struct pop3_client_event *event, bool cut)
{
	uint64_t max = client->max_lines;
	bool words = event->command == POP3_CAPA || event->command == POP3_LANG;

	if (words && max > WORDS_MAX)
		max = WORDS_MAX;
	event->ok = true;
	if (line.size && line.data[0] == '.') {
		if (line.size == 1 && !cut) {
			answered(client);
			return POP3_CLIENT_END;
		}
		line.data++;
		line.size--;
	}
	if (++client->lines > max)
		return bad(client, "the listing is longer than can be believed", event);
	event->number = 0;
	event->text = line;
	if (!words)
		p3_client_parse_item(line, event);
	if (cut) {
		event->malformed = true;
		event->octets = 0;
		event->text.size = 0;
	}
	return POP3_CLIENT_LINE;
}

static enum pop3_client_event_type whole_line(struct pop3_client *client,
					      struct pop3_client_event *event, bool cut)
{
	pop3_span line = {client->line, client->line_size};

	client->line_size = 0;
	if (client->phase == P3_CLIENT_FIRST)
		return first_line(client, line, event);
	return listing_line(client, line, event, cut);
}

/* A listing's line that is too long is flagged, not believed, and its rest read away; a first line
 * that is too long is no reply. */
static enum pop3_client_event_type next_line(struct pop3_client *client, pop3_span *in,
					     struct pop3_client_event *event)
{
	struct p3_line line = {client->line, CONTENT_MAX, &client->line_size, &client->last_cr};
	enum p3_line_result result;

	if (!client->discard) {
		result = p3_take_line(&line, in);
		if (result == P3_LINE_MORE)
			return POP3_CLIENT_MORE;
		if (result == P3_LINE_BARE_LF)
			return bad(client, "a line ends without CRLF", event);
		if (result == P3_LINE_OK)
			return whole_line(client, event, false);
		if (client->phase == P3_CLIENT_FIRST)
			return bad(client, "the reply's first line is too long", event);
		client->discard = true;
		client->discarded = 0;
	}
	result = p3_discard_line(in, &client->last_cr, &client->discarded, POP3_DISCARD_MAX, NULL);
	if (result == P3_LINE_LONG)
		return bad(client, "a line without end", event);
	if (result == P3_LINE_MORE)
		return POP3_CLIENT_MORE;
	client->discard = false;
	return whole_line(client, event, true);
}

static enum pop3_client_event_type next_body(struct pop3_client *client, pop3_span *in,
					     char *scratch, size_t size,
					     struct pop3_client_event *event)
{
	event->ok = true;
	if (!client->decoder.done) {
		size_t n = pop3_decoder_run(&client->decoder, in, scratch, size);

		if (n) {
			event->text = (pop3_span){scratch, n};
			return POP3_CLIENT_BODY;
		}
		if (!client->decoder.done)
			return POP3_CLIENT_MORE;
	}
	event->octets = client->decoder.octets;
	answered(client);
	return POP3_CLIENT_END;
}

static enum pop3_client_event_type next_event(struct pop3_client *client, pop3_span *in,
					      char *scratch, size_t size,
					      struct pop3_client_event *event)
{
	if (client->bad)
		return bad(client, client->why, event);
	if (client->phase == P3_CLIENT_TLS) {
		event->command = POP3_STLS;
		if (in->size)
			return bad(client, "an answer in the clear before the TLS handshake",
				   event);
		return POP3_CLIENT_MORE;
	}
	if (client->pending == 0) {
		if (in->size)
			return bad(client, "an answer to nothing that was asked", event);
		return POP3_CLIENT_MORE;
	}
	event->command = (enum pop3_command)client->window[client->head].command;
	event->number = client->window[client->head].number;
	if (client->phase == P3_CLIENT_BODY)
		return next_body(client, in, scratch, size, event);
	return next_line(client, in, event);
}

enum pop3_client_event_type pop3_client_next(struct pop3_client *client, pop3_span *in,
					     char *scratch, size_t scratch_size,
					     struct pop3_client_event *ret_event)
{
	assert(scratch_size >= 64);
	*ret_event = (struct pop3_client_event){.text = {client->line, 0}};
	ret_event->type = next_event(client, in, scratch, scratch_size, ret_event);
	return ret_event->type;
}

bool pop3_client_tls_started(struct pop3_client *client, pop3_span in)
{
	struct pop3_client_event unused = {.ok = false};

	if (client->bad || client->phase != P3_CLIENT_TLS || in.size) {
		bad(client, "an answer in the clear before the TLS handshake", &unused);
		return false;
	}
	client->phase = P3_CLIENT_FIRST;
	return true;
}
