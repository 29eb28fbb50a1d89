/*
 * A channel between two processes: SOCK_SEQPACKET with descriptors (SCM_RIGHTS), non-blocking, on
 * the loop. The meaning of the packets is ipc's business. Sent packets keep their order; those that
 * the socket does not take at once are queued up to a limit. A peer that exits or sends a truncated
 * packet breaks the channel: broken() once, at the end of the turn, after every packet that the
 * peer had sent whole. The receiver needs CHAN_FDS_MAX descriptors to spare: one that the kernel
 * cannot deliver breaks the channel too. Embedded; every process of valijad, one thread.
 */
#ifndef SYS_CHAN_H
#define SYS_CHAN_H

#include "sys/loop.h"

#include <stddef.h>
#include <sys/uio.h>

#define CHAN_PACKET_MAX (96 * 1024)
#define CHAN_FDS_MAX 4
#define CHAN_POST_MAX 512 /* octets that may wait for the end of the turn */

struct chan;
struct chan_handler {
	/* Descriptors not taken out of fds (set to -1) are closed after the call. data is aligned
	 * for any type and lives during the call. chan_finish is allowed in here. */
	void (*packet)(struct chan *chan, const void *data, size_t size, int *fds,
		       unsigned fd_count);
	void (*broken)(struct chan *chan, const char *why); /* finish and free it here */
};

/* Packets that the socket did not take yet. Private, as the rest. */
struct chan_queue {
	struct chan_packet *head, **tail;
	size_t octets;
};

struct chan {
	struct loop_watch watch;
	struct loop_later later;
	const struct chan_handler *handler;
	void *context;
	struct chan_queue queue;
	size_t queue_max; /* octets */
	char *posted;     /* for the end of this turn; NULL: never used */
	size_t posted_size;
	struct loop_later posting;
	struct loop_timer retry; /* the kernel is short of something, of which no event comes */
	struct loop *loop;
	bool *finished; /* set by chan_finish when it is called from inside packet() */
	int fd;
	bool broken, paused, waiting, write_closed;
	const char *why;
};

int chan_pair(int ret_fds[2], struct err *err); /* close-on-exec, non-blocking, large buffers */
/* Takes fd. queue_max: octets that may wait in this process. */
void chan_init(struct chan *chan, struct loop *loop, int *fd, const struct chan_handler *handler,
	       void *context, size_t queue_max);
void chan_finish(struct chan *chan);
/* Sends one packet. The descriptors stay the caller's (queued packets hold duplicates). -1: the
 * queue is over its limit, the packet is empty or over CHAN_PACKET_MAX, or the channel is broken;
 * nothing was sent. */
int chan_send(struct chan *chan, const struct iovec *parts, unsigned count, const int *fds,
	      unsigned fd_count);
/* The same for octets that need not go at once: they go at the end of this turn, or in front of the
 * next packet without descriptors, as one packet with it and with what else was posted, filled up
 * with NUL to multiples of 8 octets. The receiver must see where each ends. They are copied, and
 * wiped when they are sent; lost by chan_finish. */
int chan_post(struct chan *chan, const struct iovec *parts, unsigned count);
/* Octets that the socket did not take yet. */
size_t chan_queued(const struct chan *chan);
/* Nothing waits to be sent, and the channel is not broken. */
bool chan_is_quiet(const struct chan *chan);
/* Stop / go on receiving (back-pressure). A few packets that were received together still arrive.
 */
void chan_pause(struct chan *chan, bool paused);
/* The peer is known to have exited: receives now what it sent before that, which may finish chan.
 * Not from inside packet(). */
void chan_take_rest(struct chan *chan);
/* Breaks the channel because the peer misbehaved; broken() follows at the end of this turn. why is
 * static. */
void chan_break(struct chan *chan, const char *why);

#endif
