/* One LMTP connection, for lmtp.c, which owns the struct. In the confined process; replies are
 * bounded in lines and seconds. */
#include "fetch/sink/lmtp_client.h"

#include "base/text.h"
#include "fetch/interrupt.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

enum {
	ANSWER_SECONDS = 300,
	REPLY_LINES = 100,
};

void lmtp_client_init(struct lmtp_client *client)
{
	*client = (struct lmtp_client){.fd = -1};
}

static void drop(struct lmtp_client *client)
{
	if (client->fd >= 0)
		close(client->fd);
	client->fd = -1;
	client->at = client->end = 0;
}

void lmtp_client_close(struct lmtp_client *client)
{
	if (client->fd >= 0)
		(void)!send(client->fd, "QUIT\r\n", 6, MSG_NOSIGNAL | MSG_DONTWAIT);
	drop(client);
}

int lmtp_client_send(struct lmtp_client *client, pop3_span text, struct err *err)
{
	while (text.size) {
		ssize_t n = send(client->fd, text.data, text.size, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			err_sys(err, EX_TEMPFAIL, errno, "cannot send");
			drop(client);
			return -1;
		}
		text.data += n;
		text.size -= (size_t)n;
	}
	return 0;
}

static int fill(struct lmtp_client *client, struct err *err)
{
	ssize_t n;

	do {
		n = recv(client->fd, client->in, sizeof(client->in), 0);
	} while (n < 0 && errno == EINTR && !fetch_interrupted());
	if (n <= 0) {
		if (fetch_interrupted())
			fetch_interrupt_check(err);
		else if (n == 0)
			err_set(err, EX_TEMPFAIL, "it closed the connection");
		else
			err_sys(err, EX_TEMPFAIL, errno, "no answer");
		drop(client);
		return -1;
	}
	client->at = 0;
	client->end = (size_t)n;
	return 0;
}

/* One line without its end into client->line. */
static int take_line(struct lmtp_client *client, struct err *err)
{
	size_t used = 0;

	for (;;) {
		char c;

		if (client->at == client->end && fill(client, err) < 0)
			return -1;
		c = client->in[client->at++];
		if (c == '\n')
			break;
		if (used + 1 == sizeof(client->line)) {
			drop(client);
			return err_set(err, EX_PROTOCOL, "a line of it is too long");
		}
		client->line[used++] = c;
	}
	if (used && client->line[used - 1] == '\r')
		used--;
	client->line[used] = '\0';
	return (int)used;
}

int lmtp_client_reply(struct lmtp_client *client, struct err *err)
{
	for (int lines = 0; lines < REPLY_LINES; lines++) {
		int n = take_line(client, err);
		uint64_t code;

		if (n < 0)
			return -1;
		if (n < 3 || span_number((pop3_span){client->line, 3}, 999, &code) < 0)
			break;
		if (client->line[3] != '-')
			return (int)code;
	}
	drop(client);
	return err_set(err, EX_PROTOCOL, "the server is no LMTP server");
}

bool lmtp_client_full(const struct lmtp_client *client)
{
	const char *code = client->line + 3; /* "552 5.2.2 …" */

	return strncmp(code, " 5.2.2", 6) == 0 && (code[6] == ' ' || code[6] == '\0');
}

int lmtp_client_refused(struct lmtp_client *client, int code, struct err *err)
{
	char words[200];

	text_escape(words, sizeof(words) - 1, span_of(client->line));
	return err_set(err, code >= 500 ? EX_UNAVAILABLE : EX_TEMPFAIL, "refused: %s", words);
}

/* Sends a line and wants a code of that hundred. */
static int command(struct lmtp_client *client, const char *line, int hundred, struct err *err)
{
	int code;

	if (lmtp_client_send(client, span_of(line), err) < 0)
		return -1;
	code = lmtp_client_reply(client, err);
	if (code >= 0 && code / 100 != hundred)
		lmtp_client_refused(client, code, err);
	return code;
}

static int connect_unix(const char *path, struct err *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd;

	if (strlen(path) >= sizeof(address.sun_path))
		return err_set(err, EX_CONFIG, "the socket's name is too long");
	memcpy(address.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	err_sys(err, EX_TEMPFAIL, errno, "cannot connect");
	if (fd >= 0)
		close(fd);
	return -1;
}

static int connect_tcp(const char *target, struct err *err)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list, *one;
	struct timeval wait = {.tv_sec = 30};
	const char *colon = strrchr(target, ':');
	char host[256];
	int fd = -1, code;
	size_t n = colon ? (size_t)(colon - target) : 0;

	if (n && target[0] == '[' && target[n - 1] == ']') {
		target++;
		n -= 2;
	}
	if (!colon || n == 0 || n >= sizeof(host))
		return err_set(err, EX_CONFIG, "it is named as HOST:PORT or /SOCKET");
	memcpy(host, target, n);
	host[n] = '\0';
	code = getaddrinfo(host, colon + 1, &hints, &list);
	if (code)
		return err_set(err, EX_TEMPFAIL, "cannot find it: %s", gai_strerror(code));
	errno = 0;
	for (one = list; one && fd < 0; one = one->ai_next) {
		fd = socket(one->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd >= 0)
			setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
		if (fd >= 0 && connect(fd, one->ai_addr, one->ai_addrlen) < 0) {
			close(fd);
			fd = -1;
		}
	}
	freeaddrinfo(list);
	return fd < 0 ? err_sys(err, EX_TEMPFAIL, errno, "cannot connect") : fd;
}

int lmtp_client_open(struct lmtp_client *client, const char *target, struct err *err)
{
	struct timeval wait = {.tv_sec = ANSWER_SECONDS};
	int code;

	if (client->fd >= 0)
		return 0;
	client->fd = target[0] == '/' ? connect_unix(target, err) : connect_tcp(target, err);
	if (client->fd < 0)
		return -1;
	setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	setsockopt(client->fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	code = lmtp_client_reply(client, err);
	if (code >= 0 && code / 100 != 2)
		lmtp_client_refused(client, code, err);
	if (code / 100 == 2)
		code = command(client, "LHLO localhost\r\n", 2, err);
	if (code / 100 == 2)
		return 0;
	drop(client);
	return -1;
}

int lmtp_client_begin(struct lmtp_client *client, const char *recipient, struct err *err)
{
	char line[600];
	int code = command(client, "MAIL FROM:<>\r\n", 2, err);

	if (code / 100 != 2)
		return code;
	snprintf(line, sizeof(line), "RCPT TO:<%s>\r\n", recipient);
	code = command(client, line, 2, err);
	if (code / 100 == 2)
		code = command(client, "DATA\r\n", 3, err);
	if (code >= 0 && code != 354 && command(client, "RSET\r\n", 2, NULL) / 100 != 2)
		return -1;
	return code;
}
