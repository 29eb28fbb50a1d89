/*
 * See chan.h. Every process of valijad; one thread. The more privileged side trusts nothing that
 * comes out of here but its framing: one packet as it was sent, at most CHAN_PACKET_MAX octets and
 * CHAN_FDS_MAX descriptors.
 */
#include "sys/chan.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

enum {
	BUFFER_WANTED = 1024 * 1024, /* of the kernel, each way */
	PACKETS_A_CALL = 8,          /* not more: their descriptors all come at once */
	CALLS_A_TURN = 8,
	RETRY_MS = 5,
	PARTS_MAX = 8,
};

struct chan_packet {
	struct chan_packet *next;
	size_t size;
	int fds[CHAN_FDS_MAX];
	unsigned fd_count;
	char data[];
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
		return err_sys(err, EX_OSERR, errno, "can't make a channel");
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
		want |= chan->head && !chan->waiting ? LOOP_WRITE : 0;
	}
	if (loop_watch_want(&chan->watch, want) < 0)
		chan_break(chan, "can't watch the channel");
}

static void run_broken(struct loop_later *later)
{
	struct chan *chan = later->context;

	chan->handler->broken(chan, chan->why);
}

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

/* The peer is gone. What it sent before is still to be read, and its end found there. */
static int peer_closed(struct chan *chan)
{
	chan->write_closed = true;
	if (chan->paused)
		chan_break(chan, "the peer is gone");
	return -1;
}

