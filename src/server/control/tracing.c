/* See tracing.h. */
#include "server/control/tracing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	LINES_MAX = 128 * 1024, /* octets of one answer; what is left is read the next time */
	HEAD_MAX = 80,
};

struct out {
	char *text;
	size_t size;
};

static uint64_t last_of(const struct ring *ring)
{
	return atomic_load_explicit(&ring->recorder.head->last[LANE_TRACE], memory_order_acquire);
}

struct tracing *tracing_begin(const struct rings *rings, uint64_t id, uint64_t until)
{
	struct tracing *tracing = calloc(1, sizeof(*tracing));

	if (!tracing)
		return NULL;
	tracing->id = id;
	tracing->until = until;
	for (unsigned i = 0; i < rings->count; i++)
		tracing->seen[i] = last_of(&rings->list[i]);
	return tracing;
}

static void put_line(struct out *out, const struct record_view *view,
		     const struct record_field *text)
{
	out->size += (size_t)snprintf(out->text + out->size, HEAD_MAX, "%s\t%llx-%llu\t",
				      text->key == RECORD_KEY_LINE ? "trace" : "more",
				      (unsigned long long)view->front,
				      (unsigned long long)view->session);
	for (size_t i = 0; i < text->text.size; i++) {
		char c = text->text.data[i];

		out->text[out->size++] = c >= ' ' && c <= '~' ? c : '?';
	}
	out->text[out->size++] = '\n';
}

static void take(struct tracing *tracing, const struct recorder_copy *copy, struct out *out)
{
	struct record_field id, text;

	if (!record_find(&copy->view, RECORD_KEY_TRACE, &id) || id.number != tracing->id)
		return;
	if (!record_find(&copy->view, RECORD_KEY_LINE, &text) &&
	    !record_find(&copy->view, RECORD_KEY_MORE, &text))
		return;
	put_line(out, &copy->view, &text);
	tracing->lines += text.key == RECORD_KEY_LINE;
}

static bool has_room(const struct out *out)
{
	return LINES_MAX - out->size > HEAD_MAX + RECORDER_FIELDS + HEAD_MAX;
}

/* The events of a ring from the last one seen on. Its counter is a hostile process's: no more than
 * the lane has is looked at. */
static void read_ring(struct tracing *tracing, const struct rings *rings, unsigned i,
		      struct out *out)
{
	const struct ring *ring = &rings->list[i];
	uint32_t room = ring->recorder.events[LANE_TRACE];
	uint64_t last = last_of(ring), *seen = &tracing->seen[i];
	struct recorder_copy copy;

	if (last < *seen)
		*seen = last;
	if (last - *seen > room) {
		tracing->lost += last - *seen - room;
		*seen = last - room;
	}
	while (*seen < last && has_room(out)) {
		uint64_t number = ++*seen;
		struct ring_place place = {
			.ring = (uint16_t)i, .lane = LANE_TRACE, .slot = (uint32_t)(number % room)};

		if (rings_read(rings, place, &copy) && copy.number == number)
			take(tracing, &copy, out);
		else
			tracing->lost++;
	}
}

char *tracing_collect(struct tracing *tracing, const struct rings *rings, size_t *ret_size)
{
	struct out out = {.text = malloc(LINES_MAX)};

	*ret_size = 0;
	if (!out.text)
		return NULL;
	for (unsigned i = 0; i < rings->count; i++)
		if (rings->list[i].role == ROLE_FRONT)
			read_ring(tracing, rings, i, &out);
	if (tracing->lost)
		out.size += (size_t)snprintf(out.text + out.size, HEAD_MAX, "lost\t%llu\n",
					     (unsigned long long)tracing->lost);
	tracing->lost = 0;
	if (out.size) {
		*ret_size = out.size;
		return out.text;
	}
	free(out.text);
	return NULL;
}
