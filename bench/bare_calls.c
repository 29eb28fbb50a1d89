/*
 * Floors that are one system call or one computation each. Prints one JSON object.
 *
 *   bare_calls echo --octets 4096 --laps 20000 --core C --peer-core D
 *       a short request and an answer of that many octets, lock-step, over TCP
 *   bare_calls readdir --dir D          every name of D once
 *   bare_calls files --dir D --laps 50  every file of D: openat, fstat, pread, close, and no more
 *   bare_calls handshake --laps 500 --cert F --key F
 *       TLS 1.3 in memory, P-256 + X25519: both sides' and the server's processor time
 *   bare_calls flush --file F --octets N --laps 9     append and fdatasync
 */
#include "net.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int compare(const void *a, const void *b)
{
	const uint64_t *left = a, *right = b;
	return (*left > *right) - (*left < *right);
}

static void blocking(int fd)
{
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
}

static void take(int fd, char *room, size_t size)
{
	while (size) {
		ssize_t got = recv(fd, room, size, 0);
		if (got <= 0)
			_exit(0);
		size -= (size_t)got;
	}
}

static int echo(int argc, char **argv)
{
	size_t octets = (size_t)net_number(argc, argv, "octets", 4096);
	unsigned laps = (unsigned)net_number(argc, argv, "laps", 20000);
	struct sockaddr_in address = net_address("127.0.0.1", 0);
	int listener = net_listen(&address);
	char *room = calloc(1, octets + 16);
	blocking(listener);
	if (!room)
		net_die("memory");
	pid_t child = fork();
	if (child == 0) {
		int peer = accept(listener, NULL, NULL);
		net_pin((int)net_number(argc, argv, "core", -1));
		net_nodelay(peer);
		for (;;) {
			take(peer, room, 8);
			if (send(peer, room, octets, 0) != (ssize_t)octets)
				_exit(1);
		}
	}
	net_pin((int)net_number(argc, argv, "peer-core", -1));
	int fd = net_connect(&address, 0);
	blocking(fd);
	net_nodelay(fd);
	uint64_t began = 0;
	for (unsigned i = 0; i < laps + laps / 10; i++) {
		if (i == laps / 10)
			began = net_now();
		if (send(fd, "RETR 1\r\n", 8, 0) != 8)
			net_die("send");
		take(fd, room, octets);
	}
	printf("{\"seconds\":%.6f,\"laps\":%u}\n", (double)(net_now() - began) / 1e9, laps);
	close(fd);
	close(listener);
	waitpid(child, NULL, 0);
	free(room);
	return 0;
}

static int names(int argc, char **argv)
{
	net_pin((int)net_number(argc, argv, "core", -1));
	uint64_t began = net_now(), cpu = net_cpu(), count = 0;
	DIR *dir = opendir(net_option(argc, argv, "dir", "."));
	if (!dir)
		net_die("--dir");
	while (readdir(dir))
		count++;
	closedir(dir);
	printf("{\"seconds\":%.6f,\"cpu\":%.6f,\"names\":%llu}\n",
	       (double)(net_now() - began) / 1e9, (double)(net_cpu() - cpu) / 1e9,
	       (unsigned long long)count);
	return 0;
}

