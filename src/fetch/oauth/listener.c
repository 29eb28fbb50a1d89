/* See listener.h. */
#include "fetch/oauth/listener.h"

#include "base/descriptor.h"
#include "base/text.h"
#include "fetch/syscalls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

enum { REQUEST_MAX = 8192, REQUEST_MS = 5000 };

static const char good_page[] = "<!doctype html><meta charset=utf-8><title>valija fetch</title>"
				"<p>valija fetch has the answer. This window can be closed.\n";
static const char other_page[] = "<!doctype html><title>valija fetch</title><p>Not found.\n";

/* A line that a person pastes, octet by octet: the rest of standard input is left where it is. */
struct paste {
	bool ended;
	size_t used;
	char line[REQUEST_MAX];
};

int listener_open(uint16_t *ret_port, struct err *err)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && bind(fd, (struct sockaddr *)&address, size) == 0 && listen(fd, 8) == 0 &&
	    getsockname(fd, (struct sockaddr *)&address, &size) == 0) {
		*ret_port = ntohs(address.sin_port);
		return fd;
	}
	err_sys(err, EX_OSERR, errno, "cannot listen on 127.0.0.1");
	close_fd(&fd);
	return -1;
}

/* The head of a request, as far as it came in time. */
static size_t read_request(int fd, char buf[REQUEST_MAX])
{
	int64_t end = fetch_now() + REQUEST_MS;
	size_t used = 0;

	while (used < REQUEST_MAX && !memmem(buf, used, "\r\n\r\n", 4)) {
		struct pollfd wait = {.fd = fd, .events = POLLIN};
		int64_t left = end - fetch_now();
		ssize_t n;

		if (left <= 0 || poll(&wait, 1, (int)left) <= 0)
			break;
		n = recv(fd, buf + used, REQUEST_MAX - used, MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			break;
		used += n > 0 ? (size_t)n : 0;
	}
	return used;
}

static void reply(int fd, bool good)
{
	const char *page = good ? good_page : other_page;
	char head[600];
	int n = snprintf(head, sizeof(head),
			 "HTTP/1.1 %s\r\nContent-Type: text/html; charset=utf-8\r\n"
			 "Content-Length: %zu\r\nConnection: close\r\nCache-Control: no-store\r\n"
			 "Referrer-Policy: no-referrer\r\n\r\n%s",
			 good ? "200 OK" : "404 Not Found", strlen(page), page);

	(void)!send(fd, head, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT);
	shutdown(fd, SHUT_WR);
}

static enum redirect_kind serve(int listener, const char *state, struct redirect *ret)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	enum redirect_kind kind;
	char request[REQUEST_MAX];
	size_t size;

	if (fd < 0)
		return REDIRECT_OTHER;
	size = read_request(fd, request);
	kind = redirect_read(redirect_query(redirect_target((pop3_span){request, size})), state,
			     ret);
	reply(fd, kind != REDIRECT_OTHER);
	close(fd);
	return kind;
}

static enum redirect_kind read_paste(struct paste *paste, const char *state, struct redirect *ret)
{
	enum redirect_kind kind;
	char c;

	if (read(STDIN_FILENO, &c, 1) != 1) {
		paste->ended = true;
		return REDIRECT_OTHER;
	}
	if (c != '\n' && paste->used < sizeof(paste->line)) {
		paste->line[paste->used++] = c;
		return REDIRECT_OTHER;
	}
	if (paste->used && paste->line[paste->used - 1] == '\r')
		paste->used--;
	kind = redirect_read(redirect_query((pop3_span){paste->line, paste->used}), state, ret);
	if (kind == REDIRECT_OTHER && paste->used)
		printf("This is not the address of this login's answer (it has \"code=\" and "
		       "\"state=\" in it).\n");
	fflush(stdout);
	paste->used = 0;
	return kind;
}

int listener_wait(int fd, const char *state, int64_t ms, struct redirect *ret, struct err *err)
{
	struct paste paste = {0};
	int64_t end = fetch_now() + ms;

	for (;;) {
		struct pollfd fds[2] = {{.fd = fd, .events = POLLIN},
					{.fd = paste.ended ? -1 : STDIN_FILENO, .events = POLLIN}};
		enum redirect_kind kind = REDIRECT_OTHER;
		int64_t left = end - fetch_now();

		if (left <= 0 || (fd < 0 && paste.ended))
			return err_set(
				err, EX_UNAVAILABLE,
				"no answer came back from the browser: start the login again");
		if (poll(fds, 2, (int)left) <= 0)
			continue;
		if (fds[0].revents)
			kind = serve(fd, state, ret);
		if (kind == REDIRECT_OTHER && fds[1].revents)
			kind = read_paste(&paste, state, ret);
		if (kind != REDIRECT_OTHER)
			return (int)kind;
	}
}
