/*
 * A POP3 server on standard input and output, as inetd starts one: the messages of a Maildir, read
 * only, for one name and password.
 *
 *   server NAME PASSWORD MAILDIR
 *   socat TCP-LISTEN:1110,bind=127.0.0.1,fork EXEC:'server bob secret Maildir'
 *
 * It shows the loop of every server: ask the machine what it wants, and do that.
 */
#include <pop3/server.h>

#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct pop3_server server;
static struct pop3_event event; /* the one that is being answered */
static glob_t files;            /* message n is files.gl_pathv[n - 1] */
static char stored[4096], wire[4096];

/* Octets of a message on the wire: what LIST announces must be what RETR sends. */
static uint64_t size_of(uint32_t number)
{
	FILE *file = fopen(files.gl_pathv[number - 1], "rb");
	struct pop3_counter counter;
	size_t n;

	pop3_counter_init(&counter);
	while (file && (n = fread(stored, 1, sizeof(stored), file)) != 0)
		pop3_counter_feed(&counter, (pop3_span){stored, n});
	pop3_counter_finish(&counter);
	if (file)
		fclose(file);
	return counter.octets;
}

/* The file's name without flags stays when another program moves the file from new to cur. */
static pop3_span unique_id(uint32_t number)
{
	const char *name = files.gl_pathv[number - 1] + strlen("new/");
	static char id[70];
	size_t n = 0;

	for (; n < sizeof(id) && name[n] && name[n] != ':'; n++)
		id[n] = name[n] > ' ' && name[n] <= '~' ? name[n] : '?';
	return (pop3_span){id, n};
}

static bool equal(pop3_span text, const char *word)
{
	return text.size == strlen(word) && memcmp(text.data, word, text.size) == 0;
}

static void answer(const char *user, const char *password)
{
	uint64_t octets = 0;

	if (event.type == POP3_EVENT_PASS && equal(event.user, user) &&
	    equal(event.secret, password)) {
		for (uint32_t i = 1; i <= files.gl_pathc; i++)
			octets += size_of(i);
		pop3_server_reply_logged_in(&server, (uint32_t)files.gl_pathc, octets);
	} else if (event.type == POP3_EVENT_PASS) {
		pop3_server_reply_err(&server, POP3_CODE_AUTH, "wrong name or password");
	} else if (event.type == POP3_EVENT_RETR || event.type == POP3_EVENT_TOP) {
		pop3_server_reply_message(&server, size_of(event.number));
	} else if (event.type == POP3_EVENT_DELE) {
		pop3_server_reply_err(&server, POP3_CODE_NONE, "this maildrop is read only");
	} else if (event.type == POP3_EVENT_QUIT) {
		pop3_server_reply_ok(&server, "bye");
	} else if (event.number == 0) { /* LIST or UIDL of all messages */
		pop3_server_reply_listing(&server);
	} else if (event.type == POP3_EVENT_LIST) {
		pop3_server_reply_list_one(&server, event.number, size_of(event.number));
	} else {
		pop3_server_reply_uidl_one(&server, event.number, unique_id(event.number));
	}
}

static void send_listing(void)
{
	bool list = event.type == POP3_EVENT_LIST;

	for (uint32_t i = 1; i <= files.gl_pathc; i++) {
		size_t n = list ? pop3_server_line_list(wire, sizeof(wire), i, size_of(i))
				: pop3_server_line_uidl(wire, sizeof(wire), i, unique_id(i));

		fwrite(wire, 1, n, stdout);
	}
	pop3_server_lines_end(&server);
}

static void send_message(void)
{
	FILE *file = fopen(files.gl_pathv[event.number - 1], "rb");
	pop3_span in = {stored, 0};

	if (!file)
		pop3_server_body_failed(&server);
	while (pop3_server_want(&server) == POP3_WANT_BODY) {
		if (in.size == 0)
			in = (pop3_span){stored, fread(stored, 1, sizeof(stored), file)};
		fwrite(wire, 1, pop3_server_body(&server, &in, in.size == 0, wire, sizeof(wire)),
		       stdout);
	}
	if (file)
		fclose(file);
}

int main(int argc, char **argv)
{
	static const struct pop3_server_settings settings = {
		.plain_login = true, .expire_days = -1, .login_delay = -1};
	char received[1024], name[POP3_NAME_MAX];
	pop3_span none = {NULL, 0}, in = none;

	if (argc != 4 || chdir(argv[3]) != 0) {
		fprintf(stderr, "usage: server NAME PASSWORD MAILDIR\n");
		return 64;
	}
	glob("new/[!:]*", 0, NULL, &files);
	glob("cur/[!:]*", GLOB_APPEND, NULL, &files);
	pop3_server_init(&server, &settings, false, none, none);
	pop3_server_lend_name(&server, name);
	for (;;) {
		enum pop3_want want = pop3_server_want(&server);

		if (want == POP3_WANT_INPUT && in.size) {
			pop3_server_next(&server, &in, &event);
		} else if (want == POP3_WANT_INPUT) {
			ssize_t n;

			fflush(stdout);
			if ((n = read(STDIN_FILENO, received, sizeof(received))) <= 0)
				return 0;
			in = (pop3_span){received, (size_t)n};
		} else if (want == POP3_WANT_REPLY) {
			answer(argv[1], argv[2]);
		} else if (want == POP3_WANT_OUTPUT) {
			fwrite(wire, 1, pop3_server_pull(&server, wire, sizeof(wire)), stdout);
		} else if (want == POP3_WANT_LINES) {
			send_listing();
		} else if (want == POP3_WANT_BODY) {
			send_message();
		} else { /* CLOSE; our settings do not offer TLS */
			return 0;
		}
	}
}
