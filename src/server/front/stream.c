/* See stream.h. */
#include "server/front/stream.h"

#include <stdlib.h>
#include <string.h>

static void drop_octets(struct stream *stream)
{
	free(stream->octets);
	stream->octets = stream->next;
	stream->left = stream->next_size;
	stream->at = 0;
	stream->next = NULL;
	stream->next_size = 0;
}

void stream_open(struct stream *stream, uint32_t number, bool whole)
{
	stream_close(stream);
	stream->number = number;
	stream->whole = whole;
}

void stream_close(struct stream *stream)
{
	drop_octets(stream);
	drop_octets(stream);
	*stream = (struct stream){0};
}

bool stream_is_open(const struct stream *stream)
{
	return stream->number != 0;
}

bool stream_wants(const struct stream *stream)
{
	if (!stream->number || stream->last || stream->asked || stream->next)
		return false;
	/* of TOP nothing ahead: the client has enough of it at any time, and then the next command
	 * would have to wait for that piece */
	return stream->whole || !stream->left;
}

void stream_ask(struct stream *stream, struct ipc_stream *message)
{
	message->number = stream->number;
	message->offset = stream->offset;
	stream->asked = true;
}

bool stream_fits(const struct stream *stream, enum ipc_type type, const void *message)
{
	const struct ipc_stream *octets = message;

	if (!stream->asked)
		return false;
	if (type == IPC_BODY_FAILED)
		return ((const struct ipc_body_failed *)message)->number == stream->number;
	return octets->number == stream->number && octets->offset == stream->offset;
}

int stream_take(struct stream *stream, const struct ipc_stream *message)
{
	uint32_t size = message->head.tail;

	stream->asked = false;
	stream->last = message->last;
	stream->offset += size;
	if (!size)
		return 0;
	stream->next = malloc(size);
	if (!stream->next)
		return -1;
	memcpy(stream->next, ipc_tail(message), size);
	stream->next_size = size;
	if (!stream->left)
		drop_octets(stream);
	return 0;
}

size_t stream_render(struct stream *stream, struct pop3_server *pop3, char *out, size_t cap)
{
	pop3_span in = {stream->left ? stream->octets + stream->at : NULL, stream->left};
	bool last = stream->last && !stream->next;
	size_t n;

	if (!stream->left && !last)
		return 0;
	n = pop3_server_body(pop3, &in, last, out, cap);
	stream->at += stream->left - (uint32_t)in.size;
	stream->left = (uint32_t)in.size;
	if (!stream->left)
		drop_octets(stream);
	return n;
}
