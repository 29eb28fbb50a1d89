/* See proxy.h. In the confined process, before TLS: nothing secret of the account passes here. */
#include "fetch/session/proxy.h"

#include "base/secret.h"
#include "base/text.h"
#include "fetch/interrupt.h"
#include "fetch/syscalls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>

enum {
	SOCKS_VERSION = 5,
	SOCKS_NO_LOGIN = 0,
	SOCKS_PASSWORD = 2,
	SOCKS_IPV4 = 1,
	SOCKS_NAME = 3,
	SOCKS_IPV6 = 4,
};

static int refused(unsigned code, struct err *err)
{
	static const char *const words[] = {"",
					    "it failed",
					    "its rules forbid it",
					    "the network cannot be reached",
					    "the host cannot be reached",
					    "the connection was refused",
					    "the time was over",
					    "it does not know the command",
					    "it does not know this kind of address"};

	return err_set(err, EX_TEMPFAIL, "it does not connect to the server: %s",
		       code < sizeof(words) / sizeof(words[0]) ? words[code] : "no known reason");
}

static int parse_connect(const unsigned char *in, size_t size, struct err *err)
{
	size_t address;

	if (size < 5)
		return 0;
	if (in[1] != 0)
		return refused(in[1], err);
	address = in[3] == SOCKS_IPV4   ? 4
		  : in[3] == SOCKS_IPV6 ? 16
		  : in[3] == SOCKS_NAME ? 1u + in[4]
					: 0;
	if (!address)
		return err_set(err, EX_PROTOCOL, "it is no SOCKS5 proxy");
	return size < 6 + address ? 0 : (int)(6 + address);
}

int proxy_parse_socks(enum proxy_step step, pop3_span text, int *ret_method, struct err *err)
{
	const unsigned char *in = (const unsigned char *)text.data;
	unsigned version = step == PROXY_LOGIN ? 1 : SOCKS_VERSION;

	if (text.size >= 1 && in[0] != version)
		return err_set(err, EX_PROTOCOL, "it is no SOCKS5 proxy");
	if (text.size < 2)
		return 0;
	switch (step) {
	case PROXY_METHOD:
		if (in[1] != SOCKS_NO_LOGIN && in[1] != SOCKS_PASSWORD)
			return err_set(err, EX_NOPERM,
				       "it wants another login than user and password");
		*ret_method = in[1];
		return 2;
	case PROXY_LOGIN:
		return in[1] == 0 ? 2 : err_set(err, EX_NOPERM, "it refuses user and password");
	case PROXY_CONNECT:
		break;
	}
	return parse_connect(in, text.size, err);
}

/* "HTTP/1.1 200 words", headers, an empty line. */
int proxy_parse_http(pop3_span in, struct err *err)
{
	const char *end = memmem(in.data, in.size, "\r\n\r\n", 4), *line;
	char words[80];
	size_t n;

	if (in.size && memcmp(in.data, "HTTP/1.", in.size < 7 ? in.size : 7) != 0)
		return err_set(err, EX_PROTOCOL, "it is no HTTP proxy");
	if (!end)
		return in.size < PROXY_REPLY_MAX
			       ? 0
			       : err_set(err, EX_PROTOCOL, "its answer does not end");
	line = memchr(in.data, '\r', in.size);
	n = (size_t)(line - in.data);
	if (n < 12 || in.data[8] != ' ')
		return err_set(err, EX_PROTOCOL, "it is no HTTP proxy");
	if (in.data[9] == '2')
		return (int)(end - in.data) + 4;
	text_show(words, sizeof(words) - 1, (pop3_span){in.data + 9, n - 9});
	return err_set(err, memcmp(in.data + 9, "407", 3) == 0 ? EX_NOPERM : EX_TEMPFAIL,
		       "it does not connect to the server: %s", words);
}

int proxy_socks_request(const char *host, uint16_t port, unsigned char buf[PROXY_REQUEST_MAX])
{
	size_t n = strlen(host), at = 4;

	buf[0] = SOCKS_VERSION;
	buf[1] = 1; /* connect */
	buf[2] = 0;
	if (inet_pton(AF_INET, host, buf + 4) == 1) {
		buf[3] = SOCKS_IPV4;
		at += 4;
	} else if (inet_pton(AF_INET6, host, buf + 4) == 1) {
		buf[3] = SOCKS_IPV6;
		at += 16;
	} else {
		if (n == 0 || n > 255)
			return -1;
		buf[3] = SOCKS_NAME;
		buf[4] = (unsigned char)n;
		memcpy(buf + 5, host, n);
		at += 1 + n;
	}
	buf[at++] = (unsigned char)(port >> 8);
	buf[at++] = (unsigned char)(port & 255);
	return (int)at;
}

int proxy_http_request(const struct fetch_proxy *proxy, const char *host, uint16_t port,
		       char buf[PROXY_REQUEST_MAX])
{
	bool ipv6 = strchr(host, ':') != NULL;
	char place[FETCH_TEXT_MAX + 16], login[260], words[400] = "";
	int n;

	snprintf(place, sizeof(place), "%s%s%s:%u", ipv6 ? "[" : "", host, ipv6 ? "]" : "", port);
	if (proxy->user[0]) {
		n = snprintf(login, sizeof(login), "%s:%s", proxy->user, proxy->password);
		base64_encode((pop3_span){login, (size_t)n}, words, sizeof(words));
		wipe(login, sizeof(login));
	}
	n = snprintf(buf, PROXY_REQUEST_MAX, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s%s%s\r\n", place,
		     place, words[0] ? "Proxy-Authorization: Basic " : "", words,
		     words[0] ? "\r\n" : "");
	wipe(words, sizeof(words));
	return n < PROXY_REQUEST_MAX ? n : -1;
}

