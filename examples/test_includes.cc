/*
 * The installed headers in a C++17 program: they compile, the functions link, and a client and a
 * server that are joined exchange a greeting and QUIT.
 */
#include <pop3/client.h>
#include <pop3/message.h>
#include <pop3/server.h>
#include <pop3/span.h>

#include <cstdio>
#include <string>

static std::string pull(pop3_server *server)
{
	std::string sent;
	char piece[64];

	while (pop3_server_want(server) == POP3_WANT_OUTPUT)
		sent.append(piece, pop3_server_pull(server, piece, sizeof(piece)));
	return sent;
}

/* Gives the server's octets to the client; true if one reply came, of the command and "+OK". */
static bool replied(pop3_client *client, const std::string &sent, pop3_command command)
{
	pop3_span in = {sent.data(), sent.size()};
	pop3_client_event event;
	char scratch[64];

	return pop3_client_next(client, &in, scratch, sizeof(scratch), &event) ==
		       POP3_CLIENT_REPLY &&
	       event.command == command && event.ok && in.size == 0 &&
	       pop3_client_unanswered(client) == 0;
}

static bool wire_form_is(const std::string &stored, const std::string &wire)
{
	pop3_counter counter;
	pop3_encoder encoder;
	pop3_span in = {stored.data(), stored.size()};
	char out[256];
	size_t n;

	pop3_counter_init(&counter);
	pop3_counter_feed(&counter, in);
	pop3_counter_finish(&counter);
	pop3_encoder_init(&encoder, POP3_ALL_LINES);
	n = pop3_encoder_run(&encoder, &in, out, sizeof(out));
	n += pop3_encoder_finish(&encoder, out + n, sizeof(out) - n);
	return std::string(out, n) == wire && counter.octets == encoder.octets;
}

int main()
{
	pop3_server_settings settings{};
	pop3_server server;
	pop3_client client;
	pop3_event event;
	char line[POP3_COMMAND_MAX];
	pop3_span none = {nullptr, 0}, in;
	int n;

	pop3_server_init(&server, &settings, false, none, none);
	pop3_client_init(&client, POP3_KEEP_CRLF, 100);
	if (!replied(&client, pull(&server), POP3_GREETING))
		return std::puts("greeting"), 1;
	n = pop3_client_command(&client, POP3_QUIT, 0, 0, none, line, sizeof(line));
	in = {line, static_cast<size_t>(n)};
	if (n != 6 || pop3_server_next(&server, &in, &event) != POP3_EVENT_NONE ||
	    !replied(&client, pull(&server), POP3_QUIT) ||
	    pop3_server_want(&server) != POP3_WANT_CLOSE)
		return std::puts("QUIT"), 1;
	if (!wire_form_is("A: b\n\n.c", "A: b\r\n\r\n..c\r\n.\r\n"))
		return std::puts("message"), 1;
	return 0;
}
