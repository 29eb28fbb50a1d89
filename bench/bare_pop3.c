/*
 * The floor under a POP3 server: one epoll loop that answers every command with canned octets. It
 * reads what came, counts the lines and their first letters, and sends one write for all of them.
 * No state but "is this QUIT", no files. The bench measures it to know the machine's limit and its
 * own load generator's.
 *
 *   bare_pop3 --port P [--octets 4096] [--count 10] [--core C]
 */
#include "net.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define OUT_SIZE (4 * 1024 * 1024)

struct bare {
	char *message, *list, *out;
	size_t message_size, list_size, out_size;
	char stat[64];
};

struct peer {
	int fd;
	bool line_start, closing;
	char *rest;
	size_t rest_size, rest_done;
};

static void put(struct bare *bare, const char *data, size_t size)
{
	if (size > OUT_SIZE - bare->out_size)
		size = OUT_SIZE - bare->out_size;
	memcpy(bare->out + bare->out_size, data, size);
	bare->out_size += size;
}

static void answer(struct bare *bare, struct peer *peer, char letter)
{
	switch (letter) {
	case 'S':
		put(bare, bare->stat, strlen(bare->stat));
		break;
	case 'L':
		put(bare, bare->list, bare->list_size);
		break;
	case 'R':
		put(bare, bare->message, bare->message_size);
		break;
	case 'Q':
		peer->closing = true;
		put(bare, "+OK\r\n", 5);
		break;
	default:
		put(bare, "+OK\r\n", 5);
		break;
	}
}

static void drop(struct peer *peer)
{
	close(peer->fd);
	free(peer->rest);
	free(peer);
}

static void keep_rest(int epoll, struct peer *peer, const char *data, size_t size)
{
	struct epoll_event event = {.events = EPOLLOUT, .data.ptr = peer};
	peer->rest = malloc(size);
	if (!peer->rest)
		net_die("memory");
	memcpy(peer->rest, data, size);
	peer->rest_size = size;
	peer->rest_done = 0;
	epoll_ctl(epoll, EPOLL_CTL_MOD, peer->fd, &event);
}

static void send_rest(int epoll, struct peer *peer)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = peer};
	ssize_t sent =
		send(peer->fd, peer->rest + peer->rest_done, peer->rest_size - peer->rest_done, 0);
	if (sent < 0 && errno != EAGAIN) {
		drop(peer);
		return;
	}
	peer->rest_done += sent > 0 ? (size_t)sent : 0;
	if (peer->rest_done < peer->rest_size)
		return;
	free(peer->rest);
	peer->rest = NULL;
	if (peer->closing)
		drop(peer);
	else
		epoll_ctl(epoll, EPOLL_CTL_MOD, peer->fd, &event);
}

static void serve(struct bare *bare, int epoll, struct peer *peer)
{
	char in[16384];
	ssize_t size = recv(peer->fd, in, sizeof in, 0);
	if (size <= 0) {
		if (size == 0 || errno != EAGAIN)
			drop(peer);
		return;
	}
	bare->out_size = 0;
	for (ssize_t i = 0; i < size; i++) {
		if (peer->line_start)
			answer(bare, peer, in[i]);
		peer->line_start = in[i] == '\n';
	}
	ssize_t sent = send(peer->fd, bare->out, bare->out_size, 0);
	if (sent < 0 && errno != EAGAIN)
		drop(peer);
	else if ((size_t)(sent < 0 ? 0 : sent) < bare->out_size)
		keep_rest(epoll, peer, bare->out + (sent < 0 ? 0 : sent),
			  bare->out_size - (size_t)(sent < 0 ? 0 : sent));
	else if (peer->closing)
		drop(peer);
}

static void greet(int epoll, int listener)
{
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0)
			return;
		struct peer *peer = calloc(1, sizeof *peer);
		struct epoll_event event = {.events = EPOLLIN, .data.ptr = peer};
		if (!peer)
			net_die("memory");
		peer->fd = fd;
		peer->line_start = true;
		net_nodelay(fd);
		if (send(fd, "+OK bare\r\n", 10, 0) < 0 ||
		    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
			drop(peer);
	}
}

static void prepare(struct bare *bare, size_t octets, unsigned count)
{
	if (octets < 80)
		octets = 80;
	bare->out = malloc(OUT_SIZE);
	bare->message = malloc(octets + 64);
	bare->list = malloc((size_t)count * 32 + 64);
	if (!bare->out || !bare->message || !bare->list)
		net_die("memory");
	size_t at = (size_t)sprintf(bare->message, "+OK %zu octets\r\n", octets);
	for (size_t i = 0; i < octets; i++) {
		size_t left = octets - i, column = i % 64;
		bare->message[at++] = left == 2 || (column == 62 && left > 2)   ? '\r'
				      : left == 1 || (column == 63 && left > 1) ? '\n'
										: 'x';
	}
	memcpy(bare->message + at, ".\r\n", 3);
	bare->message_size = at + 3;
	at = (size_t)sprintf(bare->list, "+OK\r\n");
	for (unsigned i = 1; i <= count; i++)
		at += (size_t)sprintf(bare->list + at, "%u %zu\r\n", i, octets);
	memcpy(bare->list + at, ".\r\n", 3);
	bare->list_size = at + 3;
	snprintf(bare->stat, sizeof bare->stat, "+OK %u %zu\r\n", count, octets * count);
}

int main(int argc, char **argv)
{
	struct bare bare = {0};
	struct epoll_event events[256];
	net_prepare();
	net_pin((int)net_number(argc, argv, "core", -1));
	prepare(&bare, (size_t)net_number(argc, argv, "octets", 4096),
		(unsigned)net_number(argc, argv, "count", 10));
	struct sockaddr_in address =
		net_address("127.0.0.1", (unsigned)net_number(argc, argv, "port", 0));
	int listener = net_listen(&address), epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = {.events = EPOLLIN};
	if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) < 0)
		net_die("epoll");
	for (;;) {
		int n = epoll_wait(epoll, events, 256, -1);
		for (int i = 0; i < n; i++) {
			struct peer *peer = events[i].data.ptr;
			if (!peer)
				greet(epoll, listener);
			else if (peer->rest)
				send_rest(epoll, peer);
			else
				serve(&bare, epoll, peer);
		}
	}
}
