/*
 * The floor under RETR of large messages: send a file to a TCP socket many times, doing only what
 * the named way needs. The receiver is a second process on another core that throws everything
 * away; what counts is the sender's processor time per octet.
 *
 *   bare_transfer --way convert|copy|sendfile|tls --file F --laps N [--core C --sink-core D]
 *                 [--cert F --key F]
 *
 * convert: pread, LF → CRLF with dot-stuffing, write. copy: pread, write. tls: convert, then
 * SSL_write (TLS 1.3, AES-GCM). Prints one JSON object.
 */
#include "net.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PIECE (64 * 1024)

struct way {
	int file, socket;
	SSL *ssl;
	uint64_t size, sent;
	char *in, *out;
};

static void blocking(int fd)
{
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
}

static void put(struct way *way, const char *data, size_t size)
{
	way->sent += size;
	while (size) {
		ssize_t done = way->ssl ? SSL_write(way->ssl, data, (int)size)
					: write(way->socket, data, size);
		if (done <= 0)
			net_die("writing");
		data += done;
		size -= (size_t)done;
	}
}

/* Lines by memchr; out holds twice the input. */
static size_t convert(const char *in, size_t size, char *out, char *last)
{
	size_t at = 0;
	const char *end = in + size;
	while (in < end) {
		if (*last == '\n' && *in == '.')
			out[at++] = '.';
		const char *line = memchr(in, '\n', (size_t)(end - in));
		size_t run = (size_t)((line ? line : end) - in);
		memcpy(out + at, in, run);
		at += run;
		in += run;
		if (run)
			*last = in[-1];
		if (line) {
			if (*last != '\r')
				out[at++] = '\r';
			out[at++] = '\n';
			*last = '\n';
			in++;
		}
	}
	return at;
}

static void lap_convert(struct way *way)
{
	char last = '\n';
	for (uint64_t at = 0; at < way->size;) {
		ssize_t got = pread(way->file, way->in, PIECE, (off_t)at);
		if (got <= 0)
			net_die("reading");
		put(way, way->out, convert(way->in, (size_t)got, way->out, &last));
		at += (uint64_t)got;
	}
}

static void lap_copy(struct way *way)
{
	for (uint64_t at = 0; at < way->size;) {
		ssize_t got = pread(way->file, way->in, PIECE, (off_t)at);
		if (got <= 0)
			net_die("reading");
		put(way, way->in, (size_t)got);
		at += (uint64_t)got;
	}
}

static void lap_sendfile(struct way *way)
{
	off_t at = 0;
	while ((uint64_t)at < way->size)
		if (sendfile(way->socket, way->file, &at, (size_t)(way->size - (uint64_t)at)) <= 0)
			net_die("sendfile");
	way->sent += way->size;
}

/* The other end: reads until the end; under TLS shakes hands first, then throws records away. */
_Noreturn static void sink(int fd, int tls, int core)
{
	net_pin(core);
	if (tls) {
		SSL *ssl = SSL_new(net_tls_client());
		SSL_set_fd(ssl, fd);
		if (SSL_connect(ssl) != 1)
			net_die("handshake");
	}
	char *room = malloc(1 << 20);
	while (room && recv(fd, room, 1 << 20, 0) > 0)
		;
	_exit(0);
}

static void open_way(struct way *way, int argc, char **argv, int tls)
{
	struct sockaddr_in address = net_address("127.0.0.1", 0);
	int listener = net_listen(&address);
	blocking(listener);
	int fd = net_connect(&address, 0);
	if (fd < 0)
		net_die("connect");
	blocking(fd);
	way->socket = accept(listener, NULL, NULL);
	if (way->socket < 0)
		net_die("accept");
	close(listener);
	net_nodelay(way->socket);
	if (fork() == 0) {
		close(way->socket);
		sink(fd, tls, (int)net_number(argc, argv, "sink-core", -1));
	}
	close(fd);
	net_pin((int)net_number(argc, argv, "core", -1));
	if (!tls)
		return;
	way->ssl = SSL_new(net_tls_server(net_option(argc, argv, "cert", ""),
					  net_option(argc, argv, "key", "")));
	SSL_set_fd(way->ssl, way->socket);
	if (SSL_accept(way->ssl) != 1)
		net_die("handshake");
}

int main(int argc, char **argv)
{
	const char *name = net_option(argc, argv, "way", "convert");
	void (*lap)(struct way *) = strcmp(name, "sendfile") == 0 ? lap_sendfile
				    : strcmp(name, "copy") == 0   ? lap_copy
								  : lap_convert;
	struct way way = {.in = malloc(PIECE), .out = malloc(2 * PIECE)};
	struct stat status;
	way.file = open(net_option(argc, argv, "file", ""), O_RDONLY | O_CLOEXEC);
	if (way.file < 0 || fstat(way.file, &status) < 0 || !way.in || !way.out)
		net_die("--file");
	way.size = (uint64_t)status.st_size;
	net_prepare();
	open_way(&way, argc, argv, strcmp(name, "tls") == 0);
	lap(&way); /* the file is in memory, the windows are open */
	way.sent = 0;
	unsigned laps = (unsigned)net_number(argc, argv, "laps", 10);
	uint64_t began = net_now(), cpu = net_cpu();
	for (unsigned i = 0; i < laps; i++)
		lap(&way);
	printf("{\"way\":\"%s\",\"seconds\":%.6f,\"cpu\":%.6f,\"octets\":%llu}\n", name,
	       (double)(net_now() - began) / 1e9, (double)(net_cpu() - cpu) / 1e9,
	       (unsigned long long)way.sent);
	shutdown(way.socket, SHUT_RDWR);
	close(way.socket);
	wait(NULL);
	return 0;
}
