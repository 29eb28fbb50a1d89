/*
 * The sending half of the client machine: renders commands and remembers which replies are due (see
 * pop3/client.h). Text that could break out of its line is refused before anything is written.
 */
#include "pop3/client_private.h"
#include "pop3/grammar_private.h"

#include <string.h>

enum { HEAD_MAX = 64 }; /* octets of a keyword and two numbers, and more */

enum shape {
	PLAIN,
	WITH_TEXT,
	PERHAPS_TEXT,
	TEXT_ALONE,
	NUMBER_OR_ALL,
	WITH_NUMBER,
	NUMBER_AND_LINES,
	NEVER
};

static const struct {
	char name[5];
	uint8_t shape;
} commands[] = {
	[POP3_GREETING] = {"", NEVER},          [POP3_CAPA] = {"CAPA", PLAIN},
	[POP3_STLS] = {"STLS", PLAIN},          [POP3_USER] = {"USER", WITH_TEXT},
	[POP3_PASS] = {"PASS", WITH_TEXT},      [POP3_APOP] = {"APOP", WITH_TEXT},
	[POP3_AUTH] = {"AUTH", WITH_TEXT},      [POP3_SASL] = {"", TEXT_ALONE},
	[POP3_STAT] = {"STAT", PLAIN},          [POP3_LIST] = {"LIST", NUMBER_OR_ALL},
	[POP3_UIDL] = {"UIDL", NUMBER_OR_ALL},  [POP3_RETR] = {"RETR", WITH_NUMBER},
	[POP3_TOP] = {"TOP", NUMBER_AND_LINES}, [POP3_DELE] = {"DELE", WITH_NUMBER},
	[POP3_RSET] = {"RSET", PLAIN},          [POP3_NOOP] = {"NOOP", PLAIN},
	[POP3_QUIT] = {"QUIT", PLAIN},          [POP3_UTF8] = {"UTF8", PLAIN},
	[POP3_LANG] = {"LANG", PERHAPS_TEXT},
};
_Static_assert(sizeof(commands) / sizeof(commands[0]) == POP3_COMMAND_COUNT,
	       "every command has a row");

static bool breaks_line(pop3_span text)
{
	for (size_t i = 0; i < text.size; i++) {
		if (text.data[i] == '\r' || text.data[i] == '\n' || text.data[i] == '\0')
			return true;
	}
	return false;
}

/* May nothing be sent until the last command is answered? (RFC 2449 6.6, 2595 section 4) */
static bool must_wait(const struct pop3_client *client, enum pop3_command command)
{
	uint32_t last;

	if (client->bad || client->phase == P3_CLIENT_TLS || client->pending == client->window_size)
		return true;
	if (client->pending == 0)
		return false;
	last = client->window[(client->head + client->pending - 1) % client->window_size].command;
	return last == POP3_AUTH || last == POP3_SASL || last == POP3_STLS || command == POP3_STLS;
}

static bool arguments_fit(enum shape shape, uint32_t number, pop3_span text)
{
	switch (shape) {
	case PLAIN:
	case NUMBER_OR_ALL:
		return true;
	case WITH_TEXT:
		return text.size && !breaks_line(text);
	case PERHAPS_TEXT:
	case TEXT_ALONE:
		return !breaks_line(text);
	case WITH_NUMBER:
	case NUMBER_AND_LINES:
		return number;
	case NEVER:
		return false;
	}
	return false;
}

/* Octets in front of the text, or the whole line but for its CRLF. out has HEAD_MAX octets. */
static size_t render_head(char *out, enum pop3_command command, uint32_t number, uint64_t lines,
			  bool text)
{
	enum shape shape = (enum shape)commands[command].shape;
	size_t n = strlen(commands[command].name);

	memcpy(out, commands[command].name, n);
	if (shape == WITH_TEXT || (shape == PERHAPS_TEXT && text))
		out[n++] = ' ';
	if (shape == WITH_NUMBER || shape == NUMBER_AND_LINES ||
	    (shape == NUMBER_OR_ALL && number)) {
		out[n++] = ' ';
		n += p3_put_number(out + n, number);
	}
	if (shape == NUMBER_AND_LINES) {
		out[n++] = ' ';
		n += p3_put_number(out + n, lines);
	}
	return n;
}

int pop3_client_command(struct pop3_client *client, enum pop3_command command, uint32_t number,
			uint64_t lines, pop3_span text, char *out, size_t cap)
{
	enum shape shape = (enum shape)commands[command].shape;
	bool with_text = shape == WITH_TEXT || shape == PERHAPS_TEXT || shape == TEXT_ALONE;
	size_t max = command == POP3_AUTH || command == POP3_SASL ? POP3_SASL_LINE_MAX
								  : POP3_COMMAND_MAX;
	size_t n, text_size = with_text ? text.size : 0;
	char head[HEAD_MAX];
	uint32_t at;

	if (must_wait(client, command))
		return POP3_CLIENT_MUST_WAIT;
	if (!arguments_fit(shape, number, text))
		return POP3_CLIENT_BAD_ARGUMENT;
	n = render_head(head, command, number, lines, text_size > 0);
	if (text_size > max - n - 2)
		return POP3_CLIENT_BAD_ARGUMENT;
	if (n + text_size + 2 > cap)
		return POP3_CLIENT_NO_ROOM;
	memcpy(out, head, n);
	if (text_size)
		memcpy(out + n, text.data, text_size);
	n += text_size;
	memcpy(out + n, "\r\n", 2);
	at = (client->head + client->pending) % client->window_size;
	client->window[at] = (struct pop3_client_pending){
		.command = (uint8_t)command,
		.all = (shape == NUMBER_OR_ALL && number == 0) ||
		       (shape == PERHAPS_TEXT && text_size == 0),
		.number = shape == PLAIN || with_text ? 0 : number,
	};
	client->pending++;
	return (int)(n + 2);
}

uint32_t pop3_client_unanswered(const struct pop3_client *client)
{
	return client->pending;
}
