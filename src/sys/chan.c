/*
 * See chan.h. Every process of valijad; one thread. The more privileged side may rely on the
 * framing alone: one packet as it was sent, at most CHAN_PACKET_MAX octets and CHAN_FDS_MAX
 * descriptors.
 */
#include "sys/chan.h"

#include "base/secret.h"
#include "sys/chan_queue.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

enum {
	BUFFER_WANTED = 1024 * 1024, /* the kernel's, each way */
	PACKETS_A_CALL = 8,          /* not more: their descriptors all come at once */
	CALLS_A_TURN = 8,
	RETRY_MS = 5,
	PARTS_MAX = 8,
};

enum sending {
	SENT,
	SEND_LATER, /* the socket or the kernel has no room now */
	SEND_NEVER, /* the peer is gone, or the channel is broken */
};

union control {
	struct cmsghdr align;
	char space[CMSG_SPACE(CHAN_FDS_MAX * sizeof(int))];
};

static void close_all(int *fds, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static void grow_buffer(int fd, int forced, int plain)
{
	int size = BUFFER_WANTED;

	if (setsockopt(fd, SOL_SOCKET, forced, &size, sizeof(size)) < 0)
		setsockopt(fd, SOL_SOCKET, plain, &size, sizeof(size));
}

int chan_pair(int ret_fds[2], struct err *err)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
		return err_sys(err, EX_OSERR, errno, "cannot make a channel");
	for (int i = 0; i < 2; i++) {
		grow_buffer(fds[i], SO_SNDBUFFORCE, SO_SNDBUF);
		grow_buffer(fds[i], SO_RCVBUFFORCE, SO_RCVBUF);
		ret_fds[i] = fds[i];
	}
	return 0;
}

void chan_break(struct chan *chan, const char *why)
{
	if (chan->broken)
		return;
	chan->broken = true;
	chan->why = why;
	loop_watch_want(&chan->watch, 0);
	loop_later_add(chan->loop, &chan->later);
}

static void update_watch(struct chan *chan)
{
	int want = 0;

	if (!chan->broken) {
		want |= chan->paused ? 0 : LOOP_READ;
		want |= chan->queue.head && !chan->waiting ? LOOP_WRITE : 0;
	}
	if (loop_watch_want(&chan->watch, want) < 0)
		chan_break(chan, "cannot watch the channel");
}

static void run_broken(struct loop_later *later)
{
	struct chan *chan = later->context;

	chan->handler->broken(chan, chan->why);
}

/* ---- sending ---- */

static void set_control(struct msghdr *message, union control *control, const int *fds,
			unsigned fd_count)
{
	struct cmsghdr *header;

	if (!fd_count)
		return;
	memset(control, 0, sizeof(*control));
	message->msg_control = control->space;
	message->msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
	header = CMSG_FIRSTHDR(message);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
	memcpy(CMSG_DATA(header), fds, fd_count * sizeof(int));
}

/* The peer is gone. Packets that it sent before can still be received, with its end behind them;
 * a paused channel does not receive and breaks at once. */
static void peer_closed(struct chan *chan)
{
	chan->write_closed = true;
	if (chan->paused)
		chan_break(chan, "the peer is gone");
}

