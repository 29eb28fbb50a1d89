/*
 * A question over a channel's socket by a thread that waits for the answer: for the end of a
 * chan_pair that is on no loop. One question at a time; the caller sees to that.
 */
#ifndef SYS_CHAN_ASK_H
#define SYS_CHAN_ASK_H

#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

/* Sends one packet of those pieces. 0, or -1 with errno. */
int chan_ask_send(int fd, struct iovec *pieces, unsigned count);
/* The next packet, of at most size octets: its size. -1 with errno: EAGAIN: none came within ms
 * milliseconds; EPIPE: the other end is gone. Descriptors that come along are not taken. */
ssize_t chan_ask_receive(int fd, void *packet, size_t size, int ms);

#endif