/* Names are read beforehand: only the files are measured. */
static int files(int argc, char **argv)
{
	unsigned laps = (unsigned)net_number(argc, argv, "laps", 50), count = 0;
	static char names[1024][256], room[65536];
	const char *folder = net_option(argc, argv, "dir", ".");
	DIR *dir = opendir(folder);
	if (!dir)
		net_die("--dir");
	for (struct dirent *entry; count < 1024 && (entry = readdir(dir)) != NULL;)
		if (entry->d_name[0] != '.')
			snprintf(names[count++], sizeof names[0], "%s", entry->d_name);
	net_pin((int)net_number(argc, argv, "core", -1));
	uint64_t cpu = 0;
	for (unsigned lap = 0; lap <= laps; lap++) {
		if (lap == 1)
			cpu = net_cpu();
		for (unsigned i = 0; i < count; i++) {
			struct stat st;
			int fd = openat(dirfd(dir), names[i], O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
			if (fd < 0 || fstat(fd, &st) < 0 || pread(fd, room, sizeof room, 0) <= 0)
				net_die(names[i]);
			close(fd);
		}
	}
	printf("{\"cpu\":%.6f,\"files\":%u}\n", (double)(net_cpu() - cpu) / 1e9, laps * count);
	closedir(dir);
	return 0;
}

static SSL *side(SSL_CTX *context, BIO *in, BIO *out, int server)
{
	SSL *ssl = SSL_new(context);
	if (!ssl)
		net_die("SSL_new");
	BIO_up_ref(in);
	BIO_up_ref(out);
	SSL_set_bio(ssl, in, out);
	if (server)
		SSL_set_accept_state(ssl);
	else
		SSL_set_connect_state(ssl);
	return ssl;
}

/* One full handshake; returns the server's share of processor time. */
static uint64_t shake(SSL_CTX *client_context, SSL_CTX *server_context)
{
	BIO *to_server = BIO_new(BIO_s_mem()), *to_client = BIO_new(BIO_s_mem());
	uint64_t spent = 0, from = net_cpu();
	SSL *server = side(server_context, to_server, to_client, 1);
	spent += net_cpu() - from;
	SSL *client = side(client_context, to_client, to_server, 0);
	int done = 0;
	for (int turn = 0; turn < 8 && done != 3; turn++) {
		done = SSL_do_handshake(client) == 1;
		from = net_cpu();
		done |= (SSL_do_handshake(server) == 1) << 1;
		spent += net_cpu() - from;
	}
	if (done != 3)
		net_die("handshake");
	from = net_cpu();
	SSL_free(server);
	spent += net_cpu() - from;
	SSL_free(client);
	BIO_free(to_server);
	BIO_free(to_client);
	return spent;
}

static int handshakes(int argc, char **argv)
{
	unsigned laps = (unsigned)net_number(argc, argv, "laps", 500);
	SSL_CTX *server = net_tls_server(net_option(argc, argv, "cert", ""),
					 net_option(argc, argv, "key", ""));
	SSL_CTX *client = net_tls_client();
	net_pin((int)net_number(argc, argv, "core", -1));
	uint64_t spent = 0, began = 0;
	for (unsigned i = 0; i < laps + 20; i++) {
		if (i == 20) {
			began = net_cpu();
			spent = 0;
		}
		spent += shake(client, server);
	}
	printf("{\"cpu\":%.6f,\"server_cpu\":%.6f,\"laps\":%u}\n",
	       (double)(net_cpu() - began) / 1e9, (double)spent / 1e9, laps);
	SSL_CTX_free(client);
	SSL_CTX_free(server);
	return 0;
}

static int flushes(int argc, char **argv)
{
	size_t octets = (size_t)net_number(argc, argv, "octets", 4096);
	unsigned laps = (unsigned)net_number(argc, argv, "laps", 9);
	uint64_t *took = calloc(laps, sizeof *took);
	char *room = calloc(1, octets);
	int fd = open(net_option(argc, argv, "file", ""),
		      O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0 || !took || !room || laps == 0)
		net_die("--file");
	for (unsigned i = 0; i < laps; i++) {
		uint64_t began = net_now();
		if (write(fd, room, octets) != (ssize_t)octets || fdatasync(fd) < 0)
			net_die("flush");
		took[i] = net_now() - began;
	}
	close(fd);
	qsort(took, laps, sizeof *took, compare);
	printf("{\"median\":%.6f,\"min\":%.6f,\"max\":%.6f}\n", (double)took[laps / 2] / 1e9,
	       (double)took[0] / 1e9, (double)took[laps - 1] / 1e9);
	free(room);
	free(took);
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	net_prepare();
	if (strcmp(what, "echo") == 0)
		return echo(argc, argv);
	if (strcmp(what, "readdir") == 0)
		return names(argc, argv);
	if (strcmp(what, "files") == 0)
		return files(argc, argv);
	if (strcmp(what, "handshake") == 0)
		return handshakes(argc, argv);
	if (strcmp(what, "flush") == 0)
		return flushes(argc, argv);
	fprintf(stderr, "usage: bare_calls echo|readdir|files|handshake|flush …\n");
	return 2;
}
