/* See chan_ask.h. */
#include "sys/chan_ask.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

int chan_ask_send(int fd, struct iovec *pieces, unsigned count)
{
	const struct msghdr packet = {.msg_iov = pieces, .msg_iovlen = count};
	ssize_t n;

	do
		n = sendmsg(fd, &packet, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -1 : 0; /* a packet goes whole or not at all */
}

ssize_t chan_ask_receive(int fd, void *packet, size_t size, int ms)
{
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	ssize_t n;

	do
		n = poll(&wait, 1, ms);
	while (n < 0 && errno == EINTR);
	if (n == 0)
		errno = EAGAIN;
	if (n <= 0)
		return -1;
	n = recv(fd, packet, size, MSG_DONTWAIT);
	if (n == 0)
		errno = EPIPE;
	return n > 0 ? n : -1;
}
