/*
 * The LMTP machine under any octets. The first octet chooses settings, the second how the rest is
 * split and how replies are pulled. Checked: the same events and replies come as with everything at
 * once; replies are lines of printable ASCII of legal length; every complete message gets as many
 * replies as it has recipients; what events carry keeps its limits.
 */
#include "base/text.h"
#include "lmtp/lmtp.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOG_MAX (1u << 15)
#define RECIPIENTS 5

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct run {
	struct lmtp_server server;
	struct lmtp_outcome outcomes[RECIPIENTS];
	uint64_t content, max_size;
	size_t output_size, events_size, replies_due, pull_cap;
	uint32_t content_sum;
	char output[LOG_MAX], events[LOG_MAX];
};

static void note(struct run *run, const char *what, pop3_span text, uint64_t number)
{
	int n = snprintf(run->events + run->events_size, LOG_MAX - run->events_size,
			 "%s %llu %zu %.*s\n", what, (unsigned long long)number, text.size,
			 (int)text.size, text.data ? text.data : "");

	assert(n > 0);
	if ((size_t)n < LOG_MAX - run->events_size)
		run->events_size += (size_t)n;
}

static void check_address(const struct lmtp_event *event)
{
	assert(event->path.size <= LMTP_SENDER_MAX && event->address.size <= LMTP_SENDER_MAX);
	assert(event->address.size <= event->path.size);
	for (size_t i = 0; i < event->path.size; i++)
		assert((unsigned char)event->path.data[i] >= 0x20 && event->path.data[i] != 0x7F);
	assert(lmtp_utf8_valid(event->path) && lmtp_utf8_valid(event->address));
}

static void on_rcpt(struct run *run, const struct lmtp_event *event)
{
	check_address(event);
	assert(event->index == lmtp_server_accepted(&run->server) && event->index < RECIPIENTS);
	note(run, "RCPT", event->address, event->index);
	if (event->path.size % 4 == 3)
		lmtp_server_reply(&run->server, 550, "5.1.1", "no");
	else
		lmtp_server_reply(&run->server, 250, "2.1.5", "yes");
}

static void on_end(struct run *run, const struct lmtp_event *event)
{
	uint32_t n = lmtp_server_accepted(&run->server);

	assert(n > 0 && event->size == run->content);
	note(run, "END", (pop3_span){NULL, 0}, event->size ^ run->content_sum);
	run->content = 0;
	if (event->size % 3 == 0) {
		lmtp_server_reply_all(&run->server, 451, "4.3.0", "all");
		return;
	}
	lmtp_server_lend(&run->server, run->outcomes);
	while (n-- > 0)
		lmtp_server_reply_recipient(&run->server, n, 250, "2.0.0", "one");
}

static void on_event(struct run *run, const struct lmtp_event *event)
{
	switch (event->type) {
	case LMTP_EVENT_MAIL:
		check_address(event);
		note(run, event->utf8 ? "MAIL8" : "MAIL", event->address, event->size);
		run->content = run->content_sum = 0;
		if (event->path.size % 8 == 7)
			lmtp_server_reply(&run->server, 451, "4.7.1", "no");
		else
			lmtp_server_reply(&run->server, 250, NULL, "yes");
		break;
	case LMTP_EVENT_RCPT:
		on_rcpt(run, event);
		break;
	case LMTP_EVENT_DATA:
		note(run, "DATA", (pop3_span){NULL, 0}, 0);
		lmtp_server_reply_data_go(&run->server);
		break;
	case LMTP_EVENT_CONTENT:
		assert(event->text.size > 0);
		run->content += event->text.size;
		assert(!run->max_size || run->content <= run->max_size);
		for (size_t i = 0; i < event->text.size; i++)
			run->content_sum = run->content_sum * 31 + (uint8_t)event->text.data[i];
		/* the program's disk is full */
		if (run->content_sum % 64 == 0 && run->max_size == 0 && run->pull_cap == 0)
			lmtp_server_fail_content(&run->server, 452, "4.3.1", "full");
		break;
	case LMTP_EVENT_END:
		on_end(run, event);
		break;
	case LMTP_EVENT_RESET:
		note(run, "RESET", (pop3_span){NULL, 0}, 0);
		run->content = 0;
		break;
	case LMTP_EVENT_NONE:
	case LMTP_EVENT_COUNT:
		break;
	}
}

