/*
 * Packets that wait until a channel's socket takes them: whole, in order, with duplicates of their
 * descriptors. For chan.c only.
 */
#ifndef SYS_CHAN_QUEUE_H
#define SYS_CHAN_QUEUE_H

#include "sys/chan.h"

struct chan_packet {
	struct chan_packet *next;
	size_t size;
	int fds[CHAN_FDS_MAX];
	unsigned fd_count;
	char data[];
};

void chan_queue_init(struct chan_queue *queue);
/* Copies the parts (size octets in all) and duplicates the descriptors. -1: no memory, or no
 * descriptor to be had. */
int chan_queue_add(struct chan_queue *queue, const struct iovec *parts, unsigned count, size_t size,
		   const int *fds, unsigned fd_count);
void chan_queue_drop_first(struct chan_queue *queue);
void chan_queue_drop_all(struct chan_queue *queue);

#endif
