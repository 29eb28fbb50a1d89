/*
 * A whole POP3 server in one page: serves the files named on the command line on standard input and
 * output, to whoever logs in with the name and the password given.
 *
 *   mailbox NAME PASSWORD FILE...        e.g. socat TCP-LISTEN:1110,fork EXEC:"mailbox bob x m1 m2"
 *
 * It shows how a program drives libpop3's server machine: it asks the machine what it wants and
 * does just that. The files are only read; DELE marks and QUIT says what it would delete. Uses
 * nothing but the installed headers.
 */
#include <pop3/server.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MESSAGES_MAX 1000

struct mailbox {
	const char *name, *password;
	char **files;
	uint32_t count;
	uint64_t octets[MESSAGES_MAX];
	uint8_t marks[(MESSAGES_MAX + 7) / 8];
	struct pop3_server server;
	struct pop3_event event; /* the one that is being answered */
};

static bool equals(pop3_span text, const char *word)
{
	return text.size == strlen(word) && memcmp(text.data, word, text.size) == 0;
}

static void send_all(const char *data, size_t size)
{
	while (size != 0) {
		ssize_t n = write(STDOUT_FILENO, data, size);

		if (n <= 0)
			exit(1);
		data += n;
		size -= (size_t)n;
	}
}

/* Octets on the wire: what LIST announces must be what RETR sends. */
static uint64_t measure(const char *path)
{
	struct pop3_counter counter;
	char buf[8192];
	size_t n;
	FILE *file = fopen(path, "rb");

	if (file == NULL) {
		perror(path);
		exit(1);
	}
	pop3_counter_init(&counter);
	while ((n = fread(buf, 1, sizeof(buf), file)) != 0)
		pop3_counter_feed(&counter, (pop3_span){buf, n});
	pop3_counter_finish(&counter);
	fclose(file);
	return counter.octets;
}

/* A unique id for a demonstration: the number. A real maildrop keeps ids for ever. */
static pop3_span unique_id(uint32_t number)
{
	static char id[16];

	return (pop3_span){id, (size_t)snprintf(id, sizeof(id), "demo-%u", (unsigned)number)};
}

static void log_in(struct mailbox *box)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < box->count; i++)
		sum += box->octets[i];
	if (equals(box->event.user, box->name) && equals(box->event.secret, box->password))
		pop3_server_reply_logged_in(&box->server, box->count, sum);
	else
		pop3_server_reply_err(&box->server, POP3_CODE_AUTH, "wrong name or password");
}

static void answer(struct mailbox *box)
{
	struct pop3_server *server = &box->server;
	uint32_t number = box->event.number;

	switch (box->event.type) {
	case POP3_EVENT_PASS:
		log_in(box);
		break;
	case POP3_EVENT_LIST:
		if (number == 0)
			pop3_server_reply_listing(server);
		else
			pop3_server_reply_list_one(server, number, box->octets[number - 1]);
		break;
	case POP3_EVENT_UIDL:
		if (number == 0)
			pop3_server_reply_listing(server);
		else
			pop3_server_reply_uidl_one(server, number, unique_id(number));
		break;
	case POP3_EVENT_RETR:
	case POP3_EVENT_TOP:
		pop3_server_reply_message(server, box->octets[number - 1]);
		break;
	case POP3_EVENT_DELE:
		if (!pop3_server_has_marks(server))
			pop3_server_lend_marks(server, box->marks);
		pop3_server_mark(server, number, box->octets[number - 1]);
		break;
	case POP3_EVENT_QUIT:
		for (uint32_t i = 1; i <= box->count; i++) {
			if (pop3_server_marked(server, i))
				fprintf(stderr, "would delete %s\n", box->files[i - 1]);
		}
		pop3_server_reply_ok(server, "bye");
		break;
	default: /* APOP and AUTH are not offered by our settings */
		break;
	}
}

static void send_listing(struct mailbox *box)
{
	char line[96];

	for (uint32_t i = 1; i <= box->count; i++) {
		size_t n;

		if (pop3_server_marked(&box->server, i))
			continue;
		if (box->event.type == POP3_EVENT_LIST)
			n = pop3_server_line_list(line, sizeof(line), i, box->octets[i - 1]);
		else
			n = pop3_server_line_uidl(line, sizeof(line), i, unique_id(i));
		send_all(line, n);
	}
	pop3_server_lines_end(&box->server);
}

static void send_message(struct mailbox *box)
{
	FILE *file = fopen(box->files[box->event.number - 1], "rb");
	char stored[4096], wire[4096];

	if (file == NULL)
		pop3_server_body_failed(&box->server);
	while (pop3_server_want(&box->server) == POP3_WANT_BODY) {
		pop3_span in = {stored, fread(stored, 1, sizeof(stored), file)};
		bool last = in.size == 0;

		do {
			send_all(wire,
				 pop3_server_body(&box->server, &in, last, wire, sizeof(wire)));
		} while (in.size != 0 && pop3_server_want(&box->server) == POP3_WANT_BODY);
	}
	if (file != NULL)
		fclose(file);
}

/* More octets from the client, when the last are used up; the end of input ends the session. */
static bool receive(pop3_span *in, char *buf, size_t size)
{
	ssize_t n = in->size != 0 ? 1 : read(STDIN_FILENO, buf, size);

	if (in->size == 0 && n > 0)
		*in = (pop3_span){buf, (size_t)n};
	return n > 0;
}

static void serve(struct mailbox *box)
{
	char received[1024], out[512];
	pop3_span in = {received, 0};

	for (;;) {
		switch (pop3_server_want(&box->server)) {
		case POP3_WANT_INPUT:
			if (!receive(&in, received, sizeof(received)))
				return; /* no QUIT: nothing is deleted */
			pop3_server_next(&box->server, &in, &box->event);
			break;
		case POP3_WANT_REPLY:
			answer(box);
			break;
		case POP3_WANT_OUTPUT:
			send_all(out, pop3_server_pull(&box->server, out, sizeof(out)));
			break;
		case POP3_WANT_LINES:
			send_listing(box);
			break;
		case POP3_WANT_BODY:
			send_message(box);
			break;
		case POP3_WANT_TLS: /* not offered by our settings */
		case POP3_WANT_CLOSE:
			return;
		}
	}
}

int main(int argc, char **argv)
{
	static const struct pop3_server_settings settings = {
		.implementation = "libpop3-example",
		.plain_login = true,
		.expire_days = -1,
		.login_delay = -1,
	};
	static struct mailbox box;
	const pop3_span none = {NULL, 0};

	if (argc < 3 || argc - 3 > MESSAGES_MAX) {
		fprintf(stderr, "usage: %s NAME PASSWORD FILE...\n", argv[0]);
		return 64;
	}
	box.name = argv[1];
	box.password = argv[2];
	box.files = argv + 3;
	box.count = (uint32_t)(argc - 3);
	for (uint32_t i = 0; i < box.count; i++)
		box.octets[i] = measure(box.files[i]);
	pop3_server_init(&box.server, &settings, false, none, none);
	serve(&box);
	return 0;
}
