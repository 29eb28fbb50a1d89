/* See link.h. What comes over it is hostile; nothing of that is looked at here. */
#include "maildrop/remote/link.h"

#include "base/descriptor.h"
#include "base/table.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>

enum {
	SOCKET_ROOM =
		98304 /* the kernel doubles it, for its own; what waits there for a slow client */
};

static const struct remote_server *server_of(const struct link *link)
{
	return link->section->server;
}

/* ---- the end ---- */

void link_tell(struct link *link, bool answered, const struct err *err)
{
	if (link->has_place)
		section_leave(link->section);
	link->has_place = false;
	if (!link->is_tried)
		return;
	link->is_tried = false;
	if (answered)
		section_worked(link->section);
	else if (err)
		section_failed(link->section, err);
	else
		section_gave_up(link->section);
}

void link_tell_works(struct link *link)
{
	if (link->is_tried)
		section_worked(link->section);
	link->is_tried = false;
}

void link_close(struct link *link)
{
	section_wait_cancel(link->section, &link->wait);
	loop_deadline_cancel(&link->deadline);
	loop_later_cancel(&link->turn);
	if (link->fd >= 0)
		loop_watch_finish(&link->watch);
	link_keep_tls(link);
	tls_client_destroy(link->tls);
	link->tls = NULL;
	close_fd(&link->fd);
	link->phase = LINK_DEAD;
}

/* ---- octets ---- */