static enum sending send_now(struct chan *chan, const struct iovec *parts, unsigned count,
			     const int *fds, unsigned fd_count)
{
	union control control;
	struct iovec copy[PARTS_MAX];
	struct msghdr message = {.msg_iov = copy, .msg_iovlen = count};

	assert(count <= sizeof(copy) / sizeof(*copy));
	memcpy(copy, parts, count * sizeof(*copy));
	set_control(&message, &control, fds, fd_count);
	for (;;) {
		if (sendmsg(chan->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
			return SENT;
		switch (errno) {
		case EINTR:
			continue;
		case EAGAIN:
			return SEND_LATER;
		case ETOOMANYREFS: /* too many descriptors of this user are in flight */
		case ENOBUFS:
		case ENOMEM:
			chan->waiting = true;
			loop_timer_set(&chan->retry, RETRY_MS);
			return SEND_LATER;
		case EPIPE:
		case ECONNRESET:
		case ENOTCONN:
			peer_closed(chan);
			return SEND_NEVER;
		default:
			chan_break(chan, "cannot send a packet");
			return SEND_NEVER;
		}
	}
}

static void flush_queue(struct chan *chan)
{
	struct chan_packet *packet;

	while ((packet = chan->queue.head) != NULL) {
		struct iovec part = {.iov_base = packet->data, .iov_len = packet->size};

		switch (send_now(chan, &part, 1, packet->fds, packet->fd_count)) {
		case SENT:
			chan_queue_drop_first(&chan->queue);
			break;
		case SEND_LATER:
			return;
		case SEND_NEVER:
			chan_queue_drop_all(&chan->queue);
			return;
		}
	}
}

static void retry_now(struct loop_timer *timer)
{
	struct chan *chan = timer->context;

	chan->waiting = false;
	if (chan->broken)
		return;
	flush_queue(chan);
	update_watch(chan);
}

/* ---- posts: small packets that wait for the end of the turn ---- */

/* They may hold a secret. */
static void forget_posted(struct chan *chan)
{
	loop_later_cancel(&chan->posting);
	if (chan->posted_size)
		wipe(chan->posted, chan->posted_size);
	chan->posted_size = 0;
}

/* The place where the next one may begin: a multiple of 8 octets, of which CHAN_POST_MAX is one.
 * The octets between are filled; they are no part of the packet if nothing follows. */
static size_t next_place(struct chan *chan)
{
	size_t place = (chan->posted_size + 7) / 8 * 8;

	memset(chan->posted + chan->posted_size, 0, place - chan->posted_size);
	return place;
}

/* Posted octets become a packet of their own. */
static void send_posted(struct chan *chan)
{
	struct iovec part = {.iov_base = chan->posted, .iov_len = chan->posted_size};

	if (part.iov_len && !chan->broken && !chan->write_closed &&
	    (chan->queue.head || send_now(chan, &part, 1, NULL, 0) == SEND_LATER)) {
		if (chan_queue_add(&chan->queue, &part, 1, part.iov_len, NULL, 0) < 0)
			chan_break(chan, "out of memory");
		else
			update_watch(chan);
	}
	forget_posted(chan);
}

static void run_posting(struct loop_later *later)
{
	send_posted(later->context);
}

/* As send_now, with what was posted in front. SEND_LATER: that may be a packet of its own now. */
static enum sending send_together(struct chan *chan, const struct iovec *parts, unsigned count,
				  size_t size, const int *fds, unsigned fd_count)
{
	struct iovec all[PARTS_MAX];
	enum sending sent;

	if (!chan->posted_size)
		return send_now(chan, parts, count, fds, fd_count);
	if (!fd_count && count < PARTS_MAX && chan->posted_size + size <= CHAN_PACKET_MAX) {
		all[0] = (struct iovec){chan->posted, next_place(chan)};
		memcpy(all + 1, parts, count * sizeof(*parts));
		sent = send_now(chan, all, count + 1, NULL, 0);
		if (sent == SENT)
			forget_posted(chan);
		if (sent != SEND_LATER)
			return sent;
	}
	send_posted(chan);
	if (chan->broken || chan->write_closed)
		return SEND_NEVER;
	return chan->queue.head ? SEND_LATER : send_now(chan, parts, count, fds, fd_count);
}

int chan_post(struct chan *chan, const struct iovec *parts, unsigned count)
{
	size_t size = 0, place;

	for (unsigned i = 0; i < count; i++)
		size += parts[i].iov_len;
	if (!chan->posted && !chan->broken)
		chan->posted = malloc(CHAN_POST_MAX);
	/* behind queued packets posting saves nothing, and the limit of the queue must hold */
	if (!chan->posted || chan->broken || chan->queue.head || !size || size > CHAN_POST_MAX)
		return chan_send(chan, parts, count, NULL, 0);
	place = next_place(chan);
	if (place + size > CHAN_POST_MAX) {
		send_posted(chan);
		return chan_post(chan, parts, count);
	}
	chan->posted_size = place;
	for (unsigned i = 0; i < count; i++) {
		if (parts[i].iov_len)
			memcpy(chan->posted + chan->posted_size, parts[i].iov_base,
			       parts[i].iov_len);
		chan->posted_size += parts[i].iov_len;
	}
	loop_later_add_last(chan->loop, &chan->posting);
	return 0;
}

int chan_send(struct chan *chan, const struct iovec *parts, unsigned count, const int *fds,
	      unsigned fd_count)
{
	size_t size = 0;

	for (unsigned i = 0; i < count; i++)
		size += parts[i].iov_len;
	if (chan->broken || chan->write_closed || !size || size > CHAN_PACKET_MAX ||
	    fd_count > CHAN_FDS_MAX)
		return -1;
	if (!chan->queue.head) {
		enum sending sent = send_together(chan, parts, count, size, fds, fd_count);

		if (sent != SEND_LATER)
			return sent == SENT ? 0 : -1;
	}
	if (chan->queue.octets + size > chan->queue_max ||
	    chan_queue_add(&chan->queue, parts, count, size, fds, fd_count) < 0)
		return -1;
	update_watch(chan);
	return 0;
}

/* ---- receiving ---- */

/* The descriptors of a received packet; the control buffer has no room for more than CHAN_FDS_MAX.
 */
static unsigned take_fds(struct msghdr *message, int *fds)
{
	unsigned count = 0;

	for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header;
	     header = CMSG_NXTHDR(message, header)) {
		size_t bytes;

		if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
			continue;
		bytes = header->cmsg_len - CMSG_LEN(0);
		assert(count + bytes / sizeof(int) <= CHAN_FDS_MAX);
		memcpy(fds + count, CMSG_DATA(header), bytes);
		count += (unsigned)(bytes / sizeof(int));
	}
	return count;
}

/* Hands one packet to the handler and closes the descriptors that the handler leaves. */
static void deliver(struct chan *chan, struct mmsghdr *received, bool *finished)
{
	struct msghdr *message = &received->msg_hdr;
	int fds[CHAN_FDS_MAX];
	unsigned fd_count = take_fds(message, fds);
	size_t size = received->msg_len;

	if (*finished || chan->broken) {
		close_all(fds, fd_count);
		explicit_bzero(message->msg_iov->iov_base, size); /* it may have been a password */
		return;
	}
	if (size == 0 || (message->msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
		close_all(fds, fd_count);
		chan_break(chan, size == 0                        ? "the peer is gone"
				 : message->msg_flags & MSG_TRUNC ? "a packet is too large"
								  : "descriptors are too many");
		return;
	}
	chan->handler->packet(chan, message->msg_iov->iov_base, size, fds, fd_count);
	close_all(fds, fd_count);
}

/* chan_finish, called by a handler, sets *finished: the caller of the handler must not touch chan
 * then. (Not inlined: the compiler does not see that and warns.) */
__attribute__((noinline)) static void track_finish(struct chan *chan, bool *finished)
{
	chan->finished = finished;
}

/* Receives several packets in one system call. False: there are no more, or none is wanted. */
static bool receive(struct chan *chan, char *buffer)
{
	struct mmsghdr messages[PACKETS_A_CALL] = {0};
	struct iovec parts[PACKETS_A_CALL];
	union control controls[PACKETS_A_CALL];
	bool finished = false;
	int n;

	for (int i = 0; i < PACKETS_A_CALL; i++) {
		parts[i] = (struct iovec){buffer + (size_t)i * CHAN_PACKET_MAX, CHAN_PACKET_MAX};
		messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i],
						      .msg_iovlen = 1,
						      .msg_control = controls[i].space,
						      .msg_controllen = sizeof(controls[i].space)};
	}
	/* ECONNRESET: the peer exited without reading our packets. It is reported once; packets
	 * that the peer sent before can still be received, so try again. */
	do
		n = recvmmsg(chan->fd, messages, PACKETS_A_CALL, MSG_DONTWAIT | MSG_CMSG_CLOEXEC,
			     NULL);
	while (n < 0 && errno == ECONNRESET);
	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR && errno != ENOMEM && errno != ENOBUFS)
			chan_break(chan, "cannot receive packets");
		return false;
	}
	track_finish(chan, &finished);
	for (int i = 0; i < n; i++)
		deliver(chan, &messages[i], &finished);
	if (finished)
		return false;
	chan->finished = NULL;
	return n == PACKETS_A_CALL && !chan->broken && !chan->paused;
}

