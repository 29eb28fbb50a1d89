/*
 * The load generator for LMTP: N connections, each delivering one message after another to its own
 * recipient, step by step as an MTA without pipelining would (MAIL, RCPT, DATA, text). Only a 250
 * for the final dot counts. Prints one JSON object.
 *
 *   lmtpload --port P --conns 16 --messages 2000 --octets 4096 --users u --domain localhost
 */
#include "hist.h"
#include "net.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum phase { GREETING, LHLO, MAIL, RCPT, DATA, TEXT, QUIT, OVER };

struct run {
	const char *users, *domain, *path;
	struct sockaddr_in address;
	unsigned first;
	uint64_t wanted, begun, accepted, errors, octets;
	char why[256];
	struct hist delivery;
	char *text;
	size_t text_size;
	int epoll;
};

struct sender {
	struct run *run;
	int fd;
	unsigned slot;
	enum phase phase;
	bool multi;
	char line[1024];
	size_t line_size;
	const char *out;
	size_t out_size;
	char command[256];
	uint64_t began;
};

static void fail(struct sender *sender, const char *what, const char *text)
{
	struct run *run = sender->run;
	if (run->errors++ == 0)
		snprintf(run->why, sizeof run->why, "%s: %s", what, text);
	sender->phase = OVER;
	close(sender->fd);
}

static void flush(struct sender *sender)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = sender};
	while (sender->out_size) {
		ssize_t sent = send(sender->fd, sender->out, sender->out_size, 0);
		if (sent < 0 && errno != EAGAIN) {
			fail(sender, "sending", strerror(errno));
			return;
		}
		if (sent < 0) {
			event.events |= EPOLLOUT;
			break;
		}
		sender->out += sent;
		sender->out_size -= (size_t)sent;
	}
	epoll_ctl(sender->run->epoll, EPOLL_CTL_MOD, sender->fd, &event);
}

static void say(struct sender *sender, enum phase phase, const char *text, size_t size)
{
	sender->phase = phase;
	sender->out = text;
	sender->out_size = size;
	flush(sender);
}

static void next_message(struct sender *sender)
{
	struct run *run = sender->run;
	if (run->begun == run->wanted) {
		say(sender, QUIT, "QUIT\r\n", 6);
		return;
	}
	run->begun++;
	sender->began = net_now();
	const char *mail = "MAIL FROM:<bench@localhost>\r\n";
	say(sender, MAIL, mail, strlen(mail));
}

static void recipient(struct sender *sender)
{
	const struct run *run = sender->run;
	int size = snprintf(sender->command, sizeof sender->command, "RCPT TO:<%s%06u@%s>\r\n",
			    run->users, run->first + sender->slot, run->domain);
	say(sender, RCPT, sender->command, (size_t)size);
}

static void reply(struct sender *sender, const char *text)
{
	struct run *run = sender->run;
	char want = sender->phase == DATA ? '3' : '2';
	if (text[0] != want) {
		fail(sender, "refused", text);
		return;
	}
	switch (sender->phase) {
	case GREETING:
		say(sender, LHLO, "LHLO localhost\r\n", 16);
		break;
	case LHLO:
		next_message(sender);
		break;
	case MAIL:
		recipient(sender);
		break;
	case RCPT:
		say(sender, DATA, "DATA\r\n", 6);
		break;
	case DATA:
		say(sender, TEXT, run->text, run->text_size);
		break;
	case TEXT:
		hist_add(&run->delivery, net_now() - sender->began);
		run->accepted++;
		run->octets += run->text_size;
		next_message(sender);
		break;
	case QUIT:
	case OVER:
		sender->phase = OVER;
		close(sender->fd);
		break;
	}
}

static void receive(struct sender *sender)
{
	char in[4096];
	ssize_t size = recv(sender->fd, in, sizeof in, 0);
	if (size <= 0) {
		if (size == 0 || errno != EAGAIN)
			fail(sender, "connection lost", size ? strerror(errno) : "end of stream");
		return;
	}
	for (ssize_t i = 0; i < size && sender->phase != OVER; i++) {
		if (in[i] != '\n') {
			if (sender->line_size < sizeof sender->line - 1 && in[i] != '\r')
				sender->line[sender->line_size++] = in[i];
			continue;
		}
		sender->line[sender->line_size] = 0;
		bool more = sender->line_size > 3 && sender->line[3] == '-';
		sender->line_size = 0;
		if (!more)
			reply(sender, sender->line);
	}
}

