/* See accept.h. Runs in fronts, in the sandbox. */
#include "server/accept.h"

#include "base/descriptor.h"
#include "base/log.h"
#include "base/text.h"
#include "server/record.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	ACCEPTS = 64,   /* connections a turn */
	PAUSE_MS = 100, /* the pause when descriptors are short */
};

static void want(struct acceptor *acceptor, int what)
{
	acceptor->wanted = what;
	for (unsigned i = 0; i < acceptor->count; i++)
		if (acceptor->listeners[i].watch.fd >= 0)
			loop_watch_want(&acceptor->listeners[i].watch, what);
}

static void again(struct loop_timer *timer)
{
	struct acceptor *acceptor = timer->context;

	acceptor->paused = false;
	want(acceptor, LOOP_READ);
}

void acceptor_go_on(struct acceptor *acceptor)
{
	if (acceptor->wanted || acceptor->stopped || !acceptor->paused)
		return;
	loop_timer_cancel(&acceptor->again);
	acceptor->paused = false;
	want(acceptor, LOOP_READ);
}

static void pause_accepting(struct acceptor *acceptor)
{
	want(acceptor, 0);
	acceptor->paused = true;
	loop_timer_set(&acceptor->again, PAUSE_MS);
}

/* Writes every address in one form: IPv4 as itself, also when it came through a socket for both
 * families (::ffff:192.0.2.1). Limits, networks and log lines use this form. */
static void describe(const struct sockaddr_storage *from, struct accepted *ret)
{
	static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)from;
	const struct sockaddr_in *four = (const struct sockaddr_in *)from;

	if (from->ss_family == AF_INET6) {
		memcpy(ret->address, &six->sin6_addr, 16);
		ret->port = ntohs(six->sin6_port);
	} else if (from->ss_family == AF_INET) {
		memcpy(ret->address, mapped, sizeof(mapped));
		memcpy(ret->address + sizeof(mapped), &four->sin_addr, 4);
		ret->port = ntohs(four->sin_port);
	} else {
		ret->loopback = true;
		return;
	}
	if (memcmp(ret->address, mapped, sizeof(mapped)) == 0) {
		ret->loopback = ret->address[12] == 127;
		text_dotted(ret->address + sizeof(mapped), ret->text);
	} else {
		ret->loopback = IN6_IS_ADDR_LOOPBACK(&six->sin6_addr);
		inet_ntop(AF_INET6, ret->address, ret->text, sizeof(ret->text));
	}
}

/* True: the socket was shut. EAGAIN after an event has two causes: another process accepted first,
 * or a Unix socket was shut (a TCP socket then fails with EINVAL). */
static bool is_shut(const struct accept_listener *listener)
{
	int events;

	if (listener->service < SERVICE_LMTP)
		return false;
	events = wait_fd(listener->watch.fd, POLLRDHUP, 0);
	return events > 0 && (events & (POLLRDHUP | POLLHUP));
}

/* The socket was shut and does not listen any more. Its event would come in every turn, so the
 * front closes it, and the monitor sends another. */
static void give_up(struct accept_listener *listener)
{
	static const char *const names[] = {"POP3",      "POP3S",  "LMTP",    "SASL",
					    "socketmap", "policy", "control", "HTTP"};
	struct acceptor *acceptor = listener->acceptor;

	log_error("a listening socket of %s was shut; this process asks the monitor for a new one",
		  names[listener->service]);
	loop_watch_finish(&listener->watch);
	close(listener->watch.fd);
	listener->watch.fd = -1;
	acceptor->dead(acceptor);
}

static void ready(struct loop_watch *watch, int what)
{
	struct accept_listener *listener = watch->context;
	struct acceptor *acceptor = listener->acceptor;
	bool tls = listener->service == SERVICE_POP3S;

	(void)what;
	/* the handshake is the costly part, and the socket is shared: another front may have time
	 * for it */
	if (tls && loop_slow_waits(acceptor->loop))
		return;
	for (int i = 0; i < (tls ? 1 : ACCEPTS); i++) {
		struct accepted from = {.service = listener->service, .listener = listener->place};
		struct sockaddr_storage address;
		socklen_t size = sizeof(address);
		int fd, error;

		if (!acceptor->room(acceptor)) {
			pause_accepting(acceptor);
			return;
		}
		fd = accept4(watch->fd, (struct sockaddr *)&address, &size,
			     SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0) {
			error = errno;
			if (error == EINVAL || (i == 0 && error == EAGAIN && is_shut(listener))) {
				give_up(listener);
				return;
			}
			if (error != EMFILE && error != ENFILE && error != ENOBUFS &&
			    error != ENOMEM)
				return;
			if (record_may(RECORD_ACCEPT_FAILED, NULL))
				log_warning("cannot take more connections: %s", strerror(error));
			pause_accepting(acceptor);
			return;
		}
		describe(&address, &from);
		acceptor->take(acceptor, &fd, &from);
		if (fd >= 0)
			close(fd);
	}
}

void acceptor_init(struct acceptor *acceptor, struct loop *loop, bool (*room)(struct acceptor *),
		   void (*take)(struct acceptor *, int *, const struct accepted *),
		   void (*dead)(struct acceptor *), void *context)
{
	acceptor->loop = loop;
	acceptor->room = room;
	acceptor->take = take;
	acceptor->context = context;
	acceptor->dead = dead;
	acceptor->count = 0;
	acceptor->wanted = 0;
	acceptor->stopped = acceptor->paused = false;
	loop_timer_init(&acceptor->again, loop, again, acceptor);
}

void acceptor_add(struct acceptor *acceptor, enum config_service service, uint32_t place, int *fd)
{
	struct accept_listener *listener = acceptor->listeners;

	if (acceptor->stopped)
		return;
	while (listener < acceptor->listeners + acceptor->count && listener->watch.fd >= 0)
		listener++;
	if (listener == acceptor->listeners + ACCEPT_LISTENERS_MAX)
		return;
	if (listener == acceptor->listeners + acceptor->count)
		acceptor->count++;
	listener->acceptor = acceptor;
	listener->service = service;
	listener->place = place;
	loop_watch_init(&listener->watch, acceptor->loop, *fd, ready, listener);
	*fd = -1;
	loop_watch_want(&listener->watch, acceptor->wanted);
}

void acceptor_start(struct acceptor *acceptor)
{
	want(acceptor, LOOP_READ);
}

void acceptor_stop(struct acceptor *acceptor)
{
	loop_timer_cancel(&acceptor->again);
	for (unsigned i = 0; i < acceptor->count; i++) {
		if (acceptor->listeners[i].watch.fd < 0)
			continue;
		loop_watch_finish(&acceptor->listeners[i].watch);
		close(acceptor->listeners[i].watch.fd);
	}
	acceptor->count = 0;
	acceptor->stopped = true;
}