/* 1: sent, 0: not now, -1: never. */
static int send_now(struct chan *chan, const struct iovec *parts, unsigned count, const int *fds,
		    unsigned fd_count)
{
	union control control;
	struct iovec copy[PARTS_MAX];
	struct msghdr message = {.msg_iov = copy, .msg_iovlen = count};

	assert(count <= sizeof(copy) / sizeof(*copy));
	memcpy(copy, parts, count * sizeof(*copy));
	set_control(&message, &control, fds, fd_count);
	for (;;) {
		if (sendmsg(chan->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
			return 1;
		switch (errno) {
		case EINTR:
			continue;
		case EAGAIN:
			return 0;
		case ETOOMANYREFS: /* descriptors in flight, of this user: others must read first */
		case ENOBUFS:
		case ENOMEM:
			chan->waiting = true;
			loop_timer_set(&chan->retry, RETRY_MS);
			return 0;
		case EPIPE:
		case ECONNRESET:
		case ENOTCONN:
			return peer_closed(chan);
		default:
			chan_break(chan, "can't send");
			return -1;
		}
	}
}

static void free_packet(struct chan_packet *packet)
{
	close_all(packet->fds, packet->fd_count);
	free(packet);
}

static int enqueue(struct chan *chan, const struct iovec *parts, unsigned count, size_t size,
		   const int *fds, unsigned fd_count)
{
	struct chan_packet *packet = malloc(sizeof(*packet) + size);
	size_t used = 0;

	if (!packet)
		return -1;
	packet->next = NULL;
	packet->size = size;
	for (unsigned i = 0; i < count; used += parts[i++].iov_len)
		if (parts[i].iov_len)
			memcpy(packet->data + used, parts[i].iov_base, parts[i].iov_len);
	for (packet->fd_count = 0; packet->fd_count < fd_count; packet->fd_count++) {
		int fd = fcntl(fds[packet->fd_count], F_DUPFD_CLOEXEC, 3);

		if (fd < 0) {
			free_packet(packet);
			return -1;
		}
		packet->fds[packet->fd_count] = fd;
	}
	*chan->tail = packet;
	chan->tail = &packet->next;
	chan->queued += size;
	return 0;
}

/* What was posted becomes a packet of its own. */
static void send_posted(struct chan *chan)
{
	struct iovec part = {.iov_base = chan->posted, .iov_len = chan->posted_size};

	loop_later_cancel(&chan->posting);
	chan->posted_size = 0;
	if (!part.iov_len || chan->broken || chan->write_closed)
		return;
	if (!chan->head && send_now(chan, &part, 1, NULL, 0) != 0)
		return;
	if (enqueue(chan, &part, 1, part.iov_len, NULL, 0) < 0)
		chan_break(chan, "out of memory");
	else
		update_watch(chan);
}

static void run_posting(struct loop_later *later)
{
	send_posted(later->context);
}

/* As send_now, with what was posted in front. 0: that may be a packet of its own now. */
static int send_together(struct chan *chan, const struct iovec *parts, unsigned count, size_t size,
			 const int *fds, unsigned fd_count)
{
	struct iovec all[PARTS_MAX];
	int sent;

	if (!chan->posted_size)
		return send_now(chan, parts, count, fds, fd_count);
	if (!fd_count && count < PARTS_MAX && chan->posted_size + size <= CHAN_PACKET_MAX) {
		all[0] = (struct iovec){chan->posted, chan->posted_size};
		memcpy(all + 1, parts, count * sizeof(*parts));
		sent = send_now(chan, all, count + 1, NULL, 0);
		if (sent > 0) {
			chan->posted_size = 0;
			loop_later_cancel(&chan->posting);
		}
		if (sent != 0)
			return sent;
	}
	send_posted(chan);
	if (chan->broken || chan->write_closed)
		return -1;
	return chan->head ? 0 : send_now(chan, parts, count, fds, fd_count);
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
	if (!chan->head) {
		int sent = send_together(chan, parts, count, size, fds, fd_count);

		if (sent != 0)
			return sent < 0 ? -1 : 0;
	}
	if (chan->queued + size > chan->queue_max ||
	    enqueue(chan, parts, count, size, fds, fd_count) < 0)
		return -1;
	update_watch(chan);
	return 0;
}

int chan_post(struct chan *chan, const void *data, size_t size)
{
	struct iovec part = {.iov_len = size};

	memcpy(&part.iov_base, &data, sizeof(data));
	assert(size % 8 == 0);
	if (!chan->posted && !chan->broken)
		chan->posted = malloc(CHAN_POST_MAX);
	/* behind a queue there is nothing to be saved, and its limit is to be kept */
	if (!chan->posted || chan->broken || chan->head || size > CHAN_POST_MAX)
		return chan_send(chan, &part, 1, NULL, 0);
	if (chan->posted_size + size > CHAN_POST_MAX) {
		send_posted(chan);
		return chan_post(chan, data, size);
	}
	memcpy(chan->posted + chan->posted_size, data, size);
	chan->posted_size += size;
	loop_later_add_last(chan->loop, &chan->posting);
	return 0;
}

static void drop_queue(struct chan *chan)
{
	struct chan_packet *packet;

	while ((packet = chan->head) != NULL) {
		chan->head = packet->next;
		free_packet(packet);
	}
	chan->tail = &chan->head;
	chan->queued = 0;
}

static void flush_queue(struct chan *chan)
{
	struct chan_packet *packet;

	while ((packet = chan->head) != NULL) {
		struct iovec part = {.iov_base = packet->data, .iov_len = packet->size};
		int sent = send_now(chan, &part, 1, packet->fds, packet->fd_count);

		if (sent == 0)
			return;
		if (sent < 0) {
			drop_queue(chan);
			return;
		}
		chan->head = packet->next;
		if (!chan->head)
			chan->tail = &chan->head;
		chan->queued -= packet->size;
		free_packet(packet);
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

/* Descriptors of a received message; more than CHAN_FDS_MAX can't fit into the control buffer. */
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

/* One packet as it was received. The descriptors that the handler leaves are closed. */
static void deliver(struct chan *chan, struct mmsghdr *received, bool *gone)
{
	struct msghdr *message = &received->msg_hdr;
	int fds[CHAN_FDS_MAX];
	unsigned fd_count = take_fds(message, fds);
	size_t size = received->msg_len;

	if (*gone || chan->broken) {
		close_all(fds, fd_count);
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

/* chan_finish tells a handler's caller through it that chan is no more. (Not inlined: the compiler
 * can't know that, and warns.) */
__attribute__((noinline)) static void look_out(struct chan *chan, bool *gone)
{
	chan->gone = gone;
}

/* Several packets in one system call. False: there are no more, or none is wanted. */
static bool receive(struct chan *chan, char *buffer)
{
	struct mmsghdr messages[PACKETS_A_CALL] = {0};
	struct iovec parts[PACKETS_A_CALL];
	union control controls[PACKETS_A_CALL];
	bool gone = false;
	int n;

	for (int i = 0; i < PACKETS_A_CALL; i++) {
		parts[i] = (struct iovec){buffer + (size_t)i * CHAN_PACKET_MAX, CHAN_PACKET_MAX};
		messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i],
						      .msg_iovlen = 1,
						      .msg_control = controls[i].space,
						      .msg_controllen = sizeof(controls[i].space)};
	}
	do /* reset: the peer is gone and has left packets of ours; its own are still to be read */
		n = recvmmsg(chan->fd, messages, PACKETS_A_CALL, MSG_DONTWAIT | MSG_CMSG_CLOEXEC,
			     NULL);
	while (n < 0 && errno == ECONNRESET);
	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR && errno != ENOMEM && errno != ENOBUFS)
			chan_break(chan, "can't receive");
		return false;
	}
	look_out(chan, &gone);
	for (int i = 0; i < n; i++)
		deliver(chan, &messages[i], &gone);
	if (gone)
		return false;
	chan->gone = NULL;
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

void chan_init(struct chan *chan, struct loop *loop, int *fd, const struct chan_handler *handler,
	       void *context, size_t queue_max)
{
	memset(chan, 0, sizeof(*chan));
	chan->loop = loop;
	chan->fd = *fd;
	*fd = -1;
	chan->handler = handler;
	chan->context = context;
	chan->tail = &chan->head;
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
	if (chan->gone)
		*chan->gone = true;
	loop_watch_finish(&chan->watch);
	loop_timer_cancel(&chan->retry);
	loop_later_cancel(&chan->later);
	loop_later_cancel(&chan->posting);
	free(chan->posted);
	chan->posted = NULL;
	drop_queue(chan);
	close(chan->fd);
	chan->fd = -1;
	chan->broken = true;
}

size_t chan_queued(const struct chan *chan)
{
	return chan->queued;
}

void chan_pause(struct chan *chan, bool paused)
{
	if (chan->paused == paused || chan->broken)
		return;
	chan->paused = paused;
	update_watch(chan);
}
