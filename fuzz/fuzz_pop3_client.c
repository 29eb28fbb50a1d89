/*
 * The client machine against any server: the input begins with the commands that are asked (one
 * octet each, up to a 0xFF) and goes on with what the server sends. Twice, cut differently: the
 * events must be the same; what is not flagged must be what the header says.
 */
#include <pop3/client.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)          \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)
#define MAX_LINES 50

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct play {
	struct pop3_client client;
	uint64_t sum, body, lines;
	uint32_t seed;
	const uint8_t *asked;
	size_t left;
	bool whole, bad;
};

static void note(struct play *play, const void *data, size_t size)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < size; i++)
		play->sum = (play->sum ^ p[i]) * 1099511628211u;
}

/* Asks as much as the machine takes; AUTH and STLS hold the rest back until they are answered. */
static void ask(struct play *play)
{
	char out[64];

	while (play->left != 0) {
		/* the highest octets are the commands that came later: older inputs mean the same
		 */
		enum pop3_command command =
			(enum pop3_command)(*play->asked < 250 ? *play->asked % POP3_UTF8
							       : POP3_UTF8 + *play->asked % 2);
		int n = pop3_client_command(&play->client, command, *play->asked / 20, 3,
					    (pop3_span){"text", *play->asked < 253 ? 4 : 0}, out,
					    sizeof(out));

		if (n == -2)
			return;
		CHECK(n == -3 || (n >= 6 && memcmp(out + n - 2, "\r\n", 2) == 0));
		play->asked++;
		play->left--;
	}
}

static void check_unique_id(pop3_span id)
{
	CHECK(id.size >= 1 && id.size <= POP3_CLIENT_ID_MAX);
	CHECK(!strchr(" \t", id.data[0]) && !strchr(" \t", id.data[id.size - 1]));
	for (size_t i = 0; i < id.size; i++)
		CHECK(id.data[i] == '\t' ||
		      ((unsigned char)id.data[i] >= 0x20 && id.data[i] != 0x7f));
}

static void check_line(struct play *play, const struct pop3_client_event *event)
{
	CHECK(++play->lines <= MAX_LINES);
	CHECK(event->text.size < POP3_CLIENT_LINE_MAX);
	if (event->malformed) {
		CHECK(event->octets == 0 && event->text.size == 0);
		return;
	}
	CHECK(event->octets <= INT64_MAX);
	CHECK(event->command == POP3_CAPA || event->command == POP3_LANG || event->number != 0);
	if (event->command == POP3_UIDL)
		check_unique_id(event->text);
}

static void check_event(struct play *play, const struct pop3_client_event *event)
{
	char text[128];

	if (event->type == POP3_CLIENT_BODY) {
		CHECK(event->text.size != 0);
		play->body += event->text.size;
		note(play, event->text.data, event->text.size);
		return; /* pieces of a body come as they come */
	}
	if (event->type == POP3_CLIENT_LINE)
		check_line(play, event);
	if (event->type == POP3_CLIENT_REPLY) {
		play->body = 0;
		play->lines = 0;
	}
	if (event->type == POP3_CLIENT_END)
		CHECK(event->octets == play->body);
	play->bad = event->type == POP3_CLIENT_BAD;
	int n = snprintf(text, sizeof(text), "%d %d %u %d %d %d %llu %u", event->type,
			 event->command, (unsigned)event->number, event->ok, event->malformed,
			 event->code, (unsigned long long)event->octets, (unsigned)event->count);

	note(play, text, (size_t)n);
	note(play, event->text.data, event->text.size);
	pop3_span stamp = pop3_greeting_stamp(event->text);

	CHECK(stamp.size == 0 || (stamp.size >= 5 && stamp.data[0] == '<'));
}

static size_t cut(struct play *play, size_t available)
{
	if (play->whole)
		return available;
	play->seed = play->seed * 1664525 + 1013904223;
	size_t n = 1 + (play->seed >> 16) % 9;

	return n < available ? n : available;
}

static uint64_t run(const uint8_t *asked, size_t count, pop3_span in, bool whole)
{
	struct play *play = calloc(1, sizeof(*play));
	struct pop3_client_event event;
	char scratch[256];
	uint64_t sum;

	play->asked = asked;
	play->left = count;
	play->whole = whole;
	pop3_client_init(&play->client, POP3_KEEP_CRLF, MAX_LINES);
	while (in.size != 0 && !play->bad) {
		pop3_span slice = {in.data, cut(play, in.size)};
		size_t size = slice.size;

		ask(play);
		while (!play->bad && pop3_client_next(&play->client, &slice, scratch,
						      63 + cut(play, sizeof(scratch) - 63),
						      &event) != POP3_CLIENT_MORE) {
			check_event(play, &event);
			if (event.type == POP3_CLIENT_REPLY && event.command == POP3_STLS &&
			    event.ok && play->left % 2 == 0)
				CHECK(pop3_client_tls_started(&play->client, (pop3_span){NULL, 0}));
			ask(play);
		}
		CHECK(play->bad || slice.size == 0);
		in.data += size;
		in.size -= size;
	}
	sum = play->sum;
	free(play);
	return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = size != 0 ? memchr(data, 0xff, size) : NULL;

	if (end == NULL)
		return 0;
	size_t count = (size_t)(end - data);
	pop3_span in = {(const char *)end + 1, size - count - 1};

	CHECK(run(data, count, in, true) == run(data, count, in, false));
	return 0;
}
