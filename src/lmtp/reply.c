/*
 * Replies of the LMTP machine, and the outcomes of a message's recipients. A reply is rendered into
 * server->output, which is empty whenever a command is worked on: it never overflows, and a client
 * that does not read is not read from. Called by lmtp.c and verbs.c; the outcomes' storage and
 * their texts are the program's.
 */
#include "lmtp/reply_private.h"

#include <assert.h>
#include <string.h>

void lmtp_put(struct lmtp_server *server, const char *text)
{
	/* two octets stay free for CRLF */
	for (; *text && server->output_size < LMTP_REPLY_MAX - 2; text++) {
		bool printable = *text >= 0x20 && *text <= 0x7E;

		server->output[server->output_size++] = printable ? *text : '?';
	}
}

void lmtp_put_number(struct lmtp_server *server, uint64_t number)
{
	char digits[21];
	size_t at = sizeof(digits) - 1;

	digits[at] = '\0';
	do
		digits[--at] = (char)('0' + number % 10);
	while ((number /= 10) != 0);
	lmtp_put(server, digits + at);
}

void lmtp_put_end(struct lmtp_server *server)
{
	server->output[server->output_size++] = '\r';
	server->output[server->output_size++] = '\n';
}

void lmtp_reply(struct lmtp_server *server, uint16_t code, const char *enhanced, const char *text)
{
	assert(server->output_size == 0 && code >= 200 && code <= 599);
	lmtp_put_number(server, code);
	lmtp_put(server, " ");
	if (enhanced) {
		lmtp_put(server, enhanced);
		lmtp_put(server, " ");
	}
	lmtp_put(server, text);
	lmtp_put_end(server);
	if (code == 421)
		server->closing = true;
}

void lmtp_refuse(struct lmtp_server *server, uint16_t code, const char *enhanced, const char *text)
{
	uint32_t limit = server->settings->max_bad_commands;

	if (limit && ++server->bad_commands >= limit)
		lmtp_reply(server, 421, "4.7.0", "Too many errors, closing");
	else
		lmtp_reply(server, code, enhanced, text);
}

void lmtp_accept(struct lmtp_server *server, uint16_t code, const char *enhanced, const char *text)
{
	server->bad_commands = 0;
	lmtp_reply(server, code, enhanced, text);
}

void lmtp_set_outcome(struct lmtp_outcome *outcome, uint16_t code, const char *enhanced,
		      const char *text)
{
	size_t n = 0;

	assert(code >= 200 && code <= 599);
	for (; enhanced && enhanced[n] && n < sizeof(outcome->enhanced) - 1; n++)
		outcome->enhanced[n] = enhanced[n];
	outcome->enhanced[n] = '\0';
	outcome->text = text;
	outcome->code = code;
}

const struct lmtp_outcome *lmtp_next_outcome(const struct lmtp_server *server)
{
	if (server->phase != PHASE_REPLIES)
		return NULL;
	if (server->outcomes && server->outcomes[server->replied].code)
		return &server->outcomes[server->replied];
	return server->all.code ? &server->all : NULL;
}

void lmtp_forget_transaction(struct lmtp_server *server)
{
	server->phase = PHASE_COMMAND;
	server->accepted = server->replied = 0;
	server->all.code = 0;
	server->utf8 = false;
}

static void render_outcome(struct lmtp_server *server, const struct lmtp_outcome *outcome)
{
	lmtp_reply(server, outcome->code, outcome->enhanced[0] ? outcome->enhanced : NULL,
		   outcome->text);
	if (++server->replied == server->accepted)
		lmtp_forget_transaction(server);
}

size_t lmtp_server_pull(struct lmtp_server *server, char *out, size_t cap)
{
	size_t size = 0;

	while (size < cap) {
		const struct lmtp_outcome *outcome;
		size_t n = (size_t)(server->output_size - server->output_sent);

		if (n == 0) {
			server->output_size = server->output_sent = 0;
			if (!(outcome = lmtp_next_outcome(server)))
				break;
			render_outcome(server, outcome);
			continue;
		}
		if (n > cap - size)
			n = cap - size;
		memcpy(out + size, server->output + server->output_sent, n);
		server->output_sent = (uint16_t)(server->output_sent + n);
		size += n;
	}
	if (server->output_sent == server->output_size)
		server->output_size = server->output_sent = 0;
	return size;
}

uint32_t lmtp_server_accepted(const struct lmtp_server *server)
{
	return server->accepted;
}

void lmtp_server_lend(struct lmtp_server *server, struct lmtp_outcome *outcomes)
{
	assert(server->phase == PHASE_REPLIES && server->replied == 0);
	memset(outcomes, 0, server->accepted * sizeof(*outcomes));
	server->outcomes = outcomes;
}

struct lmtp_outcome *lmtp_server_take_back(struct lmtp_server *server)
{
	struct lmtp_outcome *outcomes = server->outcomes;

	server->outcomes = NULL;
	return outcomes;
}

void lmtp_server_reply_recipient(struct lmtp_server *server, uint32_t index, uint16_t code,
				 const char *enhanced, const char *text)
{
	assert(server->phase == PHASE_REPLIES && server->outcomes && index < server->accepted &&
	       server->outcomes[index].code == 0);
	lmtp_set_outcome(&server->outcomes[index], code, enhanced, text);
}

void lmtp_server_reply_all(struct lmtp_server *server, uint16_t code, const char *enhanced,
			   const char *text)
{
	assert(server->phase == PHASE_REPLIES && server->all.code == 0);
	lmtp_set_outcome(&server->all, code, enhanced, text);
}