static void pull(struct run *run)
{
	char out[LMTP_REPLY_MAX];
	size_t n = lmtp_server_pull(&run->server, out, run->pull_cap ? run->pull_cap : sizeof(out));

	assert(n > 0);
	if (n <= LOG_MAX - run->output_size) {
		memcpy(run->output + run->output_size, out, n);
		run->output_size += n;
	}
}

static void feed(struct run *run, pop3_span in)
{
	char scratch[LMTP_SCRATCH_MIN];
	struct lmtp_event event;

	for (;;) {
		switch (lmtp_server_want(&run->server)) {
		case LMTP_WANT_OUTPUT:
			pull(run);
			continue;
		case LMTP_WANT_INPUT:
			lmtp_server_take_back(&run->server);
			if (in.size == 0)
				return;
			lmtp_server_next(&run->server, &in, scratch, sizeof(scratch), &event);
			on_event(run, &event);
			assert(event.type != LMTP_EVENT_NONE || in.size == 0 ||
			       lmtp_server_want(&run->server) != LMTP_WANT_INPUT);
			continue;
		case LMTP_WANT_CLOSE:
			return;
		case LMTP_WANT_REPLY:
		case LMTP_WANT_DATA_REPLIES:
			abort();
		}
	}
}

static void check_output(const struct run *run)
{
	size_t line = 0;

	for (size_t i = 0; i < run->output_size; i++) {
		char c = run->output[i];

		if (c == '\n') {
			assert(i && run->output[i - 1] == '\r');
			assert(i + 1 - line <= LMTP_REPLY_MAX && i + 1 - line >= 6);
			line = i + 1;
		} else {
			assert(c == '\r' || (c >= 0x20 && c <= 0x7E));
		}
	}
	assert(line == run->output_size);
}

static struct run *start(const struct lmtp_server_settings *settings, size_t pull_cap)
{
	struct run *run = calloc(1, sizeof(*run));

	assert(run);
	lmtp_server_init(&run->server, settings);
	run->max_size = settings->max_size;
	run->pull_cap = pull_cap;
	return run;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lmtp_server_settings settings = {.host_name = "fuzz.example",
						.max_recipients = RECIPIENTS};
	const char *octets = (const char *)data + 2;
	struct run *whole, *split;
	size_t step;

	if (size < 2)
		return 0;
	size -= 2;
	settings.max_size = data[0] & 1 ? 1 + (data[0] >> 3) : 0;
	settings.max_bad_commands = data[0] & 2 ? 3 : 0;
	settings.smtputf8 = data[0] & 4;
	step = 1 + data[1] % 16;
	whole = start(&settings, LMTP_REPLY_MAX);
	split = start(&settings, 1 + data[1] / 16);
	feed(whole, (pop3_span){octets, size});
	for (size_t at = 0; at < size || at == 0; at += step)
		feed(split, (pop3_span){octets + at, size - at < step ? size - at : step});
	check_output(whole);
	assert(whole->output_size == split->output_size &&
	       memcmp(whole->output, split->output, whole->output_size) == 0);
	assert(whole->events_size == split->events_size &&
	       memcmp(whole->events, split->events, whole->events_size) == 0);
	/* and once with a program that fails in the middle of messages */
	memset(split, 0, sizeof(*split));
	lmtp_server_init(&split->server, &settings);
	feed(split, (pop3_span){octets, size});
	check_output(split);
	free(whole);
	free(split);
	return 0;
}
