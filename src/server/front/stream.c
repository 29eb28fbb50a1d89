/* See stream.h. */
#include "server/front/stream.h"

#include <stdlib.h>
#include <string.h>

static void free_piece(struct stream_piece *piece)
{
	free(piece->copy);
	arena_return(&piece->lease);
	*piece = (struct stream_piece){0};
}

static void drop_piece(struct stream *stream)
{
	free_piece(&stream->now);
	stream->now = stream->next;
	stream->next = (struct stream_piece){0};
}

void stream_open(struct stream *stream, uint32_t number, bool whole)
{
	stream_close(stream);
	stream->number = number;
	stream->whole = whole;
}

void stream_close(struct stream *stream)
{
	free_piece(&stream->now);
	free_piece(&stream->next);
	arena_return(&stream->lease);
	*stream = (struct stream){0};
}

bool stream_is_open(const struct stream *stream)
{
	return stream->number != 0;
}

bool stream_wants(const struct stream *stream)
{
	if (!stream->number || stream->last || stream->asked || stream->next.left)
		return false;
	/* of TOP nothing ahead: the client has enough of it at any time, and then the next command
	 * would have to wait for that piece */
	return stream->whole || !stream->now.left;
}

void stream_ask(struct stream *stream, struct arena *arena, struct ipc_stream *message)
{
	if (!stream->lease.arena)
		stream->lease = arena_take(arena);
	message->number = stream->number;
	message->offset = stream->offset;
	message->slot = stream->lease.arena ? stream->lease.number : IPC_NO_SLOT;
	stream->asked = true;
}

static bool octets_fit(const struct stream *stream, const struct ipc_stream *message)
{
	return message->number == stream->number && message->offset == stream->offset &&
	       (message->slot == IPC_NO_SLOT ||
		(stream->lease.arena && message->slot == stream->lease.number));
}

bool stream_fits(const struct stream *stream, enum ipc_type type, const void *message)
{
	if (!stream->asked)
		return false;
	if (type == IPC_BODY_FAILED)
		return ((const struct ipc_body_failed *)message)->number == stream->number;
	return octets_fit(stream, message);
}

int stream_take(struct stream *stream, const struct ipc_stream *message)
{
	struct stream_piece piece = {.left = message->size};

	stream->asked = false;
	stream->last = message->last;
	stream->offset += message->size;
	if (message->size && message->slot != IPC_NO_SLOT) {
		piece.lease = stream->lease;
		stream->lease.arena = NULL;
	} else if (message->size) {
		piece.copy = malloc(message->size);
		if (!piece.copy)
			return -1;
		memcpy(piece.copy, ipc_tail(message), message->size);
	}
	arena_return(&stream->lease);
	stream->next = piece;
	if (!stream->now.left)
		drop_piece(stream);
	return 0;
}

size_t stream_render(struct stream *stream, struct pop3_server *pop3, char *out, size_t cap)
{
	struct stream_piece *piece = &stream->now;
	bool last = stream->last && !stream->next.left;
	pop3_span in = {NULL, piece->left};
	size_t n;

	if (!piece->left && !last)
		return 0;
	if (piece->left)
		in.data = (piece->copy ? piece->copy : arena_octets(&piece->lease)) + piece->at;
	n = pop3_server_body(pop3, &in, last, out, cap);
	piece->at += piece->left - (uint32_t)in.size;
	piece->left = (uint32_t)in.size;
	if (!piece->left)
		drop_piece(stream);
	return n;
}
