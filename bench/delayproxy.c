/*
 * A TCP proxy that delays: every octet leaves half a round trip after it came in, in order, with
 * unlimited bandwidth. It counts turns: the longest chain of question and answer, in which an octet
 * depends on all that had been delivered to its sender. A client that pipelines has few, one that
 * waits for every reply has one a command.
 *
 *   delayproxy --listen P --port Q --rtt MILLISECONDS
 *
 * Prints "ready", then a JSON line for each connection that ends; runs until killed.
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

#define PIECE 65536
#define IN_FLIGHT_MAX (64u << 20)

struct piece {
	struct piece *next;
	uint64_t due;
	unsigned depth;
	size_t size, done;
	bool end;
	char data[];
};

struct end {
	struct link *link;
	int fd;
	unsigned depth; /* of what has been delivered here */
	bool in_over, out_over, blocked;
	uint64_t octets;
	size_t in_flight;
	struct piece *first, **last; /* on the way to this end */
};

struct link {
	struct link *next;
	struct end client, server;
	uint64_t began;
	unsigned turns;
	bool dead;
};

struct proxy {
	struct link *links;
	struct sockaddr_in target;
	uint64_t delay;
	int epoll;
};

static void watch(const struct proxy *proxy, struct end *end, int how)
{
	struct end *other = end == &end->link->client ? &end->link->server : &end->link->client;
	uint32_t mask = (end->in_over || other->in_flight > IN_FLIGHT_MAX ? 0 : (uint32_t)EPOLLIN) |
			(end->blocked ? (uint32_t)EPOLLOUT : 0);
	struct epoll_event event = {.events = mask, .data.ptr = end};
	epoll_ctl(proxy->epoll, how, end->fd, &event);
}

static void take(const struct proxy *proxy, struct end *from)
{
	struct end *to = from == &from->link->client ? &from->link->server : &from->link->client;
	struct piece *piece = malloc(sizeof *piece + PIECE);
	if (!piece)
		net_die("memory");
	ssize_t size = recv(from->fd, piece->data, PIECE, 0);
	if (size < 0 && errno == EAGAIN) {
		free(piece);
		return;
	}
	piece->end = size <= 0;
	piece->size = size > 0 ? (size_t)size : 0;
	piece = realloc(piece, sizeof *piece + piece->size);
	if (!piece)
		net_die("memory");
	piece->done = 0;
	piece->next = NULL;
	piece->due = net_now() + proxy->delay;
	piece->depth = from->depth + (from == &from->link->client);
	if (!piece->end && from == &from->link->client && piece->depth > from->link->turns)
		from->link->turns = piece->depth;
	from->in_over |= piece->end;
	to->in_flight += piece->size;
	*to->last = piece;
	to->last = &piece->next;
	watch(proxy, from, EPOLL_CTL_MOD);
}

static void deliver(const struct proxy *proxy, struct end *end, uint64_t now)
{
	struct end *other = end == &end->link->client ? &end->link->server : &end->link->client;
	while (end->first && end->first->due <= now && !end->blocked) {
		struct piece *piece = end->first;
		ssize_t sent = 0;
		if (piece->end) {
			shutdown(end->fd, SHUT_WR);
			end->out_over = true;
		} else {
			sent = send(end->fd, piece->data + piece->done, piece->size - piece->done,
				    0);
			if (sent < 0 && errno == EAGAIN) {
				end->blocked = true;
				watch(proxy, end, EPOLL_CTL_MOD);
				return;
			}
			if (sent < 0)
				sent = (ssize_t)(piece->size - piece->done); /* nobody reads it */
		}
		piece->done += (size_t)sent;
		end->octets += (size_t)sent;
		if (piece->done < piece->size)
			continue;
		if (piece->depth > end->depth)
			end->depth = piece->depth;
		end->in_flight -= piece->size;
		end->first = piece->next;
		if (!end->first)
			end->last = &end->first;
		if (!piece->end)
			watch(proxy, other, EPOLL_CTL_MOD);
		free(piece);
	}
}

static void init_end(struct proxy *proxy, struct link *link, struct end *end, int fd)
{
	end->link = link;
	end->fd = fd;
	end->last = &end->first;
	net_nodelay(fd);
	watch(proxy, end, EPOLL_CTL_ADD);
}

static void greet(struct proxy *proxy, int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return;
	int server = net_connect(&proxy->target, 0);
	struct link *link = calloc(1, sizeof *link);
	if (!link)
		net_die("memory");
	if (server < 0) {
		close(fd);
		free(link);
		return;
	}
	link->began = net_now();
	init_end(proxy, link, &link->client, fd);
	init_end(proxy, link, &link->server, server);
	link->next = proxy->links;
	proxy->links = link;
}

static void finish(struct link *link)
{
	printf("{\"seconds\":%.6f,\"turns\":%u,\"up\":%llu,\"down\":%llu}\n",
	       (double)(net_now() - link->began) / 1e9, link->turns,
	       (unsigned long long)link->server.octets, (unsigned long long)link->client.octets);
	fflush(stdout);
	close(link->client.fd);
	close(link->server.fd);
	free(link);
}

/* Delivers what is due; returns milliseconds until more is, -1 if nothing is on the way. */
static int deliver_all(struct proxy *proxy)
{
	uint64_t now = net_now(), soonest = 0;
	for (struct link **at = &proxy->links; *at;) {
		struct link *link = *at;
		deliver(proxy, &link->client, now);
		deliver(proxy, &link->server, now);
		if ((link->client.out_over && link->server.out_over) ||
		    (link->client.in_over && link->client.out_over && !link->server.first)) {
			*at = link->next;
			finish(link);
			continue;
		}
		struct end *ends[] = {&link->client, &link->server};
		for (int i = 0; i < 2; i++)
			if (ends[i]->first && !ends[i]->blocked &&
			    (soonest == 0 || ends[i]->first->due < soonest))
				soonest = ends[i]->first->due;
		at = &link->next;
	}
	if (soonest == 0)
		return -1;
	return soonest > now ? (int)((soonest - now) / 1000000) + (proxy->delay > 0) : 0;
}

int main(int argc, char **argv)
{
	struct proxy proxy = {0};
	struct epoll_event events[64], event = {.events = EPOLLIN};
	net_prepare();
	net_pin((int)net_number(argc, argv, "core", -1));
	proxy.delay = (uint64_t)(net_number(argc, argv, "rtt", 100) * 1e6 / 2);
	proxy.target = net_address("127.0.0.1", (unsigned)net_number(argc, argv, "port", 110));
	struct sockaddr_in address =
		net_address("127.0.0.1", (unsigned)net_number(argc, argv, "listen", 0));
	int listener = net_listen(&address);
	proxy.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (proxy.epoll < 0 || epoll_ctl(proxy.epoll, EPOLL_CTL_ADD, listener, &event) < 0)
		net_die("epoll");
	printf("ready %u\n", ntohs(address.sin_port));
	fflush(stdout);
	for (;;) {
		int count = epoll_wait(proxy.epoll, events, 64, deliver_all(&proxy));
		for (int i = 0; i < count; i++) {
			struct end *end = events[i].data.ptr;
			if (!end) {
				greet(&proxy, listener);
				continue;
			}
			if (events[i].events & EPOLLOUT) {
				end->blocked = false;
				watch(&proxy, end, EPOLL_CTL_MOD);
			}
			if (!end->in_over && (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
				take(&proxy, end);
		}
	}
}
