/*
 * A session at another POP3 server (maildrop/remote/talk.h) against any server: the first octet
 * says what is known of it, the rest is what it sends, in pieces. Whatever comes: a body is no
 * longer than twice its guess and a MiB, what is held is bounded, a maildrop that opens has an
 * index that can be read, and "+OK" to the end needs "+OK" to each step.
 */
#include "base/text.h"
#include "maildrop/index/view.h"
#include "maildrop/remote/talk.h"

#include <stdlib.h>
#include <string.h>

#define CHECK(condition)          \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)

enum { FETCHES = 4 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct play {
	struct talk talk;
	struct talk_abilities abilities;
	unsigned fetches;
	uint64_t octets;
	uint32_t number;
	bool quitting, over;
	uint32_t numbers[2];
	char room[5000];
};

static void send_all(struct play *play)
{
	pop3_span out;

	while ((out = talk_output(&play->talk)).size) {
		CHECK(out.size <= play->talk.out_size && out.data[out.size - 1] == '\n');
		talk_sent(&play->talk, out.size);
	}
}

static void check_listing(struct play *play)
{
	const struct remote_listing *listing = &play->talk.listing;
	struct index_entry entry;
	struct index_view *view;
	struct err err;

	CHECK(index_view_create(listing->base_fd, listing->delta_fd, INDEX_DELTA_HEADER,
				listing->count, listing->octets, &view, &err) == 0);
	for (uint32_t n = 1; n <= listing->count && n <= 3; n++) {
		CHECK(index_view_read(view, n, true, &entry, 1, &err) == 1);
		CHECK(entry.unique_id.size >= 1 && entry.unique_id.size <= POP3_UNIQUE_ID_MAX);
	}
	index_view_destroy(view);
}

/* The next message, or the end. */
static void next(struct play *play)
{
	uint32_t count = play->talk.listing.count;

	if (count && play->fetches < FETCHES) {
		play->number = play->fetches++ % count + 1;
		play->octets = 0;
		talk_fetch(&play->talk, play->number, play->fetches % 2 == 0, play->fetches);
		return;
	}
	play->numbers[0] = 1;
	play->numbers[1] = 2;
	play->quitting = true;
	talk_quit(&play->talk, play->numbers, count < 2 ? count : 2);
}

static void take_octets(struct play *play, bool impatient)
{
	bool last = false;

	if (talk_has_octets(&play->talk)) {
		play->octets += talk_take(&play->talk, &last);
		CHECK(play->octets <= 2 * play->talk.listing.sizes[play->number - 1] + (1 << 20));
	}
	if (!last && talk_blocked(&play->talk))
		talk_lend(&play->talk, play->room, sizeof(play->room));
	if (last || (impatient && play->octets > 40 && !play->quitting))
		next(play);
}

static void take(struct play *play, enum talk_event event)
{
	switch (event) {
	case TALK_MORE:
		break;
	case TALK_START_TLS:
		talk_tls_started(&play->talk);
		break;
	case TALK_OPENED:
		check_listing(play);
		next(play);
		break;
	case TALK_ANSWERED:
		CHECK(play->number);
		break;
	case TALK_REFUSED:
		CHECK(play->talk.status != MAILDROP_OK);
		next(play);
		break;
	case TALK_OVER:
		CHECK(play->talk.status != MAILDROP_OK || (play->quitting && !play->talk.not_all));
		play->over = true;
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct play *play;
	struct err err;
	uint8_t how;

	if (size == 0)
		return 0;
	play = calloc(1, sizeof(*play));
	how = *data++;
	size--;
	play->abilities = (struct talk_abilities){
		.known = how & 1, .pipelining = how & 2, .auth_codes = how & 4};
	CHECK(talk_init(&play->talk, SPAN_LITERAL("anna"), SPAN_LITERAL("secret"),
			(how & 8 ? TALK_STLS : 0) | (how & 64 ? TALK_TOKEN : 0), &play->abilities,
			&err) == 0);
	while (size && !play->over) {
		size_t n = 1 + how % 61;
		pop3_span in = {(const char *)data, n < size ? n : size};
		enum talk_event event;

		data += in.size;
		size -= in.size;
		do {
			send_all(play);
			event = talk_next(&play->talk, &in);
			take(play, event);
			if (!play->over && play->number && !play->quitting)
				take_octets(play, how & 16);
		} while (!play->over && (event != TALK_MORE || in.size));
	}
	if (!play->over) {
		talk_eof(&play->talk);
		CHECK(play->talk.status != MAILDROP_OK);
	}
	talk_finish(&play->talk);
	free(play);
	return 0;
}
