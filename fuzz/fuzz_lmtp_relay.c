/*
 * A message passed on to any LMTP server (lmtp/relay.h): the first octet says how the rest, which
 * that server sends, is split and whether TLS is wanted. Whatever comes: nothing is delivered whose
 * end was not sent and that has no 2yz of its own behind it; at the end every recipient has an
 * outcome; each command is a line; and the same octets in other pieces make the same outcomes.
 */
#include "base/text.h"
#include "lmtp/relay.h"

#include <stdlib.h>
#include <string.h>

#define CHECK(condition)          \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)

enum { RECIPIENTS = 5 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct play {
	struct lmtp_relay relay;
	struct lmtp_relay_recipient recipients[RECIPIENTS];
	bool ended, over;
};

static void send_all(struct play *play)
{
	pop3_span out;

	while ((out = lmtp_relay_output(&play->relay)).size) {
		CHECK(out.size <= LMTP_RELAY_OUT && out.data[out.size - 1] == '\n');
		lmtp_relay_sent(&play->relay, out.size);
	}
}

static void send_message(struct play *play)
{
	pop3_span in = SPAN_LITERAL("a: b\r\n\r\n.\n.\r\nx\r\n");
	char out[LMTP_RELAY_ENCODE_MIN];

	while (in.size)
		CHECK(lmtp_relay_encode(&play->relay, &in, out, sizeof(out)) <= sizeof(out));
	CHECK(lmtp_relay_end(&play->relay, out, sizeof(out)) <= sizeof(out));
	play->ended = true;
}

static void take(struct play *play, enum lmtp_relay_event event)
{
	switch (event) {
	case LMTP_RELAY_MORE:
		break;
	case LMTP_RELAY_START_TLS:
		lmtp_relay_tls_started(&play->relay);
		break;
	case LMTP_RELAY_CONTENT:
		send_message(play);
		break;
	case LMTP_RELAY_OVER:
		play->over = true;
		break;
	}
}

static void run(struct play *play, pop3_span all, size_t piece, bool starttls)
{
	static const char *const addresses[RECIPIENTS] = {"anna", "b@x.test", "c d@x.test",
							  "\xC3\xA9@x.test", "e"};
	const struct lmtp_relay_message message = {.host_name = "fuzz.example",
						   .sender = SPAN_LITERAL("s@y.test"),
						   .size = 9,
						   .starttls = starttls};

	memset(play, 0, sizeof(*play));
	for (int i = 0; i < RECIPIENTS; i++)
		play->recipients[i].address = span_of(addresses[i]);
	lmtp_relay_init(&play->relay, &message, play->recipients, RECIPIENTS);
	while (all.size && !play->over) {
		pop3_span in = {all.data, all.size < piece ? all.size : piece};
		enum lmtp_relay_event event;

		all.data += in.size;
		all.size -= in.size;
		do {
			send_all(play);
			event = lmtp_relay_next(&play->relay, &in);
			take(play, event);
		} while (!play->over && (event != LMTP_RELAY_MORE || in.size));
	}
	send_all(play);
	lmtp_relay_cut(&play->relay, "the end");
	for (int i = 0; i < RECIPIENTS; i++) {
		const struct lmtp_relay_recipient *recipient = &play->recipients[i];

		CHECK(recipient->result != LMTP_RELAY_PENDING);
		CHECK(recipient->result != LMTP_RELAY_UNKNOWN || play->ended);
		CHECK(recipient->result != LMTP_RELAY_DELIVERED ||
		      (play->ended && recipient->accepted && recipient->code / 100 == 2));
		CHECK(recipient->result != LMTP_RELAY_REFUSED || recipient->code / 100 == 5);
		CHECK(strlen(recipient->words) <= LMTP_RELAY_WORDS_MAX);
		CHECK(strlen(recipient->enhanced) < sizeof(recipient->enhanced));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct play *whole, *split;
	bool starttls;

	if (size < 1)
		return 0;
	whole = malloc(sizeof(*whole));
	split = malloc(sizeof(*split));
	CHECK(whole && split);
	starttls = data[0] & 64;
	/* what comes in one piece with the answer to STARTTLS was sent too early */
	run(whole, (pop3_span){(const char *)data + 1, size - 1}, starttls ? 1 : SIZE_MAX,
	    starttls);
	run(split, (pop3_span){(const char *)data + 1, size - 1}, starttls ? 1 : 1 + data[0] % 61,
	    starttls);
	for (int i = 0; i < RECIPIENTS; i++)
		CHECK(whole->recipients[i].result == split->recipients[i].result &&
		      whole->recipients[i].code == split->recipients[i].code);
	free(whole);
	free(split);
	return 0;
}
