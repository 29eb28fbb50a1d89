/* See chan_queue.h. Every process of valijad; one thread. */
#include "sys/chan_queue.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void free_packet(struct chan_packet *packet)
{
	for (unsigned i = 0; i < packet->fd_count; i++)
		close(packet->fds[i]);
	explicit_bzero(packet->data, packet->size); /* it may hold a password */
	free(packet);
}

void chan_queue_init(struct chan_queue *queue)
{
	queue->head = NULL;
	queue->tail = &queue->head;
	queue->octets = 0;
}

int chan_queue_add(struct chan_queue *queue, const struct iovec *parts, unsigned count, size_t size,
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
	*queue->tail = packet;
	queue->tail = &packet->next;
	queue->octets += size;
	return 0;
}

void chan_queue_drop_first(struct chan_queue *queue)
{
	struct chan_packet *packet = queue->head;

	queue->head = packet->next;
	if (!queue->head)
		queue->tail = &queue->head;
	queue->octets -= packet->size;
	free_packet(packet);
}

void chan_queue_drop_all(struct chan_queue *queue)
{
	while (queue->head)
		chan_queue_drop_first(queue);
}
