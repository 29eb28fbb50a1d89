/* See tracing.h. */
#include "server/control/tracing.h"

#include "server/lines.h"

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

static enum record_lane lane_of(const struct tracing *tracing)
{
	return tracing->logins ? LANE_USUAL : LANE_TRACE;
}

static uint64_t last_of(const struct ring *ring, enum record_lane lane)
{
	return atomic_load_explicit(&ring->recorder.head->last[lane], memory_order_acquire);
}

struct tracing *tracing_begin(const struct rings *rings, uint64_t id, uint64_t until)
{
	struct tracing *tracing = calloc(1, sizeof(*tracing));

	if (!tracing)
		return NULL;
	tracing->id = id;
	tracing->until = until;
	for (unsigned i = 0; i < rings->count; i++)
		tracing->seen[i] = last_of(&rings->list[i], LANE_TRACE);
	return tracing;
}

struct tracing *tracing_begin_logins(void)
{
	struct tracing *tracing = calloc(1, sizeof(*tracing));

	if (tracing)
		*tracing = (struct tracing){.logins = true, .until = UINT64_MAX};
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

/* A name that was cut is no user's. */
static void take_login(struct tracing *tracing, const struct recorder_copy *copy, struct out *out)
{
	struct record_field user, section;

	if (copy->view.event != RECORD_LOGIN || !record_find(&copy->view, RECORD_KEY_USER, &user) ||
	    user.kind != RECORD_TEXT || !record_find(&copy->view, RECORD_KEY_MIGRATE, &section))
		return;
	out->size += (size_t)snprintf(out->text + out->size, HEAD_MAX, "login\t%llx-%llu\t",
				      (unsigned long long)copy->view.front,
				      (unsigned long long)copy->view.session);
	out->size += lines_escape(out->text + out->size, user.text);
	out->text[out->size++] = '\t';
	out->size += lines_escape(out->text + out->size, section.text);
	out->text[out->size++] = '\n';
	tracing->lines++;
}

static void take_trace(struct tracing *tracing, const struct recorder_copy *copy, struct out *out)
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
	return LINES_MAX - out->size > HEAD_MAX + LINES_ESCAPED * RECORDER_FIELDS + HEAD_MAX;
}

/* The events of a ring from the last one seen on. Its counter is a hostile process's: no more than
 * the lane has is looked at. */
static void read_ring(struct tracing *tracing, const struct rings *rings, unsigned i,
		      struct out *out)
{
	const struct ring *ring = &rings->list[i];
	enum record_lane lane = lane_of(tracing);
	uint32_t room = ring->recorder.events[lane];
	uint64_t last = last_of(ring, lane), *seen = &tracing->seen[i];
	struct recorder_copy copy;

	if (last < *seen)
		*seen = last;
	if (last - *seen > room) {
		tracing->lost += *seen || !tracing->logins ? last - *seen - room : 0;
		*seen = last - room;
	}
	while (*seen < last && has_room(out)) {
		uint64_t number = ++*seen;
		struct ring_place place = {.ring = (uint16_t)i,
					   .lane = (uint8_t)lane,
					   .slot = (uint32_t)(number % room)};

		if (rings_read(rings, place, &copy) && copy.number == number)
			(tracing->logins ? take_login : take_trace)(tracing, &copy, out);
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
		if (rings->list[i].role == (tracing->logins ? ROLE_AUTH : ROLE_FRONT))
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
