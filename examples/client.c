/*
 * A POP3 client: collects every message of a maildrop into the current directory, as 1.eml, 2.eml
 * and so on. Nothing is deleted. The connection is descriptor 3, as bash opens one:
 *
 *   client NAME PASSWORD 3<>/dev/tcp/localhost/1110
 *
 * It shows how commands go out and events come in. A real client starts TLS first.
 */
#include <pop3/client.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CONNECTION = 3 };
static struct pop3_client client;

/* text may come from the server: control characters stay out of the terminal. */
static _Noreturn void die(const char *what, pop3_span text)
{
	fprintf(stderr, "client: %s: ", what);
	for (size_t i = 0; i < text.size; i++)
		putc(text.data[i] >= ' ' && text.data[i] <= '~' ? text.data[i] : '?', stderr);
	putc('\n', stderr);
	exit(1);
}

/* Takes events until no reply is due; octets of a message go to body. Returns the reply. */
static struct pop3_client_event take_reply(FILE *body)
{
	static char received[4096], scratch[4096];
	static pop3_span in = {received, 0};
	struct pop3_client_event event, reply = {.ok = false};
	ssize_t n;

	while (pop3_client_unanswered(&client)) {
		switch (pop3_client_next(&client, &in, scratch, sizeof(scratch), &event)) {
		case POP3_CLIENT_MORE:
			if ((n = read(CONNECTION, received, sizeof(received))) <= 0)
				die("the connection was cut", event.text);
			in = (pop3_span){received, (size_t)n};
			break;
		case POP3_CLIENT_REPLY:
			if (!event.ok || event.malformed)
				die("the server refused", event.text);
			reply = event;
			break;
		case POP3_CLIENT_BODY:
			if (fwrite(event.text.data, 1, event.text.size, body) != event.text.size)
				die("cannot write a message", (pop3_span){"", 0});
			break;
		case POP3_CLIENT_BAD:
			die("the server broke the protocol", event.text);
		case POP3_CLIENT_CHALLENGE: /* of AUTH */
		case POP3_CLIENT_LINE:      /* of CAPA, LIST, UIDL */
		case POP3_CLIENT_END:
			break;
		}
	}
	return reply;
}

static struct pop3_client_event ask(enum pop3_command command, uint32_t number, const char *text,
				    FILE *body)
{
	char line[POP3_COMMAND_MAX];
	int n = pop3_client_command(&client, command, number, 0, (pop3_span){text, strlen(text)},
				    line, sizeof(line));

	if (n < 0 || write(CONNECTION, line, (size_t)n) != n)
		die("cannot send", (pop3_span){text, command == POP3_PASS ? 0 : strlen(text)});
	return take_reply(body);
}

/* A file has its final name only when the message is complete. */
static void collect(uint32_t number)
{
	char part[32], name[32];
	FILE *file;

	snprintf(part, sizeof(part), "%u.part", (unsigned)number);
	snprintf(name, sizeof(name), "%u.eml", (unsigned)number);
	if (!(file = fopen(part, "wb")))
		die("cannot create", (pop3_span){part, strlen(part)});
	ask(POP3_RETR, number, "", file);
	if (fclose(file) != 0 || rename(part, name) != 0)
		die("cannot write", (pop3_span){name, strlen(name)});
}

int main(int argc, char **argv)
{
	uint32_t count;

	if (argc != 3) {
		fprintf(stderr, "usage: client NAME PASSWORD\n");
		return 64;
	}
	pop3_client_init(&client, POP3_TO_LF, 100000);
	take_reply(NULL); /* the greeting */
	ask(POP3_USER, 0, argv[1], NULL);
	ask(POP3_PASS, 0, argv[2], NULL);
	count = ask(POP3_STAT, 0, "", NULL).count;
	for (uint32_t i = 1; i <= count; i++)
		collect(i);
	ask(POP3_QUIT, 0, "", NULL);
	printf("%u messages\n", (unsigned)count);
	return 0;
}