static void ready(struct loop_watch *watch, int what)
{
	struct chan *chan = watch->context;
	char *buffer;

	if (what & LOOP_WRITE) {
		flush_queue(chan);
		update_watch(chan);
	}
	if (!(what & LOOP_READ) || chan->paused || chan->broken)
		return;
	buffer = loop_scratch(chan->loop, LOOP_SCRATCH_PACKET,
			      (size_t)PACKETS_A_CALL * CHAN_PACKET_MAX);
	if (!buffer) {
		chan_break(chan, "out of memory");
		return;
	}
	for (int i = 0; i < CALLS_A_TURN && receive(chan, buffer); i++)
		;
}

void chan_take_rest(struct chan *chan)
{
	if (chan->fd >= 0)
		ready(&chan->watch, LOOP_READ);
}

/* ---- life ---- */

void chan_init(struct chan *chan, struct loop *loop, int *fd, const struct chan_handler *handler,
	       void *context, size_t queue_max)
{
	memset(chan, 0, sizeof(*chan));
	chan->loop = loop;
	chan->fd = *fd;
	*fd = -1;
	chan->handler = handler;
	chan->context = context;
	chan_queue_init(&chan->queue);
	chan->queue_max = queue_max;
	chan->later.run = run_broken;
	chan->later.context = chan;
	chan->posting.run = run_posting;
	chan->posting.context = chan;
	loop_timer_init(&chan->retry, loop, retry_now, chan);
	loop_watch_init(&chan->watch, loop, chan->fd, ready, chan);
	update_watch(chan);
}

void chan_finish(struct chan *chan)
{
	if (chan->fd < 0)
		return;
	if (chan->finished)
		*chan->finished = true;
	loop_watch_finish(&chan->watch);
	loop_timer_cancel(&chan->retry);
	loop_later_cancel(&chan->later);
	forget_posted(chan);
	free(chan->posted);
	chan->posted = NULL;
	chan_queue_drop_all(&chan->queue);
	close(chan->fd);
	chan->fd = -1;
	chan->broken = true;
}

size_t chan_queued(const struct chan *chan)
{
	return chan->queue.octets;
}

bool chan_is_quiet(const struct chan *chan)
{
	return !chan->queue.head && !chan->posted_size && !chan->broken;
}

void chan_pause(struct chan *chan, bool paused)
{
	if (chan->paused == paused || chan->broken)
		return;
	chan->paused = paused;
	update_watch(chan);
}