/* 0: ready. */
static int wait_for(int fd, short events, int64_t deadline, struct err *err)
{
	for (;;) {
		struct pollfd poll_fd = {.fd = fd, .events = events};
		int64_t left = deadline - fetch_now();

		if (fetch_interrupt_check(err) < 0)
			return -1;
		if (left <= 0)
			return err_set(err, EX_TEMPFAIL, "it was silent for too long");
		if (poll(&poll_fd, 1, left > INTERRUPT_POLL_MS ? INTERRUPT_POLL_MS : (int)left) > 0)
			return 0;
	}
}

static int put(int fd, const void *data, size_t size, int64_t deadline, struct err *err)
{
	const char *at = data;

	while (size) {
		ssize_t n = send(fd, at, size, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return err_sys(err, EX_TEMPFAIL, errno, "cannot send");
		if (n < 0 && wait_for(fd, POLLOUT, deadline, err) < 0)
			return -1;
		at += n > 0 ? n : 0;
		size -= n > 0 ? (size_t)n : 0;
	}
	return 0;
}

/* One octet: what is behind the reply is the server's already. */
static int get(int fd, char *ret, int64_t deadline, struct err *err)
{
	for (;;) {
		ssize_t n = recv(fd, ret, 1, MSG_DONTWAIT);

		if (n == 1)
			return 0;
		if (n == 0)
			return err_set(err, EX_TEMPFAIL, "it closed the connection");
		if (errno != EAGAIN && errno != EINTR)
			return err_sys(err, EX_TEMPFAIL, errno, "connection lost");
		if (wait_for(fd, POLLIN, deadline, err) < 0)
			return -1;
	}
}

static int socks_reply(int fd, enum proxy_step step, int *ret_method, int64_t deadline,
		       struct err *err)
{
	char in[300];
	size_t used = 0;
	int rc = 0;

	while (rc == 0) {
		if (get(fd, in + used, deadline, err) < 0)
			return -1;
		rc = proxy_parse_socks(step, (pop3_span){in, ++used}, ret_method, err);
	}
	return rc < 0 ? -1 : 0;
}

static int socks_login(int fd, const struct fetch_proxy *proxy, int64_t deadline, struct err *err)
{
	unsigned char out[3 + sizeof(proxy->user) + sizeof(proxy->password)];
	size_t user = strlen(proxy->user), password = strlen(proxy->password);
	int rc, unused;

	out[0] = 1;
	out[1] = (unsigned char)user;
	memcpy(out + 2, proxy->user, user);
	out[2 + user] = (unsigned char)password;
	memcpy(out + 3 + user, proxy->password, password);
	rc = put(fd, out, 3 + user + password, deadline, err);
	wipe(out, sizeof(out));
	return rc < 0 ? -1 : socks_reply(fd, PROXY_LOGIN, &unused, deadline, err);
}

static int open_socks(int fd, const struct fetch_proxy *proxy, const char *host, uint16_t port,
		      int64_t deadline, struct err *err)
{
	const unsigned char hello[] = {SOCKS_VERSION, 2, SOCKS_NO_LOGIN, SOCKS_PASSWORD},
			    plain[] = {SOCKS_VERSION, 1, SOCKS_NO_LOGIN};
	unsigned char out[PROXY_REQUEST_MAX];
	int method = 0, n;

	if (put(fd, proxy->user[0] ? hello : plain, proxy->user[0] ? sizeof(hello) : sizeof(plain),
		deadline, err) < 0 ||
	    socks_reply(fd, PROXY_METHOD, &method, deadline, err) < 0)
		return -1;
	if (method == SOCKS_PASSWORD && !proxy->user[0])
		return err_set(err, EX_NOPERM, "it wants a user and a password");
	if (method == SOCKS_PASSWORD && socks_login(fd, proxy, deadline, err) < 0)
		return -1;
	n = proxy_socks_request(host, port, out);
	if (n < 0)
		return err_set(err, EX_USAGE, "the server's name is too long for SOCKS5");
	if (put(fd, out, (size_t)n, deadline, err) < 0)
		return -1;
	return socks_reply(fd, PROXY_CONNECT, &method, deadline, err);
}

static int open_http(int fd, const struct fetch_proxy *proxy, const char *host, uint16_t port,
		     int64_t deadline, struct err *err)
{
	char text[PROXY_REQUEST_MAX], in[PROXY_REPLY_MAX];
	int n = proxy_http_request(proxy, host, port, text), rc;
	size_t used = 0;

	rc = n < 0 ? err_set(err, EX_USAGE, "the server's name is too long")
		   : put(fd, text, (size_t)n, deadline, err);
	wipe(text, sizeof(text));
	while (rc == 0 && used < sizeof(in)) {
		if (get(fd, in + used, deadline, err) < 0)
			return -1;
		rc = proxy_parse_http((pop3_span){in, ++used}, err);
	}
	return rc < 0 ? -1 : 0;
}

int proxy_open(int fd, const struct fetch_proxy *proxy, const char *host, uint16_t port,
	       int64_t deadline, struct err *err)
{
	int rc = 0;

	switch (proxy->kind) {
	case FETCH_NO_PROXY:
		return 0;
	case FETCH_SOCKS5:
		rc = open_socks(fd, proxy, host, port, deadline, err);
		break;
	case FETCH_HTTP:
		rc = open_http(fd, proxy, host, port, deadline, err);
		break;
	}
	return rc < 0 ? err_prefix(err, "proxy %s:%u", proxy->host, proxy->port) : 0;
}
