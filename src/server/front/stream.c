/* See stream.h. */
#include "server/front/stream.h"

#include <stdlib.h>
#include <string.h>

static void drop_octets(struct stream *stream)
{
	free(stream->octets);
	stream->octets = NULL;
	stream->at = stream->left = 0;
}

void stream_open(struct stream *stream, uint32_t number)
{
	stream_close(stream);
	stream->number = number;
}

void stream_close(struct stream *stream)
{
	drop_octets(stream);
	*stream = (struct stream){0};
}

bool stream_is_open(const struct stream *stream)
{
	return stream->number != 0;
}

bool stream_wants(const struct stream *stream)
{
	return stream->number && !stream->left && !stream->last && !stream->asked;
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
	drop_octets(stream);
	stream->last = message->last;
	stream->offset += size;
	if (!size)
		return 0;
	stream->octets = malloc(size);
	if (!stream->octets)
		return -1;
	memcpy(stream->octets, ipc_tail(message), size);
	stream->left = size;
	return 0;
}

size_t stream_render(struct stream *stream, struct pop3_server *pop3, char *out, size_t cap)
{
	pop3_span in = {stream->octets + stream->at, stream->left};
	size_t n;

	if (stream->asked || (!stream->left && !stream->last))
		return 0;
	n = pop3_server_body(pop3, &in, stream->last, out, cap);
	stream->at += stream->left - (uint32_t)in.size;
	stream->left = (uint32_t)in.size;
	if (!stream->left)
		drop_octets(stream);
	return n;
}