ssize_t link_write(struct link *link, pop3_span out)
{
	ssize_t n;

	if (link->tls) {
		n = tls_client_write(link->tls, out.data, out.size, link->err);
		if (n == TLS_CLIENT_WANT_READ || n == TLS_CLIENT_WANT_WRITE)
			return 0;
		if (n == TLS_CLIENT_CLOSED)
			return 0; /* why may be there to be read */
		return n < 0 ? -1 : n;
	}
	do {
		n = send(link->fd, out.data, out.size, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? 0 : n; /* an answer before the end is still to be read */
}

ssize_t link_read(struct link *link, char *buf, size_t size)
{
	ssize_t n;

	if (link->tls) {
		n = tls_client_read(link->tls, buf, size, link->err);
		if (n == TLS_CLIENT_WANT_READ || n == TLS_CLIENT_WANT_WRITE) {
			link->tls_wants_write = n == TLS_CLIENT_WANT_WRITE;
			return -1;
		}
		if (n == TLS_CLIENT_CLOSED)
			return 0;
		return n > 0 ? n : -2;
	}
	n = recv(link->fd, buf, size, MSG_DONTWAIT);
	if (n >= 0)
		return n;
	return errno == EAGAIN || errno == EINTR ? -1 : 0;
}

int link_want(struct link *link, int what)
{
	return loop_watch_want(&link->watch, what | (link->tls_wants_write ? LOOP_WRITE : 0));
}

void link_await(struct link *link, bool awaits, bool progress)
{
	if (!awaits)
		loop_deadline_cancel(&link->deadline);
	else if (progress || !link->deadline.next)
		loop_deadline_renew(&link->section->silence, &link->deadline);
}

/* ---- TLS ---- */

void link_keep_tls(struct link *link)
{
	if (!link->tls || link->kept)
		return;
	section_keep_tls(link->section, link->tls);
	link->kept = true;
}

int link_start_tls(struct link *link)
{
	if (section_tls(link->section, link->fd, &link->tls, link->err) < 0)
		return -1;
	link->phase = LINK_HANDSHAKE;
	return 0;
}

void link_handshake(struct link *link)
{
	switch (tls_client_handshake(link->tls, link->err)) {
	case TLS_CLIENT_OK:
		link->phase = LINK_OPEN;
		link->owner->opened(link);
		return;
	case TLS_CLIENT_WANT_READ:
		(void)loop_watch_want(&link->watch, LOOP_READ);
		return;
	case TLS_CLIENT_WANT_WRITE:
		(void)loop_watch_want(&link->watch, LOOP_WRITE);
		return;
	case TLS_CLIENT_CLOSED:
		err_set(link->err, EX_TEMPFAIL,
			"the other server closed the connection in the TLS "
			"handshake");
		break;
	case TLS_CLIENT_FAILED:
		break;
	}
	link->owner->failed(link);
}

/* ---- dialing ---- */

static void dial(struct link *link);

static void connected(struct link *link)
{
	int error = 0;
	socklen_t size = sizeof(error);

	getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &error, &size);
	if (error) {
		err_sys(link->err, EX_TEMPFAIL, error, "cannot connect to %s port %u",
			server_of(link)->host, (unsigned)server_of(link)->port);
		dial(link);
		return;
	}
	if (server_of(link)->tls != REMOTE_TLS) {
		link->phase = LINK_OPEN;
		link->owner->opened(link);
	} else if (link_start_tls(link) == 0) {
		link_handshake(link);
	} else {
		link->owner->failed(link);
	}
}

static void ready(struct loop_watch *watch, int what)
{
	struct link *link = watch->context;

	switch ((enum link_phase)link->phase) {
	case LINK_CONNECTING:
		connected(link);
		break;
	case LINK_HANDSHAKE:
		link_handshake(link);
		break;
	case LINK_OPEN:
		link->tls_wants_write = false;
		link->owner->ready(link, link->tls ? what | LOOP_READ : what);
		break;
	case LINK_WAITING:
	case LINK_DEAD:
		break;
	}
}

/* -1: that address cannot be tried. */
static int dial_one(struct link *link, const struct section_address *to)
{
	const struct sockaddr *address = (const struct sockaddr *)(const void *)&to->address;
	int room = SOCKET_ROOM, one = 1;

	link->fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (link->fd < 0)
		return -1;
	setsockopt(link->fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(link->fd, address, to->size) < 0 && errno != EINPROGRESS) {
		err_sys(link->err, EX_TEMPFAIL, errno, "cannot connect to %s port %u",
			server_of(link)->host, (unsigned)server_of(link)->port);
		close_fd(&link->fd);
		return -1;
	}
	loop_watch_init(&link->watch, link->section->loop, link->fd, ready, link);
	link->phase = LINK_CONNECTING;
	loop_deadline_renew(&link->section->silence, &link->deadline);
	return loop_watch_want(&link->watch, LOOP_WRITE);
}

/* Tries the next address. */
static void dial(struct link *link)
{
	const struct section *section = link->section;

	if (link->fd >= 0)
		loop_watch_finish(&link->watch);
	close_fd(&link->fd);
	while (link->address < section->count)
		if (dial_one(link, &section->addresses[link->address++]) == 0)
			return;
	if (!section->count)
		*link->err = section->why;
	link->owner->failed(link);
}

static void resolved(struct section_wait *wait)
{
	dial(CONTAINER(wait, struct link, wait));
}

/* On the loop, behind the call that began it, or that gave it its place. */
static void begin(struct loop_later *later)
{
	struct link *link = later->context;

	if (!section_may_try(link->section, link->err)) {
		link->owner->failed(link);
		return;
	}
	link->is_tried = true;
	if (section_resolve(link->section, &link->wait))
		dial(link);
}

static void take_turn(struct section_wait *wait)
{
	struct link *link = CONTAINER(wait, struct link, wait);

	link->has_place = true;
	loop_later_add(link->section->loop, &link->turn);
}

void link_silent(struct loop_deadlines *deadlines, struct loop_deadline *deadline)
{
	struct link *link = CONTAINER(deadline, struct link, deadline);

	(void)deadlines;
	err_set(link->err, EX_TEMPFAIL, "%s",
		link->phase != LINK_WAITING ? "the other server was silent for too long"
		: link->has_place           ? "no name server says where that server is"
					    : "too many sessions at that server are being opened");
	if (link->phase == LINK_CONNECTING)
		dial(link);
	else
		link->owner->failed(link);
}

void link_open(struct link *link, struct section *section, const struct link_owner *owner,
	       struct err *err)
{
	memset(link, 0, sizeof(*link));
	link->owner = owner;
	link->section = section;
	link->err = err;
	link->fd = -1;
	link->wait.turn = take_turn;
	link->wait.resolved = resolved;
	link->turn.run = begin;
	link->turn.context = link;
	loop_deadline_init(&link->deadline);
	loop_deadline_renew(&section->silence, &link->deadline);
	if (section_enter(section, &link->wait))
		take_turn(&link->wait);
}