static void start(struct sender *sender, struct run *run, unsigned slot)
{
	struct sockaddr_un path = {.sun_family = AF_UNIX};
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = sender};
	sender->run = run;
	sender->slot = slot;
	if (run->path) {
		snprintf(path.sun_path, sizeof path.sun_path, "%s", run->path);
		sender->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (connect(sender->fd, (struct sockaddr *)&path, sizeof path) < 0)
			net_die(run->path);
	} else {
		sender->fd = net_connect(&run->address, 0);
		net_nodelay(sender->fd);
	}
	if (sender->fd < 0 || epoll_ctl(run->epoll, EPOLL_CTL_ADD, sender->fd, &event) < 0)
		net_die("connecting");
}

/* A header and lines of text; one line in fifty begins with a dot, stuffed. */
static void make_text(struct run *run, size_t octets)
{
	run->text = malloc(octets + 512);
	if (!run->text)
		net_die("memory");
	size_t at = (size_t)sprintf(run->text, "From: Bench <bench@localhost>\r\n"
					       "To: You <you@localhost>\r\n"
					       "Subject: one of many\r\n"
					       "Message-ID: <bench@localhost>\r\n\r\n");
	for (unsigned line = 0; at < octets; line++)
		at += (size_t)sprintf(run->text + at,
				      "%s line %u of a message that is neither "
				      "short nor long, but usual.\r\n",
				      line % 50 == 7 ? ".." : "", line);
	at += (size_t)sprintf(run->text + at, ".\r\n");
	run->text_size = at;
}

static void report(const struct run *run, double seconds)
{
	printf("{\"seconds\":%.6f,\"cpu\":%.6f,\"messages\":%llu,\"octets\":%llu,\"errors\":%llu,"
	       "\"error\":\"",
	       seconds, (double)net_cpu() / 1e9, (unsigned long long)run->accepted,
	       (unsigned long long)run->octets, (unsigned long long)run->errors);
	for (const char *c = run->why; *c; c++)
		putchar((unsigned char)*c < 32 || *c == '"' || *c == '\\' ? ' ' : *c);
	printf("\",\"delivery\":");
	hist_print(&run->delivery, stdout);
	printf("}\n");
}

static void loop(struct run *run, struct sender *senders, unsigned conns)
{
	struct epoll_event events[256];
	for (;;) {
		unsigned open = 0;
		for (unsigned i = 0; i < conns; i++)
			open += senders[i].phase != OVER;
		if (open == 0)
			return;
		int n = epoll_wait(run->epoll, events, 256, 60000);
		if (n == 0) {
			if (run->errors++ == 0)
				snprintf(run->why, sizeof run->why, "no answer for a minute");
			return;
		}
		for (int i = 0; i < n; i++) {
			struct sender *sender = events[i].data.ptr;
			if (sender->phase != OVER && (events[i].events & EPOLLOUT))
				flush(sender);
			if (sender->phase != OVER && (events[i].events & ~(uint32_t)EPOLLOUT))
				receive(sender);
		}
	}
}

int main(int argc, char **argv)
{
	struct run *run = calloc(1, sizeof *run);
	unsigned conns = (unsigned)net_number(argc, argv, "conns", 16);
	struct sender *senders = calloc(conns, sizeof *senders);
	if (!run || !senders)
		net_die("memory");
	const char *space = net_option(argc, argv, "netns", NULL);
	if (space)
		net_enter(space);
	net_prepare();
	net_pin((int)net_number(argc, argv, "core", -1));
	run->users = net_option(argc, argv, "users", "u");
	run->domain = net_option(argc, argv, "domain", "localhost");
	run->path = net_option(argc, argv, "unix", NULL);
	run->first = (unsigned)net_number(argc, argv, "first", 0);
	run->wanted = (uint64_t)net_number(argc, argv, "messages", 1000);
	run->address = net_address(net_option(argc, argv, "host", "127.0.0.1"),
				   (unsigned)net_number(argc, argv, "port", 24));
	run->epoll = epoll_create1(EPOLL_CLOEXEC);
	make_text(run, (size_t)net_number(argc, argv, "octets", 4096));
	uint64_t began = net_now();
	for (unsigned i = 0; i < conns; i++)
		start(&senders[i], run, i);
	loop(run, senders, conns);
	report(run, (double)(net_now() - began) / 1e9);
	int status = run->errors ? 1 : 0;
	close(run->epoll);
	free(run->text);
	free(senders);
	free(run);
	return status;
}
